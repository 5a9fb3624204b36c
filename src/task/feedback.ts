/**
 * Which labels a learner gets, and when: the words of `--feedback`, parsed, and a teacher that decides event by
 * event. Every chance is drawn from a stream of its own for every event, whether it matters or not, so that
 * one word more never changes what another one decides. Refuses (USAGE) words it does not know, the same word
 * twice, and `active` together with `errors`: either the learner asks or the user complains.
 */
import { SluiceError } from '../errors.ts';
import { duration } from '../units.ts';
import { seededRandom } from './random.ts';

export interface Feedback {
  /** Labels for the first so many events only. */
  readonly delayed: number;
  /** Each label comes so many events later: after event i + lag was scored. 0 is at once. */
  readonly lag: number;
  /** Each label comes so many milliseconds of the events' own time later; 0 where `lag` counts events. */
  readonly lagMs: number;
  /** Share of the events that get a label. */
  readonly partial: number;
  /** Share of the labels that are wrong. */
  readonly noisy: number;
  /** Labels the learner may ask for; null where it is not asked. */
  readonly active: number | null;
  /** Share of the verdicts that were not right (wrong, or no opinion) that get a label; null where right ones do too. */
  readonly errors: number | null;
}

export const immediate: Feedback = {
  delayed: Number.POSITIVE_INFINITY,
  lag: 0,
  lagMs: 0,
  partial: 1,
  noisy: 0,
  active: null,
  errors: null,
};

function refuse(word: string, what: string): never {
  throw new SluiceError('USAGE', `--feedback ${word}: ${what}`);
}

function count(word: string, text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : refuse(word, 'needs a whole number, as in delayed:500');
}

function share(word: string, text: string): number {
  const value = Number(text);
  return text !== '' && value >= 0 && value <= 1
    ? value
    : refuse(word, 'needs a share from 0 to 1, as in partial:0.2');
}

function lag(word: string, text: string): Partial<Feedback> {
  if (/^\d+$/.test(text)) return { lag: count(word, text) };
  const parsed = duration.safeParse(text);
  return parsed.success
    ? { lagMs: parsed.data }
    : refuse(word, 'needs a number of events or a time, as in lag:200 or lag:2d');
}

const WORDS: Readonly<Record<string, (word: string, text: string) => Partial<Feedback>>> = {
  delayed: (word, text) => ({ delayed: count(word, text) }),
  lag,
  partial: (word, text) => ({ partial: share(word, text) }),
  noisy: (word, text) => ({ noisy: share(word, text) }),
  active: (word, text) => ({ active: count(word, text) }),
  errors: (word, text) => ({ errors: share(word, text) }),
};

/** `immediate`, or words joined by commas: `errors:0.3,lag:200,noisy:0.02`. Throws USAGE. */
export function parseFeedback(text: string): Feedback {
  if (text === 'immediate') return immediate;
  const seen = new Set<string>();
  let feedback = immediate;
  for (const word of text.split(',')) {
    const [name, value = ''] = word.split(':');
    const read = WORDS[name] ?? refuse(word, `is not one of immediate, ${Object.keys(WORDS).join(', ')}`);
    if (seen.has(name)) refuse(word, 'stands there twice');
    seen.add(name);
    feedback = { ...feedback, ...read(word, value) };
  }
  if (feedback.active !== null && feedback.errors !== null)
    refuse(text, 'active and errors exclude each other');
  return feedback;
}

/** True where a label depends on the verdict: such a stream cannot be planned ahead. */
export function dependsOnVerdict(feedback: Feedback): boolean {
  return feedback.active !== null || feedback.errors !== null;
}

/** True where every label comes at once. */
export function isComplete(feedback: Feedback): boolean {
  const { delayed, lag, lagMs, partial } = feedback;
  const late = lag > 0 || lagMs > 0;
  return !late && delayed === Number.POSITIVE_INFINITY && partial === 1 && !dependsOnVerdict(feedback);
}

/** Share of an active learner's budget that goes to the first events, whatever they are: a blank model knows nothing. */
const FIRST_SHARE = 0.1;
/** Labels asked for at the head of what is left against an even spread: early ones serve longer. */
const FRONT = 2;
/** Half of the questions are drawn by chance: a model that is wrongly sure, after a drift say, asks nothing. */
const BY_CHANCE = 0.5;
/** How fast the bar follows the share of events to ask about. */
const STEP = 0.05;

/**
 * Uncertainty sampling mixed with chance (Split, Zliobaite et al. 2014): asks where the lead of the best label over the
 * second is below a bar. The bar tracks the quantile of leads that spends what is left of the budget over what
 * is left of the stream (stochastic approximation: up a little at each silence, down at each question).
 */
class Asker {
  readonly #budget: number;
  readonly #total: number;
  readonly #random: () => number;
  #asked = 0;
  #bar = 0.5;

  constructor(budget: number, total: number, random: () => number) {
    this.#budget = budget;
    this.#total = total;
    this.#random = random;
  }

  ask(index: number, lead: number): boolean {
    const chance = this.#random();
    const left = this.#budget - this.#asked;
    if (left <= 0) return false;
    const share = Math.min(1, (FRONT * left) / Math.max(1, this.#total - index));
    const unsure = lead < this.#bar;
    const step = STEP * (share * (1 - BY_CHANCE) - (unsure ? 1 : 0));
    this.#bar = Math.min(1, this.#bar * Math.exp(step));
    const first = this.#asked < Math.ceil(this.#budget * FIRST_SHARE);
    if (!unsure && !first && chance >= share * BY_CHANCE) return false;
    this.#asked += 1;
    return true;
  }
}

/** Decides the label of each event of one stream; call it once an event, in order. */
export class Teacher {
  readonly #feedback: Feedback;
  readonly #classes: number;
  readonly #partial: () => number;
  readonly #noisy: () => number;
  readonly #flip: () => number;
  readonly #errors: () => number;
  readonly #asker: Asker | null;
  /** Labels given. */
  given = 0;

  /** `total` is the number of events of the stream, over which an active learner's budget is spread. */
  constructor(feedback: Feedback, classes: number, total: number, seed: number) {
    this.#feedback = feedback;
    this.#classes = classes;
    this.#partial = seededRandom(seed, 'partial');
    this.#noisy = seededRandom(seed, 'noisy');
    this.#flip = seededRandom(seed, 'flip');
    this.#errors = seededRandom(seed, 'errors');
    const active = seededRandom(seed, 'active');
    const asked = Math.min(total, feedback.delayed);
    this.#asker = feedback.active === null ? null : new Asker(feedback.active, asked, active);
  }

  /**
   * The label that will be learned for event `index` (from 0), or -1. `truth` is -1 where the file has no label.
   * `verdict` is needed where the feedback depends on it; its `opinion` is -1 for none, which is never right.
   */
  label(index: number, truth: number, verdict?: { readonly opinion: number; readonly lead: number }): number {
    const { delayed, partial, noisy, errors } = this.#feedback;
    const kept = this.#partial() < partial;
    const wrong = this.#noisy() < noisy;
    const other = Math.floor(this.#flip() * (this.#classes - 1));
    const told = errors === null || (this.#errors() < errors && verdict?.opinion !== truth);
    if (truth < 0 || index >= delayed || !kept || !told) return -1;
    if (this.#asker && !this.#asker.ask(index, verdict?.lead ?? 0)) return -1;
    this.given += 1;
    if (!wrong) return truth;
    return other >= truth ? other + 1 : other;
  }
}
