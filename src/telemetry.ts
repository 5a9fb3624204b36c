/**
 * The table of signals. One row is a metric and, where it has a level, the log line of the same
 * happening, so that the two cannot disagree. Normal operation is silent: only rows with a level are
 * logged, each at most once per LOG_EVERY_MS per label set (what was held back is counted in the next line).
 *
 * No global registry: each Telemetry owns its metrics, so two gateways fit in one process.
 */
import pino from 'pino';
import { Counter, Gauge, Registry } from 'prom-client';
import type { SluiceError } from './errors.ts';

const LOG_EVERY_MS = 10_000;

type Level = 'info' | 'warn' | 'error';

interface SignalRow {
  readonly metric: 'counter' | 'gauge';
  readonly help: string;
  readonly labels: readonly string[];
  readonly level?: Level;
}

const counter = <const L extends readonly string[]>(help: string, labels: L, level?: Level) =>
  ({ metric: 'counter', help, labels, level }) as const;
const gauge = <const L extends readonly string[]>(help: string, labels: L, level?: Level) =>
  ({ metric: 'gauge', help, labels, level }) as const;
export const signals = {
  // sources and sinks
  source_connected: counter('A source connected to its broker.', ['source'], 'info'),
  source_lost: counter('A source lost its broker and reconnects.', ['source'], 'warn'),
  source_rebuilt: counter('A consumer that had died was rebuilt.', ['source'], 'warn'),
  sink_connected: counter('A sink connected to its broker.', ['sink'], 'info'),
  sink_lost: counter('A sink lost its broker and reconnects.', ['sink'], 'warn'),
  publish_retried: counter('A publish was not confirmed and is tried again.', ['sink'], 'warn'),
  asked: counter(
    'Messages that came over HTTP, by what was answered (verdict, refused, deadline, busy, failed, stopped, gone).',
    ['source', 'result'],
  ),
  certificates_reloaded: counter('Certificate files changed and were loaded again.', ['name'], 'info'),
  // flow
  messages_received: counter('Messages taken from a source.', ['source']),
  bytes_received: counter('Payload bytes taken from a source.', ['source']),
  events: counter('Events decoded.', ['task']),
  verdicts: counter('Verdicts made, by label (`learning` before the first sufficient model).', [
    'task',
    'label',
  ]),
  published: counter('Messages confirmed by a sink.', ['sink', 'what']),
  dead_letters: counter('Messages that became a dead letter, by code.', ['task', 'code'], 'warn'),
  sequence_lost: counter(
    'Messages that never came, by the numbering of their senders (Sparkplug `seq`).',
    ['task'],
    'warn',
  ),
  sequence_late: counter('Messages that came after later ones of their sender, or again.', ['task']),
  requests_sent: counter('Requests to senders, such as a Sparkplug rebirth.', ['task']),
  requests_unsent: counter(
    'Requests to senders that no sink of the task can carry to the broker of its source.',
    ['task'],
    'warn',
  ),
  parked_messages: gauge('Messages that wait, unsettled, for one that makes them readable.', ['task']),
  parked_bytes: gauge('Payload bytes of such messages.', ['task']),
  settled: counter('Messages acknowledged to their source.', ['source']),
  in_flight_events: gauge('Messages taken and not yet settled.', []),
  in_flight_bytes: gauge('Payload bytes taken and not yet settled.', []),
  latency_ms: gauge('From arrival to confirmed verdict, in ms: percentile of the last window.', [
    'task',
    'quantile',
  ]),
  worker_lost: counter('A thread that prepares mail ended and was replaced.', [], 'warn'),
  flow_stopped: counter(
    'The flow of a task stopped; nothing is acknowledged until it is mended.',
    ['task'],
    'error',
  ),
  // outbox and store
  outbox_messages: gauge('Messages waiting in the outbox.', ['sink']),
  outbox_bytes: gauge('Bytes waiting in the outbox.', ['sink']),
  outbox_dropped: counter('Messages dropped by the outbox limits.', ['sink'], 'error'),
  outbox_used: counter('Messages that went to the outbox because the sink was away.', ['sink'], 'warn'),
  join_evicted: counter('Events dropped from the join store by its limits before a label came.', ['task']),
  store_set_aside: counter('A damaged store was set aside and a new one begun.', [], 'error'),
  store_failed: counter('Reading or writing the store failed.', [], 'error'),
  // learning
  feedback_received: counter(
    'Feedback messages, by result (learned, duplicate, corrected, withdrawn, waiting, unmatched, invalid, foreign).',
    ['task', 'result'],
  ),
  labels_learned: counter('Labels learned.', ['task']),
  self_trained: counter('Events that the model was asked to learn as what it says of them itself.', ['task']),
  self_training_paused: counter(
    'Self-training pauses: too many verdicts that were very sure turned out wrong.',
    ['task'],
    'warn',
  ),
  model_labels: gauge('Labels in the running model.', ['task']),
  model_bytes: gauge('Bytes held by the running model.', ['task']),
  model_rewound: counter('A correction or withdrawal replayed the journal.', ['task'], 'info'),
  model_swaps: counter('Another base model took over.', ['task'], 'info'),
  model_refused: counter(
    'A model or a word of the hub was refused; the running model stays.',
    ['task', 'code'],
    'warn',
  ),
  clock_implausible: counter(
    'The clock is before the signature of what is to be installed: expiry is not judged.',
    [],
    'warn',
  ),
  delta_dropped: counter(
    'What a gateway had learned on its base was worse than the base alone and was dropped.',
    ['task'],
    'warn',
  ),
  model_ready: counter('A task has a sufficient model and gives labels.', ['task'], 'info'),
  quality_tested: gauge('Verdicts whose true label came.', ['task']),
  quality_correct: gauge('Verdicts whose true label came and agreed.', ['task']),
  snapshots: counter('Snapshots written.', ['task']),
  // readings
  anomalies: counter('Readings that were more unusual than 99 in 100 of those before them.', ['task']),
  field_flags: counter(
    'Values that were wrong (invalid, unit, spike, stuck), and readings passed over for want of a field (dropped).',
    ['task', 'field', 'what'],
  ),
  field_silent: counter(
    'A declared field was missing in 200 readings in a row: it never came, or comes no more.',
    ['task', 'field'],
    'warn',
  ),
  field_heard: counter('A field that was silent comes again.', ['task', 'field'], 'info'),
  field_unit: counter(
    'Values in another unit than the declared one; they count as missing.',
    ['task', 'field'],
    'warn',
  ),
  windows_devices: gauge('Devices whose last readings are remembered.', ['task']),
  windows_bytes: gauge('Bytes that these readings take.', ['task']),
  windows_events: counter(
    'Readings too late to be remembered, or remembered already (late, duplicate); devices forgotten for want of room, or begun anew after their clock went back (evicted, restarted).',
    ['task', 'what'],
  ),
  // decisions
  decisions: counter('Verdicts by what was decided (none, unsure, tag, hold).', ['task', 'action']),
  decision_confirmed: gauge('Confirmed events that the thresholds of a decision stand on.', ['task']),
  // labelled rows, gateway to hub
  rows_told: counter('Labelled rows, corrections and withdrawals told to the hub.', ['task']),
  rows_left_out: counter('Labelled rows that can never be sent and were left out.', ['task'], 'error'),
  // drift
  drift_alarms: counter('A change of a stream was told.', ['task', 'stream'], 'warn'),
  drift_open: gauge('Changes that were told and are not over.', ['task']),
  // hub
  pool_rows: counter(
    'Labelled rows that the hub took, by result (added, duplicates, corrected, withdrawn, refused).',
    ['result'],
  ),
  fleet_refused: counter('Messages of gateways that the hub could not read.', ['what', 'code'], 'warn'),
  fleet_last_seen_seconds: gauge('Seconds since a gateway was last heard.', ['site']),
  fleet_accuracy: gauge('Accuracy in the last window of a gateway, where labels came.', ['site', 'task']),
  fleet_rate: gauge('Events a second in the last window of a gateway.', ['site', 'task']),
  rollout_stage: gauge(
    '1 for the stage in which the roll-out of a task is (none, gate, approval, due, shadow, canary, fleet, watch), else 0.',
    ['task', 'stage'],
  ),
  device_set_aside: counter(
    'The labels of a device contradict all others; they do not teach.',
    ['task'],
    'warn',
  ),
  registry_recovered: counter(
    'The newest copy of a part of the registry was damaged; the one before it was taken.',
    ['what'],
    'error',
  ),
  // process
  config_reloaded: counter('The configuration was reloaded.', [], 'info'),
  config_refused: counter('A changed configuration was refused; the old one runs on.', [], 'error'),
  backend_chosen: counter('The backend that runs the models.', ['backend'], 'info'),
  ready: gauge('1 while sources and sinks are connected and consuming.', []),
} as const satisfies Record<string, SignalRow>;

export type SignalName = keyof typeof signals;
type LabelsOf<N extends SignalName> = { readonly [K in (typeof signals)[N]['labels'][number]]: string };
/** More for the log line; never secrets, never payloads. */
export type Detail = Readonly<Record<string, string | number | boolean>>;

export interface TelemetryOptions {
  /** pino level, default `info`; `silent` for tests. */
  readonly level?: 'silent' | 'error' | 'warn' | 'info' | 'debug';
  /** Where log lines go; default standard error, so that results own standard output. */
  readonly destination?: { write(line: string): void };
}

export class Telemetry {
  readonly registry = new Registry();
  readonly #log: pino.Logger;
  readonly #metrics = new Map<SignalName, Counter | Gauge>();
  readonly #lastLogged = new Map<string, { at: number; held: number }>();

  constructor(options: TelemetryOptions = {}) {
    this.#log = pino(
      { level: options.level ?? 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime },
      (options.destination as pino.DestinationStream | undefined) ??
        pino.destination({ dest: 2, sync: true }),
    );
    for (const [name, row] of Object.entries(signals)) this.#register(name as SignalName, row);
  }

  #register(name: SignalName, row: SignalRow): void {
    const common = { help: row.help, labelNames: [...row.labels], registers: [this.registry] };
    if (row.metric === 'counter')
      this.#metrics.set(name, new Counter({ name: `sluice_${name}_total`, ...common }));
    else if (row.metric === 'gauge')
      this.#metrics.set(name, new Gauge({ name: `sluice_${name}`, ...common }));
  }

  /** Adds to a counter (and logs, where the row has a level). Call once a batch, not once an event. */
  count<N extends SignalName>(name: N, labels: LabelsOf<N>, n = 1, detail?: Detail): void {
    (this.#metrics.get(name) as Counter).inc(labels as Record<string, string>, n);
    this.#line(name, labels, detail);
  }

  /** Sets a gauge. */
  set<N extends SignalName>(name: N, labels: LabelsOf<N>, value: number): void {
    (this.#metrics.get(name) as Gauge).set(labels as Record<string, string>, value);
  }

  /** Takes a gauge back for these labels: names that come from outside must not stay for ever. */
  unset<N extends SignalName>(name: N, labels: LabelsOf<N>): void {
    (this.#metrics.get(name) as Gauge).remove(labels as Record<string, string>);
  }

  /** The sum of a counter or gauge over all label sets that match; for status lines and tests. */
  async value(name: SignalName, match: Readonly<Record<string, string>> = {}): Promise<number> {
    const { values } = await (this.#metrics.get(name) as Counter).get();
    return values
      .filter((v) => Object.entries(match).every(([key, value]) => v.labels[key] === value))
      .reduce((sum, v) => sum + v.value, 0);
  }

  /** A failure, logged with its code and what to do. Never throws. */
  error(error: SluiceError, context: Detail = {}): void {
    if (!this.#due(`error ${error.code} ${JSON.stringify(context)}`)) return;
    this.#log.error({ code: error.code, help: error.help, retry: error.retry, ...context }, error.message);
  }

  #line(name: SignalName, labels: Readonly<Record<string, string>>, detail: Detail | undefined): void {
    const { level, help } = signals[name] as SignalRow;
    if (!level) return;
    const key = `${name} ${Object.values(labels).join(' ')}`;
    const held = this.#lastLogged.get(key)?.held ?? 0;
    if (!this.#due(key)) return;
    this.#log[level]({ signal: name, ...labels, ...detail, ...(held > 0 ? { heldBack: held } : {}) }, help);
  }

  /** True at most once per LOG_EVERY_MS for a key; the table of keys is bounded. */
  #due(key: string): boolean {
    const now = performance.now();
    const last = this.#lastLogged.get(key);
    if (last && now - last.at < LOG_EVERY_MS) {
      last.held += 1;
      return false;
    }
    if (this.#lastLogged.size > 1_000) this.#lastLogged.clear();
    this.#lastLogged.set(key, { at: now, held: 0 });
    return true;
  }
}
