/**
 * Lays out what npm publishes: the package `sluice` (compiled JavaScript, and the sources of the addon for those who
 * have no platform package) and one package a platform, made by @napi-rs/cli, with the addon. The checkout's own
 * package.json stays private; the published one is derived from it here.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../terminal.mjs';
import { TARGETS } from './targets.mjs';

/** What the package holds of the checkout; of `dist` only what has a source, so that nothing stale is published. */
const CONTENTS = [
  'dist/src',
  'dist/firmware-sim',
  'native/core',
  'native/cpu',
  'native/cuda',
  'native/node',
  'scripts/compiler.mjs',
  'scripts/terminal.mjs',
  'scripts/packages/install.mjs',
  'CMakeLists.txt',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];

function isPublished(file) {
  const inside = path.relative(root, file);
  if (!inside.startsWith('dist')) return true;
  if (/\.(map|tsbuildinfo)$/.test(inside)) return false;
  if (!inside.endsWith('.js')) return true;
  const source = path.join(root, path.relative('dist', inside).replace(/\.js$/, '.ts'));
  return existsSync(source);
}

function manifest(targets) {
  const {
    devDependencies,
    imports,
    private: _,
    scripts,
    ...kept
  } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  return {
    ...kept,
    files: CONTENTS,
    scripts: { install: 'node scripts/packages/install.mjs' },
    napi: { binaryName: 'sluice', targets: targets.map((target) => target.rust) },
  };
}

const napi = (stage, ...args) =>
  execFileSync(
    path.join(root, 'node_modules', '.bin', 'napi'),
    [...args, '--cwd', stage, '--npm-dir', 'npm'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );

/** Lays out the package and one for each built target: `{target, addon, libraries}`. Returns their folders. */
export function stage(folder, built) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'npm'), { recursive: true });
  for (const item of CONTENTS)
    if (existsSync(path.join(root, item)))
      cpSync(path.join(root, item), path.join(folder, item), { recursive: true, filter: isPublished });
  const own = manifest(built.map(({ target }) => target));
  const save = () => writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  save();
  napi(folder, 'create-npm-dirs');
  const folders = built.map(({ target, addon, libraries }) =>
    platform(folder, own, target, addon, libraries),
  );
  // Every platform that is published, not only those built today, is left to npm to choose from.
  own.optionalDependencies = Object.fromEntries(
    built.map(({ target }) => [`${own.name}-${target.name}`, own.version]),
  );
  delete own.napi;
  save();
  return [folder, ...folders];
}

function platform(folder, own, target, addon, libraries) {
  const place = path.join(folder, 'npm', target.name);
  const file = path.join(place, 'package.json');
  const made = JSON.parse(readFileSync(file, 'utf8'));
  const files = [addon, ...libraries];
  copyFileSync(addon, path.join(place, made.main));
  for (const library of libraries) copyFileSync(library, path.join(place, path.basename(library)));
  copyFileSync(path.join(root, 'LICENSE'), path.join(place, 'LICENSE'));
  made.files = [made.main, ...files.slice(1).map((name) => path.basename(name))];
  made.description = `The native core of ${own.name} for ${target.name}; installed by ${own.name}.`;
  writeFileSync(file, `${JSON.stringify(made, null, 2)}\n`);
  return place;
}

/** `npm pack` of a folder into another one. Returns `{file, packedBytes, unpackedBytes, files}`. */
export function pack(folder, out) {
  mkdirSync(out, { recursive: true });
  const text = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', out], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [row] = JSON.parse(text);
  return {
    file: path.join(out, row.filename),
    packedBytes: row.size,
    unpackedBytes: row.unpackedSize,
    files: row.entryCount,
  };
}

/** The platforms of the layout that cannot be built here. */
export const unbuilt = TARGETS.filter((target) => !target.zig).map((target) => target.name);
