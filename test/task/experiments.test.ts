/** What the trainer promises: the best of what was tried, the same every time, judged by what comes later alone. */
import { describe, expect, test } from 'vitest';
import type { TrainResult } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { featurizers } from '../../src/features/index.ts';
import { openEngine } from '../../src/model/engine.ts';
import { modelKinds } from '../../src/model/kinds.ts';
import { type Bench, halve, planRounds } from '../../src/task/experiments/halving.ts';
import { memoryStore } from '../../src/task/experiments/rows.ts';
import { drawExperiments } from '../../src/task/experiments/space.ts';
import { scoreRows, Yardstick } from '../../src/task/experiments/trial.ts';
import { drawVariants } from '../../src/task/experiments/variants.ts';
import { digestRows, inProcessTrainer, learnedRows } from '../../src/task/experiments.ts';
import { seeded } from '../model/fixtures.ts';
import { first, request, rowSet } from './experiments-kit.ts';

const engine = openEngine({ threads: 1 });
const trainer = inProcessTrainer(engine);

const failure = (work: Promise<unknown>): Promise<SluiceError> =>
  work.then(
    () => expect.fail('it did not fail'),
    (error) => error as SluiceError,
  );

/** All but the rates, which are a matter of the clock. */
const withoutRates = ({ leaderboard, model }: TrainResult) => ({
  board: leaderboard.map(({ rate: _, ...trial }) => trial),
  model: Buffer.from(model).toString('hex'),
});

describe('halving', () => {
  test('gives each round three times the rows and a third of the trials; few rows make fewer rounds', () => {
    expect(planRounds(1, 900)).toEqual([{ trials: 1, rows: 900 }]);
    expect(planRounds(3, 900)).toEqual([{ trials: 3, rows: 900 }]);
    expect(planRounds(20, 9_000)).toEqual([
      { trials: 20, rows: 1_000 },
      { trials: 7, rows: 3_000 },
      { trials: 3, rows: 9_000 },
    ]);
    expect(planRounds(20, 4_500)).toEqual([
      { trials: 20, rows: 1_500 },
      { trials: 7, rows: 4_500 },
    ]);
    expect(planRounds(20, 90)).toEqual([{ trials: 20, rows: 90 }]);
  });

  /** Trials whose loss is their rate's distance from 0.7, ending in a seeded disorder. */
  const planted = (places: number, seed: number): Bench => {
    const random = seeded(seed);
    return {
      places,
      try: async ({ experiment, validate }) => {
        await new Promise((resolve) => setTimeout(resolve, random() * 4));
        const logLoss = Math.abs(experiment.options.rate - 0.7);
        const validation = { tested: validate.to, accuracy: 0, logLoss, interval: [0, 1] as const };
        return { validation, modelBytes: 1, rate: 1, blocks: [logLoss, logLoss] };
      },
      train: async () => new Uint8Array(),
      close: async () => {},
    };
  };
  // The first is the configured one: it has a place in every round.
  const contenders = [3, 0.1, 0.7, 0.2, 0.9, 0.5, 0.7, 2, 1].map((rate) => ({
    variant: 0,
    experiment: { ...first, options: { ...first.options, rate } },
  }));

  test('finds the planted best whatever the number of places and the order of endings; ties go by order', async () => {
    const slices = { train: 9_000, end: 10_000 };
    const boards = [];
    for (const [places, seed] of [
      [1, 1],
      [2, 2],
      [4, 3],
      [9, 4],
    ])
      boards.push(await halve({ contenders, slices, bench: planted(places, seed) }));
    for (const board of boards) expect(board).toEqual(boards[0]);
    expect(boards[0].map(({ order, round }) => [order, round])).toEqual([
      [2, 2],
      [6, 2],
      [0, 2],
      [5, 1],
      [4, 1],
      [8, 1],
      [3, 1],
      [1, 1],
      [7, 1],
    ]);
    expect(boards[0][0].trainedRows).toBe(9_000);
    expect(boards[0][2].trainedRows).toBe(9_000);
    expect(boards[0][8].trainedRows).toBe(3_000);
  });

  test('after a drift the best of an early round wins, as the configuration that uses so few of the newest rows', async () => {
    const drifted: Bench = {
      ...planted(2, 1),
      try: async ({ train, validate, experiment }) => {
        const logLoss = (train.to - train.from) / 10_000 + Math.abs(experiment.options.rate - 0.7);
        const validation = { tested: validate.to, accuracy: 0, logLoss, interval: [0, 1] as const };
        return { validation, modelBytes: 1, rate: 1, blocks: [logLoss, logLoss] };
      },
    };
    const board = await halve({ contenders, slices: { train: 9_000, end: 10_000 }, bench: drifted });
    expect(board).toHaveLength(contenders.length);
    expect(board[0]).toMatchObject({ order: 2, round: 1, trainedRows: 3_000, experiment: { newest: 3_000 } });
  });

  test('few rows that win by luck do not win: block by block it must hold', async () => {
    const lucky: Bench = {
      ...planted(1, 1),
      try: async ({ train, validate, experiment }) => {
        const all = train.to - train.from === 9_000;
        const blocks = all ? [0.5, 0.5, 0.5, 0.5] : [0.1, 0.6, 0.2, 0.7];
        const logLoss = blocks.reduce((sum, each) => sum + each) / 4 + experiment.options.rate / 1_000;
        const validation = { tested: validate.to, accuracy: 0, logLoss, interval: [0, 1] as const };
        return { validation, modelBytes: 1, rate: 1, blocks };
      },
    };
    const board = await halve({ contenders, slices: { train: 9_000, end: 10_000 }, bench: lucky });
    expect(board[0]).toMatchObject({ round: 2, trainedRows: 9_000, order: 1 });
  });

  test('one failing trial ends the run with its error, and no further trial begins', async () => {
    const bench = planted(2, 1);
    let begun = 0;
    const failing: Bench = {
      ...bench,
      try: async (job) => {
        begun += 1;
        if (begun === 3) throw new SluiceError('TRAINING_FAILED', 'planted');
        return bench.try(job);
      },
    };
    const error = await failure(halve({ contenders, slices: { train: 9_000, end: 10_000 }, bench: failing }));
    expect(error.message).toBe('planted');
    expect(begun).toBeLessThanOrEqual(5);
  });
});

describe('draws', () => {
  test('of every kind are valid options; a larger budget tries the same and more', () => {
    for (const [kind, row] of Object.entries(modelKinds)) {
      const options = row.options.parse({});
      const drawn = drawExperiments({ kind, options, passes: 1, newest: 0 }, 300, 8_000, 5);
      for (const { options: each } of drawn) expect(row.options.safeParse(each).error).toBeUndefined();
      expect(new Set(drawn.map((each) => JSON.stringify(each))).size).toBeGreaterThan(200);
      expect(new Set(drawn.map(({ newest }) => newest))).toEqual(new Set([0, 4_000, 2_000, 1_000]));
      expect(drawExperiments(drawn[0], 10, 8_000, 5)).toEqual(drawn.slice(0, 10));
      expect(drawExperiments(drawn[0], 10, 8_000, 6)[1]).not.toEqual(drawn[1]);
      for (const name of Object.keys(row.search)) expect(options).toHaveProperty(name);
    }
  });
});

describe('feature variants', () => {
  const mail = {
    name: 'spam',
    event: 'email',
    labels: ['ham', 'spam'],
    decode: { kind: 'mime' },
    features: { options: { tailBytes: 100, key: 'secret' } },
    model: { kind: 'linear' },
    seed: 1,
  } as const;
  const reading = {
    ...mail,
    event: 'sensor',
    decode: { kind: 'json', options: { fields: { t: { type: 'number' } } } },
    features: {},
  } as const;

  test.each(Object.keys(featurizers))(
    'every value that is searched for %s is one the options allow',
    (name) => {
      const { options, search } = featurizers[name as keyof typeof featurizers];
      for (const [path, values] of Object.entries(search)) {
        for (const value of values) {
          const given = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
          expect(options.safeParse(given).error).toBeUndefined();
        }
      }
    },
  );

  test('begin with the configured features, differ from each other, and keep what is not searched', () => {
    const variants = drawVariants(mail, 40, 1, true);
    expect(variants).toHaveLength(4);
    expect(variants[0].changes).toEqual({});
    expect(new Set(variants.map(({ task }) => task.features)).size).toBe(4);
    for (const { spec } of variants)
      expect(spec.features?.options).toMatchObject({ tailBytes: 100, key: 'secret' });
    expect(drawVariants(mail, 40, 1, true).map(({ changes }) => changes)).toEqual(
      variants.map(({ changes }) => changes),
    );
    expect(drawVariants(mail, 1, 1, true)).toHaveLength(1);
  });

  test('leave out what changes nothing: buckets without categories, the time of events that have none', () => {
    for (let seed = 0; seed < 30; seed += 1) {
      for (const { changes } of drawVariants(reading, 40, seed, false))
        expect(Object.keys(changes).every((path) => ['missing', 'windows.on'].includes(path))).toBe(true);
    }
  });
});

describe('the trainer', () => {
  test('gives the same board and the same bytes for the same request, and others for another seed', async () => {
    const set = rowSet(3_000, (x, y, i) => x + y * (i % 3) > 0);
    const one = await trainer.train(request(set, { budget: 6 }));
    const two = await trainer.train(request(set, { budget: 6 }));
    expect(withoutRates(two)).toEqual(withoutRates(one));
    expect(one.leaderboard).toHaveLength(6);
    expect(one.winner).toEqual(one.leaderboard[0]);
    const other = await trainer.train(request(set, { budget: 6, seed: 2 }));
    expect(withoutRates(other).board).not.toEqual(withoutRates(one).board);
  });

  test('with a budget of 1 trains the configured one, and its model has learned the validation rows too', async () => {
    const set = rowSet(2_000);
    const { leaderboard, winner, model } = await trainer.train(request(set));
    expect(leaderboard).toHaveLength(1);
    expect(winner).toMatchObject({ experiment: first, round: 1, trainedRows: 1_600 });
    expect(winner.validation.tested).toBe(400);
    expect(winner.validation.accuracy).toBeGreaterThan(0.95);
    const [low, high] = winner.validation.interval;
    expect(low).toBeLessThan(winner.validation.logLoss);
    expect(high).toBeGreaterThan(winner.validation.logLoss);
    const whole = engine.create('linear', request(set).shape, first.options, 1);
    await whole.learn(set.rows, set.labels, set.weights);
    expect(Buffer.from(model).equals(Buffer.from(await whole.save()))).toBe(true);
    whole.close();
  });

  test('after a drift finds that old rows do harm', async () => {
    // The first three quarters of the training rows teach the opposite.
    const set = rowSet(5_000, (x, y, i) => (i < 3_000 ? x + y < 0 : x + y > 0));
    const { leaderboard, winner } = await trainer.train(request(set, { budget: 9, seed: 3 }));
    const configured = await trainer.train(request(set));
    const learned = learnedRows(request(set), { winner, leaderboard, model: new Uint8Array() });
    expect(learned).toEqual({ from: 5_000 - winner.experiment.newest, to: 5_000 });
    expect(digestRows(memoryStore(set), learned.from, learned.to)).toMatch(/^[0-9a-f]{64}$/);
    expect(winner.experiment.newest).toBeGreaterThan(0);
    expect(winner.validation.logLoss).toBeLessThan(configured.winner.validation.logLoss * 0.7);
    expect(leaderboard).toHaveLength(9);
  });

  test('does not see the rows that validate: labels that only these could teach are not predicted', async () => {
    // From row 800 on a bucket of its own gives the label away; before, it says nothing.
    const random = seeded(9);
    const set = rowSet(1_000, () => random() < 0.5);
    for (let i = 0; i < 1_000; i += 1) set.rows.indices[i] = i < 800 ? 7 : 20 + set.labels[i];
    const { winner, model } = await trainer.train(request(set, { budget: 5 }));
    expect(winner.validation.accuracy).toBeLessThan(0.65);
    // The final model was taught them.
    const trained = engine.load(model);
    let right = 0;
    const seen = (row: number, scores: Float32Array, offset: number) => {
      if (scores[offset + 1] > 0.5 === (set.labels[row] === 1)) right += 1;
    };
    await scoreRows(trained, memoryStore(set), { from: 800, to: 1_000 }, seen);
    trained.close();
    expect(right).toBeGreaterThan(150);
  });

  test('goes on from the live base where that is better, behind the rows it knows', async () => {
    const set = rowSet(1_200, (x, y) => 3 * x - y > 0);
    const base = await trainer.train(
      request(
        rowSet(20_000, (x, y) => 3 * x - y > 0, 2),
        { budget: 1 },
      ),
    );
    const few = { ...set, rows: { ...set.rows, count: 60 } };
    const result = await trainer.train(request(few, { start: base.model, budget: 2 }));
    expect(result.leaderboard).toHaveLength(3);
    expect(result.winner.experiment.continued).toBe(true);
    const behind = await trainer.train(request(set, { start: base.model, startUntil: 1_000 * 900 }));
    const going = behind.leaderboard.find(({ experiment }) => experiment.continued);
    expect(going?.trainedRows).toBe(960 - 901);
  });

  test('leaves out a base that has learned rows that validate', async () => {
    const set = rowSet(1_000);
    const base = await trainer.train(request(set));
    const result = await trainer.train(request(set, { start: base.model, startUntil: 999_000 }));
    expect(result.leaderboard).toHaveLength(1);
    expect(result.winner.experiment.continued).toBeUndefined();
  });

  test('judges by weights: rows without weight neither teach nor count', async () => {
    const set = rowSet(1_000, (x, y, i) => (i % 2 === 0 ? x + y > 0 : x + y < 0));
    const weights = set.weights.map((_, i) => (i % 2 === 0 ? 1 : 0));
    const { winner } = await trainer.train(request({ ...set, weights }));
    expect(winner.validation.tested).toBe(100);
    expect(winner.validation.accuracy).toBeGreaterThan(0.9);
  });

  test.each([
    ['no rows', request(rowSet(0))],
    ['one row', request(rowSet(1))],
    ['no validation', request(rowSet(100), { validation: 0 })],
    ['no budget', request(rowSet(100), { budget: 0 })],
    ['a label that does not exist', request({ ...rowSet(10), labels: new Int32Array(10).fill(2) })],
    [
      'time that runs backwards',
      request({ ...rowSet(10), at: Float64Array.from({ length: 10 }, (_, i) => -i) }),
    ],
    [
      'columns that the model does not have',
      request(rowSet(10), { shape: { dims: 64, denseDims: 3, classes: 2 } }),
    ],
    ['buckets outside the space', request(rowSet(100), { shape: { dims: 16, denseDims: 2, classes: 2 } })],
    ['a kind that does not exist', request(rowSet(100), { first: { ...first, kind: 'oracle' } })],
    ['a start that is no model', request(rowSet(100), { start: new Uint8Array(40) })],
  ])('refuses %s as TRAINING_FAILED', async (_, bad) => {
    expect((await failure(trainer.train(bad))).code).toBe('TRAINING_FAILED');
  });

  test('stops when it is told to, with the reason', async () => {
    const stop = new AbortController();
    let trials = 0;
    const counting = inProcessTrainer(engine, () => {
      trials += 1;
      stop.abort(new Error('no longer wanted'));
    });
    const error = await failure(counting.train(request(rowSet(3_000), { budget: 9 }), stop.signal));
    expect(error.message).toBe('no longer wanted');
    expect(trials).toBe(1);
  });
});

describe('the interval of the log-loss', () => {
  test('holds the true mean in about 95 of 100 independent samples, and is wider where neighbours resemble each other', () => {
    const random = seeded(4);
    let held = 0;
    let [plain, grouped] = [0, 0];
    for (let run = 0; run < 400; run += 1) {
      const [alone, together] = [new Yardstick(400), new Yardstick(400)];
      let loss = 0;
      for (let i = 0; i < 400; i += 1) {
        const fresh = -Math.log(1 - random());
        if (i % 20 === 0) loss = fresh;
        alone.add(true, fresh, 1);
        together.add(true, loss, 1);
      }
      const { interval } = alone.measured();
      if (interval[0] <= 1 && 1 <= interval[1]) held += 1;
      plain += interval[1] - interval[0];
      grouped += together.measured().interval[1] - together.measured().interval[0];
    }
    expect(held).toBeGreaterThan(400 * 0.9);
    expect(held).toBeLessThan(400);
    expect(grouped).toBeGreaterThan(plain * 2);
  });
});
