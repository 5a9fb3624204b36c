/** The paired sequential test: its error budget with and without bursts, its power, and what no device can do to it. */
import { describe, expect, test } from 'vitest';
import { Evidence } from '../../src/fleet/hub/evidence.ts';
import { type PairedOptions, PairedTest } from '../../src/fleet/hub/paired.ts';
import { seededRandom } from '../../src/task/random.ts';

const OPTIONS: PairedOptions = {
  alpha: 0.01,
  margin: 0,
  tolerance: 0.05,
  perDevice: 0.1,
  minCount: 50,
  devices: 20,
};

function normals(seed: number, purpose: string): () => number {
  const random = seededRandom(seed, purpose);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

interface Stream {
  readonly rows: number;
  /** Mean rows of an episode of a device, in which one of the two models is right row after row; 0: none. */
  readonly burst: number;
  /** By how much the candidate's loss is lower in the mean. */
  readonly gain: number;
  readonly devices?: number;
}

/** The answer, and after how many rows. */
function run(seed: number, { rows, burst, gain, devices = 20 }: Stream, options = OPTIONS) {
  const uniform = seededRandom(seed, 'stream');
  const normal = normals(seed, 'losses');
  const test = new PairedTest({ ...options, devices });
  const episode = Array.from({ length: devices }, () => (burst > 0 ? 0.5 * normal() : 0));
  for (let i = 0; i < rows; i += 1) {
    const device = Math.floor(uniform() * devices);
    if (burst > 0 && uniform() < 1 / burst) episode[device] = 0.5 * normal();
    const base = 1.5 + 0.2 * normal();
    test.add(`d${device}`, base, base - gain + episode[device] + 0.3 * normal());
    const { answer } = test;
    if (answer === 'better' || answer === 'worse') return { answer, rows: i + 1 };
  }
  return { answer: null, rows };
}

/** The same stream with each row for itself, as if bursts did not exist. */
function runPlain(seed: number, burst: number, rows: number, devices = 20): boolean {
  const uniform = seededRandom(seed, 'stream');
  const normal = normals(seed, 'losses');
  const evidence = new Evidence();
  const episode = Array.from({ length: devices }, () => 0.5 * normal());
  for (let i = 0; i < rows; i += 1) {
    const device = Math.floor(uniform() * devices);
    if (uniform() < 1 / burst) episode[device] = 0.5 * normal();
    evidence.add(episode[device] + 0.3 * normal());
    if (evidence.log >= Math.log(100)) return true;
  }
  return false;
}

const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed);

describe('the error budget', () => {
  test('in 1,000 runs of equal models the test errs no more often than it says, row by row looked at', () => {
    const answers = seeds(1_000).map((seed) => run(seed, { rows: 700, burst: 0, gain: 0 }).answer);
    expect(answers.filter((answer) => answer === 'better').length).toBeLessThanOrEqual(10);
    expect(answers.filter((answer) => answer === 'worse').length).toBeLessThanOrEqual(10);
  });

  test('nor where losses come in episodes of ten rows a device; single rows would err many times as often', () => {
    const answers = seeds(1_000).map((seed) => run(seed, { rows: 800, burst: 10, gain: 0 }).answer);
    const wrong = (what: string) => answers.filter((answer) => answer === what).length;
    expect(wrong('better')).toBeLessThanOrEqual(10);
    expect(wrong('worse')).toBeLessThanOrEqual(10);
    const plain = seeds(200).filter((seed) => runPlain(seed, 10, 800)).length;
    expect(plain).toBeGreaterThan(20);
  });

  test('nor for one device alone', () => {
    const answers = seeds(200).map((seed) => run(seed, { rows: 800, burst: 10, gain: 0, devices: 1 }).answer);
    expect(answers.filter((answer) => answer !== null).length).toBeLessThanOrEqual(4);
  });

  test('a candidate that is better by less than the margin does not pass', () => {
    const strict = { ...OPTIONS, margin: 0.1 };
    const answers = seeds(200).map((seed) => run(seed, { rows: 700, burst: 0, gain: 0.1 }, strict).answer);
    expect(answers.filter((answer) => answer === 'better').length).toBeLessThanOrEqual(2);
  });
});

describe('the power', () => {
  test('a tenth of the loss is found within 1,500 rows, a third within 300, in nine runs of ten', () => {
    const within = (gain: number, rows: number) =>
      seeds(50).filter((seed) => run(seed, { rows, burst: 0, gain }).answer === 'better').length;
    expect(within(0.15, 1_500)).toBeGreaterThanOrEqual(45);
    expect(within(0.5, 300)).toBeGreaterThanOrEqual(45);
  });

  test('a candidate that is worse is found as fast', () => {
    const found = seeds(50).filter(
      (seed) => run(seed, { rows: 300, burst: 0, gain: -0.5 }).answer === 'worse',
    );
    expect(found.length).toBeGreaterThanOrEqual(45);
  });

  test('one that is as good passes as not worse within the tolerance', () => {
    const test = new PairedTest({ ...OPTIONS, tolerance: 0.2 });
    const normal = normals(3, 'equal');
    for (let i = 0; i < 2_000; i += 1) {
      const base = 1 + 0.2 * normal();
      test.add(`d${i % 20}`, base, base + 0.1 * normal());
    }
    expect(test.answer).toBe('notWorse');
  });

  test('nothing passes before the least number of rows, however clear it is', () => {
    const test = new PairedTest({ ...OPTIONS, minCount: 400 });
    for (let i = 0; i < 399; i += 1) test.add(`d${i % 20}`, 3, 0);
    expect(test.answer).toBeNull();
    test.add('d0', 3, 0);
    expect(test.answer).toBe('better');
  });
});

test('a candidate that is only less sure does not pass where labels are flipped at random, though its log-loss is lower', () => {
  const flips = normals(3, 'flips');
  const test = new PairedTest(OPTIONS);
  // The old model is sure and right but for the flips; the candidate has learned that one label in five is wrong.
  const loss = (p: number, right: boolean) => -Math.log(right ? p : 1 - p);
  let [old, other] = [0, 0];
  for (let i = 0; i < 4_000; i += 1) {
    const right = flips() < 0.84; // four in five
    const [sure, unsure] = [loss(0.97, right), loss(0.8, right)];
    [old, other] = [old + sure, other + unsure];
    test.add(`d${i % 20}`, sure, unsure);
    expect(test.answer).not.toBe('better');
  }
  expect(other, 'the trap').toBeLessThan(old);
});

describe('single devices', () => {
  const honest = (test: PairedTest, normal: () => number, i: number, gain: number) => {
    const base = 1 + 0.2 * normal();
    test.add(`d${1 + (i % 9)}`, base, base - gain + 0.2 * normal());
  };

  test('a device that floods the test counts for its share only', () => {
    const test = new PairedTest(OPTIONS);
    for (let i = 0; i < 10_000; i += 1) test.add('loud', 4, 0);
    expect(test.figures.rows).toBeLessThan(30);
    expect(test.figures.leftOut).toBeGreaterThan(9_900);
    expect(test.answer).toBeNull();
  });

  test('one hostile device in ten cannot carry a candidate that is worse for all others', () => {
    const normal = normals(5, 'carry');
    const test = new PairedTest({ ...OPTIONS, devices: 10 });
    const answers = new Set<string | null>();
    for (let i = 0; i < 4_000; i += 1) {
      test.add('d0', 4, 0);
      honest(test, normal, i, -0.08);
      answers.add(test.answer);
    }
    expect(answers.has('better')).toBe(false);
    expect(answers.has('notWorse')).toBe(false);
  });

  test('nor sink one that is better for all others', () => {
    const normal = normals(6, 'sink');
    const test = new PairedTest({ ...OPTIONS, devices: 10 });
    let answer = test.answer;
    for (let i = 0; i < 4_000 && answer === null; i += 1) {
      test.add('d0', 0, 4);
      honest(test, normal, i, 0.3);
      answer = test.answer === 'notWorse' ? null : test.answer;
    }
    expect(answer).toBe('better');
  });

  test('the number of devices is bounded, and a saved test goes on as if it had never stopped', () => {
    const one = new PairedTest(OPTIONS);
    const normal = normals(7, 'save');
    const values = Array.from(
      { length: 3_000 },
      (_, i) => [`d${(i * 7) % 1_500}`, 1, 0.9 + 0.2 * normal()] as const,
    );
    for (const value of values.slice(0, 2_000)) one.add(...value);
    expect(one.figures.devices).toBe(1_024);
    const two = new PairedTest(OPTIONS, JSON.parse(JSON.stringify(one.save())));
    values.slice(2_000).forEach((value, i) => {
      one.add(...value);
      two.add(...value);
      if (i % 50 === 0) expect(two.answer).toBe(one.answer);
    });
    expect(two.figures.better).toBeCloseTo(one.figures.better, 6);
    expect(two.figures.rows).toBe(one.figures.rows);
  });

  test('losses that are no numbers are left out, infinite ones count as the largest', () => {
    const test = new PairedTest(OPTIONS);
    test.add('a', Number.NaN, 1);
    test.add('a', 1, Number.NaN);
    expect(test.figures.rows).toBe(0);
    for (let i = 0; i < 8; i += 1) test.add('a', Number.POSITIVE_INFINITY, -1);
    expect(test.figures).toMatchObject({ rows: 8, blocks: 1, baseLoss: 4, difference: 4 });
  });
});
