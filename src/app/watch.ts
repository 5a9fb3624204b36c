/**
 * Watches one task of a gateway for drift: feeds the monitor with numbers of every scored batch and every label, closes
 * it with the metrics window, and keeps its state on disk, so that a restart neither forgets an alarm nor repeats it.
 * It is never in the way of an acknowledgement: what fails here is told and left out.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Event, JournalEntry, Rows } from '../contract.ts';
import { type MonitorOptions, type MonitorWindow, TaskMonitor, watchedColumns } from '../drift/monitor.ts';
import { asSluiceError } from '../errors.ts';
import { writeWhole } from '../fleet/registry/files.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

/** One false alarm a month, where the configuration says nothing. */
const BUDGET = { alarms: 1, perMs: 2_629_746_000 };

export interface WatchContext {
  readonly task: Task;
  /** Folder of the gateway's store. */
  readonly folder: string;
  readonly budget: MonitorOptions['budget'] | undefined;
  /** Tasks that share the budget. */
  readonly tasks: number;
  readonly blockMs: number;
  readonly telemetry: Telemetry;
}

export interface Scored {
  readonly at: number;
  readonly rows: Rows;
  readonly scores: Float32Array;
  readonly predicted: Int32Array;
  readonly events: readonly Event[];
  readonly latencyMs: number;
}

export class Watch {
  readonly #context: WatchContext;
  readonly #file: string;
  #monitor: TaskMonitor;
  /** The base whose levels the monitor knows. */
  #base: string | null = null;

  constructor(context: WatchContext) {
    this.#context = context;
    this.#file = path.join(context.folder, 'monitor', `${context.task.name}.json`);
    this.#monitor = this.#open();
  }

  scored({ at, rows, scores, predicted, events, latencyMs }: Scored): void {
    const devices = events.map(({ device }) => device);
    const classes = this.#context.task.labels.length;
    this.#monitor.scored({ at, rows, scores, classes, predicted, devices, latencyMs });
  }

  /** A label that was learned, with what the model gave at verdict time. */
  labelled({ label, device, joined }: JournalEntry, at: number): void {
    const { predicted, scores } = joined;
    const confidence = predicted < 0 ? Number.NaN : scores[predicted];
    this.#monitor.labelled({ truth: label, predicted, probability: scores[label], confidence, device, at });
  }

  /** `base` names the model without what is learned on it: with another one the levels are learned anew. */
  close(at: number, base: string, model: string): ReturnType<TaskMonitor['close']> {
    if (this.#base !== null && this.#base !== base) this.#monitor.rebase(at);
    this.#base = base;
    return this.#monitor.close(at, model);
  }

  /** Never rejects. */
  async save(): Promise<void> {
    try {
      await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeWhole(this.#file, JSON.stringify({ base: this.#base, state: this.#monitor.save() }));
    } catch (thrown) {
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
    }
  }

  #open(): TaskMonitor {
    const { task, budget, tasks, blockMs, telemetry } = this.#context;
    const columns = watchedColumns(task.columns.map(({ name, derived }) => (derived ? '' : name)));
    const options = {
      ...{ task: task.name, labels: task.labels, columns, blockMs },
      ...{ budget: budget ?? BUDGET, share: 1 / Math.max(1, tasks) },
    };
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch {
      return new TaskMonitor(options); // the first start
    }
    try {
      const saved = JSON.parse(text) as { base: string | null; state: string };
      const monitor = TaskMonitor.restore(options, saved.state);
      this.#base = saved.base;
      return monitor;
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'DETECTOR_STATE'), { task: task.name });
      return new TaskMonitor(options);
    }
  }
}

export type { MonitorWindow };
