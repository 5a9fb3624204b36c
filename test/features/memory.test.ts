import { describe, expect, test } from 'vitest';
import type { JoinedRow } from '../../src/contract.ts';
import { ALL, eventOf, jumbled, open, rowOf, rowsOf, walk } from './sensor-kit.ts';

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

  test('what was remembered is taken over within other bounds, as far as they go', async () => {
    const of = (bounds: object) => open({ windows: { ...ALL, ...bounds } });
    const before = of({});
    const devices = Array.from({ length: 20 }, (_, i) => `d${i}`);
    for (const device of devices) rowsOf(before, walk(12, 1, device));
    const bytes = await before.memory!.save();
    const [wide, narrow] = [of({ devices: 50_000, memory: '128MiB' }), of({ devices: 5 })];
    wide.memory!.restore(bytes);
    expect(wide.memory!.devices).toBe(20);
    const next = (device: string) => walk(13, 1, device)[12];
    for (const device of devices) expect(rowOf(wide, next(device))).toEqual(rowOf(before, next(device)));
    narrow.memory!.restore(bytes);
    expect(narrow.memory!.devices).toBe(5);
    rowOf(narrow, next('another'));
    expect(narrow.memory!.devices).toBe(5);
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
