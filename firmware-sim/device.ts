/**
 * One simulated machine and its firmware: a state machine of health and mode that turns the world's
 * truth into JSON readings with a running number. Episodes are counted in readings, not in seconds, so
 * that the share of faults does not depend on the rate.
 *
 *   sound ──(mean 160)──▶ wearing ──(mean 12)──▶ faulty ──(mean 45)──▶ sound (repaired)
 *             truth ok      truth ok, slight signs   truth fault
 *
 * Every message can be found again by the sender's own numbering: `device` and `seq` stand in the
 * payload (or are the CloudEvents `source` and `id`), so no two readings of a fleet are equal bytes.
 */
import { Episodes } from './episodes.ts';
import {
  corrupt,
  drawFaults,
  type EpisodeLengths,
  type FaultRates,
  faultBit,
  outOfRange,
  UNREADABLE,
  usualFaults,
  usualLengths,
  wrongType,
} from './faults.ts';
import { Random } from './random.ts';
import { type DeviceTruth, type Mode, pickMode, SENSORS, type World } from './world.ts';

/** `json`: flat fields. `cloudevents`: the same fields as `data` of a structured CloudEvent. */
export type ReadingFormat = 'json' | 'cloudevents';

export interface Reading {
  readonly device: string;
  /** The sender's number, from 1, without gaps. */
  readonly seq: number;
  readonly topic: string;
  readonly payload: string;
  /** Index into the world's labels. */
  readonly truth: number;
  /** Bits of what was done to it, see faults.ts. */
  readonly faults: number;
  /** False where no decoder can read it: a dead letter is the right answer. */
  readonly readable: boolean;
}

const MEAN_READINGS = { sound: 160, wearing: 12, faulty: 45 } as const;
type Health = keyof typeof MEAN_READINGS;
const NEXT: Readonly<Record<Health, Health>> = { sound: 'wearing', wearing: 'faulty', faulty: 'sound' };
const MODE_MEAN_READINGS = 60;
/** Memory of the shared load from one reading to the next (an AR(1) process). */
const LOAD_MEMORY = 0.9;

export interface DeviceOptions {
  readonly faults?: FaultRates;
  /** Readings that an episode of a sensor's fault lasts. */
  readonly episodes?: EpisodeLengths;
  readonly format?: ReadingFormat;
  /** Default `plant`: readings go to `<prefix>/<device>/telemetry`. */
  readonly prefix?: string;
}

export class Device {
  readonly name: string;
  readonly topic: string;
  readonly #world: World;
  readonly #truth: DeviceTruth;
  readonly #random: Random;
  readonly #faults: FaultRates;
  readonly #format: ReadingFormat;
  readonly #episodes: Episodes;
  readonly #values = new Float64Array(SENSORS.length);
  #seq = 0;
  #health: Health = 'sound';
  #healthLeft: number;
  #fault = 0;
  #severity = 0;
  #mode: Mode = 'run';
  #modeLeft = 0;
  #load = 0;
  /** A reading held back by `reorder`, sent after its successor. */
  #held: Reading | null = null;

  constructor(world: World, truth: DeviceTruth, options: DeviceOptions = {}) {
    this.name = truth.name;
    this.topic = `${options.prefix ?? 'plant'}/${truth.name}/telemetry`;
    this.#world = world;
    this.#truth = truth;
    this.#random = new Random(world.seed).fork(`device ${truth.name}`);
    this.#faults = options.faults ?? usualFaults;
    this.#format = options.format ?? 'json';
    this.#episodes = new Episodes(options.episodes ?? usualLengths, truth.type.noise);
    // A plant does not begin with every machine sound: start where a long run would be found.
    const shares = Object.entries(MEAN_READINGS) as [Health, number][];
    this.#health = this.#random.weighted(shares);
    this.#fault = this.#random.below(world.faults.length);
    this.#healthLeft = this.#lasting(this.#health);
  }

  /**
   * What the device sends next: usually one reading; none while one is held back, two when that one
   * follows or when a message is sent twice. `t` is ms since the world's start, `at` the time that the device
   * believes it is, ms since the epoch.
   */
  next(t: number, at: number, faults: FaultRates = this.#faults): readonly Reading[] {
    const reading = this.#take(t, at, faults);
    if (reading.faults & faultBit('reorder') && !this.#held) {
      this.#held = reading;
      return [];
    }
    const out = reading.faults & faultBit('duplicate') ? [reading, reading] : [reading];
    if (this.#held) out.push(this.#held);
    this.#held = null;
    return out;
  }

  #take(t: number, at: number, faults: FaultRates): Reading {
    this.#step();
    this.#seq += 1;
    const random = this.#random;
    const fault = this.#severity > 0 ? this.#fault : 0;
    this.#world.sense(this.#truth, t, this.#mode, fault, this.#severity, this.#load, random, this.#values);
    const bits = drawFaults(faults, random) | this.#episodes.apply(this.#values, faults, random);
    const text = this.#write(bits, at);
    const readable = (bits & UNREADABLE) === 0;
    return {
      device: this.name,
      seq: this.#seq,
      topic: this.topic,
      payload: readable ? text : corrupt(text, bits, random),
      truth: this.#label(),
      faults: bits,
      readable,
    };
  }

  /** One step of mode, health and load. */
  #step(): void {
    const random = this.#random;
    if (--this.#modeLeft <= 0) {
      this.#mode = pickMode(random);
      this.#modeLeft = 1 + Math.floor(random.exponential(MODE_MEAN_READINGS));
    }
    if (--this.#healthLeft <= 0) {
      this.#health = NEXT[this.#health];
      this.#healthLeft = this.#lasting(this.#health);
      if (this.#health === 'wearing') this.#fault = random.below(this.#world.faults.length);
    }
    this.#load = LOAD_MEMORY * this.#load + Math.sqrt(1 - LOAD_MEMORY * LOAD_MEMORY) * random.normal();
    if (this.#health === 'sound') this.#severity = 0;
    else if (this.#health === 'wearing') this.#severity = 0.1 + 0.15 * random.next();
    else this.#severity = 0.95 + 0.55 * random.next();
  }

  #lasting(health: Health): number {
    return 1 + Math.floor(this.#random.exponential(MEAN_READINGS[health]));
  }

  #label(): number {
    if (this.#health !== 'faulty') return 0;
    return this.#world.labels.length === 2 ? 1 : 1 + this.#fault;
  }

  /** The payload, written by hand: a third of the cost of JSON.stringify, and faults need the text anyway. */
  #write(bits: number, at: number): string {
    const random = this.#random;
    const touched = bits & TOUCHED ? random.below(SENSORS.length) : -1;
    const { silent } = this.#episodes;
    let fields = '';
    for (let s = 0; s < SENSORS.length; s++) {
      if (s === silent) continue;
      const { name, decimals } = SENSORS[s];
      let text = String(rounded(this.#values[s], decimals));
      if (s === touched) {
        if (bits & faultBit('missing')) continue;
        if (bits & faultBit('wrongType')) text = wrongType(s, this.#values[s], random);
        else if (bits & faultBit('outOfRange')) text = String(outOfRange(s, random));
        else if (bits & faultBit('spike'))
          text = String(rounded(spike(s, this.#values[s], random), decimals));
      }
      fields += `"${name}":${text},`;
    }
    const time = isoTime(at);
    const body = `{"device":"${this.name}","seq":${this.#seq},"ts":"${time}",${fields}"mode":"${this.#mode}"}`;
    if (this.#format === 'json') return body;
    return (
      `{"specversion":"1.0","type":"dev.sluice.reading.v1","source":"/${this.topic.slice(0, this.topic.lastIndexOf('/'))}",` +
      `"id":"${this.#seq}","time":"${time}","datacontenttype":"application/json","data":${body}}`
    );
  }
}

const TOUCHED = faultBit('missing') | faultBit('wrongType') | faultBit('outOfRange') | faultBit('spike');

const POWERS = [1, 10, 100, 1000];
const rounded = (value: number, decimals: number): number =>
  Math.round(value * POWERS[decimals]) / POWERS[decimals];

/** A short electrical disturbance: far off, but still within what the sensor can say. */
function spike(sensor: number, value: number, random: Random): number {
  const { min, max } = SENSORS[sensor];
  return Math.min(max, Math.max(min, value * (random.chance(0.5) ? 1.6 + random.next() : 0.2)));
}

let lastTime = Number.NaN;
let lastText = '';

/** RFC 3339 UTC; readings of one tick often share their millisecond. */
function isoTime(ms: number): string {
  if (ms !== lastTime) {
    lastTime = ms;
    lastText = new Date(ms).toISOString();
  }
  return lastText;
}
