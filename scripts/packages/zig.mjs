/**
 * The compiler of the packages: Zig's clang from PyPI, one pinned version, kept in `.cache/`. Promises wrappers that
 * CMake takes for a C and a C++ compiler of the target. Needs python3 with pip, and a network the first time.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure, quietly, root, step } from '../terminal.mjs';

const VERSION = '0.16.0';
const home = path.join(root, '.cache', `ziglang-${VERSION}`);
const program = path.join(home, 'ziglang', 'zig');

async function ensureZig() {
  if (existsSync(program)) return;
  const { code } = await quietly('pip', 'python3', ['-m', 'pip', '--version']);
  if (code !== 0)
    throw new Failure(
      'The packages are compiled by Zig, which comes from PyPI, and pip is missing.',
      'apt-get install -y python3-pip',
    );
  const aside = `${home}.${process.pid}`;
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', aside];
  await step('zig', 'fetching the compiler', 'compiler fetched', 'python3', [...args, `ziglang==${VERSION}`]);
  rmSync(home, { recursive: true, force: true });
  renameSync(aside, home);
}

/** Paths of a C and a C++ compiler for a target, and the environment they want. */
export async function compilersFor(target) {
  await ensureZig();
  const folder = path.join(root, '.cache', 'compilers', target.name);
  mkdirSync(folder, { recursive: true });
  const [cc, cxx] = ['cc', 'c++'].map((language) => {
    const wrapper = path.join(folder, language);
    writeFileSync(wrapper, `#!/bin/sh\nexec '${program}' ${language} -target ${target.zig} "$@"\n`, {
      mode: 0o755,
    });
    return wrapper;
  });
  const cache = path.join(root, '.cache', 'zig');
  return { cc, cxx, env: { ...process.env, ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache } };
}
