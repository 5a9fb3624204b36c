/**
 * What shall become of an event that was judged: nothing, a tag, to be held back, or `unsure`. It lies outside the model
 * and stands on what people confirmed: of the events without the positive label (ham) at most a stated share may be
 * acted on, at 95 % confidence, by the scores that such events had at verdict time (decision/bound.ts). Label and
 * score stay as they are; no action deletes anything. Allowed senders and known correspondents come first.
 *
 * Scores are compared as log-odds, which tell probabilities apart that lie close to 1. Promises: the same labels in the
 * same order give the same decisions, over a restart too; a label told twice counts once; memory is bounded.
 */
import type { Decided, Event } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { Bound, type BoundState } from './decision/bound.ts';
import { Correspondents, type CorrespondentsState } from './decision/correspondents.ts';
import type { DecisionOptions } from './decision/options.ts';
import { domainOf, isWithin, readSender, type Sender } from './decision/sender.ts';

export type { DecisionOptions } from './decision/options.ts';
export { readSender, type Sender } from './decision/sender.ts';

/** A label as it came, with what was made of its event at verdict time. */
export interface ConfirmedLabel {
  /** Rising: its place in the journal. */
  readonly seq: number;
  readonly event: string;
  /** Label index; -1: withdrawn. */
  readonly label: number;
  /** The seq of the label that this one replaces, 0 for none. */
  readonly supersedes: number;
  /** Label of the verdict, -1: there was none. */
  readonly predicted: number;
  readonly scores: Float32Array;
  readonly offset: number;
  /** The base model that gave them. */
  readonly base: string;
}

export interface DecisionFigures {
  /** Confirmed events without the positive label that the thresholds stand on, at least. */
  readonly confirmed: number;
  /** How many are needed for tag (or, where that is off, hold) to begin. */
  readonly least: number;
  /** There is enough evidence for tag (or hold). */
  readonly begun: boolean;
  /** Probabilities that must be exceeded; null: off, or not enough evidence yet. */
  readonly tag: number | null;
  readonly hold: number | null;
}

interface Saved {
  readonly format: 1;
  readonly base: string;
  readonly through: number;
  readonly bounds: Readonly<Partial<Record<'tag' | 'hold', { mixed: boolean; columns: string[] }>>>;
  readonly correspondents?: CorrespondentsState;
}

// One object each: a verdict allocates nothing.
const NONE: Decided = { action: 'none' };
const ALLOWED: Decided = { action: 'none', reason: 'allowed' };
const KNOWN: Decided = { action: 'none', reason: 'correspondent' };
const TOO_FEW: Decided = { action: 'unsure', reason: 'evidence' };
const BELOW: Decided = { action: 'unsure', reason: 'threshold' };
const TAG: Decided = { action: 'tag' };
const HOLD: Decided = { action: 'hold' };

export interface DecisionContext {
  readonly options: DecisionOptions;
  /** Index of the positive label of two. */
  readonly positive: number;
  /** What addresses are hashed with. */
  readonly secret: string;
}

export class Decision {
  readonly #options: DecisionOptions;
  readonly #positive: number;
  readonly #bounds: { readonly tag: Bound | null; readonly hold: Bound | null };
  readonly #correspondents: Correspondents | null;
  readonly #allowed: ReadonlySet<string>;
  readonly #domains: readonly string[];
  #base = '';
  #through = 0;

  constructor({ options, positive, secret }: DecisionContext) {
    this.#options = options;
    this.#positive = positive;
    const open = (budget: number | null) => (budget === null ? null : new Bound(budget, options.window));
    this.#bounds = { tag: open(options.tag), hold: open(options.hold) };
    this.#correspondents = options.correspondents ? new Correspondents(secret) : null;
    this.#allowed = new Set(options.allow.filter((entry) => entry.includes('@')));
    this.#domains = options.allow.filter((entry) => !entry.includes('@'));
  }

  /** Every label up to this seq is counted. */
  get through(): number {
    return this.#through;
  }

  /** The base model whose verdicts come from now on, by any name that tells it from others; cheap where it is the same. */
  running(base: string): void {
    if (base === this.#base) return;
    const first = this.#base === '';
    this.#base = base;
    if (!first) for (const bound of this.#each()) bound.rebase();
  }

  /** Reads who an event is from, where that matters for its decision; else null. `label`: of its verdict. */
  senderOf(event: Event, label: number): Sender | null {
    const { allow, authserv } = this.#options;
    const listed = allow.length > 0 && label === this.#positive;
    return this.#correspondents || listed ? readSender(event, authserv ?? null) : null;
  }

  /** `label`: of the verdict, -1 for none; `scores[offset …]`: its two probabilities. */
  decide(event: string, sender: Sender | null, label: number, scores: Float32Array, offset: number): Decided {
    if (this.#correspondents && sender) {
      this.#correspondents.wroteTo(sender.recipients);
      if (sender.authenticated) this.#correspondents.met(event, sender.address);
    }
    if (label !== this.#positive) return NONE;
    if (sender && this.#isAllowed(sender)) return ALLOWED;
    if (this.#correspondents && sender?.authenticated && this.#correspondents.knows(sender.address))
      return KNOWN;
    return this.#act(this.#logOdds(scores, offset));
  }

  /** Takes a label that is durable; one with a seq that was counted already changes nothing. */
  labelled(given: ConfirmedLabel): void {
    const { seq, event, label, supersedes, predicted, scores, offset, base } = given;
    if (seq <= this.#through) return;
    this.#through = seq;
    const ham = label >= 0 && label !== this.#positive;
    this.#correspondents?.labelled(event, label < 0 ? null : ham ? 'ham' : 'spam');
    const score = this.#logOdds(scores, offset);
    for (const bound of this.#each()) {
      if (supersedes > 0) bound.remove(supersedes);
      // Without a verdict nothing could have been acted on: what a model that knows nothing says is no evidence.
      if (ham && predicted >= 0 && !Number.isNaN(score)) bound.add(seq, score, base === this.#base);
    }
  }

  figures(): DecisionFigures {
    const { tag, hold } = this.#bounds;
    const probability = (bound: Bound | null) =>
      bound?.enough ? 1 / (1 + Math.exp(-bound.threshold)) : null;
    return {
      confirmed: Math.min(...this.#each().map(({ confirmed }) => confirmed)),
      least: (tag ?? hold)!.least,
      begun: (tag ?? hold)!.enough,
      tag: probability(tag),
      hold: probability(hold),
    };
  }

  /** Text for `restore`: of each confirmed event 23 bytes for each budget; 1.5 MB where the default window is full. */
  save(): string {
    const pack = (bound: Bound | null) => (bound ? packed(bound.save()) : undefined);
    const { tag, hold } = this.#bounds;
    const saved: Saved = {
      format: 1,
      base: this.#base,
      through: this.#through,
      bounds: { tag: pack(tag), hold: pack(hold) },
      correspondents: this.#correspondents?.save(),
    };
    return JSON.stringify(saved);
  }

  /** Into one that is new; options may have changed since. Throws DECISION_STATE for what it did not write. */
  restore(text: string): void {
    let saved: Saved;
    try {
      saved = JSON.parse(text) as Saved;
      if (saved.format !== 1) throw new Error(`format ${String(saved.format)} is not known`);
      const { tag, hold } = saved.bounds;
      // A budget that is new begins with the evidence of the other.
      const either = tag ?? hold;
      const states = either ? [unpacked(tag ?? either), unpacked(hold ?? either)] : null;
      if (!Number.isSafeInteger(saved.through)) throw new Error('it does not say how far it goes');
      if (states) this.#bounds.tag?.restore(states[0]);
      if (states) this.#bounds.hold?.restore(states[1]);
      if (saved.correspondents) this.#correspondents?.restore(saved.correspondents);
    } catch (error) {
      throw new SluiceError('DECISION_STATE', (error as Error).message, { cause: error });
    }
    this.#base = String(saved.base);
    this.#through = saved.through;
  }

  #each(): Bound[] {
    return [this.#bounds.tag, this.#bounds.hold].filter((bound) => bound !== null);
  }

  #act(score: number): Decided {
    const { tag, hold } = this.#bounds;
    const first = (tag ?? hold)!;
    if (!first.enough) return TOO_FEW;
    if (!(score > first.threshold)) return BELOW;
    if (hold && score > hold.threshold) return HOLD;
    return tag ? TAG : BELOW;
  }

  #isAllowed({ address, authenticated }: Sender): boolean {
    if (this.#options.authserv !== undefined && !authenticated) return false;
    if (this.#allowed.has(address)) return true;
    const domain = domainOf(address);
    return this.#domains.some((entry) => isWithin(domain, entry));
  }

  /** ±Infinity where a probability is 0; NaN where there are none. */
  #logOdds(scores: Float32Array, offset: number): number {
    return Math.log(scores[offset + this.#positive] / scores[offset + 1 - this.#positive]);
  }
}

/** Columns of numbers as base64: a tenth of the time that lists of numbers take. */
function packed({ mixed, entries }: BoundState): { mixed: boolean; columns: string[] } {
  const columns = [entries.map(({ seq }) => seq), entries.map(({ value }) => value)].map((numbers) =>
    Buffer.from(Float64Array.from(numbers).buffer).toString('base64'),
  );
  return {
    mixed,
    columns: [...columns, Buffer.from(entries.map(({ own }) => (own ? 1 : 0))).toString('base64')],
  };
}

function unpacked({ mixed, columns }: { mixed: boolean; columns: string[] }): BoundState {
  const [seqs, values] = columns.slice(0, 2).map((text) => {
    const bytes = Buffer.from(text, 'base64');
    return new Float64Array(new Uint8Array(bytes).buffer);
  });
  const own = Buffer.from(columns[2], 'base64');
  if (seqs.length !== values.length || own.length !== seqs.length) throw new Error('its columns differ');
  const rising = seqs.every((seq, i) => Number.isFinite(seq) && (i === 0 || seq > seqs[i - 1]));
  if (!rising || values.some(Number.isNaN)) throw new Error('its numbers make no sense');
  return { mixed, entries: Array.from(seqs, (seq, i) => ({ seq, value: values[i], own: own[i] === 1 })) };
}
