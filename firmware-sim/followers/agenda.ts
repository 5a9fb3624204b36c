/**
 * What is due when, for many who wait: entries by time in steps of BUCKET_MS, given back in order of their time.
 * Memory is what is entered and not taken.
 */
const BUCKET_MS = 20;

export class Agenda<T> {
  readonly #buckets = new Map<number, T[]>();

  /** `due` in ms; it is given back at the first `take` at or after it. */
  enter(due: number, item: T): void {
    const step = Math.ceil(due / BUCKET_MS);
    const list = this.#buckets.get(step);
    if (list) list.push(item);
    else this.#buckets.set(step, [item]);
  }

  /** Takes out what is due. */
  take(now: number): T[] {
    const until = Math.floor(now / BUCKET_MS);
    const steps = [...this.#buckets.keys()].filter((step) => step <= until).sort((a, b) => a - b);
    return steps.flatMap((step) => {
      const list = this.#buckets.get(step) as T[];
      this.#buckets.delete(step);
      return list;
    });
  }
}
