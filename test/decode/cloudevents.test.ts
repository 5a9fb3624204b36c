/** CloudEvents 1.0 by the examples of its specification: JSON format 1.0.2, and the bindings to HTTP, Kafka and MQTT. */
import { describe, expect, test } from 'vitest';
import type { Event, Message, ReadingBody } from '../../src/contract.ts';
import { jsonOptions, openJson } from '../../src/decode/json.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';

const decoder = openJson(
  jsonOptions.parse({
    fields: { appinfoA: { type: 'category' }, appinfoB: {}, appinfoC: { type: 'boolean' }, xyz: {} },
  }),
);
const decode = (payload: unknown, headers: Message['headers'] = {}): readonly Event[] =>
  decoder.decode(messageOf(typeof payload === 'string' ? payload : JSON.stringify(payload), { headers }));
const bodyOf = (event: Event) => {
  const { values, categories } = event.body as ReadingBody;
  return [...values].map((value, i) => categories[i] ?? (Number.isNaN(value) ? null : value));
};
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `foreign ${String(error)}`;
  }
};

const data = { appinfoA: 'abc', appinfoB: 123, appinfoC: true };
const attributes = {
  specversion: '1.0',
  type: 'com.example.someevent',
  source: '/mycontext',
  id: 'C234-1234-1234',
  time: '2018-04-05T17:31:00Z',
  comexampleextension1: 'value',
  comexampleothervalue: 5,
};
const at = Date.UTC(2018, 3, 5, 17, 31);
const prefixed = (prefix: string) =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, String(value)]));

describe('one event, the same in every mode and binding', () => {
  const structured = { ...attributes, subject: null, datacontenttype: 'application/json', data };
  test.each<[string, unknown, Message['headers']]>([
    ['structured', structured, { 'content-type': 'application/cloudevents+json; charset=utf-8' }],
    ['structured, where nobody says so (MQTT 3.1.1)', structured, {}],
    ['binary over HTTP', data, { ...prefixed('ce-'), 'content-type': 'application/json' }],
    ['binary over Kafka', data, { ...prefixed('ce_'), 'content-type': 'application/json' }],
    ['binary over MQTT 5', data, { ...prefixed(''), 'content-type': 'application/json; charset=utf-8' }],
    ['as a batch of one', [structured], { 'content-type': 'application/cloudevents-batch+json' }],
  ])('%s', (_, payload, headers) => {
    const [event, ...others] = decode(payload, headers);
    expect(others).toEqual([]);
    expect([event.id, event.weak, event.at]).toEqual(['/mycontext/C234-1234-1234', false, at]);
    expect(bodyOf(event)).toEqual(['abc', 123, 1, null]);
  });

  test('with data in base64 and no content type', () => {
    const [event] = decode({
      ...{ specversion: '1.0', type: 'com.example.someevent', source: '/mycontext', id: 'D234-1234-1234' },
      data_base64: 'eyAieHl6IjogMTIzIH0=',
    });
    expect([event.id, bodyOf(event)[3]]).toEqual(['/mycontext/D234-1234-1234', 123]);
  });

  test('data that is no reading is refused: a number, a text', () => {
    for (const one of [1.5, "I'm just a string"])
      expect(codeOf(() => decode({ ...attributes, data: one }))).toBe('DECODE_SHAPE');
  });
});

describe('a batch', () => {
  const event = (id: string, more: object) => ({ ...attributes, id, ...more });
  test('gives each event under its own name, data in both forms', () => {
    const events = decode([
      event('B234-1234-1234', { source: '/mycontext/4', data_base64: 'eyAieHl6IjogMTIzIH0=' }),
      event('C234-1234-1234', { source: '/mycontext/9', data }),
    ]);
    expect(events.map(({ id }) => id)).toEqual([
      '/mycontext/4/B234-1234-1234',
      '/mycontext/9/C234-1234-1234',
    ]);
    expect(events.map((each) => bodyOf(each)[1])).toEqual([null, 123]);
  });

  test('may be empty where its media type says that it is one', () => {
    expect(decode('[]', { 'content-type': 'application/cloudevents-batch+json' })).toEqual([]);
    expect(codeOf(() => decode('[]'))).toBe('DECODE_SHAPE');
  });

  test('is bounded over all its events', () => {
    const many = Array.from({ length: 3 }, (_, i) =>
      event(String(i), { data: Array.from({ length: 4_000 }, () => ({ xyz: 1 })) }),
    );
    expect(codeOf(() => decode(many))).toBe('DECODE_TOO_LARGE');
  });
});

describe('misuse', () => {
  test('plain user properties called id and source name no event without specversion', () => {
    const headers = { id: '1', source: 's', time: '2018-04-05T17:31:00Z' };
    const [event] = decode(data, headers);
    expect(event.weak).toBe(true);
    expect(event.at).not.toBe(at);
  });

  test('percent-encoding is undone over HTTP, and left where it is none', () => {
    const id = (source: string) => decode(data, { 'ce-id': '1', 'ce-source': source })[0].id;
    expect(id('/m%C3%BCll%20x')).toBe('/müll x/1');
    expect(id('/100%')).toBe('/100%/1');
    expect(decode(data, { ce_id: '1', ce_source: '/a%20b' })[0].id).toBe('/a%20b/1');
  });

  test.each([
    ['data_base64 that is no base64', { data_base64: '####' }, 'DECODE_SHAPE'],
    ['data_base64 that is a number', { data_base64: 5 }, 'DECODE_SHAPE'],
    ['data_base64 of no JSON', { data_base64: 'AAEC' }, 'DECODE_JSON'],
    ['data_base64 of nothing', { data_base64: '' }, 'DECODE_EMPTY'],
    [
      'nesting that hides in base64',
      { data_base64: Buffer.from('['.repeat(3_000)).toString('base64') },
      'DECODE_DEPTH',
    ],
    ['no data', {}, 'DECODE_SHAPE'],
  ])('%s is refused', (_, more, code) => {
    expect(codeOf(() => decode({ ...attributes, ...more }))).toBe(code);
  });
});
