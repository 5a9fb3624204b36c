import { describe, expect, test } from 'vitest';
import { GRAM, readGrams, readTokens } from '../../src/features/grams.ts';
import { Pieces, Units } from '../../src/features/pieces.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

/** Where each piece stands. */
function stretches({ places, count }: Pieces): [from: number, to: number][] {
  return Array.from({ length: count }, (_, i) => [places?.[i * 2] ?? -1, places?.[i * 2 + 1] ?? -1]);
}

function tokens(text: string, from = 0, to = text.length): string[] {
  const found = new Pieces();
  readTokens(bytes(text), from, to, found, true);
  return stretches(found).map(([start, end]) => text.slice(start, end));
}

function grams(text: string, limit: number, seed: number): Pieces {
  const found = new Pieces();
  const units = new Units();
  units.load(text);
  readGrams(units, limit, seed, found, true);
  return found;
}

function hashes(text: string, limit = text.length, seed = 7): number[] {
  const found = grams(text, limit, seed);
  return [...found.hashes.subarray(0, found.count)];
}

describe('tokens', () => {
  test('are what stands between blanks, controls and line ends', () => {
    expect(tokens('  To: You\r\n\tcheap\0now! \xe4\xf6 ')).toEqual([
      'To:',
      'You',
      'cheap',
      'now!',
      '\xe4\xf6',
    ]);
    expect(tokens('')).toEqual([]);
    expect(tokens(' \n ')).toEqual([]);
  });

  test('never reach beyond the stretch that was asked for', () => {
    expect(tokens('abc def', 1, 6)).toEqual(['bc', 'de']);
  });

  test('keep case, and are equal exactly where their first 60 bytes are', () => {
    const hash = (text: string) => {
      const found = new Pieces();
      readTokens(bytes(text), 0, text.length, found);
      expect(found.count).toBe(1);
      return found.hashes[0];
    };
    expect(hash('Free')).not.toBe(hash('free'));
    expect(hash(`${'.'.repeat(60)}a`)).toBe(hash(`${'.'.repeat(60)}bcd`));
    expect(hash(`${'.'.repeat(59)}a`)).not.toBe(hash(`${'.'.repeat(59)}b`));
  });
});

describe('base64', () => {
  const line = 'QUJD'.repeat(19);

  test('its lines are no tokens, with any line end or none', () => {
    expect(tokens(`a\n${line}\r\n${line}\nb\n${line}==`)).toEqual(['a', 'b']);
    expect(tokens(line)).toEqual([]);
  });

  test('short runs, addresses, rulers and words are', () => {
    const address = `http://a.example/${'x'.repeat(60)}`;
    expect(tokens(`${line.slice(0, 49)} ${'-'.repeat(70)} ${address}`)).toEqual([
      line.slice(0, 49),
      '-'.repeat(60),
      address.slice(0, 60),
    ]);
  });
});

describe('n-grams', () => {
  test('a text of n characters has n + 2 edges - GRAM + 1 of them', () => {
    expect(hashes('abcdefgh').length).toBe(8 + 2 - GRAM + 1);
    expect(hashes('ab')).toEqual([]);
    expect(hashes('')).toEqual([]);
  });

  test('case, digits and the kind and length of white space do not matter; letters, marks and order do', () => {
    expect(hashes('Call 555\u00a0NOW')).toEqual(hashes('call \t\r\n123 now'));
    for (const other of ['call! 555 now', 'cell 555 now', 'llac 555 now'])
      expect(hashes(other)).not.toEqual(hashes('call 555 now'));
  });

  test('equal pieces have equal hashes wherever they stand, another seed has others', () => {
    const [a, b] = [hashes('xx watches yy'), hashes('other watches there')];
    expect(a.filter((hash) => b.includes(hash)).length).toBeGreaterThanOrEqual('watches'.length - GRAM + 3);
    expect(hashes('watches', 7, 8).some((hash) => hashes('watches').includes(hash))).toBe(false);
  });

  test('every one of its characters counts, from any script', () => {
    const base = 'дешев';
    const seen = new Set([hashes(base)[1]]);
    for (let i = 0; i < base.length; i += 1) seen.add(hashes(`${base.slice(0, i)}ъ${base.slice(i + 1)}`)[1]);
    expect(seen.size).toBe(base.length + 1);
    expect(hashes('免费领取优惠').length).toBe(6 + 2 - GRAM + 1);
  });

  test('what stands behind the limit is not read, and no place lies outside the text', () => {
    expect(hashes('abcdefgh', 6)).toEqual(hashes('abcdef'));
    for (const [from, to] of stretches(grams('abcdefgh', 100, 0))) {
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThanOrEqual(8);
      expect(to).toBeGreaterThan(from);
    }
  });
});
