import { describe, expect, it } from 'vitest';
import { noFaults } from '../../firmware-sim/faults.ts';
import { type Conditions, readingFeed } from '../../firmware-sim/feeds.ts';
import { LabelDesk } from '../../firmware-sim/labels.ts';
import { type NetworkPlan, steadyNetwork } from '../../firmware-sim/link.ts';

const START = Date.UTC(2026, 0, 1);

interface Got {
  readonly t: number;
  readonly device: string;
  readonly seq: number;
  readonly ts: number;
}

/** Every device speaks once a second for `seconds`; what comes out, and the feed. */
function run(
  network: Partial<NetworkPlan>,
  seconds: number,
  { devices = 20, seed = 5, faults = noFaults } = {},
) {
  const conditions: Conditions = { faults, network: { ...steadyNetwork, ...network } };
  const feed = readingFeed({ seed, devices, conditions: () => conditions });
  feed.begin?.(START);
  const out: Got[] = [];
  for (let n = 0; n < seconds * devices; n++) {
    const t = (n * 1_000) / devices;
    for (const { payload } of feed.next(START + t) as readonly { payload: string }[]) {
      const { device, seq, ts } = JSON.parse(payload) as { device: string; seq: number; ts: string };
      out.push({ t, device, seq, ts: Date.parse(ts) - START });
    }
  }
  return { feed, out, books: feed.deviceCounts() };
}

function grouped(out: readonly Got[], key: (got: Got) => string): Map<string, Got[]> {
  const groups = new Map<string, Got[]>();
  for (const got of out) {
    const group = groups.get(key(got));
    if (group) group.push(got);
    else groups.set(key(got), [got]);
  }
  return groups;
}
const byDevice = (out: readonly Got[]) => grouped(out, ({ device }) => device);

describe('a device that loses its connection', () => {
  const offline = { every: 60_000, for: 15_000 };

  it('sends everything later, in order, and loses nothing while its buffer has room', () => {
    const { out, books } = run({ offline, buffer: 1_000 }, 600);
    expect(books.outages).toBeGreaterThan(50);
    expect(books.dropped).toBe(0);
    expect(books.late).toBeGreaterThan(1_000);
    expect(out.length + books.held).toBe(600 * 20);
    for (const own of byDevice(out).values()) {
      expect(own.map(({ seq }) => seq)).toEqual(own.map((_, i) => i + 1));
      // A reading keeps the time at which it was taken.
      expect(own.every(({ t, ts }) => ts <= t + 1)).toBe(true);
    }
    expect(Math.max(...out.map(({ t, ts }) => t - ts))).toBeGreaterThan(5_000);
  });

  it('drops what does not fit, oldest or newest, and counts just that', () => {
    for (const whenFull of ['drop-oldest', 'drop-newest'] as const) {
      const { out, books } = run({ offline, buffer: 5, whenFull }, 400);
      expect(books.dropped).toBeGreaterThan(200);
      expect(out.length + books.held + books.dropped).toBe(400 * 20);
      const gaps: number[] = [];
      for (const own of byDevice(out).values()) {
        expect(own.every(({ seq }, i) => i === 0 || seq > own[i - 1].seq)).toBe(true);
        own.forEach(({ t, ts, seq }, i) => {
          if (i > 0 && seq > own[i - 1].seq + 1) gaps.push(t - ts);
        });
      }
      // Behind a gap comes, with drop-oldest, a reading that is still waiting in the device; with drop-newest a fresh one.
      const fresh = gaps.filter((late) => late < 6_000).length / gaps.length;
      if (whenFull === 'drop-newest') expect(fresh).toBeGreaterThan(0.9);
      expect(gaps.length).toBeGreaterThan(20);
    }
    expect(run({ offline, buffer: 0 }, 60).books.held).toBe(0);
  });

  it('sends at most a burst at a turn when it is back', () => {
    const { out } = run({ offline, buffer: 1_000, burst: 3 }, 300);
    const turns = grouped(out, ({ t, device }) => `${t} ${device}`);
    expect(Math.max(...[...turns.values()].map((own) => own.length))).toBe(3);
  });

  it('is away for the share of the time that the means say', () => {
    const { out, books } = run({ offline, buffer: 0 }, 3_000, { devices: 10 });
    expect(Math.abs(out.length / (3_000 * 10) - 60 / 75)).toBeLessThan(0.03);
    expect(books.states.run + books.states.offline).toBe(10);
  });

  it('measures nothing while it starts anew, and loses its buffer where that is in memory only', () => {
    const { out, books } = run({ reboot: { every: 60_000, for: 10_000, keeps: true } }, 600);
    expect(books.reboots).toBeGreaterThan(100);
    expect(books.dropped).toBe(0);
    expect(out.length).toBeLessThan(600 * 20 * 0.95);
    for (const own of byDevice(out).values())
      expect(own.map(({ seq }) => seq)).toEqual(own.map((_, i) => i + 1));
    const volatile = { every: 20_000, for: 1_000, keeps: false };
    const lossy = run({ offline: { every: 10_000, for: 20_000 }, reboot: volatile, burst: 1 }, 300);
    expect(lossy.books.dropped).toBeGreaterThan(0);
  });

  it('does all this again for the same seed, and otherwise for another', () => {
    const first = run({ offline }, 120).out;
    expect(run({ offline }, 120).out).toEqual(first);
    expect(run({ offline }, 120, { seed: 6 }).out).not.toEqual(first);
  });
});

describe('wrong clocks', () => {
  it('are off by a constant amount of each device, and by more as time passes', () => {
    const { out } = run({ clock: { offset: 5_000, drift: 10_000 } }, 200);
    const devices = [...byDevice(out).values()];
    const off = devices.map((own) => own.map(({ t, ts }) => ts - t));
    for (const own of off) {
      expect(Math.abs(own[0])).toBeLessThanOrEqual(5_010);
      // 200 s at up to 1 %.
      expect(Math.abs(own[own.length - 1] - own[0])).toBeLessThanOrEqual(2_010);
    }
    expect(Math.max(...off.map(([first]) => first))).toBeGreaterThan(2_000);
    expect(Math.min(...off.map(([first]) => first))).toBeLessThan(-2_000);
    expect(Math.max(...off.map((own) => own[own.length - 1] - own[0]))).toBeGreaterThan(500);
  });
});

describe('faults of a sensor that last', () => {
  const values = (faults: object, count: number) => {
    const feed = readingFeed({ seed: 2, devices: 1, faults: { ...noFaults, ...faults } });
    return Array.from({ length: count }, (_, i) => {
      const [{ payload }] = feed.next(START + i * 1_000) as readonly { payload: string }[];
      return JSON.parse(payload) as Record<string, number>;
    });
  };
  const NAMES = ['temperature', 'vibration', 'current', 'pressure', 'rpm'];

  it('dropout: one sensor says nothing for as long as an episode is', () => {
    const lines = values({ dropout: 1e-2 }, 3_000).map((v) => NAMES.filter((name) => !(name in v)));
    expect(lines.every((missing) => missing.length <= 1)).toBe(true);
    const runs: number[] = [];
    let before = '';
    for (const [missing = ''] of lines) {
      if (missing !== '' && missing === before) runs[runs.length - 1] += 1;
      else if (missing !== '') runs.push(1);
      before = missing;
    }
    expect(runs.length).toBeGreaterThan(5);
    expect(runs.slice(0, -1).every((length) => length % 30 === 0)).toBe(true);
  });

  it('offset: one sensor is off by five times its noise, the others are as they were', () => {
    const plain = values({}, 400);
    const broken = values({ offset: 1 }, 400);
    const type = readingFeed({ seed: 2, devices: 1 }).world.devices[0].type;
    const sensors = new Set<number>();
    // The draw of a fault shifts later numbers; the first reading is the same but for the fault.
    const off = NAMES.map((name, s) => (broken[0][name] - plain[0][name]) / type.noise[s]);
    off.forEach((multiple, s) => {
      if (Math.abs(multiple) > 0.1) {
        sensors.add(s);
        expect(Math.abs(multiple)).toBeCloseTo(5, 1);
      }
    });
    expect(sensors.size).toBe(1);
  });
});

describe('labels of hostile devices', () => {
  it('are always the opposite, whatever the share of wrong ones', () => {
    const desk = new LabelDesk({ delay: 0, fraction: 1, wrong: 0, shape: 'fixed' }, ['ok', 'fault'], 1);
    for (let n = 0; n < 100; n++) desk.see(`e${n}`, n, n % 2, 0, true);
    expect(
      desk.take(0).every(({ event, label }) => (Number(event.slice(1)) % 2 === 0) === (label === 'fault')),
    ).toBe(true);
  });

  it('come from the stated share of the devices, drawn by the seed', () => {
    const count = (seed: number) =>
      readingFeed({ seed, devices: 1_000, hostile: 0.1 }).deviceCounts().hostile;
    expect(Math.abs(count(1) - 100)).toBeLessThan(40);
    expect(count(1)).toBe(count(1));
  });

  it.each([
    ['fixed', 1, 1],
    ['uniform', 0.5, 1.5],
    ['exponential', 0, 12],
    ['lognormal', 0, 40],
  ] as const)('delays of shape %s have the stated mean', (shape, least, most) => {
    const desk = new LabelDesk({ delay: 10_000, fraction: 1, wrong: 0, shape }, ['a', 'b'], 4);
    for (let n = 0; n < 20_000; n++) desk.see(`e${n}`, n, 0, 0);
    let sum = 0;
    const times: number[] = [];
    for (let now = 0; desk.waiting > 0; now += 50)
      for (const _ of desk.take(now)) {
        sum += now;
        times.push(now);
      }
    expect(Math.abs(sum / 20_000 - 10_000)).toBeLessThan(500);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(least * 10_000);
    expect(times.reduce((a, b) => Math.max(a, b))).toBeLessThanOrEqual(
      most * 10_000 * (shape === 'lognormal' ? 5 : 1) + 50,
    );
  });
});
