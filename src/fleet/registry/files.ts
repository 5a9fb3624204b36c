/**
 * Files that a kill or a power cut cannot halve: written under another name, flushed, renamed, and the folder
 * flushed, so that a name always holds a whole old or a whole new content. Failures are REGISTRY_FAILED.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../../errors.ts';

/** Ends the name of what is not whole yet; nobody reads such files. */
export const PARTIAL = '.partial';
/** Older ones are what a killed process left. */
const STALE_MS = 3_600_000;

export async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('REGISTRY_FAILED', `${what}: ${(error as Error).message}`, { cause: error });
  }
}

export const makeFolder = (path: string): Promise<unknown> =>
  guarded(path, () => mkdir(path, { recursive: true, mode: 0o700 }));

/** Makes a rename or removal in the folder durable. */
export async function flushFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Durable when it resolves. Replaces what is there. */
export function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  return guarded(path, async () => {
    const partial = `${path}.${process.pid}-${randomBytes(6).toString('hex')}${PARTIAL}`;
    try {
      const handle = await open(partial, 'wx', 0o600);
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    await flushFolder(dirname(path));
  });
}

/** The bytes of a file of at most `most` bytes; null where there is none. */
export function readWhole(path: string, most: number): Promise<Buffer | null> {
  return guarded(path, async () => {
    let handle: Awaited<ReturnType<typeof open>>;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    try {
      const { size } = await handle.stat();
      if (size > most)
        throw new SluiceError('REGISTRY_CORRUPT', `${path} has ${size} bytes, too many to be ours`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  });
}

/** Removes what processes that were killed left half-written; never what another may be writing now. */
export async function sweepPartials(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(PARTIAL)) continue;
    const path = join(folder, name);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > STALE_MS) await rm(path, { force: true });
  }
}
