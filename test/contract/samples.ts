/** A good message and options for each row of the table of decoders, from which the contract tests make bad ones. */
import type { Event, Message } from '../../src/contract.ts';
import { type DecoderName, decoders } from '../../src/decode/index.ts';
import { messageOf } from '../decode/corpus.ts';
import { payload, T } from '../decode/sparkplug-writer.ts';

export const fields = {
  temperature: { type: 'number', range: [-40, 200] },
  mode: { type: 'category' },
  running: { type: 'boolean' },
  seen: { type: 'time' },
} as const;

const readings = [
  '{"temperature":21.5,"mode":"run","running":true,"seen":"2026-01-05T10:00:00Z"}',
  '[{"temperature":1,"mode":"a"},{"temperature":2,"mode":"b","running":false}]',
  '{"specversion":"1.0","type":"r","source":"/press","id":"7","subject":"press","time":"2026-01-05T10:00:00Z","data":{"temperature":3}}',
];

const mails = [
  'From: a@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.org>\r\n\r\nHello there\r\n',
  [
    'Subject: two parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n',
    '--b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n',
    '<p>caf=E9 <a href="http://example.org/x">here</a></p>\r\n',
    '--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n',
  ].join(''),
];

const packs = [
  '[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1767607200,"n":"temperature","u":"Cel","v":21.5},{"n":"mode","vs":"run"},{"n":"running","vb":true}]',
  '[{"n":"press-1/temperature","v":1},{"n":"press-2/temperature","v":2},{"n":"press-2/temperature","t":-5,"v":3}]',
  // [{-2: "press:", 0: "temperature", 2: 1.5}]
  Buffer.from('81a3216670726573733a006b74656d706572617475726502f93e00', 'hex'),
  '{"specversion":"1.0","type":"r","source":"/press","id":"8","datacontenttype":"application/senml+json","data":[{"n":"a:temperature","v":3}]}',
];

const births = [
  payload({
    at: 1_767_607_200_000,
    seq: 0,
    metrics: [
      { name: 'temperature', alias: 1, type: T.double, double: 21.5 },
      { name: 'mode', alias: 2, type: T.string, string: 'run' },
      { name: 'running', alias: 3, type: T.boolean, boolean: true },
      { name: 'seen', alias: 4, type: T.dateTime, long: 1_767_607_200_000 },
    ],
  }),
  payload({
    at: 1_767_607_201_000,
    seq: 0,
    metrics: [
      { name: 'temperature', at: 1_767_607_100_000, historical: true, type: T.int32, int: -3 },
      { name: 'temperature', at: 1_767_607_101_000, historical: true, type: T.float, float: 1.5 },
    ],
  }),
];

interface Sample {
  readonly options: Readonly<Record<string, unknown>>;
  readonly payloads: readonly (string | Uint8Array)[];
  /** Where the format minds: a topic to send to, and another one. */
  readonly topics?: readonly [string, string];
}

export const samples: Readonly<Record<DecoderName, Sample>> = {
  mime: { options: {}, payloads: mails },
  json: { options: { fields }, payloads: readings },
  senml: { options: { fields }, payloads: packs },
  sparkplug: {
    options: { fields },
    payloads: births,
    topics: ['spBv1.0/plant/NBIRTH/north', 'spBv1.0/plant/NBIRTH/south'],
  },
};

/** A message as this decoder might get it. */
export const toDecoder = (
  name: DecoderName,
  given: string | Uint8Array,
  more: Partial<Message> = {},
): Message => messageOf(given, { ...(samples[name].topics && { topic: samples[name].topics[0] }), ...more });

export function openDecoder(name: DecoderName) {
  const { options, open } = decoders[name] as unknown as {
    options: { parse(value: unknown): unknown };
    open(options: unknown): import('../../src/contract.ts').Decoder;
  };
  return open(options.parse(samples[name].options));
}

/** The events of every good message. */
export function eventsOf(name: DecoderName): Event[] {
  const decoder = openDecoder(name);
  return samples[name].payloads.flatMap((one) => decoder.decode(toDecoder(name, one)));
}

export const sampleMessage = (name: DecoderName, i: number): Message =>
  toDecoder(name, samples[name].payloads[i % samples[name].payloads.length]);
