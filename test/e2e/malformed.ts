/**
 * Payloads that should not exist, made from a seed: for a task of readings and for a task of mail. Each has a
 * name, so that a failure says which kind it was.
 */
import { random } from './scale.ts';

export interface Malformed {
  readonly kind: string;
  readonly payload: Buffer;
}

const MiB = 1024 * 1024;
const text = (kind: string, value: string): Malformed => ({ kind, payload: Buffer.from(value) });

const good = { temperature: 21.5, vibration: 3.25, mode: 'auto' };

function bytes(length: number, rng: () => number): Buffer {
  const buffer = Buffer.alloc(length);
  for (let i = 0; i < length; i++) buffer[i] = Math.floor(rng() * 256);
  return buffer;
}

/** Wrong JSON and wrong readings. `rng` varies what can vary. */
const readings: readonly ((rng: () => number) => Malformed)[] = [
  () => text('empty', ''),
  (rng) => text('truncated', JSON.stringify(good).slice(0, 1 + Math.floor(rng() * 40))),
  (rng) => ({ kind: 'random bytes', payload: bytes(1 + Math.floor(rng() * 2_000), rng) }),
  () => ({
    kind: 'invalid UTF-8',
    payload: Buffer.concat([
      Buffer.from('{"temperature":1,"mode":"'),
      Buffer.from([0xc3, 0x28, 0xff]),
      Buffer.from('"}'),
    ]),
  }),
  () => ({ kind: 'UTF-16', payload: Buffer.from(JSON.stringify(good), 'utf16le') }),
  () => ({
    kind: 'byte order mark',
    payload: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(JSON.stringify(good))]),
  }),
  () => text('NaN', '{"temperature":NaN,"vibration":1}'),
  () => text('Infinity', '{"temperature":-Infinity}'),
  () => text('1e400', '{"temperature":1e400,"vibration":-1e400}'),
  () => text('huge integer', `{"temperature":${'9'.repeat(400)}}`),
  () => text('wrong types', '{"temperature":"hot","vibration":[1],"mode":{"a":1}}'),
  () => text('all null', '{"temperature":null,"vibration":null,"mode":null}'),
  () =>
    text('__proto__', '{"__proto__":{"temperature":1},"constructor":{"prototype":{"x":1}},"temperature":2}'),
  () => text('only __proto__', '{"__proto__":{"temperature":1}}'),
  () => text('a number', '42'),
  () => text('a string', '"temperature"'),
  () => text('null', 'null'),
  () => text('true', 'true'),
  () => text('empty object', '{}'),
  () => text('empty array', '[]'),
  () => text('array of junk', '[1,"a",null,[],{}]'),
  () => text('mixed array', `[${JSON.stringify(good)},7,{"temperature":"x"}]`),
  () => text('deep array', '['.repeat(100_000) + ']'.repeat(100_000)),
  () => text('deep object', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`),
  () => text('deep unclosed', '['.repeat(200_000)),
  () => text('many keys', `{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":${i}`).join(',')}}`),
  () => text('duplicate keys', '{"temperature":1,"temperature":"x","temperature":3}'),
  () => text('trailing garbage', `${JSON.stringify(good)}}}}`),
  () => text('two documents', `${JSON.stringify(good)}\n${JSON.stringify(good)}`),
  () => text('lone surrogates', '{"mode":"\\ud800","temperature":1}'),
  () => text('NUL bytes', `{"mode":"\\u0000","temperature":1}\0\0`),
  () => text('bad CloudEvent', '{"specversion":"1.0","id":7,"source":null,"data":"x"}'),
  () => text('CloudEvent without data', '{"specversion":"1.0","id":"1","source":"/s","type":"t"}'),
  () =>
    text(
      'CloudEvent with odd time',
      `{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"yesterday","data":${JSON.stringify(good)}}`,
    ),
  () => text('out of range', '{"temperature":1e9,"vibration":-5}'),
];

const HEAD = 'From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nMessage-ID: <m@example.org>\r\n';

function nested(depth: number): string {
  let mail = `${HEAD}Content-Type: multipart/mixed; boundary="b0"\r\n\r\n`;
  for (let i = 0; i < depth; i++)
    mail += `--b${i}\r\nContent-Type: multipart/mixed; boundary="b${i + 1}"\r\n\r\n`;
  return mail;
}

const mails: readonly ((rng: () => number) => Malformed)[] = [
  () => text('empty', ''),
  (rng) => ({ kind: 'random bytes', payload: bytes(1 + Math.floor(rng() * 5_000), rng) }),
  () => text('only newlines', '\r\n'.repeat(10_000)),
  () => text('headers without body', HEAD),
  () => text('no headers', 'just a text with no header at all\n'.repeat(20)),
  (rng) =>
    text(
      'truncated',
      `${HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD`.slice(
        0,
        20 + Math.floor(rng() * 150),
      ),
    ),
  () => text('100,000 nested parts', nested(100_000)),
  () =>
    text(
      '100,000 flat parts',
      `${HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(100_000)}--b--`,
    ),
  () => text('message in message', `${HEAD}${'Content-Type: message/rfc822\r\n\r\n'.repeat(5_000)}`),
  () => text('one million header lines', `${'X-A: b\r\n'.repeat(1_000_000)}\r\nbody`),
  () => text('one endless header', `Subject: ${'a'.repeat(3 * MiB)}\r\n\r\nbody`),
  () => text('endless folding', `Subject: x\r\n${' y\r\n'.repeat(300_000)}\r\nbody`),
  () => text('endless encoded words', `Subject: ${'=?utf-8?Q?=41?= '.repeat(50_000)}\r\n\r\nbody`),
  () =>
    text('broken encoded words', 'Subject: =?utf-8?B?////?= =?nope?Q?x?= =?utf-8?Z?x?= =?=?=?\r\n\r\nbody'),
  () => text('unknown charset', `${HEAD}Content-Type: text/plain; charset=klingon\r\n\r\nbody`),
  () => text('broken base64', `${HEAD}Content-Transfer-Encoding: base64\r\n\r\n!!!!====????\r\nQQ`),
  () =>
    text('broken quoted-printable', `${HEAD}Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\r\n==3=`),
  () => text('unclosed tags', `${HEAD}Content-Type: text/html\r\n\r\n${'<div '.repeat(100_000)}`),
  () => text('unclosed comment', `${HEAD}Content-Type: text/html\r\n\r\n<!-- ${'a'.repeat(MiB)}`),
  () =>
    text('endless entities', `${HEAD}Content-Type: text/html\r\n\r\n${'&#x41;&amp;&bogus;'.repeat(50_000)}`),
  () =>
    text(
      'endless boundary',
      `${HEAD}Content-Type: multipart/mixed; boundary="${'b'.repeat(100_000)}"\r\n\r\n--`,
    ),
  () => ({
    kind: 'NUL bytes',
    payload: Buffer.concat([Buffer.from(HEAD), Buffer.from('\r\n'), Buffer.alloc(100_000)]),
  }),
  () => text('bare CR', `${HEAD.replaceAll('\r\n', '\r')}\r\rbody`),
];

/** Huge ones, few: they cost seconds. */
const huge: readonly { task: 'reading' | 'mail'; make: () => Malformed }[] = [
  {
    task: 'reading',
    make: () => text('30 MiB of JSON', `{"temperature":1,"pad":"${'x'.repeat(30 * MiB)}"}`),
  },
  { task: 'reading', make: () => ({ kind: '30 MiB of zeros', payload: Buffer.alloc(30 * MiB) }) },
  { task: 'mail', make: () => text('30 MiB of body', `${HEAD}\r\n${'word '.repeat(6 * MiB)}`) },
  { task: 'mail', make: () => ({ kind: '60 MiB of zeros', payload: Buffer.alloc(60 * MiB) }) },
];

/** `count` payloads, half for each task; the kinds go round. */
export function malformedPayloads(
  count: number,
  seed: number,
): { task: 'reading' | 'mail'; one: Malformed }[] {
  const rng = random(seed);
  const all: { task: 'reading' | 'mail'; one: Malformed }[] = huge.map(({ task, make }) => ({
    task,
    one: make(),
  }));
  for (let n = 0; all.length < count; n++) {
    const reading = n % 2 === 0;
    const makers = reading ? readings : mails;
    all.push({ task: reading ? 'reading' : 'mail', one: makers[(n >> 1) % makers.length](rng) });
  }
  return all;
}
