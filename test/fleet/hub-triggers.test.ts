/** When the hub trains: drift merged over the fleet within one budget, volume, time, cool-down; and daily windows. */
import { describe, expect, test } from 'vitest';
import { dailyWindow, isOpen } from '../../src/fleet/hub/daily.ts';
import { familyOf, Incidents } from '../../src/fleet/hub/incidents.ts';
import { hubLoopOptions } from '../../src/fleet/hub.ts';
import { alarmAt, bringLive, HOUR, makeWorld, START, type World } from './hub-kit.ts';

const clockAt = (time: number) => ({ now: () => time, sleep: async () => undefined });
const incidents = (given: Record<string, unknown> = {}) => new Incidents(hubLoopOptions.parse(given), null);
const MINUTE = 60_000;

describe('drift alarms of a fleet', () => {
  test('of one family within the merge interval are one incident, accepted once', () => {
    const all = incidents();
    const tell = (site: string, stream: string, minutes: number) =>
      all.alarm(site, alarmAt(clockAt(START + minutes * MINUTE), stream), START + minutes * MINUTE);
    expect(tell('a', 'logLoss', 0)).toMatchObject({ id: 1 });
    expect(tell('b', 'accuracy', 5)).toBeNull();
    expect(tell('c', 'logLoss', 14)).toBeNull();
    expect(tell('a', 'feature:vibration', 15)).toBeNull();
    expect(all.list.map(({ family, sites }) => [family, sites])).toEqual([
      ['features', ['a']],
      ['loss', ['a', 'b', 'c']],
    ]);
    expect(tell('a', 'logLoss', 60)).toMatchObject({ id: 3 });
  });

  test('`over` ends an alarm of that site and begins nothing', () => {
    const all = incidents();
    all.alarm('a', alarmAt(clockAt(START)), START);
    all.alarm('a', alarmAt(clockAt(START), 'logLoss', 'over'), START);
    expect(all.list[0].active).toEqual([]);
    expect(incidents().alarm('a', alarmAt(clockAt(START), 'logLoss', 'over'), START)).toBeNull();
  });

  test('of a change that began behind the answer to the last one are another incident, however soon', () => {
    const all = incidents();
    const tell = (minutes: number, began: number) => {
      const alarm = { ...alarmAt(clockAt(START + minutes * MINUTE)), since: START + began * MINUTE };
      return all.alarm('a', alarm, START + minutes * MINUTE);
    };
    expect(tell(0, 0)).toMatchObject({ id: 1 });
    all.settle(1, true, START + 4 * MINUTE);
    expect(tell(5, 3)).toBeNull();
    expect(tell(8, 6)).toMatchObject({ id: 2 });
  });

  test('without labels they are recorded only, unless asked for; what concerns the plant never trains', () => {
    expect(
      ['margin', 'score', 'feature:x', 'missing:x', 'volume', 'latency', 'whatever'].map(familyOf),
    ).toEqual(['loss', 'confidence', 'features', 'operation', 'operation', 'operation', 'operation']);
    for (const [drift, stream, accepted] of [
      ['labels', 'feature:x', false],
      ['any', 'feature:x', true],
      ['any', 'volume', false],
      ['never', 'logLoss', false],
    ] as const) {
      const all = incidents({ retrain: { drift } });
      expect(all.alarm('a', alarmAt(clockAt(START), stream), START) !== null).toBe(accepted);
    }
  });

  test('once the budget of the fleet is spent, one gateway alone is not believed, two are', () => {
    const all = incidents({ falseAlarms: { alarms: 2, per: '30d' } });
    for (let i = 0; i < 2; i += 1) {
      const now = START + i * HOUR;
      const accepted = all.alarm('a', alarmAt(clockAt(now)), now);
      all.settle(accepted?.id ?? 0, false, now);
    }
    const later = START + 5 * HOUR;
    expect(all.alarm('a', alarmAt(clockAt(later)), later)).toBeNull();
    expect(all.list[0].reason).toMatch(/budget of 2/);
    expect(all.alarm('b', alarmAt(clockAt(later)), later)).toMatchObject({ sites: ['a', 'b'] });
    const month = later + 31 * 24 * HOUR;
    expect(all.alarm('a', alarmAt(clockAt(month)), month)).not.toBeNull();
  });

  test('a time that lies ahead, or is none, is not believed', () => {
    const all = incidents();
    const alarm = alarmAt(clockAt(START));
    expect(all.alarm('a', { ...alarm, since: START + HOUR }, START)?.since).toBe(START);
    expect(incidents().alarm('a', { ...alarm, since: Number.NaN }, START)?.since).toBe(START);
    expect(incidents().alarm('a', { ...alarm, since: 0 }, START)?.since).toBe(START - 7 * 24 * HOUR);
  });

  test('incidents are bounded', () => {
    const all = incidents();
    for (let i = 0; i < 500; i += 1) all.alarm('a', alarmAt(clockAt(START + i * HOUR)), START + i * HOUR);
    expect(all.list.length).toBe(50);
  });
});

const trainings = (world: World) => world.events.filter(({ kind }) => kind === 'training').length;

/** Labels that change nothing for the model. */
async function quiet(world: World, rows: number) {
  await world.rows('a', rows);
  await world.tick(2);
}

describe('a training', () => {
  test('after a drift waits for labels from after it began, and for no more than the deadline', async () => {
    const world = makeWorld({
      retrain: {
        minRows: 40,
        afterDrift: 100,
        afterDriftDeadline: '1h',
        cooldown: '1m',
        volume: 0,
        every: 0,
      },
    });
    await bringLive(world, 80);
    const before = trainings(world);
    world.clock.time += HOUR;
    await world.hub.alarm('a', alarmAt(world.clock));
    await quiet(world, 60);
    expect(trainings(world)).toBe(before);
    expect(world.hub.status().tasks[0].next).toMatch(/60 of 100 labels/);
    await quiet(world, 60);
    expect(trainings(world)).toBe(before + 1);

    const other = makeWorld({
      retrain: {
        minRows: 40,
        afterDrift: 100,
        afterDriftDeadline: '1h',
        cooldown: '1m',
        volume: 0,
        every: 0,
      },
    });
    await bringLive(other, 80);
    other.clock.time += HOUR;
    await other.hub.alarm('a', alarmAt(other.clock));
    await quiet(other, 10);
    other.clock.time += HOUR;
    await other.tick();
    expect(trainings(other)).toBe(2);
  });

  test('labels from after the drift that came before its alarm count', async () => {
    const world = makeWorld({
      retrain: { minRows: 40, afterDrift: 50, cooldown: '1m', volume: 0, every: 0 },
    });
    await bringLive(world, 80);
    world.clock.time += HOUR;
    await world.rows('a', 60);
    await world.hub.alarm('a', alarmAt(world.clock));
    await world.tick(2);
    expect(trainings(world)).toBe(2);
  });

  test('that came through after a drift is followed by one from twice as many labels', async () => {
    const world = makeWorld({
      retrain: {
        minRows: 40,
        afterDrift: 50,
        afterDriftDeadline: '30d',
        cooldown: '1m',
        volume: 0,
        every: 0,
      },
    });
    const first = await bringLive(world, 80);
    world.clock.time += HOUR;
    world.makes = [99];
    await world.hub.alarm('a', alarmAt(world.clock));
    for (let i = 0; i < 300 && world.registry.lives.at(-1) === first; i += 1) {
      for (const site of ['a', 'b']) await world.rows(site, 60);
      await world.tick(60, 30);
    }
    expect(world.registry.lives).not.toEqual([first]);
    await world.tick(2);
    const [task] = world.hub.status().tasks;
    const wanted = Number(/more labels from behind it: \d+ of (\d+) labels/.exec(task.next)?.[1]);
    expect(wanted).toBeGreaterThan(50);
    const before = trainings(world);
    world.clock.time += HOUR;
    await quiet(world, wanted - 10);
    expect(trainings(world)).toBe(before);
    await quiet(world, 20);
    expect(trainings(world)).toBe(before + 1);
  });

  test('of volume, of time, never sooner than the cool-down, and never without new labels', async () => {
    const world = makeWorld({
      retrain: { minRows: 40, volume: 500, every: '5d', cooldown: '10m', afterDrift: 0 },
    });
    const live = await bringLive(world, 80);
    const before = trainings(world);
    // Undecided candidates end by themselves; only trainings are counted here.
    const idle = async () => {
      await world.tick(2);
      while (world.step !== null) {
        world.clock.time += HOUR;
        await world.tick();
      }
    };
    await quiet(world, 600);
    await idle();
    await quiet(world, 600);
    expect(trainings(world)).toBeGreaterThan(before);
    await idle();
    const base = trainings(world);
    world.clock.time += 4 * 24 * HOUR;
    await quiet(world, 10);
    expect(trainings(world)).toBe(base);
    world.clock.time += 2 * 24 * HOUR;
    await world.tick();
    expect(trainings(world)).toBe(base + 1);
    await idle();
    await world.hub.alarm('a', alarmAt(world.clock));
    await world.tick();
    const now = trainings(world);
    await idle();
    world.clock.time += 30 * 24 * HOUR;
    await world.tick();
    expect(trainings(world)).toBe(now);
    expect(world.registry.lives).toEqual([live]);
  });

  test('that fails says why, and the live model stays', async () => {
    const world = makeWorld({
      retrain: { minRows: 400, volume: 0, every: 0, cooldown: '1m', afterDrift: 0 },
    });
    world.fleet.add('a');
    await world.tick();
    await world.rows('a', 50);
    await world.hub.alarm('a', alarmAt(world.clock));
    await world.tick(3);
    expect(world.events.at(-1)).toMatchObject({
      kind: 'trainingFailed',
      reason: expect.stringMatching(/50 labelled rows .* 400 are needed/),
    });
    expect(world.hub.status().tasks[0]).toMatchObject({ training: null, rollout: null });
  });

  test('is the only one: alarms meanwhile wait for their turn', async () => {
    const world = makeWorld();
    await bringLive(world, 80);
    world.clock.time += HOUR;
    world.stuck = true;
    await world.hub.alarm('a', alarmAt(world.clock));
    await world.rows('a', 60);
    await world.tick(2);
    expect(world.hub.status().tasks[0].training).not.toBeNull();
    world.clock.time += HOUR;
    await world.hub.alarm('b', alarmAt(world.clock));
    await world.rows('a', 60);
    await world.tick(10);
    expect(trainings(world)).toBe(2);
    expect(world.kinds().filter((kind) => kind === 'drift').length).toBe(2);
  });
});

describe('daily windows', () => {
  const at = (hour: number, minute = 0) => Date.UTC(2026, 2, 3, hour, minute);

  test('are open from their first minute to before their last, over midnight too', () => {
    const windows = ['22:00-04:30', '12:00-13:00'].map((text) => dailyWindow.parse(text));
    expect(
      [at(21, 59), at(22), at(23), at(4, 29), at(4, 30), at(12), at(13)].map((now) => isOpen(windows, now)),
    ).toEqual([false, true, true, true, false, true, false]);
    expect(isOpen([], at(5))).toBe(true);
  });

  test('that are none are refused with how to write one', () => {
    for (const text of ['', '22-4', '24:00-01:00', '10:00-10:00', '10:60-11:00'])
      expect(dailyWindow.safeParse(text).error?.issues[0].message).toMatch(/HH:MM-HH:MM/);
  });
});

describe('the options', () => {
  test('are safe when left out: a person approves, three stages', () => {
    const options = hubLoopOptions.parse({});
    expect(options).toMatchObject({ approve: 'manual', rollout: { stages: ['shadow', 'canary', 'fleet'] } });
    expect(options.gate).toMatchObject({ alpha: 0.01, margin: 0.02 });
  });

  test('stages in another order, or without the fleet, are refused', () => {
    for (const stages of [[], ['shadow'], ['fleet', 'canary'], ['canary', 'canary', 'fleet']])
      expect(hubLoopOptions.safeParse({ rollout: { stages } }).success).toBe(false);
    expect(hubLoopOptions.safeParse({ rollout: { stages: ['canary', 'fleet'] } }).success).toBe(true);
  });
});
