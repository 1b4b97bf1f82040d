import path from 'node:path';
import type { Config } from './config.ts';

/** Where the local image store is. */
export function imagesDir(config: Pick<Config, 'imagesDir' | 'stateDir'>): string {
  return config.imagesDir ?? path.join(config.stateDir, 'images');
}
