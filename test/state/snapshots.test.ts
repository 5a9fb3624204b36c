/** Snapshots and the journal while their writes are under way: what is left on disk gives every label back. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JournalEntry, Snapshot, Store } from '../../src/contract.ts';
import { failNext } from './failing.ts';
import { type Bench, bench, joinedOf, random } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await here.done();
});

const label = (n: number): Omit<JournalEntry, 'seq' | 'supersedes'> => ({
  task: 'spam',
  event: `e${n}`,
  device: 'd',
  label: n % 2,
  weight: 1,
  origin: 'user',
  at: 7,
  joined: joinedOf(`e${n}`),
});

/** A snapshot whose parts say which labels are in it. */
const snapshot = (journal: number, labels = journal): Snapshot => ({
  task: 'spam',
  journal,
  labels,
  at: journal,
  parts: { model: Uint8Array.of(journal), quality: new Uint8Array(5_000) },
});

/** What is on disk, as a gateway killed now would find it: the file is read beside the open store. */
async function afterKill(limits: object = {}): Promise<{ newest: number; through: number[] }> {
  const tool = await here.open(limits, 'tool');
  const newest = tool.snapshots.newest('spam')?.journal ?? 0;
  const through = tool.journal.read('spam', 0, 1_000).entries.map(({ seq }) => seq);
  await tool.close();
  return { newest, through };
}

/** Lets the next commit begin: everything written before shares it, what comes now is in the one after. */
const commitBegun = () => new Promise((resolve) => setImmediate(resolve));

async function withLabels(store: Store, count: number): Promise<void> {
  await store.journal.append(Array.from({ length: count }, (_, n) => label(n)));
}

const pruning = { journal: { age: '1m' } };

describe('dropAfter', () => {
  for (const begun of [false, true])
    test(`takes back a snapshot whose save ${begun ? 'is in its commit' : 'waits for its commit'}`, async () => {
      const store = await here.open();
      await store.snapshots.save(snapshot(3));
      const saved = store.snapshots.save(snapshot(10));
      if (begun) await commitBegun();
      const dropped = store.snapshots.dropAfter('spam', 4);
      expect(store.snapshots.newest('spam')?.journal).toBe(3);
      await Promise.all([saved, dropped]);
      expect(store.snapshots.newest('spam')?.journal).toBe(3);
      await store.close();
      expect((await here.open()).snapshots.newest('spam')).toEqual(snapshot(3));
    });

  test('takes back a snapshot that is being written over one of the same position', async () => {
    const store = await here.open();
    await store.snapshots.save(snapshot(10));
    const saved = store.snapshots.save({ ...snapshot(10), parts: { model: Uint8Array.of(1) } });
    await commitBegun();
    await Promise.all([saved, store.snapshots.dropAfter('spam', 4)]);
    await store.close();
    expect((await here.open()).snapshots.newest('spam')).toBeNull();
  });

  test('does not touch what is saved after it', async () => {
    const store = await here.open();
    await store.snapshots.save(snapshot(10));
    const dropped = store.snapshots.dropAfter('spam', 4);
    const saved = store.snapshots.save(snapshot(10, 9));
    await Promise.all([dropped, saved]);
    await store.close();
    expect((await here.open()).snapshots.newest('spam')).toEqual(snapshot(10, 9));
  });

  test('a second call resolves no earlier than the removal that the first began', async () => {
    const store = await here.open();
    await store.snapshots.save(snapshot(10));
    failNext();
    const first = store.snapshots.dropAfter('spam', 4);
    const second = store.snapshots.dropAfter('spam', 4);
    await expect(first).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await expect(second).rejects.toMatchObject({ code: 'STORE_FAILED' });
    // Nothing was removed: it is there again, here and on disk.
    expect(store.snapshots.newest('spam')).toEqual(snapshot(10));
    await store.snapshots.dropAfter('spam', 4);
    expect(store.snapshots.newest('spam')).toBeNull();
  });

  test('refuses to go behind the pruned part of the journal', async () => {
    const store = await here.open(pruning);
    await withLabels(store, 20);
    await store.snapshots.save(snapshot(20));
    here.clock.ms += 120_000;
    await store.sweep();
    await expect(store.snapshots.dropAfter('spam', 19)).rejects.toMatchObject({ code: 'FEEDBACK_TOO_OLD' });
    await store.snapshots.dropAfter('spam', 20);
    expect(store.snapshots.newest('spam')).toEqual(snapshot(20));
  });
});

describe('a save', () => {
  test('keeps the snapshots before it until it is on disk, also where none but the newest is kept', async () => {
    const store = await here.open({ snapshots: { keep: 0 } });
    await store.snapshots.save(snapshot(10));
    const saved = store.snapshots.save(snapshot(20));
    await commitBegun();
    expect(store.snapshots.newest('spam')?.journal).toBe(10);
    await Promise.all([saved, store.snapshots.dropAfter('spam', 15)]);
    expect(store.snapshots.newest('spam')?.journal).toBe(10);
    await store.snapshots.save(snapshot(30));
    expect(store.snapshots.newest('spam', 29)).toBeNull();
    await store.close();
    const again = await here.open({ snapshots: { keep: 0 } });
    expect(again.snapshots.newest('spam')).toEqual(snapshot(30));
    expect(again.snapshots.newest('spam', 29)).toBeNull();
  });

  test('that fails is not there, and the one before it is', async () => {
    const store = await here.open({ snapshots: { keep: 0 } });
    await store.snapshots.save(snapshot(10));
    failNext();
    await expect(store.snapshots.save(snapshot(20))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect(store.snapshots.newest('spam')).toEqual(snapshot(10));
  });
});

describe('pruning', () => {
  test('does not count a snapshot that is not on disk yet', async () => {
    const store = await here.open(pruning);
    await withLabels(store, 20);
    await store.snapshots.save(snapshot(5));
    here.clock.ms += 120_000;
    const saved = store.snapshots.save(snapshot(20));
    await commitBegun();
    const swept = store.sweep();
    const dropped = store.snapshots.dropAfter('spam', 10);
    await Promise.all([saved, swept, dropped]);
    const { newest, through } = await afterKill(pruning);
    expect(newest).toBe(5);
    expect(through).toEqual(Array.from({ length: 15 }, (_, i) => 6 + i));
  });

  test('does not count a snapshot that is being dropped', async () => {
    const store = await here.open(pruning);
    await withLabels(store, 30);
    await store.snapshots.save(snapshot(10));
    await store.snapshots.save(snapshot(20));
    here.clock.ms += 120_000;
    await Promise.all([store.snapshots.dropAfter('spam', 15), store.sweep()]);
    const { newest, through } = await afterKill(pruning);
    expect(newest).toBe(10);
    expect(through).toEqual(Array.from({ length: 20 }, (_, i) => 11 + i));
  });

  test('and a drop in the same commit leave a snapshot that the rest of the journal goes on from', async () => {
    const store = await here.open(pruning);
    await withLabels(store, 15);
    await store.snapshots.save(snapshot(10));
    here.clock.ms += 120_000;
    await store.journal.append([label(16), label(17), label(18), label(19), label(20)]);
    await store.snapshots.save(snapshot(20));
    const swept = store.journal as unknown as { sweep(): Promise<void> };
    const pruned = swept.sweep();
    // The labels up to 15 are gone with the snapshot at 10: what only 20 holds cannot be taken back any more.
    expect(store.snapshots.oldest('spam')).toBe(20);
    const dropped = store.snapshots.dropAfter('spam', 16).then(
      () => 'dropped',
      (error: { code: string }) => error.code,
    );
    await pruned;
    expect(await dropped).toBe('FEEDBACK_TOO_OLD');
    const { newest, through } = await afterKill(pruning);
    expect(newest).toBe(20);
    expect(through).toEqual([16, 17, 18, 19, 20]);
  });

  test('never loses a label, however saves, drops, sweeps and failures meet', async () => {
    const next = random(5);
    const limits = { journal: { age: '1m' }, snapshots: { keep: 1 } };
    let store = await here.open(limits);
    let seq = 0;
    for (let round = 0; round < 60; round++) {
      const under: Promise<unknown>[] = [];
      const begin = (work: Promise<void>) => under.push(work.catch(() => {}));
      for (let step = 0; step < 6; step++) {
        const dice = next();
        const at = Math.max(1, Math.floor(next() * (seq + 1)));
        const failing = next() < 0.1;
        if (failing) failNext();
        if (dice < 0.3 && !failing) {
          const given = [label(seq), label(seq + 1)];
          const entries = await store.journal.append(given).catch(() => []); // behind a write that failed
          seq += entries.length;
        } else if (dice < 0.55 && seq > 0) begin(store.snapshots.save(snapshot(seq)));
        else if (dice < 0.75) begin(store.snapshots.dropAfter('spam', at));
        else if (dice < 0.9) begin(store.sweep());
        else await commitBegun();
        here.clock.ms += 20_000;
      }
      await Promise.all(under);
      vi.restoreAllMocks();
      if (round % 15 === 14) {
        await store.close();
        store = await here.open(limits);
      }
      const newest = store.snapshots.newest('spam')?.journal ?? 0;
      const { entries } = store.journal.read('spam', newest, 10_000);
      expect(entries.map((entry) => entry.seq)).toEqual(
        Array.from({ length: seq - newest }, (_, i) => newest + 1 + i),
      );
    }
    expect(store.snapshots.oldest('spam')).toBeGreaterThan(0);
  });
});
