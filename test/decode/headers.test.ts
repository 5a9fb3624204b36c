import { describe, expect, test } from 'vitest';
import { readHeaders } from '../../src/decode/headers.ts';
import { parseParameters } from '../../src/decode/parameters.ts';
import { decodeWords } from '../../src/decode/words.ts';
import { mulberry } from './random.ts';

const read = (text: string | Buffer) =>
  readHeaders(Buffer.from(text as string), 0, text.length, { bytes: 1e6, fields: 1_000, words: 1_000 });

describe('encoded words', () => {
  // The examples of RFC 2047 sections 2 and 8.
  test.each([
    ['=?iso-8859-1?q?this=20is=20some=20text?=', 'this is some text'],
    ['=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>', 'Keith Moore <moore@cs.utk.edu>'],
    ['=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>', 'Keld Jørn Simonsen <keld@dkuug.dk>'],
    ['=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>', 'André Pirard <PIRARD@vm1.ulg.ac.be>'],
    [
      '=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=',
      'If you can read this you understand the example.',
    ],
    ['=?ISO-8859-1?Q?a?=', 'a'],
    ['=?ISO-8859-1?Q?a?= b', 'a b'],
    ['=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=', 'ab'],
    ['=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=', 'ab'],
    ['=?ISO-8859-1?Q?a_b?=', 'a b'],
    ['=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=', 'a b'],
    // RFC 2231 section 5: with a language
    ['=?US-ASCII*EN?Q?Keith_Moore?=', 'Keith Moore'],
    // a character cut in two by its mailer
    ['=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=', 'café'],
    ['=?windows-1252?Q?=93quoted=94_=80?=', '“quoted” €'],
    ['=?gb2312?B?xOO6ww==?=', '你好'],
  ])('%s', (coded, plain) => {
    expect(decodeWords(coded)).toBe(plain);
  });

  test.each([
    '=?utf-8?Q?never closed',
    '=?utf-8?X?what?=',
    '=??',
    '=?=?=?=?',
    'a =?utf-8?Q?b',
    '=?utf-8?Q??',
  ])('what is none stays as it stands: %s', (text) => {
    expect(decodeWords(text)).toBe(text);
  });

  test('an unknown charset is read as UTF-8, else as windows-1252', () => {
    expect(decodeWords('=?x-nonsense?Q?=C3=A9?=')).toBe('é');
    expect(decodeWords('=?x-nonsense?Q?=93=E9?=')).toBe('“é');
  });
});

describe('encoded words of strangers', () => {
  test('are never longer decoded than encoded', () => {
    const random = mulberry(3);
    const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)];
    const charsets = ['utf-8', 'utf-16le', 'gb18030', 'big5', 'iso-2022-jp', 'x-none', 'windows-1252'];
    for (let i = 0; i < 3_000; i += 1) {
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 12) }, () => random() * 256));
      const body = pick([bytes.toString('base64'), bytes.toString('latin1'), '=FF=FE=', '_é_']);
      const text = `a =?${pick(charsets)}?${pick(['q', 'B'])}?${body}?= =?${pick(charsets)}?q?=E9?=`;
      const decoded = decodeWords(text);
      expect(decoded.length).toBeLessThanOrEqual(text.length);
      expect(decoded).not.toMatch(/[\r\n]/);
    }
  });

  test('beyond the budget stay as they stand', () => {
    const budget = { words: 2 };
    expect(decodeWords('=?a?q?x?= =?a?q?y?= =?a?q?z?=', budget)).toBe('xy =?a?q?z?=');
    expect(decodeWords('=?a?q?x?=', budget)).toBe('=?a?q?x?=');
  });

  test('of a charset with escapes are decoded one by one', () => {
    const half = Buffer.from('\x1b$B%F\x1b(B', 'latin1').toString('base64');
    expect(decodeWords(`=?iso-2022-jp?B?${half}?=\t=?iso-2022-jp?B?${half}?=`)).toBe('テテ');
  });

  test('smuggle no line breaks in', () => {
    expect(decodeWords('=?utf-8?q?a=0D=0ABcc:_b?=')).toBe('a  Bcc: b');
  });
});

describe('parameters', () => {
  test.each([
    ['text/plain; charset=us-ascii (Plain text)', 'charset', 'us-ascii (Plain text)'],
    ['text/plain; charset="us-ascii"', 'charset', 'us-ascii'],
    ['a/b; name="a \\"b\\"; c"; x=y', 'x', 'y'],
    ['a/b; name="a \\"b\\"; c"; x=y', 'name', 'a "b"; c'],
    ['a/b; name="never closed', 'name', 'never closed'],
    ['a/b;;; ;=;name=x', 'name', 'x'],
    // RFC 2231 sections 3 and 4
    ['message/external-body; URL*0="ftp://"; URL*1="cs.utk.edu/pub/x"', 'url', 'ftp://cs.utk.edu/pub/x'],
    [
      "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
      'title',
      'This is ***fun***',
    ],
    [
      "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
      'title',
      "This is even more ***fun*** isn't it!",
    ],
    ["a/b; filename*=utf-8''%e2%82%ac%20rates", 'filename', '€ rates'],
  ])('%s', (text, name, value) => {
    expect(parseParameters(text).parameters.get(name)).toBe(value);
  });

  test('the value is in lower case and without its parameters', () => {
    expect(parseParameters('Text/HTML ; charset=x').value).toBe('text/html');
  });
});

describe('the header section', () => {
  test('unfolds, whatever the line ends', () => {
    const { fields } = read('Subject: one\r\n two\n\tthree\r\nTo: x\r\n\r\nbody');
    expect(fields).toEqual([
      ['subject', 'one two\tthree'],
      ['to', 'x'],
    ]);
  });

  test('ends at the first line that cannot belong to it', () => {
    const { fields, body } = read('A: 1\nthis is text\nB: 2\n');
    expect(fields).toEqual([['a', '1']]);
    expect(body).toBe(5);
  });

  test('reads bytes above 127 as UTF-8, else as windows-1252', () => {
    expect(read(Buffer.from('A: caf\xc3\xa9\n', 'latin1')).fields[0][1]).toBe('café');
    expect(read(Buffer.from('A: caf\xe9 \x80\n', 'latin1')).fields[0][1]).toBe('café €');
  });

  test('takes every name that RFC 5322 allows and nobody mistakes', () => {
    expect(read('X-A(b)/c: 1\n>Received: 2\n\n').fields).toEqual([
      ['x-a(b)/c', '1'],
      ['>received', '2'],
    ]);
  });

  test('goes on behind what is read at once, and its budget holds there too', () => {
    const long = `A: ${'x'.repeat(5_000)}\n ${'y'.repeat(20_000)}\nB: 2\n\nbody`;
    const { fields, body } = read(long);
    expect(fields.map(([name, value]) => [name, value.length])).toEqual([
      ['a', 25_001],
      ['b', 1],
    ]);
    expect(long.slice(body)).toBe('body');
    expect(() =>
      readHeaders(Buffer.from(long), 0, long.length, { bytes: 9_000, fields: 9, words: 9 }),
    ).toThrow();
  });

  test('reads UTF-8 and other bytes side by side', () => {
    const bytes = Buffer.from('A: caf\xc3\xa9\nB: \x93caf\xe9\x94\n\n', 'latin1');
    expect(read(bytes).fields.map((field) => field[1])).toEqual(['café', '“café”']);
    const whole = Buffer.from('A: ä\n ö\nÜ: 1\nB: 日本\n\nx');
    expect(read(whole).fields).toEqual([['a', 'ä ö']]);
  });

  test('does not take JSON or HTML for a header', () => {
    for (const text of ['{"a": 1}\n', '<a href="http://x">: y</a>\n', 'two words: x\n', ': x\n'])
      expect(read(text).fields).toEqual([]);
  });

  test('refuses more bytes or fields than allowed', () => {
    const lines = Buffer.from('a: b\n'.repeat(100));
    for (const budget of [
      { bytes: 400, fields: 1_000, words: 10 },
      { bytes: 4_000, fields: 99, words: 10 },
    ])
      expect(() => readHeaders(lines, 0, lines.length, budget)).toThrowError(
        expect.objectContaining({ code: 'DECODE_HEADERS' }),
      );
  });
});
