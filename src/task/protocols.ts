/**
 * Test-then-train over a stream: each event is scored before anything of its label reaches the model, then labels
 * are learned as the feedback brings them. `prequential` tests every event; `holdout` trains on the first part and
 * tests the rest with a model that no longer changes. One run with one seed gives the same verdicts every time.
 *
 * Where labels do not depend on verdicts the whole order of scoring and learning is known ahead and runs in
 * schedules of many events a call. Where they do (active, errors), events are scored a few at a time, and
 * scores after an event whose label was learned at once are thrown away and asked for again. Rows whose
 * labels come later are kept until then; nothing else is.
 *
 * A model that trains itself is asked, after every few events, to learn those that it was sure of and that have no
 * label by then, as a gateway asks after each batch; a label that comes later is learned on top.
 */
import type { Decided, Event, Message, Model } from '../contract.ts';
import { type ErrorCode, SluiceError } from '../errors.ts';
import { RowArena } from '../features/rows.ts';
import { dependsOnVerdict, type Feedback, isComplete, Teacher } from './feedback.ts';
import { type Pool, prepare } from './preparation.ts';
import { type Chunk, keepRows, Order, type Pending, Queue } from './schedule.ts';
import { type SelfTraining, surely } from './self-training.ts';
import type { Task } from './task.ts';
import { decide, SUFFICIENT, type Sufficient, suffices } from './verdict.ts';

/** Rows of one call where the schedule is known; and where it is not. */
const CHUNK = 512;
const ASKED_CHUNK = 128;
/** Events after which a model that trains itself does. */
const SELF_SPAN = 16;

const NONE: ReadonlySet<number> = new Set();

/** One tested event: indices of labels, and where its probabilities lie. */
export interface Tested {
  readonly id: string;
  /** Place in the stream, from 0; untested events count too. */
  readonly index: number;
  readonly truth: number;
  readonly predicted: number;
  /** The label that a gateway publishes: `predicted`, -1 while the model has not learned enough for any. */
  readonly stated: number;
  readonly scores: Float32Array;
  readonly offset: number;
}

/** Told all that happens in the order of the stream, as a gateway would see it. */
export interface Observer {
  /** An event as it was decoded, long before it is scored. */
  met(event: Event, index: number): void;
  /** `truth` -1 where it is not known; `tested` false where the event only trains. Answers what is decided, if anything is. */
  scored(event: Tested, tested: boolean): Decided | null;
  /** The label of event `index` is learned. */
  labelled(index: number, label: number): void;
}

export interface RunOptions {
  readonly task: Task;
  readonly model: Model;
  /** Threads that decode and make rows of this task; default: here. Results do not depend on it. */
  readonly pool?: Pool | null;
  readonly feedback: Feedback;
  readonly seed: number;
  /** Events of the stream, as far as known: active learning spreads its budget over them. */
  readonly total: number;
  /** Events before this one train and are not tested. */
  readonly testFrom: number;
  /** True: nothing is learned from `testFrom` on (holdout). */
  readonly frozen: boolean;
  readonly onTested: (tested: Tested) => void;
  /** With one, events that only train are scored too. */
  readonly observer?: Observer | null;
  /** What the model may learn by itself; null: it does not. It is told every label. */
  readonly selfTraining?: SelfTraining | null;
  /** What must be learned before verdicts carry a label; null: the model begins with enough. Default SUFFICIENT. */
  readonly sufficient?: Sufficient | null;
  /** After each call of the model: events so far. */
  readonly onProgress?: (events: number) => void;
}

export interface RunResult {
  /** Events decoded. */
  readonly events: number;
  /** Labels that the learner got. */
  readonly labelsGiven: number;
  /** Messages that could not be decoded, by error code: the gateway makes dead letters of them. */
  readonly dead: Readonly<Partial<Record<ErrorCode, number>>>;
}

/** Runs a stream through a model. Throws SluiceError INPUT_INVALID for a label that the task does not have. */
export async function runStream(messages: AsyncIterable<Message>, options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  const dead: Partial<Record<ErrorCode, number>> = {};
  const arenas = [0, 1].map(() => new RowArena(options.task.shape.dims, options.task.shape.denseDims));
  const size = dependsOnVerdict(options.feedback) ? ASKED_CHUNK : CHUNK;
  let running: Promise<void> = Promise.resolve();
  let chunk = newChunk(arenas[0], 0);
  let clock = Number.NEGATIVE_INFINITY;
  const timed = options.feedback.lagMs > 0;
  const send = async (): Promise<void> => {
    await running;
    running = run.take(chunk);
    // A failure surfaces at the next `await running`; until then it must not count as unhandled.
    running.catch(() => {});
    chunk = newChunk(chunk.arena === arenas[0] ? arenas[1] : arenas[0], chunk.first + chunk.ids.length);
  };
  for await (const prepared of prepare(messages, [options.task], options.pool ?? null)) {
    const { message, events, refusal } = prepared;
    if (refusal) {
      dead[refusal.code] = (dead[refusal.code] ?? 0) + 1;
      continue;
    }
    const truth = truthOf(message, options.task);
    for (const [i, event] of events.entries()) {
      if (timed && event.at === 0) throw noTime(message);
      prepared.fill(i, chunk.arena);
      options.observer?.met(event, chunk.first + chunk.ids.length);
      clock = Math.max(clock, event.at);
      chunk.ids.push(event.id);
      chunk.truths.push(truth);
      chunk.clocks.push(clock);
      if (chunk.ids.length === size) await send();
    }
  }
  await send();
  await running;
  return { events: chunk.first, labelsGiven: run.labelsGiven, dead };
}

/** A lag in time would never be over; nothing would be learned. Inputs say 0 where they know no time. */
function noTime({ position }: Message): SluiceError {
  return new SluiceError(
    'INPUT_INVALID',
    `${position} has no time, and a lag in time needs one in every event; --time COLUMN names it`,
  );
}

function newChunk(arena: RowArena, first: number): Chunk {
  arena.reset();
  return { arena, first, ids: [], truths: [], clocks: [] };
}

export function truthOf(message: Message, task: Task): number {
  if (message.label === undefined) return -1;
  const truth = task.labels.indexOf(message.label);
  if (truth >= 0) return truth;
  const known = task.labels.join(', ');
  throw new SluiceError(
    'INPUT_INVALID',
    `${message.position}: label ${message.label} is not one of ${known}`,
  );
}

/** The order of scoring and learning of one stream. */
class Run {
  readonly #options: RunOptions;
  readonly #teacher: Teacher;
  /** In the order of their coming: the lag is the same for all and the clock never goes back. */
  readonly #pending = new Queue<Pending>();
  /** Those of them whose rows lie in the current chunk. */
  readonly #fresh = new Set<Pending>();
  /** All of them, by their event. */
  readonly #coming = new Map<number, Pending>();
  /** Labels learned, by label. */
  readonly #counts: number[];
  /** Null once they are enough. */
  #sufficient: Sufficient | null;
  #span = 1;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#counts = options.task.labels.map(() => 0);
    const { sufficient = SUFFICIENT } = options;
    this.#sufficient = sufficient && suffices(this.#counts, sufficient) ? null : sufficient;
    const { feedback, task, seed, frozen, testFrom } = options;
    const total = frozen ? Math.min(options.total, testFrom) : options.total;
    this.#teacher = new Teacher(feedback, task.labels.length, total, seed);
  }

  get labelsGiven(): number {
    return this.#teacher.given;
  }

  async take(chunk: Chunk): Promise<void> {
    if (chunk.ids.length === 0) return;
    if (dependsOnVerdict(this.#options.feedback)) await this.#takeAsking(chunk);
    else await this.#takePlanned(chunk);
    keepRows([...this.#fresh], chunk);
    this.#fresh.clear();
    this.#options.onProgress?.(chunk.first + chunk.ids.length);
  }

  /** Whether event `index` gets no label because the model is being tested. */
  #stopped(index: number): boolean {
    return this.#options.frozen && index >= this.#options.testFrom;
  }

  /** Whether nothing is learned any more before event `index` is scored; what comes with the last training event still is. */
  #closed(index: number): boolean {
    return this.#options.frozen && index > this.#options.testFrom;
  }

  #isDue(pending: Pending, index: number, clock: number): boolean {
    const { lag, lagMs } = this.#options.feedback;
    return lagMs > 0 ? clock >= pending.clock + lagMs : index > pending.index + lag;
  }

  /** The labels that come before event `index` is scored. */
  #arrivals(index: number, clock: number): Pending[] {
    if (this.#closed(index)) return [];
    const due: Pending[] = [];
    for (
      let next = this.#pending.first;
      next && this.#isDue(next, index, clock);
      next = this.#pending.first
    ) {
      this.#fresh.delete(next);
      due.push(this.#pending.take());
    }
    return due;
  }

  #grant(chunk: Chunk, row: number, label: number): void {
    const [index, clock] = [chunk.first + row, chunk.clocks[row]];
    if (label < 0) return;
    const pending: Pending = { index, clock, label, sure: -1, row, kept: null };
    this.#pending.push(pending);
    this.#fresh.add(pending);
    this.#coming.set(index, pending);
  }

  /** True where the training part need not be scored. */
  #untested(chunk: Chunk, row: number): boolean {
    return chunk.first + row < this.#options.testFrom;
  }

  async #takePlanned(chunk: Chunk): Promise<void> {
    const rows = chunk.ids.length;
    const span = this.#isOpen(chunk) ? SELF_SPAN : rows;
    for (let from = 0; from < rows; from += span)
      await this.#takeSpan(chunk, from, Math.min(rows, from + span));
  }

  /** Scores rows [from, to), each after the labels that come before it. */
  async #takeSpan(chunk: Chunk, from: number, to: number): Promise<void> {
    const { observer, model, selfTraining, feedback } = this.#options;
    const open = selfTraining && !isComplete(feedback);
    const order = new Order(chunk);
    /** By row the labels that came before it. */
    const came: (readonly Pending[])[] = [];
    for (let row = from; row < to; row++) {
      const index = chunk.first + row;
      came[row] = this.#arrivals(index, chunk.clocks[row]);
      for (const arrival of came[row]) order.learn(arrival);
      if (observer || open || !this.#untested(chunk, row)) order.score(row);
      const label = this.#stopped(index) ? -1 : this.#teacher.label(index, chunk.truths[row]);
      this.#grant(chunk, row, label);
    }
    // A label that comes right after the last row is learned now, while its row is at hand.
    const next = chunk.first + chunk.ids.length;
    const last = to === chunk.ids.length ? this.#arrivals(next, Number.NEGATIVE_INFINITY) : [];
    for (const arrival of last) order.learn(arrival);
    const scores = await order.run(model);
    for (let row = from; row < to; row++) {
      this.#learned(came[row]);
      this.#test(chunk, row, scores, order.place(row));
    }
    this.#learned(last);
    const labelled = new Set([...came.slice(from), last].flat().map(({ index }) => index));
    await this.#teachItself(chunk, from, to, scores, order.place(from), labelled);
  }

  /** Labels that were learned, in order. */
  #learned(arrivals: readonly Pending[]): void {
    const { observer, selfTraining } = this.#options;
    for (const { index, label, sure } of arrivals) {
      this.#counts[label] += 1;
      if (this.#sufficient && suffices(this.#counts, this.#sufficient)) this.#sufficient = null;
      observer?.labelled(index, label);
      selfTraining?.learned(label, sure);
      this.#coming.delete(index);
    }
  }

  /** Whether events of this chunk may be left without a label when they are scored. */
  #isOpen(chunk: Chunk): boolean {
    const { selfTraining, feedback } = this.#options;
    if (!selfTraining) return false;
    return !isComplete(feedback) || chunk.truths.some((truth) => truth < 0);
  }

  /** Rows [from, to) were scored, the first at `place`; those in `labelled` have their label already. */
  async #teachItself(
    chunk: Chunk,
    from: number,
    to: number,
    scores: Float32Array,
    place: number,
    labelled: ReadonlySet<number> = NONE,
  ): Promise<void> {
    const { selfTraining, model } = this.#options;
    if (!selfTraining) return;
    const may = (row: number) => {
      const index = chunk.first + from + row;
      return !labelled.has(index) && !(this.#atOnce && this.#coming.has(index));
    };
    const rows = selfTraining.choose(scores.subarray(2 * place), to - from, may);
    if (rows.length === 0) return;
    const order = new Order(chunk);
    for (const row of rows) {
      order.learnOwn(from + row);
      selfTraining.ask();
    }
    await order.run(model);
  }

  async #takeAsking(chunk: Chunk): Promise<void> {
    const classes = this.#options.task.labels.length;
    let row = 0;
    while (row < chunk.ids.length) {
      const order = new Order(chunk);
      const came = this.#arrivals(chunk.first + row, chunk.clocks[row]);
      for (const arrival of came) order.learn(arrival);
      this.#learned(came);
      const end = this.#reach(chunk, row);
      for (let i = row; i < end; i++) order.score(i);
      const scores = await order.run(this.#options.model);
      const from = row;
      let granted = false;
      while (row < end && !granted) {
        const offset = order.place(row) * classes;
        const { lead } = decide(scores, offset, classes);
        const opinion = this.#test(chunk, row, scores, order.place(row));
        const index = chunk.first + row;
        const label = this.#stopped(index)
          ? -1
          : this.#teacher.label(index, chunk.truths[row], { opinion, lead });
        this.#grant(chunk, row, label);
        // Learned at once: what was scored beyond this row was scored too early.
        granted = label >= 0 && this.#atOnce;
        row += 1;
      }
      await this.#teachItself(chunk, from, row, scores, order.place(from));
      this.#span = granted ? Math.max(1, (row - from) >> 1) : Math.min(ASKED_CHUNK, this.#span * 2);
    }
  }

  get #atOnce(): boolean {
    const { lag, lagMs } = this.#options.feedback;
    return lag === 0 && lagMs === 0;
  }

  /** How far from `row` events can be scored before a label, on its way or given meanwhile, must be learned. */
  #reach(chunk: Chunk, row: number): number {
    const first: Pending = {
      index: chunk.first + row,
      clock: chunk.clocks[row],
      label: -1,
      sure: -1,
      row,
      kept: null,
    };
    const all = this.#options.selfTraining ? SELF_SPAN : ASKED_CHUNK;
    const most = Math.min(chunk.ids.length, row + (this.#atOnce ? Math.min(all, this.#span) : all));
    let end = row + 1;
    for (; end < most; end++) {
      const [index, clock] = [chunk.first + end, chunk.clocks[end]];
      if (this.#closed(index)) continue;
      const known = this.#pending.first;
      if (known && this.#isDue(known, index, clock)) break;
      if (!this.#atOnce && this.#isDue(first, index, clock)) break;
    }
    return end;
  }

  /** The label that users see acted on, -1 where a gateway has no opinion: it is still learning, or decides `unsure`. */
  #test(chunk: Chunk, row: number, scores: Float32Array, place: number): number {
    const truth = chunk.truths[row];
    const counts = truth >= 0 && !this.#untested(chunk, row);
    const { observer, onTested, task, selfTraining } = this.#options;
    const classes = task.labels.length;
    const offset = place * classes;
    const coming = selfTraining && this.#coming.get(chunk.first + row);
    selfTraining?.passed(1);
    if (coming) coming.sure = surely(scores, offset);
    const { predicted } = decide(scores, offset, classes);
    const stated = this.#sufficient ? -1 : predicted;
    if (!counts && !observer) return stated;
    const index = chunk.first + row;
    const tested = { id: chunk.ids[row], index, truth, predicted, stated, scores, offset };
    const decided = observer?.scored(tested, counts);
    if (counts) onTested(tested);
    return decided?.action === 'unsure' ? -1 : stated;
  }
}
