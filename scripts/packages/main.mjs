/**
 * `npm run packages`: builds the addon for every platform that can be built here, and packs what npm publishes.
 *
 *   npm run packages [-- --out FOLDER] [--target NAME]... [--json]
 *
 * Nothing is published: `npm publish FILE` does that, the platforms' packages first.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { setup } from '../setup.mjs';
import { Failure, root, say } from '../terminal.mjs';
import { buildAddon } from './build.mjs';
import { pack, stage, unbuilt } from './stage.mjs';
import { buildable, findTarget, LEAST_GLIBC } from './targets.mjs';

const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: path.join(root, '.cache', 'packages', 'packed') },
      target: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
    },
  });
  const targets = values.target?.map(findTarget) ?? buildable;
  await setup();
  const built = [];
  for (const target of targets) built.push({ target, libraries: [], ...(await buildAddon(target)) });
  const folders = stage(path.join(root, '.cache', 'packages', 'stage'), built);
  const packed = folders.map((folder) => pack(folder, path.resolve(values.out)));
  if (values.json) return process.stdout.write(`${JSON.stringify({ packed, built }, null, 2)}\n`);
  for (const row of packed)
    say(
      `${row.file}: ${kib(row.packedBytes)} packed, ${kib(row.unpackedBytes)} unpacked, ${row.files} files`,
    );
  for (const { target, asks } of built)
    say(`${target.name}: asks for glibc ${asks.glibc}; promised is ${LEAST_GLIBC}`);
  say(`laid out, but to be built on their own systems: ${unbuilt.join(', ')}`);
}

try {
  await main();
} catch (error) {
  say(error instanceof Failure ? error.message : String(error.stack ?? error));
  process.exitCode = 1;
}
