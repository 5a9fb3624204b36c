/**
 * Seeded 32-bit hashing for the hashing trick (Weinberger et al. 2009). Promises: the same key, text
 * and order give the same bucket on every machine and Node version, for ever; a change here changes
 * HASH_VERSION and with it the version of every featurizer. Refuses nothing: any number is taken
 * modulo 2^32. These are not cryptographic hashes: the key keeps bucket numbers from being looked
 * up in a table made for another fleet, it does not make stored rows secret from one who has the key.
 *
 * Sources: `mix` is the finaliser of MurmurHash3 (Appleby, public domain); words run through FNV-1a
 * (Fowler, Noll, Vo) and are then mixed, as FNV alone leaves the low bits poor.
 */
import { createHash } from 'node:crypto';

/** Goes into every featurizer's version. */
export const HASH_VERSION = 2;

const FNV_OFFSET = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;

/** A bijection on 32 bits in which every input bit reaches every output bit. */
export function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** One hash of an ordered pair; (a, b) and (b, a) differ. */
export function pair(a: number, b: number): number {
  return mix(Math.imul(a, 0x9e3779b1) ^ Math.imul(b ^ 0x27d4eb2f, 0x165667b1));
}

/** Start value of a word; feed `letter`s, then `mix`. */
export const wordStart = FNV_OFFSET;

/** One FNV-1a step. A UTF-16 unit is taken whole, so every letter counts once. */
export function letter(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, FNV_PRIME);
}

/** The letters of text[from, to) after those that made `hash`. */
export function spell(hash: number, text: string, from = 0, to = text.length): number {
  let h = hash;
  for (let i = from; i < to; i += 1) h = Math.imul(h ^ text.charCodeAt(i), FNV_PRIME);
  return h;
}

/** Hash of a word. */
export function word(text: string): number {
  return mix(spell(FNV_OFFSET, text));
}

/** A seed for each named space, so that equal words of two spaces fall into unrelated buckets. */
export function seedOf(key: string, space: string): number {
  return createHash('sha256').update(`${key}\0${space}`).digest().readInt32LE(0);
}

/** Six hex digits that tell two keys apart without telling the key. */
export function keyMark(key: string): string {
  return key === '' ? '0' : createHash('sha256').update(`mark\0${key}`).digest('hex').slice(0, 6);
}
