/**
 * What a model teaches itself in a gateway is in the journal like a label: the running model stays the fold of it,
 * whatever comes at once, and nothing of an event stays behind that was corrected, withdrawn or forgotten.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Event, JournalEntry, Outgoing, Store } from '../../src/contract.ts';
import { Envelope } from '../../src/envelope.ts';
import { concat, RowArena } from '../../src/features/rows.ts';
import { type Base, blankBase } from '../../src/fleet/base.ts';
import { Labels } from '../../src/fleet/labels.ts';
import { Learner } from '../../src/fleet/learner.ts';
import { OwnLabels } from '../../src/fleet/own-labels.ts';
import { pastModel } from '../../src/fleet/past.ts';
import { RowsFeed } from '../../src/fleet/rows-feed.ts';
import { OWN_LABEL } from '../../src/model/kinds.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { failNext } from '../state/failing.ts';
import { MAIL_LABELS, mailOf, mailTask, truthOf } from '../task/mail-kit.ts';
import { engine } from './kit.ts';

const task = mailTask();
const LABELLED = 310;
let telemetry: Telemetry;
let folder = '';
let [store, learner, labels, own] = [null!, null!, null!, null!] as [Store, Learner, Labels, OwnLabels];

beforeEach(async () => {
  telemetry = new Telemetry({ level: 'silent' });
  folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-own-'));
  await open();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await labels.stop();
  await learner.close();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(learning: 'online' | 'frozen' = 'online'): Promise<void> {
  const { path: _, ...limits } = storeOptions.parse({});
  const common = { task, clock: systemClock, telemetry };
  store = await openStore({ path: path.join(folder, 'state'), limits, ...common });
  learner = await Learner.open({ ...common, engine, store, learning, minLabels: 20, minPerLabel: 5 });
  labels = new Labels({ ...common, store, learner, bury: () => Promise.resolve() });
  own = new OwnLabels({ ...common, learner, labels });
}

/** `clean` false: without the last snapshot, as a kill would. */
async function reopen(clean: boolean, learning: 'online' | 'frozen' = 'online'): Promise<void> {
  await labels.stop();
  if (clean) await learner.close();
  await store.close();
  await open(learning);
}

const events = (from: number, to: number): Event[] =>
  Array.from({ length: to - from }, (_, i) => task.decode(mailOf(from + i))[0]);

/** Scores and joins events as the lane does; to how many the model was asked to learn by itself. */
async function serve(some: readonly Event[]): Promise<number> {
  const before = await telemetry.value('self_trained');
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const event of some) task.fill(event, arena);
  const { probabilities, model, sufficient } = learner.score(arena.view());
  const scores = await probabilities;
  const best = (_event: Event, i: number) => (scores[2 * i + 1] > 0.5 ? 1 : 0);
  const predicted = sufficient ? Int32Array.from(some.map(best)) : new Int32Array(some.length).fill(-1);
  const batch = { rows: arena.view(), events: some, scores, predicted, model };
  const joined = store.join.put({ task: task.name, features: task.features, classes: 2, ...batch });
  own.scored(batch);
  arena.reset();
  await joined;
  labels.joined(some);
  await settled();
  return (await telemetry.value('self_trained')) - before;
}

async function settled(): Promise<void> {
  await labels.give([]);
  await learner.settled();
  await store.cursors.set('flush', 1);
  await learner.settled();
}

const say = async (event: Event, label: string | null, forget = false): Promise<void> => {
  const target = { kind: 'name', name: event.id } as const;
  await labels.give([{ target, label, origin: 'test', weight: 1, at: 1, ...(forget ? { forget } : {}) }]);
  await learner.settled();
};
const right = (event: Event) => MAIL_LABELS[truthOf(Number(event.id.split('/').at(-1)))];
const wrong = (event: Event) => MAIL_LABELS.find((label) => label !== right(event))!;

let filler = 100_000;
/** So many mails without a label that the next may be learned. */
async function silence(): Promise<void> {
  filler += 199;
  expect(await serve(events(filler - 199, filler))).toBe(0);
}

/** Labelled mails, then mails that nobody labels; to those of them that the model learned by itself. */
async function taught(labelled = LABELLED, free = 60): Promise<Event[]> {
  const some = events(0, labelled);
  await serve(some);
  const target = (event: Event) => ({ kind: 'name', name: event.id }) as const;
  const given = { origin: 'test', weight: 1, at: 1 };
  await labels.give(some.map((event) => ({ ...given, target: target(event), label: right(event) })));
  await learner.settled();
  await silence();
  const rest = events(labelled, labelled + free);
  for (let i = 0; i < rest.length; i += 20) await serve(rest.slice(i, i + 20));
  return rest.filter(({ id }) => store.journal.ownOf(task.name, id) > 0);
}

const entries = () => store.journal.read(task.name, 0, 10_000, { own: true }).entries;
const entriesOf = (event: Event) => entries().filter(({ event: id }) => id === event.id);
const bits = async () => Buffer.from(await learner.save());

/** The bytes of a model that learned exactly these on a base, one by one. */
async function folded(some: readonly JournalEntry[], base: Base = blankBase(task)): Promise<Buffer> {
  const model = base.weights ? task.loadModel(engine, base.weights) : task.newModel(engine);
  for (const { joined, label, weight } of some)
    await model.learn(joined.rows, Int32Array.of(label), Float32Array.of(weight));
  const bytes = Buffer.from(await model.save());
  model.close();
  return bytes;
}
const isFold = async (some = entries()) => expect((await bits()).equals(await folded(some))).toBe(true);

test('sure verdicts that nobody labelled are learned, count as no label, and are the fold of the journal', async () => {
  const asked = await taught();
  expect(asked.length).toBeGreaterThan(20);
  expect(learner.labels).toBe(LABELLED);
  expect(learner.name.endsWith(`+${LABELLED}`)).toBe(true);
  // The labels are of events from before there were verdicts; nobody has confirmed any since.
  expect(learner.quality.total.tested).toBe(0);
  const all = entries();
  expect(all.filter(({ label }) => label === OWN_LABEL)).toHaveLength(asked.length);
  await isFold(all);
  const without = await folded(all.filter(({ label }) => label >= 0));
  expect((await bits()).equals(without)).toBe(false);
});

test('a restart gives the same bits and the same state of the choice, after a clean stop and after none', async () => {
  await taught();
  for (const clean of [false, true]) {
    const [before, state] = [await bits(), learner.selfTraining!.save()];
    await reopen(clean);
    expect((await bits()).equals(before)).toBe(true);
    expect(learner.selfTraining!.save()).toEqual(state);
  }
  await isFold();
});

test('an event that comes again, or has its label, is not learned by itself', async () => {
  const [first] = await taught();
  const [known] = events(0, 1);
  await serve([first, first, known, known]);
  expect(entriesOf(first)).toHaveLength(1);
  expect(entriesOf(known).map(({ label }) => label)).toEqual([truthOf(0)]);
  await isFold();
});

test('while labels come nothing is learned by itself', async () => {
  const [first] = await taught();
  await say(first, right(first));
  for (let n = 0; n < 3; n++) {
    await silence();
    const [known] = events(n, n + 1);
    await say(known, null);
    await say(known, right(known));
  }
  expect(await serve(events(2_000, 2_100))).toBe(0);
});

test('the first label is learned on top without a replay, right or wrong, and is no duplicate', async () => {
  const [first, second] = await taught();
  await say(first, right(first));
  await say(second, wrong(second));
  expect(await telemetry.value('model_rewound')).toBe(0);
  expect(learner.labels).toBe(LABELLED + 2);
  for (const event of [first, second]) expect(entriesOf(event)).toHaveLength(2);
  await isFold();
  await reopen(false);
  await isFold();
});

test.each([
  ['a correction', (event: Event) => say(event, wrong(event)), [1]],
  ['a withdrawal', (event: Event) => say(event, null), []],
  ['forgetting it', (event: Event) => say(event, null, true), []],
] as const)('%s of a label takes what the model said itself with it', async (_, undo, left) => {
  const [first] = await taught();
  const others = () => entries().filter(({ event }) => event !== first.id);
  await say(first, right(first));
  await undo(first);
  expect(entriesOf(first)).toHaveLength(left.length);
  expect(store.journal.ownOf(task.name, first.id)).toBe(0);
  await isFold([...others(), ...entriesOf(first)]);
  await reopen(false);
  await isFold([...others(), ...entriesOf(first)]);
});

test('what only the model has said can be withdrawn, and forgotten with its row', async () => {
  const [first, second, third] = await taught();
  await say(first, null);
  await say(second, null, true);
  expect([first, second].flatMap(entriesOf)).toEqual([]);
  await isFold();
  expect(store.join.find(task.name, second.id)).toBeNull();
  const kept = store.journal.tail(task.name, 0, 10_000).entries.filter(({ event }) => event === second.id);
  expect(kept.map(({ label, joined }) => [label, joined.rows.indices.length])).toEqual([[-1, 0]]);
  // Only the journal still has it.
  await store.join.erase(task.name, [third.id]);
  await say(third, null, true);
  expect(entriesOf(third)).toEqual([]);
  await isFold();
  // Nobody labels what was taken back; the model does not either.
  await silence();
  await serve([first]);
  expect(entriesOf(first)).toEqual([]);
});

test('a flood of sure verdicts is journalled three times for each label at most', async () => {
  await taught(310, 0);
  let asked = 0;
  for (let n = 0; n < 13; n++) asked += await serve(events(1_000 + 100 * n, 1_100 + 100 * n));
  expect(asked).toBe(930);
  expect(await serve(events(5_000, 5_100))).toBe(0);
  const [more] = events(400, 401);
  await serve([more]);
  await say(more, right(more));
  await silence();
  expect(await serve(events(6_000, 6_100))).toBe(3);
  expect(entries()).toHaveLength(311 + 930 + 3);
  await isFold();
});

test('sure verdicts that turn out wrong stop it, over a restart too, until enough were right', async () => {
  const asked = await taught();
  for (const event of asked.slice(0, 4)) await say(event, wrong(event));
  expect(learner.selfTraining!.paused).toBe(true);
  expect(await telemetry.value('self_training_paused')).toBeGreaterThan(0);
  await silence();
  expect(await serve(events(1_000, 1_050))).toBe(0);
  await reopen(false);
  await silence();
  expect(await serve(events(1_050, 1_100))).toBe(0);
  // As if they had never been wrong: the labels are corrected, and their evidence is gone.
  for (const event of asked.slice(0, 4)) await say(event, right(event));
  expect(learner.selfTraining!.paused).toBe(false);
  await silence();
  expect(await serve(events(1_100, 1_150))).toBeGreaterThan(0);
  await isFold();
});

test('a frozen task learns nothing by itself', async () => {
  await taught();
  await reopen(true, 'frozen');
  const before = entries().length;
  await silence();
  expect(await serve(events(1_000, 1_100))).toBe(0);
  expect(entries()).toHaveLength(before);
});

test('what cannot be written is not learned', async () => {
  const [first] = await taught();
  const row = store.join.find(task.name, first.id)!;
  const before = await bits();
  const asked = await telemetry.value('self_trained');
  failNext();
  await labels.learnOwn(
    [1, 2, 3].map((n) => ({ ...row, id: `lost ${n}` })),
    1,
  );
  await vi.waitFor(() => expect(learner.selfTraining).not.toBeNull(), 5_000);
  expect((await bits()).equals(before)).toBe(true);
  expect(store.journal.ownOf(task.name, 'lost 1')).toBe(0);
  expect(await telemetry.value('self_trained')).toBe(asked);
  await vi.waitFor(async () => expect(await serve(events(3_000, 3_040))).toBeGreaterThan(0), 5_000);
  await isFold();
  await reopen(false);
  await isFold();
});

test('labels, corrections and sure verdicts at once leave the fold of the journal', async () => {
  const asked = await taught();
  const rest = events(1_000, 1_200);
  const serving = [0, 50, 100, 150].map((from) => serve(rest.slice(from, from + 50)));
  const saying = asked.slice(0, 12).map((event, i) => say(event, [right(event), null, wrong(event)][i % 3]));
  await Promise.all([...serving, ...saying]);
  await Promise.all(asked.slice(0, 12).map((event) => say(event, right(event))));
  await settled();
  await isFold();
  await reopen(false);
  await isFold();
});

test('another base learns the same events as it judges them itself', async () => {
  await taught(350, 60);
  const model = task.newModel(engine);
  const some = entries().filter(({ label }) => label >= 0);
  await model.learn(
    concat(some.slice(0, 320).map(({ joined }) => joined.rows)),
    Int32Array.from(some.slice(0, 320), ({ label }) => 1 - label),
  );
  const digest = 'b'.repeat(64);
  const base: Base = {
    ...{ digest, name: digest, version: 1, kind: 'text', since: some[340].seq, counts: [160, 160] },
    weights: await model.save(),
  };
  model.close();
  await learner.install(base);
  const behind = entries().filter(({ seq }) => seq > base.since);
  expect(behind.some(({ label }) => label === OWN_LABEL)).toBe(true);
  expect((await bits()).equals(await folded(behind, base))).toBe(true);
});

test('the hub is told what people said, and nothing that the model said itself', async () => {
  const [first, second, third] = await taught(320, 60);
  await say(first, right(first));
  await say(second, null);
  await say(third, null, true);
  const sent: Outgoing[] = [];
  const feed = new RowsFeed({
    ...{ task, site: 's', store, topic: 'rows', clock: systemClock, telemetry, paired: () => null },
    envelope: new Envelope('cloudevents', 's', task.name),
    publish: async (messages) => void sent.push(...messages),
  });
  feed.wake();
  await vi.waitFor(() =>
    expect(store.cursors.get(`rows ${task.name}`)).toBe(store.journal.before(task.name, 0) + 1),
  );
  await feed.stop();
  expect(sent).toHaveLength(321);
});

test('the model behind a verdict is found with what it had taught itself', async () => {
  await taught();
  const past = await pastModel(task, engine, store, learner.name, true);
  expect(past!.labels).toBe(LABELLED);
  await reopen(true);
  const now = await pastModel(task, engine, store, null, true);
  expect(Buffer.from(await now!.model.save()).equals(await bits())).toBe(true);
  past!.model.close();
  now!.model.close();
});
