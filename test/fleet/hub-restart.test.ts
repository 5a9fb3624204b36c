/** A hub that is killed at any point goes on: no serial twice or left out, no second roll-out, no second live model. */
import { describe, expect, test } from 'vitest';
import { alarmAt, makeWorld, type World } from './hub-kit.ts';

const QUICK = {
  rollout: { stages: ['canary', 'fleet'], minCount: 60, deadline: '2h', watch: '2m', silent: '5m' },
};

/** A first model, a drift, a better model, live everywhere; gives up after so many minutes. */
async function story(world: World): Promise<void> {
  world.fleet.add('a', 'b');
  world.makes = [70];
  let told = false;
  for (let minute = 0; minute < 60; minute += 1) {
    const { live, previous } = world.hub.status().tasks[0];
    if (live && previous && !world.hub.status().tasks[0].rollout) break;
    if (live && !told) {
      world.makes = [95];
      told = await world.hub.alarm('a', alarmAt(world.clock)).then(
        () => true,
        () => false,
      );
    }
    for (const site of ['a', 'b']) await world.rows(site, 30, { noise: 0 });
    await world.tick(60, 20);
  }
  await world.tick(3);
}

/** What must hold whatever happened. */
function check(world: World): void {
  expect(world.words.map(({ serial }) => serial)).toEqual(world.words.map((_, i) => i + 1));
  expect(world.registry.serials).toBe(world.words.length);
  expect(world.registry.lives.length).toBe(1);
  const [live] = world.registry.lives;
  expect(world.words.at(-1)).toMatchObject({ digest: live, candidate: null, compare: null });
  expect([...world.fleet.sites.values()].map(({ actual }) => actual?.digest)).toEqual([live, live]);
  expect(world.hub.status().tasks[0].live?.digest).toBe(live);
  const stages = world.registry.list().map(({ stage }) => stage);
  expect(stages.filter((stage) => stage === 'candidate' || stage === 'canary')).toEqual([]);
}

describe('a kill', () => {
  test('before or after any write: the roll-outs end as without it', async () => {
    const quiet = makeWorld(QUICK);
    let count = 0;
    quiet.hook = () => {
      count += 1;
    };
    await story(quiet);
    check(quiet);
    const words = quiet.words.length;
    expect(words).toBe(5);
    expect(count).toBeGreaterThan(100);
    // Writes are asked for and done by turns: an odd step meets both sides of all.
    for (let at = 0; at < count; at += 5) {
      const world = makeWorld(QUICK);
      let calls = 0;
      let dead = false;
      world.hook = () => {
        calls += 1;
        if (calls > at) {
          dead = true;
          throw new Error('killed');
        }
      };
      const { tick, rows } = world;
      // A dead process is found by its supervisor before the next tick.
      const revive = () => {
        if (!dead) return;
        dead = false;
        world.hook = () => undefined;
        world.restart();
      };
      world.tick = async (seconds, step) => {
        await tick(seconds, step);
        revive();
      };
      world.rows = async (...args) => {
        revive();
        await rows(...args);
      };
      await story(world);
      check(world);
      expect(world.words.length).toBe(words);
      expect(world.words.map(({ candidate }) => candidate?.mode ?? null)).toEqual(
        quiet.words.map(({ candidate }) => candidate?.mode ?? null),
      );
    }
  }, 60_000);

  test('at every state: the state goes on, with its evidence', async () => {
    const world = makeWorld({ rollout: { minCount: 60, deadline: '2h', watch: '10m', silent: '5m' } });
    const tick = world.tick;
    const steps = new Set<string | null>();
    world.tick = async (seconds, step) => {
      await tick(seconds, step);
      steps.add(world.step);
      const before = world.hub.status().tasks[0];
      await world.hub.close();
      world.restart();
      const after = world.hub.status().tasks[0];
      // The gate goes over its rows again; a stage has kept what it counted.
      const durable = ({ rollout, ...rest }: typeof before) => ({
        ...rest,
        rollout: rollout && { ...rollout, progress: null, waits: '' },
      });
      if (before.rollout?.step !== 'gate') expect(durable(after)).toEqual(durable(before));
    };
    await story(world);
    check(world);
    expect([...steps]).toEqual(expect.arrayContaining(['gate', 'shadow', 'canary', 'watch', null]));
  });

  test('during a training: it is begun again, and given up after the third time', async () => {
    const world = makeWorld(QUICK);
    world.fleet.add('a', 'b');
    world.stuck = true;
    await world.tick();
    await world.rows('a', 60);
    for (let i = 0; i < 3; i += 1) {
      await world.tick(2);
      expect(world.hub.status().tasks[0].training).not.toBeNull();
      world.restart();
    }
    await world.tick(2);
    expect(world.hub.status().tasks[0].training).toBeNull();
    expect(world.events.at(-1)).toMatchObject({
      kind: 'trainingFailed',
      reason: expect.stringMatching(/3 times/),
    });
  });

  test('that loses the state itself: what the registry calls live is what runs, and serials go on', async () => {
    const world = makeWorld(QUICK);
    world.fleet.add('a', 'b');
    await story(world);
    const [live] = world.registry.lives;
    const serial = world.registry.serials;
    for (const text of ['not json', '{"format":2}', null]) {
      if (text === null) world.saved.clear();
      else for (const key of world.saved.keys()) world.saved.set(key, text);
      world.restart();
      expect(world.hub.status().tasks[0]).toMatchObject({ live: { digest: live }, rollout: null, serial });
    }
    await world.tick(3);
    world.makes = [99];
    for (let i = 0; i < 80; i += 1) {
      for (const site of ['a', 'b']) await world.rows(site, 30, { noise: 0 });
      if (i === 0) await world.hub.alarm('a', alarmAt(world.clock));
      await world.tick(60, 20);
    }
    const after = world.words.slice(serial).map((word) => word.serial);
    expect(after.length).toBeGreaterThan(0);
    expect(after).toEqual(after.map((_, i) => serial + 1 + i));
  });
});
