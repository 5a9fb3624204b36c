/** Orders of operators, and what hostile orders, gateways and rows cannot do. */
import { describe, expect, test } from 'vitest';
import type { Actual, LabelledRow, Order } from '../../src/contract.ts';
import {
  alarmAt,
  bringLive,
  bundleOf,
  HOUR,
  makeWorld,
  rowWith,
  START,
  TASK,
  type World,
} from './hub-kit.ts';

async function run(world: World, minutes: number, until: () => boolean = () => false) {
  for (let i = 0; i < minutes && !until(); i += 1) {
    for (const site of ['a', 'b']) await world.rows(site, 30);
    await world.tick(60, 20);
  }
}

/** A better candidate on its way to this step. */
async function onTheWay(step: string, given: Record<string, unknown> = {}, makes = 90) {
  const world = makeWorld(given);
  const first = await bringLive(world, 60);
  world.makes = [makes];
  await world.hub.alarm('a', alarmAt(world.clock));
  await run(world, 100, () => world.step === step);
  expect(world.step).toBe(step);
  const digest = world.hub.status().tasks[0].rollout?.candidate.digest as string;
  return { world, first, digest };
}

describe('orders', () => {
  test('pause holds a stage and its deadline, resume goes on, and what is worse is taken back all the same', async () => {
    const { world, first } = await onTheWay('canary');
    expect(await world.order('pause')).toMatchObject({ followed: true });
    await run(world, 10);
    await world.tick(3 * 3600, 600);
    expect(world.step).toBe('canary');
    expect(await world.order('pause')).toMatchObject({ followed: false });
    expect(await world.order('resume')).toMatchObject({ followed: true });
    await run(world, 60, () => world.registry.lives[0] !== first);
    expect(world.registry.lives[0]).not.toBe(first);

    const other = await onTheWay('canary');
    await other.world.order('pause');
    for (let i = 0; i < 60 && other.world.step !== null; i += 1) {
      for (const site of ['a', 'b']) await other.world.rows(site, 30, { percent: { [other.digest]: 20 } });
      await other.world.tick();
    }
    expect(other.world.events.at(-1)).toMatchObject({ kind: 'rolledBack' });
  });

  test('while paused no training begins', async () => {
    const world = makeWorld();
    world.fleet.add('a', 'b');
    await world.tick();
    await world.order('pause');
    await run(world, 10);
    expect(world.kinds()).toEqual(['order']);
    await world.order('resume');
    await run(world, 2);
    expect(world.kinds()).toContain('training');
  });

  test('stop takes a roll-out back from any step, and ends a training', async () => {
    for (const step of ['gate', 'shadow', 'canary', 'watch']) {
      const { world, first, digest } = await onTheWay(step);
      expect(await world.order('stop')).toMatchObject({ followed: true });
      expect(world.step).toBeNull();
      expect(world.registry.stage(digest)).toBe('rejected');
      expect(world.words.at(-1)).toMatchObject({ digest: first, candidate: null, compare: null });
      expect(await world.order('stop')).toMatchObject({ followed: false });
    }
    const world = makeWorld();
    world.fleet.add('a', 'b');
    world.stuck = true;
    await world.tick();
    await run(world, 2);
    expect(world.hub.status().tasks[0].training).not.toBeNull();
    expect(await world.order('stop')).toMatchObject({ followed: true });
    await world.hub.settled();
    await world.tick();
    expect(world.hub.status().tasks[0].training).toBeNull();
  });

  test('rollback names the older model under a new serial, and the newer one retires', async () => {
    const { world, first, digest } = await onTheWay('watch');
    await run(world, 60, () => world.step === null);
    expect(world.registry.lives).toEqual([digest]);
    const serial = world.words.length;
    expect(await world.order('rollback')).toMatchObject({ followed: true });
    expect(world.words.at(-1)).toMatchObject({ serial: serial + 1, digest: first });
    expect(world.registry.lives).toEqual([first]);
    expect(world.registry.stage(digest)).toBe('retired');
    // And back again, by name.
    expect(await world.order('rollback', digest)).toMatchObject({ followed: true });
    expect(world.registry.lives).toEqual([digest]);
  });

  test('during a roll-out rollback takes the candidate back', async () => {
    const { world, first, digest } = await onTheWay('canary');
    expect(await world.order('rollback')).toMatchObject({ followed: true });
    expect(world.registry.stage(digest)).toBe('rejected');
    expect(world.words.at(-1)).toMatchObject({ digest: first, candidate: null });
  });

  test('a rollback to what never ran, was rejected, has expired or is live is refused', async () => {
    const { world, first, digest } = await onTheWay('canary');
    await world.order('stop');
    const words = world.words.length;
    for (const wrong of [digest, first, 'f'.repeat(64), ''])
      expect(await world.order('rollback', wrong)).toMatchObject({ followed: false });
    const { world: later } = await onTheWay('watch');
    await run(later, 60, () => later.step === null);
    later.clock.time += 100 * 24 * HOUR;
    expect(await later.order('rollback')).toMatchObject({ followed: false, reason: 'it has expired' });
    expect(world.words.length).toBe(words);
  });

  test('a promoted candidate of an operator goes through the gate like any other', async () => {
    for (const percent of [40, 95]) {
      const world = makeWorld({ approve: 'manual' });
      const first = await bringLiveManually(world);
      const { digest } = await world.registry.put(bundleOf(percent), 'brought', START);
      expect(await world.order('promote', digest)).toMatchObject({ followed: true });
      expect(world.step).toBe('gate');
      expect(world.registry.lives).toEqual([first]);
      await run(world, 120, () => world.step === null);
      expect(world.registry.lives).toEqual([percent === 95 ? digest : first]);
    }
  });

  test('what no gateway would install is not promoted', async () => {
    const world = makeWorld();
    const first = await bringLive(world, 60);
    const wrong = [
      bundleOf(95, {}, false),
      bundleOf(95, { task: 'other' }),
      bundleOf(95, { features: 'sensor-2/abc' }),
      bundleOf(95, { expires: START }),
      bundleOf(95, { labels: ['ok', 'broken'], positive: 'broken' }),
    ];
    for (const bytes of wrong) {
      const { digest } = await world.registry.put(bytes, 'brought', START);
      expect(await world.order('promote', digest)).toMatchObject({ followed: false });
    }
    expect(await world.order('promote', 'f'.repeat(64))).toMatchObject({ followed: false });
    expect(await world.order('promote', '../../etc/passwd')).toMatchObject({ followed: false });
    expect(await world.order('promote', first)).toMatchObject({ followed: false });
    expect(world.step).toBeNull();
  });

  test('promote at a stage does not skip its test', async () => {
    const { world, first } = await onTheWay('canary');
    await world.order('promote');
    await world.tick(5);
    expect(world.step).toBe('canary');
    expect(world.registry.lives).toEqual([first]);
  });

  test('an order that comes again is not done again; orders of the folder are taken off it', async () => {
    const { world } = await onTheWay('canary');
    const order: Order = { id: '1', task: TASK.name, what: 'pause', digest: '', by: 'bob', at: START };
    world.registry.waiting.push(order, { ...order, id: '2', task: 'nobody' });
    await world.tick();
    expect(world.registry.waiting).toEqual([]);
    expect(world.hub.status().tasks[0].paused).toBe(true);
    await world.order('resume');
    world.registry.waiting.push(order);
    await world.tick();
    expect(world.registry.waiting).toEqual([]);
    expect(world.hub.status().tasks[0].paused).toBe(false);
    expect(world.registry.audits.filter(({ what }) => what === 'order').map(({ by }) => by)).toEqual([
      'bob',
      'alice',
    ]);
  });

  test('after a stop orders are refused', async () => {
    const world = makeWorld();
    await world.hub.close();
    const order: Order = { id: '1', task: TASK.name, what: 'pause', digest: '', by: 'bob', at: START };
    expect(await world.hub.order(order)).toMatchObject({ followed: false });
  });
});

async function bringLiveManually(world: World): Promise<string> {
  world.fleet.add('a', 'b');
  world.makes = [70];
  await world.tick();
  await run(world, 60, () => world.step === 'approval');
  await world.order('promote');
  await run(world, 60, () => world.step === null);
  return world.registry.lives[0];
}

describe('hostile input', () => {
  const actual = (change: Partial<Actual>): Actual => ({
    site: 'x',
    group: 'default',
    task: TASK.name,
    digest: null,
    labels: 0,
    companion: null,
    serial: 1,
    state: 'running',
    reason: '',
    at: START,
    ...change,
  });

  test('a gateway cannot confirm a word that was never given, nor for another group', async () => {
    const { world, digest } = await onTheWay('canary');
    const { serial } = world.words.at(-1)!;
    world.hub.actual(actual({ site: 'x', digest, serial: serial + 1 }));
    world.hub.actual(actual({ site: 'y', digest, serial: Number.NaN }));
    world.hub.actual(actual({ site: 'z', digest, serial, group: 'other' }));
    world.hub.actual(actual({ site: 'not a name/../', digest, serial }));
    expect(world.hub.status().sites.map(({ site }) => site)).toEqual(['a', 'b']);
  });

  test('names cost bounded memory: of too many gateways those not heard for longest are forgotten', async () => {
    const world = makeWorld();
    for (let i = 0; i < 5_000; i += 1) world.hub.actual(actual({ site: `s${i}`, serial: 0 }));
    const names = world.hub.status().sites.map(({ site }) => site);
    expect(names.length).toBe(4_096);
    expect(names).toContain('s4999');
    for (let i = 0; i < 500; i += 1)
      await world.hub.alarm(`s${i}`, { ...alarmAt(world.clock), stream: `feature:${i}` });
    world.hub.window('a', TASK.name, {
      from: 0,
      to: 1,
      numbers: Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`n${i}`, i])),
    });
    const site = world.hub.status().sites.find((each) => each.site === 'a');
    expect(Object.keys(site?.windows[TASK.name].numbers ?? {}).length).toBe(1_000);
    const [incident] = world.hub.status().tasks[0].incidents;
    expect(incident.sites.length).toBe(64);
    expect(incident.streams.length).toBe(16);
  });

  test('a name of an object prototype is a name like any other', async () => {
    const world = makeWorld();
    const row = (site: string, seq: number): LabelledRow => ({
      site,
      task: TASK.name,
      seq,
      event: `${site}${seq}`,
      device: '__proto__',
      at: START,
      labelledAt: START,
      label: 1,
      weight: 1,
      origin: 'x',
      features: TASK.features,
      rows: rowWith(1),
      scores: Float32Array.of(0, 1),
      predicted: 1,
      model: 'blank-1+0',
      paired: null,
    });
    await world.hub.rows([
      row('constructor', 1),
      row('__proto__', 1),
      row('toString', 2),
      row('toString', 2),
    ]);
    expect(world.hub.status().tasks[0].fresh).toBe(3);
    await world.hub.close();
    world.restart();
    await world.hub.rows([row('constructor', 1), row('toString', 2)]);
    expect(world.hub.status().tasks[0].fresh).toBe(3);
  });

  test('rows told twice, of other features, and losses of models that nobody asked about count for nothing', async () => {
    const { world, digest, first } = await onTheWay('canary');
    const before = world.hub.status().tasks[0].rollout?.figures?.rows;
    const template = world.pool.rows.at(-1)!;
    const paired = { live: digest, liveLoss: 0, other: first, otherLoss: 4 };
    const rows: LabelledRow[] = [
      { ...template, paired },
      { ...template, seq: 1e6, features: 'other', paired },
      { ...template, seq: 1e6, label: 7, paired },
      { ...template, seq: 1e6 + 1, paired: { ...paired, live: 'e'.repeat(64) } },
      { ...template, seq: 1e6 + 2, paired: { ...paired, liveLoss: Number.NaN } },
    ];
    await world.hub.rows(rows);
    expect(world.hub.status().tasks[0].rollout?.figures?.rows).toBe(before);
  });

  test('a device that is set aside has no voice in a stage', async () => {
    const { world } = await onTheWay('canary');
    for (let d = 0; d < 10; d += 1) for (const site of ['a', 'b']) world.pool.distrusted.add(`${site}/d${d}`);
    const before = world.hub.status().tasks[0].rollout?.figures?.rows;
    await run(world, 1);
    expect(world.hub.status().tasks[0].rollout?.figures?.rows).toBe(before);
  });

  test('rows that the pool does not take are not counted', async () => {
    const world = makeWorld();
    world.fleet.add('a');
    await world.tick();
    world.pool.add = async () => {
      throw new Error('disk full');
    };
    await expect(world.rows('a', 10)).rejects.toThrow('disk full');
    expect(world.hub.status().tasks[0].fresh).toBe(0);
  });
});
