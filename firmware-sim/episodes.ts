/**
 * Faults of a device's sensors that last for a while: one sensor repeats its last value (`stuck`), is off by a
 * constant amount (`offset`) or says nothing (`dropout`). Lengths are counted in readings, so that the share of
 * faulty readings does not depend on the rate. Each kind strikes one sensor at a time.
 */
import {
  type EpisodeLengths,
  type EpisodeName,
  episodeNames,
  type FaultRates,
  faultBit,
  OFFSET,
} from './faults.ts';
import type { Random } from './random.ts';
import { type MachineType, SENSORS } from './world.ts';

interface Episode {
  left: number;
  sensor: number;
  /** stuck: the value that is repeated; offset: what is added. */
  value: number;
}

export class Episodes {
  readonly #lengths: EpisodeLengths;
  readonly #noise: MachineType['noise'];
  readonly #episodes: Record<EpisodeName, Episode> = {
    stuck: { left: 0, sensor: 0, value: 0 },
    offset: { left: 0, sensor: 0, value: 0 },
    dropout: { left: 0, sensor: 0, value: 0 },
  };

  constructor(lengths: EpisodeLengths, noise: MachineType['noise']) {
    this.#lengths = lengths;
    this.#noise = noise;
  }

  /** The sensor that is silent for this reading, or -1. */
  get silent(): number {
    return this.#episodes.dropout.value === 1 ? this.#episodes.dropout.sensor : -1;
  }

  /** Changes the values of one reading; returns the bits of the episodes that it falls into. */
  apply(values: Float64Array, rates: FaultRates, random: Random): number {
    let bits = 0;
    this.#episodes.dropout.value = 0;
    for (const name of episodeNames) {
      const episode = this.#episodes[name];
      if (episode.left === 0) {
        if (rates[name] <= 0 || !random.chance(rates[name])) continue;
        this.#begin(name, episode, values, random);
      }
      episode.left -= 1;
      bits |= faultBit(name);
      if (name === 'stuck') values[episode.sensor] = episode.value;
      else if (name === 'offset') values[episode.sensor] = shifted(episode.sensor, values, episode.value);
      else episode.value = 1;
    }
    return bits;
  }

  #begin(name: EpisodeName, episode: Episode, values: Float64Array, random: Random): void {
    episode.left = this.#lengths[name];
    episode.sensor = random.below(SENSORS.length);
    if (name === 'stuck') episode.value = values[episode.sensor];
    if (name === 'offset')
      episode.value = (random.chance(0.5) ? OFFSET : -OFFSET) * this.#noise[episode.sensor];
  }
}

/** A sensor that is off still says nothing that it cannot say. */
const shifted = (sensor: number, values: Float64Array, by: number): number =>
  Math.min(SENSORS[sensor].max, Math.max(SENSORS[sensor].min, values[sensor] + by));
