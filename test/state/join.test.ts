import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JoinedRow, Store } from '../../src/contract.ts';
import { Table } from '../../src/state/table.ts';
import { failNext } from './failing.ts';
import { type Bench, batchOf, bench, expectedRow, type Named } from './support.ts';

/** Bits of the hash that are let through; 32 is the real thing. */
const weak = vi.hoisted(() => ({ bits: 32 }));
vi.mock('../../src/state/hash.ts', async (original) => {
  const real = await original<typeof import('../../src/state/hash.ts')>();
  const hash: typeof real.hash = (seed, name) => {
    real.hash(seed, name);
    if (weak.bits === 32) return;
    real.halves.high = ((real.halves.high >>> (32 - weak.bits)) << (32 - weak.bits)) >>> 0;
    real.halves.low = 0;
  };
  const scoped: typeof real.scoped = (seed, scope) => real.scoped(seed, scope);
  return { ...real, hash, scoped };
});

let here: Bench;
beforeEach(() => {
  weak.bits = 32;
  here = bench();
});
afterEach(() => here.done());

/** 64 KiB segments: enough puts seal several. */
const small = { join: { bytes: '1MiB' } };

const ids = (from: number, count: number): Named[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `topic/0/${from + i}`,
    device: `press-${(from + i) % 7}`,
    at: 1_000 + from + i,
    aliases: [`mid:<${from + i}@x>`],
  }));

describe('the join store', () => {
  test('finds a row before its put is durable, and the same row after, and after a restart', async () => {
    const store = await here.open();
    const batch = batchOf('spam', ids(0, 50));
    const done = store.join.put(batch);
    const expected = expectedRow(batch, 17);
    expect(store.join.find('spam', 'topic/0/17')).toEqual(expected);
    await done;
    expect(store.join.find('spam', 'topic/0/17')).toEqual(expected);
    expect(store.join.find('spam', 'mid:<17@x>')).toEqual(expected);
    await store.close();
    const again = await here.open();
    expect(again.join.find('spam', 'topic/0/17')).toEqual(expected);
    expect(again.join.find('spam', 'mid:<17@x>')).toEqual(expected);
    expect(again.join.find('machine', 'topic/0/17')).toBeNull();
    expect(again.join.find('spam', 'topic/0/50')).toBeNull();
  });

  test('finds what happened at a time on any device, in order, newest delivery once, and after a restart', async () => {
    const first = await here.open(small);
    const start = here.clock.now();
    const at = (n: number) => start + n * 1_000;
    for (let n = 0; n < 40; n++) {
      here.clock.ms = at(n * 10);
      await first.join.put(
        batchOf(
          'spam',
          ids(n * 10, 10).map((one, i) => ({ ...one, at: at(n * 10 + i) })),
        ),
      );
      await first.join.put(batchOf('machine', [{ id: `m/${n}`, device: 'd', at: at(n * 10), aliases: [] }]));
    }
    // Late, and twice.
    await first.join.put(batchOf('spam', [{ id: 'topic/0/203', device: 'x', at: at(203), aliases: [] }]));
    const names = (store: Store, from: number, to: number, limit = 100) =>
      store.join.during('spam', at(from), at(to), limit).map(({ id }) => id);
    const expected = [200, 201, 202, 203, 204].map((n) => `topic/0/${n}`);
    expect(names(first, 200, 204)).toEqual(expected);
    expect(names(first, 0, 400, 7)).toHaveLength(7);
    expect(names(first, 500, 600)).toEqual([]);
    expect(names(first, 300, 200)).toEqual([]);
    await first.close();
    const again = await here.open(small);
    expect(names(again, 200, 204)).toEqual(expected);
    expect(again.join.during('machine', at(100), at(119), 9).map(({ id }) => id)).toEqual(['m/10', 'm/11']);
  });

  test('erases rows with all their names, at once and after a restart, and leaves the others bit for bit', async () => {
    const store = await here.open();
    const named = ids(0, 40).map((one, i) => ({
      ...one,
      device: `press-é${i % 7}🛠`,
      aliases: [`mid:<ü${i}@x>`, `raw:${i}`],
    }));
    const batch = batchOf('spam', named);
    const landed = store.join.put(batch);
    // One while it is on its way to disk, one after; by any name; some of nobody.
    const early = store.join.erase('spam', ['topic/0/3']);
    expect(store.join.find('spam', 'topic/0/3')).toBeNull();
    await Promise.all([landed, early]);
    await store.join.erase('spam', ['mid:<ü17@x>', 'nobody', '']);
    await store.join.erase('machine', ['topic/0/5']);
    await store.join.put(batchOf('spam', [{ ...named[20] }]));
    await store.join.erase('spam', ['topic/0/20']); // both deliveries
    const look = (open: Store) => {
      for (const n of [3, 17, 20])
        for (const name of [`topic/0/${n}`, `mid:<ü${n}@x>`, `raw:${n}`])
          expect(open.join.find('spam', name)).toBeNull();
      for (const n of [0, 5, 16, 18, 39])
        expect(open.join.find('spam', `raw:${n}`)).toEqual(expectedRow(batch, n));
      const left = open.join.span('spam', 'press-é3🛠', 0, 1e15, 100).map(({ id }) => id);
      expect(left).toEqual(['topic/0/10', 'topic/0/24', 'topic/0/31', 'topic/0/38']);
      expect(open.join.during('spam', 0, 1e15, 100)).toHaveLength(37);
      for (const length of [9, 10, 1]) expect(open.join.find('spam', '\0'.repeat(length))).toBeNull();
      expect(open.join.span('spam', '\0'.repeat(10), Number.NaN, 1e15, 9)).toEqual([]);
    };
    look(store);
    await store.close();
    look(await here.open());
  });

  test('copies the batch: arenas that are reused afterwards change nothing', async () => {
    const store = await here.open();
    const batch = batchOf('spam', ids(0, 5));
    const expected = expectedRow(batch, 3);
    const done = store.join.put(batch);
    batch.rows.values.fill(9);
    batch.rows.indices.fill(9);
    batch.rows.dense.fill(9);
    batch.scores.fill(9);
    batch.predicted.fill(9);
    expect(store.join.find('spam', 'topic/0/3')).toEqual(expected);
    await done;
    expect(store.join.find('spam', 'topic/0/3')).toEqual(expected);
  });

  test('gives the newest where an event was delivered twice', async () => {
    const store = await here.open(small);
    await store.join.put(batchOf('spam', [{ id: 'twice', at: 1 }]));
    for (let n = 0; n < 40; n++) await store.join.put(batchOf('spam', ids(n * 100, 100)));
    expect(store.join.find('spam', 'twice')?.at).toBe(1);
    await store.join.put(batchOf('spam', [{ id: 'twice', at: 2 }]));
    expect(store.join.find('spam', 'twice')?.at).toBe(2);
    expect(store.join.span('spam', 'd', 0, 10, 10).map(({ at }) => at)).toEqual([2]);
  });

  test('keeps mail rows of thousands of cells, and batches larger than a value', async () => {
    const store = await here.open();
    const batch = batchOf('spam', ids(0, 200), 3_000);
    await store.join.put(batch);
    for (const i of [0, 1, 99, 199])
      expect(store.join.find('spam', `topic/0/${i}`)).toEqual(expectedRow(batch, i));
  });

  test('keeps names of every script, and of none', async () => {
    const store = await here.open();
    const names = ['', 'ä', '漢字', '🙂🙂', 'a\0b', '\ud800', 'x'.repeat(100_000), '__proto__'];
    const batch = batchOf(
      'täsk',
      names.map((id) => ({ id, device: `${id}!`, aliases: [`raw:${id}`] })),
    );
    await store.join.put(batch);
    await store.close();
    const again = await here.open();
    for (const [i, name] of names.entries()) {
      const row = again.join.find('täsk', `raw:${name}`);
      expect(row?.predicted).toBe(batch.predicted[i]);
      expect(again.join.find('täsk', name)?.predicted).toBe(batch.predicted[i]);
      expect(again.join.span('täsk', `${name}!`, 0, 1, 9)).toHaveLength(1);
    }
  });

  test('spans a device in order of time over sealed and open segments, up to the limit', async () => {
    const store = await here.open(small);
    for (let n = 0; n < 60; n++) await store.join.put(batchOf('spam', ids(n * 50, 50)));
    const row = (i: number) => `topic/0/${i}`;
    const all = store.join.span('spam', 'press-3', 0, 1e9, 1e6);
    expect(all.map(({ id }) => id)).toEqual(
      Array.from({ length: 3_000 }, (_, i) => i)
        .filter((i) => i % 7 === 3)
        .map(row),
    );
    const some = store.join.span('spam', 'press-3', 1_100, 2_000, 5);
    expect(some.map(({ id }) => id)).toEqual([101, 108, 115, 122, 129].map(row));
    expect(store.join.span('spam', 'press-3', 1_101, 1_101, 5).map(({ id }) => id)).toEqual([row(101)]);
    expect(store.join.span('other', 'press-3', 0, 1e9, 5)).toEqual([]);
  });

  test('spans rows in order of time however their times are scattered over chunks', async () => {
    const store = await here.open(small);
    const expected = new Map<number, JoinedRow>();
    const count = 3_000;
    for (let n = 0; n < count; n += 60) {
      const named = Array.from({ length: 60 }, (_, i) => {
        const at = ((n + i) * 769) % count;
        return { id: `e${at}`, device: i % 3 === 2 ? 'other' : 'press', at };
      });
      const batch = batchOf('spam', named);
      await store.join.put(batch);
      named.forEach(({ device, at }, i) => {
        if (device === 'press') expected.set(at, expectedRow(batch, i));
      });
    }
    const all = [...expected].sort(([a], [b]) => a - b).map(([, row]) => row);
    expect(store.join.span('spam', 'press', 0, count, count)).toEqual(all);
    expect(store.join.span('spam', 'press', 0, count, 37)).toEqual(all.slice(0, 37));
    // A row delivered twice takes no place of another, neither before the limit nor at it.
    await store.join.put(batchOf('spam', [{ id: all[5].id, device: 'press', at: all[5].at + 0.5 }]));
    const ids = store.join.span('spam', 'press', 0, count, 37).map(({ id }) => id);
    expect(ids).toEqual(all.slice(0, 37).map(({ id }) => id));
  });

  test('opens a chunk once for all its rows, and for names asked for in a row', async () => {
    const store = await here.open();
    await store.join.put(batchOf('spam', ids(0, 500)));
    await store.join.put(batchOf('spam', ids(500, 500)));
    const glances = vi.spyOn(Table.prototype, 'glance');
    expect(store.join.span('spam', 'press-3', 0, 1e9, 1e6)).toHaveLength(143);
    expect(glances).toHaveBeenCalledTimes(2);
    glances.mockClear();
    for (let n = 0; n < 100; n++) expect(store.join.find('spam', `topic/0/${n}`)?.at).toBe(1_000 + n);
    expect(glances).toHaveBeenCalledTimes(1);
    glances.mockRestore();
  });

  test('never answers from a chunk that is gone, or whose number was given again', async () => {
    const store = await here.open(small);
    for (let n = 0; n < 30; n++) await store.join.put(batchOf('spam', ids(n * 100, 100)));
    expect(store.join.find('spam', 'topic/0/0')).not.toBeNull();
    for (let n = 30; n < 150; n++) await store.join.put(batchOf('spam', ids(n * 100, 100)));
    await store.sweep();
    expect(store.join.find('spam', 'topic/0/0')).toBeNull();
    failNext();
    const failing = store.join.put(batchOf('spam', [{ id: 'lost', device: 'd', at: 1 }]));
    expect(store.join.find('spam', 'lost')?.at).toBe(1);
    await expect(failing).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await store.join.put(batchOf('spam', [{ id: 'next', device: 'd', at: 2 }]));
    expect(store.join.find('spam', 'lost')).toBeNull();
    expect(store.join.find('spam', 'next')?.at).toBe(2);
    vi.restoreAllMocks();
  });

  test('drops the oldest over the limit in bytes, counts them, and keeps the newest', async () => {
    const store = await here.open(small);
    for (let n = 0; n < 150; n++) await store.join.put(batchOf('spam', ids(n * 100, 100)));
    await store.sweep();
    const evicted = await here.telemetry.value('join_evicted', { task: 'spam' });
    expect(evicted).toBeGreaterThan(0);
    expect(evicted % 100).toBe(0);
    for (const i of [0, evicted - 1]) expect(store.join.find('spam', `topic/0/${i}`)).toBeNull();
    for (const i of [evicted, 14_999]) expect(store.join.find('spam', `topic/0/${i}`)).not.toBeNull();
    await store.close();
    const again = await here.open(small);
    for (const i of [0, evicted - 1]) expect(again.join.find('spam', `topic/0/${i}`)).toBeNull();
    for (const i of [evicted, 14_999]) expect(again.join.find('spam', `topic/0/${i}`)).not.toBeNull();
  });

  test('drops what is older than the limit in age, and nothing much younger', async () => {
    const store = await here.open({ join: { age: '16h' } });
    for (let hour = 0; hour < 30; hour++) {
      await store.join.put(batchOf('spam', [{ id: `h-${hour}` }]));
      await store.sweep();
      here.clock.ms += 3_600_000;
    }
    await store.sweep();
    for (const hour of [0, 10]) expect(store.join.find('spam', `h-${hour}`)).toBeNull();
    for (const hour of [16, 29]) expect(store.join.find('spam', `h-${hour}`)).not.toBeNull();
  });

  test('an idle store still forgets what is too old', async () => {
    const store = await here.open({ join: { age: '1h' } });
    await store.join.put(batchOf('spam', [{ id: 'last' }]));
    here.clock.ms += 3 * 3_600_000;
    await store.sweep();
    expect(store.join.find('spam', 'last')).toBeNull();
    expect(await here.telemetry.value('join_evicted')).toBe(1);
  });
});

type Step =
  | { readonly kind: 'put'; readonly task: number; readonly names: readonly number[]; readonly wait: boolean }
  | { readonly kind: 'restart' };

const steps = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        task: fc.nat(1),
        names: fc.array(fc.nat(300), { minLength: 1, maxLength: 60 }),
        wait: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  ),
  { minLength: 5, maxLength: 30 },
);

/** Runs steps against a Map; every name and device must agree at the end of each. */
async function agrees(run: readonly Step[]): Promise<void> {
  const own = bench();
  try {
    let store: Store = await own.open({ join: { bytes: '1MiB' } });
    const model = new Map<string, JoinedRow>();
    let at = 0;
    for (const step of run) {
      if (step.kind === 'restart') {
        await store.close();
        store = await own.open({ join: { bytes: '1MiB' } });
        continue;
      }
      const named = step.names.map((n) => ({
        id: `n${n}`,
        device: `d${n % 3}`,
        at: at++,
        aliases: [`a${n}`],
      }));
      const batch = batchOf(`t${step.task}`, named);
      const done = store.join.put(batch);
      if (step.wait) await done;
      for (let i = 0; i < named.length; i++) model.set(`t${step.task} ${named[i].id}`, expectedRow(batch, i));
    }
    for (let task = 0; task < 2; task++) {
      for (let n = 0; n <= 300; n++) {
        const expected = model.get(`t${task} n${n}`) ?? null;
        expect(store.join.find(`t${task}`, `n${n}`)).toEqual(expected);
        expect(store.join.find(`t${task}`, `a${n}`)).toEqual(expected);
      }
      for (let d = 0; d < 3; d++) {
        const expected = [...model]
          .filter(([name, row]) => name.startsWith(`t${task} `) && row.device === `d${d}`)
          .map(([, row]) => row)
          .sort((a, b) => a.at - b.at);
        expect(store.join.span(`t${task}`, `d${d}`, 0, at, 1e6)).toEqual(expected);
      }
    }
  } finally {
    await own.done();
  }
}

describe('join lookup equals a map', () => {
  test('with the real hash', () => fc.assert(fc.asyncProperty(steps, agrees), { numRuns: 15, seed: 1 }));

  test('with a hash of four bits: collisions cost reads, never a wrong row', () => {
    weak.bits = 4;
    return fc.assert(fc.asyncProperty(steps, agrees), { numRuns: 6, seed: 2 });
  });
});
