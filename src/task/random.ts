/**
 * Seeded random numbers for protocols and intervals. The same seed and purpose give the same numbers on every
 * machine; different purposes give independent streams, so that adding one draw never shifts another.
 */

/** FNV-1a over the purpose, folded into the seed. */
function mixSeed(seed: number, purpose: string): number {
  let hash = 0x811c9dc5 ^ (seed >>> 0);
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193);
  return (hash ^ Math.floor(seed / 2 ** 32)) >>> 0;
}

/** Numbers in [0, 1): mulberry32 (T. Ettinger, public domain), 2^32 states, plenty for draws that decide labels. */
export function seededRandom(seed: number, purpose: string): () => number {
  let state = mixSeed(seed, purpose);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
