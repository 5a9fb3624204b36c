/**
 * Finds a mosquitto for the tests, or fetches Debian's packages into .cache/ without root. Promises a
 * program that was seen to run, or the reason why there is none and the command that helps. Installs
 * nothing outside the repository. Plain JavaScript: the bootstrap calls it before anything is built.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '.cache');
const home = join(cache, 'mosquitto');
/** mosquitto and those of its libraries that a minimal Debian or Ubuntu lacks; names differ by release. */
const PACKAGES = ['mosquitto', 'libmosquitto1', 'libcjson1', 'libdlt2', 'libwrap0'];
const SOMETIMES = [
  'libwebsockets17',
  'libwebsockets19',
  'libwebsockets19t64',
  'libev4',
  'libuv1',
  'libnsl2',
  'libtirpc3',
];
const HELP = 'install it with: apt-get install mosquitto (as root)';

/**
 * @returns {Promise<{path: string, env: Record<string, string>} | {missing: string}>} the program and the
 * variables it needs in its environment, or the reason why it cannot be had
 */
export async function ensureMosquitto() {
  for (const path of installed()) {
    if (await works(path, {})) return { path, env: {} };
  }
  const unpacked = await unpackedIn(home);
  if (unpacked) return unpacked;
  try {
    await download();
  } catch (error) {
    return { missing: `mosquitto was not found and could not be fetched (${reasonOf(error)}); ${HELP}` };
  }
  return (await unpackedIn(home)) ?? { missing: `the fetched mosquitto does not run here; ${HELP}` };
}

function installed() {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/sbin',
  ];
  return [...new Set(folders)].map((folder) => join(folder, 'mosquitto')).filter((path) => existsSync(path));
}

async function works(path, env) {
  // `-h` exits with 3 and prints its version; a missing library exits with 127 and prints neither.
  const text = await run(path, ['-h'], { env: { ...process.env, ...env } }).then(
    (result) => result.stdout,
    (error) => String(error.stdout ?? ''),
  );
  return text.includes('mosquitto version');
}

async function unpackedIn(folder) {
  const path = join(folder, 'usr', 'sbin', 'mosquitto');
  if (!existsSync(path)) return null;
  const lib = join(folder, 'usr', 'lib');
  const folders = [lib, ...readdirSync(lib).map((name) => join(lib, name))];
  const env = { LD_LIBRARY_PATH: folders.join(':') };
  return (await works(path, env)) ? { path, env } : null;
}

/** Several test processes may do this at once: each works in a folder of its own, the first one's stays. */
async function download() {
  if (process.platform !== 'linux') throw new Error('only fetched on Linux');
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'mosquitto-'));
  try {
    const apt = await aptOptions(work);
    await fetchPackages(work, apt);
    const root = join(work, 'root');
    for (const file of readdirSync(work).filter((name) => name.endsWith('.deb')))
      await run('dpkg', ['-x', join(work, file), root]);
    if (!(await unpackedIn(root))) throw new Error('a library it needs is missing');
    await settleIn(root);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function settleIn(root) {
  try {
    renameSync(root, home);
  } catch {
    if (await unpackedIn(home)) return; // another process was first
    rmSync(home, { recursive: true, force: true });
    renameSync(root, home);
  }
}

/** Where the machine has no package lists, they are fetched into the work folder, which needs no root. */
async function aptOptions(work) {
  const known = await run('apt-cache', ['show', 'mosquitto']).then(
    () => true,
    () => false,
  );
  if (known) return [];
  mkdirSync(join(work, 'apt', 'lists', 'partial'), { recursive: true });
  mkdirSync(join(work, 'apt', 'archives', 'partial'), { recursive: true });
  const options = [
    '-o',
    `Dir::State::lists=${join(work, 'apt', 'lists')}`,
    '-o',
    `Dir::Cache=${join(work, 'apt')}`,
  ];
  await run('apt-get', [...options, 'update'], { timeout: 120_000 });
  return options;
}

async function fetchPackages(work, apt) {
  const fetch = (names) => run('apt-get', [...apt, 'download', ...names], { cwd: work, timeout: 120_000 });
  await fetch(PACKAGES);
  for (const name of SOMETIMES) await fetch([name]).catch(() => {}); // not in every release
}

function reasonOf(error) {
  const text = String(error?.stderr || error?.message || error).trim();
  return text.split('\n').at(-1) ?? 'unknown';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = await ensureMosquitto();
  process.stdout.write(`${'path' in found ? found.path : found.missing}\n`);
  process.exitCode = 'path' in found ? 0 : 1;
}
