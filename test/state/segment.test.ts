import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SluiceError } from '../../src/errors.ts';
import { Chunk, encodeChunk } from '../../src/state/chunk.ts';
import * as segment from '../../src/state/segment.ts';
import { batchOf, random } from './support.ts';

const entry = fc.record({
  high: fc.nat(40),
  low: fc.nat(3),
  device: fc.nat(5),
  at: fc.integer({ min: -9, max: 9 }),
});

test('a sealed segment gives the candidates that the open one gave, in the same order', () => {
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 400 }), (entries) => {
      const memory = new segment.MemorySegment(100);
      for (const [i, { high, low, device, at }] of entries.entries()) {
        memory.addName(high << 26, low, 100 + (i >> 3), i & 7);
        memory.addRow((device << 28) >>> 0, at, 100 + (i >> 3), i & 7);
      }
      const blocks = new Map(memory.seal().map(({ number, bytes }) => [number, bytes]));
      for (let high = 0; high <= 40; high++)
        for (let low = 0; low <= 3; low++) {
          const hashed = (high << 26) >>> 0;
          const block = blocks.get(segment.nameBlock(hashed));
          const sealed = block ? segment.findInBlock(block, 100, hashed, low) : [];
          expect(sealed).toEqual(memory.find(hashed, low));
        }
      for (let device = 0; device <= 5; device++) {
        const hashed = (device << 28) >>> 0;
        const block = blocks.get(segment.deviceBlock(hashed));
        const sealed = block ? segment.spanInBlock(block, 100, hashed, -3, 4, 0, 999) : [];
        expect(sealed).toEqual(memory.span(hashed, -3, 4)(0, 999));
        const page = block ? segment.spanInBlock(block, 100, hashed, -3, 4, 2, 3) : [];
        expect(page).toEqual(sealed.slice(2, 5));
      }
    }),
    { numRuns: 100, seed: 3 },
  );
});

test('a full segment of 65,536 names seals, and every name is found', () => {
  const memory = new segment.MemorySegment(1);
  const next = random(5);
  const names = Array.from({ length: segment.CAPACITY }, () => [
    (next() * 2 ** 32) >>> 0,
    (next() * 2 ** 32) >>> 0,
  ]);
  for (const [i, [high, low]] of names.entries()) {
    memory.addName(high, low, 1 + i, 0);
    memory.addRow(high & 7, i, 1 + i, 0);
  }
  expect(memory.fits(segment.CAPACITY, 1)).toBe(false);
  const blocks = new Map(memory.seal().map(({ number, bytes }) => [number, bytes]));
  for (let i = 0; i < names.length; i += 97) {
    const [high, low] = names[i];
    const found = segment.findInBlock(blocks.get(segment.nameBlock(high))!, 1, high, low);
    expect(found).toContainEqual({ chunk: 1 + i, row: 0 });
  }
});

test('a chunk with any damaged byte is refused or unchanged, never believed wrongly', () => {
  const batch = batchOf(
    'task',
    Array.from({ length: 9 }, (_, i) => ({ id: `id-${i}`, aliases: [`a${i}`] })),
  );
  const bytes = encodeChunk(batch, 0, 9, 1);
  const whole = new Chunk(bytes).row(4);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] ^= 0x5a;
    expect(() => new Chunk(damaged).row(4)).toThrow(SluiceError);
  }
  for (let length = 0; length < bytes.length; length += 13)
    expect(() => new Chunk(bytes.subarray(0, length)).row(4)).toThrow();
  expect(new Chunk(bytes).row(4)).toEqual(whole);
});
