/** What the tests of the store run in a process of its own, to kill it or to let a damaged store kill it. */
import { writeSync } from 'node:fs';
import type { Outgoing, Store } from '../../src/contract.ts';
import { asSluiceError } from '../../src/errors.ts';
import { openStore } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { batchOf, joinedOf, limitsOf, random } from './support.ts';

const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
const telemetry = new Telemetry({ level: 'silent' });

/** Synchronous, so that a line that was said has left the process. */
const say = (line: string) => writeSync(1, `${line}\n`);

const open = (folder: string, limits: object = {}) =>
  openStore({ path: folder, limits: limitsOf(limits), clock, telemetry });

const messages = (from: number, count: number): Outgoing[] =>
  Array.from({ length: count }, (_, i) => ({ topic: 't', key: null, payload: `${from + i}` }));

async function writeSomething(store: Store, n: number, pick: number): Promise<void> {
  if (pick < 0.35) {
    const named = Array.from({ length: 40 }, (_, i) => ({ id: `e-${n}-${i}`, aliases: [`mid:${n}-${i}`] }));
    await store.join.put(batchOf('spam', named));
    say(`join ${n} 40`);
  } else if (pick < 0.55) {
    const entry = {
      task: 'spam',
      event: `e-${n}`,
      device: 'd',
      label: n % 2,
      weight: 1,
      origin: 'user',
      at: n,
    };
    const [done] = await store.journal.append([{ ...entry, joined: joinedOf(`e-${n}`) }]);
    say(`journal ${done.seq} e-${n} ${n % 2}`);
  } else if (pick < 0.75) {
    await store.outbox.append(`sink-${n % 2}`, messages(n * 1_000, 1 + (n % 50)));
    say(`outbox sink-${n % 2} ${n * 1_000} ${1 + (n % 50)}`);
  } else if (pick < 0.85) {
    const original = {
      source: 's',
      topic: 't',
      key: null,
      payload: Buffer.from(`dead ${n}`),
      headers: {},
      at: n,
      position: '',
    };
    const [id] = await store.dead.put([
      { task: 'spam', code: 'DECODE_JSON', message: 'no', receivedAt: n, original },
    ]);
    say(`dead ${id} ${n}`);
  } else if (pick < 0.95) {
    await store.waiting.put('spam', [`w-${n}`], `feedback ${n}`, Date.now());
    say(`waiting ${n}`);
  } else {
    const parts = { model: new Uint8Array(50_000).fill(n % 251), quality: Uint8Array.of(n % 251) };
    await store.snapshots.save({ task: 'spam', journal: n, labels: n, at: n, parts });
    say(`snapshot ${n}`);
  }
}

/** Writes for ever, sixteen things at a time, and says what is durable. */
async function churn(folder: string, seed: number): Promise<void> {
  const store = await open(folder, { join: { bytes: '64MiB' } });
  say('open');
  const next = random(seed);
  const base = seed * 100_000;
  let n = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (;;) await writeSomething(store, base + n++, next());
    }),
  );
}

/** Opens what may be damaged, reads and writes all of it, and says how it went. */
async function probe(folder: string): Promise<void> {
  const store = await open(folder);
  const setAside = await telemetry.value('store_set_aside');
  for (let n = 0; n < 400; n += 7) {
    store.join.find('spam', `e-${n}-3`);
    store.join.span('spam', 'd', 0, 1e15, 20);
    store.journal.labelOf('spam', `e-${n}`);
  }
  store.journal.read('spam', 0, 1_000);
  store.snapshots.newest('spam');
  store.dead.list();
  store.waiting.find('spam', ['w-1', 'w-2']);
  const peeked = store.outbox.peek('sink-0', 500, 1e6);
  await store.outbox.remove('sink-0', peeked.through);
  const next = random(1);
  await Promise.all(Array.from({ length: 100 }, (_, n) => writeSomething(store, 50_000_000 + n, next())));
  await store.sweep();
  await store.close();
  say(`ok ${setAside}`);
}

async function hold(folder: string): Promise<void> {
  await open(folder);
  say('held');
  setInterval(() => {}, 1_000);
}

/** A tool beside the gateway: drops letter 1, marks the others, and says what it sees. */
async function mark(folder: string): Promise<void> {
  const store = await openStore({ path: folder, limits: limitsOf(), clock, telemetry, mode: 'tool' });
  const ids = store.dead.list().map(({ id }) => id);
  say(`dropped ${await store.dead.drop(['1'])}`);
  say(`marked ${await store.dead.markReplay(ids)}`);
  say(`sees ${store.dead.list().map(({ id }) => id)}`);
  say(`joined ${store.join.find('spam', 'e-1')?.id}`);
  await store.close();
}

/** Fills the store until the file may not grow any more (ulimit -f set by the caller). */
async function fill(folder: string): Promise<void> {
  const store = await open(folder);
  let stored = 0;
  for (;;) {
    try {
      await store.outbox.append('sink', messages(stored * 1_000, 1_000));
      stored += 1;
    } catch (error) {
      say(`refused ${asSluiceError(error).code} ${asSluiceError(error).retry}`);
      break;
    }
  }
  say(`health ${store.health().ok}`);
  say(`size ${store.outbox.size('sink').messages === stored * 1_000}`);
  // After a failed commit nothing is tried for a second.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  let seen = 0;
  for (let more = true; more; ) {
    const { messages: some, through } = store.outbox.peek('sink', 10_000, 1e9);
    seen += some.length;
    more = some.length > 0;
    if (more) await store.outbox.remove('sink', through);
  }
  say(`drained ${seen === stored * 1_000}`);
  await store.sweep();
  await store.outbox.append('sink', messages(0, 10));
  say(`healthy again ${store.health().ok}`);
  await store.close();
  say('done');
}

const [verb, folder, seed] = process.argv.slice(2);
const verbs: Readonly<Record<string, () => Promise<void>>> = {
  churn: () => churn(folder, Number(seed)),
  probe: () => probe(folder),
  hold: () => hold(folder),
  fill: () => fill(folder),
  mark: () => mark(folder),
};
try {
  await verbs[verb]();
} catch (error) {
  say(`failed ${asSluiceError(error).code} ${asSluiceError(error).message}`);
  process.exitCode = 3;
}
