/** What wrong labels cost the filter as it comes, in the simulator's mail world; bounds are promises with room. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decidedUnder } from '../../bench/mail/decided.ts';
import { busiestSender, flipped, honest, senderOf, turned, withDictionary } from '../../bench/mail/poison.ts';
import { seededRandom } from '../../src/task/random.ts';
import { makeWorld, type World } from './kit.ts';

let world: World;
beforeAll(async () => {
  world = await makeWorld(2);
}, 60_000);
afterAll(() => world.model.close());

test.each([
  [0.01, 1.5, 3],
  [0.05, 2, 4],
  [0.1, 4, 6],
])(
  '%d of the labels flipped at random: 1 - AUC below %d and ham lost below %d per cent',
  async (share, area, lost) => {
    const found = await world.after(flipped(world.taught, share, seededRandom(1, 'flips')));
    expect(found.area).toBeLessThan(area);
    expect(found.lost).toBeLessThan(lost);
    expect(found.caught).toBeGreaterThan(90);
  },
);

test('labels that are wrong by chance cost spam that is tagged, and no more ham than the budget', async () => {
  const budget = 0.05;
  const truth = world.taught.map(({ spam }) => spam);
  const [clean, poisoned] = await Promise.all(
    [honest(world.taught), flipped(world.taught, 0.1, seededRandom(1, 'flips'))].map((lessons) =>
      decidedUnder(lessons, truth, budget, 1),
    ),
  );
  for (const { ham } of [clean, poisoned]) {
    expect(ham.mails).toBeGreaterThan(100);
    expect(ham.tagged).toBeLessThanOrEqual(budget * ham.mails);
  }
  expect(clean.spam.tagged / clean.spam.mails).toBeGreaterThan(0.9);
  expect(poisoned.spam.tagged / poisoned.spam.mails).toBeLessThan(0.9);
});

test('a dictionary attack of one mail in a hundred loses no good mail', async () => {
  const lessons = withDictionary(world.taught, 0.01, world.attacker());
  expect(lessons.length).toBeGreaterThan(world.taught.length);
  const [clean, poisoned] = [await world.after(honest(world.taught)), await world.after(lessons)];
  expect(poisoned.lost).toBeLessThanOrEqual(clean.lost + 0.5);
  expect(poisoned.area).toBeLessThan(clean.area + 0.5);
});

test('a sender whose good mail is always called spam is lost, other mail hardly, and true labels bring it back', async () => {
  const { laboratory, taught, ham } = world;
  const sender = busiestSender(taught);
  const own = (raw: Buffer) => senderOf(raw) === sender;
  const model = laboratory.newModel();
  await laboratory.teach(
    model,
    turned(taught, ({ raw, spam }) => !spam && own(raw)),
  );
  const lostOf = async (raws: readonly Buffer[]) =>
    (await laboratory.score(model, raws)).filter((p) => p > 0.5).length / Math.max(1, raws.length);
  const [its, others] = [ham.filter(own), ham.filter((raw) => !own(raw))];
  expect(its.length).toBeGreaterThan(2);
  expect(await lostOf(its)).toBeGreaterThan(0.5);
  expect(await lostOf(others)).toBeLessThan(0.1);
  const truths = honest(taught).filter(({ raw, label }) => !label && own(raw));
  await laboratory.teach(model, truths.slice(0, 5));
  expect(await lostOf(its)).toBeLessThan(0.2);
  model.close();
});
