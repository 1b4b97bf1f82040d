/** Where an image comes from when it is imported. */
import type { Platform } from './platform.ts';

/** What a rootfs tar cannot say about itself. */
export interface RootfsConfig {
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workdir?: string;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Which image, where a source holds several. */
export interface ImageChoice {
  /** A name that the source gives it, or a digest. */
  readonly select?: string | undefined;
  /** Default: this machine's. */
  readonly platform?: Platform | undefined;
}

/** Where an image comes from; `path` is on this machine. */
export type ImageSource =
  /** A directory with `index.json` and `blobs/`, or a tar of one. */
  | ({ readonly kind: 'oci-layout'; readonly path: string } & ImageChoice)
  /** What `docker save` writes, or a directory of it. */
  | ({ readonly kind: 'docker-archive'; readonly path: string } & ImageChoice)
  /** A tar of a file system, plain or compressed. */
  | { readonly kind: 'rootfs'; readonly path: string; readonly config?: RootfsConfig };
