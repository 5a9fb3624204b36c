/** SenML by the examples of RFC 8428, sections 5.1 and 6, and by misuse. */
import { describe, expect, test } from 'vitest';
import type { Event, Message, ReadingBody } from '../../src/contract.ts';
import { openSenml, senmlOptions } from '../../src/decode/senml.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';

const NOW = Date.UTC(2026, 0, 1);
const DEVICE = 'urn:dev:ow:10e2073a01080063';

type Fields = Record<string, unknown>;
const open = (fields: Fields, more: Fields = {}) => openSenml(senmlOptions.parse({ fields, ...more }));
const decode = (fields: Fields, payload: unknown, more: Partial<Message> = {}): readonly Event[] =>
  open(fields).decode(
    messageOf(
      payload instanceof Uint8Array || typeof payload === 'string' ? payload : JSON.stringify(payload),
      {
        at: NOW,
        ...more,
      },
    ),
  );
/** device, time, then the values; a missing one is null. */
const told = (events: readonly Event[]) =>
  events.map(({ device, at, body }) => {
    const { values, categories } = body as ReadingBody;
    return [
      device,
      at,
      ...[...values].map((value, i) => categories[i] ?? (Number.isNaN(value) ? null : value)),
    ];
  });
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `foreign ${String(error)}`;
  }
};

const position = {
  humidity: { pointer: '', unit: '%RH' },
  longitude: { pointer: '', unit: 'lon' },
  latitude: { pointer: '', unit: 'lat' },
  battery: { pointer: '', unit: '%EL' },
};
const mobile = [
  { bn: DEVICE, bt: 1.320067464e9, bu: '%RH', v: 20 },
  { u: 'lon', v: 24.30621 },
  { u: 'lat', v: 60.07965 },
  { t: 60, v: 20.3 },
  { u: 'lon', t: 60, v: 24.30622 },
  { u: 'lat', t: 60, v: 60.07965 },
  { t: 120, v: 20.7 },
  { u: 'lon', t: 120, v: 24.30623 },
  { u: 'lat', t: 120, v: 60.07966 },
  { u: '%EL', t: 150, v: 98 },
  { t: 180, v: 21.2 },
  { u: 'lon', t: 180, v: 24.30628 },
  { u: 'lat', t: 180, v: 60.07967 },
];
const currents = [
  ['current', -5, 1.2],
  ['current', -4, 1.3],
  ['current', -3, 1.4],
  ['current', -2, 1.5],
  ['current', -1, 1.6],
] as const;

describe('the examples of RFC 8428', () => {
  test('5.1.1, a single data point: the whole name is the device', () => {
    const events = decode({ temperature: { pointer: '' } }, [{ n: DEVICE, u: 'Cel', v: 23.1 }]);
    expect(told(events)).toEqual([[DEVICE, NOW, 23.1]]);
  });

  test('5.1.2, multiple data points now: one reading', () => {
    const pack = [
      { bn: `${DEVICE}:`, n: 'voltage', u: 'V', v: 120.1 },
      { n: 'current', u: 'A', v: 1.2 },
    ];
    expect(told(decode({ voltage: {}, current: {} }, pack))).toEqual([[DEVICE, NOW, 120.1, 1.2]]);
  });

  const device = 'urn:dev:ow:10e2073a0108006';
  const at = 1_276_020_076_001;
  const overTime = [
    [device, at, 120.1, 1.7],
    ...currents.map(([, t, v]) => [device, at + t * 1_000, null, v]),
  ];

  test('5.1.2, at times relative to the base time', () => {
    const pack = [
      { bn: `${device}:`, bt: 1.276020076001e9, bu: 'A', bver: 5, n: 'voltage', u: 'V', v: 120.1 },
      ...currents.map(([n, t, v]) => ({ n, t, v })),
      { n: 'current', v: 1.7 },
    ];
    expect(told(decode({ voltage: {}, current: {} }, pack))).toEqual(overTime);
  });

  test('6, the same in CBOR, byte for byte as printed', () => {
    const dump =
      '87a721781b75726e3a6465763a6f773a31306532303733613031303830303' +
      '63a22fb41d303a15b00106223614120050067766f6c746167650161' +
      '5602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333' +
      'a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e740622' +
      '02fb3ff6666666666666a3006763757272656e74062102f93e00a300676375727265' +
      '6e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333';
    const bytes = Buffer.from(dump, 'hex');
    expect(bytes.length).toBe(0xc3);
    expect(told(decode({ voltage: {}, current: {} }, bytes))).toEqual(overTime);
  });

  test('5.1.3, multiple measurements told apart by their unit; 5.1.4, the same resolved', () => {
    const at = 1_320_067_464_000;
    const wanted = [
      [DEVICE, at, 20, 24.30621, 60.07965, null],
      [DEVICE, at + 60_000, 20.3, 24.30622, 60.07965, null],
      [DEVICE, at + 120_000, 20.7, 24.30623, 60.07966, null],
      [DEVICE, at + 150_000, null, null, null, 98],
      [DEVICE, at + 180_000, 21.2, 24.30628, 60.07967, null],
    ];
    expect(told(decode(position, mobile))).toEqual(wanted);
    const resolved = mobile.map(({ u = '%RH', t = 0, v }) => ({ n: DEVICE, u, t: 1.320067464e9 + t, v }));
    expect(told(decode(position, resolved))).toEqual(wanted);
    expect(decode(position, mobile).map(({ id }) => id.slice(-2))).toEqual(['#0', '#1', '#2', '#3', '#4']);
  });

  test('5.1.5, multiple data types', () => {
    const pack = [
      { bn: `${DEVICE}:`, n: 'temp', u: 'Cel', v: 23.1 },
      { n: 'label', vs: 'Machine Room' },
      { n: 'open', vb: false },
      { n: 'nfv-reader', vd: 'aGkgCg' },
    ];
    const fields = {
      temp: {},
      label: { type: 'category' },
      open: { type: 'boolean' },
      'nfv-reader': { type: 'category' },
    };
    expect(told(decode(fields, pack))).toEqual([[DEVICE, NOW, 23.1, 'Machine Room', 0, 'aGkgCg']]);
  });

  test('5.1.6, a collection of resources: a reading for each device', () => {
    const pack = [
      { bn: '2001:db8::2/', bt: 1.320078429e9, n: 'temperature', u: 'Cel', v: 25.2 },
      { n: 'humidity', u: '%RH', v: 30 },
      { bn: '2001:db8::1/', n: 'temperature', u: 'Cel', v: 12.3 },
      { n: 'humidity', u: '%RH', v: 67 },
    ];
    expect(told(decode({ temperature: {}, humidity: {} }, pack))).toEqual([
      ['2001:db8::2', 1_320_078_429_000, 25.2, 30],
      ['2001:db8::1', 1_320_078_429_000, 12.3, 67],
    ]);
  });

  test('5.1.7, setting an actuator: a record of base fields alone, and times to the tenth of a second', () => {
    const set = [
      { bn: `${DEVICE}:` },
      { n: 'temp', u: 'Cel', v: 23.1 },
      { n: 'heat', u: '/', v: 1 },
      { n: 'fan', u: '/', v: 0 },
    ];
    expect(told(decode({ temp: {}, heat: {}, fan: {} }, set))).toEqual([[DEVICE, NOW, 23.1, 1, 0]]);
    const lights = [
      { bt: 1.320078429e9, bu: '/', n: '2001:db8::3', v: 0.5 },
      { n: '2001:db8::4', v: 0.5 },
      { n: '2001:db8::3', t: 0.1, v: 0 },
      { n: '2001:db8::4', t: 0.1, v: 0 },
    ];
    expect(told(decode({ level: { pointer: '' } }, lights))).toEqual([
      ['2001:db8::3', 1_320_078_429_000, 0.5],
      ['2001:db8::4', 1_320_078_429_000, 0.5],
      ['2001:db8::3', 1_320_078_429_100, 0],
      ['2001:db8::4', 1_320_078_429_100, 0],
    ]);
  });
});

describe('names', () => {
  const fields = { a: {}, 'room/a': {}, relative_humidity: {}, deep: { pointer: '/x/y' } };
  test.each<[string, string, string]>([
    ['dev:a', 'dev', 'a'],
    ['dev/room/a', 'dev', 'room/a'],
    ['urn:dev:ow:1_relative_humidity', 'urn:dev:ow:1', 'relative_humidity'],
    ['d.x/y', 'd', 'deep'],
    ['a', 'mail/in', 'a'],
  ])('%s is of the device %s, field %s', (n, device, field) => {
    const [event] = decode(fields, [{ n, v: 7 }]);
    expect(event.device).toBe(device);
    expect((event.body as ReadingBody).values[Object.keys(fields).indexOf(field)]).toBe(7);
  });

  test('a field inside of a longer word is not meant', () => {
    expect(codeOf(() => decode(fields, [{ n: 'dev:alpha', v: 1 }]))).toBe('DECODE_SHAPE');
    expect(codeOf(() => decode(fields, [{ n: 'dev:xa', v: 1 }]))).toBe('DECODE_SHAPE');
  });

  test('the configured device goes before the name', () => {
    const decoder = open({ a: {} }, { device: { topicLevel: 0 } });
    expect(decoder.decode(messageOf('[{"n":"dev:a","v":1}]'))[0].device).toBe('mail');
  });
});

describe('values', () => {
  test('base value and base sum are added; a sum is found as name#s', () => {
    const pack = [
      { bn: 'd:', bv: 100, bs: 10, n: 'power', v: 5, s: 2 },
      { n: 'level', t: 0 },
    ];
    const [event] = decode({ power: {}, energy: { pointer: '/power#s' }, level: {} }, pack);
    expect([...(event.body as ReadingBody).values]).toEqual([105, 12, 100]);
  });

  test('a value that is not right is missing, the others stay', () => {
    const pack = '[{"bn":"d:","n":"a","v":"21"},{"n":"b","v":2},{"n":"c","v":1e400}]';
    expect(told(decode({ a: {}, b: {}, c: {} }, pack))).toEqual([['d', NOW, null, 2, null]]);
    expect(codeOf(() => decode({ a: { required: true }, b: {} }, pack))).toBe('DECODE_TYPE');
  });

  test('times below 2^28 are relative to now, to the CloudEvents time where there is one', () => {
    expect(told(decode({ a: {} }, [{ n: 'd:a', t: -10, v: 1 }]))[0][1]).toBe(NOW - 10_000);
    expect(told(decode({ a: {} }, [{ n: 'd:a', t: 2 ** 28, v: 1 }]))[0][1]).toBe(2 ** 28 * 1_000);
    const event = {
      ...{ specversion: '1.0', type: 't', source: '/s', id: '1', time: '2025-06-01T00:00:00Z' },
      data: [{ n: 'd:a', t: 5, v: 1 }],
    };
    expect(told(decode({ a: {} }, event))[0][1]).toBe(Date.UTC(2025, 5, 1, 0, 0, 5));
  });
});

/** CBOR by hand: the encoder is not the decoder's. */
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('CBOR', () => {
  const value = (item: string) => told(decode({ a: {} }, hex(`81 a2 00 63 643a61 02 ${item}`)))[0][2];
  test.each<[string, string, number]>([
    ['an integer of 8 bytes', '1b 0000000100000000', 2 ** 32],
    ['a negative integer', '38 63', -100],
    ['half precision', 'f9 c400', -4],
    ['the smallest half', 'f9 0001', 2 ** -24],
    ['single precision', 'fa 47c35000', 100_000],
    ['a decimal fraction', 'c4 82 21 19 6ab3', 273.15],
  ])('%s', (_, item, wanted) => {
    expect(value(item)).toBe(wanted);
  });

  test('text labels, indefinite arrays and maps, a tag that says CBOR, and unknown fields are understood', () => {
    const record = 'bf 61 6e 63 643a61 61 76 05 63 787878 82 01 a1 01 9f ff ff';
    expect(told(decode({ a: {} }, hex(`d9d9f7 9f ${record} ff`)))).toEqual([['d', NOW, 5]]);
  });

  test('comes in CloudEvents too: as bytes of a structured one, and in binary mode', () => {
    const pack = hex('81 a2 00 63 643a61 02 05');
    const event = {
      ...{ specversion: '1.0', type: 't', source: '/s', id: '1', datacontenttype: 'application/senml+cbor' },
      data_base64: pack.toString('base64'),
    };
    const [structured] = decode({ a: {} }, event);
    const headers = {
      ce_id: '1',
      ce_source: '/s',
      ce_specversion: '1.0',
      'content-type': 'application/senml+cbor',
    };
    const [binary] = decode({ a: {} }, pack, { headers });
    expect(structured).toEqual(binary);
    expect(structured.id).toBe('/s/1');
  });

  test.each<[string, string, string]>([
    ['cut off in a string', '81 a2 00 63 643a', 'DECODE_WIRE'],
    ['cut off in a number', '81 a2 00 63 643a61 02 fb 40', 'DECODE_WIRE'],
    ['a length beyond all bytes', '81 a2 00 7b ffffffffffffffff 64', 'DECODE_WIRE'],
    ['an array of 2^64 records', '9b ffffffffffffffff a0', 'DECODE_WIRE'],
    ['more after the end', '81 a2 00 63 643a61 02 05 05', 'DECODE_WIRE'],
    ['a break where none may be', '81 a2 00 ff 02 05', 'DECODE_WIRE'],
    ['text in pieces', '81 a2 00 7f 61 61 ff 02 05', 'DECODE_WIRE'],
    ['a reserved head', '81 a2 00 63 643a61 02 1c', 'DECODE_WIRE'],
    ['a map for the pack', 'a1 00 01', 'DECODE_JSON'],
    ['a number for a record', '81 05', 'DECODE_SHAPE'],
    ['a bytes label', '81 a1 41 00 05', 'DECODE_WIRE'],
    ['a field that must be understood', '81 a2 62 785f 01 02 05', 'DECODE_VERSION'],
    ['100,000 nested arrays in a field', `81 a1 61 78 ${'81'.repeat(100_000)} 00`, 'DECODE_DEPTH'],
    ['100,000 nested tags', `81 a1 02 ${'c1'.repeat(100_000)} 00`, 'DECODE_DEPTH'],
  ])('%s is refused', (_, text, code) => {
    expect(codeOf(() => decode({ a: {} }, hex(text)))).toBe(code);
  });
});

describe('misuse', () => {
  test.each<[string, unknown, string]>([
    ['no array', { n: 'd:a', v: 1 }, 'DECODE_SHAPE'],
    ['an empty array', [], 'DECODE_SHAPE'],
    ['a number in it', [1], 'DECODE_SHAPE'],
    ['no name', [{ v: 1 }], 'DECODE_SHAPE'],
    ['a name of other characters', [{ n: 'd:ä', v: 1 }], 'DECODE_SHAPE'],
    ['a name that begins with a colon', [{ n: ':a', v: 1 }], 'DECODE_SHAPE'],
    ['a name too long', [{ n: `${'x'.repeat(600)}:a`, v: 1 }], 'DECODE_SHAPE'],
    ['two values', [{ n: 'd:a', v: 1, vs: 'x' }], 'DECODE_SHAPE'],
    ['a name that is a number', [{ n: 5, v: 1 }], 'DECODE_TYPE'],
    ['a time that is text', [{ n: 'd:a', t: '1', v: 1 }], 'DECODE_TYPE'],
    ['a base time beyond a double', '[{"n":"d:a","bt":1e400,"v":1}]', 'DECODE_TYPE'],
    ['a time beyond all dates', [{ n: 'd:a', t: 1e300, v: 1 }], 'DECODE_TYPE'],
    ['a version to come', [{ bver: 11, n: 'd:a', v: 1 }], 'DECODE_VERSION'],
    [
      'two versions',
      [
        { bver: 5, n: 'd:a', v: 1 },
        { bver: 6, n: 'd:a', v: 1 },
      ],
      'DECODE_VERSION',
    ],
    ['a field that must be understood', [{ n: 'd:a', v: 1, future_: 1 }], 'DECODE_VERSION'],
    ['nothing declared', [{ n: 'd:other', v: 1 }], 'DECODE_SHAPE'],
    ['nothing right', [{ n: 'd:a', v: 'x' }], 'DECODE_SHAPE'],
    ['not JSON', '[{"n":', 'DECODE_JSON'],
    [
      '10,001 readings',
      Array.from({ length: 10_001 }, (_, t) => ({ n: 'd:a', t, v: 1 })),
      'DECODE_TOO_LARGE',
    ],
  ])('%s is refused', (_, pack, code) => {
    expect(codeOf(() => decode({ a: {} }, pack))).toBe(code);
  });

  test('fields that are not known are passed over, also those called like parts of the language', () => {
    const pack = '[{"n":"d:a","v":1,"l":"[]","toString":{"v":2},"constructor":3}]';
    expect(told(decode({ a: {} }, pack))).toEqual([['d', NOW, 1]]);
    // By its last letter this one must be understood.
    expect(codeOf(() => decode({ a: {} }, '[{"n":"d:a","v":1,"__proto__":{"v":2}}]'))).toBe('DECODE_VERSION');
  });

  test('a flood of names changes nothing of what they mean', () => {
    const decoder = open({ a: {}, 'b/a': {} });
    for (let i = 0; i < 30_000; i += 1) decoder.decode(messageOf(`[{"n":"d${i}:b/a","v":1}]`));
    const [event] = decoder.decode(messageOf('[{"n":"d1:b/a","v":1}]'));
    expect([event.device, ...(event.body as ReadingBody).values]).toEqual(['d1', Number.NaN, 1]);
  });
});
