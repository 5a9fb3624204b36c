/**
 * The decision of one task in a gateway: asked for each verdict, told each durable label, kept on disk. A kill loses no
 * label of it: what was saved names the last one that it counts, and the journal has the rest. What is damaged, or
 * belongs to a store that was set aside, is told and gathered again from the journal. Never in the way of a verdict.
 *
 *   <store>/decision/<task>.json
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Decided, Event, JournalEntry, Store } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { writeWhole } from '../fleet/registry/files.ts';
import { Decision } from '../task/decision.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';

const READ_AT_ONCE = 256;
/** Labels looked at for each score that is kept, where everything has to be gathered again. */
const LOOK_BACK = 2;

export interface DecidingContext {
  /** With a decision. */
  readonly task: Task;
  /** Of the gateway's store. */
  readonly folder: string;
  /** The key of the fleet; without one addresses are hashed with a random one of this file. */
  readonly key: string | undefined;
  /** Name of the base model that runs. */
  readonly base: string;
  readonly store: Store;
  readonly telemetry: Telemetry;
}

interface File {
  readonly salt: string;
  readonly state: string;
}

export class Deciding {
  readonly #context: DecidingContext;
  readonly #file: string;
  #salt = randomBytes(16).toString('hex');
  #decision: Decision;
  /** Of the last verdict. */
  #model = '';
  readonly #actions = new Map<Decided['action'], number>();
  /** Something is not saved yet. */
  #dirty = true;

  /** Reads what was saved, then the journal behind it. */
  constructor(context: DecidingContext) {
    this.#context = context;
    this.#file = path.join(context.folder, 'decision', `${context.task.name}.json`);
    this.#decision = this.#open();
    this.#decision.running(context.base);
    this.#replay();
  }

  decide(event: Event, label: number, scores: Float32Array, offset: number, model: string): Decided {
    if (model !== this.#model) {
      this.#model = model;
      this.#decision.running(baseOf(model));
    }
    const sender = this.#decision.senderOf(event, label);
    const decided = this.#decision.decide(event.id, sender, label, scores, offset);
    if (sender) this.#dirty = true;
    this.#actions.set(decided.action, (this.#actions.get(decided.action) ?? 0) + 1);
    return decided;
  }

  /** An entry of the journal that is durable, in its order. */
  entered({ seq, event, label, supersedes, joined }: JournalEntry): void {
    const { predicted, scores } = joined;
    const base = baseOf(joined.model);
    this.#dirty = true;
    this.#decision.labelled({ seq, event, label, supersedes, predicted, scores, offset: 0, base });
  }

  /** Brings metrics up to date; called every second or so. */
  tell(): void {
    const { task, telemetry } = this.#context;
    for (const [action, n] of this.#actions) telemetry.count('decisions', { task: task.name, action }, n);
    this.#actions.clear();
    telemetry.set('decision_confirmed', { task: task.name }, this.#decision.figures().confirmed);
  }

  /** Never rejects. */
  async save(): Promise<void> {
    if (!this.#dirty) return;
    try {
      this.#dirty = false;
      const file: File = { salt: this.#salt, state: this.#decision.save() };
      await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeWhole(this.#file, JSON.stringify(file));
    } catch (thrown) {
      this.#dirty = true;
      this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
    }
  }

  #blank(): Decision {
    const { task, key } = this.#context;
    return new Decision({ options: task.decision!, positive: task.positive, secret: key ?? this.#salt });
  }

  #open(): Decision {
    const { task, telemetry } = this.#context;
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch {
      return this.#blank(); // the first start
    }
    try {
      const { salt, state } = readFile(text);
      this.#salt = salt;
      const decision = this.#blank();
      decision.restore(state);
      if (decision.through > this.#newest())
        throw new SluiceError('DECISION_STATE', 'it counts labels that the journal never had');
      return decision;
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'DECISION_STATE'), { task: task.name });
      return this.#blank();
    }
  }

  /** At least the last seq of the journal; Infinity where that was pruned away and is not known. */
  #newest(): number {
    const { store, task } = this.#context;
    const last = store.journal.before(task.name, 0);
    return last === 0 && store.snapshots.oldest(task.name) > 0 ? Number.POSITIVE_INFINITY : last;
  }

  #replay(): void {
    const { store, task } = this.#context;
    const { journal } = store;
    let after = this.#decision.through || journal.before(task.name, LOOK_BACK * task.decision!.window);
    for (;;) {
      const { entries, through } = journal.tail(task.name, after, READ_AT_ONCE);
      for (const entry of entries) this.entered(entry);
      if (through === after) return;
      after = through;
    }
  }
}

/** `<base>+<labels>` */
const baseOf = (model: string): string => model.slice(0, Math.max(0, model.lastIndexOf('+')));

function readFile(text: string): File {
  const { salt, state } = asObject(text);
  if (typeof salt === 'string' && typeof state === 'string') return { salt, state };
  throw new SluiceError('DECISION_STATE', 'it holds something else');
}

function asObject(text: string): Partial<File> {
  try {
    return Object(JSON.parse(text)) as Partial<File>;
  } catch (error) {
    throw new SluiceError('DECISION_STATE', (error as Error).message, { cause: error });
  }
}
