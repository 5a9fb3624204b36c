/**
 * One gateway per store. The holder listens on a unix socket in the store's folder; the kernel closes it
 * when the process ends, however it ends, so that a lock is stale exactly when nobody answers: no pid that
 * could have been reused, no heartbeat, and it holds across containers that share the folder.
 *
 * Sockets are numbered, `lock-<n>`, and a taken number is never taken over: removing a stale file by name
 * could hit a live one that has just replaced it. A newcomer that finds every number dead links the next one
 * (atomic: one of two wins), looks again, and gives way to any higher number that answers; the dead are
 * removed after that. File systems without sockets are refused.
 */

import { linkSync, readdirSync, rmSync } from 'node:fs';
import { constants, type FileHandle, open } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { SluiceError } from '../errors.ts';

const PREFIX = 'lock-';
const ANSWER_MS = 1_000;

export interface StoreLock {
  release(): Promise<void>;
}

const dead = new Set(['ECONNREFUSED', 'ENOENT']);

/** What the holder says of itself (its pid), '' where it does not answer in time, null where there is none. */
function ask(path: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let said = '';
    const done = (answer: string | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ANSWER_MS, () => done(said));
    socket.on('data', (data) => {
      said += data.toString('latin1').slice(0, 32);
    });
    socket.on('end', () => done(said));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (dead.has(error.code ?? '')) done(null);
      else if (error.code === 'EAGAIN' || error.code === 'ECONNRESET') done('');
      else reject(error);
    });
  });
}

const numbers = (folder: string): number[] =>
  readdirSync(folder)
    .filter((name) => /^lock-\d{1,9}$/.test(name))
    .map((name) => Number(name.slice(PREFIX.length)))
    .sort((a, b) => b - a);

/** The pid that holds the store ('' where it does not say), or null. */
export async function holder(folder: string): Promise<string | null> {
  const place = await openFolder(folder);
  try {
    for (const n of numbers(folder)) {
      const pid = await ask(place.at(`${PREFIX}${n}`));
      if (pid !== null) return pid;
    }
    return null;
  } finally {
    await place.close();
  }
}

interface Place {
  at(name: string): string;
  close(): Promise<void>;
}

/** A socket path may have only 107 bytes; on Linux a path through the folder's descriptor is always short. */
async function openFolder(folder: string): Promise<Place> {
  if (process.platform !== 'linux')
    return { at: (name) => join(folder, name), close: () => Promise.resolve() };
  const handle: FileHandle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  return { at: (name) => `/proc/self/fd/${handle.fd}/${name}`, close: () => handle.close() };
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(String(process.pid));
    });
    server.unref();
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

const locked = (folder: string, pid: string) =>
  new SluiceError(
    'STORE_LOCKED',
    `the store ${folder} is in use by process ${pid || '(it does not answer)'}`,
  );

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOENT') return false; // taken, or ours swept away by who took it
    throw error;
  }
}

/** Links the next number to our socket; null where another process was quicker. */
async function claim(folder: string, place: Place, socket: string): Promise<number | null> {
  const seen = numbers(folder);
  for (const n of seen) {
    const pid = await ask(place.at(`${PREFIX}${n}`));
    if (pid !== null) throw locked(folder, pid);
  }
  const mine = (seen[0] ?? 0) + 1;
  const name = join(folder, `${PREFIX}${mine}`);
  if (!tryLink(join(folder, socket), name)) return null;
  for (const n of numbers(folder)) {
    if (n <= mine) break;
    const pid = await ask(place.at(`${PREFIX}${n}`));
    if (pid === null) continue;
    rmSync(name, { force: true });
    throw locked(folder, pid);
  }
  for (const n of numbers(folder)) if (n < mine) rmSync(join(folder, `${PREFIX}${n}`), { force: true });
  return mine;
}

/** Takes the lock or throws STORE_LOCKED, which names the pid. The folder must exist. */
export async function takeLock(folder: string): Promise<StoreLock> {
  const place = await openFolder(folder);
  const socket = `socket-${process.pid}-${Math.random().toString(36).slice(2)}`;
  let server: Server | null = null;
  try {
    server = await listen(place.at(socket));
    let mine: number | null = null;
    for (let tries = 0; mine === null; tries++) {
      if (tries > 100) throw locked(folder, '');
      mine = await claim(folder, place, socket);
    }
    removeStraySockets(folder, socket);
    const held = server;
    const name = join(folder, `${PREFIX}${mine}`);
    return { release: () => free(held, place, name) };
  } catch (error) {
    server?.close();
    await place.close();
    if (error instanceof SluiceError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new SluiceError('STORE_FAILED', `no lock can be taken in ${folder}: ${why}`, { cause: error });
  }
}

/** First names of sockets whose process was killed; the holder alone removes them. */
function removeStraySockets(folder: string, own: string): void {
  for (const name of readdirSync(folder))
    if (/^socket-\d+-[a-z0-9]+$/.test(name) && name !== own) {
      const pid = Number(name.split('-')[1]);
      if (pid !== process.pid) rmSync(join(folder, name), { force: true });
    }
}

async function free(server: Server, place: Place, name: string): Promise<void> {
  rmSync(name, { force: true });
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await place.close();
}
