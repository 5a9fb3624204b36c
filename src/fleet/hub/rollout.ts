/**
 * One candidate on its way: gate, approval, stages, watch. Promises: it comes to gateways only after it passed the gate;
 * a stage is left for the next one only when gateways really run it and the paired test of that stage says so
 * within its error budget; whoever is silent is waited for; what is undecided at its deadline, or found worse, is
 * taken back, and what ran before stays. Every change of state is one decision of the memory, so a kill at any
 * point goes on from the last one.
 */
import type { Actual, BundleRef, Clock, LabelledRow, PairedLoss } from '../../contract.ts';
import { asSluiceError } from '../../errors.ts';
import { isOpen } from './daily.ts';
import { audit, finished, isRunBySome, move, names } from './deeds.ts';
import type { HubMoment } from './events.ts';
import { feedGate, type Gate, openGate, usableWeights } from './gate.ts';
import type { Memory } from './memory.ts';
import type { HubLoopOptions } from './options.ts';
import { type PairedFigures, PairedTest } from './paired.ts';
import type { Cause, Deed, Finished, Rollout, Step, Tally, TaskRecord } from './record.ts';
import type { HubParts, HubTask } from './seams.ts';
import { chooseSites, type Progress, type Sites, stageOf } from './sites.ts';
import { sayFigures, sayProgress } from './words.ts';

/** A refusal counts once the others had time to say theirs. */
const REFUSAL_MS = 30_000;

export interface RolloutContext {
  readonly group: string;
  readonly task: HubTask;
  readonly options: HubLoopOptions;
  readonly parts: HubParts;
  readonly clock: Clock;
  readonly sites: Sites;
  readonly memory: Memory;
  /** Devices heard of lately. */
  readonly devices: () => number;
  /** Verdicts given lately by other models, of events since then. */
  readonly tally: (since: number, candidate: string) => Tally;
}

/** Log-losses of gateways that run no base carry such a name in place of a digest. */
const isBlank = (digest: string) => !/^[0-9a-f]{64}$/.test(digest);

export class RolloutMachine {
  readonly #context: RolloutContext;
  #gate: Gate | null = null;
  /** Evidence of the running stage. */
  #test: PairedTest | null = null;

  constructor(context: RolloutContext) {
    this.#context = context;
    const { rollout } = context.memory.record;
    if (rollout?.test) this.#test = new PairedTest(this.#stageTest(), rollout.test);
  }

  /** Brings the evidence of the running stage into the record. */
  save(): void {
    const { rollout } = this.#record;
    if (rollout) rollout.test = this.#test?.save() ?? null;
  }

  get #record(): TaskRecord {
    return this.#context.memory.record;
  }

  /** Of the test that decides the present step. */
  get figures(): PairedFigures | null {
    return (this.#gate?.test ?? this.#test)?.figures ?? null;
  }

  // ---- facts

  /** The losses of a labelled row that a gateway scored with both models. */
  paired(row: LabelledRow, paired: PairedLoss): void {
    const { rollout } = this.#record;
    if (!rollout || !this.#test) return;
    const { candidate, base } = rollout;
    const isBase = (digest: string) => (base ? digest === base.digest : isBlank(digest));
    const { live, liveLoss, other, otherLoss } = paired;
    const device = `${row.site}/${row.device}`;
    if (live === candidate.digest && isBase(other)) this.#test.add(device, otherLoss, liveLoss);
    else if (other === candidate.digest && isBase(live)) this.#test.add(device, liveLoss, otherLoss);
    else return;
    this.#context.memory.touch();
  }

  // ---- decisions

  /** A candidate of the registry begins at the gate. */
  async begin(
    candidate: BundleRef,
    cause: Cause,
    position: number,
    approved: boolean,
    moments: HubMoment[],
    deeds: readonly Deed[] = [],
  ) {
    const { clock, memory, options } = this.#context;
    const now = clock.now();
    const { live } = this.#record;
    // One that was made for other features is not what gateways of this task run: there is nothing to compare with.
    const base = live && (await usableWeights(live.digest, this.#context)) ? live : null;
    await memory.decide({
      change: (record) => {
        record.training = null;
        record.attempts = 0;
        record.rollout = {
          candidate,
          base,
          cause,
          position,
          begun: now,
          step: 'gate',
          stage: 0,
          since: now,
          approved: approved || options.approve === 'auto',
          passed: null,
          sites: [],
          test: null,
          before: { tested: 0, correct: 0 },
          after: { tested: 0, correct: 0 },
          waits: 'unseen labelled rows',
        };
      },
      deeds,
      moments,
    });
  }

  /** One look at where it stands; at most one decision. */
  async advance(now: number): Promise<void> {
    const { rollout } = this.#record;
    if (!rollout) return;
    if (this.#test?.answer === 'worse')
      return this.#takeBack(`worse on labelled rows of gateways: ${this.#say()}`);
    if (this.#record.paused !== null) return;
    if (rollout.step === 'gate') return this.#passGate(rollout, now);
    if (rollout.step === 'approval') return this.#awaitApproval(rollout, now);
    if (rollout.step === 'due') return this.#enter(rollout, now);
    return this.#judge(rollout, now);
  }

  async #passGate(rollout: Rollout, now: number): Promise<void> {
    const { gate: options } = this.#context.options;
    try {
      this.#gate ??= await openGate(rollout, this.#context);
    } catch (thrown) {
      const error = asSluiceError(thrown);
      if (error.retry) throw error;
      return this.#takeBack(`it cannot be tested: ${error.code}: ${error.message}`);
    }
    await this.#feed(this.#gate);
    const { answer } = this.#gate.test;
    if (answer === 'better') return this.#passed(rollout);
    if (answer === 'worse') return this.#takeBack(`worse on unseen rows: ${this.#say()}`);
    if (now - rollout.since >= options.deadline)
      return this.#takeBack(`undecided on unseen rows at the deadline: ${this.#say()}`);
  }

  /** Models that have learned half a page are of no use: the gate begins anew. */
  async #feed(gate: Gate): Promise<void> {
    try {
      await feedGate(gate, this.#context);
    } catch (thrown) {
      this.#closeGate();
      throw thrown;
    }
  }

  async #passed(rollout: Rollout): Promise<void> {
    const { memory, tally } = this.#context;
    const figures = this.figures;
    const { digest } = rollout.candidate;
    const reason = `better on unseen rows: ${this.#say()}`;
    this.#closeGate();
    const goesOn = rollout.approved;
    await memory.decide({
      change: () => {
        rollout.passed = figures;
        Object.assign(rollout.before, tally(rollout.cause.since, digest));
        this.#turn(rollout, goesOn ? 'due' : 'approval', goesOn ? '' : 'an operator');
      },
      deeds: [audit('gate', digest, reason)],
      moments: [
        { kind: 'gate', digest, passed: true, reason, figures },
        ...(goesOn ? [] : [{ kind: 'approval', digest } as const]),
      ],
    });
  }

  async #awaitApproval(rollout: Rollout, now: number): Promise<void> {
    const { memory, parts } = this.#context;
    const { digest } = rollout.candidate;
    if (rollout.approved) return memory.decide({ change: () => this.#turn(rollout, 'due', '') });
    const known = parts.registry.list(this.#context.task.name).find((each) => each.digest === digest);
    if (known && now > known.manifest.expires) await this.#takeBack('nobody approved it before it expired');
  }

  async #enter(rollout: Rollout, now: number): Promise<void> {
    const { memory, options } = this.#context;
    const stage = stageOf(rollout, this.#context);
    if (stage !== 'shadow' && !isOpen(options.windows, now)) {
      // The deadline does not run while nothing may be done.
      rollout.since = now;
      rollout.waits = 'a maintenance window';
      return memory.touch();
    }
    const sites = stage === 'fleet' ? [] : chooseSites(rollout.candidate.digest, stage, this.#context, now);
    if (sites === null) {
      rollout.waits = 'a gateway that is online';
      if (now - rollout.since >= options.rollout.deadline)
        await this.#takeBack('undecided: no gateway was online before the deadline');
      return;
    }
    const { candidate, base } = rollout;
    const word =
      stage === 'fleet'
        ? { run: candidate, candidate: null, compare: base }
        : { run: base, candidate: { ...candidate, mode: stage, sites }, compare: null };
    await memory.decide({
      word,
      change: () => {
        this.#turn(rollout, stage, 'gateways to confirm');
        rollout.sites = sites;
        this.#test = new PairedTest(this.#stageTest());
      },
      deeds: [
        move(candidate.digest, 'canary', `stage ${stage}`),
        audit(
          'stage',
          candidate.digest,
          `${stage}${sites.length > 0 ? ` on ${sites.slice(0, 20).join(', ')}` : ''}`,
        ),
      ],
      moments: (serial) => [{ kind: 'stage', digest: candidate.digest, stage, serial, sites }],
    });
  }

  #stageTest() {
    const { gate, rollout } = this.#context.options;
    return {
      alpha: gate.alpha,
      // The gate has asked for the margin; here it must only not turn out an illusion.
      margin: 0,
      tolerance: rollout.tolerance,
      perDevice: gate.perDevice,
      minCount: rollout.minCount,
      devices: this.#context.devices(),
    };
  }

  /** Where the gateways of the running stage stand. */
  progress(rollout: Rollout, now: number): Progress {
    const { sites, task } = this.#context;
    const { digest } = rollout.candidate;
    const runs = (actual: Actual) => actual.digest === digest;
    const reached = rollout.step === 'shadow' ? (actual: Actual) => actual.companion === digest : runs;
    const names = rollout.sites.length > 0 ? rollout.sites : sites.of(task.name);
    return sites.progress(task.name, names, this.#began(rollout), reached, now);
  }

  #began(rollout: Rollout): number {
    return Math.max(rollout.since, this.#record.toldAt);
  }

  async #judge(rollout: Rollout, now: number): Promise<void> {
    const progress = this.progress(rollout, now);
    const elapsed = now - this.#began(rollout);
    const { confirmed, refused, underWay } = progress;
    const settled = underWay.length === 0 && elapsed >= REFUSAL_MS;
    if (settled && refused.length > 0 && refused.length >= Math.max(1, confirmed.length))
      return this.#takeBack(
        `refused by ${refused.length} of ${refused.length + confirmed.length} gateways: ${refused[0].site}: ${refused[0].reason}`,
      );
    rollout.waits = sayProgress(progress);
    if (rollout.step === 'watch') return this.#watch(rollout, elapsed);
    if (rollout.step === 'fleet') return this.#spread(rollout, progress, elapsed);
    const answer = this.#test?.answer ?? null;
    const good = answer === 'better' || (answer === 'notWorse' && rollout.step === 'canary');
    if (good && confirmed.length > 0) return this.#nextStage(rollout);
    if (elapsed >= this.#context.options.rollout.deadline)
      await this.#takeBack(
        `undecided in stage ${rollout.step} at the deadline: ${this.#say()}; ${sayProgress(progress)}`,
      );
  }

  #nextStage(rollout: Rollout): Promise<void> {
    const reason = `stage ${rollout.step} passed: ${this.#say()}`;
    return this.#context.memory.decide({
      change: () => {
        this.#turn(rollout, 'due', '');
        rollout.stage += 1;
      },
      deeds: [audit('passed', rollout.candidate.digest, reason)],
    });
  }

  /** All gateways get it; those that are online have confirmed it before the watch begins. */
  async #spread(rollout: Rollout, progress: Progress, elapsed: number): Promise<void> {
    const { memory, options } = this.#context;
    const { confirmed, refused, underWay } = progress;
    const late = elapsed >= options.rollout.deadline;
    if (confirmed.length > refused.length && (underWay.length === 0 || late)) {
      const { digest } = rollout.candidate;
      const serial = this.#record.word?.serial ?? 0;
      return memory.decide({
        change: () => this.#turn(rollout, 'watch', ''),
        deeds: [audit('stage', digest, `watch; confirmed by ${confirmed.length}; ${sayProgress(progress)}`)],
        moments: [{ kind: 'stage', digest, stage: 'watch', serial, sites: [] }],
      });
    }
    if (late)
      await this.#takeBack(`too few gateways confirmed it before the deadline; ${sayProgress(progress)}`);
  }

  async #watch(rollout: Rollout, elapsed: number): Promise<void> {
    const { memory, options, task } = this.#context;
    const { watch, deadline, minCount } = options.rollout;
    const rows = this.#test?.figures.rows ?? 0;
    if (elapsed < watch || (rows < minCount && rollout.base && elapsed < Math.max(watch, deadline))) return;
    const { candidate, passed } = rollout;
    if (!passed) return this.#takeBack('it never passed the gate');
    const reason = `rolled out: ${this.#say()}`;
    await memory.decide({
      word: { run: candidate, candidate: null, compare: null },
      change: (record) => {
        record.previous = record.live ?? record.previous;
        record.live = candidate;
        // Alarms from before the training are answered by it.
        if (record.cause?.kind === 'drift' && record.cause.at < rollout.begun) record.cause = null;
        this.#end(record, finished(task.name, rollout, 'live', reason, this.#context.clock.now()));
      },
      deeds: [move(candidate.digest, 'live', reason)],
      moments: (serial) => [{ kind: 'live', digest: candidate.digest, version: candidate.version, serial }],
    });
  }

  /** Ends it: the candidate is rejected, and where gateways have heard of it they are told to run what ran before. */
  takeBack(reason: string, by: string, deeds: readonly Deed[] = []): Promise<void> {
    return this.#takeBack(reason, by, deeds);
  }

  async #takeBack(reason: string, by = 'hub', deeds: readonly Deed[] = []): Promise<void> {
    const { memory, clock, task } = this.#context;
    const { rollout, word } = this.#record;
    if (!rollout) return;
    const { digest } = rollout.candidate;
    const { figures } = this;
    const atGate = rollout.step === 'gate';
    this.#closeGate();
    const outcome = isRunBySome(word, digest) ? 'rolledBack' : 'rejected';
    await memory.decide({
      word: names(word, digest) ? { run: this.#record.live, candidate: null, compare: null } : undefined,
      change: (record) =>
        this.#end(record, {
          ...finished(task.name, rollout, outcome, reason, clock.now()),
          again: atGate && by === 'hub',
        }),
      // The move stands in the audit log by itself.
      deeds: [
        move(digest, 'rejected', reason, by),
        ...(outcome === 'rolledBack' ? [audit(outcome, digest, reason, by)] : []),
        ...deeds,
      ],
      moments: [
        ...(atGate ? [{ kind: 'gate', digest, passed: false, reason, figures } as const] : []),
        { kind: outcome, digest, reason },
      ],
    });
  }

  #end(record: TaskRecord, entry: Finished): void {
    record.finished.push(entry);
    record.rollout = null;
    this.#test = null;
  }

  #turn(rollout: Rollout, step: Step, waits: string): void {
    rollout.step = step;
    rollout.since = this.#context.clock.now();
    rollout.waits = waits;
  }

  #closeGate(): void {
    this.#gate?.close();
    this.#gate = null;
  }

  #say(): string {
    return sayFigures(this.figures);
  }

  close(): void {
    this.#closeGate();
  }
}
