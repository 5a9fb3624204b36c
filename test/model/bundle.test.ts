import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseLayout, type Section, toBeSigned, writeContent } from '../../src/model/bundle/layout.ts';
import {
  digestOf,
  type Expected,
  encodeBundle,
  MAX_RAW_BYTES,
  plausibleNow,
  readBundle,
  renewBundle,
  signBundle,
  verifyBundle,
  verifyBundleAside,
} from '../../src/model/bundle.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { newKey, signBytes } from '../../src/model/signing.ts';
import { DAY, manifestOf, NOW, weightsOf } from './bundles.ts';
import { codeOf, codeOfAsync } from './codes.ts';

const key = newKey('hub');
const stranger = newKey();
const manifest = manifestOf();
const weights = weightsOf(2_000);
const signed = encodeBundle(manifest, weights, key);

const expected = (change: Partial<Expected> = {}): Expected => ({
  trusted: [key.public],
  now: NOW,
  task: 'machine',
  labels: ['ok', 'fault'],
  features: manifest.features,
  event: 'sensor',
  maxBytes: 1 << 20,
  ...change,
});
const refusal = (bytes: Uint8Array, change: Partial<Expected> = {}) =>
  codeOf(() => verifyBundle(bytes, expected(change)));

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
const sectionOf = (stored: Uint8Array, change: Partial<Section> = {}): Section => ({
  coding: 'plain',
  stored,
  raw: stored.byteLength,
  storedDigest: sha(stored),
  rawDigest: sha(stored),
  ...change,
});
/** A file that is signed by the trusted key, whatever stands in it. */
const sealed = (manifestBytes: Uint8Array | Section, weightsSection: Section): Uint8Array => {
  const first = manifestBytes instanceof Uint8Array ? sectionOf(manifestBytes) : manifestBytes;
  const toSign = toBeSigned(writeContent(first, weightsSection), Buffer.from(key.public.hex, 'hex'));
  return Buffer.concat([toSign, signBytes(toSign, key)]);
};
const goodManifest = Buffer.from(canonicalJson(manifest));

describe('a bundle', () => {
  it('comes back as it was packed, signed or not, whatever its weights', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 5_000 }),
        fc.boolean(),
        fc.record({
          version: fc.nat(1_000),
          options: fc.dictionary(
            fc
              .string({ minLength: 1, maxLength: 8 })
              .filter((k) => /^[a-zA-Z_]+$/.test(k) && k !== '__proto__'),
            fc.double({ min: -1e9, max: 1e9, noNaN: true }).map((x) => x + 0),
          ),
          featureOptions: fc
            .dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.jsonValue({ maxDepth: 3 }))
            .map((options) => JSON.parse(JSON.stringify(options)))
            .filter(
              (options) => !JSON.stringify(options).includes('__proto__') && !Object.hasOwn(options, 'key'),
            ),
        }),
        (bytes, isSigned, change) => {
          const file = encodeBundle(manifestOf(change), bytes, isSigned ? key : null);
          const bundle = readBundle(file, { maxBytes: 1 << 20 });
          expect(Buffer.from(bundle.weights).equals(bytes)).toBe(true);
          expect(canonicalJson(bundle.manifest)).toBe(canonicalJson(manifestOf(change)));
          expect(bundle.digest).toBe(digestOf(file));
          expect(bundle.signer === null).toBe(!isSigned);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is accepted from a trusted signer for its own task, at once and on the side', async () => {
    const bundle = verifyBundle(signed, expected());
    expect(bundle.manifest).toEqual(manifest);
    expect(bundle.signer).toMatch(/^ed25519:/);
    expect(await verifyBundleAside(signed, expected())).toEqual(bundle);
  });

  it('shrinks weights that are mostly zeros, and leaves noise as it is', () => {
    const zeros = encodeBundle(manifest, new Uint8Array(1_000_000), key);
    expect(zeros.byteLength).toBeLessThan(20_000);
    const noise = weightsOf(10_000, 2, true);
    const packed = encodeBundle(manifest, noise, key);
    expect(Buffer.from(verifyBundle(packed, expected()).weights).equals(noise)).toBe(true);
    expect(parseLayout(packed, MAX_RAW_BYTES).weights.coding).toBe('plain');
  });

  it('is readable at its head without a tool', () => {
    expect(Buffer.from(signed).toString('latin1', 0, 1_200)).toContain('"task":"machine"');
  });

  it('can be signed again by another, under another digest and with the same content', () => {
    const again = signBundle(signed, stranger);
    expect(digestOf(again)).not.toBe(digestOf(signed));
    const bundle = verifyBundle(again, expected({ trusted: [stranger.public] }));
    expect(bundle.manifest).toEqual(manifest);
    expect(refusal(again)).toBe('BUNDLE_UNTRUSTED');
    expect(Buffer.from(signBundle(again, key)).equals(signed)).toBe(true);
  });

  it('can be renewed with a later expiry, keeping its weights', () => {
    const renewed = renewBundle(signed, (m) => ({ ...m, expires: NOW + 900 * DAY }), key);
    const bundle = verifyBundle(renewed, expected({ now: NOW + 800 * DAY }));
    expect(Buffer.from(bundle.weights).equals(weights)).toBe(true);
  });
});

describe('a bundle is refused', () => {
  it('unsigned, and with its signature cut off', () => {
    expect(refusal(encodeBundle(manifest, weights, null))).toBe('BUNDLE_UNSIGNED');
    expect(refusal(signed.subarray(0, signed.byteLength - 100))).toBe('BUNDLE_UNSIGNED');
  });

  it('from a signer whom nobody trusts, and where nobody is trusted at all', () => {
    expect(refusal(encodeBundle(manifest, weights, stranger))).toBe('BUNDLE_UNTRUSTED');
    expect(refusal(signed, { trusted: [] })).toBe('BUNDLE_UNTRUSTED');
  });

  it('when a stranger puts a trusted key beside his own signature', () => {
    const forged = Buffer.from(encodeBundle(manifest, weights, stranger));
    forged.set(Buffer.from(key.public.hex, 'hex'), forged.length - 96);
    expect(refusal(forged)).toBe('BUNDLE_ALTERED');
  });

  it('for another task, event, labels, their order, or feature version, naming what to set', () => {
    expect(refusal(signed, { task: 'spam' })).toBe('BUNDLE_MISMATCH');
    expect(refusal(signed, { event: 'email' })).toBe('BUNDLE_MISMATCH');
    expect(() => verifyBundle(signed, expected({ labels: ['fault', 'ok'] }))).toThrow(
      /tasks\.machine\.labels/,
    );
    expect(() => verifyBundle(signed, expected({ features: 'sensor/2' }))).toThrow(/"windows":\[8,32\]\}/);
  });

  it('after its expiry, which an implausible clock does not judge', () => {
    const late = manifest.expires + 1;
    expect(refusal(signed, { now: late })).toBe('BUNDLE_EXPIRED');
    expect(refusal(signed, { now: manifest.expires })).toBeNull();
    expect(refusal(signed, { now: null })).toBeNull();
    expect(plausibleNow(0, NOW)).toBeNull();
    expect(plausibleNow(NOW - DAY, NOW)).toBe(NOW - DAY);
    expect(plausibleNow(late, NOW)).toBe(late);
  });

  it('when it is too large, as a file or unpacked, before anything is unpacked', () => {
    expect(refusal(signed, { maxBytes: signed.byteLength - 1 })).toBe('BUNDLE_TOO_LARGE');
    expect(refusal(signed, { maxRawBytes: 1_999 })).toBe('BUNDLE_TOO_LARGE');
  });

  it('when its weights unpack to more or less than declared, even if that is signed', () => {
    const bomb = deflateSync(new Uint8Array(50_000_000));
    const small = { coding: 'zlib', raw: 1_000, rawDigest: sha(new Uint8Array(1_000)) } as const;
    const before = process.memoryUsage().rss;
    expect(refusal(sealed(goodManifest, sectionOf(bomb, small)))).toBe('BUNDLE_MALFORMED');
    expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000);
    const short = deflateSync(new Uint8Array(999));
    expect(refusal(sealed(goodManifest, sectionOf(short, small)))).toBe('BUNDLE_MALFORMED');
  });

  it('when something follows the packed weights inside their section', () => {
    const packed = Buffer.concat([deflateSync(weights), Buffer.from('more')]);
    const section = sectionOf(packed, { coding: 'zlib', raw: weights.byteLength, rawDigest: sha(weights) });
    expect(refusal(sealed(goodManifest, section))).toBe('BUNDLE_MALFORMED');
  });

  it('when the unpacked weights are not those of the digest', () => {
    const section = sectionOf(deflateSync(weights), { coding: 'zlib', raw: weights.byteLength });
    expect(refusal(sealed(goodManifest, section))).toBe('BUNDLE_ALTERED');
  });

  it.each([
    ['an unknown member', goodManifest.toString().replace('{', '{"aaa":1,')],
    ['a member twice', goodManifest.toString().replace('"version":3', '"version":3,"version":4')],
    ['__proto__', goodManifest.toString().replace('{', '{"__proto__":{"task":"x"},')],
    [
      '__proto__ among the options',
      goodManifest.toString().replace('"options":{', '"options":{"__proto__":1,'),
    ],
    ['a number beyond all bounds', goodManifest.toString().replace('"rate":0.4', '"rate":1e999')],
    ['another spelling of a number', goodManifest.toString().replace('"version":3', '"version":3.0')],
    ['white space', goodManifest.toString().replace('{', '{ ')],
    ['a negative version', goodManifest.toString().replace('"version":3', '"version":-3')],
    ['labels that repeat', goodManifest.toString().replace('"ok","fault"', '"fault","fault"')],
    ['a shape of another number of labels', goodManifest.toString().replace('"classes":2', '"classes":3')],
    [
      'deep nesting',
      goodManifest.toString().replace('"lag":true', `"lag":${'['.repeat(5_000)}${']'.repeat(5_000)}`),
    ],
    ['no JSON', 'task: machine'],
    ['no object', '[]'],
    ['no UTF-8', '\xff\xfe'],
  ])('with %s in its manifest, even if that is signed', (_, text) => {
    const bytes = Buffer.from(text, text.startsWith('\xff') ? 'latin1' : 'utf8');
    expect(text).not.toBe(goodManifest.toString());
    expect(refusal(sealed(bytes, sectionOf(weights)))).toBe('BUNDLE_MALFORMED');
  });

  it('with a compressed manifest, an empty section, or sections in another order', () => {
    const packed = deflateSync(goodManifest);
    const compressed = sectionOf(packed, {
      coding: 'zlib',
      raw: goodManifest.length,
      rawDigest: sha(goodManifest),
    });
    expect(refusal(sealed(compressed, sectionOf(weights)))).toBe('BUNDLE_MALFORMED');
    expect(refusal(sealed(goodManifest, sectionOf(new Uint8Array(0))))).toBe('BUNDLE_MALFORMED');
    expect(refusal(sealed(sectionOf(weights), sectionOf(goodManifest)))).toBe('BUNDLE_MALFORMED');
  });

  it('before it is made, where nobody could read it back', () => {
    const making = (change: object) => codeOf(() => encodeBundle(manifestOf(change), weights, key));
    expect(making({ options: { rate: Number.NaN } })).toBe('BUNDLE_MALFORMED');
    expect(making({ positive: 'other' })).toBe('BUNDLE_MALFORMED');
    expect(making({ featureOptions: { run: () => 1 } })).toBe('BUNDLE_MALFORMED');
    expect(making({ featureOptions: { key: 'the secret of the fleet' } })).toBe('BUNDLE_MALFORMED');
    expect(codeOf(() => encodeBundle(manifest, new Uint8Array(0), key))).toBe('BUNDLE_MALFORMED');
  });

  it('damaged, when it is to be signed: what is broken does not become trusted', () => {
    const broken = Buffer.from(encodeBundle(manifest, weights, null));
    broken[broken.length - 5] ^= 1;
    expect(codeOf(() => signBundle(broken, key))).toBe('BUNDLE_ALTERED');
  });

  it('on the side with the same reasons as at once', async () => {
    const flipped = Buffer.from(signed);
    flipped[flipped.length - 1] ^= 0x40;
    for (const bytes of [flipped, signed.subarray(0, 50), encodeBundle(manifest, weights, stranger)])
      expect(await codeOfAsync(() => verifyBundleAside(bytes, expected()))).toBe(refusal(bytes));
  });
});
