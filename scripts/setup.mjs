/**
 * Brings a clone to where it can run: dependencies installed, native addon built, TypeScript compiled; each only
 * when its inputs changed since it last succeeded (a stamp per step in `.cache/stamps/`). When nothing changed it costs
 * some milliseconds. Checks the tools a step needs just before that step, and names the command that
 * installs a missing one. Two set-ups at once wait for each other.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkCompiler } from './compiler.mjs';
import { Failure, quietly, readText, root, say, seconds, step, tail } from './terminal.mjs';

const NODE = [20, 19];
const stamps = path.join(root, '.cache', 'stamps');
const inRoot = (...parts) => path.join(root, ...parts);

/** Everything `start` and `test` need. */
export async function setup() {
  checkNode();
  const release = await lock();
  try {
    await installDependencies();
    await buildAddon();
    await compileTypeScript();
  } finally {
    release();
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE[0] || (major === NODE[0] && minor >= NODE[1])) return;
  throw new Failure(
    `Node ${process.versions.node} is too old: ${NODE.join('.')} or later is needed.`,
    'curl -fsSL https://deb.nodesource.com/setup_20.x | bash - && apt-get install -y nodejs',
  );
}

// ---------------------------------------------------------------- stamps

/** Names, sizes and times of all files under the given paths: changes whenever a build could. */
function fingerprint(paths, { except = [], salt = '' } = {}) {
  const hash = createHash('sha256').update(salt);
  const visit = (file) => {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (!stat || except.includes(path.relative(root, file))) return;
    if (!stat.isDirectory()) hash.update(`${path.relative(root, file)} ${stat.size} ${stat.mtimeMs}\n`);
    else for (const name of readdirSync(file).sort()) visit(path.join(file, name));
  };
  for (const name of paths) visit(inRoot(name));
  return hash.digest('hex');
}

const stampOf = (name) => readText(path.join(stamps, name));

function stamp(name, value) {
  mkdirSync(stamps, { recursive: true });
  writeFileSync(path.join(stamps, name), value);
}

/** One set-up at a time; the lock of a process that is gone is taken over. */
async function lock() {
  const file = inRoot('.cache', 'setup.lock');
  mkdirSync(path.dirname(file), { recursive: true });
  for (let told = false; ; ) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = Number(readText(file));
      if (owner && !alive(owner)) rmSync(file, { force: true });
      else {
        if (!told) say('another set-up is under way; waiting for it');
        told = true;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

// ---------------------------------------------------------------- steps

async function installDependencies() {
  const wanted = createHash('sha256')
    .update(readText(inRoot('package-lock.json')))
    .digest('hex');
  const installed = inRoot('node_modules', '.package-lock.json');
  if (existsSync(installed)) {
    if (stampOf('dependencies') === wanted) return;
    // Installed by hand since the lock last changed: take it as it is.
    const newer = statSync(installed).mtimeMs >= statSync(inRoot('package-lock.json')).mtimeMs;
    if (stampOf('dependencies') === null && newer) return stamp('dependencies', wanted);
  }
  const since = performance.now();
  const { code, output } = await npm('ci');
  if (code !== 0) {
    // A registry without the packages of other platforms makes `npm ci` call a good lock file out of step. A plain
    // install keeps to the lock as well, and what came is compared with it.
    const again = output.includes('EUSAGE') ? await npm('install', '--no-save') : { code, output };
    if (again.code !== 0)
      throw new Failure(
        `installing dependencies failed (.cache/logs/dependencies.log):\n${tail(again.output)}`,
      );
    compareWithLock();
  }
  say(`dependencies installed in ${seconds(since)}`);
  stamp('dependencies', wanted);
}

function npm(...args) {
  const cli = process.env.npm_execpath;
  const [program, first] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []];
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  if (process.stderr.isTTY) say('installing dependencies …');
  return quietly('dependencies', program, [...first, ...args, ...quiet]);
}

/** Every package that must be there has the version and the digest of the lock file, and nothing else is there. */
function compareWithLock() {
  const packagesOf = (...parts) => JSON.parse(readText(inRoot(...parts)) ?? '{}').packages ?? {};
  const locked = packagesOf('package-lock.json');
  const found = packagesOf('node_modules', '.package-lock.json');
  const differs = [...new Set([...Object.keys(locked), ...Object.keys(found)])].filter((name) => {
    const [want, have] = [locked[name], found[name]];
    if (name === '' || (want?.optional && !have) || (have?.optional && !want)) return false;
    return want?.version !== have?.version || want?.integrity !== have?.integrity;
  });
  if (differs.length > 0)
    throw new Failure(`what npm installed is not what package-lock.json says: ${differs.join(', ')}`);
}

async function buildAddon() {
  const inputs = ['native/core', 'native/cpu', 'native/cuda', 'native/node', 'CMakeLists.txt'];
  const salt = [process.platform, process.arch, process.env.CXX ?? '', stampOf('dependencies')].join(' ');
  const wanted = fingerprint(inputs, { salt });
  const output = inRoot('build', 'Release', 'sluice.node');
  if (existsSync(output) && stampOf('addon') === wanted) return;
  checkCompiler();
  const cmakeJs = inRoot('node_modules', '.bin', 'cmake-js');
  await step('addon', 'building the native addon', 'native addon built', cmakeJs, [
    'compile',
    '--out',
    'build',
  ]);
  if (!existsSync(output))
    throw new Failure('cmake-js succeeded, but build/Release/sluice.node is not there');
  stamp('addon', wanted);
}

async function compileTypeScript() {
  const wanted = fingerprint(['src', 'firmware-sim', 'bench', 'test', 'scripts/servers', 'tsconfig.json'], {
    except: ['bench/results'],
    salt: stampOf('dependencies') ?? '',
  });
  const outputs = [inRoot('dist', 'src', 'main.js'), inRoot('dist', 'src', 'web', 'client', 'style.css')];
  if (outputs.every((file) => existsSync(file)) && stampOf('typescript') === wanted) return;
  const tsc = inRoot('node_modules', '.bin', 'tsc');
  await step('typescript', 'compiling TypeScript', 'TypeScript compiled', tsc, ['-p', '.']);
  await buildPage(tsc);
  stamp('typescript', wanted);
}

/** The dashboard's page has the types of a browser, so it is compiled on its own; its style goes beside it. */
async function buildPage(tsc) {
  const page = path.join('src', 'web', 'client');
  await step('page', 'compiling the dashboard', 'dashboard compiled', tsc, ['-p', page]);
  copyFileSync(inRoot(page, 'style.css'), inRoot('dist', page, 'style.css'));
}
