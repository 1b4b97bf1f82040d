/**
 * The OCI runtime that buildah sees: it adds the build's settings (build-settings.ts) to each step's
 * config.json and then is runc. This is how proxies, a private CA and a private mirror reach every RUN of an
 * unchanged Dockerfile without leaving a trace in the image: buildah 1.28 knows no variables for the build
 * alone, and a file mounted over /etc would leave an empty file in the layer.
 *
 * Run as: node runtime-wrapper.ts <settings.json> <bundle directory>
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readInRoot } from '../unpack/rooted-path.ts';
import { preparedReleases, settingsMount } from './build-settings.ts';

const settingsFile = z.object({ directory: z.string(), env: z.record(z.string(), z.string()) });

const bundleConfig = z.looseObject({
  process: z.looseObject({ env: z.array(z.string()).optional() }),
  root: z.looseObject({ path: z.string() }),
  mounts: z.array(z.unknown()).optional(),
});

type BundleConfig = z.infer<typeof bundleConfig>;
type Settings = z.infer<typeof settingsFile>;

/** The same configuration with the settings' mount and variables; the step's own variables win. */
export function withBuildSettings(config: BundleConfig, settings: Settings, release: string): BundleConfig {
  const apt = preparedReleases.includes(release) ? `apt.${release}.conf` : 'apt.conf';
  const extra = { ...settings.env, APT_CONFIG: `${settingsMount}/${apt}` };
  const { process: step } = config;
  const own = step.env ?? [];
  const added = Object.entries(extra).filter(([name]) => !own.some((line) => line.startsWith(`${name}=`)));
  const mount = {
    destination: settingsMount,
    type: 'bind',
    source: settings.directory,
    options: ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'],
  };
  return {
    ...config,
    process: { ...step, env: [...own, ...added.map(([name, value]) => `${name}=${value}`)] },
    mounts: [...(config.mounts ?? []), mount],
  };
}

/** Debian's codename of the tree that a step runs in. */
function releaseOf(root: string): string {
  const text = readInRoot(root, 'etc/os-release', 64 * 1024)?.toString('utf8') ?? '';
  if (!/^ID="?debian"?$/m.test(text)) return '';
  return /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(text)?.[1] ?? '';
}

function main(settingsPath: string, bundle: string): void {
  const path = join(bundle, 'config.json');
  const settings = settingsFile.parse(JSON.parse(readFileSync(settingsPath, 'utf8')));
  const config = bundleConfig.parse(JSON.parse(readFileSync(path, 'utf8')));
  writeFileSync(path, JSON.stringify(withBuildSettings(config, settings, releaseOf(config.root.path))));
}

const [settingsPath, bundle] = process.argv.slice(2);
if (import.meta.main && settingsPath !== undefined && bundle !== undefined) main(settingsPath, bundle);
