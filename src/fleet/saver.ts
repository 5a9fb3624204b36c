/**
 * When the running model is saved: after so many labels, or once it has rested. A snapshot bounds the replay after a
 * kill; without one a restart replays more of the journal, and that is all, so a failure is told and tried again later.
 * None is taken while a correction is on its way into the journal.
 */
import type { Clock, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Fold } from './fold.ts';

const EVERY_LABELS = 5_000;
const EVERY_MS = 300_000;
const RETRY_MS = 30_000;

export interface SaverContext {
  readonly task: { readonly name: string };
  readonly store: Store;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export class Saver {
  readonly #context: SaverContext;
  /** True while the model holds a label that is about to be taken back. */
  readonly #blocked: () => boolean;
  #saved: { labels: number; position: number; at: number };
  #holds = 0;
  /** What lies on disk stands on another base. */
  #alone: boolean;
  #notBefore = 0;

  /** `alone`: what lies on disk stands on another base than the model that runs. */
  constructor(context: SaverContext, live: Fold, alone: boolean, blocked: () => boolean) {
    this.#context = context;
    this.#blocked = blocked;
    this.#alone = alone;
    this.#saved = { labels: live.labels, position: live.position, at: context.clock.now() };
  }

  /** No snapshot until the returned function is called. */
  hold(): () => void {
    this.#holds += 1;
    return () => {
      this.#holds -= 1;
    };
  }

  /** A correction is on its way into the journal, or has still to be taken out of the model. */
  get held(): boolean {
    return this.#holds > 0 || this.#blocked();
  }

  isDue(live: Fold): boolean {
    const now = this.#context.clock.now();
    if (now < this.#notBefore) return false;
    if (this.#alone) return !this.held;
    const many = Math.abs(live.labels - this.#saved.labels) >= EVERY_LABELS;
    return many || (live.position !== this.#saved.position && now - this.#saved.at >= EVERY_MS);
  }

  /**
   * Never rejects. `alone`: the model stands on another base, and what was saved before is of no use; where it cannot
   * be saved now it is due until it is, because pruning goes by what lies on disk.
   */
  async save(live: Fold, alone = false): Promise<void> {
    const { store, clock, telemetry, task } = this.#context;
    this.#alone ||= alone;
    if (this.held || (!this.#alone && live.position === this.#saved.position)) return;
    try {
      const snapshot = await live.snapshot(clock.now());
      if (this.held) return;
      await store.snapshots.save(snapshot, { alone: this.#alone });
      this.#alone = false;
      this.#saved = { labels: snapshot.labels, position: snapshot.journal, at: snapshot.at };
    } catch (thrown) {
      this.#notBefore = clock.now() + RETRY_MS;
      telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: task.name });
    }
  }
}
