/**
 * The version of this package, read from its package.json: beside `src` in the repository, one level
 * higher in the build (`dist/src`).
 */
import { readFileSync } from 'node:fs';

function readVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (manifest.name === 'sluice') return manifest.version;
    } catch {
      // Not at this level.
    }
  }
  return '0.0.0';
}

export const version: string = readVersion();
