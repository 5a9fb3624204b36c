/** Whatever is told to a hub, in whatever order, with kills in between: one live model, serials that rise, nothing without the gate. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { alarmAt, bundleOf, makeWorld, START, TASK, type World } from './hub-kit.ts';

type Fact =
  | { readonly do: 'rows'; readonly site: string; readonly count: number; readonly candidate: number }
  | { readonly do: 'alarm'; readonly site: string; readonly stream: string }
  | { readonly do: 'online'; readonly site: string; readonly online: boolean }
  | { readonly do: 'obeys'; readonly site: string; readonly obeys: boolean | 'late' }
  | { readonly do: 'order'; readonly what: (typeof ORDERS)[number]; readonly which: number }
  | { readonly do: 'claim'; readonly which: number; readonly serial: number }
  | { readonly do: 'makes'; readonly percent: number }
  | { readonly do: 'away'; readonly away: boolean }
  | { readonly do: 'kill'; readonly after: number }
  | { readonly do: 'wait'; readonly seconds: number };

const ORDERS = ['promote', 'reject', 'rollback', 'pause', 'resume', 'stop'] as const;
const site = fc.constantFrom('a', 'b', 'c');

const rows = fc.record({
  do: fc.constant('rows' as const),
  site,
  count: fc.integer({ min: 40, max: 200 }),
  // What a candidate is really worth at that site.
  candidate: fc.constantFrom(0, 0, 0, 20, 99),
});
const fact: fc.Arbitrary<Fact> = fc.oneof(
  { weight: 8, arbitrary: rows },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(5, 60, 700, 4_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('alarm' as const),
      site,
      stream: fc.constantFrom('logLoss', 'volume'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('online' as const), site, online: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('obeys' as const),
      site,
      obeys: fc.constantFrom(true, true, false, 'late' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('order' as const),
      what: fc.constantFrom(...ORDERS),
      which: fc.nat(5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('claim' as const), which: fc.nat(5), serial: fc.nat(30) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('makes' as const), percent: fc.constantFrom(30, 60, 75, 90, 97) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away' as const), away: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('kill' as const), after: fc.nat(12) }) },
);

const digestAt = (world: World, which: number) => [...world.registry.entries.keys()][which] ?? '';

async function tell(world: World, told: Fact): Promise<void> {
  const rollout = world.hub.status().tasks[0].rollout?.candidate.digest;
  if (told.do === 'rows') {
    const percent = told.candidate > 0 && rollout ? { [rollout]: told.candidate } : {};
    await world.rows(told.site, told.count, { percent });
  } else if (told.do === 'alarm')
    await world.hub.alarm(told.site, alarmAt(world.clock, told.stream)).catch(() => undefined);
  else if (told.do === 'online') {
    world.fleet.site(told.site).online = told.online;
    world.hub.presence(told.site, told.online);
  } else if (told.do === 'obeys') world.fleet.site(told.site).obeys = told.obeys;
  else if (told.do === 'order')
    void world.hub.order({
      id: `${world.clock.time}/${told.what}`,
      task: TASK.name,
      what: told.what,
      digest: told.which === 5 ? '' : digestAt(world, told.which),
      by: 'x',
      at: world.clock.time,
    });
  else if (told.do === 'claim')
    world.hub.actual({
      site: 'liar',
      group: 'default',
      task: TASK.name,
      digest: digestAt(world, told.which) || null,
      labels: 0,
      companion: digestAt(world, told.which + 1) || null,
      serial: told.serial,
      state: 'running',
      reason: '',
      at: 0,
    });
  else if (told.do === 'makes') world.makes = [told.percent];
  else if (told.do === 'away') world.away = told.away;
  else if (told.do === 'kill') {
    let left = told.after;
    world.hook = () => {
      left -= 1;
      if (left < 0) throw new Error('killed');
    };
    await world.tick(3);
    world.hook = () => undefined;
    world.restart();
  } else await world.tick(told.seconds, Math.max(1, told.seconds / 4));
  await world.tick(2);
}

function check(world: World): void {
  expect(world.registry.lives.length).toBeLessThanOrEqual(1);
  const serials = world.words.map(({ serial }) => serial);
  expect(serials).toEqual(serials.map((_, i) => i + 1));
  const passed = new Set(
    world.registry.audits.filter(({ what }) => what === 'gate').map(({ digest }) => digest),
  );
  for (const { digest, candidate, compare } of world.words)
    for (const each of [digest, candidate?.digest, compare?.digest])
      if (typeof each === 'string') expect(passed.has(each)).toBe(true);
  for (const live of world.registry.lives) expect(passed.has(live)).toBe(true);
}

test('random facts never lead to two live models, a serial twice or left out, or a model that did not pass the gate', async () => {
  let lives = 0;
  let backs = 0;
  const property = fc.asyncProperty(fc.array(fact, { minLength: 20, maxLength: 60 }), async (facts) => {
    const world = makeWorld({
      retrain: { minRows: 40, afterDrift: 20, cooldown: '1m', volume: 150, every: 0 },
    });
    world.fleet.add('a', 'b', 'c');
    await world.registry.put(bundleOf(85), 'brought', START);
    await world.tick();
    for (const told of facts) {
      await tell(world, told);
      check(world);
    }
    // Left alone with a broker that works, what was begun comes to an end.
    world.away = false;
    await world.tick(2);
    const { word } = { word: world.words.at(-1) };
    const { live, told, rollout } = world.hub.status().tasks[0];
    expect(told).toBe(true);
    if (!rollout && word) expect(word).toMatchObject({ digest: live?.digest ?? null, candidate: null });
    lives += world.registry.lives.length;
    backs += world.kinds().filter((kind) => kind === 'rolledBack' || kind === 'rejected').length;
  });
  await fc.assert(property, { numRuns: 40, seed: 4 });
  // The property is about something: models went live and were taken back on the way.
  expect(lives).toBeGreaterThan(10);
  expect(backs).toBeGreaterThan(10);
}, 60_000);
