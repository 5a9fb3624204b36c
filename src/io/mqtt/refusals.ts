/**
 * The topics that a broker said we may not write to, remembered for a while. Their messages are refused here meanwhile:
 * mosquitto 2.0.11 ends the connection after each "not authorized", and with it go the messages to all other
 * topics that are under way. When the time is over the broker is asked again, so a mended access rule is noticed.
 */
import type { Clock } from '../../contract.ts';
import type { SluiceError } from '../../errors.ts';

const REMEMBERED_MS = 60_000;

export class Refusals {
  readonly #clock: Clock;
  /** By topic; a gateway publishes to few. */
  readonly #known = new Map<string, { readonly error: SluiceError; readonly until: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(topic: string, error: SluiceError): void {
    this.#known.set(topic, { error, until: this.#clock.now() + REMEMBERED_MS });
  }

  /** Why messages to this topic are not sent; null where they may be. */
  of(topic: string): SluiceError | null {
    const known = this.#known.get(topic);
    if (!known) return null;
    if (this.#clock.now() < known.until) return known.error;
    this.#known.delete(topic);
    return null;
  }
}
