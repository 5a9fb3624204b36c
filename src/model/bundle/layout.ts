/**
 * The bytes of a bundle file, little-endian:
 *
 *     0                          8               10
 *     | 'S' 'L' 'U' 'I' 'C' 'E' 1A 'B' | u16 format = 1 | u16 sections = 2 |                         12 bytes
 *
 *     then twice, for the manifest (kind 1) and the weights (kind 2), in this order:
 *     | u16 kind | u16 coding | u32 stored | u32 raw | SHA-256 of the stored | SHA-256 of the raw |  76 bytes
 *     | … stored bytes …                                                                          |
 *
 *     then, in a signed bundle:
 *     | 'S' 'I' 'G' '1' | public key, 32 bytes | Ed25519 signature, 64 bytes |                       100 bytes
 *
 * Coding 0 is as it is (always so for the manifest: `head -c 4096 FILE` shows it), coding 1 is zlib (RFC 1950).
 * The signature is over every byte before it, the signer's public key included. Every byte means something:
 * `parseLayout` refuses trailing bytes, sections that are missing, doubled or in another order, lengths beyond
 * the file and codings it does not know, with BUNDLE_MALFORMED; it copies and decompresses nothing.
 */
import { SluiceError } from '../../errors.ts';
import { KEY_BYTES, SIGNATURE_BYTES } from '../signing.ts';
import { MAX_MANIFEST } from './manifest.ts';

const MAGIC = Buffer.from('SLUICE\x1aB', 'latin1');
const SIGNATURE_TAG = Buffer.from('SIG1', 'latin1');
const FORMAT = 1;
const HEAD = 12;
const SECTION_HEAD = 76;
export const SIGNATURE_BLOCK = SIGNATURE_TAG.length + KEY_BYTES + SIGNATURE_BYTES;

const KINDS = ['manifest', 'weights'] as const;

export interface Section {
  readonly coding: 'plain' | 'zlib';
  readonly stored: Uint8Array;
  /** Declared length of the raw bytes. */
  readonly raw: number;
  readonly storedDigest: Uint8Array;
  readonly rawDigest: Uint8Array;
}

export interface Layout {
  readonly manifest: Section;
  readonly weights: Section;
  /** null in an unsigned bundle. */
  readonly seal: {
    readonly key: Uint8Array;
    readonly signature: Uint8Array;
    /** What the signature is over. */
    readonly signed: Uint8Array;
  } | null;
  /** Head and sections: what signing again keeps. */
  readonly content: Uint8Array;
}

const malformed = (detail: string) =>
  new SluiceError('BUNDLE_MALFORMED', `this is no usable bundle: ${detail}`);

/** Where everything lies in the file. Throws BUNDLE_MALFORMED, BUNDLE_TOO_LARGE (raw weights above `maxRaw`). */
export function parseLayout(file: Uint8Array, maxRaw: number): Layout {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < HEAD) throw malformed('it is too short');
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw malformed('it does not begin like one');
  const format = bytes.readUInt16LE(MAGIC.length);
  if (format !== FORMAT) throw malformed(`it has format ${format}, and this version reads format ${FORMAT}`);
  if (bytes.readUInt16LE(MAGIC.length + 2) !== KINDS.length) throw malformed('it has not two sections');
  const manifest = parseSection(bytes, HEAD, 0);
  if (manifest.coding !== 'plain' || manifest.raw > MAX_MANIFEST)
    throw malformed('its manifest is compressed or too large');
  const weightsAt = HEAD + SECTION_HEAD + manifest.stored.byteLength;
  const weights = parseSection(bytes, weightsAt, 1);
  if (weights.raw > maxRaw)
    throw new SluiceError(
      'BUNDLE_TOO_LARGE',
      `its weights take ${weights.raw} bytes, and ${maxRaw} are allowed`,
    );
  const end = weightsAt + SECTION_HEAD + weights.stored.byteLength;
  return { manifest, weights, seal: parseSeal(bytes, end), content: bytes.subarray(0, end) };
}

function parseSection(bytes: Buffer, at: number, index: number): Section {
  const name = KINDS[index];
  if (at + SECTION_HEAD > bytes.length) throw malformed(`it ends before the ${name}`);
  const kind = bytes.readUInt16LE(at);
  if (kind !== index + 1) throw malformed(`section ${index + 1} is of kind ${kind}, not the ${name}`);
  const coding = bytes.readUInt16LE(at + 2);
  if (coding > 1) throw malformed(`the ${name} is in coding ${coding}, which is not known`);
  const length = bytes.readUInt32LE(at + 4);
  const raw = bytes.readUInt32LE(at + 8);
  const from = at + SECTION_HEAD;
  if (length === 0 || raw === 0) throw malformed(`the ${name} is empty`);
  if (from + length > bytes.length) throw malformed(`the ${name} is longer than the file`);
  if (coding === 0 && raw !== length) throw malformed(`the ${name} declares two lengths`);
  return {
    coding: coding === 0 ? 'plain' : 'zlib',
    stored: bytes.subarray(from, from + length),
    raw,
    storedDigest: bytes.subarray(at + 12, at + 44),
    rawDigest: bytes.subarray(at + 44, at + 76),
  };
}

function parseSeal(bytes: Buffer, at: number): Layout['seal'] {
  const rest = bytes.length - at;
  if (rest === 0) return null;
  if (rest !== SIGNATURE_BLOCK)
    throw malformed(`${rest} bytes follow the weights, and a signature has ${SIGNATURE_BLOCK}`);
  if (!bytes.subarray(at, at + SIGNATURE_TAG.length).equals(SIGNATURE_TAG))
    throw malformed('what follows the weights is no signature');
  const keyAt = at + SIGNATURE_TAG.length;
  const signatureAt = keyAt + KEY_BYTES;
  return {
    key: bytes.subarray(keyAt, signatureAt),
    signature: bytes.subarray(signatureAt),
    signed: bytes.subarray(0, signatureAt),
  };
}

/** Head and sections as bytes. */
export function writeContent(manifest: Section, weights: Section): Uint8Array {
  const head = Buffer.alloc(HEAD);
  MAGIC.copy(head);
  head.writeUInt16LE(FORMAT, MAGIC.length);
  head.writeUInt16LE(KINDS.length, MAGIC.length + 2);
  return Buffer.concat([head, ...writeSection(manifest, 1), ...writeSection(weights, 2)]);
}

function writeSection(section: Section, kind: number): Uint8Array[] {
  const head = Buffer.alloc(SECTION_HEAD);
  head.writeUInt16LE(kind, 0);
  head.writeUInt16LE(section.coding === 'plain' ? 0 : 1, 2);
  head.writeUInt32LE(section.stored.byteLength, 4);
  head.writeUInt32LE(section.raw, 8);
  head.set(section.storedDigest, 12);
  head.set(section.rawDigest, 44);
  return [head, section.stored];
}

/** What a key with these bytes must sign to seal `content`. */
export function toBeSigned(content: Uint8Array, key: Uint8Array): Uint8Array {
  return Buffer.concat([content, SIGNATURE_TAG, key]);
}
