import { describe, expect, it } from 'vitest';
import type { Desired } from '../../src/contract.ts';
import {
  type AcceptOptions,
  acceptDesired,
  bundleRef,
  CHUNK_BYTES,
  chunksOf,
  decodeActual,
  documentDigest,
  encodeActual,
  encodeDesired,
  joinChunks,
  joinChunksAside,
} from '../../src/model/desired.ts';
import { newKey } from '../../src/model/signing.ts';
import { desiredOf, NOW, weightsOf } from './bundles.ts';
import { codeOf, codeOfAsync } from './codes.ts';

const key = newKey('hub');
const options = (change: Partial<AcceptOptions> = {}): AcceptOptions => ({
  trusted: [key.public],
  group: 'default',
  task: 'machine',
  lastSerial: -1,
  lastDocument: null,
  ...change,
});
const payload = (desired: Desired, signer = key) => Buffer.from(encodeDesired(desired, signer));
const accept = (bytes: Uint8Array, change: Partial<AcceptOptions> = {}) => {
  const accepted = acceptDesired(bytes, options(change));
  return accepted.kind === 'refused' ? accepted.error.code : accepted.kind;
};

describe('a desired document', () => {
  it('is followed when it is signed by a trusted key, for this group and task, with a higher serial', () => {
    const accepted = acceptDesired(payload(desiredOf()), options());
    expect(accepted).toEqual({ kind: 'new', desired: desiredOf(), document: documentDigest(desiredOf()) });
    expect(accept(payload(desiredOf()), { lastSerial: 6, lastDocument: 'x' })).toBe('new');
  });

  it('says what to fetch at its top level', () => {
    const { digest, version, size, chunks, key: signer } = JSON.parse(encodeDesired(desiredOf(), key));
    expect({ digest, version, size, chunks }).toEqual({
      digest: 'b'.repeat(64),
      version: 3,
      size: 300_000,
      chunks: 2,
    });
    expect(signer).toMatch(/^ed25519:[A-Za-z0-9+/]{43}=$/);
  });

  it('is the same when it comes again, whoever of the trusted signed it', () => {
    const second = newKey();
    const last = { lastSerial: 7, lastDocument: documentDigest(desiredOf()) };
    expect(accept(payload(desiredOf()), last)).toBe('same');
    expect(accept(payload(desiredOf(), second), { ...last, trusted: [key.public, second.public] })).toBe(
      'same',
    );
  });

  it('may be spelled in another way, as long as it says the same', () => {
    const { at, ...rest } = JSON.parse(encodeDesired(desiredOf(), key));
    expect(accept(Buffer.from(JSON.stringify({ at, ...rest }, null, 2)))).toBe('new');
  });

  it('may hold members of a later version, if they are signed too', () => {
    const later = { ...desiredOf(), hint: 'x' } as Desired;
    expect(acceptDesired(payload(later), options())).toMatchObject({ kind: 'new' });
    const added = { ...JSON.parse(encodeDesired(desiredOf(), key)), hint: 'x' };
    expect(accept(Buffer.from(JSON.stringify(added)))).toBe('DESIRED_UNTRUSTED');
  });

  it('names nothing while a group has no model, and a rollback is a new serial with an older digest', () => {
    const nothing = desiredOf({ digest: null, version: null, size: null, chunks: null });
    expect(accept(payload(nothing))).toBe('new');
    const back = desiredOf({ serial: 9, digest: 'c'.repeat(64), version: 2 });
    expect(
      accept(payload(back), { lastSerial: 8, lastDocument: documentDigest(desiredOf({ serial: 8 })) }),
    ).toBe('new');
  });

  it('names a candidate for some sites and a model to compare with', () => {
    const ref = { digest: 'd'.repeat(64), version: 4, size: CHUNK_BYTES + 1, chunks: 2 };
    const desired = desiredOf({ candidate: { ...ref, mode: 'canary', sites: ['north-gate'] }, compare: ref });
    expect(acceptDesired(payload(desired), options())).toMatchObject({ kind: 'new', desired });
  });
});

describe('a desired document is refused', () => {
  it('replayed: lower serial, or the same serial with other content', () => {
    const last = { lastSerial: 7, lastDocument: documentDigest(desiredOf()) };
    expect(accept(payload(desiredOf({ serial: 6 })), last)).toBe('DESIRED_REPLAYED');
    expect(accept(payload(desiredOf({ version: 2 })), last)).toBe('DESIRED_REPLAYED');
    expect(accept(payload(desiredOf({ serial: 0 })), last)).toBe('DESIRED_REPLAYED');
  });

  it('unsigned, altered, or signed by a stranger', () => {
    const { signature, ...unsigned } = JSON.parse(encodeDesired(desiredOf(), key));
    expect(accept(Buffer.from(JSON.stringify(unsigned)))).toBe('DESIRED_UNTRUSTED');
    expect(accept(Buffer.from(JSON.stringify({ ...unsigned, signature, serial: 8 })))).toBe(
      'DESIRED_UNTRUSTED',
    );
    expect(accept(Buffer.from(JSON.stringify({ ...unsigned, signature: `${signature}=` })))).toBe(
      'DESIRED_UNTRUSTED',
    );
    expect(accept(Buffer.from(JSON.stringify({ ...unsigned, signature, key: 'ed25519:x' })))).toBe(
      'DESIRED_UNTRUSTED',
    );
    expect(accept(payload(desiredOf(), newKey()))).toBe('DESIRED_UNTRUSTED');
    expect(accept(payload(desiredOf()), { trusted: [] })).toBe('DESIRED_UNTRUSTED');
  });

  it('for another group or another task', () => {
    expect(accept(payload(desiredOf({ group: 'east' })))).toBe('DESIRED_INVALID');
    expect(accept(payload(desiredOf({ task: 'spam' })))).toBe('DESIRED_INVALID');
  });

  it.each(['', 'null', '[]', '7', '"x"', '{', '{"key":1}', `{"__proto__":{"key":"x"}}`, '['.repeat(100_000)])(
    'when it is no document: %.20s',
    (text) => {
      expect(accept(Buffer.from(text))).toMatch(/^DESIRED_(INVALID|UNTRUSTED)$/);
    },
  );

  it('when it is larger than any real one', () => {
    expect(accept(Buffer.alloc(2_000_000, 0x20))).toBe('DESIRED_INVALID');
  });

  it('before it is signed, where no gateway would understand it', () => {
    const signing = (change: object) => codeOf(() => encodeDesired(desiredOf(change), key));
    expect(signing({ serial: -1 })).toBe('DESIRED_INVALID');
    expect(signing({ serial: 2 ** 60 })).toBe('DESIRED_INVALID');
    expect(signing({ group: '../x' })).toBe('DESIRED_INVALID');
    expect(signing({ chunks: 3 })).toBe('DESIRED_INVALID');
    expect(signing({ digest: null })).toBe('DESIRED_INVALID');
    expect(signing({ digest: 'B'.repeat(64) })).toBe('DESIRED_INVALID');
  });
});

describe('an actual document', () => {
  const actual = {
    site: 'north-gate',
    group: 'default',
    task: 'machine',
    digest: 'b'.repeat(64),
    labels: 12,
    companion: null,
    serial: 7,
    state: 'running',
    reason: '',
    at: NOW,
  } as const;

  it('comes back as it was written', () => {
    expect(decodeActual(Buffer.from(encodeActual(actual)))).toEqual(actual);
  });

  it('is refused where it is not understood', () => {
    for (const text of [
      '',
      '{}',
      '[]',
      JSON.stringify({ ...actual, state: 'happy' }),
      JSON.stringify({ ...actual, labels: 1e300 }),
    ])
      expect(codeOf(() => decodeActual(Buffer.from(text)))).toBe('ACTUAL_INVALID');
    expect(codeOf(() => encodeActual({ ...actual, site: 'a/b' }))).toBe('ACTUAL_INVALID');
  });
});

describe('a bundle in pieces', () => {
  it.each([1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])(
    'comes together again from %i bytes',
    (size) => {
      const bytes = weightsOf(size);
      const pieces = chunksOf(bytes);
      const ref = bundleRef(bytes, 3);
      expect(pieces).toHaveLength(ref.chunks);
      expect(Buffer.from(joinChunks(pieces, ref)).equals(bytes)).toBe(true);
    },
  );

  it('is refused when a piece is missing, changed, cut, in another order, or one too many', async () => {
    const bytes = weightsOf(2 * CHUNK_BYTES + 10, 5, true);
    const ref = bundleRef(bytes, 3);
    const [a, b, c] = chunksOf(bytes);
    const changed = Uint8Array.from(b);
    changed[77] ^= 1;
    const joining = (pieces: (Uint8Array | undefined)[]) => codeOf(() => joinChunks(pieces, ref));
    expect(joining([a, b, c])).toBeNull();
    for (const pieces of [
      [a, undefined, c],
      [a, changed, c],
      [a, b.subarray(1), c],
      [b, a, c],
      [a, b],
      [a, b, c, c],
      [],
    ]) {
      expect(joining(pieces)).toBe('BUNDLE_ALTERED');
      expect(await codeOfAsync(() => joinChunksAside(pieces, ref))).toBe('BUNDLE_ALTERED');
    }
    expect(await joinChunksAside([a, b, c], ref)).toEqual(joinChunks([a, b, c], ref));
  });

  it('is refused for its size before a byte is copied', () => {
    const ref = { digest: 'a'.repeat(64), size: 0xffff_ffff, chunks: 16_384 };
    expect(codeOf(() => joinChunks([], ref))).toBe('BUNDLE_TOO_LARGE');
  });
});
