/**
 * What a person at the dashboard asks of a running gateway: find an event, why it was judged so, give its label, look
 * at dead letters and send them again. Nothing here is in the way of the flow; each answer says in words what was done.
 */
import type { DeadLetter, Model, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import { type FoundAmong, findAmong, type IncidentQuery } from '../fleet/incident.ts';
import { explainRow } from '../task/explanation.ts';
import type { Task } from '../task/task.ts';
import type { Unit } from './unit.ts';

export interface Answer {
  readonly ok: boolean;
  readonly text: string;
}

/** A label that a person gives: to an event, or to a device and a span of time (ms). */
export type DeskFeedback =
  | { readonly task: string; readonly event: string; readonly label: string | null }
  | {
      readonly task: string;
      readonly device: string;
      readonly from: number;
      readonly to: number;
      readonly label: string | null;
    };

const ORIGIN = 'dashboard';
const REASONS = 3;
/** Weaker contributions (log-odds) are no reason. */
const LEAST = 0.05;
/** An explanation at a glance: cells looked at are fewer than `sluice explain` takes. */
const BUDGET = 2_000_000;

export class Desk {
  readonly #store: Store;
  readonly #units: ReadonlyMap<string, Unit>;
  readonly #now: () => number;

  constructor(store: Store, units: ReadonlyMap<string, Unit>, now: () => number) {
    this.#store = store;
    this.#units = units;
    this.#now = now;
  }

  /** In one task, or ('') in all of them. */
  find(task: string, query: IncidentQuery): FoundAmong<Task> {
    const units = [...this.#units.values()].filter((unit) => task === '' || unit.task.name === task);
    return findAmong(
      this.#store,
      units.map((unit) => unit.task),
      query,
      this.#now(),
    );
  }

  /** The features that spoke most for the verdict of an event, by the model that runs now; null where it is not known. */
  async reasons(task: string, event: string): Promise<readonly { name: string; private: boolean }[] | null> {
    const unit = this.#units.get(task);
    const row = unit && this.#store.join.find(task, event);
    if (!unit || !row || row.features !== unit.task.features || row.predicted < 0) return null;
    const model: Pick<Model, 'score'> = { score: (rows) => unit.learner.score(rows).probabilities };
    const { contributions, together } = await explainRow(unit.task, model, row.rows, row.predicted, {
      budget: BUDGET,
    });
    const dense = contributions.filter(({ part, logOdds }) => part === 'dense' && logOdds > LEAST);
    const named = dense.length > 0 ? dense.map(({ feature }) => feature) : together.map(({ name }) => name);
    // Declared fields and kinds of features name nobody; hashed words never leave as words.
    return named.slice(0, REASONS).map((name) => ({ name, private: false }));
  }

  async feedback(request: DeskFeedback): Promise<Answer> {
    const unit = this.#units.get(request.task);
    if (!unit) return no(`there is no task ${request.task} at this gateway`);
    const { label } = request;
    if (label !== null && !unit.task.labels.includes(label))
      return no(`${label} is not a label of ${request.task}`);
    const target =
      'event' in request
        ? ({ kind: 'name', name: request.event } as const)
        : ({ kind: 'span', device: request.device, from: request.from, to: request.to } as const);
    try {
      await unit.labels.give([{ target, label, origin: ORIGIN, weight: 1, at: this.#now() }]);
    } catch (thrown) {
      return no(asSluiceError(thrown).message);
    }
    return yes(label === null ? 'the label is taken back' : `learned as ${label}`);
  }

  /** Newest first. */
  dead(limit: number): (DeadLetter & { readonly replaying: boolean })[] {
    const marked = new Set(this.#store.dead.replays(1_000).map(({ id }) => id));
    return this.#store.dead
      .list({ limit })
      .map((letter) => ({ ...letter, replaying: marked.has(letter.id) }));
  }

  async replay(ids: readonly string[]): Promise<Answer> {
    const n = await this.#store.dead.markReplay(ids);
    return n > 0 ? yes(`${n} go through the flow again`) : no('they are not there any more');
  }

  async drop(ids: readonly string[]): Promise<Answer> {
    const n = await this.#store.dead.drop(ids);
    return n > 0 ? yes(`${n} dropped`) : no('they are not there any more');
  }
}

const yes = (text: string): Answer => ({ ok: true, text });
const no = (text: string): Answer => ({ ok: false, text });
