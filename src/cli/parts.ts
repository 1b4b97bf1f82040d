/** What the CLI needs of the composition root; loaded only when a command needs it, because it is much. */
import type { Config } from '../config/config.ts';
import type { ImageStore } from '../images/image-store.ts';
import type { Starter } from '../starter/starter.ts';

export interface CliParts {
  /** A starter in this process, for root. */
  openStarter(config: Config): Promise<OpenStarter>;
  /** The whole service. */
  startService(config: Config): Promise<RunningService>;
}

export interface OpenStarter extends AsyncDisposable {
  readonly starter: Starter;
  readonly images: Pick<ImageStore, 'damages'>;
}

export interface RunningService {
  /** Resolves when the service answers for the first time. */
  readonly url: Promise<string>;
  stop(): Promise<void>;
}
