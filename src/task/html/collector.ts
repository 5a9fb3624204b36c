/**
 * What a report needs of each tested event beyond the counts of the evaluation: curves, calibration, accuracy along
 * the stream, and the worst mistakes. Memory does not grow with the stream. Privacy: of an event only its id, its place
 * and its labels are kept. A mail that lies in a file of its own has no id here, for mail programs name such files after
 * the subject; its place in the stream names it.
 */
import type { Tested } from '../protocols.ts';
import { precisionFor, ScoreBins } from './bins.ts';
import { cut } from './markup.ts';
import { Timeline } from './timeline.ts';

const MISTAKES = 20;
const MAX_ID = 120;
export const BINS = 15;

/** A confident wrong verdict. Labels are indices. */
export interface Mistake {
  readonly id: string;
  /** Index in the stream, from 0. */
  readonly at: number;
  readonly truth: number;
  readonly predicted: number;
  /** Given to the predicted label, and to the true one. */
  readonly probability: number;
  readonly truthProbability: number;
}

/** Events whose probability fell into one of 15 equal bins. */
export interface CalibrationBin {
  readonly count: number;
  readonly hits: number;
  /** Mean probability; NaN without events. */
  readonly mean: number;
}

export interface CollectorOptions {
  readonly labels: readonly string[];
  /** Index of the positive label; of two labels it has the curves. */
  readonly positive: number;
  /** The events are mails. */
  readonly mail?: boolean;
}

/** Which of two wrong verdicts is worse: the surer one; of equally sure ones that with less left for the truth. */
const worse = (a: Mistake, b: Mistake): boolean =>
  a.probability > b.probability ||
  (a.probability === b.probability && a.truthProbability < b.truthProbability);

/** Feed it each tested event in order, then hand it to `reportHtml`. */
export class ReportCollector {
  readonly labels: readonly string[];
  readonly positive: number;
  readonly timeline: Timeline;
  /** Of two labels that of the positive one alone, else one for each label. */
  readonly curves: readonly ScoreBins[];
  readonly #mail: boolean;
  readonly #mistakes: Mistake[] = [];
  readonly #count = new Float64Array(BINS);
  readonly #hits = new Float64Array(BINS);
  readonly #sum = new Float64Array(BINS);

  constructor({ labels, positive, mail = false }: CollectorOptions) {
    this.labels = labels;
    this.positive = positive;
    this.#mail = mail;
    this.timeline = new Timeline(labels.length);
    const curves = labels.length === 2 ? 1 : labels.length;
    const precision = precisionFor(curves);
    this.curves = Array.from({ length: curves }, () => new ScoreBins(precision));
  }

  add(tested: Tested): void {
    const { truth, predicted, scores, offset } = tested;
    this.timeline.add(tested.index, truth, predicted);
    const binary = this.labels.length === 2;
    if (binary) this.curves[0].add(scores[offset + this.positive], truth === this.positive);
    else for (let c = 0; c < this.curves.length; c++) this.curves[c].add(scores[offset + c], truth === c);
    const told = binary ? this.positive : predicted;
    this.#calibrate(scores[offset + told], truth === told);
    if (truth !== predicted) this.#remember(tested);
  }

  #calibrate(probability: number, hit: boolean): void {
    if (!(probability >= 0)) return;
    const bin = Math.min(BINS - 1, Math.floor(probability * BINS));
    this.#count[bin] += 1;
    this.#sum[bin] += probability;
    if (hit) this.#hits[bin] += 1;
  }

  #remember({ id, index, truth, predicted, scores, offset }: Tested): void {
    const [probability, truthProbability] = [scores[offset + predicted], scores[offset + truth]];
    const mistake = { id: '', at: index, truth, predicted, probability, truthProbability };
    const last = this.#mistakes.at(-1);
    if (last && this.#mistakes.length === MISTAKES && !worse(mistake, last)) return;
    const place = this.#mistakes.findIndex((known) => worse(mistake, known));
    const shown = cut(this.#mail ? maskFile(id) : id, MAX_ID);
    this.#mistakes.splice(place < 0 ? this.#mistakes.length : place, 0, { ...mistake, id: shown });
    if (this.#mistakes.length > MISTAKES) this.#mistakes.pop();
  }

  /** At most 20, the worst first. */
  get mistakes(): readonly Mistake[] {
    return this.#mistakes;
  }

  /** Of two labels the probability of the positive one, else that of the predicted one. */
  calibration(): CalibrationBin[] {
    return Array.from(this.#count, (count, i) => ({
      count,
      hits: this.#hits[i],
      mean: this.#sum[i] / count,
    }));
  }
}

/** `index.tsv#7` and `inbox.mbox#7` stay; `inbox/Your invoice.eml#1` is a mail in a file of its own. */
function maskFile(id: string): string {
  const alone = id.includes('/') || /\.(eml|msg|emlx)(#\d+)*$/i.test(id);
  return alone ? '' : id.replace(/[^#]*@[^#]*/g, '•••');
}
