/**
 * Watches one task of a gateway without being told what for: labels (loss in all and by label, errors,
 * margin), what the model gives where no labels come (confidence, shares of verdicts, estimated accuracy), features
 * (level, spread and missing values of each dense column; number, sum and folded buckets of sparse cells), volume and
 * latency. Promises: numbers only; bounded memory and little time an event; one alarm a cause, told once and taken
 * back; all alarms of a task stay within its share of the budget; time comes with each call; what `save` gives goes on
 * with the same alarms.
 *
 * Events are gathered into blocks of `blockMs` with at least 20 events, and each stream tests its block values (see
 * monitor/tracker.ts): single events of real streams are far from independent. Expected false alarms of the streams add
 * up, so each gets an equal part of the budget; one in a million blocks is the most that any gets.
 */
import type { Alarm } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { readSaved } from './kind.ts';
import { Alarms, CONFIDENCE, FIRST_COLUMN, LOSS, type Stream } from './monitor/alarms.ts';
import { angle, Cells, Columns, LEAST_EVENTS, type Level, Mean, root } from './monitor/blocks.ts';
import { Devices } from './monitor/devices.ts';
import { Histogram } from './monitor/histogram.ts';
import { LabelLosses } from './monitor/label-losses.ts';
import { Reliability } from './monitor/reliability.ts';
import { monitorState } from './monitor/saved.ts';
import {
  labelLoss,
  MOST_COLUMNS,
  ofModel,
  streamKinds,
  streamNames,
  watchedLabels,
} from './monitor/streams.ts';
import { Tracker } from './monitor/tracker.ts';
import type { LabelledOne, MonitorOptions, MonitorWindow, ScoredBatch } from './monitor/types.ts';

export { watchedColumns } from './monitor/streams.ts';
export type * from './monitor/types.ts';

/** Losses of more than this count as this: one certain mistake is no drift. */
const MOST_LOSS = 7;
/** No stream tells an alarm from less evidence than once in so many blocks. */
const LEAST_ARL = 1e6;
/** After a gap of so many blocks (a suspended machine, a restart) the rate of events says nothing. */
const GAP = 50;
/** Least part by which volume and latency have to change, however steady they were: 5 % of the root, 20 %. */
const VOLUME_ERROR = 0.05;
const LATENCY_ERROR = 0.2;
/** Columns of which each device has an account. */
const MOST_ACCOUNTS = 64;

export class TaskMonitor {
  readonly #options: MonitorOptions;
  readonly #columns: readonly string[];
  readonly #accounts: number;
  readonly #streams: readonly Stream[];
  readonly #alarms: Alarms;
  readonly #devices: Devices;
  readonly #reliability = new Reliability();
  readonly #dense: Columns;
  readonly #cells = new Cells();
  readonly #means = { loss: new Mean(), margin: new Mean(), confidence: new Mean(), latency: new Mean() };
  readonly #verdicts: Histogram;
  readonly #losses: LabelLosses;
  #wrong = 0;
  #events = 0;
  #volume = 0;
  /** Begin of the open blocks of events, labels and volume, ms; -1: none. */
  #from = { events: -1, labels: -1, volume: -1 };

  /** Throws CONFIG_INVALID where a number makes no sense. */
  constructor(options: MonitorOptions) {
    const { budget, blockMs, columns, labels } = options;
    const numbers = [budget.alarms, budget.perMs, options.share, blockMs];
    if (!numbers.every((value) => value > 0 && value < Infinity) || labels.length < 1)
      throw new SluiceError(
        'CONFIG_INVALID',
        'a monitor needs labels, a budget, its share and a block length above 0',
      );
    this.#options = options;
    const watched = columns.flatMap((name, at) => (name === '' ? [] : [{ name, at }])).slice(0, MOST_COLUMNS);
    this.#columns = watched.map(({ name }) => name);
    this.#accounts = Math.min(MOST_ACCOUNTS, watched.length);
    this.#dense = new Columns(watched.map(({ at }) => at));
    this.#verdicts = new Histogram(labels.length);
    this.#devices = new Devices(FIRST_COLUMN + 2 * this.#accounts);
    const ofLabels = watchedLabels(labels);
    this.#losses = new LabelLosses(ofLabels.map(labelLoss), blockMs);
    const names = streamNames(this.#columns, ofLabels);
    const arl = (budget.perMs * names.length) / (budget.alarms * options.share * blockMs);
    this.#streams = names.map((one) => ({
      ...one,
      tracker: new Tracker(streamKinds[one.kind].side, Math.max(LEAST_ARL, arl)),
      announced: false,
      seen: false,
    }));
    this.#alarms = new Alarms({
      task: options.task,
      blockMs,
      columns: this.#columns,
      streams: this.#streams,
      devices: this.#devices,
      accounts: this.#accounts,
    });
  }

  /** Takes a scored batch; blocks that are due end before it. Keeps nothing of what it is given. */
  scored({ at, rows, scores, classes, predicted, devices, latencyMs }: ScoredBatch): void {
    this.#endBlocks(at);
    if (this.#from.volume < 0) this.#from.volume = at;
    if (this.#from.events < 0) this.#from.events = at;
    const { confidence, latency } = this.#means;
    for (let i = 0; i < rows.count; i++) {
      const slot = this.#devices.slot(devices[i]);
      this.#devices.event(slot);
      const label = predicted[i];
      const given = label >= 0 && label < classes ? scores[i * classes + label] : NaN;
      if (given >= 0) {
        confidence.add(given);
        this.#verdicts.add(label);
        this.#reliability.scored(given);
        this.#devices.add(slot, CONFIDENCE, given);
      }
      this.#dense.add(rows.dense, i * rows.denseDims, this.#devices, slot, FIRST_COLUMN, this.#accounts);
    }
    if (rows.indptr[rows.count] > rows.indptr[0]) this.#cells.add(rows);
    if (latencyMs >= 0) latency.add(Math.log(Math.max(0.01, latencyMs)), rows.count);
    this.#events += rows.count;
    this.#volume += rows.count;
  }

  /** Takes the label of an event with what was given to it at verdict time. */
  labelled({ truth, predicted, probability, confidence, device, at }: LabelledOne): void {
    if (predicted < 0 || !(probability >= 0)) return;
    this.#endBlocks(at);
    if (this.#from.labels < 0) this.#from.labels = at;
    const loss = Math.min(MOST_LOSS, -Math.log(Math.max(1e-15, probability)));
    this.#means.loss.add(loss);
    this.#losses.add(truth, loss, at);
    this.#means.margin.add(2 * probability - 1);
    if (truth !== predicted) this.#wrong += 1;
    if (confidence >= 0) this.#reliability.labelled(confidence, truth === predicted);
    this.#devices.add(this.#devices.slot(device), LOSS, loss);
  }

  /** Ends blocks that are due; gives what has changed since the last call, the most telling first, and a window. */
  close(at: number, model: string): { readonly alarms: Alarm[]; readonly window: MonitorWindow } {
    this.#endBlocks(at);
    const alarms = this.#alarms.tell(model);
    const streams: Record<string, MonitorWindow['streams'][string]> = {};
    for (const { name, kind, tracker, seen } of this.#streams) {
      if (!seen) continue;
      const { unit } = streamKinds[kind];
      streams[name] = {
        level: unit(tracker.last),
        reference: unit(tracker.level),
        distance: tracker.distance,
        alarm: tracker.alarmed,
      };
    }
    return { alarms, window: { estimatedAccuracy: this.#reliability.close(), streams } };
  }

  /** Another model runs: streams of labels and verdicts learn anew what level is usual, the others stay. */
  rebase(at: number): void {
    for (const stream of this.#streams) {
      if (!ofModel(stream.kind)) continue;
      // Which label a model does better with and which worse is its own affair, where it is better on the whole.
      const change = stream.tracker.relearn(stream.kind !== 'verdicts', stream.kind !== 'labelLoss');
      if (change) this.#alarms.changed(stream.name, change, at);
    }
    this.#verdicts.relearn();
    this.#reliability.clear();
    this.#devices.forget(LOSS);
    this.#devices.forget(CONFIDENCE);
    this.#clearLabels();
    this.#losses.clear();
    this.#means.confidence.clear();
  }

  save(): string {
    const means = Object.entries(this.#means).map(([name, mean]) => [name, mean.save()]);
    return JSON.stringify({
      format: 3,
      labels: this.#options.labels.length,
      streams: this.#streams.map(({ name, announced, seen, tracker }) => ({
        name,
        announced,
        seen,
        ...tracker.save(),
      })),
      devices: this.#devices.save(),
      reliability: this.#reliability.save(),
      dense: this.#dense.save(),
      cells: this.#cells.save(),
      means: Object.fromEntries(means),
      losses: this.#losses.save(),
      verdicts: this.#verdicts.save(),
      wrong: this.#wrong,
      events: this.#events,
      volume: this.#volume,
      from: this.#from,
      waiting: this.#alarms.waiting,
      cause: this.#alarms.cause,
    });
  }

  /** From what `save` gave for the same labels and columns. Throws DETECTOR_STATE. */
  static restore(options: MonitorOptions, text: string): TaskMonitor {
    const monitor = new TaskMonitor(options);
    const state = readSaved(`drift detection of ${options.task}`, monitorState, text);
    const names = (of: readonly { readonly name: string }[]) => JSON.stringify(of.map(({ name }) => name));
    if (names(state.streams) !== names(monitor.#streams) || state.labels !== options.labels.length)
      throw new SluiceError(
        'DETECTOR_STATE',
        `${options.task} had other labels or columns when its state was saved`,
      );
    state.streams.forEach(({ name: _, announced, seen, ...tracker }, i) => {
      Object.assign(monitor.#streams[i], { announced, seen });
      monitor.#streams[i].tracker.restore(tracker);
    });
    monitor.#devices.restore(state.devices);
    monitor.#reliability.restore(state.reliability);
    monitor.#dense.restore(state.dense);
    monitor.#cells.restore(state.cells);
    for (const [name, mean] of Object.entries(monitor.#means))
      mean.restore(state.means[name as keyof typeof state.means]);
    monitor.#losses.restore(state.losses);
    monitor.#verdicts.restore(state.verdicts);
    monitor.#wrong = state.wrong;
    monitor.#events = state.events;
    monitor.#volume = state.volume;
    monitor.#from = state.from;
    monitor.#alarms.waiting = state.waiting.filter(({ stream }) => monitor.#alarms.stream(stream));
    monitor.#alarms.cause = state.cause;
    return monitor;
  }

  #endBlocks(at: number): void {
    const { blockMs } = this.#options;
    const from = this.#from;
    const due = (begin: number) => begin >= 0 && at - begin >= blockMs;
    // A clock that was set back: the open blocks begin again.
    for (const part of ['events', 'labels', 'volume'] as const) if (from[part] > at) from[part] = at;
    if (due(from.volume)) this.#endVolume(at);
    if (due(from.events) && this.#events >= LEAST_EVENTS) this.#endEvents(at);
    if (due(from.labels) && this.#means.loss.n >= LEAST_EVENTS) this.#endLabels(at);
    for (const { stream, level, begin } of this.#losses.due(at)) this.#add(stream, level, begin, at);
  }

  #endVolume(at: number): void {
    const elapsed = at - this.#from.volume;
    const scale = this.#options.blockMs / elapsed;
    if (elapsed <= GAP * this.#options.blockMs) {
      const value = 2 * Math.sqrt(this.#volume * scale + 3 / 8);
      this.#add(
        'volume',
        { value, error: Math.max(Math.sqrt(scale), VOLUME_ERROR * value) },
        this.#from.volume,
        at,
      );
      this.#devices.close();
    }
    this.#volume = 0;
    this.#from.volume = at;
  }

  #endEvents(at: number): void {
    const from = this.#from.events;
    const { confidence, latency } = this.#means;
    if (confidence.n >= LEAST_EVENTS) {
      this.#add('score', confidence.level(), from, at);
      confidence.clear();
      this.#addDistance('verdicts', this.#verdicts, from, at);
    }
    const late = latency.level();
    this.#add('latency', late && { value: late.value, error: Math.max(late.error, LATENCY_ERROR) }, from, at);
    latency.clear();
    this.#columns.forEach((column, c) => {
      const levels = this.#dense.levels(c);
      this.#add(`missing:${column}`, levels?.missing ?? null, from, at);
      this.#add(`feature:${column}`, levels?.level ?? null, from, at);
      this.#add(`spread:${column}`, levels?.spread ?? null, from, at);
    });
    this.#dense.clear();
    if (this.#cells.rows.n >= LEAST_EVENTS) {
      this.#add('cells', this.#cells.rows.level(), from, at);
      this.#add('values', this.#cells.values.level(), from, at);
      this.#addDistance('sketch', this.#cells.sketch, from, at);
      this.#cells.clear();
    }
    this.#events = 0;
    this.#from.events = at;
  }

  #endLabels(at: number): void {
    const from = this.#from.labels;
    const [loss, margin] = [this.#means.loss.level(), this.#means.margin.level()];
    const lacking = margin && root({ value: 1 - margin.value, error: margin.error });
    this.#add('logLoss', loss && root(loss), from, at);
    this.#add('margin', lacking && { value: -lacking.value, error: lacking.error }, from, at);
    this.#add('errors', angle(this.#wrong, this.#means.loss.n), from, at);
    this.#clearLabels();
    this.#from.labels = at;
  }

  #clearLabels(): void {
    this.#means.loss.clear();
    this.#means.margin.clear();
    this.#wrong = 0;
  }

  #addDistance(name: string, histogram: Histogram, from: number, at: number): void {
    const block = histogram.close(!this.#alarms.stream(name)?.tracker.alarmed);
    this.#add(name, block, from, at);
  }

  #add(name: string, level: Level | null, from: number, to: number): void {
    const stream = this.#alarms.stream(name);
    if (!level || !stream) return;
    stream.seen = true;
    const change = stream.tracker.add(level.value, level.error, from);
    if (!change) return;
    this.#alarms.changed(name, change, to);
    if (change.state === 'drift' || (stream.kind !== 'verdicts' && stream.kind !== 'sketch')) return;
    // Distances from another distribution: both are learned anew.
    (stream.kind === 'verdicts' ? this.#verdicts : this.#cells.sketch).relearn();
    stream.tracker.relearn();
  }
}
