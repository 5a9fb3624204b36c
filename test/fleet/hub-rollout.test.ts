/** The hub's way of a candidate in virtual time: every path through gate, approval, stages and watch. */
import { describe, expect, test } from 'vitest';
import { alarmAt, bringLive, bundleOf, HOUR, makeWorld, START, type World } from './hub-kit.ts';

/** A drift alarm with enough labels after it, so that a training follows and its candidate is at the gate. */
async function drift(world: World, makes: number): Promise<void> {
  world.makes = [makes];
  await world.tick(120, 60);
  await world.hub.alarm('a', alarmAt(world.clock));
  await world.rows('a', 60);
  await world.tick(3);
}

/** Labels keep coming from these sites. */
async function run(world: World, minutes: number, sites = ['a', 'b'], until: () => boolean = () => false) {
  for (let i = 0; i < minutes && !until(); i += 1) {
    for (const site of sites) await world.rows(site, 30);
    await world.tick(60, 20);
  }
}

const at = (world: World, step: string | null) => () => world.step === step;

describe('a candidate on its way', () => {
  test('the first model goes to all without a stage, once it beats the label frequencies', async () => {
    const world = makeWorld();
    const live = await bringLive(world, 80);
    expect(world.registry.lives).toEqual([live]);
    expect(world.words.map(({ digest, candidate, compare }) => [digest, candidate, compare])).toEqual([
      [live, null, null],
      [live, null, null],
    ]);
    expect(world.kinds()).toEqual(['training', 'trained', 'signed', 'gate', 'stage', 'stage', 'live']);
  });

  test('a better one passes shadow, canary, fleet and watch, and the one before retires', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 60);
    await drift(world, 90);
    expect(world.step).toBe('gate');
    await run(world, 200, ['a', 'b'], () => world.registry.lives[0] !== first);
    const [live] = world.registry.lives;
    expect(world.registry.stage(first)).toBe('retired');
    const stages = world.events.flatMap((event) =>
      event.kind === 'stage' && event.digest === live ? [event.stage] : [],
    );
    expect(stages).toEqual(['shadow', 'canary', 'fleet', 'watch']);
    expect(
      world.words
        .slice(2)
        .map(({ digest, candidate, compare }) => [digest, candidate?.mode, compare?.digest]),
    ).toEqual([
      [first, 'shadow', undefined],
      [first, 'canary', undefined],
      [live, undefined, first],
      [live, undefined, undefined],
    ]);
    expect(world.words.map(({ serial }) => serial)).toEqual([1, 2, 3, 4, 5, 6]);
    const { rollouts, driftAlarms } = world.hub.status();
    expect(driftAlarms).toMatchObject([{ task: 'machine', stream: 'logLoss' }]);
    expect(rollouts[1]).toMatchObject({ task: 'machine', model: live });
    expect(rollouts[1].accuracyBefore).toBeLessThan(0.75);
    expect(rollouts[1].accuracyAfter).toBeGreaterThan(0.8);
    expect(world.hub.status().tasks[0].incidents[0]).toMatchObject({ outcome: 'confirmed' });
    expect(world.failures).toEqual([]);
  });

  test('one that is worse on unseen rows never reaches a gateway', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 80);
    const words = world.words.length;
    await drift(world, 55);
    await run(world, 120, ['a', 'b'], at(world, null));
    expect(world.words.length).toBe(words);
    expect(world.registry.lives).toEqual([first]);
    expect(world.events.at(-1)).toMatchObject({
      kind: 'rejected',
      reason: expect.stringMatching(/^worse on unseen/),
    });
    expect(world.hub.status().tasks[0].incidents[0]).toMatchObject({ outcome: 'spent' });
  });

  test('one that is as good is undecided at the deadline, and the live model stays', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 80);
    await drift(world, 80);
    await run(world, 70, ['a', 'b'], at(world, null));
    expect(world.registry.lives).toEqual([first]);
    expect(world.events.at(-1)).toMatchObject({
      kind: 'rejected',
      reason: expect.stringMatching(/^undecided/),
    });
  });

  test('with `approve: manual` it waits for an order, and a rejected one is gone', async () => {
    for (const what of ['promote', 'reject'] as const) {
      const world = makeWorld({ approve: 'manual' });
      world.fleet.add('a', 'b');
      world.makes = [80];
      await world.tick();
      await run(world, 40, ['a', 'b'], at(world, 'approval'));
      const digest = world.hub.status().tasks[0].pendingApproval as string;
      await run(world, 300);
      expect(world.step).toBe('approval');
      expect(world.words).toEqual([]);
      expect(await world.order(what, digest)).toMatchObject({ followed: true });
      await run(world, 20);
      expect(world.registry.stage(digest)).toBe(what === 'promote' ? 'live' : 'rejected');
      expect(world.words.length > 0).toBe(what === 'promote');
    }
  });

  test('one that turns out worse on gateways is taken back from every stage', async () => {
    for (const stage of ['shadow', 'canary', 'fleet', 'watch'] as const) {
      const world = makeWorld({ rollout: { minCount: 60, deadline: '3h', watch: '2h', silent: '2m' } });
      const first = await bringLive(world, 60);
      await drift(world, 90);
      if (stage === 'fleet') {
        await run(world, 200, ['a', 'b'], at(world, 'canary'));
        const [canary] = world.hub.status().tasks[0].rollout?.sites ?? [];
        world.fleet.site(canary === 'a' ? 'b' : 'a').obeys = 'late';
      }
      await run(world, 200, ['a', 'b'], at(world, stage));
      expect(world.step).toBe(stage);
      const digest = world.hub.status().tasks[0].rollout?.candidate.digest as string;
      for (let i = 0; i < 100 && world.step !== null; i += 1) {
        for (const site of ['a', 'b']) await world.rows(site, 30, { percent: { [digest]: 30 } });
        await world.tick();
      }
      expect(world.registry.stage(digest)).toBe('rejected');
      expect(world.registry.lives).toEqual([first]);
      expect(world.words.at(-1)).toMatchObject({ digest: first, candidate: null, compare: null });
      expect(world.events.at(-1)).toMatchObject({
        kind: stage === 'shadow' ? 'rejected' : 'rolledBack',
        reason: expect.stringMatching(/^worse/),
      });
      for (const name of ['a', 'b']) world.fleet.site(name).obeys = true;
      await world.tick(5);
      expect([...world.fleet.sites.values()].map(({ actual }) => actual?.digest)).toEqual([first, first]);
    }
  });

  test('silent gateways are waited for; a stage that nobody confirmed is undecided at its deadline', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 60);
    await drift(world, 90);
    await run(world, 200, ['a', 'b'], at(world, 'canary'));
    const { rollout } = world.hub.status().tasks[0];
    const [canary] = rollout?.sites ?? [];
    const other = canary === 'a' ? 'b' : 'a';
    world.fleet.site(canary).online = false;
    await run(world, 30, [other]);
    expect(world.hub.status().tasks[0].rollout?.progress).toMatchObject({
      waiting: [canary],
      confirmed: [],
      refused: [],
    });
    expect(world.step).toBe('canary');
    await run(world, 40, [other]);
    expect(world.step).toBeNull();
    expect(world.events.at(-1)).toMatchObject({
      kind: 'rolledBack',
      reason: expect.stringMatching(/^undecided/),
    });
    expect(world.registry.lives).toEqual([first]);
  });

  test('a silent gateway does not hold up the fleet: it gets the model when it comes back', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 60);
    await drift(world, 90);
    await run(world, 200, ['a', 'b'], at(world, 'canary'));
    const [canary] = world.hub.status().tasks[0].rollout?.sites ?? [];
    const other = canary === 'a' ? 'b' : 'a';
    world.fleet.site(other).online = false;
    await run(world, 200, [canary], () => world.registry.lives[0] !== first);
    expect(world.registry.lives).not.toEqual([first]);
    world.fleet.site(other).online = true;
    await world.tick(3);
    expect(world.fleet.site(other).actual?.digest).toBe(world.registry.lives[0]);
  });

  test('with every gateway silent no canary begins, and nothing changes at the deadline', async () => {
    const world = makeWorld({
      rollout: { stages: ['canary', 'fleet'], minCount: 60, deadline: '1h', watch: '10m' },
    });
    const first = await bringLive(world, 60);
    await drift(world, 90);
    for (const name of ['a', 'b']) {
      world.fleet.site(name).online = false;
      world.hub.presence(name, false);
    }
    const words = world.words.length;
    // Labels of before reach the hub late, so the gate has something to go by.
    await world.rows('a', 400);
    await world.tick(3);
    expect(world.step).toBe('due');
    expect(world.hub.status().tasks[0].rollout?.waits).toMatch(/online/);
    world.clock.time += 2 * HOUR;
    await world.tick();
    expect(world.step).toBeNull();
    expect(world.words.length).toBe(words);
    expect(world.registry.lives).toEqual([first]);
  });

  test('what gateways refuse is taken back with their reason', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 60);
    await drift(world, 90);
    for (const name of ['a', 'b']) world.fleet.site(name).obeys = false;
    await run(world, 30, ['a', 'b'], () => world.kinds().at(-1) === 'rejected');
    expect(world.events.at(-1)).toMatchObject({
      kind: 'rejected',
      reason: expect.stringMatching(/refused by 2 of 2 gateways: .*BUNDLE_UNTRUSTED/),
    });
    expect(world.registry.lives).toEqual([first]);
  });

  test('gateways are given another model inside maintenance windows only; taking back needs none', async () => {
    const world = makeWorld({ windows: ['02:00-04:00'] });
    world.fleet.add('a', 'b');
    world.makes = [80];
    await world.tick();
    await run(world, 60);
    expect(world.step).toBe('due');
    expect(world.hub.status().tasks[0].rollout?.waits).toBe('a maintenance window');
    expect(world.words).toEqual([]);
    world.clock.time += 13 * HOUR;
    await run(world, 90);
    expect(new Date(world.words[0].at).getUTCHours()).toBe(2);
    expect(world.registry.lives.length).toBe(1);
  });

  test('a live model of features that the task no longer has is nothing to compare with, and stays what it was', async () => {
    const world = makeWorld();
    const old = await world.registry.put(bundleOf(99, { features: 'sensor-0/abc' }), 'old', START);
    await world.registry.move(old.digest, 'live', 'old', START);
    world.restart();
    world.fleet.add('a', 'b');
    world.makes = [80];
    await world.tick();
    await run(world, 60, ['a', 'b'], () => world.registry.lives[0] !== old.digest);
    expect(world.events.find(({ kind }) => kind === 'training')).toMatchObject({
      reason: expect.stringMatching(/^the first model/),
    });
    expect(world.registry.stage(old.digest)).toBe('retired');
    expect(world.words[0]).toMatchObject({ candidate: null, compare: null });
  });

  test('a word that the broker does not take is told again, the same, and nothing is decided meanwhile', async () => {
    const world = makeWorld();
    world.fleet.add('a', 'b');
    world.makes = [80];
    await world.tick();
    world.away = true;
    await run(world, 40);
    expect(world.words).toEqual([]);
    expect(world.step).toBe('fleet');
    expect(world.failures.at(-1)).toMatch(/^BROKER_UNREACHABLE/);
    world.away = false;
    await run(world, 40);
    expect(world.words.map(({ serial }) => serial)).toEqual([1, 2]);
    expect(world.registry.lives.length).toBe(1);
  });
});
