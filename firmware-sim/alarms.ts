/**
 * The drift alarms that gateways tell while the simulator runs, as it saw them arrive, by its own clock. Promises:
 * bounded (the first MAX_ALARMS are kept, further ones counted); an alarm that was told before the run, and was only
 * delivered now, is counted as stale and kept out; what does not fit is counted, never an exception.
 */

import { readAlarm, type SiteAlarm } from '../src/envelope/fleet.ts';
import { asSluiceError } from '../src/errors.ts';

const MAX_ALARMS = 10_000;

export interface SeenAlarm {
  readonly site: string;
  readonly task: string;
  readonly stream: string;
  readonly detector: string;
  /** When it came here and when the gateway says it was told, ms since the epoch. */
  readonly seenAt: number;
  readonly toldAt: number;
  /** Since when the gateway thinks that it holds. */
  readonly since: number;
}

export class AlarmBook {
  readonly #site: string | null;
  readonly #begin: number;
  readonly #alarms: SeenAlarm[] = [];
  unreadable = 0;
  stale = 0;
  beyond = 0;

  /** Alarms of other sites than `site` are passed over (a Kafka topic carries all of them); null takes every one. */
  constructor(site: string | null, begin: number) {
    this.#site = site;
    this.#begin = begin;
  }

  get alarms(): readonly SeenAlarm[] {
    return this.#alarms;
  }

  enter(payload: Uint8Array, now: number): void {
    let alarm: SiteAlarm;
    try {
      alarm = readAlarm(payload);
    } catch (thrown) {
      if (asSluiceError(thrown).code !== 'PAYLOAD_INVALID') throw thrown;
      this.unreadable += 1;
      return;
    }
    if (alarm.state !== 'drift' || (this.#site !== null && alarm.site !== this.#site)) return;
    if (alarm.at < this.#begin) this.stale += 1;
    else if (this.#alarms.length >= MAX_ALARMS) this.beyond += 1;
    else {
      const { site, task, stream, detector, at, since } = alarm;
      this.#alarms.push({ site, task, stream, detector, seenAt: now, toldAt: at, since });
    }
  }
}
