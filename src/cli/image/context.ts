/** What every subcommand of `slipway image` gets. */
import type { Digest } from '../../base/digest.ts';
import type { HostEnvironment } from '../../images/build/build-settings.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { closedPolicy, type RegistryPolicy } from '../../images/registry/registry-policy.ts';
import type { TextSink } from '../progress.ts';
import { createStepProgress, type StepProgress } from '../step-progress.ts';

export interface ImageCommandOptions {
  /** The operator's environment: proxies, CA and pip's settings for builds, HOME for credentials. */
  readonly hostEnv: HostEnvironment;
  readonly signal?: AbortSignal | undefined;
  readonly out?: TextSink;
  readonly err?: TextSink;
  /** What may be pulled; default: nothing. */
  readonly getPolicy?: () => RegistryPolicy;
  /** The images that runs of this machine's service need; default: none. */
  readonly getNeeded?: (signal: AbortSignal | undefined) => Promise<ReadonlySet<Digest>>;
}

export interface ImageContext {
  readonly getStore: () => ImageStore;
  readonly hostEnv: HostEnvironment;
  readonly signal: AbortSignal | undefined;
  readonly out: TextSink;
  readonly err: TextSink;
  readonly getPolicy: () => RegistryPolicy;
  readonly getNeeded: (signal: AbortSignal | undefined) => Promise<ReadonlySet<Digest>>;
}

export interface JsonFlag {
  readonly json?: boolean;
}

export function toImageContext(getStore: () => ImageStore, options: ImageCommandOptions): ImageContext {
  return {
    getStore,
    hostEnv: options.hostEnv,
    signal: options.signal,
    out: options.out ?? process.stdout,
    err: options.err ?? process.stderr,
    getPolicy: options.getPolicy ?? (() => closedPolicy),
    getNeeded: options.getNeeded ?? (async () => new Set()),
  };
}

/** Progress on standard error. */
export function openProgress({ err }: ImageContext, title: string): StepProgress {
  return createStepProgress(err, title);
}
