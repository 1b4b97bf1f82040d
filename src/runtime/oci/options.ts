/** What the `oci` driver is told when it is made. */
import type { ControlName } from '../../model/control.ts';
import type { Image } from '../../model/image.ts';
import type { RuntimeCommand } from './program/runtime-process.ts';

export interface OciDriverOptions {
  /** Eight lower-case letters and digits, the same for all starters of an install. */
  readonly install: string;
  /** Eight lower-case letters and digits, of this process alone. */
  readonly starter: string;
  /** Short; made if absent; root's and mode 0711. */
  readonly runtimeDir: string;
  /** On disk: input files and large work directories. */
  readonly stateDir: string;
  /** The unpacked tree of an image, unshifted. */
  readonly rootfs: (image: Image) => Promise<string>;
  readonly runtime: RuntimeCommand;
  /** Controls that the operator does without where the host lacks them. */
  readonly switchedOff: ReadonlySet<ControlName>;
  /** Above this size, /work lies on disk. */
  readonly workLoopThresholdBytes: number;
  /** First user id of the ranges. */
  readonly idBase?: number;
  /** Number of ranges, each of 65536 ids. */
  readonly idCount?: number;
}
