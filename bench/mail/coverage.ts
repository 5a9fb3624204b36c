/**
 * Which blocks of the decoder a run has reached, by V8's own precise coverage. Promises: counts files of `src/decode` alone;
 * costs milliseconds a look, so it is asked by batches.
 */
import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Blocks ever reached. */
  get size(): number {
    return this.#seen.size;
  }

  /** Whether anything new was reached since it was last asked; `keep` remembers it. */
  look(keep: boolean): boolean {
    let isNew = false;
    // Within one thread the answer comes before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      for (const { url, functions } of (answer as unknown as { result: Script[] }).result) {
        if (!url.includes('/src/decode/')) continue;
        for (const { ranges } of functions)
          for (const { startOffset, endOffset, count } of ranges) {
            const name = `${url}:${startOffset}-${endOffset}`;
            if (count === 0 || this.#seen.has(name)) continue;
            isNew = true;
            if (keep) this.#seen.add(name);
          }
      }
    });
    return isNew;
  }

  close(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}
