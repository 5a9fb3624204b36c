/**
 * Anomaly scores of a task's readings, kept on disk so that a restart does not begin at nothing. A score is never in the
 * way of a verdict: what fails here is told and left out.
 */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { asSluiceError } from '../errors.ts';
import { writeWhole } from '../fleet/registry/files.ts';
import { AnomalyScorer } from '../task/anomaly/scorer.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

export interface AnomaliesContext {
  readonly task: Task;
  /** Folder of the gateway's store. */
  readonly folder: string;
  readonly telemetry: Telemetry;
}

export class Anomalies {
  readonly scorer: AnomalyScorer;
  readonly #context: AnomaliesContext;
  readonly #file: string;

  constructor(context: AnomaliesContext) {
    const { task, folder, telemetry } = context;
    this.#context = context;
    this.#file = path.join(folder, 'anomaly', `${task.name}.bin`);
    this.scorer = new AnomalyScorer(task.features, task.columns);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.#file);
    } catch {
      return; // the first start
    }
    try {
      this.scorer.restore(bytes);
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'DETECTOR_STATE'), { task: task.name });
    }
  }

  /** Never rejects. */
  async save(): Promise<void> {
    try {
      await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeWhole(this.#file, this.scorer.save());
    } catch (thrown) {
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
    }
  }
}
