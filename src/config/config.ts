/**
 * Step two of the configuration: the environment, validated, as one value. All mistakes are reported together.
 * Secrets are not in it (secrets.ts reads them when they are needed).
 */
import { messageOf, SlipwayError } from '../base/errors.ts';
import type { Limits } from '../model/limits.ts';
import { limitNames } from '../model/limits.ts';
import type { Environment } from './env.ts';
import { limitVariable } from './limit-settings.ts';
import { nearestOf } from './nearest.ts';
import type { SettingIssue, Settings, ValuesOf } from './setting.ts';
import { allSettings, settings } from './settings.ts';

export interface Config extends ValuesOf<typeof settings.service> {
  readonly defaultLimits: Limits;
  readonly ceilings: Limits;
  readonly client: ValuesOf<typeof settings.client>;
}

/**
 * The configuration from SLIPWAY_* variables; other variables are ignored, and an empty one counts as unset.
 *
 * @throws SlipwayError `bad-config` that lists every mistake: variable, what is wrong, what to write
 */
export function parseConfig(env: Environment): Config {
  const issues: SettingIssue[] = findUnknown(env);
  const service = readSection(settings.service, env, issues);
  const defaults = readSection(settings.defaults, env, issues);
  const ceilings = readSection(settings.ceilings, env, issues);
  const client = readSection(settings.client, env, issues);
  if (issues.length === 0) issues.push(...findExcessive(env, defaults, ceilings), ...findTokenTwice(client));
  if (issues.length > 0) throw badConfig(issues);
  return { ...service, defaultLimits: lowered(defaults, ceilings), ceilings, client };
}

function readSection<Of extends Settings>(
  section: Of,
  env: Environment,
  issues: SettingIssue[],
): ValuesOf<Of> {
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(section)) {
    try {
      values[key] = setting.parse(env[setting.name] || setting.initial);
    } catch (error) {
      issues.push({ name: setting.name, problem: messageOf(error), write: setting.shape });
    }
  }
  return values as ValuesOf<Of>; // complete unless there are issues, and then it is not used
}

function findUnknown(env: Environment): SettingIssue[] {
  const names = allSettings.map((setting) => setting.name);
  const unknown = Object.keys(env).filter((name) => name.startsWith('SLIPWAY_') && !names.includes(name));
  return unknown.map((name) => {
    const nearest = nearestOf(name, names);
    const write = nearest === undefined ? 'nothing; unset it' : `${nearest}, if that is what you mean`;
    return { name, problem: 'there is no such setting', write };
  });
}

/** A default that somebody wrote and that is over its ceiling; one that nobody wrote follows the ceiling. */
function findExcessive(env: Environment, defaults: Limits, ceilings: Limits): SettingIssue[] {
  const excessive = limitNames.filter(
    (name) => defaults[name] > ceilings[name] && Boolean(env[limitVariable('DEFAULT', name)]),
  );
  return excessive.map((name) => ({
    name: limitVariable('DEFAULT', name),
    problem: `it is more than ${limitVariable('MAX', name)} allows (${ceilings[name]})`,
    write: 'at most that, or raise the other',
  }));
}

function findTokenTwice(client: Config['client']): SettingIssue[] {
  if (client.token === undefined || client.tokenFile === undefined) return [];
  return [{ name: 'SLIPWAY_TOKEN', problem: 'SLIPWAY_TOKEN_FILE is also set', write: 'only one of the two' }];
}

function lowered(defaults: Limits, ceilings: Limits): Limits {
  const entries = limitNames.map((name) => [name, Math.min(defaults[name], ceilings[name])]);
  return { ...defaults, ...Object.fromEntries(entries) };
}

function badConfig(issues: readonly SettingIssue[]): SlipwayError {
  const lines = issues.map((issue) => `  ${issue.name}: ${issue.problem}. Write ${issue.write}.`);
  return new SlipwayError(
    'invalid-input',
    'bad-config',
    `The configuration has ${issues.length === 1 ? 'a mistake' : `${issues.length} mistakes`}:\n${lines.join('\n')}`,
    { details: { issues } },
  );
}
