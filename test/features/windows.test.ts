import { describe, expect, test } from 'vitest';
import type { Event, JoinedRow } from '../../src/contract.ts';
import { WINDOW_STATS } from '../../src/features/window-stats.ts';
import { seededRandom } from '../../src/task/random.ts';
import { eventOf, NUMBERS, open, rowOf, rowsOf } from './sensor-kit.ts';

const ALL = { on: true, stats: [...WINDOW_STATS], count: 8, halfLives: [2, '10s'] };
const SECOND = 1_000;
const NAN = Number.NaN;

/** A walk of a device, a reading a second; every seventh y is missing. */
function walk(count: number, seed = 1, device = 'd'): Event[] {
  const random = seededRandom(seed, `walk ${device}`);
  let x = 0;
  return Array.from({ length: count }, (_, i) => {
    x += random() - 0.5;
    return eventOf({ device, at: 1e12 + i * SECOND, values: [x, i % 7 === 3 ? NAN : 100 + 10 * random()] });
  });
}

/** Swaps neighbours within `reach` places. */
function jumbled(events: readonly Event[], reach: number, seed = 5): Event[] {
  const random = seededRandom(seed, 'jumble');
  return events
    .map((event, i) => ({ event, key: i + random() * reach }))
    .sort((a, b) => a.key - b.key)
    .map(({ event }) => event);
}

describe('a window tells', () => {
  const at = (i: number) => 1e12 + i * 10 * SECOND;
  const five = [1, 2, 4, 8, 16].map((x, i) => eventOf({ at: at(i), values: [x, 0] }));

  test('what the device sent before, and how the reading departs from it', () => {
    const featurizer = open({ windows: { ...ALL, halfLives: [1] } });
    const row = rowsOf(featurizer, five)[4];
    expect(row['x lag']).toBe(8);
    expect(row['x difference']).toBe(8);
    expect(row['x mean']).toBe(3.75);
    expect(row['x deviation']).toBeCloseTo(Math.sqrt(7.1875), 5);
    expect([row['x min'], row['x max']]).toEqual([1, 8]);
    // Least squares of 1 2 4 8 over 0 10 20 30 s: 2.3 in 10 s.
    expect(row['x slope']).toBeCloseTo(0.23, 6);
    // Weights 1/8 1/4 1/2 1.
    const average = (1 / 8 + 2 / 4 + 4 / 2 + 8) / (1 / 8 + 1 / 4 + 1 / 2 + 1);
    expect(row['x ewma 1']).toBeCloseTo(average, 5);
    expect(row['x departure 1']).toBeCloseTo(16 - average, 5);
  });

  test('nothing at all of a value that never moves, not even a rounding', () => {
    const featurizer = open({ windows: { ...ALL, count: 30 } });
    const still = Array.from({ length: 40 }, (_, i) => eventOf({ at: at(i), values: [0.1, 1e9 / 3] }));
    for (const row of rowsOf(featurizer, still).slice(2))
      for (const [name, value] of Object.entries(row))
        if (/difference|deviation|slope|departure/.test(name)) expect(value, name).toBe(0);
  });

  test('exponential means over time as over readings, where readings come evenly', () => {
    const row = rowsOf(open({ windows: { ...ALL, halfLives: [2, '20s'] } }), five)[4];
    expect(row['x ewma 20s']).toBeCloseTo(row['x ewma 2'], 6);
  });

  test('nothing where there is nothing before, and nothing of what was missing', () => {
    const featurizer = open({ windows: ALL });
    const first = rowOf(featurizer, eventOf({ at: at(0), values: [1, NAN] }));
    for (const stat of ['lag', 'difference', 'mean', 'deviation', 'min', 'max', 'slope', 'ewma 2'])
      expect(first[`x ${stat}`]).toBeNaN();
    const second = rowOf(featurizer, eventOf({ at: at(1), values: [2, 5] }));
    expect([second['x lag'], second['y lag'], second['y mean']]).toEqual([1, NAN, NAN]);
    expect(second['x deviation']).toBeNaN(); // one reading does not vary
    expect(rowOf(featurizer, eventOf({ at: at(2), values: [2, NAN] }))['y difference']).toBeNaN();
  });

  test('as far back as count and span allow', () => {
    const events = walk(40);
    const short = rowsOf(open({ windows: { ...ALL, count: 4 } }), events)[39];
    const values = events.slice(35, 39).map(({ body }) => (body.kind === 'reading' ? body.values[0] : NAN));
    expect(short['x mean']).toBeCloseTo(values.reduce((a, b) => a + b) / 4, 6);
    const spanned = rowsOf(open({ windows: { ...ALL, count: 30, span: '4s' } }), events)[39];
    expect(spanned).toEqual(short);
  });

  test('of each device its own', () => {
    const [a, b] = [walk(20, 1, 'a'), walk(20, 2, 'b')];
    const alone = rowsOf(open({ windows: ALL }), b);
    const mixed = rowsOf(
      open({ windows: ALL }),
      a.flatMap((event, i) => [event, b[i]]),
    );
    expect(mixed.filter((_, i) => i % 2 === 1)).toEqual(alone);
  });

  test('only of the fields that are named, which must be plain numbers', () => {
    const named = open({ windows: { ...ALL, fields: ['y'] } });
    expect(named.columns.some(({ name }) => name === 'x lag')).toBe(false);
    expect(named.columns.filter(({ field }) => field === 'y').length).toBe(2 + WINDOW_STATS.length + 2);
    const refused = expect.objectContaining({ code: 'CONFIG_INVALID' });
    expect(() => open({ windows: { ...ALL, fields: ['z'] } })).toThrowError(refused);
    const fields = { ...NUMBERS, on: { type: 'boolean' } } as const;
    expect(() => open({ windows: { ...ALL, fields: ['on'] } }, fields)).toThrowError(refused);
  });

  test('without any time, in the order in which readings come', () => {
    const timed = rowsOf(open({ windows: { ...ALL, halfLives: [2] } }), walk(30));
    const blank = walk(30).map((event, i) => ({ ...event, id: `f#${i}`, at: 0 }));
    const untimed = rowsOf(open({ windows: { ...ALL, halfLives: [2] } }), blank);
    for (const [i, row] of untimed.entries())
      for (const name of Object.keys(row))
        if (!name.includes('slope')) expect(row[name]).toBe(timed[i][name]);
  });
});

describe('however readings come', () => {
  test('in order or out of order, the rows after them are the same', () => {
    const events = walk(60);
    const inOrder = rowsOf(open({ windows: ALL }), events);
    for (const seed of [1, 2, 3]) {
      const featurizer = open({ windows: ALL });
      rowsOf(featurizer, jumbled(events.slice(0, 50), 6, seed));
      expect(rowsOf(featurizer, events.slice(50))).toEqual(inOrder.slice(50));
    }
  });

  test('a late one sees what was before it, and not what came before it from after it', () => {
    const events = walk(30);
    const inOrder = rowsOf(open({ windows: ALL }), events);
    const featurizer = open({ windows: ALL });
    rowsOf(featurizer, [...events.slice(0, 20), ...events.slice(21, 26)]);
    expect(rowOf(featurizer, events[20])).toEqual(inOrder[20]);
  });

  test('delivered again, at once or later, they give the same row and change nothing', () => {
    const events = walk(40);
    const once = rowsOf(open({ windows: ALL }), events);
    const featurizer = open({ windows: ALL });
    for (const [i, event] of events.entries()) {
      expect(rowOf(featurizer, event)).toEqual(once[i]);
      expect(rowOf(featurizer, event)).toEqual(once[i]);
      if (i >= 5) expect(rowOf(featurizer, events[i - 5])).toEqual(once[i - 5]);
    }
    expect(featurizer.memory?.take().duplicates).toBe(40 + 35);
  });

  test('delivered again under another time of their transport, they count once where they have a name', () => {
    const [first, second, third] = walk(3);
    const featurizer = open({ windows: ALL });
    rowsOf(featurizer, [first, second, { ...second, at: second.at + 500 }]);
    const plain = open({ windows: ALL });
    rowsOf(plain, [first, second]);
    expect(rowOf(featurizer, third)).toEqual(rowOf(plain, third));
  });

  test('equal payloads at different times are two readings, though a digest cannot tell them apart', () => {
    const featurizer = open({ windows: ALL });
    const weak = (at: number) => eventOf({ id: 'sha256:1', weak: true, at, values: [at === 3 ? 3 : 1, 0] });
    rowsOf(featurizer, [weak(1), weak(2)]);
    expect(featurizer.memory?.take().duplicates).toBe(0);
    rowOf(featurizer, weak(2));
    expect(featurizer.memory?.take().duplicates).toBe(1);
  });

  test('at the same moment they do not see each other, and stand the same whichever came first', () => {
    const at = 1e12;
    const twins = ['a', 'b', 'c'].map((id, i) => eventOf({ id, at, values: [i, i] }));
    const next = eventOf({ at: at + 1, values: [9, 9] });
    const rows = [twins, [...twins].reverse()].map((order) => {
      const featurizer = open({ windows: ALL });
      for (const row of rowsOf(featurizer, order)) expect(row['x lag']).toBeNaN();
      return rowOf(featurizer, next);
    });
    expect(rows[1]).toEqual(rows[0]);
  });

  test('too late they are scored and not remembered', () => {
    const events = walk(30);
    const featurizer = open({ windows: { ...ALL, lateness: '5s' } });
    rowsOf(featurizer, [...events.slice(0, 10), ...events.slice(11, 29)]);
    const late = rowOf(featurizer, events[10]);
    expect(late.x).toBeCloseTo(events[10].body.kind === 'reading' ? events[10].body.values[0] : NAN, 6);
    expect(featurizer.memory?.take().late).toBe(1);
    const without = open({ windows: { ...ALL, lateness: '5s' } });
    rowsOf(without, [...events.slice(0, 10), ...events.slice(11, 29)]);
    expect(rowOf(featurizer, events[29])).toEqual(rowOf(without, events[29]));
  });

  test('a window that is no longer held whole is missing, not half', () => {
    const events = walk(200);
    const featurizer = open({ windows: ALL });
    const rows = rowsOf(featurizer, events);
    expect(rows[20]['x mean']).not.toBeNaN();
    expect(rowOf(featurizer, events[20])['x mean']).toBeNaN();
    expect(rowOf(featurizer, events[198])).toEqual(rows[198]);
  });

  test('a clock that jumped into the future and was set back does not silence a device for ever', () => {
    const featurizer = open({ windows: ALL });
    rowsOf(featurizer, walk(10));
    rowOf(featurizer, eventOf({ at: 4e12, values: [0, 0] }));
    const after = walk(60).slice(10);
    const rows = rowsOf(featurizer, after);
    expect(featurizer.memory?.take()).toMatchObject({ restarted: 1, late: 16 });
    expect(rows[49]).toEqual(rowsOf(open({ windows: ALL }), walk(60))[59]);
  });

  test('describe remembers nothing', () => {
    const events = walk(20);
    const [looked, plain] = [open({ windows: ALL }), open({ windows: ALL })];
    for (const event of events) {
      const cells = looked.describe(event);
      const row = rowOf(looked, event);
      for (const { name, value } of cells) expect(value).toBe(row[name]);
      looked.describe(event);
      expect(row).toEqual(rowOf(plain, event));
    }
  });
});

describe('what is remembered', () => {
  test('is bounded however many devices there are, and the recently heard stay', () => {
    const windows = { ...ALL, devices: 500 };
    const featurizer = open({ windows });
    const memory = featurizer.memory!;
    const regular = (i: number) => eventOf({ device: 'regular', at: 1e12 + i, values: [i, i] });
    let most = 0;
    for (let i = 0; i < 5_000; i += 1) {
      rowOf(featurizer, eventOf({ device: `d${i}`, at: 1e12 + i, values: [i, i] }));
      if (i % 100 === 0) rowOf(featurizer, regular(i));
      if (i > 500) most = Math.max(most, memory.bytes);
      if (i === 600) expect(memory.bytes).toBeLessThan(500 * 1_500);
    }
    expect(memory.devices).toBe(500);
    expect(memory.take().evicted).toBe(4_501);
    expect(most).toBe(memory.bytes);
    expect(rowOf(featurizer, regular(5_000))['x lag']).toBe(4_900);
  });

  test('is bounded in bytes, by which fewer devices fit', () => {
    const featurizer = open({ windows: { ...ALL, memory: '64KiB' } });
    for (let i = 0; i < 1_000; i += 1) rowOf(featurizer, eventOf({ device: `d${i}`, at: 1, values: [i, i] }));
    expect(featurizer.memory!.devices).toBeLessThan(100);
    expect(() => open({ windows: { ...ALL, memory: 100 } })).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });

  test('saved and restored at any point, it gives the same rows, late and repeated readings included', async () => {
    const events = jumbled(
      ['a', 'b', 'c'].flatMap((device) => walk(50, 3, device)),
      9,
    );
    const stream = [...events, ...events.slice(-30)];
    const whole = rowsOf(open({ windows: ALL }), stream);
    for (const cut of [0, 1, 40, 149, 170]) {
      const before = open({ windows: ALL });
      rowsOf(before, stream.slice(0, cut));
      before.memory!.enter('plant', `readings/3/${cut}`);
      before.memory!.applied();
      const after = open({ windows: ALL });
      after.memory!.restore(await before.memory!.save());
      expect(after.memory!.position('plant', 'readings/3')).toBe(cut);
      expect(after.memory!.position('plant', 'readings/4')).toBe(-1);
      expect(rowsOf(after, stream.slice(cut))).toEqual(whole.slice(cut));
    }
  });

  test('keeps the partitions of each source apart, over a restart too', async () => {
    const [a, b] = [walk(20, 1), walk(20, 2)];
    const alone = rowsOf(open({ windows: ALL }), b);
    let featurizer = open({ windows: ALL });
    for (const [i, event] of a.entries()) {
      featurizer.memory!.enter('in', `t/0/${i}`);
      rowOf(featurizer, event);
      featurizer.memory!.enter('in', `t/1/${i}`);
      expect(rowOf(featurizer, { ...b[i], id: `b${i}` })).toEqual(alone[i]);
      featurizer.memory!.applied();
      if (i !== 10) continue;
      const bytes = await featurizer.memory!.save();
      featurizer = open({ windows: ALL });
      featurizer.memory!.restore(bytes);
      expect([featurizer.memory!.devices, featurizer.memory!.position('in', 't/1')]).toEqual([2, 10]);
    }
  });

  test('lets go of a partition that others had meanwhile, unless all of that is read back', () => {
    const events = walk(60);
    const whole = rowsOf(open({ windows: ALL }), events);
    const at = (featurizer: ReturnType<typeof open>, i: number, replay = false) => {
      featurizer.memory!.enter('in', `t/0/${i}`, replay);
      const row = rowOf(featurizer, events[i]);
      featurizer.memory!.applied();
      return row;
    };
    for (const back of [10, 20, 21, 28, 33]) {
      const featurizer = open({ windows: ALL });
      for (let i = 0; i <= 20; i += 1) at(featurizer, i);
      for (let i = back; i < 40; i += 1) at(featurizer, i, true);
      if (back <= 32) expect(at(featurizer, 40)).toEqual(whole[40]);
      // Seven of eight readings, and none from before the gap.
      else expect(at(featurizer, 40)['x mean']).not.toBe(whole[40]['x mean']);
    }
    const gone = open({ windows: ALL });
    for (let i = 0; i <= 20; i += 1) at(gone, i);
    gone.memory!.enter('in', 't/0/50', true);
    expect(gone.memory!.devices).toBe(0);
    for (let i = 50; i < 60; i += 1) at(gone, i, true);
    expect(gone.memory!.devices).toBe(1);
  });

  test('can be saved while readings come: of each device what was there, and what comes again does no harm', async () => {
    const windows = { ...ALL, devices: 2_000, count: 200 };
    const [before, plain, after] = [open({ windows }), open({ windows }), open({ windows })];
    const early = Array.from({ length: 60_000 }, (_, i) =>
      eventOf({ device: `d${i % 600}`, at: 1e12 + i, values: [i, -i] }),
    );
    const meanwhile = Array.from({ length: 3_000 }, (_, i) =>
      eventOf({ device: `d${i % 600}`, at: 2e12 + i, values: [i, -i] }),
    );
    for (const event of [...early, ...meanwhile]) rowOf(plain, event);
    for (const event of early) rowOf(before, event);
    let saved: Uint8Array | null = null;
    void before.memory!.save().then((bytes) => {
      saved = bytes;
    });
    let turns = 0;
    for (let i = 0; i < meanwhile.length || saved === null; i += 1, turns += 1) {
      if (i < meanwhile.length) rowOf(before, meanwhile[i]);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(turns).toBeGreaterThanOrEqual(meanwhile.length);
    after.memory!.restore(saved!);
    for (const event of meanwhile) rowOf(after, event);
    const last = Array.from({ length: 600 }, (_, i) =>
      eventOf({ device: `d${i}`, at: 3e12, values: [i, i] }),
    );
    expect(rowsOf(after, last)).toEqual(rowsOf(plain, last));
  });

  test('gives way to the same devices after it was restored', async () => {
    const windows = { ...ALL, devices: 10 };
    const events = Array.from({ length: 200 }, (_, i) =>
      eventOf({ device: `d${(i * i) % 17}`, at: 1e12 + i, values: [i, i] }),
    );
    const whole = rowsOf(open({ windows }), events);
    const before = open({ windows });
    rowsOf(before, events.slice(0, 77));
    const after = open({ windows });
    after.memory!.restore(await before.memory!.save());
    expect(rowsOf(after, events.slice(77))).toEqual(whole.slice(77));
  });

  test('is refused damaged, cut, of other features, and then nothing is remembered', async () => {
    const featurizer = open({ windows: ALL });
    rowsOf(featurizer, walk(20));
    const saved = await featurizer.memory!.save();
    const bad = [
      saved.subarray(0, saved.length - 1),
      saved.subarray(0, 20),
      new Uint8Array(0),
      Buffer.from('something else altogether, of some length'),
      ...[0, 4, 9, 30, 200, saved.length - 1].map((at) => {
        const copy = Uint8Array.from(saved);
        copy[at] ^= 1;
        return copy;
      }),
      await (async () => {
        const other = open({ windows: { ...ALL, count: 9 } });
        rowsOf(other, walk(3));
        return await other.memory!.save();
      })(),
    ];
    for (const bytes of bad) {
      expect(() => featurizer.memory!.restore(bytes)).toThrowError(
        expect.objectContaining({ code: 'WINDOWS_STATE' }),
      );
      expect(featurizer.memory!.devices).toBe(0);
    }
  });

  test('after a kill, what came behind the saved state is taken from the rows that were kept', async () => {
    const fields = { x: { type: 'number' }, y: { type: 'number' } } as const;
    // What single precision holds exactly is recalled exactly.
    const events = walk(60);
    for (const { body } of events)
      if (body.kind === 'reading') body.values.set(Float32Array.from(body.values));
    const whole = rowsOf(open({ windows: ALL }, fields), events);
    const keeper = open({ windows: ALL }, fields);
    const rows = events.slice(0, 40).map((event) => {
      const dense = Float32Array.from(Object.values(rowOf(keeper, event)));
      return { id: event.id, device: event.device, at: event.at, rows: { dense } } as unknown as JoinedRow;
    });
    for (const saved of [0, 10, 30]) {
      const before = open({ windows: ALL }, fields);
      rowsOf(before, events.slice(0, saved));
      const bytes = await before.memory!.save();
      // Of a device that nothing is known of, more than a ring holds would not be used.
      const kept = saved === 0 ? rows.slice(20) : rows;
      const after = open({ windows: ALL }, fields);
      let asked = 0;
      after.memory!.recall((device, from, limit) => {
        asked += 1;
        return kept.filter((row) => row.device === device && row.at >= from).slice(0, limit);
      });
      if (saved > 0) after.memory!.restore(bytes);
      expect(rowsOf(after, events.slice(40))).toEqual(whole.slice(40));
      expect(asked).toBe(1);
    }
  });
});
