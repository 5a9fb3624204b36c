import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool, type PoolLimits } from '../../src/state/pool.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { compiled } from '../compiled.ts';
import { failNext } from './failing.ts';
import { labelled, wanted } from './pool-kit.ts';
import { startChild, testClock } from './support.ts';

let root: string;
let clock: ReturnType<typeof testClock>;
let telemetry: Telemetry;
let pools: Pool[];
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sluice-pool-'));
  clock = testClock();
  telemetry = new Telemetry({ level: 'silent' });
  pools = [];
});
afterEach(async () => {
  for (const pool of pools) await pool.close();
  rmSync(root, { recursive: true, force: true });
});

async function open(limits: Partial<PoolLimits> = {}): Promise<Pool> {
  const all = { bytes: 2 ** 30, age: 1e9, ...limits };
  const pool = await openPool({ path: path.join(root, 'hub.store'), limits: all, clock, telemetry });
  pools.push(pool);
  return pool;
}

const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => labelled(from + i));
const seqs = (pool: Pool) => pool.read('spam', 0, 10_000).rows.map(({ seq }) => seq);
const nothing = { added: 0, duplicates: 0, corrected: 0, withdrawn: 0, refused: 0 };

describe('a pool of labelled rows', () => {
  test('gives every field of every row back, in order of arrival, after a restart too', async () => {
    const rows = [labelled(5), labelled(2), labelled(9, { paired: null })];
    const pool = await open();
    expect(await pool.put(rows)).toEqual({ ...nothing, added: 3 });
    const expected = rows.map((row, i) => ({ ...row, position: i + 1, first: true }));
    expect(pool.read('spam', 0, 10)).toEqual({ rows: expected, through: 3 });
    await pool.close();
    const again = await open();
    expect(again.read('spam', 0, 2)).toEqual({ rows: expected.slice(0, 2), through: 2 });
    expect(again.read('spam', 2, 9)).toEqual({ rows: expected.slice(2), through: 3 });
    expect(again.read('spam', 3, 9)).toEqual({ rows: [], through: 3 });
    expect(again.read('other', 0, 9).rows).toEqual([]);
  });

  test('takes a row once, and tells a duplicate, a correction and a withdrawal apart', async () => {
    const pool = await open();
    await pool.put([labelled(1), labelled(2)]);
    expect(await pool.put([labelled(1), labelled(2)])).toEqual({ ...nothing, duplicates: 2 });
    expect(await pool.put([labelled(1, { seq: 10, label: 0 })])).toEqual({ ...nothing, corrected: 1 });
    expect(await pool.put([labelled(1, { seq: 9 })])).toEqual({ ...nothing, duplicates: 1 });
    expect(await pool.put([labelled(2, { seq: 11, label: -1 })])).toEqual({ ...nothing, withdrawn: 1 });
    const { rows } = pool.read('spam', 0, 10);
    expect(rows.map(({ event, seq, label }) => [event, seq, label])).toEqual([
      ['e-1', 10, 0],
      ['e-2', 11, -1],
    ]);
    expect([pool.count('spam'), pool.arrived('spam')]).toEqual([1, 3]);
    expect((await pool.set('spam', wanted)).heads.map(({ event }) => event)).toEqual(['e-1']);
  });

  test('keeps what was withdrawn out, however late or early the label comes, until a newer one', async () => {
    const pool = await open();
    expect(await pool.put([labelled(3, { seq: 8, label: -1 })])).toEqual({ ...nothing, withdrawn: 1 });
    expect(await pool.put([labelled(3)])).toEqual({ ...nothing, duplicates: 1 });
    expect(pool.count('spam')).toBe(0);
    expect(await pool.put([labelled(3, { seq: 9 })])).toEqual({ ...nothing, corrected: 1 });
    expect(pool.count('spam')).toBe(1);
  });

  test('does so within one batch too', async () => {
    const pool = await open();
    const batch = [
      labelled(1),
      labelled(1, { seq: 5, label: 0 }),
      labelled(1, { seq: 4 }),
      labelled(1, { seq: 6, label: -1 }),
    ];
    expect(await pool.put(batch)).toEqual({
      ...nothing,
      added: 1,
      corrected: 1,
      duplicates: 1,
      withdrawn: 1,
    });
    expect(seqs(pool)).toEqual([6]);
    expect(pool.count('spam')).toBe(0);
  });

  test('says which rows are the first word on their event', async () => {
    const pool = await open();
    await pool.put([labelled(1), labelled(2), labelled(3, { label: -1 })]);
    await pool.put([labelled(2, { seq: 9 }), labelled(3, { seq: 10 }), labelled(4)]);
    expect(pool.read('spam', 0, 9).rows.map(({ event, first }) => [event, first])).toEqual([
      ['e-1', true],
      ['e-2', false],
      ['e-3', false],
      ['e-4', true],
    ]);
  });

  test('keeps sites and tasks apart that use the same names', async () => {
    const pool = await open();
    await pool.put([labelled(1), labelled(1, { site: 'south' }), labelled(1, { task: 'machine' })]);
    await pool.put([labelled(1, { site: 'south', seq: 4, label: -1 })]);
    expect([pool.count('spam'), pool.count('machine')]).toEqual([1, 1]);
    expect(pool.through('spam')).toEqual({ north: 1, south: 4 });
    expect(pool.through('machine')).toEqual({ north: 1 });
  });

  test('refuses, beside the others, a row that is too large', async () => {
    const pool = await open();
    const cells = 1_000_001;
    const large = {
      count: 1,
      indptr: Uint32Array.of(0, cells),
      indices: new Uint32Array(cells),
      values: new Float32Array(cells),
    };
    const rows = { ...large, denseDims: 0, dense: new Float32Array(0) };
    expect(await pool.put([labelled(1, { rows }), labelled(2)])).toEqual({
      ...nothing,
      refused: 1,
      added: 1,
    });
    expect(seqs(pool)).toEqual([2]);
  });

  test('whose disk fails takes none of a batch, and goes on as if it had not been', async () => {
    const pool = await open();
    await pool.put([labelled(1)]);
    failNext();
    await expect(pool.put([labelled(1, { seq: 4, label: 0 }), labelled(2)])).rejects.toMatchObject({
      code: /STORE_/,
    });
    expect(seqs(pool)).toEqual([1]);
    expect(await pool.put([labelled(2)])).toEqual({ ...nothing, added: 1 });
    expect(pool.count('spam')).toBe(2);
    expect(pool.health().ok).toBe(true);
  });

  test('counts by label, device and origin, of all or of what is new', async () => {
    const pool = await open();
    await pool.put(many(1, 8));
    const { position } = pool;
    await pool.put([labelled(9, { site: 'south' }), labelled(10, { label: -1 })]);
    const all = await pool.counts('spam');
    expect(all.rows).toBe(9);
    expect(all.newest).toBe(2_009);
    expect(Object.fromEntries(all.byLabel)).toEqual({ 0: 4, 1: 5 });
    expect(Object.fromEntries(all.byDevice)).toEqual({
      'north/d0': 2,
      'north/d1': 3,
      'north/d2': 3,
      'south/d0': 1,
    });
    expect(Object.fromEntries(all.byOrigin)).toEqual({ robot: 2, desk: 7 });
    expect((await pool.counts('spam', { after: position })).rows).toBe(1);
    expect((await pool.counts('spam', { since: 2_008 })).rows).toBe(2);
  });

  test('remembers what the hub tells it to', async () => {
    const pool = await open();
    expect(pool.readState('rollout')).toBeNull();
    await pool.saveState('rollout', '{"serial":4}');
    await pool.saveState('other', 'ö');
    await pool.close();
    const again = await open();
    expect(again.readState('rollout')).toBe('{"serial":4}');
    await again.saveState('rollout', null);
    expect([again.readState('rollout'), again.readState('other')]).toEqual([null, 'ö']);
  });

  test('belongs to one hub at a time', async () => {
    await open();
    await expect(open()).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });
});

describe('a set to train on', () => {
  test('is oldest to newest by the time of the label, whatever the order of arrival', async () => {
    const pool = await open();
    const rows = [labelled(7), labelled(2), labelled(5), labelled(3, { labelledAt: 2_005 })];
    await pool.put(rows);
    const { set, heads } = await pool.set('spam', wanted);
    expect(heads.map(({ event }) => event)).toEqual(['e-2', 'e-5', 'e-3', 'e-7']);
    expect([...set.at]).toEqual([2_002, 2_005, 2_005, 2_007]);
    expect([...set.labels]).toEqual([0, 1, 1, 1]);
    expect([...set.weights]).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect([...set.rows.indptr]).toEqual([0, 3, 6, 9, 12]);
    expect([...set.rows.values.subarray(0, 3)]).toEqual([2, 0.25, -0.25]);
    expect([...set.rows.indices.subarray(9, 12)]).toEqual([7, 7, 900]);
    expect(set.rows.dense[3]).toBe(Math.fround(5 / 3));
    expect(set.rows.dense[2]).toBeNaN();
  });

  test('holds no more rows or bytes than asked for: the newest', async () => {
    const pool = await open();
    await pool.put(many(1, 40));
    const events = async (over: object) =>
      (await pool.set('spam', { ...wanted, ...over })).heads.map(({ seq }) => seq);
    expect(await events({ maxRows: 3 })).toEqual([38, 39, 40]);
    expect(await events({ maxBytes: 2 * (3 * 8 + 2 * 4 + 20) })).toEqual([39, 40]);
    expect(await events({ maxRows: 0 })).toEqual([]);
    expect(await events({ upTo: 4 })).toEqual([1, 2, 3, 4]);
    expect(await events({ since: 2_010, until: 2_012 })).toEqual([10, 11]);
    expect(
      await events({ select: ({ origin }: { origin: string }) => origin === 'robot', maxRows: 2 }),
    ).toEqual([36, 40]);
  });

  test('leaves out rows of other features, and rows that lie about theirs', async () => {
    const pool = await open();
    const wide = labelled(4).rows;
    await pool.put([
      labelled(1),
      labelled(2, { features: 'f-2' }),
      labelled(3, { rows: { ...wide, denseDims: 1, dense: Float32Array.of(1) } }),
      labelled(4, { rows: { ...wide, indices: Uint32Array.of(1, 2, 5_000) } }),
      labelled(5, { label: 7 }),
      labelled(6),
    ]);
    const { set, heads } = await pool.set('spam', wanted);
    expect(heads.map(({ seq }) => seq)).toEqual([1, 6]);
    expect([set.rows.count, set.labels.length, set.rows.indptr.length]).toEqual([2, 2, 3]);
    expect(set.rows.values[3]).toBe(6);
  });

  test('is not led by a clock that runs ahead', async () => {
    const pool = await open();
    await pool.put([labelled(1, { labelledAt: clock.ms + 1e12 })]);
    clock.ms += 10_000;
    await pool.put([labelled(2, { labelledAt: clock.ms })]);
    expect((await pool.set('spam', { ...wanted, maxRows: 1 })).heads[0].event).toBe('e-2');
  });

  test('of thousands of rows is whole', async () => {
    const pool = await open();
    for (let n = 0; n < 4_000; n += 1_000) await pool.put(many(n + 1, 1_000));
    const { set } = await pool.set('spam', wanted);
    expect(set.rows.count).toBe(4_000);
    expect([...set.rows.values.filter((_, i) => i % 3 === 0)]).toEqual(
      Array.from({ length: 4_000 }, (_, i) => i + 1),
    );
  });
});

describe('forgetting', () => {
  test('an event takes its row out for good, on every site, and lets a later label in', async () => {
    const pool = await open();
    await pool.put([labelled(1), labelled(1, { site: 'south' }), labelled(2)]);
    expect(await pool.forget({ task: 'spam', event: 'e-1' })).toBe(2);
    expect(await pool.forget({ task: 'spam', event: 'e-1' })).toBe(0);
    await pool.close();
    const again = await open();
    expect(again.count('spam')).toBe(1);
    expect(await again.put([labelled(1)])).toEqual({ ...nothing, duplicates: 1 });
    expect(await again.put([labelled(1, { seq: 9 })])).toEqual({ ...nothing, corrected: 1 });
    expect((await again.set('spam', wanted)).heads.map(({ event }) => event)).toEqual(['e-1', 'e-2']);
  });

  test('a device or an origin leaves nothing of theirs but names that keep the labels out', async () => {
    const pool = await open();
    await pool.put([...many(1, 12), ...many(1, 3).map((row) => ({ ...row, site: 'south' }))]);
    expect(await pool.forget({ site: 'north', device: 'd1' })).toBe(4);
    expect(await pool.forget({ origin: 'robot' })).toBe(2);
    const { rows } = pool.read('spam', 0, 100);
    expect(rows.filter(({ site, device }) => site === 'north' && device === 'd1')).toEqual([]);
    expect(rows.filter(({ origin }) => origin === 'robot')).toEqual([]);
    expect([pool.count('spam'), rows.filter(({ label }) => label < 0).length]).toEqual([9, 6]);
    expect(await pool.put(many(1, 12))).toEqual({ ...nothing, duplicates: 12 });
  });
});

describe('limits', () => {
  test('of age take the oldest arrivals of every task out', async () => {
    const pool = await open({ age: 60_000 });
    await pool.put([labelled(1), labelled(2, { task: 'machine' }), labelled(3, { label: -1 })]);
    clock.ms += 50_000;
    await pool.put([labelled(4)]);
    clock.ms += 20_000;
    await pool.sweep();
    expect([seqs(pool), pool.count('machine'), pool.count('spam')]).toEqual([[4], 0, 1]);
    await pool.put([labelled(1)]);
    expect(seqs(pool)).toEqual([4, 1]);
  });

  test('of rows and bytes keep the newest, and the bytes are counted down to nothing', async () => {
    const pool = await open({ rows: 100 });
    await pool.put(many(1, 500));
    await pool.sweep();
    expect(seqs(pool)).toEqual(Array.from({ length: 100 }, (_, i) => 401 + i));
    const each = pool.bytes / 100;
    await pool.close();
    const small = await open({ bytes: Math.ceil(each * 10) });
    await small.sweep();
    expect(seqs(small)).toEqual(Array.from({ length: 10 }, (_, i) => 491 + i));
    clock.ms += 2e9;
    await small.sweep();
    expect([small.bytes, small.count('spam'), small.arrived('spam')]).toEqual([0, 0, 500]);
  });
});

describe('a pool that began empty', () => {
  test('is fresh until it was filled, over restarts too', async () => {
    const pool = await open();
    await pool.put([labelled(1)]);
    await pool.close();
    const again = await open();
    expect(again.fresh).toBe(true);
    await again.filled();
    expect(again.fresh).toBe(false);
    await again.close();
    expect((await open()).fresh).toBe(false);
  });

  test('because the old one was damaged says so, and keeps the damaged one', async () => {
    const pool = await open();
    await pool.put(many(1, 500));
    await pool.filled();
    await pool.close();
    truncateSync(path.join(root, 'hub.store', 'data.mdb'), 20_000);
    const fresh = await open();
    expect([fresh.fresh, fresh.count('spam')]).toEqual([true, 0]);
    expect(await telemetry.value('store_set_aside')).toBe(1);
    expect(readdirSync(root).some((name) => name.startsWith('hub.store.damaged-'))).toBe(true);
    expect(await fresh.put([labelled(1)])).toEqual({ ...nothing, added: 1 });
  });
});

describe('SIGKILL', () => {
  let script: string;
  beforeAll(async () => {
    script = await compiled('test/state/pool-child.ts');
  });

  test('loses nothing that was called durable, and brings nothing back', async () => {
    const lines: string[] = [];
    for (let round = 1; round <= 2; round++) {
      const child = startChild(process.execPath, [script, path.join(root, 'hub.store'), String(round)]);
      await child.saidSo(60 + 50 * round);
      child.kill();
      expect((await child.ended).signal).toBe('SIGKILL');
      lines.push(...child.lines);
      const pool = await open();
      expect(await telemetry.value('store_set_aside')).toBe(0);
      const there = new Map(pool.read('spam', 0, 1e6).rows.map((row) => [row.event, row]));
      const gone = new Set(
        lines.filter((line) => /^(withdrawn|forgot)/.test(line)).map((line) => Number(line.split(' ')[1])),
      );
      for (const n of gone) expect(there.get(`e-${n}`)?.label, `e-${n}`).toBe(-1);
      for (const line of lines.filter((each) => each.startsWith('put '))) {
        const n = Number(line.split(' ')[1]);
        for (const i of [0, 3, 9]) expect(there.get(`e-${n + i}`)?.rows, line).toEqual(labelled(n + i).rows);
      }
      const effective = [...there.values()].filter(({ label }) => label >= 0);
      expect(pool.count('spam')).toBe(effective.length);
      expect((await pool.set('spam', wanted)).set.rows.count).toBe(effective.length);
      expect(there.size).toBe(pool.read('spam', 0, 1e6).rows.length);
      expect(pool.readState('hub')).toMatch(/^at \d+$/);
      await pool.close();
    }
  }, 30_000);
});
