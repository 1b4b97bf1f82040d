/** The tables of docs/config.md, made from the settings; `config-doc.test.ts` compares them with the page. */
import type { Setting } from './setting.ts';

/** A Markdown table of one section. */
export function settingsTable(section: Readonly<Record<string, Setting<unknown>>>): string {
  const rows = Object.values(section).map(
    (setting) =>
      `| \`${setting.name}\` | ${setting.shape} | ${setting.initial === '' ? 'none' : `\`${setting.initial}\``} | ${setting.meaning} |`,
  );
  return ['| variable | value | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
