/**
 * Gathers the pieces of a bundle from a board. Promises: nothing but the bytes that the digest names comes out; pieces of
 * a wrong length or number are none of ours and take no memory; of one place the newest value counts, so that a
 * damaged piece that was laid again is mended (a compacted topic gives the older one first). Throws BUNDLE_TOO_LARGE
 * before anything is asked for, BUNDLE_MISSING where pieces stay away, BUNDLE_ALTERED where they make another bundle.
 */
import type { Board, BundleRef, Clock } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { CHUNK_BYTES, joinChunksAside } from '../model/desired.ts';

/** So long a place may stay empty without another being filled. */
const STALLED_MS = 60_000;
/** So long one waits for a better piece where all are there and do not fit together. */
const BETTER_MS = 2_000;

export interface PiecesContext {
  readonly board: Board;
  /** Ends with a slash; the number of the piece follows. */
  readonly prefix: string;
  readonly ref: BundleRef;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Gives up. */
  readonly signal: AbortSignal;
}

export async function fetchBundle(context: PiecesContext): Promise<Uint8Array> {
  const { board, prefix, ref, maxBytes } = context;
  if (ref.size > maxBytes)
    throw new SluiceError(
      'BUNDLE_TOO_LARGE',
      `the bundle has ${ref.size} bytes, and ${maxBytes} are allowed`,
    );
  const pieces = new Pieces(ref);
  const watch = board.watch(`${prefix}+`, (name, payload) => pieces.take(name.slice(prefix.length), payload));
  try {
    return await gather(pieces, context);
  } finally {
    await watch.stop();
  }
}

async function gather(pieces: Pieces, { ref, maxBytes, clock, signal }: PiecesContext): Promise<Uint8Array> {
  while (pieces.missing > 0) {
    const { missing } = pieces;
    await pieces.changed(STALLED_MS, clock, signal);
    if (signal.aborted || pieces.missing === missing)
      throw new SluiceError(
        'BUNDLE_MISSING',
        `${missing} of ${ref.chunks} pieces of ${ref.digest.slice(0, 12)} did not come`,
      );
  }
  for (;;) {
    const { changes } = pieces;
    try {
      return await joinChunksAside(pieces.all, ref, maxBytes);
    } catch (thrown) {
      if (pieces.changes === changes) await pieces.changed(BETTER_MS, clock, signal);
      if (pieces.changes === changes || signal.aborted || changes > 2 * ref.chunks + 8) throw thrown;
    }
  }
}

class Pieces {
  readonly all: (Uint8Array | undefined)[];
  missing: number;
  /** Rises with every piece that is new or another one. */
  changes = 0;
  readonly #ref: BundleRef;
  #wake: (() => void) | null = null;

  constructor(ref: BundleRef) {
    this.#ref = ref;
    this.all = new Array(ref.chunks).fill(undefined);
    this.missing = ref.chunks;
  }

  take(place: string, payload: Uint8Array): void {
    const n = /^\d{1,5}$/.test(place) ? Number(place) : this.#ref.chunks;
    if (n >= this.#ref.chunks) return;
    if (payload.byteLength !== Math.min(CHUNK_BYTES, this.#ref.size - n * CHUNK_BYTES)) return;
    const old = this.all[n];
    if (old && Buffer.compare(old, payload) === 0) return;
    this.all[n] = new Uint8Array(payload); // a copy: what a client hands out may be a view on much more
    if (!old) this.missing -= 1;
    this.changes += 1;
    // What is awaited is a filled place, and where all are filled any change.
    if (!old || this.missing === 0) this.#wake?.();
  }

  /** Resolves at the next change, after `ms`, or when given up. */
  async changed(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const enough = new AbortController();
    this.#wake = () => enough.abort();
    await clock.sleep(ms, AbortSignal.any([enough.signal, signal]));
    this.#wake = null;
  }
}
