/**
 * One task of a gateway with everything that runs it: the learner, the feedback, the lane; and, where the gateway
 * belongs to a fleet (`models`), what follows the hub and tells it the labels.
 */
import type { Config } from '../config.ts';
import type { Bury, Clock, Decided, Engine, Event, JournalEntry, Outgoing, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import { type Base, bundleBase } from '../fleet/base.ts';
import { newDeltaTest } from '../fleet/delta.ts';
import { Installed } from '../fleet/installed.ts';
import { Installer } from '../fleet/installer.ts';
import { Labels } from '../fleet/labels.ts';
import { Learner } from '../fleet/learner.ts';
import { OwnLabels } from '../fleet/own-labels.ts';
import { RowsFeed } from '../fleet/rows-feed.ts';
import { Lane, type LaneContext, type ScoredNumbers } from '../flow/lane.ts';
import { ParkingPreparer, parkingLimits } from '../flow/parking.ts';
import type { PublicKey } from '../model/signing.ts';
import { openTask, type Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { Anomalies } from './anomalies.ts';
import { Deciding } from './deciding.ts';
import { Devices } from './devices.ts';
import type { Ports } from './ports.ts';
import { Senders } from './senders.ts';
import { taskSpec } from './spec.ts';
import { boardSink } from './transport.ts';
import { Watch } from './watch.ts';
import type { Workers } from './workers.ts';

export interface Unit {
  readonly task: Task;
  readonly learner: Learner;
  readonly labels: Labels;
  readonly lane: Lane;
  readonly watch: Watch;
  /** Null where nothing says how unusual an event is. */
  readonly anomalies: Anomalies | null;
  /** Null where the task decides nothing beyond the label. */
  readonly deciding: Deciding | null;
  /** What the features remember of devices; null where rows depend on their event alone. */
  readonly devices: Devices | null;
  /** What the decoder remembers of senders; null where messages stand for themselves. */
  readonly senders: Senders | null;
  /** Null where the gateway stands alone. */
  readonly fleet: { readonly installer: Installer; readonly feed: RowsFeed } | null;
}

/** A verdict as a person may look at it. */
export interface SeenVerdict {
  readonly event: string;
  readonly device: string;
  readonly at: number;
  readonly label: string | null;
  /** With two labels the probability of the positive one, else of the label. */
  readonly score: number | null;
  readonly model: string;
  /** What should become of it; null where the task decides nothing beyond the label. */
  readonly decided: Decided | null;
  /** What was judged; to be let go of soon. */
  readonly source: Event;
}

/** Drift is looked for in blocks of so much time at most, whatever the length of the windows that are told. */
const BLOCK_MS = 2_000;
/** Of a batch so many are looked at. */
const SEEN = 3;

export interface UnitContext {
  readonly config: Config;
  readonly engine: Engine;
  readonly store: Store;
  readonly ports: Ports;
  readonly bury: Bury;
  /** Threads that prepare mail; null: each lane does it itself. */
  readonly workers: Workers | null;
  /** Whose models are installed; null: the gateway stands alone. */
  readonly trusted: readonly PublicKey[] | null;
  readonly onVerdicts?: (task: string, verdicts: readonly SeenVerdict[]) => void;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

function openAnomalies(task: Task, { config, telemetry }: UnitContext): Anomalies | null {
  const anomalies = new Anomalies({ task, folder: config.store.path, telemetry });
  return anomalies.scorer.useful ? anomalies : null;
}

/** Opens a task; its feedback is not read yet. Throws MODEL_*, STORE_*, CONFIG_INVALID. */
export async function openUnit(name: string, context: UnitContext): Promise<Unit> {
  const { config, engine, store, ports, bury, trusted, clock, telemetry } = context;
  const { learning, minLabels, minPerLabel } = config.tasks[name];
  const task = openTask(taskSpec(config, name));
  // Where nothing is read (a process that is only the hub) no model gives a verdict: it is no gateway of the fleet.
  const sink = trusted && config.tasks[name].from.length > 0 ? boardSink(config, name) : null;
  const installed = trusted && sink !== null && openInstalled(task, trusted, context);
  let fleet: Unit['fleet'] = null;
  const learner = await Learner.open({
    ...{ task, engine, store, clock, telemetry, learning, minLabels, minPerLabel },
    base: (installed && (await installed.base((base) => runs(task, engine, base)))) || undefined,
    deltaTest: newDeltaTest,
    onDropped: async (base) => fleet?.installer.rebased(base),
    onLearned: () => fleet?.feed.wake(),
  });
  if (installed && sink !== null) {
    await accompanyAgain(installed, learner, telemetry);
    fleet = openFleetPart(task, sink, installed, learner, context);
  }
  const watch = new Watch({
    ...{ task, folder: config.store.path, telemetry },
    budget: config.monitor.budget,
    tasks: Object.keys(config.tasks).length,
    blockMs: Math.min(BLOCK_MS, config.monitor.window),
  });
  const anomalies = config.tasks[name].anomalies === 'auto' ? openAnomalies(task, context) : null;
  const deciding = openDeciding(task, learner, context);
  const { memory } = task;
  const devices = memory && new Devices({ task, memory, folder: config.store.path, store, telemetry });
  const onLabel = (entry: JournalEntry) => watch.labelled(entry, clock.now());
  const onEntry = deciding ? (entry: JournalEntry) => deciding.entered(entry) : undefined;
  const labels = new Labels({ task, store, learner, bury, onLabel, onEntry, clock, telemetry });
  await labels.rematch();
  const own = task.selfTraining ? new OwnLabels({ task, learner, labels, clock }) : null;
  const senders = task.remember ? new Senders({ task, folder: config.store.path, telemetry }) : null;
  const lane = new Lane({
    site: config.site,
    task,
    scorer: learner,
    store,
    outputs: ports.of(name).map((port) => {
      const { envelope, batch, publish } = config.sinks[port.name];
      const { publisher, topic } = ports.output(port.name, name, 'verdict');
      return { publisher, topic, envelope, batch, policy: publish };
    }),
    batchSize: config.batch.size,
    prepare: senders ? parking(task, senders, context) : context.workers?.preparerOf(name),
    bury,
    onJoined: (events) => labels.joined(events),
    anomalies: anomalies ? (rows) => anomalies.scorer.step(rows) : undefined,
    decide: deciding ? (...judged) => deciding.decide(...judged) : undefined,
    onScored: (scored) => {
      watch.scored(scored);
      own?.scored(scored);
      context.onVerdicts?.(name, seen(task, scored));
    },
    clock,
    telemetry,
  });
  return { task, learner, labels, lane, watch, anomalies, deciding, devices, senders, fleet };
}

function openDeciding(
  task: Task,
  learner: Learner,
  { config, store, telemetry }: UnitContext,
): Deciding | null {
  if (!task.decision) return null;
  const { name: base } = learner.base;
  return new Deciding({ task, folder: config.store.path, key: config.privacy.key, base, store, telemetry });
}

/** Messages that a later one makes readable wait; what is to be asked for goes out by the sinks. */
function parking(
  task: Task,
  senders: Senders,
  { config, ports, clock, telemetry }: UnitContext,
): LaneContext['prepare'] {
  const labels = { task: task.name };
  const request = (source: string, requests: readonly Outgoing[]): void => {
    const ways = ports.reaching(task.name, source);
    telemetry.count(ways.length > 0 ? 'requests_sent' : 'requests_unsent', labels, requests.length, {
      source,
    });
    for (const { publisher } of ways)
      publisher.submit(requests).catch((thrown) => telemetry.error(asSluiceError(thrown), labels));
  };
  const limits = parkingLimits(config.maxInFlight, config.maxInFlightBytes);
  const memory = (source: string) => senders.of(source);
  const keep = () => senders.save('urgent');
  return (taker) => new ParkingPreparer({ task, memory, keep, request, limits, clock, telemetry }, taker);
}

/** The last few of a batch. */
function seen(task: Task, { events, scores, predicted, verdicts, model }: ScoredNumbers): SeenVerdict[] {
  const { labels, positive } = task;
  const first = Math.max(0, events.length - SEEN);
  return events.slice(first).map((source, i) => {
    const { id, device, at } = source;
    const label = predicted[first + i];
    const column = labels.length === 2 ? positive : label;
    const score = column < 0 ? null : scores[(first + i) * labels.length + column];
    const decided = verdicts[first + i].decided ?? null;
    return { event: id, device, at, label: label < 0 ? null : labels[label], score, model, decided, source };
  });
}

function openInstalled(task: Task, trusted: readonly PublicKey[], context: UnitContext): Installed {
  const { config, telemetry } = context;
  const { maxBytes } = config.models!;
  return new Installed({ folder: config.store.path, task, trusted, maxBytes, telemetry });
}

/** What was compared when the gateway stopped goes on being compared. */
async function accompanyAgain(installed: Installed, learner: Learner, telemetry: Telemetry): Promise<void> {
  const { companion } = installed.record;
  if (!companion) return;
  try {
    learner.accompany(bundleBase(await installed.load(companion.digest), companion.since));
  } catch (thrown) {
    telemetry.error(asSluiceError(thrown));
    await installed.saveAnew({ companion: null });
  }
}

/** Throws MODEL_* where these weights cannot be run here: what is signed and whole may be of another version of the core. */
function runs(task: Task, engine: Engine, { weights, kind }: Base): void {
  if (weights) task.loadModel(engine, weights, kind ?? undefined).close();
}

function openFleetPart(
  task: Task,
  sink: string,
  installed: Installed,
  learner: Learner,
  context: UnitContext,
): NonNullable<Unit['fleet']> {
  const { config, store, ports, clock, telemetry } = context;
  const { site, group } = config;
  const { publisher, topic, envelope } = ports.output(sink, task.name, 'rows');
  const feed = new RowsFeed({
    ...{ task, site, store, topic, envelope, clock, telemetry },
    publish: (messages) => publisher.submit(messages),
    paired: (seq) => learner.paired(seq),
    through: () => learner.pairedThrough,
  });
  const installer = new Installer({
    ...{ site, group, task, learner, installed, store, clock, telemetry },
    board: ports.board(sink),
    trusted: context.trusted ?? [],
    maxBytes: config.models!.maxBytes,
  });
  feed.wake();
  return { installer, feed };
}
