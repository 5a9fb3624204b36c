/** A hub that does nothing but change its registry, and says what was promised: to be killed at any point. */
import { writeSync } from 'node:fs';
import { openRegistry } from '../../src/fleet/registry.ts';
import { encodeBundle } from '../../src/model/bundle.ts';
import { manifestOf, weightsOf } from '../model/bundles.ts';

const [folder, seed] = process.argv.slice(2);
/** Synchronous, so that a line that was said has left the process. */
const say = (line: string) => writeSync(1, `${line}\n`);

const registry = await openRegistry(folder);
say('open');
for (let n = Number(seed) * 1_000; ; n++) {
  const version = await registry.nextVersion('machine');
  say(`version ${version}`);
  const bundle = encodeBundle(manifestOf({ version }), weightsOf(20_000, n, true), null);
  const { digest } = await registry.put(bundle, 'made', n);
  say(`put ${digest}`);
  say(`serial ${await registry.nextSerial('default', 'machine')}`);
  const stage = n % 3 === 0 ? 'rejected' : 'live';
  await registry.move(digest, stage, 'because', n);
  say(`${stage} ${digest}`);
  const order = await registry.order({ task: 'machine', what: 'promote', digest, by: 'me', at: n });
  if (n % 2 === 0) await registry.done(order.id);
  else say(`order ${order.id}`);
  for (const gone of await registry.prune('machine', 3)) say(`gone ${gone}`);
}
