/**
 * The newest verdicts of each task, for people to look at and to correct. Bounded per task; what is private is
 * masked before it leaves (the device of a mail, words of its text) unless the configuration shows it. Reasons are
 * asked for only while somebody looks, a few at a time, and each event once.
 */
import type { Decided } from '../contract.ts';
import type { FoundView, RecentView } from './view.ts';

const KEPT = 40;
const SHOWN = 20;
const REASONS_AT_ONCE = 8;
const REASONS_SHOWN = 3;
const TEXT_LIMIT = 200;
const MASK = '‹masked›';

/** One verdict as the flow made it. */
export interface VerdictInput {
  readonly event: string;
  readonly device: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly label: string | null;
  /**
   * As verdicts have it, 0 to 1: with two labels the probability of the positive one, else of the label; the anomaly
   * score while there is no label.
   */
  readonly score: number | null;
  readonly model: string;
  /** What should become of it, where that is decided. */
  readonly decided?: Decided | null;
}

/** A feature that decided. Names that quote an event (a word of a mail) are private. */
export interface Reason {
  readonly name: string;
  readonly private: boolean;
}

/** An event that a question found. */
export interface FoundInput extends VerdictInput {
  readonly task: string;
  readonly site: string;
  readonly truth: string | null;
  readonly reasons?: readonly Reason[] | null;
}

export type AskReason = (
  task: string,
  event: string,
) => Promise<readonly Reason[] | null> | readonly Reason[] | null;

interface Kept {
  readonly site: string;
  readonly verdict: VerdictInput;
  reasons: readonly Reason[] | null;
  asked: boolean;
  given: string | null;
}

/** What must be known of a task to show its verdicts. */
export type TaskFacts = (task: string) => {
  /** Whether what names an event is private. */
  readonly masked: boolean;
  /** With two labels the one whose probability the score is; null with more. */
  readonly positive: string | null;
};

export class Recent {
  readonly #tasks = new Map<string, Kept[]>();
  readonly #facts: TaskFacts;
  #asking = 0;

  constructor(facts: TaskFacts) {
    this.#facts = facts;
  }

  /** Takes the newest of a batch; cheap enough to be called for every one. */
  add(task: string, site: string, verdicts: readonly VerdictInput[]): void {
    const kept = this.#tasks.get(task) ?? [];
    for (const verdict of verdicts.slice(-KEPT))
      kept.unshift({ site, verdict, reasons: null, asked: false, given: null });
    kept.length = Math.min(kept.length, KEPT);
    this.#tasks.set(task, kept);
  }

  /** Tasks that are configured no longer are forgotten. */
  keep(tasks: ReadonlySet<string>): void {
    for (const task of this.#tasks.keys()) if (!tasks.has(task)) this.#tasks.delete(task);
  }

  /** A label was given from the page: shown until the verdict is gone. */
  given(task: string, event: string, label: string | null): void {
    for (const kept of this.#tasks.get(task) ?? []) if (kept.verdict.event === event) kept.given = label;
  }

  /** The newest that came, by their own times. `ask` fills in reasons for the next look. */
  view(task: string, site: string, ask: AskReason | undefined): RecentView[] {
    const kept = (this.#tasks.get(task) ?? []).filter((one) => site === '' || one.site === site);
    const shown = kept.slice(0, SHOWN).sort((a, b) => b.verdict.at - a.verdict.at);
    if (ask) for (const one of shown) this.#ask(task, one, ask);
    return shown.map((one) => ({
      ...this.#show(task, one.site, one.verdict, one.reasons),
      given: one.given,
    }));
  }

  found(hits: readonly FoundInput[]): FoundView[] {
    return hits.map(({ task, site, truth, reasons, ...verdict }) => ({
      ...this.#show(task, site, verdict, reasons ?? null),
      given: null,
      truth,
    }));
  }

  #show(task: string, site: string, verdict: VerdictInput, reasons: readonly Reason[] | null) {
    const { masked, positive } = this.#facts(task);
    const { event, at, device, label, score, model, decided } = verdict;
    const other = positive !== null && label !== null && label !== positive;
    const names = reasons
      ?.slice(0, REASONS_SHOWN)
      .map((r) => (r.private && masked ? MASK : r.name.slice(0, TEXT_LIMIT)));
    return {
      task,
      site,
      event,
      at,
      device: masked ? MASK : device.slice(0, TEXT_LIMIT),
      masked,
      label,
      // People read how sure it is of the label that it gave.
      score: other && score !== null ? 1 - score : score,
      model,
      action: decided?.action ?? null,
      actionReason: decided?.reason ?? null,
      reasons: names ?? null,
    };
  }

  #ask(task: string, one: Kept, ask: AskReason): void {
    if (one.asked || this.#asking >= REASONS_AT_ONCE) return;
    one.asked = true;
    this.#asking += 1;
    // An explanation that fails is a verdict without one; the row says nothing then.
    void (async () => ask(task, one.verdict.event))()
      .then((reasons) => {
        one.reasons = reasons ?? [];
      })
      .catch(() => {
        one.reasons = [];
      })
      .finally(() => {
        this.#asking -= 1;
      });
  }
}
