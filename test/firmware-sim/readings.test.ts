import { describe, expect, it } from 'vitest';
import { Device, type Reading } from '../../firmware-sim/device.ts';
import { type FaultName, faultBit, faultNames, noFaults, usualFaults } from '../../firmware-sim/faults.ts';
import { readingFeed } from '../../firmware-sim/feeds.ts';
import { createWorld, type Drift, MODES, SENSORS, type WorldOptions } from '../../firmware-sim/world.ts';
import { type Sparse, TinyLogistic } from './learner.ts';

const START = Date.UTC(2026, 0, 1);

function readingsOf(options: WorldOptions, count: number, faults = usualFaults, everyMs = 100): Reading[] {
  const world = createWorld(options);
  const devices = world.devices.map((truth) => new Device(world, truth, { faults }));
  const out: Reading[] = [];
  for (let round = 0; out.length < count; round++) {
    for (const device of devices) out.push(...device.next(round * everyMs, START + round * everyMs));
  }
  return out.slice(0, count);
}

/** Standardised by the world's own units, so that no statistics of the test data leak in. */
function rowOf(reading: Reading): Sparse {
  const body = JSON.parse(reading.payload) as Record<string, unknown>;
  const scale = [3, 0.8, 2.5, 0.5, 500];
  const centre = [56, 3, 20, 7.1, 1500];
  const row: [number, number][] = [];
  SENSORS.forEach(({ name, min, max }, s) => {
    const value = body[name];
    const usable = typeof value === 'number' && value >= min && value <= max;
    if (usable) row.push([s, (value - centre[s]) / scale[s]]);
  });
  row.push([SENSORS.length + MODES.indexOf(body.mode as (typeof MODES)[number]), 1]);
  return row;
}

function accuracyAfter(labels: number, readings: readonly Reading[]): number {
  const usable = readings.filter((r) => r.readable).map((r) => ({ row: rowOf(r), truth: r.truth }));
  const model = new TinyLogistic(SENSORS.length + MODES.length, 0.05);
  const train = usable.slice(0, labels);
  for (let pass = 0; pass < 40; pass++) for (const { row, truth } of train) model.learn(row, truth);
  const test = usable.slice(labels);
  return test.filter(({ row, truth }) => (model.score(row) > 0.5 ? 1 : 0) === truth).length / test.length;
}

describe('readings of the simulated plant', () => {
  it('are the same bytes for the same seed, and others for another', () => {
    const a = readingsOf({ seed: 5, devices: 7 }, 500);
    expect(readingsOf({ seed: 5, devices: 7 }, 500)).toEqual(a);
    expect(readingsOf({ seed: 6, devices: 7 }, 500)).not.toEqual(a);
  });

  it('do not change for one device when another is added', () => {
    const few = readingsOf({ seed: 5, devices: 3 }, 300, noFaults).filter((r) => r.device === 'press-01');
    const many = readingsOf({ seed: 5, devices: 4 }, 400, noFaults).filter((r) => r.device === 'press-01');
    expect(many.map((r) => r.payload)).toEqual(few.map((r) => r.payload));
  });

  it('carry the device and a number without gaps, so that no two are equal', () => {
    const readings = readingsOf({ seed: 1, devices: 3 }, 3_000, noFaults);
    for (const name of ['press-01', 'pump-02', 'fan-03']) {
      const own = readings.filter((r) => r.device === name);
      expect(own.map((r) => r.seq)).toEqual(own.map((_, i) => i + 1));
      expect(own.every((r) => (JSON.parse(r.payload) as { seq: number }).seq === r.seq)).toBe(true);
    }
    expect(new Set(readings.map((r) => r.payload)).size).toBe(readings.length);
  });

  it('lie within the range of their sensor unless a fault says otherwise', () => {
    const outside = readingsOf({ seed: 2, devices: 9 }, 4_000, noFaults).filter((reading) => {
      const body = JSON.parse(reading.payload) as Record<string, number>;
      return !SENSORS.every(({ name, min, max }) => body[name] >= min && body[name] <= max);
    });
    expect(outside).toEqual([]);
  });

  it('correlate through the shared load', () => {
    const sound = readingsOf({ seed: 3, devices: 1 }, 8_000, noFaults).filter((r) => r.truth === 0);
    const values = sound
      .map((r) => JSON.parse(r.payload) as { current: number; rpm: number; mode: string })
      .filter((body) => body.mode === 'run');
    const mean = (pick: (v: (typeof values)[number]) => number) =>
      values.reduce((sum, v) => sum + pick(v), 0) / values.length;
    const current = mean((v) => v.current);
    const rpm = mean((v) => v.rpm);
    const covariance = mean((v) => (v.current - current) * (v.rpm - rpm));
    const deviations = Math.sqrt(mean((v) => (v.current - current) ** 2) * mean((v) => (v.rpm - rpm) ** 2));
    expect(covariance / deviations).toBeLessThan(-0.15);
  });

  it('can be learned by a linear model from a few hundred labels, but never fully', () => {
    for (const seed of [1, 7, 42]) {
      const accuracy = accuracyAfter(800, readingsOf({ seed, devices: 40 }, 8_000));
      expect(accuracy).toBeGreaterThan(0.94);
      expect(accuracy).toBeLessThan(0.995);
    }
  });

  it('are sound for most of the time, and the share of faults does not depend on the rate', () => {
    for (const everyMs of [1, 10_000]) {
      const readings = readingsOf({ seed: 4, devices: 40 }, 20_000, noFaults, everyMs);
      const faulty = readings.filter((r) => r.truth === 1).length / readings.length;
      expect(faulty).toBeGreaterThan(0.14);
      expect(faulty).toBeLessThan(0.28);
    }
  });

  it('name each kind of fault where four classes are asked for', () => {
    const world = createWorld({ seed: 1, devices: 1, classes: 4 });
    expect(world.labels).toEqual(['ok', 'bearing', 'leak', 'overheat']);
    const seen = new Set(readingsOf({ seed: 1, devices: 12, classes: 4 }, 6_000).map((r) => r.truth));
    expect([...seen].sort()).toEqual([0, 1, 2, 3]);
  });

  it('follow the daily rhythm', () => {
    const dayMs = 1_000;
    const warm = (from: number, to: number) => {
      const readings = readingsOf({ seed: 8, devices: 30, dayMs }, 30_000, noFaults, 7);
      const own = readings
        .map((r) => ({ truth: r.truth, body: JSON.parse(r.payload) as { ts: string; temperature: number } }))
        .filter(({ truth, body }) => {
          const phase = ((Date.parse(body.ts) - START) % dayMs) / dayMs;
          return truth === 0 && phase >= from && phase < to;
        });
      return own.reduce((sum, { body }) => sum + body.temperature, 0) / own.length;
    };
    // Phases of the devices lie within 0.8 rad: the first quarter is warm, the third is cold.
    expect(warm(0.05, 0.3) - warm(0.55, 0.8)).toBeGreaterThan(1);
  });
});

describe('faults on the way', () => {
  const count = 200_000;
  const readings = readingsOf({ seed: 11, devices: 20 }, count);
  const share = (name: FaultName) => readings.filter((r) => r.faults & faultBit(name)).length / count;

  it('occur at their stated rates', () => {
    for (const name of faultNames) {
      if (name === 'stuck' || usualFaults[name] === 0) continue;
      // A duplicate stands in the list twice; unreadable ones exclude each other, which changes little.
      const stated = usualFaults[name] * (name === 'duplicate' ? 2 : 1);
      const deviation = 5 * Math.sqrt(stated / count) * (name === 'duplicate' ? 1.5 : 1);
      expect(Math.abs(share(name) - stated), name).toBeLessThan(deviation + 0.02 * stated);
    }
    // Episodes of 20 readings that begin with this rate.
    expect(share('stuck')).toBeGreaterThan(usualFaults.stuck * 20 * 0.8);
    expect(share('stuck')).toBeLessThan(usualFaults.stuck * 20 * 1.2);
  });

  it('make unreadable exactly what is marked so', () => {
    let unreadable = 0;
    for (const reading of readings) {
      let parsed = true;
      try {
        JSON.parse(reading.payload);
      } catch {
        parsed = false;
      }
      if (parsed !== reading.readable) throw new Error(`${reading.readable}: ${reading.payload}`);
      if (!parsed) unreadable += 1;
    }
    expect(unreadable).toBeGreaterThan(100);
  });

  it('send a duplicate as the same bytes and swap neighbours where they reorder', () => {
    const device = readings.filter((r) => r.device === readings[0].device);
    const repeated = device.filter(
      (r, i) => i > 0 && r.payload === device[i - 1].payload && r.seq === device[i - 1].seq,
    );
    expect(repeated.length).toBeGreaterThan(0);
    const swapped = device.filter((r, i) => i > 0 && r.seq < device[i - 1].seq);
    expect(swapped.length).toBeGreaterThan(5);
    expect(swapped.every((r) => r.faults & faultBit('reorder'))).toBe(true);
  });

  it('do not occur when switched off', () => {
    const clean = readingsOf({ seed: 11, devices: 20 }, 20_000, noFaults);
    expect(clean.every((r) => r.faults === 0 && r.readable)).toBe(true);
  });
});

describe('the drift script', () => {
  const drift: Drift[] = [
    { at: 10_000, over: 0, who: 'press-01', kind: 'sensor', sensor: 'pressure', shift: 6 },
    { at: 10_000, over: 20_000, who: 'fan', kind: 'concept' },
  ];
  const world = createWorld({ seed: 3, devices: 3, drift });

  it('keeps its truth: abrupt at once, gradual in a straight line', () => {
    expect([9_999, 10_000, 90_000].map((t) => world.progress(drift[0], t))).toEqual([0, 1, 1]);
    expect([9_999, 20_000, 30_000].map((t) => world.progress(drift[1], t))).toEqual([0, 0.5, 1]);
    expect(world.drift).toEqual(drift);
  });

  it('moves only the device and sensor that it names', () => {
    const plain = readingsOf({ seed: 3, devices: 3 }, 1_500, noFaults);
    const drifted = readingsOf({ seed: 3, devices: 3, drift: [drift[0]] }, 1_500, noFaults);
    const type = world.devices[0].type;
    for (let i = 0; i < plain.length; i++) {
      const before = JSON.parse(plain[i].payload) as Record<string, number>;
      const after = JSON.parse(drifted[i].payload) as Record<string, number>;
      const moved = plain[i].device === 'press-01' && i >= 300;
      expect(after.pressure - before.pressure).toBeCloseTo(moved ? 6 * type.noise[3] : 0, 2);
      expect({ ...after, pressure: 0 }).toEqual({ ...before, pressure: 0 });
    }
  });

  it('of a concept makes a model useless that was good before', () => {
    const changed: Drift[] = [{ at: 20_000, over: 0, who: '*', kind: 'concept' }];
    const readings = readingsOf({ seed: 9, devices: 40, drift: changed }, 16_000, noFaults);
    const before = accuracyAfter(1_500, readings.slice(0, 8_000));
    const across = accuracyAfter(1_500, [...readings.slice(0, 1_500), ...readings.slice(8_400)]);
    expect(before).toBeGreaterThan(0.94);
    expect(across).toBeLessThan(before - 0.15);
    const anew = accuracyAfter(1_500, readings.slice(8_400));
    expect(anew).toBeGreaterThan(0.9);
  });
});

describe('the reading feed', () => {
  it('lets every device speak once a round, and counts the faults that it made', () => {
    const feed = readingFeed({ seed: 4, devices: 25, faults: noFaults });
    const names: string[] = [];
    for (let i = 0; i < 75; i++)
      for (const { name } of feed.next(START) as readonly { name: string }[]) names.push(name);
    for (let round = 0; round < 3; round++)
      expect(new Set(names.slice(round * 25, round * 25 + 25)).size).toBe(25);
    expect(Object.values(feed.faultCounts()).every((n) => n === 0)).toBe(true);
    const broken = readingFeed({ seed: 4, devices: 2, faults: { ...noFaults, missing: 1 } });
    for (let i = 0; i < 10; i++) broken.next(START);
    expect(broken.faultCounts().missing).toBe(10);
  });

  it('can wrap readings as CloudEvents whose source and id are device and number', () => {
    const feed = readingFeed({ seed: 4, devices: 1, faults: noFaults, format: 'cloudevents' });
    feed.next(START);
    const [parcel] = feed.next(START) as readonly { payload: string }[];
    const event = JSON.parse(parcel.payload) as Record<string, unknown>;
    expect(event).toMatchObject({
      specversion: '1.0',
      source: '/plant/press-01',
      id: '2',
      type: 'dev.sluice.reading.v1',
    });
    expect(event.data).toMatchObject({ device: 'press-01', seq: 2 });
  });
});
