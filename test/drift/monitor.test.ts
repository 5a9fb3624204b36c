/** The monitor of a task on a simulated plant: silent while nothing happens, and right about what happened. */
import { describe, expect, test } from 'vitest';
import type { Alarm, Rows } from '../../src/contract.ts';
import { TaskMonitor, watchedColumns } from '../../src/drift/monitor.ts';
import { SluiceError } from '../../src/errors.ts';
import { BLOCK_MS, COLUMNS, Fleet, options, type Trouble, watch } from './fleet.ts';

const HOUR = 3_600_000;
const AT = 200_000;
const OF_LABELS = /^(errors|margin|logLoss(:(ok|fault))?)$/;

const drifts = (alarms: readonly Alarm[]): Alarm[] => alarms.filter(({ state }) => state === 'drift');

test('ten virtual hours of faults, correlated load and six-minute days tell nothing', () => {
  for (let seed = 1; seed <= 20; seed++)
    expect(watch({ seed, dayMs: HOUR / 10 }, HOUR / 2).alarms, `seed ${seed}`).toEqual([]);
});

interface Case {
  readonly what: string;
  readonly trouble: Omit<Trouble, 'at'>;
  readonly stream: RegExp;
  readonly features?: readonly string[];
  /** So many devices are concerned. */
  readonly devices?: number;
}

const cases: readonly Case[] = [
  { what: 'verdicts that become wrong', trouble: { wrong: 0.28 }, stream: OF_LABELS },
  {
    what: 'verdicts that become wrong for five devices',
    trouble: { wrong: 0.5, devices: 5 },
    stream: OF_LABELS,
    devices: 5,
  },
  {
    what: 'a sensor that shifts',
    trouble: { shift: [3, 3], devices: 8 },
    stream: /^feature:pressure$/,
    features: ['pressure'],
    devices: 8,
  },
  {
    what: 'a sensor that becomes noisy',
    trouble: { noise: [4, 2] },
    stream: /^spread:rpm$/,
    features: ['rpm'],
  },
  {
    what: 'values that go missing',
    trouble: { missing: [2, 0.5], devices: 4 },
    stream: /^missing:current$/,
    features: ['current'],
    devices: 4,
  },
  { what: 'fewer events', trouble: { volume: 0.4 }, stream: /^volume$/ },
  { what: 'slower verdicts', trouble: { latency: 4 }, stream: /^latency$/ },
];

describe.each(cases)('$what', ({ trouble, stream, features, devices }) => {
  const { alarms } = watch({ seed: 5, trouble: [{ at: AT, ...trouble }] }, AT + 40 * BLOCK_MS);
  const [first] = alarms;

  test('is one alarm, on the stream where it shows, within ten blocks', () => {
    expect(drifts(alarms)).toHaveLength(1);
    expect(first.stream).toMatch(stream);
    expect(first.state).toBe('drift');
    expect(first.statistic).toBeGreaterThanOrEqual(first.threshold);
    expect(first.at - AT).toBeGreaterThan(0);
    expect(first.at - AT).toBeLessThanOrEqual(11 * BLOCK_MS);
    expect(first.model).toBe('blank+0');
    expect(first.detector).toBe('sequential');
  });

  test('says since when, and from where to where', () => {
    expect(Math.abs(first.since - AT)).toBeLessThanOrEqual(5 * BLOCK_MS);
    const falls = /volume|margin/.test(first.stream);
    expect(Math.sign(first.now - first.before)).toBe(falls ? -1 : 1);
  });

  test('names the features and devices that it shows in', () => {
    expect(first.features.slice(0, 1)).toEqual(features ?? first.features.slice(0, 1));
    if (devices === undefined) return;
    const concerned = Array.from({ length: devices }, (_, i) => `press-${i}`);
    expect(first.devices.length).toBeGreaterThan(0);
    expect(concerned).toEqual(expect.arrayContaining([...first.devices]));
  });
});

test('levels are told in the unit of the stream', () => {
  const { alarms } = watch({ seed: 6, trouble: [{ at: AT, volume: 0.4 }] }, AT + 20 * BLOCK_MS);
  expect(alarms[0].before).toBeGreaterThan(190);
  expect(alarms[0].before).toBeLessThan(210);
  expect(alarms[0].now).toBeGreaterThan(60);
  expect(alarms[0].now).toBeLessThan(120);
});

test('one cause is one alarm, and what labels say goes first', () => {
  const trouble = [{ at: AT, wrong: 0.3, shift: [3, 4], missing: [1, 0.3], noise: [4, 2] } as const];
  const { alarms, last } = watch({ seed: 7, trouble }, AT + 30 * BLOCK_MS);
  const told = drifts(alarms);
  expect(told.length).toBeLessThanOrEqual(2);
  expect(told[told.length - 1].stream).toMatch(OF_LABELS);
  expect(told.filter(({ stream }) => OF_LABELS.test(stream))).toHaveLength(1);
  expect(told[told.length - 1].features).toContain('pressure');
  // Silent streams are still seen to be away.
  expect(Object.values(last.streams).filter(({ alarm }) => alarm).length).toBeGreaterThan(3);
});

test('a second cause, much later, is told by itself', () => {
  const later = AT + 100 * BLOCK_MS;
  const trouble: Trouble[] = [
    { at: AT, shift: [3, 4] },
    { at: later, missing: [0, 0.3] },
  ];
  const told = drifts(watch({ seed: 8, trouble }, later + 30 * BLOCK_MS).alarms);
  expect(told.map(({ stream }) => stream)).toEqual(['feature:pressure', 'missing:temperature']);
});

test('what is told is taken back: when the stream is back, or when the new level has become usual', () => {
  const passing = watch(
    { seed: 9, trouble: [{ at: AT, until: AT + 60_000, wrong: 0.3 }] },
    AT + 120_000,
  ).alarms;
  expect(passing.map(({ state }) => state)).toEqual(['drift', 'over']);
  expect(passing[1].stream).toBe(passing[0].stream);
  expect(passing[1].at).toBeLessThan(AT + 60_000 + 20 * BLOCK_MS);
  const staying = watch({ seed: 9, trouble: [{ at: AT, wrong: 0.3 }] }, AT + 200_000).alarms;
  expect(staying.map(({ state }) => state)).toEqual(['drift', 'over']);
  expect(staying[1].now).not.toBeCloseTo(staying[1].before, 1);
});

test('another model: streams of labels and verdicts learn anew, those of features stay', () => {
  const trouble = [{ at: AT, wrong: 0.3 }];
  let rebased = false;
  const { alarms, last } = watch({ seed: 10, trouble }, AT + 150_000, (monitor, t) => {
    if (!rebased && t >= AT + 40_000) {
      monitor.rebase(t);
      rebased = true;
    }
    return monitor;
  });
  expect(alarms.map(({ state }) => state)).toEqual(['drift', 'over']);
  expect(alarms[1].at).toBe(AT + 40_000);
  // What was drift for the old model is usual for the new one.
  expect(last.streams.errors.reference).toBeGreaterThan(0.2);
  expect(last.streams['feature:pressure'].distance).not.toBe(0);
});

test('a restart in the middle changes nothing: the same alarms, the same state', () => {
  const given = { seed: 11, trouble: [{ at: AT, wrong: 0.3, shift: [3, 3] } as const] };
  const until = AT + 80 * BLOCK_MS;
  const whole = watch(given, until);
  let n = 0;
  const parted = watch(given, until, (monitor, t) => {
    n += 1;
    return n % 37 === 0 || t === AT + 16_400 ? TaskMonitor.restore(options, monitor.save()) : monitor;
  });
  expect(parted.alarms).toEqual(whole.alarms);
  expect(whole.alarms.length).toBeGreaterThan(0);
  expect(parted.monitor.save()).toBe(whole.monitor.save());
});

test('accuracy is estimated without labels, and corrected by those that came before', () => {
  const fleet = new Fleet({ seed: 12 });
  const monitor = new TaskMonitor(options);
  for (let t = 0; t < 60_000; t += 200) fleet.step(monitor, t);
  const honest = monitor.close(60_000, 'm').window.estimatedAccuracy;
  expect(honest).toBeGreaterThan(0.95);
  expect(honest).toBeLessThan(1);
  const boastful = new TaskMonitor(options);
  const scores = Float32Array.of(0.05, 0.95);
  const one = {
    at: 1,
    rows: rowsOf(1),
    scores,
    classes: 2,
    predicted: Int32Array.of(1),
    devices: ['d'],
    latencyMs: 1,
  };
  for (let i = 0; i < 1_000; i++) {
    boastful.scored({ ...one, at: i });
    const truth = i % 10 < 7 ? 1 : 0;
    boastful.labelled({
      truth,
      predicted: 1,
      probability: scores[truth],
      confidence: scores[1],
      device: 'd',
      at: i,
    });
  }
  expect(boastful.close(1_001, 'm').window.estimatedAccuracy).toBeCloseTo(0.7, 1);
  expect(boastful.close(1_002, 'm').window.estimatedAccuracy).toBeNull();
});

function rowsOf(count: number, cells = 0): Rows {
  return {
    count,
    indptr: Uint32Array.from({ length: count + 1 }, (_, i) => i * cells),
    indices: Uint32Array.from({ length: count * cells }, (_, k) => (k * 7919) % 100_000),
    values: new Float32Array(count * cells).fill(0.1),
    denseDims: COLUMNS.length,
    dense: new Float32Array(count * COLUMNS.length),
  };
}

test('mails: other words and longer mails are told by sketch and cells', () => {
  const mail = { ...options, task: 'spam', columns: [] };
  const monitor = new TaskMonitor(mail);
  const alarms: Alarm[] = [];
  for (let t = 0; t < 400_000; t += 500) {
    const other = t >= AT;
    const rows = rowsOf(10, other ? 400 : 300);
    for (let k = 0; k < rows.indices.length; k++)
      rows.indices[k] = (k * 7_919 + t * 31 + (other && k % 3 === 0 ? 0 : k * k)) % (other ? 2_000 : 100_000);
    monitor.scored({
      ...{ at: t, rows, scores: new Float32Array(20).fill(0.5), classes: 2, predicted: new Int32Array(10) },
      ...{ devices: new Array<string>(10).fill('mx'), latencyMs: 5 },
    });
    alarms.push(...monitor.close(t, 'm').alarms);
  }
  expect(drifts(alarms)).toHaveLength(1);
  expect(alarms[0].stream).toMatch(/^(cells|sketch|values)$/);
  expect(alarms[0].at).toBeLessThan(AT + 15 * BLOCK_MS);
});

test('the budget is shared: with a smaller share or a smaller budget more evidence is asked for', () => {
  const threshold = (changed: object): number => {
    const fleet = new Fleet({ seed: 5, trouble: [{ at: AT, wrong: 0.4 }] });
    const monitor = new TaskMonitor({ ...options, ...changed });
    for (let t = 0; t < AT + 60_000; t += 200) fleet.step(monitor, t);
    return monitor.close(AT + 60_000, 'm').alarms[0].threshold;
  };
  const month = threshold({ share: 1 });
  expect(threshold({ share: 0.1 }) - month).toBeCloseTo(Math.log(10), 6);
  expect(threshold({ share: 1, budget: { alarms: 0.5, perMs: options.budget.perMs } }) - month).toBeCloseTo(
    Math.log(2),
    6,
  );
  // Five of the model, one a label, three a column, five more: each gets an equal part.
  const streams = 5 + 2 + 3 * 5 + 5;
  expect(month).toBeCloseTo(Math.log((options.budget.perMs / BLOCK_MS) * streams), 6);
});

test('memory stays bounded, however many devices, and silent ones make room', () => {
  const monitor = new TaskMonitor(options);
  let name = 0;
  for (let t = 0; t < 30_000; t += 10) {
    const devices = Array.from({ length: 8 }, () => `device-${name++}`);
    const rows = rowsOf(8);
    const scores = new Float32Array(16).fill(0.5);
    monitor.scored({ at: t, rows, scores, classes: 2, predicted: new Int32Array(8), devices, latencyMs: 1 });
  }
  const saved = monitor.save();
  expect(JSON.parse(saved).devices.names).toHaveLength(1_000);
  expect(saved.length).toBeLessThan(400_000);
  expect(TaskMonitor.restore(options, saved).save()).toBe(saved);
});

test('times that jump, batches without labels and numbers that are none do no harm', () => {
  const monitor = new TaskMonitor(options);
  const fleet = new Fleet({ seed: 13 });
  const nan = new Float32Array(40).fill(Number.NaN);
  for (const t of [0, 5e6, 1e3, 1.7e12, 0, 10, 1.7e12 + 1, 3_000]) {
    for (let i = 0; i < 20; i++) fleet.step(monitor, t + i * 500);
    const silent = { rows: rowsOf(20), devices: new Array<string>(20).fill('d'), latencyMs: Number.NaN };
    monitor.scored({ at: t, ...silent, scores: nan, classes: 2, predicted: new Int32Array(20).fill(-1) });
    monitor.labelled({ truth: 0, predicted: -1, probability: 0.5, confidence: 0.5, device: 'd', at: t });
    monitor.labelled({
      truth: 0,
      predicted: 1,
      probability: Number.NaN,
      confidence: 0.5,
      device: 'd',
      at: t,
    });
    monitor.close(t, 'm');
  }
  const { alarms, window } = monitor.close(20_000, 'm');
  expect(alarms).toEqual([]);
  for (const { level, reference, distance } of Object.values(window.streams))
    expect([level, reference, distance].every(Number.isFinite)).toBe(true);
});

describe('saved state', () => {
  const text = watch({ seed: 14 }, 80_000).monitor.save();
  const codeOf = (call: () => unknown): string => {
    try {
      call();
      return 'none';
    } catch (thrown) {
      return thrown instanceof SluiceError ? thrown.code : String(thrown);
    }
  };

  test('is refused where it is damaged, hostile, or of other labels or columns', () => {
    const state = JSON.parse(text);
    const damaged = [
      '',
      '{}',
      text.slice(1),
      JSON.stringify({ ...state, more: 1 }),
      JSON.stringify({ ...state, dense: 'AAAA' }),
      JSON.stringify({ ...state, devices: { ...state.devices, short: 'AA==' } }),
      JSON.stringify({ ...state, streams: state.streams.slice(1) }),
      JSON.stringify({ ...state, from: { ...state.from, events: null } }),
      JSON.stringify({ ...state, streams: [{ ...state.streams[0], sums: [1] }, ...state.streams.slice(1)] }),
    ];
    for (const one of damaged)
      expect(
        codeOf(() => TaskMonitor.restore(options, one)),
        one.slice(0, 60),
      ).toBe('DETECTOR_STATE');
    expect(codeOf(() => TaskMonitor.restore({ ...options, labels: ['a', 'b', 'c'] }, text))).toBe(
      'DETECTOR_STATE',
    );
    expect(codeOf(() => TaskMonitor.restore({ ...options, columns: ['x'] }, text))).toBe('DETECTOR_STATE');
  });

  test('holds numbers and device names only', () => {
    const words = new Set([...text.matchAll(/"([^"]*)"/g)].map(([, word]) => word));
    const devices = [...words].filter((word) => word.startsWith('press-'));
    expect(devices).toHaveLength(20);
  });
});

test('refuses a budget, a share or a block that makes no sense', () => {
  for (const wrong of [
    { share: 0 },
    { blockMs: Number.NaN },
    { budget: { alarms: 0, perMs: 1 } },
    { labels: [] },
  ])
    expect(() => new TaskMonitor({ ...options, ...wrong })).toThrow(/above 0/);
});

test('marks of missing values and turning clocks are not watched', () => {
  expect(watchedColumns(['rpm', 'rpm missing', 'time hour sin', 'time hour cos', 'sine'])).toEqual([
    ...['rpm', '', '', '', 'sine'],
  ]);
});
