import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { WORST, worst } from '../../bench/mail/worst.ts';
import type { MailBody } from '../../src/contract.ts';
import { mimeOptions, openMime, readMail } from '../../src/decode/mime.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf, readCorpus } from './corpus.ts';
import { mulberry } from './random.ts';

const options = mimeOptions.parse({});
const mail = (text: string | Buffer): MailBody => readMail(Buffer.from(text as string), options);
const lines = (...parts: string[]) => parts.join('\r\n');
const code = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `foreign ${String(error)}`;
  }
};

describe('bodies', () => {
  // The example of RFC 2046 section 5.1.1.
  test('a multipart gives its parts, not preamble and epilogue', () => {
    const body = mail(
      lines(
        'From: Nathaniel Borenstein <nsb@bellcore.com>',
        'MIME-Version: 1.0',
        'Content-type: multipart/mixed; boundary="simple boundary"',
        '',
        'This is the preamble.  It is to be ignored.',
        '--simple boundary',
        '',
        'This is implicitly typed plain US-ASCII text.',
        'It does NOT end with a linebreak.',
        '--simple boundary',
        'Content-type: text/plain; charset=us-ascii',
        '',
        'This is explicitly typed plain US-ASCII text.',
        'It DOES end with a linebreak.',
        '',
        '--simple boundary--',
        '',
        'This is the epilogue.  It is also to be ignored.',
      ),
    );
    expect(body.texts.map((text) => text.text)).toEqual([
      'This is implicitly typed plain US-ASCII text.\nIt does NOT end with a linebreak.',
      'This is explicitly typed plain US-ASCII text.\nIt DOES end with a linebreak.',
    ]);
  });

  test('transfer encodings and charsets are undone', () => {
    const part = (headers: string, content: string) => `--x\n${headers}\n\n${content}\n`;
    const body = mail(
      `Content-Type: multipart/alternative; boundary=x\n\n${
        part(
          'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable',
          'caf=C3=A9 =\n100=25 =zz',
        ) +
        part(
          'Content-Type: text/html; charset=koi8-r\nContent-Transfer-Encoding: base64',
          Buffer.from('<b>\xf0\xf2</b>', 'latin1').toString('base64'),
        ) +
        part('Content-Type: text/plain; charset=nonsense\nContent-Transfer-Encoding: 8bit', 'caf')
      }--x--\n`,
    );
    expect(body.texts).toEqual([
      { text: 'café 100% =zz', type: 'plain' },
      { text: 'ПР', type: 'html' },
      { text: 'caf', type: 'plain' },
    ]);
  });

  const digest = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

  test('attachments have type, name, decoded size and digest, and no text', () => {
    const bytes = Buffer.alloc(1_000, 7);
    const content = bytes.toString('base64').replace(/.{76}/g, '$&\r\n');
    const body = mail(
      `Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/pdf; name="x"\nContent-Disposition: attachment; filename*=utf-8''%C3%A9t%C3%A9.pdf\nContent-Transfer-Encoding: base64\n\n${content}\n--b\nContent-Disposition: attachment; filename="=?utf-8?Q?n=C3=B6te?=.txt"\n\nsecret\n--b--`,
    );
    expect(body.attachments).toEqual([
      { type: 'application/pdf', name: 'été.pdf', size: 1_000, digest: digest(bytes) },
      { type: 'text/plain', name: 'nöte.txt', size: 6, digest: digest('secret') },
    ]);
    expect(body.texts).toEqual([]);
  });

  test('digests are bounded: 8 MiB of one attachment, 100 attachments of one mail', () => {
    const type = 'Content-Type: application/x\n\n';
    const large = Buffer.alloc(9 * 1024 ** 2, 65);
    const [one] = mail(Buffer.concat([Buffer.from(type), large])).attachments;
    expect(one).toMatchObject({ size: large.length, digest: digest(large.subarray(0, 8 * 1024 ** 2)) });
    const many = mail(`Content-Type: multipart/mixed; boundary=b\n\n${`--b\n${type}x\n`.repeat(150)}`);
    expect(many.attachments.map((part) => part.digest !== '')).toEqual([
      ...Array(100).fill(true),
      ...Array(50).fill(false),
    ]);
  });

  test('hidden text is known apart, part by part, and bounded over all of them', () => {
    const part = (text: string) => `--b\nContent-Type: text/html\n\n<p>seen<p hidden>${text}\n`;
    const body = mail(`Content-Type: multipart/mixed; boundary=b\n\n${part('one')}${part('two')}`);
    expect(body.hidden).toEqual(['one', 'two']);
    expect(body.texts.map(({ text }) => text)).toEqual(['seen', 'seen']);
    const large = mail(`Content-Type: multipart/mixed; boundary=b\n\n${part('x'.repeat(50_000)).repeat(5)}`);
    expect(large.hidden.join('').length).toBe(65_536);
  });

  test('flowed paragraphs are joined as RFC 3676 says', () => {
    const flowed = (text: string, more = '') =>
      mail(`Content-Type: text/plain; format=flowed${more}\n\n${text}`).texts[0].text;
    expect(flowed('> a \n> b\n>> c\n  stuffed \non\n-- \nname')).toBe('> a b\n>> c\n stuffed on\n-- \nname');
    expect(flowed('wo \nrd', '; DelSp=Yes')).toBe('word');
  });

  test('a list footer behind base64 is not read as digits', () => {
    const coded = Buffer.from('the text').toString('base64').replaceAll('=', '');
    const body = mail(`Content-Transfer-Encoding: base64\n\n${coded}\n_____\nThe list\n`);
    expect(body.texts[0].text).toBe('the text');
  });

  test.each(['\n', '\r\n'])('the last soft break of a part joins nothing, line ends %j', (end) => {
    const text = [
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'a==',
      '--b--',
      '',
    ].join(end);
    expect(mail(text).texts[0].text).toBe('a=');
  });

  test('line ends may be mixed', () => {
    const body = mail(
      'Subject: a\r\n b\nContent-Type: multipart/mixed;\r\n boundary=b\n\r\n--b\r\n\none\r\n--b\n\r\ntwo\n--b--\r\n',
    );
    expect(body.headers[0]).toEqual(['subject', 'a b']);
    expect(body.texts.map((text) => text.text)).toEqual(['one', 'two']);
  });

  test('messages in messages and digests are read', () => {
    const body = mail(
      'Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: one\n\nfirst\n--d\nContent-Type: message/rfc822\n\nContent-Type: text/html\n\n<p>second</p>\n--d--\n',
    );
    expect(body.texts.map((text) => text.text)).toEqual(['first', 'second']);
  });

  test('the mailbox line is no part of the mail', () => {
    const plain = 'Subject: x\n\nbody\n';
    const boxed = mail(`From someone@example Mon Jan  1 00:00:00 2001\n${plain}`);
    expect(Buffer.from(boxed.raw).toString()).toBe(plain);
    expect(boxed.headers).toEqual([['subject', 'x']]);
  });
});

describe('of broken mail what is readable is used', () => {
  test.each([
    ['cut off in a part', 'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nreadable'],
    [
      'cut off in the header of a part',
      'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nreadable\n--b\nContent-Type: text/pl',
    ],
    [
      'inner multipart never closed',
      'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nreadable\n--b--\n',
    ],
    ['boundary that never comes', 'Content-Type: multipart/mixed; boundary=b\n\nreadable'],
    ['boundary not named but seen', 'Content-Type: multipart/mixed\n\n--b\n\nreadable\n--b--\n'],
    ['no empty line after the header', 'Subject: x\nreadable'],
    ['no header at all', 'readable'],
    ['broken content type', 'Content-Type: text; ;;=\n\nreadable'],
    ['unknown transfer encoding', 'Content-Transfer-Encoding: x-none\n\nreadable'],
    ['empty lines first', '\r\n\n\r\nSubject: x\n\nreadable'],
    ['blanks after the boundary', 'Content-Type: multipart/mixed; boundary=b\n\n--b  \n\nreadable\n--b-- \n'],
    [
      'base64 cut off',
      `Content-Transfer-Encoding: base64\n\n${Buffer.from('readable').toString('base64').slice(0, 11)}`,
    ],
  ])('%s', (_, text) => {
    expect(mail(text).texts.map((one) => one.text)).toEqual(['readable']);
  });

  test('dashes that go on after the closing boundary close nothing', () => {
    const body = mail('Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--</html>\ntwo\n--b--');
    expect(body.texts.map((text) => text.text)).toEqual(['one\n--b--</html>\ntwo']);
  });

  test('a longer boundary is not taken for a shorter one', () => {
    const body = mail(
      'Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--ab\nstill one\n--a\n\ntwo\n--a--',
    );
    expect(body.texts.map((text) => text.text)).toEqual(['one\n--ab\nstill one', 'two']);
  });
});

describe('refusals', () => {
  const nested = (depth: number) =>
    Array.from(
      { length: depth },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`,
    ).join('');
  test.each([
    ['nothing', '', 'DECODE_EMPTY'],
    ['blank lines only', '\r\n \r\n', 'DECODE_EMPTY'],
    ['bytes that are neither header nor text', Buffer.from([0x89, 0x50, 0, 1, 2, 3, 4, 5]), 'DECODE_MAIL'],
    ['too deep', nested(30), 'DECODE_DEPTH'],
    ['100,000 nested parts', nested(100_000), 'DECODE_DEPTH'],
    ['messages inside each other', 'Content-Type: message/rfc822\n\n'.repeat(100_000), 'DECODE_DEPTH'],
    [
      'too many parts',
      `Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(100_000)}`,
      'DECODE_PARTS',
    ],
    ['1,000,000 header lines', 'a: b\n'.repeat(1_000_000), 'DECODE_HEADERS'],
    ['one endless header line', `a: ${'b'.repeat(2_000_000)}`, 'DECODE_HEADERS'],
    ['one endless folded header', `a: b\n${' c\n'.repeat(1_000_000)}`, 'DECODE_HEADERS'],
    ['too large', Buffer.alloc(50 * 1024 ** 2 + 1, 0x61), 'DECODE_TOO_LARGE'],
  ])('%s', (_, payload, expected) => {
    expect(code(() => mail(payload))).toBe(expected);
  });

  test('limits are options', () => {
    const small = mimeOptions.parse({ maxBytes: '1KiB', maxDepth: 1, maxParts: 2, maxHeaderBytes: 100 });
    const run = (text: string) => code(() => readMail(Buffer.from(text), small));
    expect(run('x'.repeat(1_025))).toBe('DECODE_TOO_LARGE');
    expect(run(nested(2))).toBe('DECODE_DEPTH');
    expect(run('Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\n\n')).toBe('DECODE_PARTS');
    expect(run(`a: ${'b'.repeat(100)}\n\n`)).toBe('DECODE_HEADERS');
    expect(run('a: b\n\nc')).toBe('none');
  });
});

describe('the event', () => {
  const decoder = openMime(options);
  const text =
    'Message-ID: <a.b@c>\nReceived: by x; Tue, 2 Jul 2002 11:51:15 +0100\nDate: Mon, 1 Jan 1990 00:00:00 +0000\n\nx';

  test('has the names that feedback may use', () => {
    const [event] = decoder.decode(messageOf(text));
    const digest = createHash('sha256').update(text).digest('hex');
    expect(event.aliases).toEqual(['mid:a.b@c', `raw:${digest}`]);
  });

  test('has the time of the newest Received, and of arrival where that is not to be believed', () => {
    expect(decoder.decode(messageOf(text))[0].at).toBe(Date.UTC(2002, 6, 2, 10, 51, 15));
    expect(decoder.decode(messageOf('Date: 1 Jan 2099 00:00 +0000\n\nx'))[0].at).toBe(Date.UTC(2026, 0, 1));
    expect(decoder.decode(messageOf('Date: whenever\n\nx'))[0].at).toBe(Date.UTC(2026, 0, 1));
  });
});

/** The least time of three runs: one that the machine disturbed does not count. */
function cost(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i += 1) {
    const start = process.cpuUsage();
    run();
    const used = process.cpuUsage(start);
    best = Math.min(best, used.user + used.system);
  }
  return best;
}

describe('time grows with size, not with its square', () => {
  const html = (content: string) => `Content-Type: text/html\n\n${content}`;
  test.each<[string, (n: number) => string]>([
    ['unclosed tags', (n) => html('<a b="'.repeat(n))],
    ['tags whose closing bracket is quoted', (n) => html('<a c=">x"'.repeat(n))],
    ['opening brackets', (n) => html('<'.repeat(n))],
    ['unclosed comments', (n) => html('<!--'.repeat(n))],
    ['unclosed elements without markup', (n) => html('<script><style>'.repeat(n))],
    ['tags without attributes', (n) => html('<b>'.repeat(n))],
    ['links', (n) => html('<a href=x>y'.repeat(n))],
    ['hidden elements', (n) => html('<div style="display:none">'.repeat(n))],
    ['ampersands', (n) => html('&#'.repeat(n))],
    ['lines of dashes', (n) => `Content-Type: multipart/mixed; boundary=b\n\n${'--\n'.repeat(n)}`],
    [
      'soft breaks that are none',
      (n) => `Content-Transfer-Encoding: quoted-printable\n\n${'=   '.repeat(n)}`,
    ],
    ['encoded words', (n) => `Subject: ${'=?utf-8?q?a?= '.repeat(Math.min(n, 60_000))}\n\nx`],
    ['encoded words never closed', (n) => `Subject: ${'=?a?q?'.repeat(n)}\n\nx`],
    ['parameters', (n) => `Content-Type: a/b${';  "'.repeat(n)}\n\nx`],
    ['addresses in text', (n) => `Subject: x\n\n${'http://www.'.repeat(n)}`],
  ])('%s', (_, make) => {
    const small = Buffer.from(make(10_000));
    const large = Buffer.from(make(80_000));
    const limits = { ...options, maxHeaderBytes: 1e9 };
    readMail(small, limits);
    // Eight times the size: a quadratic cost would be 64 times as high. The constant absorbs the clock's grain.
    expect(cost(() => readMail(large, limits))).toBeLessThan(
      24 * cost(() => readMail(small, limits)) + 60_000,
    );
  });
});

describe('the worst mails', () => {
  const ordinary = Array.from({ length: 200 }, (_, i) =>
    Buffer.from(
      `Received: from a.example (b.example [192.0.2.${i}])\n\tby c.example; Tue, 2 Jul 2002 11:51:15 +0100\nMessage-ID: <${i}@a.example>\nFrom: "Some Body" <some${i}@a.example>\nTo: list@c.example\nSubject: An ordinary =?utf-8?Q?caf=C3=A9?= ${i}\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n${'<p class=3D"x">A paragraph of <b>some</b> words with a <a href=3D"http://a.example/">link</a>, =\nas people write them; nothing is hidden here.</p>\n'.repeat(15)}`,
    ),
  );
  const bytes = ordinary.reduce((sum, { length }) => sum + length, 0);
  const decode = () => ordinary.map((raw) => readMail(raw, options));
  decode();
  const base = cost(decode) / bytes;

  // The bench case mail-worst measures how much; here only what is out of all proportion fails.
  test.each(Object.keys(WORST))('%s: no more than 40 times an ordinary mail by byte', (name) => {
    const raw = worst(name, 100_000);
    const copies = Math.ceil(200_000 / raw.length);
    const run = () => {
      for (let i = 0; i < copies; i += 1) readMail(raw, options);
    };
    run();
    expect(cost(run) / (raw.length * copies)).toBeLessThan(40 * base);
  });
});

describe('real and damaged mail', () => {
  const corpus = readCorpus('index-all.tsv');

  test.skipIf(corpus === null)('every mail of the corpus decodes, nearly all with text', () => {
    let texts = 0;
    let without = 0;
    let replaced = 0;
    for (const { payload } of corpus ?? []) {
      const body = readMail(payload, options);
      expect(body.headers.length).toBeGreaterThan(3);
      texts += body.texts.length;
      if (body.texts.length === 0) without += 1;
      if (body.texts.some((text) => text.text.includes('\ufffd'))) replaced += 1;
    }
    expect(corpus?.length).toBe(6_046);
    expect(texts).toBeGreaterThan(6_200);
    expect(without).toBeLessThan(25);
    expect(replaced).toBeLessThan(10);
  });

  test('damaged mail is decoded or refused by a code, never anything else', () => {
    const random = mulberry(7);
    const seeds = corpus?.filter((_, i) => i % 100 === 0).map((one) => one.payload) ?? SEEDS;
    const codes = new Set<string>();
    for (let i = 0; i < 4_000; i += 1) {
      const damaged = damage(seeds[Math.floor(random() * seeds.length)], random);
      codes.add(code(() => readMail(damaged, options)));
    }
    for (const one of codes)
      expect(one).toMatch(/^(none|DECODE_(EMPTY|MAIL|DEPTH|PARTS|HEADERS|TOO_LARGE))$/);
    expect(codes.has('none')).toBe(true);
  });
});

const SEEDS = [
  'Subject: =?utf-8?Q?caf=C3=A9?=\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n<a href="http://x/">y</a>\n--b\nContent-Transfer-Encoding: base64\n\nYWJj\n--b--\n',
  "From a b\nContent-Type: message/rfc822\n\nContent-Type: text/plain; charset*=utf-8''utf-8\nContent-Transfer-Encoding: quoted-printable\n\na=3Db=\nc\n",
].map((text) => Buffer.from(text));

const SNIPPETS = [
  '--',
  '\n',
  '\r\n\r\n',
  '=?utf-8?B?',
  '?=',
  '<',
  '"',
  ';',
  'boundary=',
  'Content-Type: multipart/mixed; boundary=""\n',
  '\0',
  '&#',
  '=',
  "*0*='",
  '\n--b\n',
];

/** A few cuts, copies, flips and insertions of what means something in mail. */
function damage(original: Uint8Array, random: () => number): Uint8Array {
  let bytes = Buffer.from(original.subarray(0, 20_000));
  const times = 1 + Math.floor(random() * 8);
  for (let i = 0; i < times; i += 1) {
    const at = Math.floor(random() * bytes.length);
    const to = Math.min(bytes.length, at + Math.floor(random() * 200));
    const kind = Math.floor(random() * 5);
    if (kind === 0) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    else if (kind === 2) for (let k = at; k < to; k += 7) bytes[k] = Math.floor(random() * 256);
    else if (kind === 3) bytes = Buffer.from(bytes.subarray(0, at));
    else {
      const snippet = Buffer.from(SNIPPETS[Math.floor(random() * SNIPPETS.length)]);
      bytes = Buffer.concat([bytes.subarray(0, at), snippet, bytes.subarray(at)]);
    }
  }
  return bytes;
}
