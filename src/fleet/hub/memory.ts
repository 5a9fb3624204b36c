/**
 * The record of one task, and everything that leaves the hub because of it. Promises: a decision is on disk, whole,
 * before anything of it is seen outside (a stage in the registry, a word on the broker, an event); what was decided
 * is done after a kill, at least once; a serial stands in one word only and none is passed over. While something
 * of the last decision is still to be done, `settle` rejects or says so, and nobody decides anew.
 */
import type { Clock, Desired } from '../../contract.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import type { HubEvent, HubMoment } from './events.ts';
import { blankRecord, type Deed, decodeRecord, type TaskRecord } from './record.ts';
import type { HubParts } from './seams.ts';

/** Evidence that grows is saved now and then; decisions at once. */
const SAVE_MS = 10_000;
const MAX_FINISHED = 50;
const MAX_ORDERS = 200;

export interface MemoryContext {
  readonly group: string;
  readonly task: string;
  readonly parts: Pick<HubParts, 'registry' | 'state' | 'announce'>;
  readonly clock: Clock;
  readonly emit: (event: HubEvent) => void;
}

/** What the group shall run; the rest of a word follows from who says it. */
export type WordChange = Pick<Desired, 'candidate' | 'compare'> & {
  readonly run: TaskRecord['live'];
};

export interface Decision {
  readonly word?: WordChange;
  /** Changes the record, in one go. */
  readonly change: (record: TaskRecord) => void;
  readonly deeds?: readonly Deed[];
  /** Of the serial of the word, where there is one. */
  readonly moments?: readonly HubMoment[] | ((serial: number) => readonly HubMoment[]);
}

export class Memory {
  readonly record: TaskRecord;
  readonly #context: MemoryContext;
  /** Brings what others hold into the record before it is written. */
  beforeSave: () => void = () => undefined;
  #dirty: boolean;
  #urgent: boolean;
  #savedAt = 0;
  #events: HubEvent[] = [];

  constructor(context: MemoryContext) {
    this.#context = context;
    const saved = decodeRecord(this.#load());
    this.record = saved ?? this.#fromRegistry();
    this.#dirty = saved === null;
    this.#urgent = this.#dirty;
  }

  get #key(): string {
    return `hub/${this.#context.group}/${this.#context.task}`;
  }

  /** A damaged record is none. Throws what else `load` throws. */
  #load(): string | null {
    try {
      return this.#context.parts.state.load(this.#key);
    } catch (thrown) {
      if (asSluiceError(thrown).code === 'STORE_CORRUPT') return null;
      throw thrown;
    }
  }

  /** Without a record: what the registry calls live is what runs. */
  #fromRegistry(): TaskRecord {
    const record = blankRecord(this.#context.clock.now());
    const live = this.#context.parts.registry.live(this.#context.task);
    if (!live) return record;
    const { digest, size, manifest } = live;
    record.live = { digest, version: manifest.version, size, chunks: Math.ceil(size / (256 * 1024)) };
    return record;
  }

  /** Something that may wait a little was changed. */
  touch(): void {
    this.#dirty = true;
  }

  /** A fact that must not be lost, with what follows from it at the next step. Durable when it resolves. */
  note(
    change: (record: TaskRecord) => void,
    deeds: readonly Deed[],
    moments: readonly HubMoment[],
  ): Promise<void> {
    change(this.record);
    this.record.deeds.push(...deeds);
    this.#remember(moments);
    return this.#save();
  }

  #remember(moments: readonly HubMoment[]): void {
    const { task, clock } = this.#context;
    const at = clock.now();
    this.#events.push(...moments.map((moment) => ({ ...moment, task, at })));
  }

  get serial(): number {
    return this.#context.parts.registry.serial(this.#context.group, this.#context.task);
  }

  async decide({ word, change, deeds = [], moments = [] }: Decision): Promise<void> {
    const serial = word ? await this.#nextSerial() : 0;
    const { record } = this;
    const now = this.#context.clock.now();
    change(record);
    record.deeds.push(...deeds);
    record.finished = record.finished.slice(-MAX_FINISHED);
    record.orders = record.orders.slice(-MAX_ORDERS);
    if (word) this.#setWord(word, serial, now);
    this.#remember(typeof moments === 'function' ? moments(serial) : moments);
    this.#dirty = true;
    this.#urgent = true;
    await this.settle();
  }

  #setWord({ run, candidate, compare }: WordChange, serial: number, at: number): void {
    const { group, task } = this.#context;
    const { digest = null, version = null, size = null, chunks = null } = run ?? {};
    this.record.word = { group, task, serial, digest, version, size, chunks, candidate, compare, at };
    this.record.told = false;
    this.record.claimed = null;
  }

  /** The intent is on disk before the number is taken: after a kill in between, the number is used, not the next one. */
  async #nextSerial(): Promise<number> {
    const { registry } = this.#context.parts;
    const { group, task } = this.#context;
    if (this.record.claimed === null) {
      this.record.claimed = this.serial;
      await this.#save();
    }
    if (this.serial > this.record.claimed) return this.serial;
    return registry.nextSerial(group, task);
  }

  async #save(): Promise<void> {
    this.beforeSave();
    this.#dirty = false;
    try {
      await this.#context.parts.state.save(this.#key, JSON.stringify(this.record));
    } catch (error) {
      this.#dirty = true;
      this.#urgent = true;
      throw error;
    }
    this.#savedAt = this.#context.clock.now();
  }

  /** Saves what must be saved and does what was decided. Rejects where something of it failed; then again later. */
  async settle(): Promise<void> {
    const now = this.#context.clock.now();
    if (this.#dirty && (this.#urgent || now - this.#savedAt >= SAVE_MS)) {
      await this.#save();
      this.#urgent = false;
    }
    if (this.#urgent) return;
    this.#tell();
    await this.#doDeeds();
    if (!this.record.told && this.record.word) await this.#announce(this.record.word);
  }

  #tell(): void {
    const events = this.#events;
    this.#events = [];
    for (const event of events) this.#context.emit(event);
  }

  async #doDeeds(): Promise<void> {
    const { deeds } = this.record;
    while (deeds.length > 0) {
      try {
        await this.#do(deeds[0]);
      } catch (thrown) {
        const error = asSluiceError(thrown);
        // A bundle that was pruned meanwhile has no stage; everything else is tried again.
        if (error.code !== 'MODEL_UNKNOWN') throw error;
      }
      deeds.shift();
      this.#dirty = true;
    }
  }

  async #do(deed: Deed): Promise<void> {
    const { registry } = this.#context.parts;
    const { task, clock } = this.#context;
    const at = clock.now();
    if (deed.do === 'move') await registry.move(deed.digest, deed.stage, deed.reason, at, deed.by);
    else if (deed.do === 'order') await registry.done(deed.id);
    else {
      const { what, digest, reason, by } = deed;
      await registry.audit({ at, task, what, digest, reason, by });
    }
  }

  async #announce(word: Desired): Promise<void> {
    await this.#context.parts.announce(word);
    if (this.record.word?.serial !== word.serial)
      throw new SluiceError('INTERNAL', 'a word was replaced on its way');
    this.record.told = true;
    this.record.toldAt = this.#context.clock.now();
    this.#dirty = true;
  }

  /** Writes what was put off. */
  async flush(): Promise<void> {
    if (this.#dirty) await this.#save();
  }
}
