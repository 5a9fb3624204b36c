/**
 * Metrics windows: per task and interval the counts by label, rate, latency percentiles and prequential
 * quality go to the `metrics` topics; the same numbers stand in `/metrics` and in the status. The totals
 * beside the window are since this process began, quality since the model began.
 */
import type { Alarm, Clock } from '../contract.ts';
import { driftPayload } from '../envelope/fleet.ts';
import type { Envelope } from '../envelope.ts';
import { isoTime } from '../envelope.ts';
import { LatencyHistogram } from '../latency.ts';
import type { QualityWindow } from '../task/metrics.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Lane } from './lane.ts';
import type { Publisher } from './publisher.ts';

/** What a window needs to know of the learning side. */
export interface LearnerView {
  readonly labels: number;
  readonly sufficient: boolean;
  readonly quality: QualityWindow;
  readonly bytes: number;
  /** What the running model begins from, and with the labels learned on it. */
  readonly base: { readonly name: string; readonly version: number };
  readonly name: string;
}

/** What watches for drift: closed with each window. */
export interface DriftWatch {
  close(
    at: number,
    base: string,
    model: string,
  ): {
    readonly alarms: readonly Alarm[];
    readonly window: {
      readonly estimatedAccuracy: number | null;
      readonly streams: Readonly<Record<string, object>>;
    };
  };
}

/** A closed window as the `metrics` topic has it, for whoever shows it. */
export type MetricsWindow = ReturnType<typeof windowOf>;

export interface WindowEvents {
  readonly onWindow?: (task: string, window: MetricsWindow) => void;
  readonly onAlarm?: (alarm: Alarm) => void;
}

export interface WindowOutput {
  readonly publisher: Publisher;
  readonly topic: string;
  readonly envelope: Envelope;
}

interface Watched {
  readonly task: Task;
  readonly lane: Lane;
  readonly learner: LearnerView;
  readonly outputs: readonly WindowOutput[];
  readonly watch?: DriftWatch;
  /** Where alarms go. */
  readonly alarms?: readonly WindowOutput[];
  readonly total: Totals;
  /** The last closed window, for the status. */
  last: { rate: number; latencyMs: { p50: number; p95: number; p99: number } };
  /** Streams whose change was told and is not over. */
  readonly open: Set<string>;
}

/** Since the process began, quality since the model began. */
export interface TaskStatus {
  readonly state: 'live' | 'learning';
  readonly events: number;
  readonly verdicts: number;
  readonly byLabel: Readonly<Record<string, number>>;
  readonly learning: number;
  readonly dead: number;
  /** Labels in the running model. */
  readonly learned: number;
  readonly tested: number;
  readonly accuracy: number | null;
  /** Events a second in the last window. */
  readonly rate: number;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number };
  readonly modelBytes: number;
}

interface Totals {
  events: number;
  dead: number;
  learning: number;
  byLabel: number[];
  readonly latency: LatencyHistogram;
}

export class Windows {
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #watched = new Map<string, Watched>();
  readonly #underWay = new Set<WindowOutput>();
  readonly #events: WindowEvents;
  #from: number;

  constructor(clock: Clock, telemetry: Telemetry, events: WindowEvents = {}) {
    this.#clock = clock;
    this.#telemetry = telemetry;
    this.#events = events;
    this.#from = clock.now();
  }

  add(watched: Omit<Watched, 'total' | 'last' | 'open'>): void {
    const byLabel = watched.task.labels.map(() => 0);
    const total = { events: 0, dead: 0, learning: 0, byLabel, latency: new LatencyHistogram() };
    this.#watched.set(watched.task.name, {
      ...watched,
      total,
      last: { rate: 0, latencyMs: { p50: 0, p95: 0, p99: 0 } },
      open: new Set(),
    });
    this.#telemetry.set('drift_open', { task: watched.task.name }, 0);
  }

  /** Closes the window of every task and publishes it. Not waited for: metrics never hold up an event. */
  publish(): void {
    const to = this.#clock.now();
    for (const watched of this.#watched.values()) {
      const window = this.#close(watched, to);
      for (const output of watched.outputs) this.#send(output, output.envelope.metrics(window, to));
      this.#events.onWindow?.(watched.task.name, window);
    }
    this.#from = to;
  }

  /** A window is left out while the one before still waits for a sink that stands still: nothing may pile up. */
  #send(output: WindowOutput, payload: string): void {
    if (this.#underWay.has(output)) return;
    this.#underWay.add(output);
    output.publisher
      .submit([{ topic: output.topic, key: null, payload }])
      .catch(() => undefined) // the publisher has told why; totals are in the next window
      .finally(() => this.#underWay.delete(output));
  }

  /** What is known of one task now, for `/api/status`, the status line and the summary. */
  status(task: string): TaskStatus | null {
    const watched = this.#watched.get(task);
    if (!watched) return null;
    const { total, last, lane, learner } = watched;
    const { labels } = watched.task;
    const labelled = total.byLabel.map((n, c) => n + lane.stats.byLabel[c]);
    const learning = total.learning + lane.stats.learning;
    return {
      state: learner.sufficient ? 'live' : 'learning',
      events: total.events + lane.stats.events,
      verdicts: labelled.reduce((a, b) => a + b, learning),
      byLabel: named(labels, labelled),
      learning,
      dead: total.dead + lane.stats.dead,
      learned: learner.labels,
      tested: learner.quality.total.tested,
      accuracy: learner.quality.total.report().accuracy,
      rate: last.rate,
      latencyMs: last.latencyMs,
      modelBytes: learner.bytes,
    };
  }

  /** Latency of every event so far. */
  latency(task: string): LatencyHistogram {
    const merged = new LatencyHistogram();
    const watched = this.#watched.get(task);
    if (watched) {
      merged.merge(watched.total.latency);
      merged.merge(watched.lane.stats.latency);
    }
    return merged;
  }

  #close(watched: Watched, to: number): MetricsWindow {
    const { lane, learner, total, watch } = watched;
    const { stats } = lane;
    const drift = watch?.close(to, learner.base.name, learner.name);
    const window = windowOf(watched, this.#from, to, drift?.window);
    watched.last = { rate: window.rate, latencyMs: window.latencyMs };
    this.#tell(watched);
    for (const alarm of drift?.alarms ?? []) this.#alarm(watched, alarm);
    total.events += stats.events;
    total.dead += stats.dead;
    total.learning += stats.learning;
    total.byLabel.forEach((n, c) => {
      total.byLabel[c] = n + stats.byLabel[c];
    });
    total.latency.merge(stats.latency);
    stats.reset();
    return window;
  }

  /** An alarm waits for its sink, unlike a window: there are few, and somebody acts on each. */
  #alarm({ task, alarms, open }: Watched, alarm: Alarm): void {
    const { stream, state, before, now } = alarm;
    if (state === 'drift') open.add(stream);
    else open.delete(stream);
    this.#telemetry.set('drift_open', { task: task.name }, open.size);
    if (state === 'drift')
      this.#telemetry.count('drift_alarms', { task: task.name, stream }, 1, {
        since: isoTime(alarm.since),
        before,
        now,
      });
    for (const output of alarms ?? [])
      output.publisher
        .submit([{ topic: output.topic, key: null, payload: driftPayload(output.envelope, alarm) }])
        .catch(() => undefined); // the publisher has told why
    this.#events.onAlarm?.(alarm);
  }

  #tell({ task, lane: { stats }, last, learner }: Watched): void {
    const { name, labels } = task;
    labels.forEach((label, c) => {
      this.#telemetry.count('verdicts', { task: name, label }, stats.byLabel[c]);
    });
    this.#telemetry.count('verdicts', { task: name, label: 'learning' }, stats.learning);
    this.#telemetry.count('anomalies', { task: name }, stats.anomalies);
    for (const [quantile, value] of Object.entries(last.latencyMs)) {
      this.#telemetry.set('latency_ms', { task: name, quantile }, value);
    }
    this.#telemetry.set('quality_tested', { task: name }, learner.quality.total.tested);
    this.#telemetry.set('quality_correct', { task: name }, learner.quality.total.correct);
  }
}

function windowOf(
  { task, lane: { stats }, learner }: Watched,
  from: number,
  to: number,
  drift: ReturnType<DriftWatch['close']>['window'] | undefined,
) {
  const seconds = Math.max(1e-3, (to - from) / 1000);
  return {
    from: isoTime(from),
    to: isoTime(to),
    events: stats.events,
    verdicts: named(task.labels, stats.byLabel),
    learning: stats.learning,
    dead: stats.dead,
    rate: Math.round((stats.events / seconds) * 10) / 10,
    latencyMs: stats.latency.summary(),
    model: {
      base: learner.base.name,
      version: learner.base.version,
      labels: learner.labels,
      sufficient: learner.sufficient,
    },
    quality: { window: learner.quality.close(), total: learner.quality.total.report() },
    estimatedAccuracy: drift?.estimatedAccuracy ?? null,
    streams: drift?.streams ?? {},
  };
}

const named = (labels: readonly string[], counts: readonly number[]): Record<string, number> =>
  Object.fromEntries(labels.map((label, c) => [label, counts[c]]));
