/** What lint says of fields and windows, each at its place, with the real tables. */
import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';

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
