/** The version of this package, from the nearest package.json above this file that is its own. */
import { readFileSync } from 'node:fs';

/** From `src/cli` it is two levels up; builds lie deeper (`dist/src/cli`). */
const LEVELS = ['../../', '../../../', '../../../../'];

function readVersion(): string {
  for (const level of LEVELS) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(`${level}package.json`, import.meta.url), 'utf8'));
      if (manifest.name === 'sluice') return manifest.version;
    } catch {
      // Not at this level.
    }
  }
  return '0.0.0';
}

export const version: string = readVersion();
