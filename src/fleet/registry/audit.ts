/**
 * Who decided what, when and why: one JSON object a line in `audit.jsonl`, appended and flushed. At 4 MiB it
 * becomes `audit.1.jsonl`, and so on to 4, the oldest of which goes. A line that a kill cut off is ended, so that
 * the next one stands alone; reading passes over what is no entry.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { flushFolder, guarded } from './files.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const KEPT = 4;
const MAX_TEXT = 2_000;

const auditSchema = z.object({
  at: z.number(),
  /** '' where it concerns no single task. */
  task: z.string(),
  /** What happened: `candidate`, `live`, `retired`, `rejected`, `serial`, `order`, … */
  what: z.string(),
  /** '' where it concerns no model. */
  digest: z.string(),
  reason: z.string(),
  /** Who decided: `hub`, or the operator who ordered it. */
  by: z.string(),
});

export type AuditEntry = Readonly<z.output<typeof auditSchema>>;

export class AuditLog {
  readonly #folder: string;
  readonly #maxBytes: number;

  constructor(folder: string, maxBytes = MAX_BYTES) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  #path(generation: number): string {
    return join(this.#folder, generation === 0 ? 'audit.jsonl' : `audit.${generation}.jsonl`);
  }

  /** Durable when it resolves. */
  append(entry: AuditEntry): Promise<void> {
    return guarded(this.#path(0), async () => {
      const reason = entry.reason.slice(0, MAX_TEXT);
      const line = `${JSON.stringify({ ...entry, reason })}\n`;
      const handle = await open(this.#path(0), 'a+', 0o600);
      let full: boolean;
      try {
        const { size } = await handle.stat();
        const last = Buffer.alloc(1);
        if (size > 0) await handle.read(last, 0, 1, size - 1);
        await handle.appendFile(size > 0 && last[0] !== 0x0a ? `\n${line}` : line);
        await handle.sync();
        full = size + line.length > this.#maxBytes;
        if (size === 0) await flushFolder(this.#folder);
      } finally {
        await handle.close();
      }
      if (full) await this.#rotate();
    });
  }

  async #rotate(): Promise<void> {
    for (let generation = KEPT - 1; generation >= 0; generation--)
      await rename(this.#path(generation), this.#path(generation + 1)).catch(passOver);
    await flushFolder(this.#folder);
  }

  /** The newest `limit` entries, newest first. */
  read(limit: number): Promise<AuditEntry[]> {
    return guarded(this.#path(0), async () => {
      const entries: AuditEntry[] = [];
      for (let generation = 0; generation <= KEPT && entries.length < limit; generation++) {
        const text = await readFile(this.#path(generation), 'utf8').catch(passOver);
        for (const line of (text ?? '').split('\n').reverse()) {
          const entry = parse(line);
          if (entry && entries.push(entry) >= limit) break;
        }
      }
      return entries;
    });
  }
}

function passOver(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function parse(line: string): AuditEntry | null {
  try {
    const parsed = auditSchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
