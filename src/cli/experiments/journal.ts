/**
 * The finished trials of a sweep on disk, one line each, so that a sweep that was killed goes on where it was.
 * Promises: a line counts only when it is whole; trials of another key (another input, seed, budget, version …) are
 * never used. The first line is the key.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { z } from 'zod';
import type { Outcome, TryJob } from '../../task/experiments/trial.ts';

/** More than any sweep writes. */
const MOST_BYTES = 64 * 1024 * 1024;

const line = z.strictObject({
  job: z.string(),
  outcome: z.strictObject({
    validation: z.strictObject({
      tested: z.number(),
      accuracy: z.number(),
      logLoss: z.number(),
      interval: z.tuple([z.number(), z.number()]),
    }),
    modelBytes: z.number(),
    rate: z.number(),
    blocks: z.array(z.number()).max(1_000),
  }),
});

const nameOf = (job: TryJob): string =>
  createHash('sha256').update(JSON.stringify(job)).digest('hex').slice(0, 32);

/** The complete lines of a file, none where it is missing or not ours. */
function linesOf(path: string): string[] {
  try {
    const text = readFileSync(path, 'utf8');
    return text.length > MOST_BYTES ? [] : text.split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

function parseLine(text: string): z.infer<typeof line> | null {
  try {
    return line.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

export class TrialJournal {
  readonly #file: number;
  readonly #known = new Map<string, Outcome>();
  /** Whether trials of another key were there. */
  readonly startedAnew: boolean;

  /** Opens or begins the journal of `key`. */
  constructor(path: string, key: string) {
    const [head, ...lines] = linesOf(path);
    this.startedAnew = head !== undefined && head !== key;
    if (head === key) {
      for (const text of lines) {
        const found = parseLine(text);
        if (found) this.#known.set(found.job, found.outcome);
      }
    }
    // Written anew from what was understood: half a line at the end must not run into the next.
    this.#file = openSync(path, 'a', 0o600);
    truncateSync(path);
    const kept = [...this.#known].map(([job, outcome]) => `${JSON.stringify({ job, outcome })}\n`);
    writeSync(this.#file, `${key}\n${kept.join('')}`);
  }

  /** Trials known from earlier runs. */
  get size(): number {
    return this.#known.size;
  }

  recall = (job: TryJob): Outcome | null => this.#known.get(nameOf(job)) ?? null;

  add(job: TryJob, { validation, modelBytes, rate, blocks }: Outcome): void {
    const { tested, accuracy, logLoss, interval } = validation;
    const outcome = { validation: { tested, accuracy, logLoss, interval }, modelBytes, rate, blocks };
    writeSync(this.#file, `${JSON.stringify({ job: nameOf(job), outcome })}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}
