/**
 * Raw mails to verdicts on one core: decoder, features, batch and native model, as a gateway's task runs them, each batch to its
 * end before the next begins (a gateway scores one while it prepares the next). Promises: tells what each step took.
 */
import type { Event, Model } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { setAside } from '../../src/task/preparation.ts';
import type { Task } from '../../src/task/task.ts';
import type { Measure } from '../case.ts';
import { type LabelledMail, mailTask, message } from '../inputs.ts';

/** Mails a batch, the `batch.size` of a gateway of which nothing is said. */
const BATCH = 256;
const STEPS = ['decode', 'features', 'score', 'learn'] as const;
type Step = (typeof STEPS)[number];

/** `full` is what a gateway runs without being told anything; `fast` has one model, of the kind `linear`. */
export type SpeedPreset = 'full' | 'fast';

/** A model that is fed with mails again and again. */
export class Speed {
  readonly #task: Task;
  readonly #model: Model;
  readonly #arena: RowArena;
  readonly #spent: Record<Step, number> = { decode: 0, features: 0, score: 0, learn: 0 };

  constructor(preset: SpeedPreset) {
    this.#task = mailTask(preset);
    this.#model = this.#task.newModel(openEngine({ backend: 'cpu', threads: 1 }));
    this.#arena = new RowArena(this.#task.shape.dims, this.#task.shape.denseDims);
  }

  /**
   * Scores all mails, with `learns` each batch learned after it was scored. Microseconds a mail and the model's MiB beside the
   * time.
   */
  async run(mails: readonly LabelledMail[], learns: boolean): Promise<Measure> {
    for (const step of STEPS) this.#spent[step] = 0;
    const cpu = process.cpuUsage();
    const started = performance.now();
    for (let from = 0; from < mails.length; from += BATCH)
      await this.#batch(mails.slice(from, from + BATCH), from, learns);
    const seconds = (performance.now() - started) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    const spent = STEPS.filter((step) => learns || step !== 'learn').map((step) => [
      `${step} us`,
      (this.#spent[step] * 1_000) / mails.length,
    ]);
    const more = { ...Object.fromEntries(spent), 'model MiB': this.#model.bytes / 2 ** 20 };
    return { n: mails.length, seconds, cpuSeconds: (user + system) / 1e6, more };
  }

  close(): void {
    this.#model.close();
  }

  async #batch(mails: readonly LabelledMail[], first: number, learns: boolean): Promise<void> {
    const task = this.#task;
    const arena = this.#arena;
    let at = performance.now();
    const done = (step: Step): void => {
      const now = performance.now();
      this.#spent[step] += now - at;
      at = now;
    };
    arena.reset();
    // Kept to the batch's end, in the way a gateway does: what they hold must live through collections of garbage.
    const events: Event[] = [];
    for (const [i, { raw }] of mails.entries()) {
      const mail = message(raw, first + i, 'mail/in');
      const decoded = task.decode(mail);
      done('decode');
      for (const event of decoded) {
        task.fill(event, arena);
        events.push(setAside(event, mail, task));
      }
      done('features');
    }
    const scores = await this.#model.score(arena.view());
    if (scores.length !== 2 * events.length) throw new Error('a mail has no verdict');
    done('score');
    if (!learns) return;
    await this.#model.learn(
      arena.view(),
      Int32Array.from(mails, ({ label }) => task.labels.indexOf(label)),
    );
    done('learn');
  }
}
