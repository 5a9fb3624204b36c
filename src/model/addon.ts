/**
 * Finds and opens the native addon. Tried in this order: the package of this platform (installed with Sluice, for
 * glibc), then what was built here (`build/Release`, by a checkout or by `npm rebuild sluice`). Promises: an addon of
 * another version of Sluice is never used, and where none opens the error says what was tried, what came of each,
 * and what to do on this very machine. SLUICE_ADDON names one file and no other, for tests under a sanitizer.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../errors.ts';

/** The oldest C library that the packages for Linux run on; scripts/packages/targets.mjs builds for it. */
const LEAST_GLIBC = '2.17';

export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Version of the GNU C library, e.g. `2.36`; null elsewhere, so also with musl. */
  readonly glibc: string | null;
}

export interface AddonFile {
  readonly addon: unknown;
  readonly path: string;
}

export function thisMachine(): Machine {
  const { platform, arch } = process;
  return { platform, arch, glibc: platform === 'linux' ? glibcVersion() : null };
}

function glibcVersion(): string | null {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime ?? null;
}

/** The name of the package with the addon for a machine, as @napi-rs/cli makes them; null where there is none. */
export function platformPackage({ platform, arch, glibc }: Machine): string | null {
  if (platform === 'linux') return glibc === null ? null : `sluice-linux-${arch}-gnu`;
  if (platform === 'win32') return `sluice-win32-${arch}-msvc`;
  return `sluice-${platform}-${arch}`;
}

/** The folder and version of our package.json: sources and compiled files lie at different depths below it. */
function ownPackage(): { folder: string; version: string | null } {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = dirname(folder); up !== folder; folder = up, up = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (!existsSync(manifest)) continue;
    const { name, version } = JSON.parse(readFileSync(manifest, 'utf8'));
    if (name === 'sluice') return { folder, version };
  }
  return { folder: process.cwd(), version: null };
}

type Attempt = AddonFile | string;

/** Opens one file; a string says why not. */
function open(path: string): Attempt {
  if (!existsSync(path)) return 'not there';
  try {
    return { addon: createRequire(import.meta.url)(path), path };
  } catch (error) {
    return ((error as Error).message ?? String(error)).split('\n')[0];
  }
}

function openPackage(name: string, version: string | null): Attempt {
  const require = createRequire(import.meta.url);
  let manifest: string;
  try {
    manifest = require.resolve(`${name}/package.json`);
  } catch {
    return 'not installed';
  }
  const found = JSON.parse(readFileSync(manifest, 'utf8')) as { version?: string; main?: string };
  if (found.version !== version) return `is version ${found.version}, and this is Sluice ${version}`;
  return open(join(dirname(manifest), found.main ?? ''));
}

/** Why there may be no package, and what to do: said after what was tried. */
function advice(machine: Machine): string {
  const { platform, arch, glibc } = machine;
  const fromSource = 'build it from source with `npm rebuild sluice` (needs a C++20 compiler and CMake)';
  const name = platformPackage(machine);
  if (platform === 'linux' && glibc === null)
    return `there are packages for the GNU C library only, and this system has another one (musl?): ${fromSource}`;
  if (glibc !== null && glibc.localeCompare(LEAST_GLIBC, 'en', { numeric: true }) < 0)
    return `the packages need glibc ${LEAST_GLIBC} or later, and this system has ${glibc}: ${fromSource}`;
  return `install ${name} (npm leaves it out under --omit=optional), where there is one for ${platform} on ${arch}, or ${fromSource}`;
}

/**
 * The addon for this machine. Throws SluiceError ENGINE_MISSING with everything that was tried. `root` is for tests:
 * the folder whose `build/Release` is looked into.
 */
export function loadAddon(machine = thisMachine(), root?: string): AddonFile {
  const named = process.env.SLUICE_ADDON;
  if (named) {
    const attempt = open(named);
    if (typeof attempt !== 'string') return attempt;
    throw new SluiceError('ENGINE_MISSING', `SLUICE_ADDON names ${named}: ${attempt}`);
  }
  const own = ownPackage();
  const tried: string[] = [];
  const name = platformPackage(machine);
  const places: [string, () => Attempt][] = [];
  if (name !== null) places.push([`package ${name}`, () => openPackage(name, own.version)]);
  const local = join(root ?? own.folder, 'build', 'Release', 'sluice.node');
  places.push([`local build ${local}`, () => open(local)]);
  for (const [place, attempt] of places) {
    const outcome = attempt();
    if (typeof outcome !== 'string') return outcome;
    tried.push(`${place}: ${outcome}`);
  }
  throw new SluiceError(
    'ENGINE_MISSING',
    `no native addon could be loaded; tried ${tried.join('; ')}; ${advice(machine)}`,
  );
}
