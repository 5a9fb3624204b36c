import { describe, expect, test } from 'vitest';
import type { Event, Message, ReadingBody } from '../../src/contract.ts';
import { jsonOptions, openJson } from '../../src/decode/json.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';
import { mulberry } from './random.ts';

const options = {
  fields: {
    temperature: { range: [-40, 120] },
    mode: { type: 'category', categories: ['auto', 'hand'] },
    running: { type: 'boolean' },
    since: { type: 'time' },
    deep: { pointer: '/a~1b/0/c~0d' },
  },
  device: { pointer: '/device' },
  time: '/time',
};
const decoder = openJson(jsonOptions.parse(options));
const decode = (payload: unknown, more: Partial<Message> = {}): readonly Event[] =>
  decoder.decode(messageOf(typeof payload === 'string' ? payload : JSON.stringify(payload), more));
const reading = (payload: unknown): ReadingBody => decode(payload)[0].body as ReadingBody;
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `foreign ${String(error)}`;
  }
};

describe('values', () => {
  test('come in declared order, by pointer', () => {
    const body = reading({
      running: true,
      temperature: 21.5,
      mode: 'auto',
      since: '2026-01-02T03:04:05Z',
      'a/b': [{ 'c~d': 7 }],
    });
    expect([...body.values]).toEqual([21.5, Number.NaN, 1, Date.UTC(2026, 0, 2, 3, 4, 5), 7]);
    expect(body.categories).toEqual([null, 'auto', null, null, null]);
  });

  test.each<[string, string]>([
    ['above the range', '{"temperature":121'],
    ['below the range', '{"temperature":-41'],
    ['beyond a double', '{"temperature":1e400'],
    ['text', '{"temperature":"21"'],
    ['null', '{"temperature":null'],
    ['boolean', '{"temperature":true'],
    ['object', '{"temperature":{"valueOf":1}'],
    ['array', '{"temperature":[21]'],
  ])('a number that is not right counts as missing: %s', (_, start) => {
    const body = reading(`${start},"running":false}`);
    expect(body.values[0]).toBeNaN();
    expect(body.values[2]).toBe(0);
  });

  test('an unknown category, and 1 for true, count as missing', () => {
    const body = reading({ mode: 'other', running: 1, temperature: 0 });
    expect(body.categories[1]).toBeNull();
    expect(body.values[2]).toBeNaN();
  });

  test.each([
    [1_767_323_045, Date.UTC(2026, 0, 2, 3, 4, 5)],
    [1_767_323_045_123, Date.UTC(2026, 0, 2, 3, 4, 5, 123)],
    ['2026-01-02 03:04:05', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['2026-01-02T03:04:05.5+02:00', Date.UTC(2026, 0, 2, 1, 4, 5, 500)],
    ['2026-01-02', Date.UTC(2026, 0, 2)],
    ['1', Number.NaN],
    ['Jan 2 2026', Number.NaN],
    ['2026-13-02T00:00:00Z', Number.NaN],
    [1e300, Number.NaN],
  ])('time %s', (raw, ms) => {
    expect(reading({ since: raw, temperature: 1 }).values[3]).toBe(ms);
  });
});

describe('misuse', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'DECODE_EMPTY'],
    ['not JSON', 'hello', 'DECODE_JSON'],
    ['cut off', '{"temperature":', 'DECODE_JSON'],
    ['NaN', '{"temperature":NaN}', 'DECODE_JSON'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'DECODE_JSON'],
    ['30 MiB', Buffer.alloc(30 * 1024 ** 2, 0x20), 'DECODE_TOO_LARGE'],
    ['a number', '1', 'DECODE_SHAPE'],
    ['null', 'null', 'DECODE_SHAPE'],
    ['text', '"x"', 'DECODE_SHAPE'],
    ['an empty object', '{}', 'DECODE_SHAPE'],
    ['an empty array', '[]', 'DECODE_SHAPE'],
    ['an array of numbers', '[1,2]', 'DECODE_SHAPE'],
    ['nothing declared in it', '{"other":1}', 'DECODE_SHAPE'],
    ['nothing right in it', '{"temperature":"x","running":"y"}', 'DECODE_SHAPE'],
    ['100,000 arrays', '['.repeat(100_000) + ']'.repeat(100_000), 'DECODE_DEPTH'],
    ['100,000 objects', '{"a":'.repeat(100_000), 'DECODE_DEPTH'],
    ['too many readings', `[${'{"temperature":1},'.repeat(10_000)}{"temperature":1}]`, 'DECODE_TOO_LARGE'],
    ['one bad reading among good ones', '[{"temperature":1},{"other":1}]', 'DECODE_SHAPE'],
    ['a CloudEvent without data', '{"specversion":"1.0","id":"1","source":"s","type":"t"}', 'DECODE_SHAPE'],
    [
      'a CloudEvent with other data',
      '{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"////"}',
      'DECODE_JSON',
    ],
  ])('%s', (_, payload, expected) => {
    expect(codeOf(() => decoder.decode(messageOf(payload)))).toBe(expected);
  });

  test('brackets in strings are not depth', () => {
    expect(reading({ note: '['.repeat(5_000), temperature: 1 }).values[0]).toBe(1);
  });

  test('a required field stops the reading: absent by DECODE_SHAPE, wrong by DECODE_TYPE', () => {
    const strict = openJson(jsonOptions.parse({ fields: { t: { required: true, range: [0, 1] }, u: {} } }));
    const code = (text: string) => codeOf(() => strict.decode(messageOf(text)));
    expect(code('{"u":1}')).toBe('DECODE_SHAPE');
    expect(code('{"u":1,"t":null}')).toBe('DECODE_SHAPE');
    expect(code('{"u":1,"t":"1"}')).toBe('DECODE_TYPE');
    expect(code('{"u":1,"t":2}')).toBe('DECODE_TYPE');
    expect(code('{"u":1,"t":1e400}')).toBe('DECODE_TYPE');
    expect(code('{"t":1}')).toBe('none');
  });

  test.each<[string, string]>([
    ['{}', 'has no valid value of any declared field; the first, temperature, is missing'],
    ['{"temperature":500}', 'temperature, is out of range -40..120'],
    ['{"temperature":"x"}', 'temperature, is not a number (string)'],
    ['{"temperature":null}', 'temperature, is not a number (null)'],
    ['{"temperature":1e400}', 'temperature, is not a finite number'],
    ['[{"temperature":1},{}]', 'reading #1 has no valid value'],
    ['{"temperature":12', 'is not valid JSON at character 17'],
    ['{"temperature":', 'is not valid JSON: it ends too early'],
    [`{"temperature":1 "x"${' '.repeat(60)}}`, 'is not valid JSON at character 17'],
  ])('%s: the reason names the first field and why, or the place', (text, reason) => {
    expect(() => decoder.decode(messageOf(text))).toThrow(reason);
  });

  test('a reason says what is wrong with a required field and never repeats the payload', () => {
    const fields = {
      t: { required: true, range: [0, 1] },
      m: { type: 'category', categories: ['auto'], required: true },
    };
    const strict = openJson(jsonOptions.parse({ fields }));
    const of = (text: string) => () => strict.decode(messageOf(text));
    expect(of('{"t":2}')).toThrow('reading: t is out of range 0..1');
    expect(of('{"t":[]}')).toThrow('reading: t is not a number (array)');
    expect(of('{"t":1,"m":"secret"}')).toThrow(/^reading: m is not one of its categories$/);
    expect(of('{"t":1}')).toThrow('reading lacks the required field m');
    expect(of('{"t":secret}')).toThrow(/^the payload is not valid JSON( at character \d+)?$/);
  });

  test('members named like parts of the language are data', () => {
    const odd = openJson(
      jsonOptions.parse({
        fields: Object.fromEntries(
          [
            ['__proto__', {}],
            ['x', {}],
          ].map((pair) => [`f ${pair[0]}`, { pointer: `/${pair[0]}` }]),
        ),
      }),
    );
    const [event] = odd.decode(messageOf('{"__proto__":5,"x":1}'));
    expect([...(event.body as ReadingBody).values]).toEqual([5, 1]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
    const inherited = openJson(
      jsonOptions.parse({
        fields: {
          a: { pointer: '/constructor/name', type: 'category' },
          b: { pointer: '/list/length' },
          c: {},
        },
      }),
    );
    const body = inherited.decode(messageOf('{"c":1,"list":[1,2]}'))[0].body as ReadingBody;
    expect(body.categories[0]).toBeNull();
    expect(body.values[1]).toBeNaN();
  });

  test('damaged readings are decoded or refused by a code, never anything else', () => {
    const random = mulberry(3);
    const whole =
      '{"temperature":21.5,"mode":"auto","running":true,"since":1767323045,"a/b":[{"c~d":7}],"device":"d"}';
    for (let i = 0; i < 5_000; i += 1) {
      const bytes = Buffer.from(whole);
      for (let k = 0; k < 1 + (i % 3); k += 1)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const cut = random() < 0.3 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes;
      expect(codeOf(() => decoder.decode(messageOf(cut)))).toMatch(/^(none|DECODE_(EMPTY|JSON|SHAPE))$/);
    }
  });

  test.each([
    [{ fields: {} }],
    [{ fields: { t: { pointer: 't' } } }],
    [{ fields: { t: { pointer: '/~2' } } }],
    [{ fields: { t: { range: [2, 1] } } }],
    [{ fields: { t: { type: 'text' } } }],
    [{ fields: { t: { typo: 1 } } }],
    [{ fields: { t: {} }, typo: 1 }],
    [{}],
  ])('options that make no sense are refused: %j', (bad) => {
    expect(jsonOptions.safeParse(bad).success).toBe(false);
  });
});

describe('several readings in one message', () => {
  test('are numbered', () => {
    const events = decode([{ temperature: 1 }, { temperature: 2 }], { position: 't/0/5' });
    expect(events.map((event) => event.id)).toEqual(['t/0/5#0', 't/0/5#1']);
    expect(decode([{ temperature: 1 }], { position: 't/0/5' })[0].id).toBe('t/0/5');
  });

  test('CloudEvents bring identity and time; their subject is not the device', () => {
    const event = {
      specversion: '1.0',
      type: 't',
      source: '/plant',
      id: '7',
      subject: 'press',
      time: '2026-01-02T00:00:00Z',
    };
    const [one] = decode({ ...event, data: { temperature: 1 } }, { position: 't/0/5', key: 'k' });
    expect([one.id, one.weak, one.device, one.at]).toEqual(['/plant/7', false, 'k', Date.UTC(2026, 0, 2)]);
    const batch = decode([
      { ...event, data: { temperature: 1, device: 'own' } },
      { ...event, id: '8', data: [{ temperature: 2 }, { temperature: 3 }] },
    ]);
    expect(batch.map((each) => each.id)).toEqual(['/plant/7', '/plant/8#0', '/plant/8#1']);
    expect(batch[0].device).toBe('own');
    const coded = Buffer.from('{"temperature":4}').toString('base64');
    expect((decode({ ...event, data_base64: coded })[0].body as ReadingBody).values[0]).toBe(4);
  });

  test('CloudEvents in binary mode bring them in headers', () => {
    const headers = { ce_source: '/plant', ce_id: '9', ce_subject: 'press', ce_time: '2026-01-02T00:00:00Z' };
    const [event] = decode({ temperature: 1 }, { headers, position: 't/0/5', key: 'k' });
    expect([event.id, event.device, event.at]).toEqual(['/plant/9', 'k', Date.UTC(2026, 0, 2)]);
  });

  test('the declared time goes before all others', () => {
    expect(decode({ temperature: 1, time: 1_767_323_045 })[0].at).toBe(1_767_323_045_000);
    expect(decode({ temperature: 1, time: 'x' }, { at: 5 })[0].at).toBe(5);
  });
});

describe('readings inside of something', () => {
  const fields = { temperature: {}, mode: { type: 'category' } };
  const open = (more: object) =>
    openJson(jsonOptions.parse({ fields, device: { pointer: '/device' }, time: '/time', ...more }));
  const told = (events: readonly Event[]) =>
    events.map(({ device, at, body }) => {
      const { values, categories } = body as ReadingBody;
      return [device, at, values[0], categories[1]];
    });
  const [first, second] = [1_767_323_045_000, 1_767_323_046_000];

  test('are found by their pointer; what they lack is taken from around them', () => {
    const decoder = open({ readings: '/samples' });
    const events = decoder.decode(
      messageOf(
        JSON.stringify({
          ...{ device: 'press', time: first, mode: 'auto' },
          samples: [{ temperature: 1 }, { temperature: 2, time: second, mode: 'hand', device: 'own' }],
        }),
      ),
    );
    expect(told(events)).toEqual([
      ['press', first, 1, 'auto'],
      ['own', second, 2, 'hand'],
    ]);
    expect(events[1].id).toMatch(/#1$/);
    for (const wrong of ['{"samples":[]}', '{"samples":1}', '{"temperature":1}', '[1]'])
      expect(codeOf(() => decoder.decode(messageOf(wrong)))).toBe('DECODE_SHAPE');
  });

  test('or are columns of equal length', () => {
    const decoder = open({ columns: true });
    const columns = { device: 'press', time: [first, second], temperature: [1, 2], mode: ['auto', 'hand'] };
    expect(told(decoder.decode(messageOf(JSON.stringify(columns))))).toEqual([
      ['press', first, 1, 'auto'],
      ['press', second, 2, 'hand'],
    ]);
    expect(told(decoder.decode(messageOf('{"device":"d","time":5,"temperature":3}')))).toEqual([
      ['d', 5_000, 3, null],
    ]);
    const code = (text: string) => codeOf(() => decoder.decode(messageOf(text)));
    expect(code('{"temperature":[1,2],"mode":["a"]}')).toBe('DECODE_SHAPE');
    expect(code('{"temperature":[]}')).toBe('DECODE_SHAPE');
    expect(code('{"temperature":[1,"x"]}')).toBe('DECODE_SHAPE');
    expect(code(`{"temperature":[${'1,'.repeat(10_000)}1]}`)).toBe('DECODE_TOO_LARGE');
  });
});
