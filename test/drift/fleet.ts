/**
 * A small plant for the monitor's tests: devices with shared-noise loads (AR(1), 0.9), fault episodes of about 45
 * readings, modes, and a daily rhythm; a classifier that is right about 97 times in 100; labels for some verdicts. All
 * seeded, in virtual time, two hundred readings in a block of two seconds.
 */
import type { Alarm, Rows } from '../../src/contract.ts';
import { type MonitorOptions, type MonitorWindow, TaskMonitor } from '../../src/drift/monitor.ts';
import { seededRandom } from '../../src/task/random.ts';

export const BLOCK_MS = 2_000;
const BATCH_MS = 200;
const MONTH = 2_629_746_000;
export const COLUMNS = ['temperature', 'vibration', 'current', 'pressure', 'rpm', 'current missing'];

export const options: MonitorOptions = {
  task: 'machine',
  labels: ['ok', 'fault'],
  columns: COLUMNS.map((name) => (name.endsWith(' missing') ? '' : name)),
  budget: { alarms: 1, perMs: MONTH },
  share: 0.5,
  blockMs: BLOCK_MS,
};

/** What happens to the plant from `at` (until `until`) on. */
export interface Trouble {
  readonly at: number;
  readonly until?: number;
  /** Column and shift in deviations. */
  readonly shift?: readonly [number, number];
  /** Column and factor on its noise. */
  readonly noise?: readonly [number, number];
  /** Column and share of missing values. */
  readonly missing?: readonly [number, number];
  /** Share of verdicts that become wrong though the inputs look the same. */
  readonly wrong?: number;
  /** Part of the events that still comes. */
  readonly volume?: number;
  readonly latency?: number;
  /** Devices concerned: the first so many; default all. */
  readonly devices?: number;
}

export interface FleetOptions {
  readonly seed: number;
  readonly devices?: number;
  readonly trouble?: readonly Trouble[];
  readonly dayMs?: number;
  /** Amplitude of the rhythm in deviations of a reading. */
  readonly rhythm?: number;
}

export class Fleet {
  readonly names: string[];
  readonly #options: FleetOptions;
  readonly #random: () => number;
  readonly #load: Float64Array;
  readonly #fault: Int32Array;
  readonly #phase: Float64Array;
  readonly #rows: { -readonly [K in keyof Rows]: Rows[K] };
  readonly #scores: Float32Array;
  readonly #predicted: Int32Array;
  readonly #devices: string[];
  readonly #truth: Int32Array;

  constructor(given: FleetOptions) {
    const n = given.devices ?? 20;
    this.#options = given;
    this.#random = seededRandom(given.seed, 'fleet');
    this.names = Array.from({ length: n }, (_, i) => `press-${i}`);
    this.#load = new Float64Array(n);
    this.#fault = new Int32Array(n);
    this.#phase = Float64Array.from({ length: n }, () => this.#random());
    this.#rows = {
      count: 0,
      indptr: new Uint32Array(n + 1),
      indices: new Uint32Array(0),
      values: new Float32Array(0),
      denseDims: COLUMNS.length,
      dense: new Float32Array(n * COLUMNS.length),
    };
    this.#scores = new Float32Array(n * 2);
    this.#predicted = new Int32Array(n);
    this.#devices = [...this.names];
    this.#truth = new Int32Array(n);
  }

  /** One reading of each device goes through the monitor, most of them labelled. */
  step(monitor: TaskMonitor, t: number): void {
    const troubles = (this.#options.trouble ?? []).filter(
      ({ at, until }) => t >= at && t < (until ?? Infinity),
    );
    const volume = troubles.reduce((part, trouble) => part * (trouble.volume ?? 1), 1);
    let count = 0;
    for (let d = 0; d < this.names.length; d++) {
      const mine = troubles.filter(({ devices }) => d < (devices ?? Infinity));
      this.#reading(d, t, mine, count);
      if (volume === 1 || this.#random() < volume) this.#devices[count++] = this.names[d];
    }
    this.#rows.count = count;
    // Heavy-tailed, as latencies are.
    const latencyMs =
      3 * Math.exp(0.4 * this.#gauss()) * troubles.reduce((f, { latency }) => f * (latency ?? 1), 1);
    monitor.scored({
      at: t,
      rows: this.#rows,
      scores: this.#scores,
      classes: 2,
      predicted: this.#predicted,
      devices: this.#devices,
      latencyMs,
    });
    for (let i = 0; i < count; i++) {
      const truth = this.#truth[i];
      const predicted = this.#predicted[i];
      monitor.labelled({
        truth,
        predicted,
        probability: this.#scores[i * 2 + truth],
        confidence: this.#scores[i * 2 + predicted],
        device: this.#devices[i],
        at: t,
      });
    }
  }

  #reading(d: number, t: number, troubles: readonly Trouble[], i: number): void {
    const { dayMs = 86_400_000, rhythm = 0.9 } = this.#options;
    const random = this.#random;
    this.#load[d] = 0.9 * this.#load[d] + 0.436 * this.#gauss();
    if (this.#fault[d] > 0) this.#fault[d] -= 1;
    else if (random() < 0.001) this.#fault[d] = 30 + Math.floor(random() * 30);
    const fault = this.#fault[d] > 0 ? 1 : 0;
    const day = Math.sin(2 * Math.PI * (t / dayMs + 0.1 * this.#phase[d]));
    const { dense } = this.#rows;
    for (let c = 0; c < 5; c++) {
      let noise = 1;
      let shift = c === 0 ? rhythm * day : 0;
      let gone = 0.002;
      for (const { shift: s, noise: n, missing } of troubles) {
        if (s && s[0] === c) shift += s[1];
        if (n && n[0] === c) noise *= n[1];
        if (missing && missing[0] === c) gone = missing[1];
      }
      const value = noise * (0.8 * this.#load[d] + this.#gauss()) + shift + fault * (c === 1 ? 5 : 1);
      dense[i * COLUMNS.length + c] = random() < gone ? NaN : 50 + 10 * c + 2 * value;
    }
    dense[i * COLUMNS.length + 5] = Number.isNaN(dense[i * COLUMNS.length + 2]) ? 1 : 0;
    let p = 1 / (1 + Math.exp(-(5 * fault - 2.5 + 1.2 * this.#gauss()) * 1.6));
    for (const { wrong } of troubles) if (wrong && random() < wrong) p = 1 - p;
    this.#scores[i * 2] = 1 - p;
    this.#scores[i * 2 + 1] = p;
    this.#predicted[i] = p >= 0.5 ? 1 : 0;
    this.#truth[i] = fault;
  }

  #gauss(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random());
  }
}

export interface Watched {
  readonly alarms: Alarm[];
  readonly last: MonitorWindow;
  readonly monitor: TaskMonitor;
}

/** Runs a fleet from 0 to `until`, with a window each block; `each` may swap the monitor (a restart). */
export function watch(
  fleetOptions: FleetOptions,
  until: number,
  each?: (monitor: TaskMonitor, t: number) => TaskMonitor,
): Watched {
  const fleet = new Fleet(fleetOptions);
  let monitor = new TaskMonitor(options);
  const alarms: Alarm[] = [];
  let last: MonitorWindow = { estimatedAccuracy: null, streams: {} };
  for (let t = 0; t < until; t += BATCH_MS) {
    fleet.step(monitor, t);
    if (each) monitor = each(monitor, t);
    if (t % BLOCK_MS !== 0) continue;
    const closed = monitor.close(t, 'blank+0');
    alarms.push(...closed.alarms);
    last = closed.window;
  }
  return { alarms, last, monitor };
}
