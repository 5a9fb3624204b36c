/**
 * The whole test suite: lint, types, formatting, generated documents, native tests as released and under
 * sanitizers, then vitest with real servers. Ends with `N passed, N failed, N skipped`; each check outside vitest
 * and GoogleTest counts as one. What is missing on this machine is named with the command that installs it: a skip for
 * a user, a failure where CI is set.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensureChromium } from './servers/chromium.mjs';
import { ensureKafka } from './servers/kafka.mjs';
import { ensureMosquitto } from './servers/mosquitto.mjs';
import { aloud, quietly, readText, root, say, seconds, tail } from './terminal.mjs';

const inCi = Boolean(process.env.CI) && process.env.CI !== 'false';
const inRoot = (...parts) => path.join(root, ...parts);
const bin = (name) => inRoot('node_modules', '.bin', name);

class Tally {
  passed = 0;
  failed = 0;
  skipped = 0;

  add({ passed = 0, failed = 0, skipped = 0 }) {
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
  }

  /** Something this machine lacks. */
  lacks(what, help) {
    say(`${inCi ? 'FAILED' : 'SKIPPED'}: ${what}: ${help}`);
    this.add(inCi ? { failed: 1 } : { skipped: 1 });
  }
}

/** Runs everything, or with arguments only vitest with these. Resolves to the exit code. */
export async function test(args) {
  const tally = new Tally();
  const since = performance.now();
  await servers(tally);
  if (args.length === 0) {
    await checks(tally);
    await native(tally, 'native', []);
    await native(tally, 'native-sanitize', ['sanitize']);
    await emulated(tally);
  }
  await vitest(tally, args);
  say(`tested in ${seconds(since)}`);
  process.stdout.write(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped\n`);
  return tally.failed > 0 ? 1 : 0;
}

/** Fetches the servers (and finds the browser) that tests start, so that the tests find them; those that need a missing one skip themselves. */
async function servers(tally) {
  for (const [name, ensure] of [
    ['Kafka', ensureKafka],
    ['mosquitto', ensureMosquitto],
    ['Chromium', ensureChromium],
  ]) {
    const since = performance.now();
    const { missing } = await ensure();
    if (missing) tally.lacks(name, missing);
    else if (performance.now() - since > 5_000) say(`${name} fetched in ${seconds(since)}`);
  }
}

// ---------------------------------------------------------------- checks

async function check(tally, name, program, args, mend) {
  const since = performance.now();
  const { code, output } = await quietly(`check-${name}`, program, args);
  if (code === 0) {
    say(`${name} ok in ${seconds(since)}`);
    return tally.add({ passed: 1 });
  }
  say(`FAILED: ${name}\n${tail(output)}${mend ? `\n  mend it with: ${mend}` : ''}`);
  tally.add({ failed: 1 });
}

async function checks(tally) {
  await check(
    tally,
    'biome',
    bin('biome'),
    [inCi ? 'ci' : 'check', '.'],
    'node_modules/.bin/biome check --write .',
  );
  await check(tally, 'types', bin('tsc'), ['-p', '.', '--noEmit', '--incremental', 'false']);
  await check(tally, 'page-types', bin('tsc'), ['-p', 'src/web/client', '--noEmit']);
  await checkFormat(tally);
  if (existsSync(inRoot('src', 'cli', 'docs.ts'))) {
    const main = inRoot('dist', 'src', 'main.js');
    await check(tally, 'docs', process.execPath, [main, 'docs', '--check'], 'node dist/src/main.js docs');
  }
}

async function checkFormat(tally) {
  const sources = readdirSync(inRoot('native'), { recursive: true })
    .filter((name) => /\.(cpp|h|inl|cu|cuh)$/.test(name))
    .map((name) => path.join('native', name));
  if (sources.length === 0) return;
  if (!runs('clang-format')) return tally.lacks('clang-format', 'apt-get install -y clang-format');
  const mend = `clang-format -i ${sources.length > 3 ? "$(git ls-files 'native/*.cpp' 'native/*.h' 'native/*.inl')" : sources.join(' ')}`;
  await check(tally, 'clang-format', 'clang-format', ['--dry-run', '-Werror', ...sources], mend);
}

function runs(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// ---------------------------------------------------------------- native

async function native(tally, name, args) {
  const folders = ['/usr/include', '/usr/local/include', '/opt/homebrew/include'];
  if (!folders.some((folder) => existsSync(path.join(folder, 'gtest', 'gtest.h'))))
    return tally.lacks(name, 'GoogleTest is missing: apt-get install -y libgtest-dev');
  await googleTest(tally, name, 'sh', [inRoot('native', 'test', 'run.sh'), ...args]);
}

/** The same tests for arm64, under qemu, with the compiler and the C library of the packages. */
async function emulated(tally) {
  const name = 'native-arm64';
  const lacking = [];
  if (!runs('qemu-aarch64-static')) lacking.push('qemu-user-static');
  if (!existsSync('/usr/aarch64-linux-gnu/lib/libc.so.6')) lacking.push('libc6-arm64-cross');
  if (!existsSync('/usr/src/googletest')) lacking.push('libgtest-dev');
  if (lacking.length > 0) return tally.lacks(name, `apt-get install -y ${lacking.join(' ')}`);
  await googleTest(tally, name, process.execPath, [inRoot('scripts', 'packages', 'emulated.mjs')]);
}

async function googleTest(tally, name, program, args) {
  const since = performance.now();
  const { code, output } = await quietly(name, program, args);
  const number = (pattern) => Number(pattern.exec(output)?.[1] ?? 0);
  const passed = number(/\[ {2}PASSED {2}\] (\d+) tests?/);
  const failed = number(/\[ {2}FAILED {2}\] (\d+) tests?/);
  const skipped = number(/\[ {2}SKIPPED \] (\d+) tests?/);
  // A build that fails or a sanitizer that stops the program is one failure of its own.
  const broken = code !== 0 && failed === 0 ? 1 : 0;
  // What asks for instructions that an emulated processor has not is no gap of this machine.
  tally.add({ passed, failed: failed + broken, skipped: name === 'native-arm64' ? 0 : skipped });
  if (code === 0) say(`${name}: ${passed} passed in ${seconds(since)}`);
  else say(`FAILED: ${name} (.cache/logs/${name}.log)\n${tail(output)}`);
}

// ---------------------------------------------------------------- vitest

async function vitest(tally, args) {
  const result = inRoot('.cache', `vitest-${process.pid}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${result}`];
  const code = await aloud(bin('vitest'), ['run', ...reporters, ...args]);
  const json = JSON.parse(readText(result) ?? 'null');
  rmSync(result, { force: true });
  const failed = json?.numFailedTests ?? 0;
  // A file that could not be loaded, or an error outside any test, fails the run without a failed test.
  const broken = code !== 0 && failed === 0 ? 1 : 0;
  tally.add({
    passed: json?.numPassedTests ?? 0,
    failed: failed + broken,
    skipped: (json?.numPendingTests ?? 0) + (json?.numTodoTests ?? 0),
  });
}
