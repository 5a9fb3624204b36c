/**
 * Commits what is settled, some milliseconds' worth at once, one request at a time. What could not be committed goes
 * with the next; nothing here ever fails for the caller: a lost commit repeats messages, it loses none.
 */
import type { Membership } from './membership.ts';
import type { Watermark } from './watermark.ts';

const WITHIN_MS = 3_000;

export class Commits {
  readonly #interval: number;
  readonly #marks: ReadonlyMap<string, Watermark>;
  readonly #membership: () => Membership | null;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #stopped = false;

  /** `marks` are the partitions that are ours, kept up to date by the caller. */
  constructor(interval: number, marks: ReadonlyMap<string, Watermark>, membership: () => Membership | null) {
    this.#interval = interval;
    this.#marks = marks;
    this.#membership = membership;
  }

  /** Something may be committed soon. */
  schedule(): void {
    if (this.#timer || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, this.#interval);
  }

  /** Commits now. Resolves when that is done or has failed, in bounded time. */
  async flush(): Promise<void> {
    const membership = this.#membership();
    if (!membership?.joined) return;
    const earlier = this.#running;
    if (earlier) {
      await bounded(earlier);
      if (this.#running === earlier) return this.schedule();
    }
    const due = [...this.#marks.values()].filter((mark) => mark.offset > mark.committed);
    if (due.length === 0) return;
    const running = this.#commit(membership, due).finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    await bounded(running);
  }

  /** The membership is over: its requests will not be answered. */
  reset(): void {
    this.#running = null;
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
  }

  async #commit(membership: Membership, due: readonly Watermark[]): Promise<void> {
    const offsets = due.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) }));
    try {
      await membership.commit(offsets);
      for (const [i, mark] of due.entries())
        mark.committed = Math.max(mark.committed, Number(offsets[i].offset));
    } catch {
      this.schedule();
    }
  }
}

async function bounded(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, WITHIN_MS);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
