/** Work that comes round while a gateway runs. One failure is told and the next round comes; `stop` ends all of it. */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';

export class Background {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[] = [];

  constructor(clock: Clock, telemetry: Telemetry) {
    this.#clock = clock;
    this.#telemetry = telemetry;
    setMaxListeners(0, this.#stop.signal); // one a loop
  }

  /** Aborted by `stop`. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Does it every `ms`, counted from the end of the round before. */
  every(ms: number, work: () => unknown): void {
    this.#loops.push(this.#loop(ms, work));
  }

  /** Resolves when no round is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  async #loop(ms: number, work: () => unknown): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      await this.#clock.sleep(ms, signal);
      if (signal.aborted) return;
      try {
        await work();
      } catch (thrown) {
        this.#telemetry.error(asSluiceError(thrown));
      }
    }
  }
}
