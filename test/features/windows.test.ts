import { describe, expect, test } from 'vitest';
import { WINDOW_STATS } from '../../src/features/window-stats.ts';
import { ALL, eventOf, jumbled, NUMBERS, open, rowOf, rowsOf, SECOND, walk } from './sensor-kit.ts';

const NAN = Number.NaN;

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
