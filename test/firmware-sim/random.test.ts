import { describe, expect, it } from 'vitest';
import { Random } from '../../firmware-sim/random.ts';

describe('the simulator’s random numbers', () => {
  it('are the same for the same seed, for ever', () => {
    const random = new Random(7);
    const first = [random.uint32(), random.uint32(), random.uint32(), random.uint32()];
    expect(first).toMatchInlineSnapshot(`
      [
        210494603,
        711084892,
        3993689120,
        4089369890,
      ]
    `);
  });

  it('fork by name: a stream does not depend on what was drawn beside it', () => {
    const quiet = new Random(3);
    const busy = new Random(3);
    for (let i = 0; i < 100; i++) busy.next();
    expect(busy.fork('mail').uint32()).toBe(quiet.fork('mail').uint32());
    expect(quiet.fork('mail').uint32()).not.toBe(quiet.fork('plant').uint32());
    expect(new Random(4).fork('mail').uint32()).not.toBe(quiet.fork('mail').uint32());
  });

  it('are spread evenly, in every bit', () => {
    const random = new Random(1);
    const ones = new Float64Array(32);
    const n = 50_000;
    for (let i = 0; i < n; i++) {
      const value = random.uint32();
      for (let bit = 0; bit < 32; bit++) ones[bit] += (value >>> bit) & 1;
    }
    for (const count of ones) expect(Math.abs(count / n - 0.5)).toBeLessThan(0.012);
  });

  it('have the moments of their distribution', () => {
    const random = new Random(2);
    const n = 100_000;
    const mean = (draw: () => number) => Array.from({ length: n }, draw).reduce((a, b) => a + b) / n;
    expect(mean(() => random.next())).toBeCloseTo(0.5, 2);
    expect(mean(() => random.normal())).toBeCloseTo(0, 1);
    expect(mean(() => random.normal() ** 2)).toBeCloseTo(1, 1);
    expect(mean(() => random.exponential(4))).toBeCloseTo(4, 0);
  });

  it('pick by weight, and shuffle without loss', () => {
    const random = new Random(5);
    const counts = { a: 0, b: 0, c: 0 };
    for (let i = 0; i < 10_000; i++)
      counts[
        random.weighted([
          ['a', 3],
          ['b', 1],
          ['c', 0],
        ] as const)
      ] += 1;
    expect(counts.a / 10_000).toBeCloseTo(0.75, 1);
    expect(counts.c).toBe(0);
    const items = Array.from({ length: 50 }, (_, i) => i);
    const shuffled = random.shuffled(items);
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
  });
});
