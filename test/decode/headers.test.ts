import { describe, expect, test } from 'vitest';
import { decodeWords, parseParameters, readHeaders } from '../../src/decode/headers.ts';

const read = (text: string | Buffer) =>
  readHeaders(Buffer.from(text as string), 0, text.length, { bytes: 1e6, fields: 1_000 });

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

  test('does not take JSON or HTML for a header', () => {
    for (const text of ['{"a": 1}\n', '<a href="http://x">: y</a>\n', 'two words: x\n', ': x\n'])
      expect(read(text).fields).toEqual([]);
  });

  test('refuses more bytes or fields than allowed', () => {
    const lines = Buffer.from('a: b\n'.repeat(100));
    for (const budget of [
      { bytes: 400, fields: 1_000 },
      { bytes: 4_000, fields: 99 },
    ])
      expect(() => readHeaders(lines, 0, lines.length, budget)).toThrowError(
        expect.objectContaining({ code: 'DECODE_HEADERS' }),
      );
  });
});
