import { describe, expect, test } from 'vitest';
import type { RowSet } from '../../src/contract.ts';
import { upperTail } from '../../src/fleet/trust/tail.ts';
import {
  assessTrust,
  boundContributions,
  follow,
  isTrusted,
  pickRows,
  pickSet,
  readTrust,
  type TrustState,
  writeTrust,
} from '../../src/fleet/trust.ts';
import { openEngine } from '../../src/model/engine.ts';
import { modelKinds } from '../../src/model/kinds.ts';
import { seededRandom } from '../../src/task/random.ts';
import { fleet, type Lie, shape, type World } from './trust/world.ts';

const engine = openEngine();

/** Names of the devices with a verdict. */
async function those(verdict: string, world: World): Promise<string[]> {
  const { devices } = await assessTrust(fleet(world), { engine, seed: world.seed });
  return [...devices].filter(([, device]) => device.verdict === verdict).map(([name]) => name);
}

async function accuracy(set: RowSet, tested: RowSet): Promise<number> {
  const model = engine.create('linear', shape, modelKinds.linear.options.parse({}), 1);
  await model.learn(set.rows, set.labels);
  const scores = await model.score(tested.rows);
  model.close();
  return (
    tested.labels.filter((label, i) => (scores[2 * i + 1] > 0.5 ? 1 : 0) === label).length /
    tested.labels.length
  );
}

const seeds = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe('one device of ten that lies', () => {
  test.each<Lie>(['flips', 'flips30', 'constant', 'random'])(
    'and %s is found, and nobody else',
    async (lie) => {
      for (const seed of seeds(6))
        expect(
          await those('suspicious', { devices: 10, rows: 200, seed, lies: { 3: lie } }),
          `seed ${seed}`,
        ).toEqual(['site/d3']);
    },
  );

  test('with one constant label is found where that is nearly always the right one too', async () => {
    for (const seed of seeds(4))
      expect(
        await those('suspicious', { devices: 10, rows: 200, seed, rare: true, lies: { 5: 'constant' } }),
        `seed ${seed}`,
      ).toEqual(['site/d5']);
  });

  test('leaves, once set aside, a model as good as one that never met it', async () => {
    const lying = fleet({ devices: 10, rows: 200, seed: 2, lies: { 0: 'flips' } });
    const unseen = fleet({ devices: 10, rows: 500, seed: 77 }).set;
    const { devices } = await assessTrust(lying, { engine, seed: 1 });
    const trusted = lying.devices
      .map((name, i) => (devices.get(name)?.verdict === 'suspicious' ? -1 : i))
      .filter((i) => i >= 0);
    const honest = lying.devices.map((name, i) => (name === 'site/d0' ? -1 : i)).filter((i) => i >= 0);
    const found = await accuracy(pickSet(lying.set, trusted), unseen);
    expect(Math.abs(found - (await accuracy(pickSet(lying.set, honest), unseen)))).toBeLessThan(0.005);
    expect(found).toBeGreaterThan(0.85);
  });

  test('is found beside two others', async () => {
    const lies = { 1: 'flips', 4: 'random', 8: 'flips30' } as const;
    for (const seed of seeds(3))
      expect(
        (await those('suspicious', { devices: 12, rows: 200, seed, lies })).sort(),
        `seed ${seed}`,
      ).toEqual(['site/d1', 'site/d4', 'site/d8']);
  });
});

describe('honest devices', () => {
  test.each([
    ['alike', 50, {}],
    ['some harder than others', 50, { spread: 0.15 }],
    ['with a rare label', 20, { rare: true }],
    ['of few rows', 20, { rows: 30 }],
  ])(
    '%s are suspected in none of %i assessments',
    async (_, worlds, over) => {
      let suspected = 0;
      for (const seed of seeds(worlds)) {
        const found = await those('suspicious', { devices: 10, rows: 120, seed: 1_000 + seed, ...over });
        suspected += found.length > 0 ? 1 : 0;
      }
      expect(suspected).toBe(0);
    },
    20_000,
  );

  test('whose errors come in bursts are not suspected', async () => {
    for (const seed of seeds(10)) {
      const input = fleet({ devices: 10, rows: 160, seed });
      const random = seededRandom(seed, 'bursts');
      // On each device one or two episodes of sixteen rows in which half of the labels are wrong.
      const labels = input.set.labels.slice();
      for (let d = 0; d < 10; d++)
        for (let episode = 0; episode < 1 + (d % 2); episode++) {
          const from = Math.floor(random() * 140);
          for (let k = from; k < from + 16; k++)
            if (random() < 0.5) labels[k * 10 + d] = 1 - labels[k * 10 + d];
        }
      const { devices } = await assessTrust({ ...input, set: { ...input.set, labels } }, { engine, seed });
      expect(
        [...devices.values()].filter(({ verdict }) => verdict === 'suspicious'),
        `seed ${seed}`,
      ).toEqual([]);
    }
  });

  test('of another kind of machine have a concept of their own and go on teaching', async () => {
    for (const lies of [{ 2: 'own concept' }, { 2: 'own concept', 7: 'own concept' }] as Record<
      number,
      Lie
    >[])
      for (const seed of seeds(4)) {
        const world = { devices: 10, rows: 200, seed, lies };
        expect(await those('suspicious', world), `seed ${seed}`).toEqual([]);
        expect(await those('different', world), `seed ${seed}`).toEqual(
          Object.keys(lies).map((d) => `site/d${d}`),
        );
      }
  });

  test('of another kind, nearly a third of all, are not taken for liars, told apart or not', async () => {
    const lies = { 2: 'own concept', 5: 'own concept', 7: 'own concept' } as const;
    let told = 0;
    for (const seed of seeds(6)) {
      const world = { devices: 10, rows: 200, seed, lies };
      expect(await those('suspicious', world), `seed ${seed}`).toEqual([]);
      const different = await those('different', world);
      expect(['site/d2', 'site/d5', 'site/d7']).toEqual(expect.arrayContaining(different));
      told += different.length;
    }
    expect(told).toBeGreaterThan(9);
  });

  test('are told apart from a liar in the same fleet', async () => {
    const world = {
      devices: 12,
      rows: 200,
      seed: 3,
      lies: { 2: 'own concept', 5: 'own concept', 9: 'flips' },
    } as const;
    expect(await those('suspicious', world)).toEqual(['site/d9']);
    expect(await those('different', world)).toEqual(['site/d2', 'site/d5']);
  });
});

describe('an assessment', () => {
  test('is the same for the same input, and says why', async () => {
    const input = fleet({ devices: 8, rows: 100, seed: 4, lies: { 1: 'flips' } });
    const [once, again] = [
      await assessTrust(input, { engine, seed: 9 }),
      await assessTrust(input, { engine, seed: 9 }),
    ];
    expect([...once.devices]).toEqual([...again.devices]);
    expect(once.devices.get('site/d1')?.reason).toMatch(
      /^\d+ % of its labels.* contradict the other devices, \d+ % are usual; /,
    );
  });

  test('judges nobody where there is no majority, nor who has too few rows', async () => {
    const three = await assessTrust(fleet({ devices: 3, rows: 200, seed: 1, lies: { 0: 'flips' } }), {
      engine,
      seed: 1,
    });
    expect(three.devices.size).toBe(0);
    const input = fleet({ devices: 10, rows: 40, seed: 1 });
    const names = input.devices.map((name, i) => (name === 'site/d4' && i > 200 ? 'site/d5' : name));
    expect(
      (await assessTrust({ ...input, devices: names }, { engine, seed: 1 })).devices.has('site/d4'),
    ).toBe(false);
    const empty = await assessTrust(
      { ...input, set: pickSet(input.set, []), devices: [] },
      { engine, seed: 1 },
    );
    expect(empty.devices.size).toBe(0);
  });

  test('looks at the newest rows only, so that who agrees again is found to', async () => {
    const lying = fleet({ devices: 6, rows: 400, seed: 5, lies: { 2: 'flips' } });
    const labels = lying.set.labels.map((label, i) => (i % 6 === 2 && i >= 6 * 200 ? 1 - label : label));
    const { devices } = await assessTrust(
      { ...lying, set: { ...lying.set, labels } },
      { engine, seed: 1, suspicious: new Set(['site/d2']) },
    );
    expect(devices.get('site/d2')?.verdict).toBe('agrees');
  });
});

describe('trust over time', () => {
  const verdict = (one: 'agrees' | 'suspicious' | 'different', p = 1) => ({
    devices: new Map([['a', { verdict: one, reason: 'why', rows: 50, contradictions: 1, p }]]),
    usual: 0.1,
  });

  test('keeps since when and why, and ends when the device plainly agrees again', () => {
    let state: TrustState = new Map();
    state = follow(state, verdict('suspicious', 0.001), 10);
    state = follow(state, verdict('suspicious', 0.0001), 20);
    expect(state.get('a')).toEqual({ state: 'suspicious', since: 10, reason: 'why' });
    expect([isTrusted(state, 'a'), isTrusted(state, 'b')]).toEqual([false, true]);
    state = follow(state, verdict('agrees', 0.05), 30);
    expect(isTrusted(state, 'a')).toBe(false);
    state = follow(state, { devices: new Map(), usual: 0 }, 35);
    expect(isTrusted(state, 'a')).toBe(false);
    state = follow(state, verdict('different', 0.001), 40);
    expect(state.get('a')).toMatchObject({ state: 'different', since: 40 });
    expect(isTrusted(state, 'a')).toBe(true);
    expect(follow(follow(state, verdict('suspicious', 0), 50), verdict('agrees', 0.9), 60).size).toBe(0);
  });

  test('survives as text; text that is none trusts everybody', () => {
    const state = follow(new Map(), verdict('suspicious', 0), 10);
    expect(readTrust(writeTrust(state))).toEqual(state);
    for (const text of [null, '', '{', '[]', '{"a":{"state":"evil"}}', '3'])
      expect(readTrust(text).size).toBe(0);
  });

  test('is bounded', () => {
    const many = new Map(
      Array.from(
        { length: 12_000 },
        (_, i) => [`d${i}`, { state: 'different', since: i, reason: '' }] as const,
      ),
    );
    const state = follow(many, { devices: new Map(), usual: 0 }, 1);
    expect([state.size, state.has('d0'), state.has('d11999')]).toEqual([10_000, false, true]);
  });
});

describe('bounded contributions', () => {
  const keysOf = (counts: readonly number[]) =>
    counts.flatMap((count, d) => new Array<string>(count).fill(`d${d}`));
  const rising = (count: number) => Float64Array.from({ length: count }, (_, i) => i);
  const kept = (counts: readonly number[], seed = 1) => {
    const keys = keysOf(counts);
    const places = boundContributions(keys, rising(keys.length), { seed });
    return counts.map((_, d) => [...places].filter((i) => keys[i] === `d${d}`).length);
  };

  test('leave no device more than three times the mean of what is left', () => {
    const random = seededRandom(8, 'counts');
    for (let n = 0; n < 60; n++) {
      const counts = Array.from(
        { length: 1 + Math.floor(random() * 30) },
        () => 1 + Math.floor(random() ** 6 * 2_000),
      );
      const left = kept(counts);
      const mean = left.reduce((a, b) => a + b, 0) / left.length;
      expect(Math.max(...left)).toBeLessThanOrEqual(3 * mean);
      // Nothing is cut that need not be: one row more would be too many for who was cut.
      const cap = Math.max(...left);
      if (left.some((count, d) => count < counts[d])) {
        const one = counts.map((count) => Math.min(count, cap + 1));
        expect(cap + 1).toBeGreaterThan((3 * one.reduce((a, b) => a + b, 0)) / one.length);
      } else expect(left).toEqual(counts);
    }
  });

  test('cut nothing of three or fewer, and nothing of nothing', () => {
    expect(kept([5_000])).toEqual([5_000]);
    expect(kept([5_000, 1])).toEqual([5_000, 1]);
    expect(kept([5_000, 1, 1])).toEqual([5_000, 1, 1]);
    expect(boundContributions([], [], { seed: 1 })).toHaveLength(0);
  });

  test('keep the newest, in order; of one time they are drawn by the seed', () => {
    const keys = keysOf([100, 5, 5, 5]);
    const places = boundContributions(keys, rising(115), { seed: 1 });
    const own = [...places].filter((i) => i < 100);
    expect(own).toEqual(Array.from({ length: own.length }, (_, i) => 100 - own.length + i));
    expect([...places]).toEqual([...places].sort((a, b) => a - b));
    const same = (seed: number) => [...boundContributions(keys, new Float64Array(115), { seed })];
    expect(same(1)).toEqual(same(1));
    expect(same(1)).not.toEqual(same(2));
    expect(same(1)).toHaveLength(places.length);
  });
});

test('rows are picked as they are, in the order asked for', () => {
  const rows = {
    count: 3,
    indptr: Uint32Array.of(0, 2, 2, 3),
    indices: Uint32Array.of(5, 1, 9),
    values: Float32Array.of(1, 2, 3),
    denseDims: 1,
    dense: Float32Array.of(7, Number.NaN, 8),
  };
  expect(pickRows(rows, [2, 0])).toEqual({
    count: 2,
    indptr: Uint32Array.of(0, 1, 3),
    indices: Uint32Array.of(9, 5, 1),
    values: Float32Array.of(3, 1, 2),
    denseDims: 1,
    dense: Float32Array.of(8, 7),
  });
});

test('tail probabilities are those of the tables', () => {
  const table = [
    [1.959964, Infinity, 0.025],
    [3.090232, Infinity, 0.001],
    [2.228139, 10, 0.025],
    [5.207, 5, 0.00172],
    [6.313752, 1, 0.05],
    [0, 4, 0.5],
  ];
  for (const [t, freedom, p] of table) expect(upperTail(t, freedom) / p).toBeCloseTo(1, 2);
  expect(upperTail(-1.959964, Infinity)).toBeCloseTo(0.975, 5);
});
