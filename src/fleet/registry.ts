/**
 * The models of a fleet, in a folder, named by their content:
 *
 *     objects/<digest>                    bundles, never changed
 *     index.json  index.previous.json     what stage each is at, since when and why
 *     serials.json  serials.previous.json highest serial by group and task, highest version by task
 *     orders/                             what operators ask of the hub
 *     audit.jsonl  audit.1.jsonl …        who decided what, when, why
 *     lock-<n>                            the hub that holds it
 *
 * One hub owns index, serials and audit, by lock (`openRegistry`); a command beside it reads, adds objects and
 * gives orders (`visitRegistry`), and changes nothing that the hub owns, so that it is safe whether a hub runs or
 * not: an order waits for the next start. Promises: a kill at any point leaves a readable registry (an object that
 * the index does not name yet is harmless); at most one bundle a task is live; a serial is on disk before
 * it is used and never given twice; every byte is checked against its digest when it is read. Refusals
 * are MODEL_UNKNOWN, troubles REGISTRY_LOCKED, REGISTRY_CORRUPT, REGISTRY_FAILED.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { Bundle, Order, Registered, Stage } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { digestOf, MAX_BUNDLE_BYTES, readBundle } from '../model/bundle.ts';
import { holder, type StoreLock, takeLock } from '../state/lock.ts';
import { type AuditEntry, AuditLog } from './registry/audit.ts';
import {
  type Catalogue,
  catalogueSchema,
  disposable,
  EMPTY,
  entryOf,
  findPrefix,
  type Moment,
  registered,
  withBundle,
  without,
  withStage,
} from './registry/catalogue.ts';
import { Document, type Loaded } from './registry/document.ts';
import { flushFolder, guarded, makeFolder, readWhole, sweepPartials, writeWhole } from './registry/files.ts';
import { Orders } from './registry/orders.ts';

export type { AuditEntry } from './registry/audit.ts';
export type { Moment } from './registry/catalogue.ts';

const countersSchema = z.object({
  /** By `group/task`. */
  serials: z.record(z.string(), z.number().int().min(0)),
  /** By task. */
  versions: z.record(z.string(), z.number().int().min(0)),
});
type Counters = z.output<typeof countersSchema>;

/** After the newest copy of the counters was lost: how far they may have been ahead of the older one, and more. */
const LEAP = 1_000;

/** What a command may do beside a hub. */
export interface RegistryView {
  readonly folder: string;
  /** Newest first within a task, tasks in the order of their names. */
  list(task?: string): Registered[];
  /** By digest or its first six or more digits. Throws MODEL_UNKNOWN. */
  find(prefix: string): Registered;
  live(task: string): Registered | null;
  /** The stages that a bundle was at before this one, oldest first. */
  history(digest: string): readonly Moment[];
  /** The bytes, checked against the digest. Rejects with MODEL_UNKNOWN, REGISTRY_CORRUPT. */
  get(digest: string): Promise<Uint8Array>;
  /** Lays a bundle into the folder without naming it in the index: an order, or `adopt`, does. Rejects with BUNDLE_*. */
  deposit(bytes: Uint8Array): Promise<Bundle>;
  order(order: Omit<Order, 'id'>): Promise<Order>;
  /** What waits, oldest first. */
  orders(): Promise<Order[]>;
  /** Newest first. */
  audited(limit: number): Promise<AuditEntry[]>;
}

/** What the hub may do. Writes happen one after the other, in the order asked. */
export interface Registry extends RegistryView {
  /** `index`, `serials`: whose newest copy was damaged when it was opened, so that the one before was taken. */
  readonly recovered: readonly string[];
  /** Takes a bundle in as a candidate; one that is there keeps its stage. Rejects with BUNDLE_*. */
  put(bytes: Uint8Array, reason: string, at: number): Promise<Registered>;
  /** The same for an object that lies in the folder already (an operator's). Rejects with MODEL_UNKNOWN. */
  adopt(digest: string, reason: string, at: number): Promise<Registered>;
  /** What was live of its task retires where `stage` is live. Rejects with MODEL_UNKNOWN. `by` goes to the audit log. */
  move(digest: string, stage: Stage, reason: string, at: number, by?: string): Promise<Registered>;
  /** Rising, on disk when it resolves, never given again. */
  nextVersion(task: string): Promise<number>;
  nextSerial(group: string, task: string): Promise<number>;
  /** A serial that was seen on the broker under this hub's own key: the next one will be higher (the registry may be a restored one). */
  sawSerial(group: string, task: string, serial: number): Promise<void>;
  /** The highest serial given or seen, 0 before the first. */
  serial(group: string, task: string): number;
  /** The order was followed or refused; again is no error. */
  done(id: string): Promise<void>;
  audit(entry: AuditEntry): Promise<void>;
  /** Removes retired and rejected bundles of a task beyond the newest `keep`; resolves to their digests. */
  prune(task: string, keep: number): Promise<string[]>;
  close(): Promise<void>;
}

/** The registry as a command sees it: as of now. Throws INPUT_NOT_FOUND where there is none. */
export async function visitRegistry(path: string): Promise<RegistryView> {
  const folder = resolve(path);
  // A mistyped path must not quietly become an empty registry.
  if (!existsSync(join(folder, 'objects')))
    throw new SluiceError(
      'INPUT_NOT_FOUND',
      `there is no registry in ${folder}; the hub makes one when it first runs`,
    );
  const index = new Document(folder, 'index', catalogueSchema);
  return new View(folder, (await index.load())?.content ?? EMPTY);
}

/** The pid of the hub that holds a registry ('' where it does not say), or null. */
export function hubOf({ folder }: RegistryView): Promise<string | null> {
  return guarded(folder, () => holder(folder));
}

/** The registry as its hub holds it; made where there is none. Throws REGISTRY_LOCKED, REGISTRY_CORRUPT, REGISTRY_FAILED. */
export async function openRegistry(path: string): Promise<Registry> {
  const folder = resolve(path);
  for (const part of ['objects', 'orders']) await makeFolder(join(folder, part));
  const lock = await lockFolder(folder);
  try {
    for (const part of ['.', 'objects', 'orders'])
      await guarded(folder, () => sweepPartials(join(folder, part)));
    const index = await new Document(folder, 'index', catalogueSchema).load();
    const counters = await loadCounters(folder);
    const recovered = [...(index?.older ? ['index'] : []), ...(counters.older ? ['serials'] : [])];
    return new Owned(folder, {
      catalogue: index?.content ?? EMPTY,
      counters: counters.content,
      recovered,
      lock,
    });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function lockFolder(folder: string): Promise<StoreLock> {
  try {
    return await takeLock(folder);
  } catch (error) {
    const locked = error instanceof SluiceError && error.code === 'STORE_LOCKED';
    const text = (error as Error).message.replace('the store', 'the registry');
    throw new SluiceError(locked ? 'REGISTRY_LOCKED' : 'REGISTRY_FAILED', text, { cause: error });
  }
}

async function loadCounters(folder: string): Promise<Loaded<Counters>> {
  const document = new Document(folder, 'serials', countersSchema);
  const loaded = await document.load();
  if (!loaded?.older) return loaded ?? { content: { serials: {}, versions: {} }, older: false };
  const { serials, versions } = loaded.content;
  const ahead = Object.entries(serials).map(([name, serial]) => [name, serial + LEAP] as const);
  const content = { serials: Object.fromEntries(ahead), versions };
  await document.save(content);
  return { content, older: true };
}

class View implements RegistryView {
  readonly folder: string;
  protected catalogue: Catalogue;
  protected readonly waiting: Orders;
  protected readonly log: AuditLog;

  constructor(folder: string, catalogue: Catalogue) {
    this.folder = folder;
    this.catalogue = catalogue;
    this.waiting = new Orders(folder);
    this.log = new AuditLog(folder);
  }

  list(task?: string): Registered[] {
    const all = this.catalogue.entries.map(registered);
    return all
      .filter(({ manifest }) => task === undefined || manifest.task === task)
      .sort(({ manifest: a, since: x }, { manifest: b, since: y }) => {
        if (a.task !== b.task) return a.task < b.task ? -1 : 1;
        return b.version - a.version || y - x;
      });
  }

  find(prefix: string): Registered {
    return findPrefix(this.list(), prefix);
  }

  live(task: string): Registered | null {
    return this.list(task).find(({ stage }) => stage === 'live') ?? null;
  }

  history(digest: string): readonly Moment[] {
    return entryOf(this.catalogue, digest).history;
  }

  async get(digest: string): Promise<Uint8Array> {
    if (!/^[0-9a-f]{64}$/.test(digest)) throw new SluiceError('MODEL_UNKNOWN', 'a digest has 64 hex digits');
    const bytes = await readWhole(this.object(digest), MAX_BUNDLE_BYTES);
    if (bytes === null) throw new SluiceError('MODEL_UNKNOWN', `there is no bundle ${digest.slice(0, 12)}`);
    if (digestOf(bytes) === digest) return bytes;
    throw new SluiceError('REGISTRY_CORRUPT', `objects/${digest} has another content than its name says`);
  }

  async deposit(bytes: Uint8Array): Promise<Bundle> {
    const bundle = readBundle(bytes, { maxBytes: MAX_BUNDLE_BYTES });
    await makeFolder(join(this.folder, 'objects'));
    // Written again even where it is there: the old one may be damaged.
    await writeWhole(this.object(bundle.digest), bytes);
    return bundle;
  }

  order(order: Omit<Order, 'id'>): Promise<Order> {
    return this.waiting.add(order);
  }

  orders(): Promise<Order[]> {
    return this.waiting.list(false);
  }

  audited(limit: number): Promise<AuditEntry[]> {
    return this.log.read(limit);
  }

  protected object(digest: string): string {
    return join(this.folder, 'objects', digest);
  }
}

interface Loading {
  readonly catalogue: Catalogue;
  readonly counters: Counters;
  readonly recovered: readonly string[];
  readonly lock: StoreLock;
}

class Owned extends View implements Registry {
  readonly recovered: readonly string[];
  readonly #index: Document<Catalogue>;
  readonly #document: Document<Counters>;
  readonly #lock: StoreLock;
  #counters: Counters;
  #tail: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(folder: string, { catalogue, counters, recovered, lock }: Loading) {
    super(folder, catalogue);
    this.recovered = recovered;
    this.#index = new Document(folder, 'index', catalogueSchema);
    this.#document = new Document(folder, 'serials', countersSchema);
    this.#counters = counters;
    this.#lock = lock;
  }

  /** After everything that was asked before, whether that succeeded or not. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(new SluiceError('REGISTRY_FAILED', 'the registry was closed'));
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** On disk first, believed after. */
  async #change(to: Catalogue): Promise<void> {
    if (to === this.catalogue) return;
    await this.#index.save(to);
    this.catalogue = to;
  }

  put(bytes: Uint8Array, reason: string, at: number): Promise<Registered> {
    return this.#next(async () => this.#enter(await this.deposit(bytes), reason, at));
  }

  adopt(digest: string, reason: string, at: number): Promise<Registered> {
    return this.#next(async () => {
      const bundle = readBundle(await this.get(digest), { maxBytes: MAX_BUNDLE_BYTES });
      return this.#enter(bundle, reason, at);
    });
  }

  async #enter(bundle: Bundle, reason: string, at: number): Promise<Registered> {
    const { task, version } = bundle.manifest;
    // A version that came from outside must not be given again.
    if (version > count(this.#counters.versions, task)) await this.#raise('versions', task, version);
    await this.#change(withBundle(this.catalogue, bundle, reason, at));
    return registered(entryOf(this.catalogue, bundle.digest));
  }

  move(digest: string, stage: Stage, reason: string, at: number, by = 'hub'): Promise<Registered> {
    return this.#next(async () => {
      await this.#change(withStage(this.catalogue, digest, stage, reason, at));
      const moved = registered(entryOf(this.catalogue, digest));
      await this.log.append({ at, task: moved.manifest.task, what: stage, digest, reason, by });
      return moved;
    });
  }

  nextVersion(task: string): Promise<number> {
    return this.#next(() => this.#raise('versions', task, count(this.#counters.versions, task) + 1));
  }

  nextSerial(group: string, task: string): Promise<number> {
    return this.#next(() => this.#raise('serials', `${group}/${task}`, this.serial(group, task) + 1));
  }

  sawSerial(group: string, task: string, serial: number): Promise<void> {
    return this.#next(async () => {
      if (serial > this.serial(group, task)) await this.#raise('serials', `${group}/${task}`, serial);
    });
  }

  serial(group: string, task: string): number {
    return count(this.#counters.serials, `${group}/${task}`);
  }

  async #raise(which: keyof Counters, name: string, to: number): Promise<number> {
    if (!Number.isSafeInteger(to))
      throw new SluiceError('REGISTRY_FAILED', `${which} of ${name} are used up`);
    const raised = { ...this.#counters, [which]: { ...this.#counters[which], [name]: to } };
    // Believed before it is on disk: should the write fail half-way, the number is skipped, never given twice.
    this.#counters = raised;
    await this.#document.save(raised);
    return to;
  }

  override orders(): Promise<Order[]> {
    return this.#next(() => this.waiting.list(true));
  }

  done(id: string): Promise<void> {
    return this.#next(() => this.waiting.done(id));
  }

  audit(entry: AuditEntry): Promise<void> {
    return this.#next(() => this.log.append(entry));
  }

  prune(task: string, keep: number): Promise<string[]> {
    return this.#next(async () => {
      const gone = disposable(this.catalogue, task, keep);
      if (gone.length === 0) return gone;
      // The index first: it must never name what is not there.
      await this.#change(without(this.catalogue, gone));
      await guarded(this.folder, async () => {
        for (const digest of gone) await rm(this.object(digest), { force: true });
        await flushFolder(join(this.folder, 'objects'));
      });
      return gone;
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#tail.then(() => this.#lock.release());
    return this.#closing;
  }
}

const count = (counts: Readonly<Record<string, number>>, name: string): number =>
  Object.hasOwn(counts, name) ? counts[name] : 0;
