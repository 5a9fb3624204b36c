import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bound } from '../../../src/task/decision/bound.ts';
import { Tail } from '../../../src/task/decision/tail.ts';
import { leastFor, neededFor } from '../../../src/task/decision/tolerance.ts';
import { seededRandom } from '../../../src/task/random.ts';

/** P(Binomial(n, p) <= k), by its definition. */
function binomial(n: number, k: number, p: number): number {
  let [sum, log] = [0, n * Math.log1p(-p)];
  for (let i = 0; i <= k; i++) {
    sum += Math.exp(log);
    log += Math.log(((n - i) / (i + 1)) * (p / (1 - p)));
  }
  return sum;
}

test('so many may lie above the threshold as Wilks allows, and not one more', () => {
  for (const [budget, most] of [
    [0.001, 65_536],
    [0.0001, 65_536],
    [0.05, 5_000],
  ] as const) {
    const needed = neededFor(budget, most);
    expect(needed[0]).toBe(leastFor(budget));
    needed.forEach((n, k) => {
      expect(binomial(n, k, budget)).toBeLessThanOrEqual(0.05 + 1e-9);
      expect(binomial(n - 1, k, budget)).toBeGreaterThan(0.05 - 1e-9);
    });
  }
  expect(neededFor(0.001, 65_536)[0]).toBe(2_995);
  expect(neededFor(0.0001, 65_536)[0]).toBe(29_956);
  expect(neededFor(0.0001, 20_000)).toHaveLength(0);
});

test('the largest of the window are known exactly, whatever is added, taken back and outlived', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ add: fc.integer({ min: -3, max: 12 }), own: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.integer({ min: 0, max: 400 }) }) },
    { weight: 2, arbitrary: fc.record({ focus: fc.integer({ min: 0, max: 70 }) }) },
    { weight: 1, arbitrary: fc.constantFrom('disown' as const, 'drop' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 60 }), (steps, window) => {
      const depth = Math.ceil(window / 3);
      const tail = new Tail(window, depth);
      let known: { seq: number; value: number; own: boolean }[] = [];
      let seqs: number[] = [];
      /** Numbers that are out of focus. */
      let old = new Set<number>();
      steps.forEach((each, seq) => {
        if (each === 'disown') {
          tail.disown();
          known = known.map((one) => ({ ...one, own: false }));
        } else if (each === 'drop') {
          tail.dropOthers();
          known = known.filter(({ own }) => own);
          old = new Set();
          seqs = known.map((one) => one.seq);
        } else if ('add' in each) {
          tail.add(seq, each.add, each.own);
          seqs = [...seqs, seq].slice(-window);
          known.push({ seq, value: each.add, own: each.own });
        } else if ('focus' in each) {
          tail.focus(each.focus);
          old = new Set(known.slice(0, Math.max(0, known.length - each.focus)).map((one) => one.seq));
        } else {
          tail.remove(each.remove);
          known = known.filter((one) => one.seq !== each.remove);
        }
        known = known.filter((one) => seqs.includes(one.seq));
        const focused = known.filter((one) => !old.has(one.seq));
        const sorted = focused.map(({ value }) => value).sort((a, b) => b - a);
        const own = known.filter((one) => one.own).map(({ value }) => value);
        expect(tail.size).toBe(known.length);
        expect(tail.ownSize).toBe(own.length);
        expect(tail.ownLargest).toBe(Math.max(Number.NEGATIVE_INFINITY, ...own));
        for (let rank = 1; rank <= depth; rank++)
          expect(tail.largest(rank)).toBe(sorted[rank - 1] ?? Number.NEGATIVE_INFINITY);
      });
    }),
    { numRuns: 150 },
  );
});

test('falling and tied scores, where every removal hits the largest, leave the order right and cost little', () => {
  const [window, depth] = [20_000, 30];
  for (const value of [(i: number) => -i, (i: number) => -Math.floor(i / 7), () => 3]) {
    const tail = new Tail(window, depth);
    for (let i = 0; i < 3 * window; i++) tail.add(i, value(i), true);
    const first = 2 * window;
    for (let rank = 1; rank <= depth; rank++) expect(tail.largest(rank)).toBe(value(first + rank - 1));
  }
});

test('what has a name that was there already changes nothing', () => {
  const tail = new Tail(10, 3);
  expect(tail.add(5, 1, true)).toBe(true);
  expect(tail.add(5, 9, true)).toBe(false);
  expect(tail.add(4, 9, true)).toBe(false);
  expect(tail.remove(4)).toBe(false);
  expect(tail.remove(5)).toBe(true);
  expect(tail.remove(5)).toBe(false);
  expect(tail.size).toBe(0);
});

/** Share of 400 sites whose true share of ham above the threshold is within the budget. */
function kept(budget: number, n: number, draw: (u: number) => number, above: (t: number) => number): number {
  let good = 0;
  for (let seed = 0; seed < 400; seed++) {
    const random = seededRandom(seed, 'ham');
    const bound = new Bound(budget, 4_096);
    for (let i = 1; i <= n; i++) bound.add(i, draw(random()), true);
    if (above(bound.threshold) <= budget) good += 1;
  }
  return good / 400;
}

/** Three standard errors of 400 draws with 95 %. */
const LEAST = 0.95 - 3 * Math.sqrt((0.95 * 0.05) / 400);

test.each([299, 400, 1_500, 4_096, 6_000])(
  'with %i confirmed ham the share lost is within the budget at 19 of 20 sites',
  (n) => {
    const share = kept(
      0.01,
      n,
      (u) => u,
      (t) => 1 - t,
    );
    expect(share).toBeGreaterThanOrEqual(LEAST);
  },
);

test('ties, saturated scores and a spike at the end never break the bound', () => {
  // 3 % of the ham has the largest score there is: nothing may be acted on.
  const spike = (u: number) => (u > 0.97 ? Number.POSITIVE_INFINITY : u);
  expect(kept(0.01, 1_500, spike, (t) => (t === Number.POSITIVE_INFINITY ? 0 : 0.03))).toBe(1);
  // Scores of ten values: the share strictly above t.
  const coarse = (u: number) => Math.floor(u ** 0.05 * 10);
  const above = (t: number) => 1 - Math.min(1, (t + 1) / 10) ** 20;
  expect(kept(0.01, 1_500, coarse, above)).toBeGreaterThanOrEqual(LEAST);
  // Five in a thousand have one score.
  const lump = (u: number) => (u > 0.995 ? 1 : u * 0.9);
  expect(
    kept(0.01, 1_500, lump, (t) => (t >= 1 ? 0 : t >= 0.9 ? 0.005 : 1 - t / 0.9)),
  ).toBeGreaterThanOrEqual(LEAST);
});

test('the more ham was confirmed, the more of the budget is used', () => {
  const needed = neededFor(0.001, 65_536);
  const share = (n: number) => needed.filter((least) => least <= n).length / (n + 1);
  const shares = [2_995, 12_000, 24_000, 48_000, 65_536].map(share);
  expect([...shares].sort((a, b) => a - b)).toEqual(shares);
  expect(shares[0]).toBeCloseTo(1 / 2_996, 6);
  expect(shares[4]).toBeGreaterThan(0.00078);
  expect(shares[4]).toBeLessThan(0.001);
});

test('a bound says nothing until there is enough, and nothing again when labels are taken back', () => {
  const bound = new Bound(0.01, 1_000);
  for (let i = 1; i < 299; i++) bound.add(i, i, true);
  expect(bound.threshold).toBe(Number.POSITIVE_INFINITY);
  bound.add(299, 0, true);
  expect(bound.threshold).toBe(298);
  bound.remove(298);
  expect(bound.enough).toBe(false);
  expect(bound.threshold).toBe(Number.POSITIVE_INFINITY);
  bound.add(300, 1_000, true);
  expect(bound.threshold).toBe(1_000);
});

test('only the newest that are needed are asked, and older ones again when they buy a larger k', () => {
  const [first, second] = neededFor(0.01, 1_000);
  const bound = new Bound(0.01, 1_000);
  bound.add(1, 9, true);
  for (let i = 2; i <= first; i++) bound.add(i, 1, true);
  expect(bound.threshold).toBe(9);
  bound.add(first + 1, 1, true);
  expect(bound.threshold).toBe(1);
  bound.add(first + 2, 5, true);
  for (let i = first + 3; i < second; i++) bound.add(i, 1, true);
  expect(bound.threshold).toBe(5);
  bound.add(second, 1, true);
  expect(bound.threshold).toBe(5);
  bound.remove(1);
  expect(bound.threshold).toBe(5);
  bound.add(second + 1, 1, true);
  expect(bound.threshold).toBe(1);
});

test('a new base is never above its own ham, and alone counts once it has enough', () => {
  const bound = new Bound(0.01, 1_000);
  for (let i = 1; i <= 900; i++) bound.add(i, i / 900, true);
  const before = bound.threshold;
  expect(before).toBeLessThan(1);
  bound.rebase();
  expect(bound.threshold).toBe(before);
  bound.add(901, 5, true);
  expect(bound.threshold).toBe(5);
  bound.remove(901);
  expect(bound.threshold).toBeLessThan(1);
  bound.add(902, 0.5, false); // a late label of the base before
  for (let i = 903; i < 903 + 299; i++) bound.add(i, 0.1, true);
  expect(bound.confirmed).toBe(299);
  expect(bound.threshold).toBe(0.1);
  bound.add(2_000, 9, false);
  expect(bound.threshold).toBe(0.1);
});

test('a label costs less than 5 us and a full window is restored as it was', () => {
  const bound = new Bound(0.001, 65_536);
  const random = seededRandom(1, 'speed');
  const n = 400_000;
  const began = process.cpuUsage();
  for (let i = 1; i <= n; i++) bound.add(i, random() - i / n, true);
  const { user, system } = process.cpuUsage(began);
  expect((user + system) / n).toBeLessThan(5);
  const again = new Bound(0.001, 65_536);
  again.restore(bound.save());
  expect([again.threshold, again.confirmed]).toEqual([bound.threshold, 65_536]);
});
