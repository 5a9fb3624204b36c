/**
 * The manifest of a bundle as bytes and back: canonical JSON, so that a manifest has one spelling only.
 * Reading trusts nothing: every member is named and bounded, unknown members, another spelling of the same
 * value (white space, key order, 1e3 for 1000, a key twice), `__proto__` and numbers that are not finite are
 * refused with BUNDLE_MALFORMED and the place.
 */
import { z } from 'zod';
import type { BundleManifest } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { canonicalJson, parseJson, showIssues } from '../canonical.ts';

/** Enough for ten thousand sites in `training.through`. */
export const MAX_MANIFEST = 1024 * 1024;

const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'holds control characters');
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** ms since 1970 within what Date can say. */
const time = z.number().int().min(0).max(8.64e15);
const finite = z.number().min(-1e300).max(1e300);
const share = z.number().min(0).max(1);
export const digestText = z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256 in 64 hex digits');
export const version = z.number().int().min(0).max(1e9);

const atMost = (most: number) => (value: object) => Object.keys(value).length <= most;

const measured = z.strictObject({
  tested: count,
  accuracy: share,
  logLoss: finite,
  interval: z.tuple([finite, finite]),
});

export const manifestSchema = z
  .strictObject({
    format: z.literal(1),
    task: text(64),
    version,
    labels: z.array(text(64)).min(2).max(1_024),
    positive: text(64),
    kind: text(64),
    options: z.record(text(64), finite).refine(atMost(256), 'holds too many options'),
    shape: z.strictObject({
      dims: z
        .number()
        .int()
        .min(0)
        .max(2 ** 32),
      denseDims: z
        .number()
        .int()
        .min(0)
        .max(2 ** 24),
      classes: z.number().int().min(2).max(1_024),
    }),
    features: text(1_024),
    featureOptions: z
      .record(text(128), z.unknown())
      .refine(atMost(1_024), 'holds too many options')
      // What features are hashed with (`privacy.key`) is an option of the featurizers too; a bundle is no place for it.
      .refine((options) => !Object.hasOwn(options, 'key'), 'holds a key, which must stay secret'),
    event: text(64),
    training: z.strictObject({
      rows: count,
      digest: digestText,
      through: z.record(text(64), count).refine(atMost(10_000), 'holds too many sites'),
      until: time,
      counts: z.array(count).max(1_024),
      seed: z.number().int().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
      passes: z.number().int().min(0).max(1_000_000),
    }),
    quality: measured.nullable(),
    parent: digestText.nullable(),
    created: time,
    expires: time,
  })
  .superRefine((manifest, context) => {
    const { labels, shape, training } = manifest;
    const complain = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: path.split('.'), message });
    if (new Set(labels).size !== labels.length) complain('labels', 'are not distinct');
    if (!labels.includes(manifest.positive)) complain('positive', 'is not one of the labels');
    if (shape.classes !== labels.length) complain('shape.classes', 'is not the number of labels');
    if (training.counts.length !== labels.length) complain('training.counts', 'has not one count a label');
  });

const malformed = (detail: string, cause?: unknown) =>
  new SluiceError('BUNDLE_MALFORMED', `the manifest cannot be used: ${detail}`, { cause });

/** The checked manifest of any value. Throws BUNDLE_MALFORMED. */
export function checkManifest(value: unknown): BundleManifest {
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw malformed(showIssues(parsed.error.issues));
  return parsed.data;
}

/** Canonical UTF-8 bytes. Throws BUNDLE_MALFORMED for a manifest that no one could read back. */
export function encodeManifest(manifest: BundleManifest): Uint8Array {
  const checked = checkManifest(manifest);
  let bytes: Uint8Array;
  try {
    bytes = Buffer.from(canonicalJson(checked));
  } catch (error) {
    throw malformed((error as Error).message, error);
  }
  if (bytes.byteLength > MAX_MANIFEST) throw malformed(`it is larger than ${MAX_MANIFEST} bytes`);
  return bytes;
}

/** Throws BUNDLE_MALFORMED. */
export function decodeManifest(bytes: Uint8Array): BundleManifest {
  let value: unknown;
  try {
    value = parseJson(bytes);
    // Before zod looks at it: this bounds the depth and refuses `__proto__`, and one value has one spelling.
    const spelled = Buffer.from(canonicalJson(value));
    if (!spelled.equals(bytes)) throw new Error('it is not in canonical form');
  } catch (error) {
    throw malformed((error as Error).message, error);
  }
  return checkManifest(value);
}
