/**
 * The pieces of models, fetched once for all followers. Promises: nothing larger than `maxBytes` is asked for; pieces
 * beyond what was named are not kept; at most KEPT models are held, the one least lately asked for goes first; what did
 * not come in time is BUNDLE_MISSING, and is asked for anew by the next who wants it.
 */
import type { Board, BundleRef, Clock } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';

const KEPT = 3;

export type Pieces = readonly Uint8Array[];

export interface BlobOptions {
  readonly board: Board;
  /** `<group>/models/<task>/blob` */
  readonly folder: string;
  readonly maxBytes: number;
  readonly fetchMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class Blobs {
  readonly #options: BlobOptions;
  readonly #held = new Map<string, Promise<Pieces>>();
  /** Models that were fetched from the broker. */
  fetched = 0;

  constructor(options: BlobOptions) {
    this.#options = options;
  }

  /** All pieces, in order. Rejects with BUNDLE_TOO_LARGE, BUNDLE_MISSING. */
  fetch(ref: BundleRef): Promise<Pieces> {
    const known = this.#held.get(ref.digest);
    if (known) {
      this.#held.delete(ref.digest);
      this.#held.set(ref.digest, known);
      return known;
    }
    const fetching = this.#fetch(ref);
    this.#held.set(ref.digest, fetching);
    fetching.catch(() => {
      if (this.#held.get(ref.digest) === fetching) this.#held.delete(ref.digest);
    });
    for (const digest of this.#held.keys()) {
      if (this.#held.size <= KEPT) break;
      this.#held.delete(digest);
    }
    return fetching;
  }

  async #fetch(ref: BundleRef): Promise<Pieces> {
    const { board, folder, maxBytes, fetchMs, clock, signal } = this.#options;
    if (ref.size > maxBytes)
      throw new SluiceError(
        'BUNDLE_TOO_LARGE',
        `the bundle has ${ref.size} bytes, and ${maxBytes} are allowed`,
      );
    const pieces = new Array<Uint8Array | undefined>(ref.chunks).fill(undefined);
    const prefix = `${folder}/${ref.digest}/`;
    const whole = new AbortController();
    let missing = ref.chunks;
    let bytes = 0;
    const watch = board.watch(`${prefix}+`, (name, payload) => {
      const n = Number(name.slice(prefix.length));
      const wanted = Number.isInteger(n) && n >= 0 && n < ref.chunks && !pieces[n];
      if (!wanted || bytes + payload.length > ref.size) return;
      pieces[n] = Uint8Array.from(payload);
      bytes += payload.length;
      missing -= 1;
      if (missing === 0) whole.abort();
    });
    try {
      await clock.sleep(fetchMs, AbortSignal.any([whole.signal, signal]));
    } finally {
      await watch.stop();
    }
    if (missing > 0)
      throw new SluiceError(
        'BUNDLE_MISSING',
        `${missing} of ${ref.chunks} pieces of ${ref.digest.slice(0, 12)} did not come`,
      );
    this.fetched += 1;
    return pieces as Uint8Array[];
  }
}
