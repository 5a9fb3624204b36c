/** The newest labelled rows of a task: how many came since a time, from how many devices, and how right their verdicts were. Bounded. */
import type { LabelledRow } from '../../contract.ts';
import type { Tally } from './record.ts';

const KEPT = 2_048;
/** A level of quality is told from so many verdicts. */
const TALLIED = 300;

interface Entry {
  readonly at: number;
  readonly device: string;
  readonly model: string;
  /** null: the verdict gave no label. */
  readonly correct: boolean | null;
}

export class Recent {
  readonly #entries: Entry[] = [];
  #next = 0;

  add({ at, site, device, model, predicted, label }: LabelledRow): void {
    const entry = {
      at,
      device: `${site}/${device}`.slice(0, 512),
      model: model.slice(0, 128),
      correct: predicted < 0 ? null : predicted === label,
    };
    this.#entries[this.#next] = entry;
    this.#next = (this.#next + 1) % KEPT;
  }

  rowsSince(since: number): number {
    return this.#entries.filter((entry) => entry.at >= since).length;
  }

  get devices(): number {
    return new Set(this.#entries.map(({ device }) => device)).size;
  }

  /** Of the newest verdicts on events since then, those of the candidate left out. */
  tally(since: number, candidate: string): Tally {
    const tally = { tested: 0, correct: 0 };
    const { length } = this.#entries;
    for (let back = 1; back <= length && tally.tested < TALLIED; back += 1) {
      const { at, model, correct } = this.#entries[(this.#next - back + KEPT) % KEPT] ?? {};
      if (correct === null || correct === undefined || at === undefined || at < since) continue;
      if (model?.startsWith(`${candidate}+`)) continue;
      tally.tested += 1;
      if (correct) tally.correct += 1;
    }
    return tally;
  }
}
