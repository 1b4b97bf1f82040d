/** Where an image comes from when it is imported. */
import { arch } from 'node:os';

/** What a rootfs tar cannot say about itself. */
export interface RootfsConfig {
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workdir?: string;
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Where an image comes from; `path` is on this machine. */
export type ImageSource =
  /** A directory with `index.json` and `blobs/`, or a tar of one. */
  | { readonly kind: 'oci-layout'; readonly path: string }
  /** What `docker save` writes. */
  | { readonly kind: 'docker-archive'; readonly path: string }
  /** A tar of a file system, plain or compressed. */
  | { readonly kind: 'rootfs'; readonly path: string; readonly config?: RootfsConfig };

/** This machine's architecture in Go's words. */
export function hostArchitecture(): string {
  const name = arch();
  return name === 'x64' ? 'amd64' : name;
}
