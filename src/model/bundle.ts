/**
 * A model bundle: one file with a manifest, weights and a signature, and no code (bundle/layout.ts draws it).
 * Promises: `verifyBundle` gives back only what a trusted key signed for just this task, whole and unexpired;
 * every other file is refused with one reason, in an order that lets nothing unsigned be decompressed; memory
 * is bounded by `maxBytes` and `maxRawBytes` whatever the file declares; nothing in it is ever executed.
 * `readBundle` checks structure, digests and that a signature belongs to the key it names, but trusts anyone:
 * it is for looking at a bundle. Expiry is judged at installation only; a `now` of null does not judge it.
 *
 * Codes: BUNDLE_TOO_LARGE, BUNDLE_MALFORMED, BUNDLE_UNSIGNED, BUNDLE_UNTRUSTED, BUNDLE_ALTERED,
 * BUNDLE_MISMATCH, BUNDLE_EXPIRED; looked for in this order.
 */
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { Bundle, BundleManifest } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type Layout, parseLayout, type Section, toBeSigned, writeContent } from './bundle/layout.ts';
import { decodeManifest, encodeManifest } from './bundle/manifest.ts';
import { checkingSignature, hashing, inflating, runAside, runNow, step, type Work } from './bundle/work.ts';
import { findKey, type PrivateKey, type PublicKey, publicKey, signBytes, signerText } from './signing.ts';

export { MAX_MANIFEST, manifestSchema } from './bundle/manifest.ts';

/** Of a whole file, where the caller names no other limit. */
export const MAX_BUNDLE_BYTES = 256 * 1024 * 1024;
/** Of the weights unpacked, where the caller names no other limit. */
export const MAX_RAW_BYTES = 1024 * 1024 * 1024;

export interface Limits {
  /** Of the file. */
  readonly maxBytes: number;
  /** Of the weights when unpacked; default MAX_RAW_BYTES. */
  readonly maxRawBytes?: number;
}

/** What a gateway that would install a bundle knows of itself. */
export interface Expected extends Limits {
  readonly trusted: readonly PublicKey[];
  /** ms; null: the clock is implausible, and expiry is not judged. */
  readonly now: number | null;
  readonly task: string;
  /** In their order: an index stands for a label. */
  readonly labels: readonly string[];
  /** Task.features. */
  readonly features: string;
  readonly event: string;
}

/** SHA-256 as 64 hex digits: the name of a bundle everywhere. */
export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The file of a model; unsigned where `key` is null. Throws BUNDLE_MALFORMED for a manifest nobody could read back. */
export function encodeBundle(
  manifest: BundleManifest,
  weights: Uint8Array,
  key: PrivateKey | null,
): Uint8Array {
  if (weights.byteLength === 0 || weights.byteLength > 0xffff_ffff)
    throw new SluiceError('BUNDLE_MALFORMED', `weights of ${weights.byteLength} bytes cannot be packed`);
  const content = writeContent(plainSection(encodeManifest(manifest)), packWeights(weights));
  return key === null ? content : seal(content, key);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function plainSection(bytes: Uint8Array): Section {
  const digest = sha256(bytes);
  return {
    coding: 'plain',
    stored: bytes,
    raw: bytes.byteLength,
    storedDigest: digest,
    rawDigest: digest,
  };
}

/** Compressed where that saves something: hashed text models are mostly zeros, others hardly shrink. */
function packWeights(weights: Uint8Array): Section {
  // Level 1: a large model is packed in a tenth of the time of level 9 and comes out a few percent larger.
  const packed = deflateSync(weights, { level: 1 });
  if (packed.byteLength >= weights.byteLength) return plainSection(weights);
  return {
    coding: 'zlib',
    stored: packed,
    raw: weights.byteLength,
    storedDigest: sha256(packed),
    rawDigest: sha256(weights),
  };
}

function seal(content: Uint8Array, key: PrivateKey): Uint8Array {
  const signed = toBeSigned(content, Buffer.from(key.public.hex, 'hex'));
  return Buffer.concat([signed, signBytes(signed, key)]);
}

/**
 * The same content under this key, in place of an older signature; the digest changes with it. Checks structure and
 * digests first: what is damaged is not signed. Throws BUNDLE_*.
 */
export function signBundle(bytes: Uint8Array, key: PrivateKey, limits: Limits = DEFAULTS): Uint8Array {
  readBundle(bytes, limits);
  return seal(parseLayout(bytes, limits.maxRawBytes ?? MAX_RAW_BYTES).content, key);
}

/** The same model under a changed manifest, unsigned or signed. Throws BUNDLE_*. */
export function renewBundle(
  bytes: Uint8Array,
  change: (manifest: BundleManifest) => BundleManifest,
  key: PrivateKey | null,
  limits: Limits = DEFAULTS,
): Uint8Array {
  const { manifest } = readBundle(bytes, limits);
  const { weights } = parseLayout(bytes, limits.maxRawBytes ?? MAX_RAW_BYTES);
  const content = writeContent(plainSection(encodeManifest(change(manifest))), weights);
  return key === null ? content : seal(content, key);
}

const DEFAULTS: Limits = { maxBytes: MAX_BUNDLE_BYTES };

/** What the file holds, whoever made it: not for installing. `signer` is the key it names, trusted or not. */
export function readBundle(bytes: Uint8Array, limits: Limits = DEFAULTS): Bundle {
  return runNow(reading(bytes, limits));
}

/** The bundle, if it may be installed. Throws one of the codes above. */
export function verifyBundle(bytes: Uint8Array, expected: Expected): Bundle {
  return runNow(verifying(bytes, expected));
}

/** The same with the heavy work aside, for a process that scores meanwhile. `bytes` must not be changed until it settles. */
export function verifyBundleAside(bytes: Uint8Array, expected: Expected): Promise<Bundle> {
  return runAside(verifying(bytes, expected));
}

function layoutOf(bytes: Uint8Array, { maxBytes, maxRawBytes = MAX_RAW_BYTES }: Limits): Layout {
  if (bytes.byteLength > maxBytes)
    throw new SluiceError(
      'BUNDLE_TOO_LARGE',
      `the bundle has ${bytes.byteLength} bytes, and ${maxBytes} are allowed`,
    );
  return parseLayout(bytes, maxRawBytes);
}

function* reading(bytes: Uint8Array, limits: Limits): Work<Bundle> {
  const layout = layoutOf(bytes, limits);
  if (layout.seal) yield* checkSeal(layout.seal, publicKey(layout.seal.key));
  return yield* unpack(bytes, layout, yield* openManifest(layout));
}

function* verifying(bytes: Uint8Array, expected: Expected): Work<Bundle> {
  const layout = layoutOf(bytes, expected);
  if (!layout.seal) throw new SluiceError('BUNDLE_UNSIGNED', 'the bundle is not signed');
  const key = findKey(expected.trusted, layout.seal.key);
  if (!key) {
    const signer = signerText(layout.seal.key);
    throw new SluiceError('BUNDLE_UNTRUSTED', `the bundle is signed by ${signer}, which is not trusted here`);
  }
  yield* checkSeal(layout.seal, key);
  const manifest = yield* openManifest(layout);
  judge(manifest, expected);
  return yield* unpack(bytes, layout, manifest);
}

const altered = (what: string) => new SluiceError('BUNDLE_ALTERED', what);

function* checkSeal(found: NonNullable<Layout['seal']>, key: PublicKey): Work<void> {
  const good = yield* step(checkingSignature(found.signed, found.signature, key));
  if (!good) throw altered('the bundle is not what its signature was made for');
}

function* openManifest({ manifest }: Layout): Work<BundleManifest> {
  yield* checkDigest('manifest', manifest.stored, [manifest.storedDigest, manifest.rawDigest]);
  return decodeManifest(manifest.stored);
}

function* checkDigest(what: string, bytes: Uint8Array, digests: readonly Uint8Array[]): Work<void> {
  const real = yield* step(hashing(bytes));
  if (!digests.every((digest) => real.equals(digest)))
    throw altered(`the ${what} of the bundle are not the bytes that were packed`);
}

/** Stored bytes are checked before a single one is inflated, raw bytes after. */
function* unpack(bytes: Uint8Array, layout: Layout, manifest: BundleManifest): Work<Bundle> {
  const { coding, stored, raw, storedDigest, rawDigest } = layout.weights;
  yield* checkDigest('weights', stored, coding === 'plain' ? [storedDigest, rawDigest] : [storedDigest]);
  let weights: Uint8Array = stored;
  if (coding === 'zlib') {
    const inflated = yield* step(inflating(stored, raw));
    if (!inflated)
      throw new SluiceError('BUNDLE_MALFORMED', 'the weights do not unpack to their declared size');
    weights = inflated;
    yield* checkDigest('weights', weights, [rawDigest]);
  }
  return {
    digest: (yield* step(hashing(bytes))).toString('hex'),
    manifest,
    weights,
    signer: layout.seal && signerText(layout.seal.key),
    size: bytes.byteLength,
  };
}

function judge(manifest: BundleManifest, expected: Expected): void {
  const reason = mismatch(manifest, expected);
  if (reason !== null) throw new SluiceError('BUNDLE_MISMATCH', reason);
  if (expected.now !== null && expected.now > manifest.expires) {
    const day = new Date(manifest.expires).toISOString().slice(0, 16).replace('T', ' ');
    throw new SluiceError('BUNDLE_EXPIRED', `the bundle expired at ${day} UTC`);
  }
}

/** Why a bundle does not fit a task, and what to set so that it would; null where it fits. */
export function mismatch(
  manifest: BundleManifest,
  { task, labels, features, event }: Pick<Expected, 'task' | 'labels' | 'features' | 'event'>,
): string | null {
  if (manifest.task !== task) return `the bundle is for task ${manifest.task}, not ${task}`;
  if (manifest.event !== event)
    return `the bundle reads ${manifest.event} events; set tasks.${task}.event: ${manifest.event} (it is ${event})`;
  if (manifest.labels.join('\n') !== labels.join('\n'))
    return `the bundle gives the labels [${manifest.labels.join(', ')}]; set tasks.${task}.labels to these in this order (they are [${labels.join(', ')}])`;
  if (manifest.features !== features)
    return (
      `the bundle was trained on features ${manifest.features}, and this task makes ${features}; ` +
      `set tasks.${task}.features to ${JSON.stringify(manifest.featureOptions)} and privacy.key to that of the fleet, or train again`
    );
  return null;
}

/**
 * The time to judge expiry by, or null where the clock cannot be right: it is a day before the moment at which what
 * it judges was signed (a device that has just started and thinks it is 1970).
 */
export function plausibleNow(now: number, signedAt: number): number | null {
  return now < signedAt - 86_400_000 ? null : now;
}
