/** Whether this machine can build the native addon, and the command that installs what it lacks. */
import { execFileSync } from 'node:child_process';
import { Failure } from './terminal.mjs';

const CMAKE = [3, 22];
const PROBE =
  '#include <bit>\n#include <concepts>\n#include <span>\nint main() { return std::popcount(0u); }\n';

/** The output of a program, or null where it cannot be run. */
function ask(program, args, input) {
  try {
    return execFileSync(program, args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'ignore'] });
  } catch {
    return null;
  }
}

export function checkCompiler() {
  const missing = [];
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  const works = (cxx) => ask(cxx, ['-std=c++20', '-fsyntax-only', '-x', 'c++', '-'], PROBE) !== null;
  if (!compilers.some(works)) missing.push(['a C++20 compiler', 'g++']);
  const cmake = /version (\d+)\.(\d+)/.exec(ask('cmake', ['--version']) ?? '');
  const [major, minor] = (cmake ?? []).slice(1).map(Number);
  if (!cmake || major < CMAKE[0] || (major === CMAKE[0] && minor < CMAKE[1]))
    missing.push([`CMake ${CMAKE.join('.')} or later`, 'cmake']);
  if (ask('ninja', ['--version']) === null && ask('make', ['--version']) === null)
    missing.push(['ninja or make', 'ninja-build']);
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name).join(' and ');
  throw new Failure(
    `The native addon must be built, but ${names} is missing.`,
    `apt-get install -y ${missing.map(([, debian]) => debian).join(' ')}`,
  );
}
