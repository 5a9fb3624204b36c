/** What lint says of fields and windows, each at its place, with the real tables. */
import { describe, expect, it } from 'vitest';
import { lintText } from '../../src/config/lint.ts';
import { configSchema, parseConfig } from '../../src/config.ts';

const complaints = (fields: string, windows: string): string => {
  try {
    parseConfig(
      `
site: a
sources: { in: { type: memory, channel: c } }
sinks: { out: { type: memory, channel: c } }
tasks:
  machine:
    from: [in]
    event: sensor
    labels: [ok, fault]
    fields: ${fields}
    features: { windows: ${windows} }
`,
      'test.yaml',
      { env: {} },
    );
    return '';
  } catch (error) {
    return String((error as Error).message);
  }
};

it.each([
  ['{ x: {} }', '{ on: true, fields: [y] }', /windows\.fields\[?\.?0\]?.*"y" is no declared number/],
  ['{ x: {}, m: { type: category } }', '{ on: true, fields: [m] }', /"m" is no declared number/],
  ['{ x: { stuck: 100 } }', '{}', /fields\.x\.stuck.*looks further back.*windows\.count to 100/],
  ['{ x: { stuck: 9 } }', '{ count: 8 }', /windows\.count to 9/],
  ['{ x: { spike: 5, type: boolean } }', '{}', /fields\.x\.spike.*is for numbers/],
  ['{ x: { missing: nearest } }', '{}', /fields\.x\.missing/],
  ['{ x: {} }', '{ stats: [median] }', /windows\.stats/],
  ['{ x: {} }', '{ halfLives: [soon] }', /windows\.halfLives/],
  ['{ x: {} }', '{ lateness: 5 parsecs }', /windows\.lateness/],
])('%s with windows %s is refused with the place', (fields, windows, said) => {
  expect(complaints(fields, windows)).toMatch(said);
});

it('what is right is accepted, in all its spellings', () => {
  expect(
    complaints('{ x: { stuck: 64 }, y: {} }', '{ on: true, fields: [y], halfLives: [2, 10m], span: 1h }'),
  ).toBe('');
  expect(
    complaints('{ x: { missing: { constant: 3 }, clip: [0, 9] } }', '{ stats: "lag, ewma", halfLives: 4 }'),
  ).toBe('');
  expect(complaints('{ x: { clip: 3, scale: robust, missing: median } }', '{}')).toBe('');
});

describe('what lint says of the preset', () => {
  const warnings = (task: string): string[] => {
    const text = `
site: a
sources: { in: { type: memory, channel: c } }
sinks: { out: { type: memory, channel: c } }
tasks:
  machine: { from: [in], event: sensor, ${task} }
`;
    const { value, problems } = lintText(configSchema, text, 'test.yaml', { env: {} });
    expect(value).not.toBeNull();
    return problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`);
  };
  const many = (n: number) => `{ ${Array.from({ length: n }, (_, i) => `f${i}: {}`).join(', ')} }`;
  const two = 'labels: [ok, fault]';

  it.each([
    [
      `fields: ${many(129)}, ${two}`,
      /^warning tasks\.machine: there are 129 fields.*no windows and the model/,
    ],
    [
      `fields: ${many(2)}, labels: [${Array.from({ length: 257 }, (_, i) => `l${i}`)}]`,
      /there are 257 labels/,
    ],
    [`fields: ${many(129)}, ${two}, model: { kind: forest }`, /has no windows, as with/],
    [
      `fields: ${many(2)}, ${two}, model: { kind: linear }`,
      /^warning tasks\.machine\.model\.kind: cannot leave aside/,
    ],
  ])('says aloud what there is less of, or too much: %s', (task, said) => {
    expect(warnings(task)).toEqual([expect.stringMatching(said)]);
  });

  it.each([
    `fields: ${many(128)}, ${two}`,
    `fields: ${many(129)}, ${two}, features: { preset: fast }`,
    `fields: ${many(129)}, ${two}, features: { windows: { on: true } }, model: { kind: stack }`,
    `fields: ${many(2)}, ${two}, model: { kind: linear }, features: { preset: fast }`,
    `fields: ${many(2)}, ${two}, model: { kind: linear }, features: { windows: { on: true } }`,
  ])('has nothing to say where it is meant: %s', (task) => {
    expect(warnings(task)).toEqual([]);
  });
});
