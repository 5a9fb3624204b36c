/** A configuration that is asked over HTTP: what it can do without, and what not. */
import { expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';

const TOKEN = 'http: { token: correct-horse-battery-staple }';
const TASK = 'tasks: { spam: { from: [mx], event: email, labels: [ham, spam] } }';
const HTTP = 'sources: { mx: { type: http } }';
const parse = (...lines: string[]) => parseConfig(['site: mx', ...lines].join('\n'), 'f.yaml', { env: {} });

test('needs no sink where every source is http, and waits two seconds unless told otherwise', () => {
  const config = parse(HTTP, TASK, TOKEN);
  expect(config.sinks).toEqual({});
  expect(config.sources.mx).toEqual({ type: 'http', deadline: 2_000 });
  expect(parse(HTTP, TASK, TOKEN, 'sinks: {}').sinks).toEqual({});
  const own = parse('sources: { mx: { type: http, deadline: 500ms } }', TASK, TOKEN);
  expect(own.sources.mx).toMatchObject({ deadline: 500 });
});

test.each([
  [
    'a token',
    [HTTP, TASK],
    'f.yaml:2:12 sources.mx: needs `http.token`, which whoever sends messages must show',
  ],
  [
    'a sink beside a broker',
    ['sources: { mx: { type: http }, in: { type: memory, channel: c } }', TASK, TOKEN],
    'sinks: is missing (a section of names)',
  ],
  [
    'a sink beside a broker, empty',
    ['sources: { mx: { type: memory, channel: c } }', TASK, 'sinks: {}'],
    'sinks: must hold at least one sink',
  ],
  ['a sink for a fleet', [HTTP, TASK, TOKEN, 'models: {}'], 'sinks: is missing (a section of names)'],
  [
    'a deadline within reason',
    ['sources: { mx: { type: http, deadline: 40s } }', TASK, TOKEN],
    'sources.mx.deadline: must be above 0 and at most 30s',
  ],
])('needs %s', (_, lines, expected) => {
  expect(() => parse(...lines)).toThrow(expected);
});
