/** What is withdrawn or forgotten at a gateway is in no later training set of the hub, however it came to that. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { LabelledRow } from '../../src/contract.ts';
import { readRows } from '../../src/envelope/rows.ts';
import { Envelope } from '../../src/envelope.ts';
import { SluiceError } from '../../src/errors.ts';
import { hubLoopOptions } from '../../src/fleet/hub/options.ts';
import { makeCandidate } from '../../src/fleet/hub/training.ts';
import { RowsFeed } from '../../src/fleet/rows-feed.ts';
import { openPool, type Pool } from '../../src/state/pool.ts';
import { eventOf, makeRig, type Rig, task } from './kit.ts';

let rig: Rig;
let pool: Pool;
let folder: string;
let feed: RowsFeed | null = null;
let away = false;
const last = new Map<string, LabelledRow>();

beforeEach(async () => {
  rig = await makeRig();
  folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-forgotten-'));
  const limits = { bytes: 1e8, age: 1e12 };
  pool = await openPool({ path: folder, limits, clock: systemClock, telemetry: rig.telemetry });
  away = false;
  last.clear();
  startFeed();
});
afterEach(async () => {
  await feed?.stop();
  await pool.close();
  await rig.close();
  rmSync(folder, { recursive: true, force: true });
});

function startFeed(): void {
  feed = new RowsFeed({
    ...{ task, site: 'here', store: rig.store, topic: 't', clock: systemClock, telemetry: rig.telemetry },
    envelope: new Envelope('cloudevents', 'here', task.name),
    paired: () => null,
    publish: async (messages) => {
      while (away) await systemClock.sleep(5);
      const rows = messages.flatMap(({ payload }) =>
        readRows(Buffer.from(payload), { taskOf: () => task, site: 'here' }),
      );
      for (const row of rows) last.set(row.event, row);
      await pool.put(rows);
    },
  });
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const forget = (n: number) =>
  rig.labels.give([
    {
      ...{ target: { kind: 'name', name: `t/0/${n}` } as const, label: null, origin: 'desk' },
      ...{ weight: 1, at: 1, forget: true },
    },
  ]);
const told = async (): Promise<void> => {
  feed!.wake();
  const { entries } = rig.store.journal.tail(task.name, 0, 1_000);
  const end = entries.at(-1)!.seq;
  await vi.waitFor(() => expect(rig.store.cursors.get(`rows ${task.name}`)).toBe(end + 1), { interval: 3 });
};
const trained = async (): Promise<string[]> => {
  const { set, heads } = await pool.set(task.name, { features: task.features, shape: task.shape });
  expect(set.rows.count).toBe(heads.length);
  return heads.map(({ event }) => event).sort();
};
const names = (some: ReturnType<typeof range>) => some.map(({ event }) => event.id).sort();

async function learn(some: ReturnType<typeof range>): Promise<void> {
  await rig.join(some.map(({ event }) => event));
  await rig.give(some.map(({ event, label }) => [event.id, label] as const));
  await rig.learner.settled();
}

test('a withdrawn label, a forgotten event, and one forgotten after its withdrawal leave the training set', async () => {
  const some = range(0, 8);
  await learn(some);
  await told();
  expect(await trained()).toEqual(names(some));
  await rig.give([['t/0/1', null]]);
  await forget(2);
  await rig.give([['t/0/3', null]]);
  await forget(3);
  await told();
  expect(await trained()).toEqual(names([some[0], ...some.slice(4)]));
});

test('what was corrected, withdrawn and forgotten while the hub was away never comes to it, and what it had goes', async () => {
  const some = range(0, 6);
  await learn(some.slice(0, 3));
  await told();
  away = true;
  await learn(some.slice(3));
  for (const n of [1, 4]) {
    await rig.give([[`t/0/${n}`, some[n].label === 'ok' ? 'fault' : 'ok']]);
    await forget(n);
  }
  await rig.learner.settled();
  feed!.wake();
  await systemClock.sleep(20);
  away = false;
  await told();
  expect(await trained()).toEqual(names(some.filter((_, n) => n !== 1 && n !== 4)));
  expect(last.get('t/0/4')?.label ?? -1).toBe(-1);
});

test('an event that is forgotten after its withdrawal, when only the journal still has its row, is erased there too', async () => {
  await learn(range(0, 3));
  await rig.give([['t/0/1', null]]);
  await rig.store.join.erase(task.name, ['t/0/1']); // as its limits would have done long since
  const row = () =>
    rig.store.journal.tail(task.name, 0, 100).entries.filter(({ event }) => event === 't/0/1');
  expect(row().some(({ joined }) => joined.device !== '')).toBe(true);
  await forget(1);
  expect(row().every(({ joined }) => joined.device === '')).toBe(true);
  expect(rig.store.waiting.size).toBe(0);
});

test.each([
  ['was taken back since', 2_000, null],
  ['was taken back before it was trained', 500, 'goes on'],
])(
  'a training goes on from the live model unless something that it may know %s',
  async (_what, withdrawnAt, start) => {
    const { features: version, labels, event, positive, shape } = task;
    const { set } = await setOf(60);
    const seen: (Uint8Array | null)[] = [];
    const stop = new SluiceError('TRAINING_FAILED', 'seen enough');
    const want = {
      task: {
        ...{
          name: task.name,
          event,
          labels,
          positive,
          features: version,
          featureOptions: {},
          shape,
          seed: 1,
        },
        ...{ learning: 'online', first: { kind: 'linear', options: {}, passes: 1, newest: 0 } },
      },
      parts: {
        pool: {
          training: async () => ({ set, through: {}, until: 3_000, digest: '', position: 1, withdrawnAt }),
        },
        trainer: {
          train: async ({ start: from }: { start: Uint8Array | null }) => {
            seen.push(from);
            throw stop;
          },
        },
      },
      options: hubLoopOptions.parse({ retrain: { minRows: 20 } }),
      live: { digest: 'd', weights: Buffer.from('goes on'), until: 1_000 },
      ...{ reason: '', since: null, now: () => 0, signal: new AbortController().signal },
    } as unknown as Parameters<typeof makeCandidate>[0];
    await expect(makeCandidate(want)).rejects.toBe(stop);
    expect(seen.map((from) => from && Buffer.from(from).toString())).toEqual([start]);
  },
);

async function setOf(n: number) {
  await learn(range(0, n));
  await told();
  const before = await pool.set(task.name, { features: task.features, shape: task.shape });
  expect(before.withdrawnAt).toBe(0);
  await rig.give([['t/0/0', null]]);
  await told();
  const after = await pool.set(task.name, { features: task.features, shape: task.shape });
  expect(after.withdrawnAt).toBeGreaterThan(1e12);
  return after;
}
