/**
 * A copy of the store as of one moment, made while a gateway writes, and put back into an empty place. Promises: the
 * copy is one transaction of LMDB, checked page by page and by its SHA-256 before it goes by its name; a copy that was
 * broken off never looks like a whole one. Refuses to write over anything, to restore under a running gateway, and to
 * restore what is damaged. Encrypted dead letters stay encrypted.
 *
 * Folder: `data.mdb` (compacted); the other files that belong to the store, at their places (installed models, trusted
 * keys); `backup.json`, which names them all with their SHA-256. Locks and what is about the running process stay behind.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { mkdir, open as openFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { open } from 'lmdb';
import { z } from 'zod';
import { asSluiceError, SluiceError } from '../errors.ts';
import { checkFile } from './check.ts';
import { holder } from './lock.ts';

const DATA = 'data.mdb';
const ABOUT = 'backup.json';
const SPARE_BYTES = 16 * 1024 ** 2;
const MAX_ABOUT = 64 * 1024;

/** Of the process that runs, not of the store; and what is not whole yet. */
const LEFT = /^(?:data\.mdb.*|lock\.mdb|lock-\d+|running\.json|.*\.part(?:ial)?)$/;
const NAME = /^(?!\.)[A-Za-z0-9._-]{1,200}$/;
const MOST_FILES = 10_000;
const MAX_DEPTH = 4;
const TRIES = 3;

const file = z.strictObject({
  path: z
    .string()
    .max(1_000)
    .refine(
      (text) => text.split('/').length <= MAX_DEPTH && text.split('/').every((name) => NAME.test(name)),
    ),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const about = z.strictObject({
  format: z.literal(1),
  /** When it was made, RFC 3339. */
  at: z.string().max(64),
  bytes: z.number().int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Beside the database. */
  files: z.array(file).max(MOST_FILES),
});

export type Backup = z.infer<typeof about>;

/**
 * Copies the store in `path` into the new folder `to`. Throws INPUT_NOT_FOUND, USAGE where `to` is not empty, STORE_CORRUPT,
 * STORE_FULL, STORE_FAILED.
 */
export async function backUp(path: string, to: string, now: number): Promise<Backup> {
  const data = join(resolve(path), DATA);
  if (!existsSync(data)) throw new SluiceError('INPUT_NOT_FOUND', `there is no store in ${path}`);
  const target = resolve(to);
  if (existsSync(target) && readdirSync(target).length > 0)
    throw new SluiceError('USAGE', `${to} is not empty; name a new folder`);
  // While a gateway writes its pages change under the walk; the copy is walked instead.
  if ((await holder(resolve(path))) === null) demandSound(data, `the store in ${path}`);
  const part = `${target}.part`;
  try {
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { recursive: true, mode: 0o700 });
    demandRoom(part, statSync(data).blocks * 512);
    const files = await copyFiles(resolve(path), part);
    await copyEnvironment(resolve(path), part);
    demandSound(join(part, DATA), 'the copy');
    const made: Backup = {
      format: 1,
      at: new Date(now).toISOString(),
      bytes: statSync(join(part, DATA)).size,
      sha256: await digestOf(join(part, DATA)),
      files,
    };
    await writeFile(join(part, ABOUT), `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600 });
    for (const name of [DATA, ABOUT, '.']) await sync(join(part, name));
    // A folder that is there and empty gives way.
    await rename(part, target);
    await sync(dirname(target));
    return made;
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw asSluiceError(error, 'STORE_FAILED');
  }
}

/**
 * Puts a backup into `path`, which holds no store. Throws INPUT_NOT_FOUND, USAGE where there is a store, STORE_LOCKED,
 * STORE_CORRUPT, STORE_FULL, STORE_FAILED.
 */
export async function restore(from: string, path: string): Promise<Backup> {
  const backup = await readAbout(from);
  const folder = resolve(path);
  const data = join(folder, DATA);
  if (existsSync(data))
    throw new SluiceError('USAGE', `${path} holds a store already; move it away, or name another folder`);
  const part = `${data}.restoring`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const pid = await holder(folder);
    if (pid !== null) throw new SluiceError('STORE_LOCKED', `process ${pid} uses ${path}`);
    demandRoom(folder, backup.bytes);
    const digest = await copyFile(join(resolve(from), DATA), part);
    if (digest !== backup.sha256)
      throw new SluiceError(
        'STORE_CORRUPT',
        `the backup in ${from} is not what was backed up: its SHA-256 differs`,
      );
    demandSound(part, `the backup in ${from}`);
    await sync(part);
    await putFiles(resolve(from), folder, backup.files);
    await rename(part, data);
    await sync(folder);
    return backup;
  } catch (error) {
    await rm(part, { force: true });
    throw asSluiceError(error, 'STORE_FAILED');
  }
}

async function readAbout(from: string): Promise<Backup> {
  const file = join(resolve(from), ABOUT);
  if (!existsSync(file) || !existsSync(join(resolve(from), DATA)))
    throw new SluiceError('INPUT_NOT_FOUND', `there is no backup in ${from}`);
  const damaged = () => new SluiceError('STORE_CORRUPT', `${ABOUT} in ${from} is damaged`);
  if (statSync(file).size > MAX_ABOUT) throw damaged();
  try {
    return about.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    throw damaged();
  }
}

interface Found {
  readonly path: string;
  readonly bytes: number;
  readonly changed: number;
}

/** The files of a store beside its database, by their path in it. */
function filesOf(folder: string, under = ''): Found[] {
  if (under.split('/').length > MAX_DEPTH) return [];
  const found: Found[] = [];
  for (const entry of readdirSync(join(folder, under), { withFileTypes: true })) {
    if (LEFT.test(entry.name) || !NAME.test(entry.name) || found.length > MOST_FILES) continue;
    const path = under === '' ? entry.name : `${under}/${entry.name}`;
    if (entry.isDirectory()) found.push(...filesOf(folder, path));
    else if (entry.isFile()) {
      const { size, mtimeMs } = statSync(join(folder, path));
      found.push({ path, bytes: size, changed: mtimeMs });
    }
  }
  return found;
}

/** Copies them as they stand together: where one changes meanwhile, all once more. */
async function copyFiles(folder: string, to: string): Promise<Backup['files']> {
  for (let n = 1; ; n += 1) {
    try {
      const before = filesOf(folder);
      const copied: Backup['files'] = [];
      for (const { path, bytes } of before) {
        await mkdir(dirname(join(to, path)), { recursive: true, mode: 0o700 });
        copied.push({ path, bytes, sha256: await copyFile(join(folder, path), join(to, path)) });
        await sync(join(to, path));
      }
      if (JSON.stringify(filesOf(folder)) === JSON.stringify(before)) return copied;
    } catch (error) {
      // It may have gone while we looked.
      if (n === TRIES || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (n === TRIES)
      throw new SluiceError('STORE_FAILED', 'the installed models change all the time; try again');
    for (const name of readdirSync(to)) await rm(join(to, name), { recursive: true, force: true });
  }
}

/** Puts the files of a backup at their places; one that is there must be the same. */
async function putFiles(from: string, folder: string, files: Backup['files']): Promise<void> {
  for (const { path, sha256 } of files) {
    const target = join(folder, path);
    if (existsSync(target)) {
      if ((await digestOf(target)) === sha256) continue;
      throw new SluiceError('USAGE', `${target} is there already and differs; move it away`);
    }
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const digest = await copyFile(join(from, path), `${target}.part`);
    if (digest !== sha256) {
      await rm(`${target}.part`, { force: true });
      throw new SluiceError(
        'STORE_CORRUPT',
        `${path} of the backup is not what was backed up: its SHA-256 differs`,
      );
    }
    await sync(`${target}.part`);
    await rename(`${target}.part`, target);
  }
}

/** One read transaction of LMDB, compacted. Read only: the gateway that writes is not disturbed. */
async function copyEnvironment(folder: string, to: string): Promise<void> {
  const environment = open<Buffer, Buffer>(folder, {
    readOnly: true,
    noSubdir: false,
    overlappingSync: false,
  });
  try {
    await environment.backup(to, true);
  } finally {
    await environment.close();
  }
}

/** Copies a file; resolves to the SHA-256 of what was written. */
async function copyFile(from: string, to: string): Promise<string> {
  const hash = createHash('sha256');
  const through = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(createReadStream(from), through, createWriteStream(to, { mode: 0o600 }));
  return hash.digest('hex');
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function demandSound(file: string, what: string): void {
  const checked = checkFile(file);
  if (!checked.ok) throw new SluiceError('STORE_CORRUPT', `${what} is damaged: ${checked.reason}`);
}

function demandRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytes + SPARE_BYTES)
    throw new SluiceError('STORE_FULL', `${folder} has ${bavail * bsize} bytes free, ${bytes} are needed`);
}

async function sync(path: string): Promise<void> {
  const file = await openFile(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
