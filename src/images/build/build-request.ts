/** What a build is asked to do. */
import type { ImageStore } from '../image-store.ts';
import type { RegistryPolicy } from '../registry/registry-policy.ts';
import type { HostEnvironment } from './build-settings.ts';
import type { BuildOutput } from './buildah.ts';

export interface BuildImageOptions extends BuildOutput {
  readonly store: ImageStore;
  readonly contextDir: string;
  /** Default: `Dockerfile` in the context. */
  readonly dockerfile?: string | undefined;
  readonly name: string;
  /** The operator's environment, for proxies, CA and pip's settings. */
  readonly hostEnv: HostEnvironment;
  /** Where bases may be pulled from; default: nowhere. */
  readonly policy?: RegistryPolicy | undefined;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The same with its name in short form and its paths absolute. */
export type CheckedBuild = BuildImageOptions & { readonly dockerfile: string };
