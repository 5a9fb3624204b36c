/**
 * A small JSON document with its own checksum, kept twice: `NAME.json` and, as it was one write before,
 * `NAME.previous.json`. A kill cannot damage it (files.ts); a disk that lies can, and then the older copy is
 * taken, and the caller is told so. Both damaged is REGISTRY_CORRUPT: nothing is invented, nothing overwritten.
 *
 *     {"format":1,"sha256":"<of the canonical JSON of content>","content":…}
 */
import { createHash } from 'node:crypto';
import { link, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { SluiceError } from '../../errors.ts';
import { canonicalJson, parseJson } from '../../model/canonical.ts';
import { guarded, readWhole, writeWhole } from './files.ts';

const FORMAT = 1;
const MAX_DOCUMENT = 256 * 1024 * 1024;

export interface Loaded<T> {
  readonly content: T;
  /** The newest copy was damaged: this is an older state. */
  readonly older: boolean;
}

const sha256 = (content: unknown): string =>
  createHash('sha256').update(canonicalJson(content)).digest('hex');

export class Document<T> {
  readonly #current: string;
  readonly #previous: string;
  readonly #schema: z.ZodType<T>;

  constructor(folder: string, name: string, schema: z.ZodType<T>) {
    this.#current = join(folder, `${name}.json`);
    this.#previous = join(folder, `${name}.previous.json`);
    this.#schema = schema;
  }

  /** null where neither copy was ever written. Throws REGISTRY_CORRUPT, REGISTRY_FAILED. */
  async load(): Promise<Loaded<T> | null> {
    const newest = await this.#read(this.#current);
    if (newest?.content !== undefined) return { content: newest.content, older: false };
    const before = await this.#read(this.#previous);
    if (before?.content !== undefined) return { content: before.content, older: true };
    if (!newest && !before) return null;
    const why = newest?.reason ?? before?.reason ?? '';
    throw new SluiceError('REGISTRY_CORRUPT', `${this.#current} and its copy cannot be used: ${why}`);
  }

  /** Durable when it resolves. */
  save(content: T): Promise<void> {
    return guarded(this.#current, async () => {
      const text = `${JSON.stringify({ format: FORMAT, sha256: sha256(content), content })}\n`;
      // A damaged file must not become the older copy of itself.
      if ((await this.#read(this.#current))?.content !== undefined) {
        await rm(this.#previous, { force: true });
        await link(this.#current, this.#previous);
      }
      await writeWhole(this.#current, text);
    });
  }

  async #read(path: string): Promise<{ content?: T; reason: string } | null> {
    const bytes = await readWhole(path, MAX_DOCUMENT);
    if (bytes === null) return null;
    try {
      const { format, sha256: digest, content } = parseJson(bytes) as Record<string, unknown>;
      if (typeof format === 'number' && format > FORMAT)
        throw new SluiceError(
          'REGISTRY_CORRUPT',
          `${path} was written by a newer version of Sluice; use that one`,
        );
      if (digest !== sha256(content)) return { reason: 'its checksum does not fit' };
      const parsed = this.#schema.safeParse(content);
      return parsed.success ? { content: parsed.data, reason: '' } : { reason: parsed.error.message };
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      return { reason: (error as Error).message };
    }
  }
}
