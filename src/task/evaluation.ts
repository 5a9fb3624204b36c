/**
 * One evaluation: trains where asked, tests every event before its label is learned, and gives the result object that
 * `evaluate --json` prints. The run is the gateway's own path (task.ts); what differs is only where labels
 * come from. Refuses a stream of which nothing is tested.
 */
import type { Engine, Message, Model } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { DecisionTrial, type TriedDecision } from './decision/trial.ts';
import { type Feedback, immediate } from './feedback.ts';
import { type DriftMark, DriftMarks } from './marks.ts';
import { Metrics, type MetricsReport } from './metrics.ts';
import { type Pool, withWorkers } from './preparation.ts';
import { type RunResult, runStream, type Tested } from './protocols.ts';
import { seededRandom } from './random.ts';
import { SelfTraining } from './self-training.ts';
import type { Task } from './task.ts';
import type { Sufficient } from './verdict.ts';

export interface EvaluationOptions {
  readonly task: Task;
  readonly engine: Engine;
  /** The model to begin with, closed at the end; default one that has learned nothing. */
  readonly model?: Model;
  /** Learned first, whole, with every label at once. */
  readonly train: AsyncIterable<Message> | null;
  readonly input: AsyncIterable<Message>;
  /** Events in `input`, as far as known. */
  readonly total: number;
  readonly protocol: Protocol;
  /** prequential: events before this one, from 0, are learned from as ever and not counted; default 0. */
  readonly testFrom?: number;
  readonly feedback: Feedback;
  readonly seed: number;
  /** Threads beside this one that prepare mail; default 0. Results do not depend on it. */
  readonly workers?: number;
  /** What a model that begins with nothing must learn before verdicts carry a label, as in `runStream`. */
  readonly sufficient?: Sufficient;
  readonly onTested?: (tested: Tested) => void;
  /** Events of `input` so far, and the accuracy until now. */
  readonly onProgress?: (events: number, accuracy: number) => void;
}

/** `trainFraction`: which part of the stream, from its start, only trains. */
export type Protocol =
  | { readonly kind: 'prequential' }
  | { readonly kind: 'holdout'; readonly trainFraction: number };

export interface Evaluation extends MetricsReport {
  /** Events decoded in `input`. */
  readonly n: number;
  readonly tested: number;
  /** Labels that the learner got from `input`. */
  readonly labels: number;
  /** Events of `input` that the model was asked to learn as what it said of them itself. */
  readonly selfTrained: number;
  /** The names of the labels, in the order of `confusion`. */
  readonly classes: readonly string[];
  readonly positive: string | null;
  /** Events of --train. */
  readonly trained: number;
  /** Messages that could not be decoded, by code. */
  readonly dead: RunResult['dead'];
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly eventsPerSecond: number;
  /** Of this process, since its start. */
  readonly peakRssMiB: number;
  readonly model: { readonly kind: string; readonly bytes: number };
  readonly backend: string;
  readonly seed: number;
  /** Where drift detectors spoke. */
  readonly drift: readonly DriftMark[];
  /** What a gateway would have done with the tested events; left out where the task decides nothing beyond the label. */
  readonly decision?: TriedDecision;
}

/** Where testing begins, as an index of events. */
function firstTested({ protocol, feedback, total, testFrom = 0 }: EvaluationOptions): number {
  if (protocol.kind === 'holdout') return Math.floor(protocol.trainFraction * total);
  return Math.max(testFrom, Number.isFinite(feedback.delayed) ? feedback.delayed : 0);
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Runs an evaluation. Throws INPUT_INVALID where nothing could be tested, and what reading and models throw. */
export function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  return withWorkers([options.task], options.workers ?? 0, (pool) => evaluateWith(options, pool));
}

async function evaluateWith(options: EvaluationOptions, pool: Pool | null): Promise<Evaluation> {
  const { task, engine, seed, feedback } = options;
  const mail = task.event === 'email';
  const metrics = new Metrics({ labels: task.labels, positive: task.positive, seed, mail });
  const marks = new DriftMarks();
  const trial = task.decision && new DecisionTrial(task);
  const knowing = options.model !== undefined || options.train !== null;
  const started = { wall: performance.now(), cpu: process.cpuUsage() };
  // A model that no longer changes does not teach itself either.
  const selfTraining =
    task.selfTraining && options.protocol.kind === 'prequential' ? new SelfTraining() : null;
  const model = options.model ?? task.newModel(engine);
  try {
    const common = { task, model, pool, seed, selfTraining };
    const training = {
      ...common,
      feedback: immediate,
      total: 0,
      testFrom: Infinity,
      frozen: false,
      onTested: () => {},
    };
    const trained = options.train ? await runStream(options.train, training) : null;
    const run = await runStream(options.input, {
      ...common,
      feedback,
      observer: trial,
      sufficient: knowing ? null : options.sufficient,
      total: options.total,
      testFrom: firstTested(options),
      frozen: options.protocol.kind === 'holdout',
      onTested: (tested) => {
        metrics.add(tested.truth, tested.predicted, tested.scores, tested.offset);
        marks.add(tested.index, tested.scores[tested.offset + tested.truth]);
        options.onTested?.(tested);
      },
      onProgress: (events) => options.onProgress?.(events, metrics.accuracy),
    });
    const seconds = (performance.now() - started.wall) / 1_000;
    const cpu = process.cpuUsage(started.cpu);
    if (metrics.tested === 0) throw nothingTested(run);
    const events = run.events + (trained?.events ?? 0);
    return {
      ...metrics.report(),
      n: run.events,
      labels: run.labelsGiven,
      selfTrained: selfTraining?.asked ?? 0,
      classes: task.labels,
      positive: task.labels.length === 2 ? task.labels[task.positive] : null,
      trained: trained?.events ?? 0,
      dead: run.dead,
      seconds: rounded(seconds, 3),
      cpuSeconds: rounded((cpu.user + cpu.system) / 1e6, 3),
      eventsPerSecond: rounded(events / seconds, 1),
      peakRssMiB: rounded(process.resourceUsage().maxRSS / 1024, 1),
      model: { kind: model.kind, bytes: model.bytes },
      backend: model.backend,
      seed,
      drift: marks.marks,
      ...(trial ? { decision: trial.report() } : {}),
    };
  } finally {
    model.close();
  }
}

function nothingTested({ events, dead }: RunResult): SluiceError {
  const codes = Object.entries(dead).map(([code, count]) => `${count} ${code}`);
  const undecoded = codes.length > 0 ? `; not decoded: ${codes.join(', ')}` : '';
  return new SluiceError(
    'INPUT_INVALID',
    `no labelled event was left to test among ${events} events${undecoded}`,
  );
}

/** Most that a shuffled input may hold: it has to fit into memory. */
const MAX_SHUFFLED = 1024 ** 3;

/** The messages in a seeded random order (Fisher-Yates). Throws INPUT_INVALID above 1 GiB. */
export async function* shuffle(messages: AsyncIterable<Message>, seed: number): AsyncGenerator<Message> {
  const all: Message[] = [];
  let bytes = 0;
  for await (const message of messages) {
    bytes += message.payload.length;
    if (bytes > MAX_SHUFFLED)
      throw new SluiceError('INPUT_INVALID', 'too large to shuffle; it has to fit into 1 GiB');
    all.push(message);
  }
  const random = seededRandom(seed, 'shuffle');
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  yield* all;
}
