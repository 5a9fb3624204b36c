/**
 * What a person at the dashboard asks of a running gateway: find an event, why it was judged so, give its label, look
 * at dead letters and send them again. Nothing here is in the way of the flow; each answer says in words what was done.
 */
import { createHash } from 'node:crypto';
import type { DeadLetter, Event, Model, Store } from '../contract.ts';
import { decoders } from '../decode/index.ts';
import { decodeFeedback, type Feedback } from '../envelope.ts';
import { asSluiceError } from '../errors.ts';
import { type FoundAmong, findAmong, type IncidentQuery } from '../fleet/incident.ts';
import { bucketNames, explainRow } from '../task/explanation.ts';
import type { Task } from '../task/task.ts';
import type { LabelRequest } from '../web/feedback.ts';
import type { ActionReply, FeedbackRequest } from '../web/view.ts';
import type { Unit } from './unit.ts';

const ORIGIN = 'dashboard';
const mime = decoders.mime.open(decoders.mime.options.parse({}));
const REASONS = 3;
/** Weaker contributions (log-odds) are no reason. */
const LEAST = 0.05;
/** An explanation at a glance: cells looked at are fewer than `sluice explain` takes. */
const BUDGET = 2_000_000;
const CONTRIBUTIONS = 200;
/** Mails whose features have names: a few thousand short texts each. */
const REMEMBERED = 24;
/** The parts of a mail, as `bucketNames` begins and as people say it. */
const PARTS: Readonly<Record<string, string>> = {
  header: 'header',
  body: 'words',
  links: 'links',
  structure: 'layout',
  raw: 'letter patterns',
  headerForm: 'header style',
  textForm: 'writing style',
};
/** Words next to each other, not the fragments of `raw`, words with gaps or what stands for a number. */
const QUOTE = /^body: (?=(?!number )[^_]*\p{L}{4}[^_]*$)/u;

export class Desk {
  readonly #store: Store;
  readonly #units: ReadonlyMap<string, Unit>;
  readonly #now: () => number;
  /** By task and event. */
  readonly #names = new Map<string, ReadonlyMap<number, string>>();

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
    const names = this.#names.get(`${task}\n${event}`);
    const options = { budget: BUDGET, limit: CONTRIBUTIONS, ...(names ? { names } : {}) };
    const { contributions, together } = await explainRow(unit.task, model, row.rows, row.predicted, options);
    const towards = contributions.filter(({ logOdds }) => logOdds > LEAST);
    const fields = towards.filter(({ part }) => part === 'dense').map(({ feature }) => feature);
    // Declared fields and parts of a mail name nobody; what quotes a mail is private.
    if (fields.length > 0) return fields.slice(0, REASONS).map((name) => ({ name, private: false }));
    const parts = together.filter(({ name, logOdds }) => name in PARTS && logOdds > LEAST);
    const quote = towards.find(({ feature }) => QUOTE.test(feature))?.feature.replace(QUOTE, '');
    return [
      ...parts.slice(0, REASONS - 1).map(({ name }) => ({ name: PARTS[name], private: false })),
      ...(quote === undefined ? [] : [{ name: `“${quote}”`, private: true }]),
    ];
  }

  /** Names the features of a mail while it is at hand: the store keeps their numbers only. Of the newest few. */
  remember(task: string, event: Event): void {
    const unit = this.#units.get(task);
    if (!unit || event.body.kind !== 'mail') return;
    this.#names.set(`${task}\n${event.id}`, bucketNames(unit.task, event));
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= REMEMBERED) return;
      this.#names.delete(oldest);
    }
  }

  async feedback(request: FeedbackRequest): Promise<ActionReply> {
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

  /** The event by the first of its names that is known here; else the label waits under the last, which lasts longest. */
  async label(request: LabelRequest): Promise<ActionReply> {
    const only = this.#units.size === 1 ? [...this.#units.keys()][0] : '';
    const task = request.task === '' ? only : request.task;
    if (task === '') return no(`name one of the tasks: ${[...this.#units.keys()].join(', ')}`);
    const unit = this.#units.get(task);
    if (!unit) return no(`there is no task ${task} at this gateway`);
    const { label, origin } = request;
    if (label !== null && !unit.task.labels.includes(label)) return no(`${label} is not a label of ${task}`);
    const names = namesOf(request);
    const found = names.find((name) => this.#store.join.find(task, name) !== null);
    const target = { kind: 'name', name: found ?? names[names.length - 1] } as const;
    try {
      await unit.labels.give([{ target, label, origin, weight: 1, at: this.#now() }]);
    } catch (thrown) {
      const error = asSluiceError(thrown);
      return { ...no(error.message), retry: error.retry };
    }
    if (label === null && found) return yes('the label is taken back');
    if (label === null) return { ...yes('the event is not here; taking back waits for it'), waiting: true };
    return found ? yes(`learned as ${label}`) : { ...yes(`${label} waits for its event`), waiting: true };
  }

  /** Feedback as a broker brings it, all of it or nothing. */
  async take(task: string, payload: Uint8Array): Promise<ActionReply> {
    const unit = this.#units.get(task);
    if (!unit) return no(`there is no task ${task} at this gateway`);
    let feedback: Feedback[];
    try {
      feedback = decodeFeedback(payload, this.#now(), sha256);
      const wrong = feedback.find(({ label }) => label !== null && !unit.task.labels.includes(label));
      if (wrong) return no(`${wrong.label} is not a label of ${task}`);
      const waiting = feedback.filter(({ target }) => !this.#isHere(task, target)).length;
      await unit.labels.give(feedback);
      const text = `${feedback.length} taken, ${waiting} of them for events that are not here`;
      return { ...yes(text), ...(waiting > 0 ? { waiting: true } : {}) };
    } catch (thrown) {
      const error = asSluiceError(thrown);
      return { ...no(error.message), retry: error.retry };
    }
  }

  /** A span takes what it finds, and waits for nothing. */
  #isHere(task: string, target: Feedback['target']): boolean {
    return target.kind === 'span' || this.#store.join.find(task, target.name) !== null;
  }

  /** Newest first. */
  dead(limit: number): (DeadLetter & { readonly replaying: boolean })[] {
    const marked = new Set(this.#store.dead.replays(1_000).map(({ id }) => id));
    return this.#store.dead
      .list({ limit })
      .map((letter) => ({ ...letter, replaying: marked.has(letter.id) }));
  }

  async replay(ids: readonly string[]): Promise<ActionReply> {
    const n = await this.#store.dead.markReplay(ids);
    return n > 0 ? yes(`${n} go through the flow again`) : no('they are not there any more');
  }

  async drop(ids: readonly string[]): Promise<ActionReply> {
    const n = await this.#store.dead.drop(ids);
    return n > 0 ? yes(`${n} dropped`) : no('they are not there any more');
  }
}

/** Never empty. What the sender says comes before what the message says. */
function namesOf({ event, messageId, raw }: LabelRequest): string[] {
  const said = messageId === undefined ? [] : [`mid:${messageId.replace(/^\s*<|>\s*$/g, '')}`];
  const own = raw ? [`raw:${raw.digest}`, ...midOf(raw.head)] : [];
  return [...(event === undefined ? [] : [event]), ...said, ...own];
}

/** By the decoder that named the event, so that both read a broken Message-ID alike. */
function midOf(head: Uint8Array): string[] {
  const message = { source: '', topic: '', key: null, payload: head, headers: {}, at: 0, position: '' };
  try {
    const [{ aliases }] = mime.decode(message);
    return aliases.filter((name) => name.startsWith('mid:'));
  } catch {
    return [];
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const yes = (text: string): ActionReply => ({ ok: true, text });
const no = (text: string): ActionReply => ({ ok: false, text });
