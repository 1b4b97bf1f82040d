/** Watches a directory into which skopeo downloads: says how far it is, and ends what becomes too much. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';

const intervalMs = 500;

export interface DownloadMeter extends Disposable {
  /** Aborted when more came than was announced. */
  readonly signal: AbortSignal;
}

export interface MeterOptions {
  readonly directory: string;
  /** What lies there before. */
  readonly initialBytes: number;
  /** What the manifest announced. */
  readonly expectedBytes: number;
  readonly progress?: ((line: string) => void) | undefined;
}

/** A blob may be there twice while it moves; documents and half a megabyte are nothing. */
const slack = 2;
const freeBytes = 16 * 1024 * 1024;

export function startDownloadMeter(options: MeterOptions): DownloadMeter {
  const { directory, initialBytes, expectedBytes, progress } = options;
  const excess = new AbortController();
  let shown = 0;
  const look = async () => {
    const bytes = Math.max(0, (await sizeOf(directory)) - initialBytes);
    if (bytes > expectedBytes * slack + freeBytes) excess.abort();
    if (bytes === shown) return;
    shown = bytes;
    progress?.(`fetched ${formatBytes(Math.min(bytes, expectedBytes))} of ${formatBytes(expectedBytes)}`);
  };
  const timer = setInterval(() => void look(), intervalMs);
  return { signal: excess.signal, [Symbol.dispose]: () => clearInterval(timer) };
}

export function tooMuch(name: string): SlipwayError {
  return new SlipwayError(
    'too-large',
    'image-too-large',
    `The registry sent far more for ${name} than its manifest announces. Nothing of it was kept.`,
  );
}

/** Files come and go while we look. */
async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = files.map((file) =>
    stat(join(file.parentPath, file.name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
