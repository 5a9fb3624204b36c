// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what this file is about
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lintText } from '../../src/config/lint.ts';
import { showProblem } from '../../src/config/problems.ts';
import { substitute } from '../../src/config/substitute.ts';
import { good, schema } from './tables.ts';

const lint = (text: string, env: Record<string, string>, set: string[] = []) => {
  const { problems, value } = lintText(schema, text, 'f.yaml', { env, set });
  return { lines: problems.map(showProblem), value };
};

describe('environment references', () => {
  it.each([
    ['${A}', 'x'],
    ['a${A}b${A}c', 'axbxc'],
    ['${MISSING:-d}', 'd'],
    ['${MISSING:-}', ''],
    ['${EMPTY:-d}', 'd'],
    ['${EMPTY}', ''],
    ['${A:-d}', 'x'],
    ['${MISSING:-a:-b}', 'a:-b'],
    ['$${A}', '${A}'],
    ['$$${A}', '$${A}'],
    ['$${ ${A}', '${ x'],
    ['$A $ {A}', '$A $ {A}'],
    ['${NESTED}', '${A}'],
  ])('%s becomes %s', (text, expected) => {
    const result = substitute(text, { A: 'x', EMPTY: '', NESTED: '${A}' });
    expect(result.problems).toEqual([]);
    expect(result.text).toBe(expected);
  });

  it.each([
    [
      '${MISSING}',
      'the environment variable MISSING is not set; set it, or give a default with ${MISSING:-default}',
    ],
    [
      '${toString}',
      'the environment variable toString is not set; set it, or give a default with ${toString:-default}',
    ],
    ['${A', 'a reference begins with ${ but has no closing }; write $${ for a literal ${'],
    [
      '${}',
      '${} is not a reference to an environment variable; write ${NAME} or ${NAME:-default}, or $${ for a literal ${',
    ],
    [
      '${1A}',
      '${1A} is not a reference to an environment variable; write ${NAME} or ${NAME:-default}, or $${ for a literal ${',
    ],
  ])('%s is refused in words', (text, message) => {
    expect(substitute(text, { A: 'x' }).problems.map((p) => p.message)).toEqual([message]);
  });

  it('points at the reference itself, inside a long scalar', () => {
    const text = good.replace('mqtt://broker\n    topics', '"mqtt://${HOST}:1883"\n    topics');
    expect(lint(text, {}).lines).toEqual([
      'f.yaml:6:18 sources.plant.url: the environment variable HOST is not set; set it, or give a default with ${HOST:-default}',
    ]);
  });

  it('takes its type from the schema quoted or not', () => {
    const text = `${good}maxInFlight: \${N}\nprivacy: { show: "\${SHOW}" }\nseed: \${SEED:-7}\n`;
    const { value, lines } = lint(text, { N: '17', SHOW: 'true' });
    expect(lines).toEqual([]);
    expect(value).toMatchObject({ maxInFlight: 17, privacy: { show: true }, seed: 7 });
  });

  it('stays text where text is wanted, whatever it looks like', () => {
    const text = good.replace('qos: 1', 'password: ${PW}');
    for (const password of ['12345678', 'true', 'null', '~', '1e3', '0x10'])
      expect(lint(text, { PW: password }).value?.sources.plant).toMatchObject({ password });
  });

  it('must be quoted inside [ ] and { }, and the complaint says so', () => {
    expect(lint(`${good}privacy: { show: \${SHOW} }\n`, { SHOW: 'true' }).lines).toEqual([
      'f.yaml:25:19 configuration: not valid YAML: Unexpected flow-map-start at node end; inside [ ] and { } put ${…} in quotes',
    ]);
  });

  it('is not looked for in names', () => {
    expect(lint(`${good}"\${A}": 1\n`, { A: 'seed' }).lines[0]).toContain('"${A}": unknown option');
  });

  it('never becomes YAML structure, whatever the variable holds', () => {
    const text = good.replace('topics: ["plant/+"]', 'topics: ["${T}"]');
    const pieces = [
      '\n',
      ': ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '#',
      '"',
      "'",
      '&a ',
      '*a',
      '!!x ',
      '<<',
      '${SECRET}',
      'a',
      ' ',
    ];
    const hostile = fc
      .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 12 })
      .map((p) => p.join(''));
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string()), (value) => {
        const result = lint(text, { T: value, SECRET: 'leaked' });
        expect(result.lines).toEqual([]);
        expect(result.value?.sources.plant).toMatchObject({ topics: [value] });
        expect(Object.keys(result.value?.sources ?? {})).toEqual(['mail', 'plant']);
      }),
      { seed: 1, numRuns: 120 },
    );
  });
});

describe('overrides', () => {
  it('win over the file, the command line over the environment', () => {
    const { value } = lint(good, { SLUICE__SITE: 'from-env', SLUICE__SEED: '3' }, ['site=from-set']);
    expect(value).toMatchObject({ site: 'from-set', seed: 3 });
  });

  it('find options of the environment without regard to case, - and _', () => {
    const env = {
      SLUICE__MAX_IN_FLIGHT: '9',
      SLUICE__MAXINFLIGHTBYTES: '1MiB',
      SLUICE__BATCH__SIZE: '2',
      SLUICE__SOURCES__PLANT__TOPICS__0: 'b/+',
    };
    expect(lint(good, env).lines).toEqual([]);
    expect(lint(good, env).value).toMatchObject({
      maxInFlight: 9,
      maxInFlightBytes: 1_048_576,
      batch: { size: 2 },
      sources: { plant: { topics: ['b/+'] } },
    });
  });

  it('find names that the file uses, however they are written', () => {
    const text = good.replaceAll('plant', 'Plant-A');
    expect(lint(text, { SLUICE__SOURCES__PLANT_A__QOS: '0' }).value?.sources['Plant-A']).toMatchObject({
      qos: 0,
    });
  });

  it.each([
    [['sources.plant.topics=[a, b]'], { sources: { plant: { topics: ['a', 'b'] } } }],
    [['sources.plant.topics.1=c'], { sources: { plant: { topics: ['plant/+', 'c'] } } }],
    [['http.listen=0.0.0.0:1'], { http: { listen: { host: '0.0.0.0', port: 1 } } }],
    [['http={ listen: ":2" }'], { http: { listen: { host: '0.0.0.0', port: 2 } } }],
    [['tasks.machine.model.trees=5'], { tasks: { machine: { model: { options: { trees: 5 } } } } }],
    [['sources.mail.url=mqtt://h/?a=b'], { sources: { mail: { url: 'mqtt://h/?a=b' } } }],
    [['"site"=x'], { site: 'x' }],
  ])('--set %j', (set, expected) => {
    expect(lint(good, {}, set).value).toMatchObject(expected);
  });

  it.each([
    ['site', '--set site configuration: is not PATH=VALUE, as in --set http.listen=127.0.0.1:9000'],
    ['=x', '--set  configuration: is not PATH=VALUE, as in --set http.listen=127.0.0.1:9000'],
    ['a..b=x', '--set a..b a..b: has an empty part; write a.b.c=value'],
    ['site.x=1', '--set site.x site: is a value, not a section; nothing can be set below it'],
    [
      'sources.plant.topics.9=x',
      '--set sources.plant.topics.9 sources.plant.topics: is a list of 1; name an entry by its number from 0 (1 appends)',
    ],
    [
      'sources.plant.topics=[a',
      '--set sources.plant.topics sources.plant.topics: the value opens like YAML but is not valid; put it in quotes if it is text',
    ],
    ['maxInFlight=lots', '--set maxInFlight maxInFlight: must be a number, not text'],
    [
      'max=1',
      '--set max max: unknown option (known here: site, sources, tasks, sinks, group, models, hub, store, http, monitor, maxInFlight, maxInFlightBytes, batch, workers, privacy, seed)',
    ],
    [
      'sources.__proto__.x=1',
      '--set sources.__proto__.x sources.__proto__.x: __proto__ is not allowed as a name',
    ],
  ])('--set %s is refused', (set, expected) => {
    expect(lint(good, {}, [set]).lines).toEqual([expected]);
  });

  it('from the environment are refused with the name of the variable', () => {
    expect(lint(good, { SLUICE__SEDE: '1' }).lines).toEqual([
      'environment SLUICE__SEDE sede: unknown option; did you mean "seed"? (known here: site, sources, tasks, sinks, group, models, hub, store, http, monitor, maxInFlight, maxInFlightBytes, batch, workers, privacy, seed)',
    ]);
    expect(lint(good, { SLUICE__A____B: '1' }).lines).toEqual([
      'environment SLUICE__A____B a: has an empty part; write SLUICE__A__B=value',
    ]);
  });

  it('leave other variables alone', () => {
    expect(lint(good, { SLUICE_DATA: 'x', SLUICE: 'y', SLUICED__A: 'z' }).lines).toEqual([]);
  });

  it('carry any text unchanged when it is quoted as JSON, and any plain text as it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const quoted = lint(good, {}, [`sources.plant.session=${JSON.stringify(text)}`]);
        if (!text.includes('__proto__')) expect(quoted.value?.sources.plant).toMatchObject({ session: text });
        if (/^\s*[[{"']/.test(text)) return;
        expect(lint(good, { SLUICE__SOURCES__PLANT__SESSION: text }).value?.sources.plant).toMatchObject({
          session: text,
        });
      }),
      { seed: 2, numRuns: 120 },
    );
  });

  it('set one option and touch no other', () => {
    const before = lint(good, {}).value;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.constantFrom('maxInFlight', 'seed'),
        (n, key) => {
          expect(lint(good, {}, [`${key}=${n}`]).value).toEqual({ ...before, [key]: n });
        },
      ),
      { seed: 3, numRuns: 50 },
    );
  });
});
