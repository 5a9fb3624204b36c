import { describe, expect, it } from 'vitest';
import type { SeenAlarm } from '../../firmware-sim/alarms.ts';
import { AlarmBook } from '../../firmware-sim/alarms.ts';
import { concerns, type Drift, onsets, progress } from '../../firmware-sim/drift.ts';
import { noFaults } from '../../firmware-sim/faults.ts';
import { readingFeed } from '../../firmware-sim/feeds.ts';
import { scoreDrift } from '../../firmware-sim/scoring.ts';
import { createWorld } from '../../firmware-sim/world.ts';

const START = Date.UTC(2026, 0, 1);
const sensor = { who: '*', kind: 'sensor', sensor: 'pressure', shift: 6 } as const;

/** Pressure of every reading of a drifted world less that of the same reading without drift, in its own noise. */
function shifts(drift: Drift, times: readonly number[]): number[] {
  const options = { seed: 3, devices: 1, faults: noFaults };
  const plain = readingFeed(options);
  const moved = readingFeed({ ...options, drift: [drift] });
  const noise = plain.world.devices[0].type.noise[3];
  const pressure = (feed: typeof plain, t: number): number => {
    const [parcel] = feed.next(START + t) as readonly { payload: string }[];
    return (JSON.parse(parcel.payload) as { pressure: number }).pressure;
  };
  for (const feed of [plain, moved]) feed.begin?.(START);
  return times.map((t) => (pressure(moved, t) - pressure(plain, t)) / noise);
}

const every = (ms: number, from: number, to: number): number[] =>
  Array.from({ length: (to - from) / ms }, (_, i) => from + i * ms);

describe('the manners of drift', () => {
  it('abrupt: all of it from the first reading on, and gone again at `until`', () => {
    const found = shifts(
      { ...sensor, how: 'abrupt', at: 1_000, over: 0, until: 2_000 },
      [0, 999, 1_000, 1_500, 1_999, 2_000, 9_000],
    );
    [0, 0, 6, 6, 6, 0, 0].forEach((wanted, i) => {
      expect(found[i]).toBeCloseTo(wanted, 1);
    });
  });

  it('incremental: values move in a straight line, and back in the same time', () => {
    const drift: Drift = { ...sensor, how: 'incremental', at: 1_000, over: 1_000, until: 5_000 };
    const found = shifts(drift, [1_000, 1_250, 1_500, 2_000, 4_999, 5_500, 6_000]);
    [0, 1.5, 3, 6, 6, 3, 0].forEach((wanted, i) => {
      expect(found[i]).toBeCloseTo(wanted, 1);
    });
  });

  it('gradual: each reading is of the old or of the new state, the new one with rising probability', () => {
    const drift: Drift = { ...sensor, how: 'gradual', at: 0, over: 20_000 };
    const found = shifts(drift, every(1, 0, 20_000));
    expect(found.every((shift) => Math.abs(shift) < 0.1 || Math.abs(shift - 6) < 0.1)).toBe(true);
    for (const [from, share] of [
      [0, 0.125],
      [5_000, 0.375],
      [10_000, 0.625],
      [15_000, 0.875],
    ]) {
      const part = found.slice(from, from + 5_000).filter((shift) => shift > 3).length / 5_000;
      expect(Math.abs(part - share)).toBeLessThan(0.03);
    }
    expect(shifts(drift, [20_000, 30_000]).every((shift) => shift > 5.9)).toBe(true);
  });

  it('recurring: comes and goes with its period, for its share of it', () => {
    const drift: Drift = { ...sensor, how: 'recurring', at: 1_000, over: 0, period: 1_000, share: 0.3 };
    const found = shifts(drift, [999, 1_000, 1_299, 1_301, 1_999, 2_100, 2_400, 5_299]);
    [0, 6, 6, 0, 0, 6, 0, 6].forEach((wanted, i) => {
      expect(found[i]).toBeCloseTo(wanted, 1);
    });
  });

  it('a concept moves what a fault looks like and leaves sound machines nearer to it, by its strength', () => {
    const [none, half, full] = [0, 0.5, 1].map((strength) => {
      const drift: Drift[] = [{ at: 0, over: 0, who: '*', kind: 'concept', strength }];
      const world = createWorld({ seed: 1, devices: 1, drift });
      const random = { normal: () => 0 } as never;
      const out = new Float64Array(5);
      return [0, 1].map((severity) => {
        world.sense(world.devices[0], 0, 'run', 0, severity, 0, random, out);
        return out[1];
      });
    });
    expect(half[0] - none[0]).toBeCloseTo((full[0] - none[0]) / 2, 9);
    expect(full[0]).toBeGreaterThan(none[0] + 1);
    expect(full[1]).toBeLessThan(none[1] - 1);
  });

  it('concerns whom it names: a device, a type, a share drawn by the seed, or several of these', () => {
    const names = Array.from({ length: 2_000 }, (_, i) => `fan-${i}`);
    const among = (who: Drift['who'], seed = 1) =>
      names.filter((name) => concerns({ ...sensor, who, at: 0, over: 0 }, 0, name, 'fan', seed));
    expect(among('fan')).toHaveLength(2_000);
    expect(among('pump')).toHaveLength(0);
    expect(among(['pump', 'fan-7'])).toEqual(['fan-7']);
    expect(Math.abs(among('25%').length - 500)).toBeLessThan(80);
    expect(among('25%')).toEqual(among('25%'));
    expect(among('25%', 2)).not.toEqual(among('25%'));
    expect(among('0%')).toEqual([]);
  });
});

describe('the truth of the script', () => {
  const script: Drift[] = [
    { ...sensor, name: 'late', at: 5_000, over: 2_000, how: 'gradual' },
    {
      ...sensor,
      name: 'tide',
      at: 1_000,
      over: 0,
      how: 'recurring',
      period: 2_000,
      share: 0.5,
      until: 4_500,
    },
  ];

  it('names every change in order of time, comings and goings, and none beyond the run', () => {
    expect(onsets(script, 6_000)).toEqual([
      { drift: 1, what: 'begins', from: 1_000, to: 1_000 },
      { drift: 1, what: 'goes', from: 2_000, to: 2_000 },
      { drift: 1, what: 'begins', from: 3_000, to: 3_000 },
      { drift: 1, what: 'goes', from: 4_000, to: 4_000 },
      { drift: 0, what: 'begins', from: 5_000, to: 7_000 },
    ]);
    expect(onsets(script, 1_000)).toEqual([]);
    expect(onsets([{ ...script[1], until: undefined, period: 0.001 }], 1e9).length).toBeLessThanOrEqual(
      20_000,
    );
  });

  it('agrees with how far each drift has gone', () => {
    for (const { drift, what, from } of onsets([script[1]], 10_000)) {
      expect(drift).toBe(0);
      expect([progress(script[1], from - 1), progress(script[1], from)]).toEqual(
        what === 'begins' ? [0, 1] : [1, 0],
      );
    }
  });
});

describe('the score of the detectors', () => {
  const alarm = (t: number, change: Partial<SeenAlarm> = {}): SeenAlarm => ({
    ...{ site: 'north', task: 'machine', stream: 'logLoss', detector: 'adwin' },
    ...{ seenAt: START + t, toldAt: START + t, since: START + t },
    ...change,
  });
  const script: Drift[] = [
    { ...sensor, name: 'jump', how: 'abrupt', at: 10_000, over: 0 },
    { ...sensor, name: 'slow', how: 'incremental', at: 60_000, over: 20_000 },
    { ...sensor, name: 'missed', how: 'abrupt', at: 150_000, over: 0 },
  ];
  const score = (alarms: readonly SeenAlarm[]) =>
    scoreDrift(
      [{ site: 'north', task: 'machine', startedAt: START, script, alarms }],
      START + 200_000,
      10_000,
    );

  it('is the delay of the first alarm after each change, and what was false before it', () => {
    const {
      drift,
      falseAlarms,
      false: wrong,
    } = score([
      alarm(3_000),
      alarm(9_999),
      alarm(12_500, { stream: 'feature:pressure' }),
      alarm(13_000),
      alarm(40_000),
      alarm(88_000),
      alarm(101_000),
      alarm(151_000, { task: 'spam' }),
    ]);
    expect(drift).toMatchObject([
      {
        name: 'jump',
        at: START + 10_000,
        delayMs: 2_500,
        stream: 'feature:pressure',
        alarms: 2,
        falseAlarmsBefore: 2,
      },
      { name: 'slow', at: START + 60_000, over: 20_000, delayMs: 28_000, alarms: 1, falseAlarmsBefore: 1 },
      { name: 'missed', firstAlarm: null, delayMs: null, stream: null, alarms: 0, falseAlarmsBefore: 1 },
    ]);
    expect(falseAlarms).toBe(5);
    expect(wrong.map(({ seenAt }) => seenAt - START)).toEqual([3_000, 9_999, 40_000, 101_000, 151_000]);
  });

  it('without drift makes every alarm a false one', () => {
    const sites = [
      { site: 'a', task: 'machine', startedAt: START, script: [], alarms: [alarm(1), alarm(2)] },
    ];
    expect(scoreDrift(sites, START + 10, 1_000)).toMatchObject({ drift: [], falseAlarms: 2 });
  });

  it('takes alarms from the topic: neither those of other sites, nor old ones, nor what is none', () => {
    const book = new AlarmBook('north', START);
    const told = (change: object) => {
      const data = {
        ...{ site: 'north', task: 'machine', stream: 'logLoss', detector: 'adwin', state: 'drift' },
        ...{ statistic: 1, threshold: 0.5, window: 9, model: 'x+1', before: 0.1, now: 0.9 },
        ...{ at: new Date(START + 5).toISOString(), since: new Date(START).toISOString() },
        ...{ features: [], devices: [], ...change },
      };
      book.enter(Buffer.from(JSON.stringify({ specversion: '1.0', data })), START + 7);
    };
    told({});
    told({ site: 'south' });
    told({ state: 'over' });
    told({ at: new Date(START - 60_000).toISOString() });
    told({ detector: 3 });
    book.enter(Buffer.from('no json'), START);
    expect(book.alarms).toMatchObject([{ site: 'north', seenAt: START + 7, toldAt: START + 5 }]);
    expect(book).toMatchObject({ stale: 1, unreadable: 2 });
  });
});
