/**
 * A load: messages that travel to a worker together, and what came back of them. It keeps the messages until all is
 * taken, so that whatever becomes of the worker, the load goes to another one, without the messages that had a worker
 * end twice or held one up: these are refused. Events are made of the answer as they are asked for.
 */
import type { Event, Message, Rows } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import type { Task } from '../task.ts';
import { PreparedMail } from './mail.ts';
import { type Answer, cell } from './messages.ts';

/** A mail leaves with few others, where they are large. */
export const LOAD_MESSAGES = 128;
export const LOAD_BYTES = 1024 ** 2;
/** An end of a worker may be no fault of the message that it was at; the same twice is no accident. */
const ENDS = 2;
/** Ends of workers with a load for which none of its messages can be named. */
const FALLS = 3;

/** Prepared messages of one load, in the order of their coming. Valid until it is released. */
export interface Batch<Tag> {
  readonly messages: readonly Message[];
  readonly tags: readonly Tag[];
  /** Why message i cannot be used; null where it can. */
  refusal(i: number): SluiceError | null;
  /** Events of message i, without the rows. */
  events(i: number): readonly Event[];
  /** The row in `rows` of the first event of message i; the others follow. */
  row(i: number): number;
  /** As task k of the group makes them. */
  rows(k: number): Rows;
}

export class Load<Tag = unknown> implements Batch<Tag> {
  readonly group: number;
  readonly messages: Message[] = [];
  readonly tags: Tag[] = [];
  readonly #task: Task;
  readonly #most: number;
  readonly #ends = new Map<number, number>();
  readonly #refused = new Map<number, SluiceError>();
  #bytes = 0;
  #falls = 0;
  #answer: Answer | null = null;
  #rows: readonly Rows[] = [];
  /** Index of the first event by message. */
  #firsts = new Uint32Array();

  /** `task`: the first of the group; `most`: messages. */
  constructor(group: number, task: Task, most: number = LOAD_MESSAGES) {
    this.group = group;
    this.#most = Math.min(most, LOAD_MESSAGES);
    this.#task = task;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get full(): boolean {
    return this.messages.length >= this.#most || this.#bytes >= LOAD_BYTES;
  }

  get ready(): boolean {
    return this.#answer !== null;
  }

  /** Messages that no worker may touch any more. */
  get skip(): readonly number[] {
    return [...this.#refused.keys()];
  }

  add(message: Message, tag: Tag): void {
    this.messages.push(message);
    this.tags.push(tag);
    this.#bytes += message.payload.length;
  }

  /** A worker ended at message i of it. */
  ended(i: number, reason: string): void {
    const ends = (this.#ends.get(i) ?? 0) + 1;
    this.#ends.set(i, ends);
    if (ends >= ENDS)
      this.#refused.set(i, new SluiceError('DECODE_CRASHED', `a worker ended with it, twice: ${reason}`));
  }

  /** A worker was at message i for longer than `ms`. */
  stuck(i: number, ms: number): void {
    this.#refused.set(i, new SluiceError('DECODE_TIMEOUT', `it was not decoded within ${ms / 1_000} s`));
  }

  /** A worker ended with it, at none of its messages. */
  fell(reason: string): void {
    this.#falls += 1;
    if (this.#falls < FALLS) return;
    for (let i = 0; i < this.messages.length; i++)
      if (!this.#refused.has(i))
        this.#refused.set(
          i,
          new SluiceError('DECODE_CRASHED', `workers end with it or its neighbours: ${reason}`),
        );
  }

  /** `rows`: by task. */
  take(answer: Answer, rows: readonly Rows[]): void {
    this.#answer = answer;
    this.#rows = rows;
    this.#firsts = new Uint32Array(answer.counts.length);
    for (let i = 1; i < answer.counts.length; i++)
      this.#firsts[i] = this.#firsts[i - 1] + answer.counts[i - 1];
    for (const [i, code, detail] of answer.refused) this.#refused.set(i, new SluiceError(code, detail));
  }

  refusal(i: number): SluiceError | null {
    return this.#refused.size === 0 ? null : (this.#refused.get(i) ?? null);
  }

  row(i: number): number {
    return this.#firsts[i];
  }

  rows(k: number): Rows {
    return this.#rows[k];
  }

  events(i: number): readonly Event[] {
    const { counts } = this.#answered;
    const events = new Array<Event>(counts[i]);
    for (let n = 0; n < counts[i]; n++) events[n] = this.#event(this.messages[i], this.#firsts[i] + n);
    return events;
  }

  #event(message: Message, e: number): Event {
    const { ids, weak, devices, at, aliases, lengths } = this.#answered;
    return {
      id: cell(ids, e) ?? message.position,
      weak: cell(weak, e),
      device: cell(devices, e),
      at: at[e],
      aliases: aliases[e],
      body: new PreparedMail(message, lengths[e], this.#task),
    };
  }

  get #answered(): Answer {
    if (this.#answer === null) throw new SluiceError('INTERNAL', 'a load was read before its answer');
    return this.#answer;
  }
}
