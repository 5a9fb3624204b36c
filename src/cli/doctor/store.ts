/**
 * What `doctor` finds about the store without opening it: where it is, who holds it, how large it is, whether there
 * is room and whether this user may write. Changes nothing.
 */
import { accessSync, constants, existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { holder } from '../../state/lock.ts';
import { type Finding, mib } from './machine.ts';

const LITTLE_ROOM = 1024 ** 3;

export async function examineStore(path: string): Promise<Finding[]> {
  const full = resolve(path);
  if (!existsSync(full)) {
    const parent = firstThatExists(dirname(full));
    return [
      { name: 'store', state: 'ok', detail: `${full} is not there yet; the first run makes it` },
      writable(parent),
      room(parent),
    ];
  }
  return [content(full), await lock(full), writable(full), room(full)];
}

function content(folder: string): Finding {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true }).filter(
    (entry) => entry.isFile(),
  );
  // Sparse files count with what they occupy.
  const bytes = files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).blocks * 512, 0);
  const newest = files.reduce(
    (last, file) => Math.max(last, statSync(join(file.parentPath, file.name)).mtimeMs),
    0,
  );
  const written = newest > 0 ? `, last written ${new Date(newest).toISOString()}` : '';
  const aside = readdirSync(folder).filter((name) => name.includes('damaged') || name.includes('aside'));
  const note = aside.length > 0 ? `; set aside as damaged: ${aside.join(', ')}` : '';
  return {
    name: 'store',
    state: aside.length > 0 ? 'warn' : 'ok',
    detail: `${folder}: ${mib(bytes)} in ${files.length} files${written}${note}`,
  };
}

async function lock(folder: string): Promise<Finding> {
  try {
    const pid = await holder(folder);
    const detail =
      pid === null ? 'free: no gateway uses it' : `held by process ${pid || '(it does not answer)'}`;
    return { name: 'store lock', state: 'ok', detail };
  } catch (error) {
    return { name: 'store lock', state: 'warn', detail: `cannot be asked: ${(error as Error).message}` };
  }
}

function writable(folder: string): Finding {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return { name: 'store access', state: 'ok', detail: `this user may write in ${folder}` };
  } catch {
    return { name: 'store access', state: 'bad', detail: `this user may not write in ${folder}` };
  }
}

function room(folder: string): Finding {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  return { name: 'store disk', state: free < LITTLE_ROOM ? 'warn' : 'ok', detail: `${mib(free)} free` };
}

function firstThatExists(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : firstThatExists(dirname(folder));
}
