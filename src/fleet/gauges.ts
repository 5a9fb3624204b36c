/**
 * What metrics say of the running model of a task: how much it has learned and holds; and, once each time, that it
 * became sufficient, or stopped teaching itself.
 */
import type { Telemetry } from '../telemetry.ts';
import type { Learner } from './learner.ts';

export class Gauges {
  readonly #task: string;
  readonly #telemetry: Telemetry;
  #ready = false;
  #paused = false;

  constructor(task: { readonly name: string }, telemetry: Telemetry) {
    this.#task = task.name;
    this.#telemetry = telemetry;
  }

  tell({ labels, bytes, sufficient, selfTraining }: Learner): void {
    const task = { task: this.#task };
    this.#telemetry.set('model_labels', task, labels);
    this.#telemetry.set('model_bytes', task, bytes);
    if (sufficient && !this.#ready) this.#telemetry.count('model_ready', task, 1, { labels });
    this.#ready = sufficient;
    if (!selfTraining) return;
    const { asked, paused } = selfTraining;
    if (paused && !this.#paused) this.#telemetry.count('self_training_paused', task, 1, { asked });
    this.#paused = paused;
  }
}
