/**
 * Finds a Chromium for the tests of the dashboard. Promises a program that was seen to run, or the command that
 * installs one; fetches nothing itself, since a browser needs more of the system than can be unpacked beside it. Plain
 * JavaScript: the test suite calls it.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const ELSEWHERE = [
  '/snap/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const HELP = 'install it with: apt-get install -y chromium (as root), or name one in CHROMIUM';

/** @returns {Promise<{path: string} | {missing: string}>} the program, or the reason why there is none */
export async function ensureChromium() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const found = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const named = process.env.CHROMIUM ? [process.env.CHROMIUM] : [];
  for (const path of [...named, ...found, ...ELSEWHERE])
    if (existsSync(path) && (await works(path))) return { path };
  return { missing: `Chromium was not found; ${HELP}` };
}

async function works(path) {
  const { stdout } = await run(path, ['--version'], { timeout: 20_000 }).catch(() => ({ stdout: '' }));
  return /Chrom(e|ium)/.test(stdout);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = await ensureChromium();
  process.stdout.write(`${'path' in found ? found.path : found.missing}\n`);
  process.exitCode = 'path' in found ? 0 : 1;
}
