/**
 * The heavy steps of opening a bundle (hashing, checking a signature, inflating), written once and run in two
 * ways: at once, for a command and the tests, or aside (on libuv's threads and in short slices), so that a gateway
 * that scores meanwhile does not stand still for a model of many megabytes. An algorithm is a generator that
 * yields its steps.
 */
import { createHash, verify } from 'node:crypto';
import { inflate, inflateSync } from 'node:zlib';
import { type PublicKey, SIGNATURE_BYTES } from '../signing.ts';

export interface Step<T> {
  now(): T;
  later(): Promise<T>;
}

export type Work<T> = Generator<Step<unknown>, T, unknown>;

/** One step inside a work: `const digest = yield* step(hashing(bytes))`. */
export function* step<T>(what: Step<T>): Generator<Step<unknown>, T, unknown> {
  return (yield what) as T;
}

/** Runs it here and now. */
export function runNow<T>(work: Work<T>): T {
  let next = work.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = next.value.now();
    } catch (error) {
      next = work.throw(error);
      continue;
    }
    next = work.next(result);
  }
  return next.value;
}

/** Runs its steps aside, one after the other. The bytes must not be changed until it settles. */
export async function runAside<T>(work: Work<T>): Promise<T> {
  let next = work.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = await next.value.later();
    } catch (error) {
      next = work.throw(error);
      continue;
    }
    next = work.next(result);
  }
  return next.value;
}

/** Bytes hashed before others get their turn: about a millisecond. */
const SLICE = 512 * 1024;

/** SHA-256. On the side in slices: WebCrypto would copy everything first, which holds the thread longer than a slice. */
export const hashing = (bytes: Uint8Array): Step<Buffer> => ({
  now: () => createHash('sha256').update(bytes).digest(),
  later: async () => {
    const hash = createHash('sha256');
    for (let at = 0; at < bytes.byteLength; at += SLICE) {
      if (at > 0) await new Promise((resolve) => setImmediate(resolve));
      hash.update(bytes.subarray(at, at + SLICE));
    }
    return hash.digest();
  },
});

/** Whether the signature over the bytes is the key's. */
export const checkingSignature = (
  bytes: Uint8Array,
  signature: Uint8Array,
  key: PublicKey,
): Step<boolean> => ({
  now: () => signature.byteLength === SIGNATURE_BYTES && verify(null, bytes, key.key, signature),
  later: () =>
    new Promise((resolve, reject) =>
      verify(null, bytes, key.key, signature, (error, ok) => (error ? reject(error) : resolve(ok))),
    ),
});

const PIECE = 1024 * 1024;

/** With `info: true` zlib tells how much it read: what lies behind the end of the stream is not passed over. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/** The inflated bytes (zlib, RFC 1950), or null where they are not exactly `raw` many from all of the input. */
export const inflating = (bytes: Uint8Array, raw: number): Step<Buffer | null> => {
  // Large pieces: each is a turn on a thread and back, and all are joined at the end.
  const options = { info: true, maxOutputLength: raw, chunkSize: Math.min(Math.max(raw, 1_024), PIECE) };
  const exact = ({ buffer, engine }: Inflated) =>
    buffer.byteLength === raw && engine.bytesWritten === bytes.byteLength ? buffer : null;
  return {
    now: () => {
      try {
        return exact(inflateSync(bytes, options) as unknown as Inflated);
      } catch {
        return null;
      }
    },
    later: () =>
      new Promise((resolve) =>
        inflate(bytes, options, (error, result) =>
          resolve(error ? null : exact(result as unknown as Inflated)),
        ),
      ),
  };
};
