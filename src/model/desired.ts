/**
 * What a hub wants a group to run (`desired`, signed) and what a gateway says it runs (`actual`). On the wire
 * `desired` is one flat JSON object, so that anyone can read digest, version, size and chunks at its top level:
 *
 *     {"group":…,"task":…,"serial":7,"digest":…,"version":…,"size":…,"chunks":…,"candidate":…,"compare":…,
 *      "at":…,"key":"ed25519:<base64>","signature":"<base64 of 64 bytes>"}
 *
 * The signature is Ed25519 over the line `sluice desired 1`, LF, and the canonical JSON (canonical.ts) of all
 * members but `key` and `signature`; members that this version does not know are covered by it and passed over.
 * Promises: `acceptDesired` follows only a trusted key, for its own group and task, and never goes back: a
 * lower serial, or the same one with other content, is DESIRED_REPLAYED. A bundle travels in pieces of 256 KiB,
 * and joining them is checked against the digest, so that nothing half-written or mixed is ever handed on.
 */
import { z } from 'zod';
import type { Actual, BundleRef, Desired } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { digestText, version } from './bundle/manifest.ts';
import { hashing, runAside, runNow, step, type Work } from './bundle/work.ts';
import { digestOf, MAX_BUNDLE_BYTES } from './bundle.ts';
import { canonicalJson, parseJson, showIssues } from './canonical.ts';
import {
  findKey,
  isSignedBy,
  type PrivateKey,
  type PublicKey,
  parsePublicKey,
  signBytes,
  signerText,
} from './signing.ts';

/** Bytes of a piece of a bundle on a broker. */
export const CHUNK_BYTES = 256 * 1024;
/** Of a desired or actual document. */
export const MAX_DOCUMENT = 1024 * 1024;
const MAX_SITES = 10_000;
const SIGNED_AS = 'sluice desired 1\n';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'is no name');
const serial = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const time = z.number().int().min(0).max(8.64e15);
const size = z.number().int().min(1).max(0xffff_ffff);
const chunks = z.number().int().min(1).max(16_384);

const reference = { digest: digestText, version, size, chunks };
const whole = ({ size, chunks }: { size: number; chunks: number }) => chunks === chunkCount(size);
const WHOLE = { message: 'chunks do not fit size' };

const desiredSchema = z
  .object({
    group: name,
    task: name,
    serial,
    digest: digestText.nullable(),
    version: version.nullable(),
    size: size.nullable(),
    chunks: chunks.nullable(),
    candidate: z
      .object({ ...reference, mode: z.enum(['shadow', 'canary']), sites: z.array(name).max(MAX_SITES) })
      .refine(whole, WHOLE)
      .nullable(),
    compare: z.object(reference).refine(whole, WHOLE).nullable(),
    at: time,
  })
  .superRefine(({ digest, version, size, chunks }, context) => {
    const parts = [digest, version, size, chunks];
    if (new Set(parts.map((part) => part === null)).size > 1)
      context.addIssue({ code: 'custom', message: 'digest, version, size and chunks go together' });
    else if (size !== null && chunks !== chunkCount(size))
      context.addIssue({ code: 'custom', path: ['chunks'], message: 'do not fit size' });
  });

const actualSchema = z.object({
  site: name,
  group: name,
  task: name,
  digest: digestText.nullable(),
  labels: serial,
  companion: digestText.nullable(),
  /** -1: nothing was followed yet. */
  serial: z.number().int().min(-1).max(Number.MAX_SAFE_INTEGER),
  state: z.enum(['running', 'fetching', 'refused']),
  reason: z.string().max(1_024),
  at: time,
});

const invalid = (detail: string, cause?: unknown) =>
  new SluiceError('DESIRED_INVALID', `the desired document is not followed: ${detail}`, { cause });
const untrusted = (detail: string) =>
  new SluiceError('DESIRED_UNTRUSTED', `the desired document is not followed: ${detail}`);

/** What is signed; its digest names the content of a document whoever signed it. */
const signedBytes = (fields: object): Uint8Array => Buffer.from(SIGNED_AS + canonicalJson(fields));

/** The signed document. Throws DESIRED_INVALID for one that no gateway would understand. */
export function encodeDesired(desired: Desired, key: PrivateKey): string {
  const parsed = desiredSchema.safeParse(desired);
  if (!parsed.success) throw invalid(showIssues(parsed.error.issues));
  const signature = Buffer.from(signBytes(signedBytes(parsed.data), key)).toString('base64');
  const text = JSON.stringify({
    ...parsed.data,
    key: signerText(Buffer.from(key.public.hex, 'hex')),
    signature,
  });
  if (text.length > MAX_DOCUMENT) throw invalid(`it is larger than ${MAX_DOCUMENT} bytes`);
  return text;
}

/** Digest of the signed content: what `AcceptOptions.lastDocument` takes. */
export function documentDigest(desired: Desired): string {
  return digestOf(signedBytes(desired));
}

interface Opened {
  readonly desired: Desired;
  /** SHA-256 of the signed content. */
  readonly document: string;
  readonly signer: PublicKey;
}

/** A document and whose it is. Throws DESIRED_INVALID, DESIRED_UNTRUSTED. */
export function openDesired(payload: Uint8Array, trusted: readonly PublicKey[]): Opened {
  const { key, signature, ...fields } = objectOf(payload);
  if (typeof key !== 'string' || typeof signature !== 'string') throw untrusted('it is not signed');
  const signer = findSigner(key, trusted);
  let signed: Uint8Array;
  try {
    signed = signedBytes(fields);
  } catch (error) {
    throw invalid((error as Error).message, error);
  }
  const bytes = Buffer.from(signature, 'base64');
  if (bytes.toString('base64') !== signature || !isSignedBy(signed, bytes, signer))
    throw untrusted('it is not what its signature was made for');
  const parsed = desiredSchema.safeParse(fields);
  if (!parsed.success) throw invalid(showIssues(parsed.error.issues));
  return { desired: parsed.data, document: digestOf(signed), signer };
}

function objectOf(payload: Uint8Array): Record<string, unknown> {
  if (payload.byteLength > MAX_DOCUMENT) throw invalid(`it is larger than ${MAX_DOCUMENT} bytes`);
  let value: unknown;
  try {
    value = parseJson(payload);
  } catch (error) {
    throw invalid((error as Error).message, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('it is no object');
  return value as Record<string, unknown>;
}

function findSigner(text: string, trusted: readonly PublicKey[]): PublicKey {
  let named: PublicKey;
  try {
    named = parsePublicKey(text);
  } catch (error) {
    throw untrusted(`its key cannot be used: ${(error as Error).message}`);
  }
  const key = findKey(trusted, Buffer.from(named.hex, 'hex'));
  if (!key) throw untrusted(`it is signed by ${text}, which is not trusted here`);
  return key;
}

export interface AcceptOptions {
  readonly trusted: readonly PublicKey[];
  readonly group: string;
  readonly task: string;
  /** The highest serial followed, and the digest of that document; -1 and null before the first. */
  readonly lastSerial: number;
  readonly lastDocument: string | null;
}

export type Accepted =
  | { readonly kind: 'new'; readonly desired: Desired; readonly document: string }
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly error: SluiceError };

/** Whether a document is to be followed. `document` must be kept durably with its serial before it is followed. */
export function acceptDesired(payload: Uint8Array, options: AcceptOptions): Accepted {
  try {
    return judge(openDesired(payload, options.trusted), options);
  } catch (error) {
    if (error instanceof SluiceError) return { kind: 'refused', error };
    throw error;
  }
}

function judge({ desired, document }: Opened, options: AcceptOptions): Accepted {
  const { group, task, lastSerial, lastDocument } = options;
  if (desired.group !== group) throw invalid(`it is for group ${desired.group}, not ${group}`);
  if (desired.task !== task) throw invalid(`it is for task ${desired.task}, not ${task}`);
  if (desired.serial === lastSerial && document === lastDocument) return { kind: 'same' };
  if (desired.serial > lastSerial) return { kind: 'new', desired, document };
  const how = desired.serial === lastSerial ? 'came with other content' : `came after ${lastSerial}`;
  throw new SluiceError('DESIRED_REPLAYED', `serial ${desired.serial} of ${group}/${task} ${how}`);
}

/** Throws ACTUAL_INVALID. */
export function encodeActual(actual: Actual): string {
  const parsed = actualSchema.safeParse(actual);
  if (!parsed.success) throw new SluiceError('ACTUAL_INVALID', showIssues(parsed.error.issues));
  return JSON.stringify(parsed.data);
}

/** Throws ACTUAL_INVALID. It is not signed: it is a gateway's word, no more. */
export function decodeActual(payload: Uint8Array): Actual {
  try {
    if (payload.byteLength > MAX_DOCUMENT) throw new Error(`it is larger than ${MAX_DOCUMENT} bytes`);
    const parsed = actualSchema.safeParse(parseJson(payload));
    if (parsed.success) return parsed.data;
    throw new Error(showIssues(parsed.error.issues));
  } catch (error) {
    throw new SluiceError(
      'ACTUAL_INVALID',
      `an actual document is not understood: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

// ---------------------------------------------------------------- pieces

export const chunkCount = (bytes: number): number => Math.ceil(bytes / CHUNK_BYTES);

/** Views on `bytes`, 256 KiB each, the last one shorter. */
export function chunksOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: chunkCount(bytes.byteLength) }, (_, n) =>
    bytes.subarray(n * CHUNK_BYTES, (n + 1) * CHUNK_BYTES),
  );
}

/** How a bundle of these bytes is named in a document. */
export function bundleRef(bytes: Uint8Array, version: number): BundleRef {
  const size = bytes.byteLength;
  return { digest: digestOf(bytes), version, size, chunks: chunkCount(size) };
}

type Ref = Pick<BundleRef, 'digest' | 'size' | 'chunks'>;
type Pieces = readonly (Uint8Array | undefined)[];

/**
 * The bundle of its pieces, in their order. Throws BUNDLE_TOO_LARGE before anything is copied, BUNDLE_ALTERED where
 * a piece is missing or of a wrong length, or the whole has not the digest.
 */
export function joinChunks(pieces: Pieces, ref: Ref, maxBytes = MAX_BUNDLE_BYTES): Uint8Array {
  return runNow(joining(pieces, ref, maxBytes));
}

/** The same with the digest taken in short slices, for a process that scores meanwhile. */
export function joinChunksAside(pieces: Pieces, ref: Ref, maxBytes = MAX_BUNDLE_BYTES): Promise<Uint8Array> {
  return runAside(joining(pieces, ref, maxBytes));
}

function* joining(pieces: Pieces, ref: Ref, maxBytes: number): Work<Uint8Array> {
  if (ref.size > maxBytes)
    throw new SluiceError(
      'BUNDLE_TOO_LARGE',
      `the bundle has ${ref.size} bytes, and ${maxBytes} are allowed`,
    );
  const altered = (what: string) =>
    new SluiceError('BUNDLE_ALTERED', `bundle ${ref.digest.slice(0, 12)}: ${what}`);
  if (pieces.length !== ref.chunks || ref.chunks !== chunkCount(ref.size))
    throw altered(`${pieces.length} pieces came, ${ref.chunks} were named for ${ref.size} bytes`);
  const bytes = new Uint8Array(ref.size);
  for (let n = 0; n < ref.chunks; n++) {
    const piece = pieces[n];
    const length = Math.min(CHUNK_BYTES, ref.size - n * CHUNK_BYTES);
    if (piece?.byteLength !== length)
      throw altered(
        piece ? `piece ${n} has ${piece.byteLength} bytes, not ${length}` : `piece ${n} is missing`,
      );
    bytes.set(piece, n * CHUNK_BYTES);
  }
  const digest = yield* step(hashing(bytes));
  if (digest.toString('hex') !== ref.digest) throw altered('the pieces together have another digest');
  return bytes;
}
