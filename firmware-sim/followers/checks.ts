/**
 * What a follower checks, by the code that gateways run: the signature and serial of a `desired`, the digest of the
 * joined pieces, signature, fit and expiry of a bundle. Thousands of followers hold the very same bytes: an outcome is
 * worked out once and shared by all in the same condition. Damaged bytes are always checked by themselves. Memory is
 * bounded: outcomes of the newest document and of KEPT bundles, without their bytes.
 */
import type { Bundle, BundleRef } from '../../src/contract.ts';
import { type Expected, readBundle, verifyBundleAside } from '../../src/model/bundle.ts';
import { type Accepted, acceptDesired, joinChunks } from '../../src/model/desired.ts';
import type { PublicKey } from '../../src/model/signing.ts';
import type { Pieces } from './blobs.ts';

const KEPT = 16;

export interface CheckOptions {
  readonly trusted: readonly PublicKey[];
  readonly group: string;
  readonly task: string;
  readonly maxBytes: number;
  /** Default: what the model says of itself. */
  readonly labels?: readonly string[];
  readonly features?: string;
  readonly event?: string;
}

export class Checks {
  readonly #options: CheckOptions;
  #payload: Uint8Array | null = null;
  readonly #accepted = new Map<string, Accepted>();
  /** By digest: when it expires, ms. */
  readonly #verified = new Map<string, Promise<number>>();
  readonly #expired = new Map<string, Promise<number>>();

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** Whether a document is followed by one who followed `lastSerial` last. */
  accept(payload: Uint8Array, lastSerial: number, lastDocument: string | null): Accepted {
    if (payload !== this.#payload || this.#accepted.size > KEPT) this.#accepted.clear();
    this.#payload = payload;
    const key = `${lastSerial} ${lastDocument ?? ''}`;
    const known = this.#accepted.get(key);
    if (known) return known;
    const { trusted, group, task } = this.#options;
    const accepted = acceptDesired(payload, { trusted, group, task, lastSerial, lastDocument });
    this.#accepted.set(key, accepted);
    return accepted;
  }

  /** Resolves if the bundle of these pieces may be installed; rejects with the reason. `now` null: expiry is not judged. */
  async verify(pieces: Pieces, ref: BundleRef, now: number | null): Promise<void> {
    const expires = await this.#once(this.#verified, ref, pieces, null);
    if (now !== null && now > expires) await this.#once(this.#expired, ref, pieces, now);
  }

  /** As `verify`, for bytes that are this follower's alone: nothing is shared. */
  async verifyOwn(pieces: Pieces, ref: BundleRef, now: number | null): Promise<void> {
    await this.#check(pieces, ref, now);
  }

  #once(known: Map<string, Promise<number>>, ref: BundleRef, pieces: Pieces, now: number | null) {
    const before = known.get(ref.digest);
    if (before) return before;
    const checking = this.#check(pieces, ref, now).then(({ manifest }) => manifest.expires);
    // Everyone who waits for it sees the rejection; nobody may be waiting any more.
    checking.catch(() => {});
    known.set(ref.digest, checking);
    for (const digest of known.keys()) {
      if (known.size <= KEPT) break;
      known.delete(digest);
    }
    return checking;
  }

  #check(pieces: Pieces, ref: BundleRef, now: number | null): Promise<Bundle> {
    const { trusted, task, maxBytes } = this.#options;
    const bytes = joinAll(pieces, ref, maxBytes);
    return bytes.then((whole) => {
      const own = readBundle(whole, { maxBytes }).manifest;
      const { labels = own.labels, features = own.features, event = own.event } = this.#options;
      const expected: Expected = { trusted, now, task, maxBytes, labels, features, event };
      return verifyBundleAside(whole, expected);
    });
  }
}

/** A rejection where `joinChunks` throws. */
async function joinAll(pieces: Pieces, ref: BundleRef, maxBytes: number): Promise<Uint8Array> {
  return joinChunks(pieces, ref, maxBytes);
}

/** The same pieces with one bit turned, at a place that `at` (0 to 1) names. Only the damaged piece is copied. */
export function damaged(pieces: Pieces, at: number): Pieces {
  const n = Math.floor(at * pieces.length);
  const copy = Uint8Array.from(pieces[n]);
  copy[Math.floor(at * 997) % copy.length] ^= 1 << Math.floor(at * 8);
  return pieces.with(n, copy);
}
