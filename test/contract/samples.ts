/** A good message and options for each row of the table of decoders, from which the contract tests make bad ones. */
import type { Event, Message } from '../../src/contract.ts';
import { type DecoderName, decoders } from '../../src/decode/index.ts';
import { messageOf } from '../decode/corpus.ts';

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

interface Sample {
  readonly options: Readonly<Record<string, unknown>>;
  readonly payloads: readonly string[];
}

export const samples: Readonly<Record<DecoderName, Sample>> = {
  mime: { options: {}, payloads: mails },
  json: { options: { fields }, payloads: readings },
};

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
  return samples[name].payloads.flatMap((payload) => decoder.decode(messageOf(payload)));
}

export const sampleMessage = (name: DecoderName, i: number): Message =>
  messageOf(samples[name].payloads[i % samples[name].payloads.length]);
