import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JournalEntry, Snapshot, Store } from '../../src/contract.ts';
import { redundant } from '../../src/state/snapshots.ts';
import { type Bench, bench, joinedOf, random } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(() => here.done());

type Given = Omit<JournalEntry, 'seq' | 'supersedes'>;

const label = (event: string, value: number, task = 'spam'): Given => ({
  task,
  event,
  device: `device of ${event}`,
  label: value,
  weight: 0.5,
  origin: 'user',
  at: 7,
  joined: joinedOf(event),
});

const snapshot = (journal: number, fill = 1, task = 'spam'): Snapshot => ({
  task,
  journal,
  labels: journal,
  at: journal,
  parts: { model: new Uint8Array(10_000).fill(fill), quality: Uint8Array.of(fill) },
});

const readAll = (store: Store, task: string, after: number, step: number): JournalEntry[] => {
  const all: JournalEntry[] = [];
  for (let at = after; ; ) {
    const { entries, through } = store.journal.read(task, at, step);
    all.push(...entries);
    if (through === at) return all;
    at = through;
  }
};

describe('the journal', () => {
  test('gives rising numbers over all tasks and every field back, also after a restart', async () => {
    const store = await here.open();
    const given = [label('a', 1), label('b', 0, 'machine'), label('c', 1)];
    const entries = await store.journal.append(given);
    expect(entries).toEqual(given.map((each, i) => ({ ...each, seq: i + 1, supersedes: 0 })));
    await store.close();
    const again = await here.open();
    expect(again.journal.read('spam', 0, 10)).toEqual({ entries: [entries[0], entries[2]], through: 3 });
    expect(again.journal.read('machine', 0, 10)).toEqual({ entries: [entries[1]], through: 2 });
    expect(again.journal.read('spam', 3, 10)).toEqual({ entries: [], through: 3 });
    expect((await again.journal.append([label('d', 1)]))[0].seq).toBe(4);
  });

  test('a later label takes the place of the earlier, a withdrawal of both, at once and on disk', async () => {
    const store = await here.open();
    const appends = [label('a', 1), label('a', 0), label('b', 1), label('b', -1), label('c', 1)].map((each) =>
      store.journal.append([each]),
    );
    expect(store.journal.labelOf('spam', 'a')).toEqual({ seq: 2, label: 0 });
    const entries = (await Promise.all(appends)).flat();
    expect(entries.map(({ supersedes }) => supersedes)).toEqual([0, 1, 0, 3, 0]);
    expect(store.journal.labelOf('spam', 'b')).toEqual({ seq: 4, label: -1 });
    expect(store.journal.labelOf('spam', 'nobody')).toBeNull();
    expect(store.journal.labelOf('machine', 'a')).toBeNull();
    expect(store.journal.read('spam', 0, 10).entries.map(({ seq }) => seq)).toEqual([2, 5]);
    expect(store.journal.read('spam', 0, 10).through).toBe(5);
    const [again] = await store.journal.append([label('b', 0)]);
    expect(again.supersedes).toBe(4);
  });

  test('equals a fold over a map, whatever is labelled, relabelled and withdrawn', async () => {
    const next = random(11);
    let store = await here.open();
    const model = new Map<string, JournalEntry>();
    for (let round = 0; round < 60; round++) {
      const given = Array.from({ length: 1 + Math.floor(next() * 12) }, () =>
        label(`e${Math.floor(next() * 80)}`, Math.floor(next() * 4) - 1, next() < 0.5 ? 'spam' : 'machine'),
      );
      for (const entry of await store.journal.append(given)) {
        const name = `${entry.task} ${entry.event}`;
        expect(entry.supersedes).toBe(model.get(name)?.seq ?? 0);
        model.set(name, entry);
      }
      if (round % 20 !== 19) continue;
      await store.close();
      store = await here.open();
    }
    for (const task of ['spam', 'machine']) {
      const effective = [...model.values()]
        .filter((entry) => entry.task === task && entry.label >= 0)
        .sort((a, b) => a.seq - b.seq);
      expect(readAll(store, task, 0, 7)).toEqual(effective);
      expect(readAll(store, task, 100, 1_000)).toEqual(effective.filter(({ seq }) => seq > 100));
    }
  });

  test('pruning by bytes never takes what the newest snapshot does not hold', async () => {
    const store = await here.open({ journal: { bytes: '1kB' } });
    const entries: JournalEntry[] = [];
    for (let n = 0; n < 300; n++) entries.push(...(await store.journal.append([label(`e${n}`, n % 2)])));
    await store.sweep();
    expect(store.journal.read('spam', 0, 1_000).entries).toHaveLength(300);
    expect(store.snapshots.oldest('spam')).toBe(0);
    await store.snapshots.save(snapshot(50));
    await store.snapshots.save(snapshot(200));
    await store.sweep();
    expect(store.journal.read('spam', 0, 1_000).entries).toEqual(entries.slice(200));
    expect(store.journal.labelOf('spam', 'e10')).toBeNull();
    expect(store.journal.labelOf('spam', 'e250')).toEqual({ seq: 251, label: 0 });
    // The snapshot at 50 could not be replayed onto any more.
    expect(store.snapshots.newest('spam', 199)).toBeNull();
    expect(store.snapshots.oldest('spam')).toBe(200);
    await store.close();
    const again = await here.open({ journal: { bytes: '1kB' } });
    expect(again.snapshots.oldest('spam')).toBe(200);
    expect((await again.journal.append([label('new', 1)]))[0].seq).toBe(301);
  });

  test('pruning by age takes what is old and held by a snapshot, task by task', async () => {
    const store = await here.open({ journal: { age: '1d' } });
    for (let n = 0; n < 10; n++) {
      await store.journal.append([label(`e${n}`, 1), label(`m${n}`, 1, 'machine')]);
      here.clock.ms += 4 * 3_600_000;
    }
    await store.snapshots.save(snapshot(20));
    await store.sweep();
    expect(store.journal.read('spam', 0, 99).entries.map(({ event }) => event)).toEqual([
      'e4',
      'e5',
      'e6',
      'e7',
      'e8',
      'e9',
    ]);
    expect(store.journal.read('machine', 0, 99).entries).toHaveLength(10);
    expect(store.snapshots.oldest('machine')).toBe(0);
  });
});

describe('snapshots', () => {
  test('come back bit for bit, the newest or the newest up to a position', async () => {
    const store = await here.open();
    expect(store.snapshots.newest('spam')).toBeNull();
    await store.snapshots.save(snapshot(10, 1));
    await store.snapshots.save(snapshot(20, 2));
    await store.snapshots.save(snapshot(15, 9, 'machine'));
    expect(store.snapshots.newest('spam')).toEqual(snapshot(20, 2));
    expect(store.snapshots.newest('spam', 19)).toEqual(snapshot(10, 1));
    expect(store.snapshots.newest('spam', 9)).toBeNull();
    await store.close();
    const again = await here.open();
    expect(again.snapshots.newest('spam')).toEqual(snapshot(20, 2));
    await again.snapshots.save({ ...snapshot(20, 3), parts: { model: Uint8Array.of(1) } });
    expect(again.snapshots.newest('spam')?.parts).toEqual({ model: Uint8Array.of(1) });
    await again.snapshots.dropAfter('spam', 10);
    expect(again.snapshots.newest('spam')).toEqual(snapshot(10, 1));
    expect(again.snapshots.newest('machine')).toEqual(snapshot(15, 9, 'machine'));
  });

  test('keep the newest, the oldest and a few in between, ever further apart', async () => {
    const store = await here.open({ snapshots: { keep: 4 } });
    for (let n = 1; n <= 200; n++) await store.snapshots.save(snapshot(n * 10));
    const kept: number[] = [];
    for (let at = 2_000; ; ) {
      const found = store.snapshots.newest('spam', at);
      if (!found) break;
      kept.push(found.journal);
      at = found.journal - 1;
    }
    expect(kept).toHaveLength(5);
    expect(kept[0]).toBe(2_000);
    expect(kept.at(-1)).toBe(10);
    const gaps = kept.slice(1).map((position, i) => kept[i] - position);
    expect(gaps[0]).toBeLessThan(gaps.at(-1) ?? 0);
    expect(gaps[0]).toBeLessThanOrEqual(300);
  });

  test('keep 0 leaves the newest alone', () => {
    expect(redundant([9, 7, 5, 3], 0)).toEqual([7, 5, 3]);
    expect(redundant([9, 7, 5, 3], 1)).toEqual([7, 5]);
    expect(redundant([9, 7], 4)).toEqual([]);
  });

  test('shows every entry of a task in order, those that no longer hold too, and where the newest begin', async () => {
    const store = await here.open();
    const given = [label('a', 1), label('x', 0, 'machine'), label('a', 0), label('b', 1), label('b', -1)];
    const entries = await store.journal.append(given);
    const own = entries.filter(({ task }) => task === 'spam');
    expect(store.journal.tail('spam', 0, 10)).toEqual({ entries: own, through: 5 });
    expect(store.journal.tail('spam', 0, 2)).toEqual({ entries: own.slice(0, 2), through: 3 });
    expect(store.journal.tail('spam', 3, 10)).toEqual({ entries: own.slice(2), through: 5 });
    expect(store.journal.tail('spam', 5, 10)).toEqual({ entries: [], through: 5 });
    expect([0, 1, 2, 3, 4, 9].map((newest) => store.journal.before('spam', newest))).toEqual([
      5, 4, 3, 1, 0, 0,
    ]);
    expect(store.journal.before('nobody', 3)).toBe(0);
    expect(store.journal.before('nobody', 0)).toBe(0);
  });
});
