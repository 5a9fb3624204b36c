/**
 * The native tests for another processor than this one: compiled like the packages, run under qemu. Prints what
 * GoogleTest prints and exits as it does. Left out is what only mutates bytes of files again and again: it takes
 * minutes under emulation and has nothing of the processor in it.
 *
 *   node scripts/packages/emulated.mjs [NAME of a target]
 */
import path from 'node:path';
import { aloud, root, say, step } from '../terminal.mjs';
import { findTarget } from './targets.mjs';
import { compilersFor } from './zig.mjs';

const LEFT_OUT = 'File.ResealedMutations*:File.EveryFlippedBit*';

async function main(name = 'linux-arm64-gnu') {
  const target = findTarget(name);
  const { cc, cxx, env } = await compilersFor(target);
  const folder = path.join(root, `build-test-${target.arch}`);
  const options = {
    SLUICE_TESTS: 'ON',
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: target.processor,
    CMAKE_C_COMPILER: cc,
    CMAKE_CXX_COMPILER: cxx,
  };
  const settings = Object.entries(options).map(([key, value]) => `-D${key}=${value}`);
  const label = `tests for ${target.name}`;
  const configure = ['-S', root, '-B', folder, '-G', 'Ninja', ...settings];
  await step(`configure-${name}`, `configuring ${label}`, `${label} configured`, 'cmake', configure, { env });
  const build = ['--build', folder, '--parallel', '2', '--target', 'sluice_test'];
  await step(`tests-${name}`, `building ${label}`, `${label} built`, 'cmake', build, { env });
  const program = path.join(folder, 'native', 'test', 'sluice_test');
  const libraries = `/usr/${target.processor}-linux-gnu`;
  const args = ['-L', libraries, program, '--gtest_brief=1', `--gtest_filter=-${LEFT_OUT}`];
  return aloud(`qemu-${target.processor}-static`, args);
}

try {
  process.exitCode = await main(process.argv[2]);
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}
