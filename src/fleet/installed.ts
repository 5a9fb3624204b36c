/**
 * What a gateway runs and has run, on disk: the bundles by digest, and a small record that names the base, the
 * position behind which local labels are learned on it, its companion, and the highest serial followed. Promises:
 * the record never names bytes that are not wholly there; nothing is loaded whose signature and digest were not
 * checked in this process; what is damaged is told and stepped over (the previous base, then a blank one). Expiry
 * is not judged here: it is judged once, at installation.
 *
 *   <store>/models/<task>/record.json
 *   <store>/models/<task>/<digest>.bundle
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
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

export class Installed {
  readonly #context: InstalledContext;
  readonly #folder: string;
  #record: InstallRecord;
  /** One write after the other. */
  #turn: Promise<void> = Promise.resolve();

  /** Reads what was installed. A record that cannot be read is told, and counts as none. */
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
      await this.#write('record.json', JSON.stringify(next));
      this.#record = next;
      this.#prune();
    });
    this.#turn = saved.catch(() => undefined);
    return saved;
  }

  has(name: string): boolean {
    return existsSync(this.#file(name));
  }

  /** Keeps a bundle that was verified. Rejects with STORE_FAILED. */
  put({ digest: name }: Bundle, bytes: Uint8Array): Promise<void> {
    return this.#write(`${name}.bundle`, bytes);
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
   * recorded one, the document that named it may come again.
   */
  async base(): Promise<Base | null> {
    const { base, previous, serial } = this.#record;
    for (const place of [base, previous]) {
      if (!place) continue;
      try {
        const loaded = bundleBase(await this.load(place.digest), place.since);
        if (place !== base) await this.save({ base: place, previous: null, ...again(serial) });
        return loaded;
      } catch (thrown) {
        this.#context.telemetry.error(asSluiceError(thrown), { task: this.#context.task.name });
      }
    }
    if (base) await this.save({ base: null, previous: null, ...again(serial) });
    return null;
  }

  #file(name: string): string {
    return path.join(this.#folder, `${name}.bundle`);
  }

  #read(): InstallRecord {
    const file = path.join(this.#folder, 'record.json');
    if (!existsSync(file)) return EMPTY;
    try {
      return recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch (thrown) {
      const text = `the record of installed models cannot be read and counts as none: ${asSluiceError(thrown).message}`;
      this.#context.telemetry.error(new SluiceError('STORE_CORRUPT', text), {
        task: this.#context.task.name,
      });
      return EMPTY;
    }
  }

  #prune(): void {
    const { base, previous, companion } = this.#record;
    const kept = new Set([base, previous, companion].map((place) => `${place?.digest}.bundle`));
    for (const name of readdirSync(this.#folder))
      if (name.endsWith('.bundle') && !kept.has(name)) rmSync(path.join(this.#folder, name));
  }
}

/** The same serial is followed once more. */
const again = (serial: number) => ({ serial: Math.max(-1, serial - 1), document: null });
