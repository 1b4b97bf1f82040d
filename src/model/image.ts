/**
 * What a sandbox boots from, as every starter needs to know it: pinned by digest, its USER resolved to
 * numbers, its runner found. Not here: how images are stored (images/image-store.ts) or built
 * (images/build/).
 */
import type { Digest } from '../base/digest.ts';

/** The user of every image whose own config says root or nothing; also the user of our own images. */
export const defaultImageUser: ImageUser = { uid: 65532, gid: 65532, name: 'slipway', home: '/home/slipway' };

/** Who the code in a sandbox is: never uid 0 or gid 0. */
export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, without `gid` and without 0. */
  readonly groups?: readonly number[];
  readonly name?: string;
  /** Absolute, without symbolic links; `/home/slipway` is a tmpfs at run time. */
  readonly home: string;
}

/** The runner protocol's agent inside an image, as the image's labels announce it. */
export interface ImageRunner {
  /** Version of the runner protocol. */
  readonly protocol: number;
  /** Absolute program, then its arguments. */
  readonly argv: readonly string[];
  /** Modules that the runner imports before it says that it is ready. */
  readonly preload: readonly string[];
}

export interface ImagePackage {
  readonly name: string;
  readonly version: string;
  readonly source: 'debian' | 'pypi' | 'npm';
}

export interface Image {
  /** Digest of the OCI manifest. */
  readonly digest: Digest;
  readonly names: readonly string[];
  /** RFC 3339. */
  readonly createdAt?: string;
  /** In Go's words, as OCI has it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Sum of the file sizes of the unpacked tree, in bytes. */
  readonly sizeBytes: number;
  readonly user: ImageUser;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly runner?: ImageRunner;
  readonly packages: readonly ImagePackage[];
  /** What a person should know: a bootstrapped base, packages left out, drifted versions. */
  readonly notes: readonly string[];
  readonly hasShell: boolean;
}

/** The labels that Slipway reads and writes. */
export const imageLabels = {
  runner: 'org.slipway.runner',
  runnerProtocol: 'org.slipway.runner.protocol',
  runnerPreload: 'org.slipway.runner.preload',
  /** One remark for people; several are separated by line ends. */
  notes: 'org.slipway.notes',
  /** Digest of the recipe's inputs. */
  recipe: 'org.slipway.recipe',
} as const;

/** Inside the image: where a recipe leaves its list of packages. */
export const packageListPath = '/usr/lib/slipway/packages.json';

/** Inside the image: remarks of the build, one on each line. */
export const buildNotesPath = '/usr/lib/slipway/build-notes.txt';
