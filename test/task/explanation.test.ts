import { expect, it } from 'vitest';
import type { Model, Rows } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { bucketNames, contributionText, explainRow, logOddsOf, signed } from '../../src/task/explanation.ts';
import { openTask, type Task } from '../../src/task/task.ts';

const engine = openEngine();

const machine = openTask({
  name: 'machine',
  event: 'sensor',
  labels: ['ok', 'fault'],
  decode: {
    kind: 'json',
    options: {
      fields: {
        vibration: { type: 'number' },
        humidity: { type: 'number' },
        state: { type: 'category' },
        since: { type: 'time' },
      },
    },
  },
  model: { kind: 'linear' },
  seed: 1,
});

const spam = openTask({
  name: 'spam',
  event: 'email',
  labels: ['ham', 'spam'],
  decode: { kind: 'mime' },
  model: { kind: 'linear' },
  seed: 1,
});

function eventOf(task: Task, payload: string) {
  const message = { source: 's', topic: 't', key: null, headers: {}, at: 1_000, position: 'p/0/1' };
  return task.decode({ ...message, payload: Buffer.from(payload) })[0];
}

function rowOf(task: Task, payload: string): Rows {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  task.fill(eventOf(task, payload), arena);
  return arena.view();
}

async function learned(
  task: Task,
  examples: readonly (readonly [payload: string, label: number])[],
): Promise<Model> {
  const model = task.newModel(engine);
  for (const [payload, label] of examples) await model.learn(rowOf(task, payload), Int32Array.of(label));
  return model;
}

const reading = (vibration: number | null, state = 'idle', humidity = 50) =>
  JSON.stringify({ vibration, humidity, state, since: '2026-01-02T03:04:05Z' });

/** Vibration decides; humidity is noise; `jammed` means fault too. */
const readings = Array.from({ length: 200 }, (_, i) => {
  const fault = i % 2;
  const state = fault && i % 4 === 1 ? 'jammed' : 'idle';
  return [reading(fault ? 8 + (i % 3) : 2 + (i % 3), state, 40 + ((i * 7) % 20)), fault] as const;
});

it('names the feature that decided a reading, with its value and direction', async () => {
  const model = await learned(machine, readings);
  const found = await explainRow(machine, model, rowOf(machine, reading(9.25)), 1);
  expect(found.label).toBe('fault');
  expect(found.contributions[0]).toMatchObject({
    feature: 'vibration',
    part: 'dense',
    value: 9.25,
    missing: false,
  });
  expect(found.contributions[0].logOdds).toBeGreaterThan(1);
  const humidity = found.contributions.find(({ feature }) => feature === 'humidity');
  expect(Math.abs(humidity?.logOdds ?? 0)).toBeLessThan(found.contributions[0].logOdds / 4);
  expect(contributionText(found.contributions[0], 'fault', 'mm/s')).toMatch(
    /^vibration 9\.25 mm\/s \(\+\d+\.\d towards fault\)$/,
  );
});

it('says of the other label the opposite', async () => {
  const model = await learned(machine, readings);
  const row = rowOf(machine, reading(9.25, 'jammed'));
  const [fault, ok] = [await explainRow(machine, model, row, 1), await explainRow(machine, model, row, 0)];
  expect(ok.probability).toBeCloseTo(1 - fault.probability, 6);
  for (const [i, { feature, logOdds }] of fault.contributions.entries()) {
    expect(ok.contributions[i].feature).toBe(feature);
    expect(ok.contributions[i].logOdds).toBeCloseTo(-logOdds, 3);
  }
});

it('gives contributions of a linear model that add up to its log-odds', async () => {
  const model = await learned(machine, readings);
  const found = await explainRow(machine, model, rowOf(machine, reading(5, 'jammed')), 1, { limit: 100 });
  const sum = found.contributions.reduce((all, { logOdds }) => all + logOdds, found.emptyLogOdds);
  expect(sum).toBeCloseTo(found.logOdds, 3);
});

const mail = (words: string, n = 1) =>
  `From: a@b.example\r\nSubject: note ${n}\r\nMessage-ID: <${n}@b.example>\r\n\r\n${words}\r\n`;

it('gives contributions of a text model that add up to its log-odds, each a share of the mean of its learners', async () => {
  const task = openTask({
    ...{ name: 'spam', event: 'email', labels: ['ham', 'spam'] },
    ...{ decode: { kind: 'mime' }, seed: 1 },
  });
  expect(task.model.kind).toBe('text');
  const examples = Array.from({ length: 60 }, (_, i) => {
    const words = i % 2 ? `buy cheap pills ${i} now` : `the meeting number ${i} moved to friday`;
    return [mail(words, i), i % 2] as const;
  });
  const model = await learned(task, examples);
  for (const payload of [
    mail('buy the pills on friday', 99),
    'Subject: no text\r\n\r\n',
    '\r\nno header, cheap pills',
  ]) {
    const names = bucketNames(task, eventOf(task, payload));
    const row = rowOf(task, payload);
    for (const label of [0, 1]) {
      const found = await explainRow(task, model, row, label, { names, limit: 100_000 });
      expect(found.looked).toBe(row.indptr[1]);
      const sum = found.contributions.reduce((all, { logOdds }) => all + logOdds, found.emptyLogOdds);
      expect(Math.abs(sum - found.logOdds)).toBeLessThan(1e-3);
      const { towards, away, rest } = found.reasons!;
      const reasons = [...towards, ...away, rest].reduce((all, { logOdds }) => all + logOdds, 0);
      expect(Math.abs(reasons + found.emptyLogOdds - found.logOdds)).toBeLessThan(1e-3);
      const kinds = found.together.reduce((all, { logOdds }) => all + logOdds, 0);
      expect(Math.abs(kinds + found.emptyLogOdds - found.logOdds)).toBeLessThan(1e-3);
    }
  }
});

it('takes a field with its indicator and the parts of a time as one feature', async () => {
  const model = await learned(machine, [
    ...readings,
    ...readings.map(([text, l]) => [l ? text : reading(null), l] as const),
  ]);
  const found = await explainRow(machine, model, rowOf(machine, reading(null)), 0);
  const vibration = found.contributions.find(({ feature }) => feature === 'vibration');
  expect(vibration).toMatchObject({ missing: true, value: null });
  expect(vibration?.logOdds).toBeGreaterThan(0);
  expect(contributionText(vibration!, 'ok')).toMatch(/^vibration missing \(\+/);
  expect(
    found.contributions.map(({ feature }) => feature).filter((name) => / (sin|cos|missing)$/.test(name)),
  ).toEqual([]);
});

it('names hashed cells where the event is at hand, and calls them buckets where it is not', async () => {
  const model = await learned(machine, readings);
  const row = rowOf(machine, reading(5, 'jammed'));
  const names = bucketNames(machine, eventOf(machine, reading(5, 'jammed')));
  const named = await explainRow(machine, model, row, 1, { names });
  expect(named.contributions.find(({ part }) => part === 'sparse')?.feature).toBe('state=jammed');
  const bare = await explainRow(machine, model, row, 1);
  expect(bare.contributions.find(({ part }) => part === 'sparse')?.feature).toBe(`bucket ${row.indices[0]}`);
  expect(contributionText(named.contributions.find(({ part }) => part === 'sparse')!, 'fault')).toMatch(
    /^state=jammed \(\+/,
  );
});

it('does not change the model', async () => {
  const model = await learned(machine, readings);
  const before = Buffer.from(await model.save());
  await explainRow(machine, model, rowOf(machine, reading(9)), 1);
  expect(Buffer.from(await model.save()).equals(before)).toBe(true);
});

it('explains a mail of thousands of cells at the price of scoring it once for each, in few calls, by kind of feature too', async () => {
  const model = await learned(
    spam,
    Array.from(
      { length: 40 },
      (_, i) => [mail(i % 2 ? 'buy cheap pills now' : 'meeting moved to friday', i), i % 2] as const,
    ),
  );
  const text = Array.from({ length: 400 }, (_, i) => ((i + 1) * 2654435761).toString(36)).join(' ');
  const payload = mail(`${text} buy cheap pills now`, 99);
  const row = rowOf(spam, payload);
  expect(row.indptr[1]).toBeGreaterThan(3_000);
  const names = bucketNames(spam, eventOf(spam, payload));
  const spent = { calls: 0, cells: 0 };
  const counted = new Proxy(model, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== 'score') return typeof value === 'function' ? value.bind(target) : value;
      return (rows: Rows) => {
        spent.calls += 1;
        spent.cells += rows.indptr[rows.count] - rows.indptr[0];
        return target.score(rows);
      };
    },
  });
  const found = await explainRow(spam, counted, row, 1, { names });
  // Each feature is left out of the row once; a little more goes to what is looked at together.
  expect(spent.cells).toBeLessThan(1.1 * found.features * row.indptr[1]);
  expect(spent.calls).toBeLessThan(found.features / 10);

  expect(found.looked).toBe(found.features);
  expect(found.contributions).toHaveLength(20);
  expect(found.contributions[0].feature).toMatch(
    /^(raw|header|body|chars|subject|structure|links)(Pairs)?: /,
  );
  expect(found.together.map(({ name }) => name)).toEqual(expect.arrayContaining(['raw', 'body', 'header']));
  const body = found.together.find(({ name }) => name === 'body')!;
  expect(body.logOdds).toBeGreaterThan(0);
});

it('looks at the strongest cells only where there are too many, and says so', async () => {
  const model = await learned(
    spam,
    Array.from(
      { length: 40 },
      (_, i) => [mail(i % 2 ? 'buy cheap pills now' : 'meeting moved to friday', i), i % 2] as const,
    ),
  );
  const row = rowOf(spam, mail(`${'lorem ipsum dolor '.repeat(20)} buy cheap pills now`, 99));
  const all = await explainRow(spam, model, row, 1, { limit: 10 });
  const some = await explainRow(spam, model, row, 1, { limit: 10, budget: 1 });
  expect(all.looked).toBe(all.features);
  expect(some.looked).toBe(64);
  expect(some.features).toBe(all.features);
  expect(some.contributions.map(({ feature }) => feature).sort()).toEqual(
    all.contributions.map(({ feature }) => feature).sort(),
  );
});

it('refuses a row of another shape and a label that the task does not have', async () => {
  const model = machine.newModel(engine);
  const row = rowOf(machine, reading(1));
  await expect(explainRow(machine, model, rowOf(spam, mail('x')), 1)).rejects.toMatchObject({
    code: 'MODEL_INPUT',
  });
  await expect(explainRow(machine, model, row, 2)).rejects.toMatchObject({ code: 'MODEL_INPUT' });
  const outside = { ...row, indices: Uint32Array.of(machine.shape.dims) };
  await expect(explainRow(machine, model, outside, 1)).rejects.toMatchObject({ code: 'MODEL_INPUT' });
});

it('keeps the digits of log-odds where a probability is close to one', () => {
  const small = Math.fround(1e-9);
  expect(logOddsOf(Float32Array.of(small, Math.fround(1 - small)), 1)).toBeCloseTo(Math.log(1e9), 4);
  expect(logOddsOf(Float32Array.of(0, 1), 1)).toBeLessThan(100);
  expect(Number.isFinite(logOddsOf(Float32Array.of(0, 1), 0))).toBe(true);
  expect([2.14, -0.7, 0.004, 0].map(signed)).toEqual(['+2.1', '-0.7', '+0.004', '+0']);
});
