/** What the fuzzer of reading decoders begins with: good messages of each format, and the pieces that it strews in. */
import { encodePayload } from '../../src/envelope/sparkplug.ts';

export type Format = 'json' | 'senml' | 'sparkplug';

const text = (...parts: readonly string[]): Buffer[] => parts.map((part) => Buffer.from(part));
const hex = (...parts: readonly string[]): Buffer[] => parts.map((part) => Buffer.from(part, 'hex'));

/** Pairs of hexadecimal digits as they are, anything else as a text of CBOR. */
function cbor(...parts: readonly string[]): Buffer {
  const bytes = parts.map((part) =>
    /^(?:[0-9a-f]{2})+$/.test(part)
      ? Buffer.from(part, 'hex')
      : Buffer.concat([Buffer.from([0x60 + part.length]), Buffer.from(part)]),
  );
  return Buffer.concat(bytes);
}

export const FIELDS = {
  temperature: { type: 'number', range: [-40, 200] },
  mode: { type: 'category', categories: ['auto', 'hand'] },
  running: { type: 'boolean' },
  seen: { type: 'time' },
  'deep/one': { pointer: '/deep/0/one' },
  whole: { pointer: '', unit: 'Cel' },
} as const;

const json = text(
  '{"temperature":21.5,"mode":"auto","running":true,"seen":"2026-01-05T10:00:00Z","deep":[{"one":7}]}',
  '[{"temperature":1},{"temperature":-2e1,"mode":"hand"},{"running":false,"seen":1767607200}]',
  '{"device":"d","time":1767607200,"temperature":[1,2,3],"mode":["auto","hand","auto"]}',
  '{"specversion":"1.0","type":"r","source":"/press","id":"7","time":"2026-01-05T10:00:00Z","data":{"temperature":3}}',
  '[{"specversion":"1.0","type":"r","source":"/p","id":"1","data_base64":"eyJ0ZW1wZXJhdHVyZSI6MX0="}]',
);
const pack =
  '{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.767607200e9,"bu":"Cel","bver":10,"bv":1,"bs":2,"n":"temperature","v":21.5}';
const senml = [
  ...text(
    `[${pack},{"n":"mode","t":-5,"vs":"auto"},{"n":"running","vb":true,"s":3,"ut":60}]`,
    '[{"n":"press-1/temperature","v":1},{"n":"press-2","u":"Cel","v":2},{"n":"x_deep/0/one","v":4}]',
    `{"specversion":"1.0","type":"r","source":"/p","id":"8","data":[${pack}]}`,
  ),
  // [{-2: "u:", -3: 1767607200.0, -1: 10, 0: "temperature", 2: 273.15 as a decimal fraction}, {0: "mode", 3: "auto"}]
  cbor(
    '82a521',
    'u:',
    '22fb41da56e308000000200a00',
    'temperature',
    '02c48221196ab3a200',
    'mode',
    '03',
    'auto',
  ),
  cbor('81a321', 'press:', '00', 'temperature', '02f93e00'),
  // All of uncertain length, and a field that nobody knows.
  cbor('9fbf', 'n', 'd:temperature', 'v', '05', 'xxx', '8201a1019fffffff'),
  cbor('81a400', 'd:mode', '03', 'hand', '0624', 'note', '43010203'),
];

const AT = 1_767_607_200_000;
const metrics = [
  { name: 'temperature', alias: 1, at: AT, type: 'double', value: 21.5 },
  { name: 'mode', alias: 2, at: AT, type: 'string', value: 'auto' },
  { name: 'running', alias: 3, type: 'boolean', value: true },
  { name: 'seen', alias: 4, type: 'dateTime', value: AT },
  { name: 'bdSeq', type: 'int64', value: 0 },
] as const;
const sparkplug = [
  encodePayload(AT, metrics, 0),
  encodePayload(AT + 1, [metrics[4]]),
  ...[1, 2, 3, 250].map((seq) =>
    encodePayload(AT + seq, [{ alias: 1 + (seq % 4), type: 'double', value: seq }], seq),
  ),
  encodePayload(AT + 9, [{ name: 'temperature', at: AT - 5, type: 'int64', value: -3 }], 4),
  encodePayload(AT + 9, [{ alias: 2, type: 'string', value: null }], 5),
];

export const seeds: Readonly<Record<Format, readonly Buffer[]>> = { json, senml, sparkplug };

/** Topics that a message may come by; one of them is taken for each. */
export const topics: Readonly<Record<Format, readonly string[]>> = {
  json: ['plant/press'],
  senml: ['plant/press'],
  sparkplug: [
    ...['NBIRTH', 'NDATA', 'NDEATH'].flatMap((type) => ['a', 'b'].map((node) => `spBv1.0/g/${type}/${node}`)),
    ...['DBIRTH', 'DDATA', 'DDEATH'].flatMap((type) =>
      ['a', 'b'].map((node) => `spBv1.0/g/${type}/${node}/d`),
    ),
    ...['spBv1.0/g/NCMD/a', 'spBv1.0/STATE/x', 'spBv1.0/g/NDATA', 'other'],
  ],
};

const jsonTokens = text(
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '\\u0000',
    '\\ud800',
    'null',
    'true',
    '-',
    'e',
    '1e400',
    '0.1',
    '9'.repeat(40),
  ],
  ...['"__proto__":', '"constructor":{"prototype":1},', '"data":', '"data_base64":"', '"specversion":"1.0",'],
  ...['"temperature":', '"mode":', '[[[[[[[[', '{"a":', '\ufeff', '\u0000'],
);
const senmlTokens = text(
  ...[
    '"bn":"',
    '"bt":',
    '"bver":11,',
    '"n":"d:temperature"',
    '"v":',
    '"vs":"x"',
    '"vb":1',
    '"x_":1',
    '"t":-1e9',
    '"s":5',
  ],
);
/** Heads of CBOR items: lengths that lie, breaks, tags, floats. */
const cborTokens = hex(
  ...[
    '9f',
    'bf',
    'ff',
    '5f',
    '7f',
    'c1',
    'd9d9f7',
    'c482',
    '9bffffffffffffffff',
    '7bffffffffffffffff',
    '5b7fffffffffffffff',
  ],
  ...[
    'f97e00',
    'f97c00',
    'fb7ff8000000000000',
    'fa7f800000',
    '1bffffffffffffffff',
    '3bffffffffffffffff',
    'f6',
    'f7',
    '1c',
    '81',
    'a1',
  ],
  ...['20', '21', '22', '00', '01', '02', '03', '04', '05', '06', '07', '08'],
);
/** Tags and varints of Sparkplug, some too long. */
const wireTokens = hex(
  ...[
    '08',
    '0a',
    '10',
    '12',
    '18',
    '20',
    '28',
    '38',
    '50',
    '58',
    '65',
    '69',
    '70',
    '7a',
    '8201',
    '00',
    '0b',
    '0c',
  ],
  ...[
    'ffffffffffffffffff01',
    'ffffffffffffffffffff01',
    'ffffffff0f',
    '8080808080808080808000',
    '127f',
    '1200',
    '0affffffff07',
  ],
);

export const tokens: Readonly<Record<Format, readonly Buffer[]>> = {
  json: jsonTokens,
  senml: [...jsonTokens, ...senmlTokens, ...cborTokens],
  sparkplug: [...wireTokens, ...text('temperature', 'mode', 'bdSeq', 'Node Control/Rebirth')],
};
