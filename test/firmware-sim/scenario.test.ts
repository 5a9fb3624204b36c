// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what is tested
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { scenarioFrom, simCommand } from '../../firmware-sim/options.ts';
import { EXAMPLE } from '../../firmware-sim/scenario/example.ts';
import { planOf } from '../../firmware-sim/scenario/plan.ts';
import { readScenario } from '../../firmware-sim/scenario/read.ts';
import { type Scenario, scenarioSchema } from '../../firmware-sim/scenario/schema.ts';
import { configPage } from '../../src/config/reference.ts';

const WHERE = 'where: { type: mqtt, url: "mqtt://127.0.0.1:1" }';

const complaints = (text: string, set: readonly string[] = [], env: Record<string, string> = {}): string[] =>
  readScenario(text, 'f', { set, env }).problems.map(
    ({ place, path, message }) => `${place.shown} ${path}: ${message}`,
  );

function good(text: string, set: readonly string[] = []): Scenario {
  const { scenario, problems } = readScenario(text, 'f', { set, env: {} });
  if (!scenario) throw new Error(JSON.stringify(problems));
  return scenario;
}

describe('a scenario file', () => {
  it('needs to say where, and nothing else', () => {
    expect(good(WHERE)).toMatchObject({ seed: 7, sites: { demo: {} }, readings: { devices: 40, rate: 200 } });
    expect(complaints('seed: 3')).toEqual([expect.stringMatching(/^f:\d+:\d+ where: is missing/)]);
    expect(complaints('')).toEqual([expect.stringContaining('is empty')]);
  });

  it('is shown by an example that passes its own check, and mentions every section', () => {
    const scenario = good(EXAMPLE);
    expect(scenario.drift.map(({ how }) => how)).toEqual(['abrupt', 'incremental', 'gradual', 'recurring']);
    for (const section of Object.keys(scenarioSchema.shape))
      expect(EXAMPLE).toMatch(new RegExp(`^(# )?${section}:`, 'm'));
    const whole = EXAMPLE.replace(/^# (followers:)$/m, '$1').replace(/^# {3}(\w+: .*)$/gm, '  $1');
    expect(good(whole).followers).toMatchObject({
      count: 1_000,
      faults: { silent: 0.02, clockOff: -20_000 * 86_400_000 },
    });
  });

  it.each([
    ['colour: blue', 'f:2:1 colour: unknown option (known here: where, seed,'],
    ['readings: { devices: -1 }', 'f:2:22 readings.devices: must be at least 1'],
    [
      'readings: { rate: fast }',
      'f:2:19 readings.rate: write a number of messages a second, 0 to 1000000, or max',
    ],
    ['readings: { types: [crane] }', 'f:2:21 readings.types[0]: must be one of press, pump, fan'],
    [
      'readings: { labels: { shape: normal } }',
      'f:2:30 readings.labels.shape: must be one of uniform, fixed, exponential, lognormal',
    ],
    ['network: { ofline: {} }', 'f:2:12 network.ofline: unknown option; did you mean "offline"?'],
    [
      'network: { offline: { every: 5 parsecs } }',
      'f:2:30 network.offline.every: not a duration; write 500ms, 10s',
    ],
    [
      'drift: [{ how: sudden, kind: concept, at: 1m }]',
      'f:2:16 drift[0].how: must be one of abrupt, gradual, incremental, recurring',
    ],
    ['drift: [{ how: gradual, kind: concept, at: 1m }]', 'drift[0].over: a gradual drift takes time'],
    ['drift: [{ how: recurring, kind: concept, at: 1m }]', 'drift[0].period: a recurring drift comes again'],
    [
      'drift: [{ kind: concept, at: 1m, over: 5s }]',
      'f:2:40 drift[0].over: belongs to gradual and incremental; this drift is abrupt',
    ],
    [
      'drift: [{ kind: sensor, at: 1m }]',
      'drift[0].sensor: a drift of a sensor names it: one of temperature, vibration',
    ],
    ['drift: [{ kind: concept, at: 1m, until: 30s }]', 'drift[0].until: must not be before'],
    [
      'drift: [{ kind: concept, at: 1m, sites: [south] }]',
      'f:2:42 drift[0].sites[0]: is no site here (there are demo)',
    ],
    [
      'phases: [{ name: a, at: 5s }, { name: b, at: 5s }]',
      'f:2:46 phases[1].at: must be later than the phase before',
    ],
    ['readings: { rate: 0 }', 'f:2:19 readings.rate: nothing is to be sent'],
    [
      'readings: { devices: 1 }\nsites: { a: {}, b: {} }',
      'readings.devices: must be at least one for each site',
    ],
    ['mail: { rate: 1, task: machine }', 'f:2:24 mail.task: readings and mail are judged by different tasks'],
    ['followers: { count: 3 }', 'followers.trust: is missing'],
    ['followers: { count: 3, trust: [k], apply: { from: 9s, to: 1s } }', 'from must not be greater than to'],
    [
      'followers: { count: 3, trust: [k], faults: { clockOff: soon } }',
      'followers.faults.clockOff: not a duration; write -20000d',
    ],
    ['sites: { "a/b": {} }', 'use letters, digits'],
    ['sites: { a: { mail: "x/#" } }', 'sites.a.mail: a topic to publish to has no wildcards'],
  ])('is refused with the place: %s', (line, complaint) => {
    expect(complaints(`${WHERE}\n${line}`)).toEqual([expect.stringContaining(complaint)]);
  });

  it('takes secrets from the environment, and never repeats them', () => {
    const text = 'where: { type: mqtt, url: "${URL}", user: sim, password: "${SIM_PASSWORD}" }';
    expect(complaints(text, [], { URL: 'mqtt://h' })).toEqual([
      expect.stringContaining('SIM_PASSWORD is not set'),
    ]);
    const read = readScenario(text, 'f', { env: { URL: 'mqtt://h', SIM_PASSWORD: 'pa55' } });
    expect(read.scenario?.where).toMatchObject({ user: 'sim', password: 'pa55' });
    const bad = complaints(text, [], { URL: 'http://user:pa55word@h', SIM_PASSWORD: 'pa55' });
    expect(bad).toHaveLength(1);
    expect(bad[0]).not.toContain('pa55');
  });

  it('is changed by --set, which names itself where it is wrong', () => {
    expect(good(WHERE, ['readings.rate=max', 'drift=[{ kind: concept, at: 3s }]']).drift).toHaveLength(1);
    expect(good(WHERE, ['readings.rate=5']).readings.rate).toBe(5);
    expect(complaints(WHERE, ['readings.rat=5'])).toEqual([
      expect.stringMatching(/^--set readings\.rat .*did you mean "rate"/),
    ]);
  });

  it('does not listen to the environment of a gateway', () => {
    expect(readScenario(WHERE, 'f', { env: { SLUICE__SITE: 'x', SLUICE__SEED: '9' } }).scenario?.seed).toBe(
      7,
    );
  });
});

describe('the command line', () => {
  const from = (...words: string[]) => {
    const command = simCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {}, writeOut: () => {} });
    command.parse(words, { from: 'user' });
    return scenarioFrom(command);
  };

  it('is a scenario too: there is one path', () => {
    const scenario = from(
      '--url',
      'mqtt://h',
      '--site',
      'north',
      '--rate',
      '9',
      '--no-faults',
      '--mail-rate',
      '2',
      '--for',
      '3s',
    );
    expect(scenario).toMatchObject({
      where: { type: 'mqtt', url: ['mqtt://h'], version: 5, connections: 1 },
      ...{ for: 3_000, seed: 7, sites: { north: {} } },
      readings: { rate: 9, devices: 40, labels: { fraction: 0.2, delay: 2_000 } },
      mail: { rate: 2, garbage: 0 },
      faults: { missing: 0, stuck: 0 },
      network: { duplicate: 0, reorder: 0, offline: { every: 0 } },
    });
    expect(from('--kafka', 'a:1,b:2').where).toMatchObject({ type: 'kafka', brokers: ['a:1', 'b:2'] });
  });

  it.each([
    [['-c', 'x.yaml', '--rate', '5'], /--rate: with -c this stands in the file/],
    [['--set', 'seed=1', '--url', 'mqtt://h'], /--set: belongs to a scenario file/],
    [['--url', 'mqtt://h', '--rate', '0', '--mail-rate', '0'], /nothing is to be sent/],
    [['--url', 'http://h'], /not an MQTT address/],
  ])('refuses %j', (words, reason) => {
    expect(() => from(...words)).toThrow(reason);
  });

  it('says which file is not there', () => {
    expect(() => from('-c', 'nowhere.yaml')).toThrow(/nowhere\.yaml: there is no such file/);
  });
});

describe('the plan of a scenario', () => {
  const START = Date.UTC(2026, 0, 1);
  const two = `${WHERE}
sites: { north: {}, south: {} }
readings: { devices: 7, rate: 70 }
mail: { rate: 10 }
drift:
  - { name: jump, kind: concept, at: 10s }
  - { name: worn, kind: sensor, sensor: rpm, how: incremental, at: 20s, over: 5s, sites: [south] }
`;
  const first = async (scenario: Scenario, site: number, count: number): Promise<string[]> => {
    const out: string[] = [];
    for (const { feed } of planOf(scenario).sites[site].streams) {
      feed.begin?.(START);
      for (let i = 0; i < count; i++)
        for (const { payload } of (await feed.next(START + i * 40)) ?? [])
          out.push(Buffer.from(payload).toString());
    }
    return out;
  };

  it('gives the same messages for the same seed, at every site, and others for another seed', async () => {
    const messages = await first(good(two), 0, 300);
    expect(await first(good(two), 0, 300)).toEqual(messages);
    expect(await first(good(two), 1, 300)).not.toEqual(messages);
    expect(await first(good(two, ['seed=8']), 0, 300)).not.toEqual(messages);
  });

  it('divides devices and rates among the sites, with topics of their own, and the script to whom it concerns', () => {
    const { sites, phases, tasks } = planOf(good(two));
    expect(sites.map(({ streams }) => streams.map(({ rate }) => rate))).toEqual([
      [35, 5],
      [35, 5],
    ]);
    expect(sites.map(({ script }) => script.map(({ name }) => name))).toEqual([['jump'], ['jump', 'worn']]);
    expect(sites.map(({ inputs }) => inputs)).toEqual([
      { reading: 'plant/north', mail: 'mail/north' },
      { reading: 'plant/south', mail: 'mail/south' },
    ]);
    expect(phases.map(({ name, at }) => [name, at])).toEqual([
      ['start', 0],
      ['jump begins', 10_000],
      ['worn begins', 20_000],
    ]);
    expect(tasks).toEqual(['machine', 'spam']);
    const kafka = planOf(good(two, ['where={ type: kafka, brokers: ["h:1"] }'])).sites;
    expect(kafka[1].inputs).toEqual({ reading: 'plant.south.telemetry', mail: 'mail.south.inbound' });
  });

  it('lets phases change rates, faults, connections and labels, each from its time on', () => {
    const { sites } = planOf(
      good(`${WHERE}
rhythm: 0.5
day: 100s
phases:
  - { name: storm, at: 50s, rate: 2, labels: { delay: 30s, fraction: 0 } }
  - { name: pause, at: 60s, rate: 0 }
`),
    );
    const [{ rate, labels }] = sites[0].streams;
    const at = rate as (t: number) => number;
    expect([0, 25_000, 59_999.999, 75_000].map((t) => Math.round(at(t)))).toEqual([
      200,
      300,
      Math.round(400 * (1 + 0.5 * Math.sin(2 * Math.PI * 0.6))),
      0,
    ]);
    const plan = labels as (t: number) => object;
    expect(plan(49_999)).toMatchObject({ delay: 2_000, fraction: 0.2, wrong: 0.01 });
    expect(plan(50_000)).toMatchObject({ delay: 30_000, fraction: 0, wrong: 0.01 });
    expect(plan(60_000)).toMatchObject({ delay: 2_000, fraction: 0.2 });
  });
});

describe('docs/simulator.md', () => {
  const FILE = new URL('../../docs/simulator.md', import.meta.url);
  const MARK = '<!-- keys of the scenario: from the schema, held by test/firmware-sim/scenario.test.ts -->\n';

  it('names every key of a scenario with its values and its default', () => {
    const page = readFileSync(FILE, 'utf8');
    const head = page.slice(0, page.indexOf(MARK) + MARK.length);
    const schema = z.toJSONSchema(scenarioSchema, {
      ...{ io: 'input', unrepresentable: 'any' },
      // A default of a transformed value is of its output: milliseconds and bytes, which are good input too.
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema instanceof z.ZodDefault && jsonSchema.default === undefined)
          jsonSchema.default = zodSchema.def.defaultValue as typeof jsonSchema.default;
      },
    });
    const written = configPage(schema as Record<string, unknown>, head);
    // SLUICE_WRITE_DOCS=1 writes the page anew after the schema was changed.
    if (process.env.SLUICE_WRITE_DOCS === '1') writeFileSync(FILE, written);
    else expect(page).toBe(written);
  });
});
