/** Nothing that was changed after signing is ever accepted, and nothing that comes in takes the process down. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import { parseLayout, type Section, writeContent } from '../../src/model/bundle/layout.ts';
import {
  type Expected,
  encodeBundle,
  MAX_RAW_BYTES,
  readBundle,
  verifyBundle,
} from '../../src/model/bundle.ts';
import { encodeDesired, openDesired } from '../../src/model/desired.ts';
import { newKey } from '../../src/model/signing.ts';
import { full, random } from '../e2e/scale.ts';
import { desiredOf, manifestOf, NOW, weightsOf } from './bundles.ts';
import { codeOf } from './codes.ts';

const key = newKey();
const bundle = Buffer.from(encodeBundle(manifestOf(), weightsOf(600), key));
/** Another bundle of the same signer, to splice with. */
const other = Buffer.from(encodeBundle(manifestOf({ version: 4 }), weightsOf(600, 9), key));
const MUTATIONS = full ? 200_000 : 10_000;

const expected: Expected = {
  trusted: [key.public],
  now: NOW,
  task: 'machine',
  labels: ['ok', 'fault'],
  features: manifestOf().features,
  event: 'sensor',
  maxBytes: 1 << 20,
};

type Mutation = (bytes: Buffer, pick: (below: number) => number) => Buffer;

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const layout = parseLayout(bundle, MAX_RAW_BYTES);
const block = bundle.subarray(bundle.length - 100);
const plain = (bytes: Buffer): Section => ({
  coding: 'plain',
  stored: bytes,
  raw: bytes.length,
  storedDigest: sha(bytes),
  rawDigest: sha(bytes),
});

const mutations: Record<string, Mutation> = {
  'one bit flipped': (bytes, pick) => {
    bytes[pick(bytes.length)] ^= 1 << pick(8);
    return bytes;
  },
  'one byte replaced': (bytes, pick) => {
    bytes[pick(bytes.length)] += 1 + pick(255);
    return bytes;
  },
  'cut off': (bytes, pick) => bytes.subarray(0, pick(bytes.length)),
  'cut at the head': (bytes, pick) => bytes.subarray(1 + pick(bytes.length - 1)),
  'bytes appended': (bytes, pick) => Buffer.concat([bytes, Buffer.alloc(1 + pick(300), pick(256))]),
  'bytes inserted': (bytes, pick) => {
    const at = pick(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + pick(40), pick(256)), bytes.subarray(at)]);
  },
  'bytes taken out': (bytes, pick) => {
    const at = pick(bytes.length - 1);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(40))]);
  },
  'spliced with another bundle of the same signer': (bytes, pick) => {
    // Behind the first byte that differs and before the signature's last: the result is neither of the two.
    const first = bytes.findIndex((byte, i) => byte !== other[i]);
    const at = first + 1 + pick(Math.min(bytes.length, other.length) - first - 2);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(at)]);
  },
  'signed by the signature of another bundle': (bytes) =>
    Buffer.concat([bytes.subarray(0, -100), other.subarray(-100)]),
  'sections swapped': () => Buffer.concat([writeContent(layout.weights, layout.manifest), block]),
  'a section doubled': (_, pick) =>
    Buffer.concat([
      pick(2) === 0
        ? writeContent(layout.manifest, layout.manifest)
        : writeContent(layout.weights, layout.weights),
      block,
    ]),
  'a length changed': (bytes, pick) => {
    const weightsAt = 12 + 76 + layout.manifest.stored.length;
    const at = [16, 20, weightsAt + 4, weightsAt + 8][pick(4)];
    const lengths = [0, 1, 0xffff_ffff, 0x7fff_ffff, bytes.readUInt32LE(at) + 1, bytes.readUInt32LE(at) - 1];
    bytes.writeUInt32LE(lengths[pick(lengths.length)], at);
    return bytes;
  },
  'another manifest, its digests right, the signature old': (_, pick) => {
    const text = Buffer.from(layout.manifest.stored)
      .toString()
      .replace('"version":3', `"version":${4 + pick(9_999)}`);
    return Buffer.concat([writeContent(plain(Buffer.from(text)), layout.weights), block]);
  },
  'other weights, their digests right, the signature old': (_, pick) => {
    const weights = weightsOf(1 + pick(700), 2 + pick(1_000), true);
    return Buffer.concat([writeContent(layout.manifest, plain(Buffer.from(weights))), block]);
  },
  'a stretch of noise': (bytes, pick) => {
    const at = pick(bytes.length);
    const end = Math.min(bytes.length, at + 2 + pick(64));
    for (let i = at; i < end; i++) bytes[i] ^= 1 + pick(255);
    return bytes;
  },
  'noise alone': (_, pick) => Buffer.from(Array.from({ length: pick(600) }, () => pick(256))),
};

it(`refuses ${MUTATIONS} mutated bundles, each with a reason`, () => {
  const next = random(41);
  const pick = (below: number) => Math.floor(next() * below);
  const names = Object.keys(mutations);
  const codes = new Map<ErrorCode | null, number>();
  for (let n = 0; n < MUTATIONS; n++) {
    const name = names[n % names.length];
    const mutated = mutations[name](Buffer.from(bundle), pick);
    const code = codeOf(() => verifyBundle(mutated, expected));
    if (code === null) throw new Error(`${name} (number ${n}) was accepted`);
    codes.set(code, (codes.get(code) ?? 0) + 1);
    // Looking at it, which trusts anyone, must end too: here a valid bundle of an unknown signer may come out.
    codeOf(() => readBundle(mutated, { maxBytes: 1 << 20 }));
  }
  expect(codeOf(() => verifyBundle(bundle, expected))).toBeNull();
  expect([...codes.keys()].filter((code) => !code?.startsWith('BUNDLE_'))).toEqual([]);
  expect(codes.get('BUNDLE_ALTERED')).toBeGreaterThan(MUTATIONS / 10);
  expect(codes.get('BUNDLE_MALFORMED')).toBeGreaterThan(MUTATIONS / 10);
  expect(codes.get('BUNDLE_UNTRUSTED')).toBeGreaterThan(0);
  expect(codes.get('BUNDLE_UNSIGNED')).toBeGreaterThan(0);
}, 120_000);

it('refuses a bundle with any single bit of its head, section heads or signature flipped', () => {
  const weightsAt = 12 + 76 + layout.manifest.stored.length;
  const ranges = [
    [0, 88],
    [weightsAt, weightsAt + 76],
    [bundle.length - 100, bundle.length],
  ];
  for (const [from, to] of ranges)
    for (let at = from; at < to; at++)
      for (let bit = 0; bit < 8; bit++) {
        bundle[at] ^= 1 << bit;
        const code = codeOf(() => verifyBundle(bundle, expected));
        bundle[at] ^= 1 << bit;
        if (code === null) throw new Error(`byte ${at}, bit ${bit}: accepted`);
      }
  expect(codeOf(() => verifyBundle(bundle, expected))).toBeNull();
});

it('follows no desired document with a byte changed, unless it still says and proves the same', () => {
  const text = Buffer.from(encodeDesired(desiredOf(), key));
  const [original] = [openDesired(text, [key.public])];
  const next = random(43);
  let refused = 0;
  for (let n = 0; n < 3_000; n++) {
    const mutated = Buffer.from(text);
    mutated[Math.floor(next() * mutated.length)] ^= 1 << Math.floor(next() * 8);
    let opened: ReturnType<typeof openDesired> | null = null;
    const code = codeOf(() => {
      opened = openDesired(mutated, [key.public]);
    });
    if (code !== null) refused++;
    else expect(opened).toEqual(original);
  }
  expect(refused).toBeGreaterThan(2_990);
});
