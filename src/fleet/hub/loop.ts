/**
 * The loop of one task: labels and alarms come in, a training becomes due, its candidate goes its way. Promises: never
 * two trainings and never two roll-outs at once; facts only count, decisions fall in `step`, one after the other;
 * what was begun before a restart goes on. Refuses rows of other features or shapes silently: they are not this
 * task's to learn from.
 */
import type { Actual, Alarm, LabelledRow, Order } from '../../contract.ts';
import { asSluiceError } from '../../errors.ts';
import { audit } from './deeds.ts';
import type { HubMoment } from './events.ts';
import { usableWeights } from './gate.ts';
import { Incidents } from './incidents.ts';
import type { Memory } from './memory.ts';
import { followOrder, type OrderResult } from './orders.ts';
import { Recent } from './recent.ts';
import type { Cause, Finished, TaskRecord } from './record.ts';
import { type RolloutContext, RolloutMachine } from './rollout.ts';
import { type Candidate, makeCandidate } from './training.ts';
import { dueCause } from './triggers.ts';
import { sayMeasured } from './words.ts';

/** A training that the process did not survive is begun again so often. */
const MAX_ATTEMPTS = 3;
/** Candidates that one drift may lead to. */
const MAX_TRIES = 5;
/** Sites whose newest seq is remembered. */
const MAX_THROUGH = 4_096;
/** Verdicts of a new model that are counted after its roll-out. */
const AFTER = 1_000;

export type LoopContext = Omit<RolloutContext, 'devices' | 'tally'>;

interface Job {
  readonly stop: AbortController;
  ended: { readonly candidate: Candidate } | { readonly error: unknown } | null;
  readonly done: Promise<void>;
}

export class TaskLoop {
  readonly machine: RolloutMachine;
  readonly incidents: Incidents;
  readonly #context: RolloutContext;
  readonly #recent: Recent;
  #job: Job | null = null;
  #cleaned = false;
  /** The live model, where it was made for other features than the task has now, or cannot be read. */
  #stale: string | null = null;
  #stopped = false;

  constructor(context: LoopContext) {
    const recent = new Recent();
    this.#recent = recent;
    this.#context = {
      ...context,
      devices: () => recent.devices,
      tally: (since, candidate) => recent.tally(since, candidate),
    };
    this.incidents = new Incidents(context.options, context.memory.record.incidents);
    this.machine = new RolloutMachine(this.#context);
    context.memory.beforeSave = () => {
      this.machine.save();
      context.memory.record.incidents = this.incidents.save();
    };
  }

  get memory(): Memory {
    return this.#context.memory;
  }

  get task() {
    return this.#context.task;
  }

  // ---- facts

  /** A labelled row that is durable in the pool. */
  row(row: LabelledRow): void {
    const { record } = this.memory;
    if (row.features !== this.task.features || this.#counted(row)) return;
    this.memory.touch();
    if (row.label < 0 || row.label >= this.task.labels.length) return;
    record.fresh += 1;
    if (record.cause && row.at >= record.cause.since) record.cause.rows += 1;
    this.#recent.add(row);
    this.#tally(row);
    const { pool } = this.#context.parts;
    if (row.paired && !pool.distrusts(row.task, row.site, row.device)) this.machine.paired(row, row.paired);
  }

  /** By the site's own numbering: rows come again after a reconnect. */
  #counted({ site, seq }: LabelledRow): boolean {
    const { through } = this.memory.record;
    const known = Object.hasOwn(through, site);
    if (known && seq <= through[site]) return true;
    if (known || Object.keys(through).length < MAX_THROUGH) through[site] = seq;
    return false;
  }

  /** Verdicts of the candidate, until enough are counted after it went live. */
  #tally({ model, predicted, label }: LabelledRow): void {
    if (predicted < 0) return;
    const { rollout, finished } = this.memory.record;
    const last = finished.at(-1);
    const digest = rollout?.candidate.digest ?? last?.model;
    const after = rollout ? rollout.after : last?.after;
    if (!digest || !after || after.tested >= AFTER || !model.startsWith(`${digest}+`)) return;
    after.tested += 1;
    if (predicted === label) after.correct += 1;
  }

  /** Durable when it resolves, where a training follows from it. */
  async alarm(site: string, alarm: Alarm, now: number): Promise<void> {
    const accepted = this.incidents.alarm(site, alarm, now);
    this.memory.touch();
    if (!accepted) return;
    const { id: incident, since, streams, sites } = accepted;
    const reason = `drift: ${accepted.reason}`;
    const rows = this.#recent.rowsSince(since);
    await this.memory.note(
      (record) => {
        if (record.cause?.kind !== 'drift')
          record.cause = { kind: 'drift', reason, at: now, incident, since, rows };
      },
      [audit('drift', '', reason)],
      [{ kind: 'drift', stream: streams[0] ?? alarm.stream, sites: [...sites], since, reason }],
    );
  }

  actual(actual: Actual, now: number): void {
    if (actual.group !== this.#context.group || actual.task !== this.task.name) return;
    this.#context.sites.actual(actual, this.memory.serial, now);
  }

  order(order: Order): Promise<OrderResult> {
    return followOrder(order, {
      ...this.#context,
      machine: this.machine,
      stopTraining: () => this.#job?.stop.abort(),
    });
  }

  // ---- decisions

  /** One look: what was decided is finished first, then at most one thing is decided. */
  async step(): Promise<void> {
    await this.memory.settle();
    const now = this.#context.clock.now();
    if (!this.#cleaned) await this.#clean();
    const { record } = this.memory;
    if (this.#job?.ended) return this.#take(this.#job);
    if (record.rollout) {
      await this.machine.advance(now);
      if (!record.rollout) this.#settleIncident();
      return;
    }
    this.#settleIncident();
    if (record.training)
      return this.#job || record.paused !== null ? undefined : this.#train(record.training);
    const cause = dueCause(this.triggers, this.#context.options, now);
    if (cause) await this.#begin(cause, now);
  }

  /** The record as triggers see it: a live model of other features is none. */
  get triggers(): TaskRecord {
    const { record } = this.memory;
    return record.live && record.live.digest === this.#stale ? { ...record, live: null } : record;
  }

  /** What a training that was cut off by a restart has left in the registry. */
  async #clean(): Promise<void> {
    const { parts, task } = this.#context;
    const { training, trainedAt, live } = this.memory.record;
    if (live && !(await usableWeights(live.digest, this.#context))) this.#stale = live.digest;
    const isOurs = (created: number) => training !== null && created >= (trainedAt ?? 0);
    const left = parts.registry
      .list(task.name)
      .filter(({ stage, manifest }) => stage === 'candidate' && isOurs(manifest.created));
    if (left.length > 0)
      await this.memory.decide({
        change: () => undefined,
        deeds: left.map(({ digest }) => ({
          do: 'move',
          digest,
          stage: 'rejected',
          reason: 'its training was cut off by a restart',
          by: 'hub',
        })),
      });
    this.#cleaned = true;
  }

  async #begin(cause: Cause, now: number): Promise<void> {
    await this.memory.decide({
      change: (record) => {
        record.training = cause;
        record.cause = null;
        record.trainedAt = now;
        record.attempts = 0;
        record.fresh = 0;
      },
      deeds: [audit('training', '', cause.reason)],
      moments: [{ kind: 'training', reason: cause.reason }],
    });
    await this.#train(cause);
  }

  async #train(cause: Cause): Promise<void> {
    const { record } = this.memory;
    if (record.attempts >= MAX_ATTEMPTS)
      return this.#failed(`it was begun ${MAX_ATTEMPTS} times and this process did not survive it`);
    await this.memory.decide({
      change: () => {
        record.attempts += 1;
      },
    });
    const stop = new AbortController();
    const done = this.#make(cause, stop.signal).then(
      (candidate) => {
        job.ended = { candidate };
      },
      (error: unknown) => {
        job.ended = { error };
      },
    );
    const job: Job = { stop, ended: null, done };
    this.#job = job;
  }

  async #make(cause: Cause, signal: AbortSignal): Promise<Candidate> {
    const { task, parts, options, clock } = this.#context;
    const { live } = this.memory.record;
    const known = parts.registry.list(task.name).find(({ digest }) => digest === live?.digest);
    return makeCandidate({
      task,
      parts,
      options,
      live: live && {
        digest: live.digest,
        weights: known ? await usableWeights(live.digest, this.#context) : null,
        until: known?.manifest.training.until ?? 0,
      },
      reason: cause.reason,
      since: cause.kind === 'drift' ? cause.since : null,
      now: () => clock.now(),
      signal,
    });
  }

  async #take(job: Job): Promise<void> {
    const { ended } = job;
    const cause = this.memory.record.training;
    this.#job = null;
    if (!ended || !cause || this.#stopped) return;
    if ('error' in ended) {
      const { code, message } = asSluiceError(ended.error, 'TRAINING_FAILED');
      await this.#failed(`${code}: ${message}`);
    } else {
      const { ref, position, winner, rows, tried, signer } = ended.candidate;
      const { digest, version } = ref;
      const { validation } = winner;
      const moments: HubMoment[] = [
        { kind: 'trained', digest, version, rows, tried, quality: validation },
        { kind: 'signed', digest, version, signer },
      ];
      const made = `v${version}: best of ${tried} on ${rows} rows; ${sayMeasured(validation)}; signed by ${signer}`;
      await this.machine.begin(ref, cause, position, false, moments, [audit('candidate', digest, made)]);
    }
  }

  async #failed(reason: string): Promise<void> {
    await this.memory.decide({
      change: (record) => {
        record.training = null;
        record.attempts = 0;
      },
      deeds: [audit('trainingFailed', '', reason)],
      moments: [{ kind: 'trainingFailed', reason }],
    });
  }

  /** Once a roll-out has ended: was the alarm that led to it worth it? */
  #settleIncident(): void {
    const last = this.memory.record.finished.at(-1);
    if (!last || last.incident === null) return;
    if (this.incidents.settle(last.incident, last.passed, this.#context.clock.now())) this.memory.touch();
    this.#follow(last);
  }

  /**
   * A drift is not over with one candidate. Where it did not come through, another one is made from the next labels (and
   * more while the alarm goes on); where it did, one from twice as many: what is trained soon after a drift knows little.
   */
  #follow({ incident: id, again, at, outcome }: Finished): void {
    const { record } = this.memory;
    const incident = this.incidents.list.find((one) => one.id === id);
    const tries = record.finished.filter((one) => one.incident === id).length;
    if (!incident || record.cause || tries >= MAX_TRIES) return;
    // A training that began since has had its try.
    if ((record.trainedAt ?? 0) > at) return;
    const isLive = outcome === 'live';
    if (!isLive && !(again && (incident.active.length > 0 || tries === 1))) return;
    const { since, reason } = incident;
    const { afterDrift } = this.#context.options.retrain;
    record.cause = {
      ...{ kind: 'drift', at: this.#context.clock.now(), incident: incident.id, since, again: true, rows: 0 },
      reason: `drift: ${reason}; ${isLive ? 'now with more labels from behind it' : 'the last candidate did not come through'}`,
      ...(isLive ? { want: Math.max(afterDrift, this.#recent.rowsSince(since)) } : {}),
    };
    this.memory.touch();
  }

  /** Resolves when no training runs in this process; what it made is taken with the next step. */
  async settled(): Promise<void> {
    await this.#job?.done;
  }

  /** A training under way is given up here and begun again at the next start. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#job?.stop.abort();
    await this.#job?.done;
    this.machine.close();
    await this.memory.flush();
  }
}
