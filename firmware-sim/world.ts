/**
 * The truth behind the readings, from a seed: what machines there are, how each behaves when it is
 * sound, how each kind of fault shows in the sensors, and how all of this drifts by script. Everything
 * that a classifier should find out is written down here and nowhere else, so that its verdicts can be
 * compared with what really was.
 *
 * A reading is  baseline(device, mode) + rhythm(time) + shared load noise + severity * signature(fault)
 * + sensor noise, all in units of the sensor. Faults overlap with the noise of sound machines: a linear
 * model reaches about 95 to 99 %, never 100 %.
 */
import { concerns, type Drift, mannerOf, progress } from './drift.ts';
import { Random } from './random.ts';

export type { Drift } from './drift.ts';

/** Numeric sensors in the order in which readings carry them. */
export const SENSORS = [
  { name: 'temperature', unit: '°C', min: -40, max: 200, decimals: 2 },
  { name: 'vibration', unit: 'mm/s', min: 0, max: 60, decimals: 3 },
  { name: 'current', unit: 'A', min: 0, max: 120, decimals: 2 },
  { name: 'pressure', unit: 'bar', min: 0, max: 16, decimals: 3 },
  { name: 'rpm', unit: '1/min', min: 0, max: 6000, decimals: 0 },
] as const;

export type SensorName = (typeof SENSORS)[number]['name'];

export const MODES = ['idle', 'run', 'boost'] as const;
export type Mode = (typeof MODES)[number];

/** One number per sensor, in the order of SENSORS. */
type Vector = readonly [number, number, number, number, number];

export interface MachineType {
  readonly name: string;
  /** Sound values while running. */
  readonly base: Vector;
  /** Standard deviation of one reading while sound, in the sensor's unit. */
  readonly noise: Vector;
  /** Sensors that follow the shared load, as multiples of their noise: what makes them correlate. */
  readonly load: Vector;
}

export const machineTypes: readonly MachineType[] = [
  {
    name: 'press',
    base: [58, 3.2, 22, 7.4, 1480],
    noise: [1.6, 0.4, 1.2, 0.26, 24],
    load: [0.6, 0.3, 0.9, 0.4, -0.5],
  },
  {
    name: 'pump',
    base: [56, 2.9, 20, 7.1, 1960],
    noise: [1.5, 0.38, 1.1, 0.25, 35],
    load: [0.5, 0.3, 0.8, 0.6, -0.4],
  },
  {
    name: 'fan',
    base: [54, 2.7, 19, 6.8, 980],
    noise: [1.4, 0.36, 1.0, 0.24, 16],
    load: [0.4, 0.4, 0.7, 0.3, -0.3],
  },
];

/** How a fault at severity 1 moves the sensors, in multiples of the sensor's noise. */
export const signatures: Readonly<Record<string, Vector>> = {
  bearing: [2.2, 5.2, 2.0, 0.2, -1.0],
  leak: [1.0, 1.6, 2.4, -4.8, 1.2],
  overheat: [5.0, 1.2, 2.8, -1.0, -1.4],
};

/** Factor on the baseline and share of the time, by mode. Idle machines are cool, slow and hard to judge. */
const modes: Readonly<Record<Mode, { readonly factor: Vector; readonly share: number }>> = {
  idle: { factor: [0.94, 0.9, 0.86, 0.98, 0.94], share: 0.15 },
  run: { factor: [1, 1, 1, 1, 1], share: 0.7 },
  boost: { factor: [1.03, 1.08, 1.09, 1.02, 1.05], share: 0.15 },
};

export interface WorldOptions {
  readonly seed: number;
  readonly devices: number;
  /** 2: labels are `ok` and `fault`. 4: `ok` and the name of each fault. Default 2. */
  readonly classes?: 2 | 4;
  /** Length of a day, ms; default 24 h. Shorten it to see the rhythm in a short run. */
  readonly dayMs?: number;
  readonly drift?: readonly Drift[];
  /** Names of `machineTypes` that the devices have, in turn; default all. */
  readonly types?: readonly string[];
}

/** What sets one device apart. */
export interface DeviceTruth {
  readonly name: string;
  readonly index: number;
  readonly type: MachineType;
  /** Own baseline: the type's times about 1 ± 2 %. */
  readonly base: Vector;
  /** Phase of its daily rhythm, radians. */
  readonly phase: number;
}

export interface World {
  readonly labels: readonly string[];
  readonly devices: readonly DeviceTruth[];
  readonly faults: readonly string[];
  readonly drift: readonly Drift[];
  readonly seed: number;
  /**
   * Fills `out` with one noisy reading. `t` is ms since the world's start, `severity` 0 (sound) to
   * about 1.5, `fault` an index into `faults` (ignored at severity 0), `load` the shared load noise.
   */
  sense(
    device: DeviceTruth,
    t: number,
    mode: Mode,
    fault: number,
    severity: number,
    load: number,
    random: Random,
    out: Float64Array,
  ): void;
  /** How far a drift has gone at `t`: 0 not begun, 1 complete. */
  progress(drift: Drift, t: number): number;
}

const DAY_MS = 86_400_000;
/** Amplitude of the daily rhythm in multiples of the noise: the hall is warmer in the afternoon. */
const RHYTHM: Vector = [0.9, 0, 0.2, 0, 0];
/** Where fault signatures go under a concept drift, in multiples of noise at strength 1. */
const CONCEPT: Vector = [-2.5, -5.5, 3.5, 3.5, -2.5];
/** And where sound machines go: towards what used to look faulty. */
const CONCEPT_SOUND: Vector = [1.2, 3.8, 0.5, 0, 0];

/** Builds a world. The same options give the same world, reading for reading. */
export function createWorld(options: WorldOptions): World {
  const random = new Random(options.seed).fork('world');
  const faults = Object.keys(signatures);
  const types = machineTypes.filter(({ name }) => options.types?.includes(name) ?? true);
  const devices = Array.from({ length: options.devices }, (_, index) =>
    createDevice(index, types[index % types.length], random),
  );
  const drift = options.drift ?? [];
  const driftOf = devices.map((device) => changesOf(device, drift, options.seed));
  const dayMs = options.dayMs ?? DAY_MS;
  return {
    labels: options.classes === 4 ? ['ok', ...faults] : ['ok', 'fault'],
    devices,
    faults,
    drift,
    seed: options.seed,
    progress,
    sense(device, t, mode, fault, severity, load, noise, out) {
      const day = Math.sin((2 * Math.PI * t) / dayMs + device.phase);
      const factor = modes[mode].factor;
      const signature = signatures[faults[fault]];
      const changes = driftOf[device.index];
      for (const change of changes) change.done = change.draw(t);
      for (let s = 0; s < SENSORS.length; s++) {
        const unit = device.type.noise[s];
        let multiple = RHYTHM[s] * day + device.type.load[s] * load + noise.normal();
        if (severity > 0) multiple += severity * signature[s];
        for (const { drift: d, done } of changes) multiple += driftBy(d, s, severity, done);
        out[s] = Math.max(SENSORS[s].min, device.base[s] * factor[s] + multiple * unit);
      }
    },
  };
}

function createDevice(index: number, type: MachineType, random: Random): DeviceTruth {
  const base = type.base.map((value, s) => value + 0.6 * type.noise[s] * random.normal());
  return {
    name: `${type.name}-${String(index + 1).padStart(2, '0')}`,
    index,
    type,
    base: base as unknown as Vector,
    phase: random.next() * 0.8,
  };
}

/** One drift as one device goes through it. */
interface Change {
  readonly drift: Drift;
  /** How far it has gone for a reading taken at `t`. */
  draw(t: number): number;
  /** For the reading that is being taken. */
  done: number;
}

/** A gradual change draws for each reading, from numbers of its own: nothing else moves with it. */
function changesOf(device: DeviceTruth, script: readonly Drift[], seed: number): Change[] {
  return script.flatMap((drift, index) => {
    if (!concerns(drift, index, device.name, device.type.name, seed)) return [];
    if (mannerOf(drift) !== 'gradual') return [{ drift, done: 0, draw: (t) => progress(drift, t) }];
    const random = new Random(seed).fork(`drift ${index} ${device.name}`);
    return [{ drift, done: 0, draw: (t) => (random.chance(progress(drift, t)) ? 1 : 0) }];
  });
}

function driftBy(drift: Drift, sensor: number, severity: number, done: number): number {
  if (done === 0) return 0;
  if (drift.kind === 'sensor') return SENSORS[sensor].name === drift.sensor ? done * (drift.shift ?? 4) : 0;
  const strength = done * (drift.strength ?? 1);
  return strength * (severity > 0 ? severity * CONCEPT[sensor] : CONCEPT_SOUND[sensor]);
}

/** A mode by its share of the time. */
export function pickMode(random: Random): Mode {
  return random.weighted(MODES.map((mode) => [mode, modes[mode].share] as const));
}
