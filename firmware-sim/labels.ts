/**
 * The people behind the feedback: they label some events, after a while, and sometimes wrongly. Whether
 * an event is labelled, when, and with what, depends on the seed and the event's number only, not on the
 * order in which verdicts come. Bounded: when too many labels wait, further ones are not given (counted).
 */
import { Random } from './random.ts';

/** How the times to a label lie around their mean. */
export const delayShapes = ['uniform', 'fixed', 'exponential', 'lognormal'] as const;

export interface LabelPlan {
  /** Mean time from verdict to label, ms. */
  readonly delay: number;
  /**
   * `uniform` (default): between half and one and a half times the mean. `fixed`: just the mean. `exponential`: many
   * soon, some late. `lognormal`: a long tail (sigma 1 of the logarithm).
   */
  readonly shape?: (typeof delayShapes)[number];
  /** Share of events that get a label, 0 to 1. */
  readonly fraction: number;
  /** Share of the labels that are wrong, 0 to 1. */
  readonly wrong: number;
}

export const usualLabels: LabelPlan = { delay: 2_000, fraction: 0.2, wrong: 0.01 };

export interface DueLabel {
  readonly event: string;
  readonly label: string;
}

const BUCKET_MS = 50;
const MAX_WAITING = 500_000;

export class LabelDesk {
  /** By time, so that phases can change it. */
  readonly #planAt: (now: number) => LabelPlan;
  readonly #labels: readonly string[];
  readonly #seed: number;
  /** By due time in steps of BUCKET_MS; few, however many labels wait. */
  readonly #buckets = new Map<number, DueLabel[]>();
  #waiting = 0;
  #notGiven = 0;

  constructor(plan: LabelPlan | ((now: number) => LabelPlan), labels: readonly string[], seed: number) {
    this.#planAt = typeof plan === 'function' ? plan : () => plan;
    this.#labels = labels;
    this.#seed = seed;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Labels that were due to be given but for the bound. */
  get notGiven(): number {
    return this.#notGiven;
  }

  /**
   * A verdict was seen: perhaps someone will label it. `truth` -1: nobody knows. `hostile`: whoever does always says
   * what is not true.
   */
  see(event: string, number: number, truth: number, now: number, hostile = false): void {
    if (truth < 0) return;
    const plan = this.#planAt(now);
    const random = new Random(this.#seed ^ Math.imul(number + 1, 0x9e3779b1));
    if (!random.chance(plan.fraction)) return;
    if (this.#waiting >= MAX_WAITING) {
      this.#notGiven += 1;
      return;
    }
    const wrong = random.chance(plan.wrong) || hostile;
    const others = this.#labels.length - 1;
    const label = wrong ? (truth + 1 + random.below(others)) % this.#labels.length : truth;
    const due = Math.ceil((now + delayOf(plan, random)) / BUCKET_MS);
    const list = this.#buckets.get(due);
    const entry = { event, label: this.#labels[label] };
    if (list) list.push(entry);
    else this.#buckets.set(due, [entry]);
    this.#waiting += 1;
  }

  /** Takes out the labels that are due. */
  take(now: number): DueLabel[] {
    const out: DueLabel[] = [];
    const until = Math.floor(now / BUCKET_MS);
    const steps = [...this.#buckets.keys()].filter((step) => step <= until).sort((a, b) => a - b);
    for (const step of steps) {
      const list = this.#buckets.get(step) as DueLabel[];
      this.#buckets.delete(step);
      this.#waiting -= list.length;
      out.push(...list);
    }
    return out;
  }
}

function delayOf({ delay, shape = 'uniform' }: LabelPlan, random: Random): number {
  if (shape === 'fixed') return delay;
  if (shape === 'exponential') return random.exponential(delay);
  // The mean of a lognormal is exp(mu + sigma²/2).
  if (shape === 'lognormal') return delay * Math.exp(random.normal() - 0.5);
  return delay * (0.5 + random.next());
}
