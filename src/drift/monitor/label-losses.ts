/**
 * Losses by true label, each label in blocks of its own: a block ends when it has lasted long enough and has events enough
 * of that label. Faults come in episodes, campaigns in waves: how many events of a hard label a stretch of time holds
 * shakes the loss of all events far more than most drifts do. Among the events of one label it counts for nothing, and
 * what is left to be seen is how they are judged (losses given the class: post-stratification, Holt & Smith 1979).
 * Memory is one mean a label; labels beyond those that it was made for are passed over.
 */
import { z } from 'zod';
import { LEAST_EVENTS, type Level, Mean, meanState, root } from './blocks.ts';
import { MOST_LABELS } from './streams.ts';

export const labelLossesState = z
  .array(z.strictObject({ mean: meanState, begin: z.number() }))
  .max(MOST_LABELS);

/** A block that has ended. */
export interface EndedBlock {
  readonly stream: string;
  readonly level: Level;
  /** ms */
  readonly begin: number;
}

export class LabelLosses {
  readonly #blockMs: number;
  /** By label; `begin` of the open block, ms, -1: no event of it yet. */
  readonly #labels: readonly { readonly stream: string; readonly mean: Mean; begin: number }[];

  /** `streams`: the name of each label's stream, in the order of the labels. `blockMs`: least length of a block. */
  constructor(streams: readonly string[], blockMs: number) {
    this.#blockMs = blockMs;
    this.#labels = streams.map((stream) => ({ stream, mean: new Mean(), begin: -1 }));
  }

  /** An event of this true label had this loss (at least 0, nats). */
  add(label: number, loss: number, at: number): void {
    const one = this.#labels[label];
    if (!one) return;
    if (one.begin < 0) one.begin = at;
    one.mean.add(loss);
  }

  /** Ends the blocks that are due, and gives them with the roots of their losses. */
  due(at: number): EndedBlock[] {
    const ended: EndedBlock[] = [];
    for (const one of this.#labels) {
      const { stream, mean, begin } = one;
      // A clock that was set back: the open block begins again.
      if (begin > at) one.begin = at;
      if (begin < 0 || at - begin < this.#blockMs || mean.n < LEAST_EVENTS) continue;
      const level = mean.level();
      if (level) ended.push({ stream, level: root(level), begin });
      mean.clear();
      one.begin = -1;
    }
    return ended;
  }

  /** Drops the open blocks: another model judges. */
  clear(): void {
    for (const one of this.#labels) {
      one.mean.clear();
      one.begin = -1;
    }
  }

  save(): z.output<typeof labelLossesState> {
    return this.#labels.map(({ mean, begin }) => ({ mean: mean.save(), begin }));
  }

  restore(state: z.output<typeof labelLossesState>): void {
    this.#labels.forEach((one, i) => {
      if (!state[i]) return;
      one.mean.restore(state[i].mean);
      one.begin = state[i].begin;
    });
  }
}
