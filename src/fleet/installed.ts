/**
 * What a gateway runs and has run, on disk: the bundles by digest, and a small record that names the base, the
 * position behind which local labels are learned on it, its companion, and the highest serial followed. Promises:
 * the record never names bytes that are not wholly there; nothing is loaded whose signature and digest were not
 * checked in this process; what is damaged is told and stepped over (the previous base, then a blank one). Expiry
 * is not judged here: it is judged once, at installation.
 *
 *   <store>/models/<task>/record.json and record.before.json
 *   <store>/models/<task>/<digest>.bundle
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { copyFile, link, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Bundle } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { verifyBundleAside } from '../model/bundle.ts';
import type { PublicKey } from '../model/signing.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { type Base, bundleBase } from './base.ts';
import { PARTIAL, writeWhole } from './registry/files.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const placed = z.strictObject({ digest, since: z.number().int().min(0) });

const recordSchema = z.strictObject({
  format: z.literal(1),
  /** The highest serial followed and the digest of its document; -1 before the first. */
  serial: z.number().int().min(-1),
  document: z.string().nullable(),
  base: placed.nullable(),
  previous: placed.nullable(),
  companion: placed.nullable(),
});

export type InstallRecord = z.infer<typeof recordSchema>;

const EMPTY: InstallRecord = {
  format: 1,
  serial: -1,
  document: null,
  base: null,
  previous: null,
  companion: null,
};

export interface InstalledContext {
  /** The folder of the gateway's store. */
  readonly folder: string;
  readonly task: Task;
  readonly trusted: readonly PublicKey[];
  readonly maxBytes: number;
  readonly telemetry: Telemetry;
}

const RECORD = 'record.json';
/** The record before the last write, for a disk that damages the newest. */
const BEFORE = 'record.before.json';

export class Installed {
  readonly #context: InstalledContext;
  readonly #folder: string;
  #record: InstallRecord;
  /** Handed out or put last: not pruned, since the record is about to name it. */
  #fresh: string | null = null;
  /** One write after the other. */
  #turn: Promise<void> = Promise.resolve();

  /** Reads what was installed. A record that cannot be read is told; the one before it counts, else none. */
  constructor(context: InstalledContext) {
    this.#context = context;
    this.#folder = path.join(context.folder, 'models', context.task.name);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#folder))
      if (name.endsWith(PARTIAL)) rmSync(path.join(this.#folder, name));
    this.#record = this.#read();
  }

  get record(): InstallRecord {
    return this.#record;
  }

  /** Durable when it resolves. Bundles that it no longer names are removed. Rejects with STORE_FAILED. */
  save(change: Partial<InstallRecord>): Promise<void> {
    const saved = this.#turn.then(async () => {
      const next = { ...this.#record, ...change };
      await this.#keepBefore();
      await this.#write(RECORD, JSON.stringify(next));
      this.#record = next;
      this.#prune();
    });
    this.#turn = saved.catch(() => undefined);
    return saved;
  }

  has(name: string): boolean {
    return existsSync(this.#file(name));
  }

  /** The same, and the document that was followed last is followed once more when it comes again. */
  saveAnew(change: Partial<InstallRecord>): Promise<void> {
    return this.save({ ...change, serial: Math.max(-1, this.#record.serial - 1), document: null });
  }

  /** Keeps a bundle that was verified. Rejects with STORE_FAILED. */
  put({ digest: name }: Bundle, bytes: Uint8Array): Promise<void> {
    this.#fresh = name;
    return this.#write(`${name}.bundle`, bytes);
  }

  /** Another name for the present file: the next write takes the first name only. */
  async #keepBefore(): Promise<void> {
    const [now, before] = [RECORD, BEFORE].map((name) => path.join(this.#folder, name));
    if (this.#record === EMPTY) return; // nothing was read or written that would be worth keeping
    try {
      await rm(before, { force: true });
      await link(now, before);
    } catch (thrown) {
      // Some file systems have no links. It is only a second chance.
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
        await copyFile(now, before).catch(() => undefined);
    }
  }

  async #write(name: string, content: Uint8Array | string): Promise<void> {
    try {
      await writeWhole(path.join(this.#folder, name), content);
    } catch (thrown) {
      throw new SluiceError('STORE_FAILED', (thrown as Error).message, { cause: thrown });
    }
  }

  /** A kept bundle, checked again from its first byte. Throws BUNDLE_*, or STORE_CORRUPT where it is not there. */
  async load(name: string): Promise<Bundle> {
    this.#fresh = name;
    let bytes: Uint8Array;
    try {
      bytes = await readFile(this.#file(name));
    } catch (thrown) {
      throw new SluiceError('STORE_CORRUPT', `the bundle ${name.slice(0, 12)} cannot be read`, {
        cause: thrown,
      });
    }
    const { task, trusted, maxBytes } = this.#context;
    const { name: wanted, labels, features, event } = task;
    const expected = { trusted, maxBytes, task: wanted, labels, features, event, now: null };
    const bundle = await verifyBundleAside(bytes, expected);
    if (bundle.digest === name) return bundle;
    throw new SluiceError('BUNDLE_ALTERED', `the file of the bundle ${name.slice(0, 12)} holds another one`);
  }

  /**
   * The base to begin with: the recorded one, else the one before it, else null (nothing learned). Where it is not the
   * recorded one, the document that named it may come again. `tries` throws where a base cannot be run.
   */
  async base(tries: (base: Base) => void = () => undefined): Promise<Base | null> {
    const { base, previous } = this.#record;
    for (const place of [base, previous]) {
      if (!place) continue;
      try {
        const loaded = bundleBase(await this.load(place.digest), place.since);
        tries(loaded);
        if (place !== base) await this.saveAnew({ base: place, previous: null });
        return loaded;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
      }
    }
    if (base) await this.saveAnew({ base: null, previous: null });
    return null;
  }

  #file(name: string): string {
    return path.join(this.#folder, `${name}.bundle`);
  }

  #read(): InstallRecord {
    const { telemetry, task } = this.#context;
    for (const name of [RECORD, BEFORE]) {
      const file = path.join(this.#folder, name);
      if (!existsSync(file)) continue;
      try {
        return recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
      } catch (thrown) {
        const text = `${name} of the installed models cannot be read and counts as none: ${asSluiceError(thrown).message}`;
        telemetry.error(new SluiceError('STORE_CORRUPT', text), { task: task.name });
        rmSync(file, { force: true }); // not to be taken for the one before it at the next write
      }
    }
    return EMPTY;
  }

  #prune(): void {
    const { base, previous, companion } = this.#record;
    const kept = new Set([base?.digest, previous?.digest, companion?.digest, this.#fresh]);
    try {
      for (const name of readdirSync(this.#folder))
        if (name.endsWith('.bundle') && !kept.has(name.slice(0, -'.bundle'.length)))
          rmSync(path.join(this.#folder, name), { force: true });
    } catch (thrown) {
      // The record is written; what is left over goes next time.
      this.#context.telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task: this.#context.task.name });
    }
  }
}
