/**
 * Mail with one and with two worker threads beside the main one: the real stream through the lane of a gateway, from raw
 * bytes to verdicts as they would be published, by a model that has learned the stream. What a disk or a broker would
 * add is left out; the rest is what a gateway runs.
 */
import { systemClock } from '../../src/clock.ts';
import type { Message, Scorer, Store } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { Credit } from '../../src/flow/credit.ts';
import { Lane } from '../../src/flow/lane.ts';
import { PooledPreparer } from '../../src/flow/preparer.ts';
import type { Publisher } from '../../src/flow/publisher.ts';
import { Slot } from '../../src/flow/settle.ts';
import { openEngine } from '../../src/model/engine.ts';
import { Decision } from '../../src/task/decision.ts';
import { Pool } from '../../src/task/preparation.ts';
import type { Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import type { BenchCase, BenchOptions, Measure } from '../case.ts';
import { measure } from '../case.ts';
import { type LabelledMail, mailTask, message, realMails } from '../inputs.ts';

const MOST = 5_403;
const BATCH = 256;
const IN_FLIGHT = 4_096;
const IN_FLIGHT_BYTES = 64 * 1024 ** 2;

/** Passes before any counts. */
const WARM = 3;

const never = new AbortController().signal;
const settle = (): void => {};
const telemetry = new Telemetry({ level: 'silent' });

/** A scorer that has learned the mails. */
export async function learned(task: Task, mails: readonly LabelledMail[]): Promise<Scorer> {
  const model = task.newModel(openEngine({ threads: 1 }));
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (let from = 0; from < mails.length; from += BATCH) {
    const some = mails.slice(from, from + BATCH);
    arena.reset();
    for (const [i, { raw }] of some.entries())
      for (const event of task.decode(message(raw, from + i))) task.fill(event, arena);
    await model.learn(
      arena.view(),
      Int32Array.from(some, ({ label }) => task.labels.indexOf(label)),
    );
  }
  const said = { model: 'bench+0', sufficient: true };
  return { backend: model.backend, score: (rows) => ({ probabilities: model.score(rows), ...said }) };
}

/** A gateway's lane with all that surrounds it in memory. `pool`: prepares for it; null: it does so itself. */
export class Course {
  readonly #lane: Lane;
  readonly #credit = new Credit(IN_FLIGHT, IN_FLIGHT_BYTES);
  #verdicts = 0;

  constructor(task: Task, scorer: Scorer, pool: Pool | null) {
    const decision = new Decision({ options: task.decision!, positive: task.positive, secret: 'bench' });
    const submit = async (messages: readonly unknown[]) => {
      this.#verdicts += messages.length;
    };
    const publisher = { name: 'out', submit } as unknown as Publisher;
    this.#lane = new Lane({
      site: 'bench',
      task,
      scorer,
      store: { join: { put: async () => {} } } as unknown as Store,
      outputs: [{ publisher, topic: 'verdict', envelope: 'cloudevents', batch: 1, policy: { kind: 'all' } }],
      batchSize: BATCH,
      bury: async () => {},
      prepare: pool ? (taker) => new PooledPreparer(pool, 0, BATCH, taker) : undefined,
      onJoined: () => {},
      decide: (event, label, scores, offset) =>
        decision.decide(event.id, decision.senderOf(event, label), label, scores, offset),
      clock: systemClock,
      telemetry,
    });
  }

  /** Every message through the lane; resolves when the last is settled, to the number of verdicts. */
  async run(messages: readonly Message[]): Promise<number> {
    this.#verdicts = 0;
    for (const one of messages) {
      const size = one.payload.length;
      if (!this.#credit.tryTake(size)) {
        this.#lane.flush();
        await this.#credit.take(size, never);
      }
      if (!this.#lane.hasRoom) await this.#lane.room();
      this.#lane.offer(new Slot({ message: one, settle }, 1, this.#credit, one.at, null));
    }
    await this.#lane.idle();
    if (this.#verdicts !== messages.length)
      throw new Error(`${this.#verdicts} verdicts on ${messages.length} mails`);
    return this.#verdicts;
  }
}

const mailWorkers: BenchCase = {
  name: 'mail-workers',
  what: 'raw mails of the real stream to verdicts with two worker threads: decoded, features, scored, decided, written out',
  peer: 'the same with one worker thread',
  unit: 'mails',
  floor: 1.7,
  async prepare(options: BenchOptions) {
    const mails = await realMails(options, MOST);
    if (typeof mails === 'string') return mails;
    const task = mailTask('full');
    const scorer = await learned(task, mails);
    const messages = mails.map(({ raw }, i) => ({ ...message(raw, i, 'mail'), position: `mail/0/${i}` }));
    const open = (threads: number) => Pool.open({ threads, groups: [[task]], clock: systemClock });
    const [one, two] = [await open(1), await open(2)];
    const courses = [two, one, null].map((pool) => new Course(task, scorer, pool));
    const run = (course: Course): Promise<Measure> => measure(() => course.run(messages));
    // Each thread compiles for itself: one that has seen half as many mails would be compared with a faster one.
    for (const course of [courses[0], ...courses]) for (let i = 0; i < WARM; i++) await run(course);
    return {
      async sluice() {
        const measured = await run(courses[0]);
        const inline = await run(courses[2]);
        return { ...measured, more: { 'inline/s': inline.n / inline.seconds } };
      },
      peer: () => run(courses[1]),
      async close() {
        await Promise.all([one.close(), two.close()]);
      },
    };
  },
};

export const mailWorkerCases: readonly BenchCase[] = [mailWorkers];
