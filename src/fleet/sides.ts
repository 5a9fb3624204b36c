/**
 * What runs beside the model that gives verdicts, on the same labelled rows: a companion (the model that it is
 * compared with during a roll-out), and, where labels are learned on a signed base, that base alone. A sequential
 * test watches that what was learned here is not worse than the base without it.
 */
import type { Engine, PairedLoss, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Base } from './base.ts';
import { Beside, Losses } from './beside.ts';
import type { Fold, Watch } from './fold.ts';

/** Compares what was learned here with the base alone, on one labelled row after the other. */
export interface DeltaTest {
  /** True where the first is worse than the second, within the error budget. */
  isWorse(device: string, loss: number, baseLoss: number): boolean;
}

export interface SidesContext {
  readonly task: Task;
  readonly engine: Engine;
  readonly store: Store;
  readonly learning: 'online' | 'frozen';
  /** A fresh sequential test of the delta against its base; absent: the delta is never dropped. */
  readonly deltaTest?: () => DeltaTest;
  readonly telemetry: Telemetry;
}

export class Sides {
  readonly #context: SidesContext;
  readonly #live: () => Fold;
  #losses: Losses;
  #companion: Beside | null = null;
  #bare: Beside | null = null;
  #test: DeltaTest | null = null;
  #tested = 0;

  constructor(context: SidesContext, live: () => Fold) {
    this.#context = context;
    this.#live = live;
    this.#losses = new Losses(context.task.labels.length);
    this.#guard();
  }

  get companion(): Base | null {
    return this.#companion?.base ?? null;
  }

  /** Where losses are compared, the running model tells its own. */
  get watch(): Watch | null {
    return this.#companion || this.#bare ? this.#losses.note : null;
  }

  /** Of an entry: what the running model and its companion made of it before they learned it. */
  paired(seq: number): PairedLoss | null {
    if (!this.#companion) return null;
    const [liveLoss, otherLoss] = [this.#losses.of(seq), this.#companion.losses.of(seq)];
    if (liveLoss === undefined || otherLoss === undefined) return null;
    return { live: this.#live().base.name, liveLoss, other: this.#companion.base.name, otherLoss };
  }

  /** Up to here `paired` says all that it ever will. */
  get through(): number {
    return Math.min(this.#live().learned, this.#companion?.through ?? Number.POSITIVE_INFINITY);
  }

  /** Another companion, or (null) none. It is compared from the next label on. Throws MODEL_*. */
  accompany(base: Base | null): void {
    const next = base && this.#beside(base, this.#context.learning === 'online');
    this.#companion?.close();
    this.#companion = next;
  }

  /** The running model is another one, or was folded again: what stands beside begins again. */
  restart(): void {
    this.#losses = new Losses(this.#context.task.labels.length);
    const { companion } = this;
    try {
      if (companion) this.accompany(companion);
      this.#guard();
    } catch (thrown) {
      // What runs beside must not keep the model that gives verdicts from running.
      this.close();
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
    }
  }

  /**
   * Follows the journal, a bounded piece of it, so that the running model waits for no side; `more`: there is more.
   * `worse`: the delta was found worse than its base. A side that fails has lost its place and is given up.
   */
  async catchUp(): Promise<'more' | 'worse' | 'done'> {
    const [companion, bare] = [this.#companion, this.#bare];
    const grew = [
      await this.#follow(companion, () => {
        if (this.#companion === companion) this.accompany(null);
      }),
      await this.#follow(bare, () => {
        if (this.#bare === bare) this.#guard();
      }),
    ];
    if (this.#bare !== null && this.#deltaIsWorse(this.#bare)) return 'worse';
    return grew.includes(true) ? 'more' : 'done';
  }

  async #follow(side: Beside | null, failed: () => void): Promise<boolean> {
    try {
      return (await side?.catchUp()) ?? false;
    } catch (thrown) {
      const closed = side !== this.#companion && side !== this.#bare;
      if (!closed) this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
      failed();
      return false;
    }
  }

  close(): void {
    this.#companion?.close();
    this.#bare?.close();
    this.#companion = null;
    this.#bare = null;
  }

  #beside(base: Base, learns: boolean): Beside {
    const { task, engine, store } = this.#context;
    return new Beside(task, base, engine, learns, store, this.#live().position);
  }

  #guard(): void {
    const { deltaTest, learning } = this.#context;
    const { base, position } = this.#live();
    this.#bare?.close();
    this.#bare = null;
    if (!deltaTest || learning === 'frozen' || base.digest === null) return;
    this.#bare = this.#beside({ ...base, since: position }, false);
    this.#test = deltaTest();
    this.#tested = position;
  }

  #deltaIsWorse(bare: Beside): boolean {
    const through = Math.min(bare.through, this.#live().learned);
    for (; this.#tested < through; this.#tested++) {
      const [own, base] = [this.#losses.of(this.#tested + 1), bare.losses.of(this.#tested + 1)];
      if (own === undefined || base === undefined) continue;
      if (this.#test?.isWorse(this.#losses.deviceOf(this.#tested + 1), own, base)) return true;
    }
    return false;
  }
}
