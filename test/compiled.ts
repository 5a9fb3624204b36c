/**
 * The sources as JavaScript, for tests that need a process of their own to kill: compiled once per run into
 * `.cache/compiled` (inside the repository, so that packages resolve). Type errors elsewhere do not stop it.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';

const root = path.resolve(import.meta.dirname, '..');

/** The path of a source file (relative to the repository root, `.ts`) as compiled JavaScript. */
export async function compiled(file: string): Promise<string> {
  const outDir = path.join(root, '.cache', 'compiled');
  const { folder } = inject('sluiceRun');
  const done = path.join(folder, 'compiled.done');
  const first = await mkdir(path.join(folder, 'compiled.lock')).then(
    () => true,
    () => false,
  );
  if (first) {
    const args = ['-p', root, '--outDir', outDir, '--tsBuildInfoFile', path.join(outDir, '.tsbuildinfo')];
    await new Promise((resolve) => execFile(path.join(root, 'node_modules/.bin/tsc'), args, resolve));
    await writeFile(done, '');
  }
  while (!existsSync(done)) await new Promise((resolve) => setTimeout(resolve, 50));
  const output = path.join(outDir, file.replace(/\.ts$/, '.js'));
  if (!existsSync(output)) throw new Error(`${file} was not compiled`);
  return output;
}
