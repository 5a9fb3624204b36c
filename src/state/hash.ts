/**
 * 64 bits of a name, seeded per store, as two unsigned halves. Two multiply-and-rotate lanes over the
 * UTF-16 units and the finaliser of MurmurHash3 (Appleby, public domain); not cryptographic: every hit is
 * verified against the real name, so that a collision costs a read and nothing else.
 */

/** The halves of the last `hash` call; a module register instead of an object per event. */
export const halves = { high: 0, low: 0 };

export interface HashSeed {
  readonly high: number;
  readonly low: number;
}

const finish = (h: number): number => {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};

/** Leaves the result in `halves`. Surrogates count as U+FFFD, as UTF-8 stores the lone ones. */
export function hash(seed: HashSeed, name: string): void {
  let a = seed.high ^ name.length;
  let b = seed.low;
  for (let i = 0; i < name.length; i++) {
    let unit = name.charCodeAt(i);
    if ((unit & 0xf800) === 0xd800) unit = 0xfffd;
    a = Math.imul(a ^ unit, 0x9e3779b1);
    b = Math.imul(((b << 13) | (b >>> 19)) ^ unit, 0x85ebca77) + a;
  }
  halves.high = finish(a ^ (b >>> 7));
  halves.low = finish(b + Math.imul(a, 0x27d4eb2f));
}

/** A seed for the names of one scope (a task, a task's devices), so that scopes do not meet. */
export function scoped(seed: HashSeed, scope: string): HashSeed {
  hash(seed, scope);
  return { high: halves.high, low: halves.low };
}
