import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Message } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { type InputOptions, readInput } from '../../src/io/files.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-files-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function write(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

async function read(options: InputOptions): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of readInput(options)) messages.push(message);
  return messages;
}

const payloads = (messages: readonly Message[]) => messages.map((m) => Buffer.from(m.payload).toString());
const objects = (messages: readonly Message[]) =>
  payloads(messages).map((text) => JSON.parse(text) as unknown);

async function failure(options: InputOptions): Promise<SluiceError> {
  const error: unknown = await read(options).then(
    () => new Error('was read'),
    (thrown) => thrown,
  );
  if (error instanceof SluiceError) return error;
  throw error;
}

describe('CSV', () => {
  it('turns rows into JSON objects without the label, numbers as numbers, missing as null', async () => {
    const path = await write('a.csv', 'a,b,c,class\n1,x,-2.5e3,up\n,?,NaN,down\n+.5,01,1e400,up\n');
    const messages = await read({ path });
    expect(objects(messages)).toEqual([
      { a: 1, b: 'x', c: -2500 },
      { a: null, b: null, c: null },
      { a: 0.5, b: 1, c: null },
    ]);
    expect(messages.map((m) => m.label)).toEqual(['up', 'down', 'up']);
    expect(messages.map((m) => m.position)).toEqual(['a.csv#1', 'a.csv#2', 'a.csv#3']);
  });

  it('reads RFC 4180 quotes: separators, doubled quotes and line ends inside', async () => {
    const path = await write('quotes.csv', 'text,label\r\n"a, ""b""\r\nc",spam\r\n5" pipe,ham\r\n"",ham\r\n');
    const messages = await read({ path });
    expect(objects(messages)).toEqual([{ text: 'a, "b"\nc' }, { text: '5" pipe' }, { text: null }]);
  });

  it.each([
    [',', 'x,y;z\n'],
    [';', 'x;y,z;w\n'],
    ['\t', 'x\ty\n'],
  ])('guesses the separator %j from the header', async (separator, header) => {
    const names = header.trim().split(separator);
    const path = await write('guess.csv', header + names.map((_, i) => i).join(separator));
    expect(objects(await read({ path }))).toEqual([Object.fromEntries(names.map((name, i) => [name, i]))]);
  });

  it('keeps labels as they are written', async () => {
    const path = await write('labels.csv', 'v,label\n1,01\n2,1.0\n3,\n4, yes \n');
    expect((await read({ path })).map((m) => m.label)).toEqual(['01', '1.0', undefined, 'yes']);
  });

  it('drops the row numbers that R writes before the first column', async () => {
    const path = await write('r.csv', '"v","label"\n"1",7,a\n"2",8,b\n');
    expect(objects(await read({ path }))).toEqual([{ v: 7 }, { v: 8 }]);
  });

  it('takes column names for a file without a header, and a mail body from a text column', async () => {
    const path = await write('sms', 'ham\tsay "hi\nspam\tWIN £9\n');
    const messages = await read({ path, format: 'tsv', columns: ['label', 'text'], text: 'text' });
    expect(messages.map((m) => m.label)).toEqual(['ham', 'spam']);
    const body = payloads(messages).map((text) => text.slice(text.indexOf('\r\n\r\n') + 4));
    expect(body).toEqual(['say "hi', 'WIN £9']);
  });

  it('moves the time column out of the payload', async () => {
    const rows = ['2020-03-09 10:14:33', '2020-03-09T10:14:33.5+01:00', '1583748873', '1583748873000'];
    const path = await write('time.csv', `when,v\n${rows.map((row) => `${row},1`).join('\n')}\n`);
    const messages = await read({ path, time: 'when' });
    expect(messages.map((m) => m.at)).toEqual([1583748873000, 1583745273500, 1583748873000, 1583748873000]);
    expect(objects(messages)[0]).toEqual({ v: 1 });
  });

  it.each([
    'Tue, 2 Jul 2002 11:51:15',
    '2 Jul 2002 11:51:15 GMT',
    '7/2/2002 11:51:15 AM',
    '2 Jul 2002 07:51:15 -0400 (EDT)',
  ])('reads the date %j the same in every time zone of the reader', async (when) => {
    const path = await write('zone.csv', `when,v\n"${when}",1\n`);
    const before = process.env.TZ;
    const found: number[] = [];
    for (const zone of ['UTC', 'Asia/Tokyo', 'America/Lima']) {
      process.env.TZ = zone;
      found.push((await read({ path, time: 'when' }))[0].at);
    }
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
    expect(found).toEqual(new Array(3).fill(Date.UTC(2002, 6, 2, 11, 51, 15)));
  });

  it.each([
    ['a,b\n1,2\n1,2,3,4\n', ':3: 4 cells, but 2 columns'],
    ['a,b\n1\n', ':2: 1 cells, but 2 columns'],
    ['a,b\n1,2\n"1,2\n3,4\n', ':3: a quote opened here is never closed'],
    ['a,b\n"1"x,2\n', ':2: "x" stands after a closing quote'],
    ['a,a\n1,2\n', ':1: column "a" stands there twice'],
  ])('refuses %j with the line', async (text, message) => {
    const error = await failure({ path: await write('bad.csv', text) });
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toContain(message);
  });

  it('names the columns there are when one is asked for that is not', async () => {
    const error = await failure({ path: await write('col.csv', 'a,b\n1,2\n'), label: 'klass' });
    expect(error.message).toContain('no column "klass"; there are a, b');
  });

  it('joins several files into one stream in the order given', async () => {
    const path = [await write('p2.csv', 'v\n1\n'), await write('p1.csv', 'v\n2\n')];
    expect(objects(await read({ path }))).toEqual([{ v: 1 }, { v: 2 }]);
  });
});

describe('JSON lines', () => {
  it('takes label and time out and leaves the rest', async () => {
    const path = await write(
      'a.jsonl',
      '{"v":1,"class":true,"at":5}\n\n{"__proto__":{"x":1},"class":"b","at":6}\n',
    );
    const messages = await read({ path, time: 'at' });
    expect(messages.map((m) => [m.label, m.at])).toEqual([
      ['true', 5000],
      ['b', 6000],
    ]);
    expect(payloads(messages)).toEqual(['{"v":1}', '{"__proto__":{"x":1}}']);
  });

  it('passes a line without a label through byte for byte', async () => {
    const path = await write('b.jsonl', '{ "v" : 1.50 }\n');
    expect(payloads(await read({ path }))).toEqual(['{ "v" : 1.50 }']);
  });

  it.each([
    ['{"a":1}\n{oops\n', ':2: not JSON'],
    ['[1]\n', ':1: not a JSON object'],
  ])('refuses %j', async (text, message) => {
    expect((await failure({ path: await write('bad.jsonl', text) })).message).toContain(message);
  });
});

describe('ARFF', () => {
  it('reads numeric, nominal, quoted and missing values, the last attribute being the label', async () => {
    const path = await write(
      'a.arff',
      "% a comment\n@RELATION 'my data'\n@attribute 'air temp' NUMERIC\n@attribute wind {no, 'very strong'}\n" +
        '@attribute note string\n@attribute play {yes,no}\n\n@DATA\n1.5,no,"a, \\"b\\"",yes\n?,\'very strong\',?,no\n',
    );
    const messages = await read({ path });
    expect(objects(messages)).toEqual([
      { 'air temp': 1.5, wind: 'no', note: 'a, "b"' },
      { 'air temp': null, wind: 'very strong', note: null },
    ]);
    expect(messages.map((m) => m.label)).toEqual(['yes', 'no']);
  });

  it.each([
    ['@relation x\n@attribute a numeric\n@data\nhot\n', ':4: a: "hot" is not a number'],
    ['@relation x\n@attribute a {b,c}\n@data\nd\n', ':4: a: "d" is not one of its declared values'],
    ['@relation x\n@attribute a numeric\n@data\n{0 1}\n', ':4: sparse rows are not supported'],
    ['@relation x\n@attribute a numeric\n@data\n1,2\n', ':4: 2 cells, but 1 attributes'],
    ['@relation x\n@attribute a quaternion\n@data\n', ':2: unknown type "quaternion"'],
    ['@relation x\n@attribute a numeric\n', 'no @data section'],
  ])('refuses %j', async (text, message) => {
    expect((await failure({ path: await write('bad.arff', text) })).message).toContain(message);
  });
});

describe('libsvm', () => {
  it('reads class and pairs, drops the amount after a semicolon, and writes zeros out', async () => {
    const path = await write('a.dat', '1;10.0 1:5.5 3:-2\n+2;20.0 2:1e3\n');
    const messages = await read({ path });
    expect(objects(messages)).toEqual([
      { 1: 5.5, 2: 0, 3: -2 },
      { 1: 0, 2: 1000, 3: 0 },
    ]);
    expect(messages.map((m) => m.label)).toEqual(['1', '2']);
  });

  it('refuses what is no pair', async () => {
    const path = await write('bad.dat', '1 1:5\n1 x:5\n');
    expect((await failure({ path })).message).toContain(':2: "x:5" is not index:value');
  });
});

describe('guessing', () => {
  it.each([
    ['nothing', '', 'the file is empty'],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0]), 'unpack it first'],
    ['utf16', Buffer.from([0xff, 0xfe, 65, 0]), 'convert it to UTF-8'],
    ['prose', 'hello world\n', 'name it with --format'],
  ])('refuses %s with what to do', async (name, content, message) => {
    expect((await failure({ path: await write(name, content) })).message).toContain(message);
  });

  it('says which path does not exist', async () => {
    const error = await failure({ path: join(folder, 'absent.csv') });
    expect(error.code).toBe('INPUT_NOT_FOUND');
    expect(error.message).toContain('absent.csv');
  });

  it('drops a byte order mark', async () => {
    expect(objects(await read({ path: await write('bom.csv', '\ufeffv\n1\n') }))).toEqual([{ v: 1 }]);
  });
});
