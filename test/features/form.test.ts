import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MailBody } from '../../src/contract.ts';
import { mimeOptions, openMime } from '../../src/decode/mime.ts';
import { headerForm, textForm } from '../../src/features/form.ts';
import { headerFormText, textFormText } from '../../src/task/reasons/forms.ts';
import { messageOf } from '../decode/corpus.ts';

const decoder = openMime(mimeOptions.parse({}));
const bodyOf = (mail: string): MailBody => {
  const [{ body }] = decoder.decode(messageOf(mail));
  if (body.kind !== 'mail') throw new Error('no mail');
  return body;
};

function headerMarks(mail: MailBody, usable = (_: string, value: string): string | null => value): string[] {
  const marks: string[] = [];
  headerForm(mail, usable, (mark) => marks.push(mark));
  return marks;
}

function textMarks(mail: MailBody): string[] {
  const marks: string[] = [];
  textForm(mail, (mark) => marks.push(mark));
  return marks;
}

const HEADERS = [
  'Received: from x by mx.here.example; Tue, 3 Sep 2002 10:00:00 +0200',
  'From: "Ann B" <ann42@mail.shop.example>',
  'Return-Path: <bounce@shop.example>',
  'Reply-To: other@elsewhere.example',
  'Message-ID: <20020903.Ab12@mail.shop.example>',
  'To: joe@here.example',
  'Subject: joe, BUY NOW!!!',
  'Date: Tue, 3 Sep 2002 20:00:00 +0000',
];
const MAIL = `${HEADERS.join('\r\n')}\r\n\r\nHello\r\n\r\n> quoted\r\nhttp://shop.example/a http://far.example/b\r\n`;

describe('the form of headers', () => {
  test('says which domains are of one owner, whatever their hosts', () => {
    const marks = headerMarks(bodyOf(MAIL));
    const of = (what: string) => marks.find((mark) => mark.startsWith(`${what} `))?.slice(what.length + 1);
    expect(of('from and return-path')).toBe(of('from and message-id'));
    expect(of('from and reply-to')).not.toBe(of('from and return-path'));
    expect(of('from and to')).toBe(of('from and reply-to'));
  });

  test('tells how far the sender is ahead of the first server, by their own zones', () => {
    const ahead = (date: string) =>
      headerMarks(bodyOf(MAIL.replace(/Date: .*/, `Date: ${date}`))).find((mark) => mark.startsWith('clock'));
    expect(ahead('Tue, 3 Sep 2002 20:00:00 +0000')).toBe(ahead('Tue, 3 Sep 2002 22:00:00 +0200'));
    expect(ahead('Tue, 3 Sep 2002 08:00:00 +0000')).toBe('clock behind 0');
    expect(ahead('yesterday')).toBe('clock without date');
    expect(ahead('Tue, 3 Sep 2002 20:00:00 +0000')).toMatch(/^clock ahead /);
  });

  test('is nothing for a text without headers', () => {
    expect(headerMarks({ ...bodyOf(MAIL), headers: [] })).toEqual([]);
  });

  test('does not look at what may not be used', () => {
    const mail = bodyOf(MAIL);
    const without = (name: string) => (header: string, value: string) => (header === name ? null : value);
    expect(headerMarks(mail, without('reply-to'))).toEqual(
      headerMarks({
        ...mail,
        headers: mail.headers.map(([name, value]) => [name, name === 'reply-to' ? '' : value]),
      }),
    );
  });

  test('never throws and is bounded in number and length, whatever the values', () => {
    const names = [
      'received',
      'from',
      'to',
      'cc',
      'subject',
      'date',
      'return-path',
      'reply-to',
      'message-id',
    ];
    const header = fc.tuple(fc.constantFrom(...names), fc.string({ unit: 'binary', maxLength: 2_000 }));
    fc.assert(
      fc.property(fc.array(header, { maxLength: 30 }), (headers) => {
        const marks = headerMarks({ ...bodyOf(MAIL), headers });
        expect(marks.length).toBeLessThan(64);
        expect(Math.max(0, ...marks.map((mark) => mark.length))).toBeLessThan(200);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('the form of texts', () => {
  test('tells shouting from speaking, and links of the sender from others', () => {
    const quiet = textMarks(bodyOf(MAIL));
    const loud = textMarks(bodyOf(MAIL.replace('Hello', 'HELLO WORLD, BUY OUR GOODS')));
    const of = (marks: string[], what: string) => marks.find((mark) => mark.startsWith(`${what} `));
    expect(of(quiet, 'shouted')).toBe('shouted none');
    expect(of(loud, 'shouted')).not.toBe('shouted none');
    expect(of(quiet, 'links of sender')).toBe('links of sender some');
    expect(of(quiet, 'quoted')).not.toBe('quoted none');
  });

  test('never throws and is bounded, whatever the texts', () => {
    const text = fc.record({
      type: fc.constantFrom('plain', 'html') as fc.Arbitrary<'plain' | 'html'>,
      text: fc.string({ unit: 'binary', maxLength: 6_000 }),
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), (texts) => {
        const marks = textMarks({ ...bodyOf(MAIL), texts });
        expect(marks.length).toBeLessThan(64);
        expect(Math.max(...marks.map((mark) => mark.length))).toBeLessThan(200);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});

test('every mark has words for people', () => {
  const html = '<html><body>Hello <b>YOU</b> 50% $$$ <a href="http://shop.example/">x</a></body></html>';
  const mails = [
    MAIL,
    `Content-Type: text/html\r\nSubject: [list] a   b\r\nIn-Reply-To: <a@b>\r\n\r\n${html}`,
    `From: <a@b.example>\r\nDate: never\r\nReceived: here; Tue, 3 Sep 2002 10:00:00 +0200\r\n\r\n`,
    'From: a@b.example\r\nTo: Ann <ann@here.example>\r\nSubject: Re: 1\r\n\r\nпривет',
    `${HEADERS.join('\r\n').replace('20:00:00', '02:00:00')}\r\n\r\n`,
  ].map(bodyOf);
  for (const mail of mails) {
    for (const mark of headerMarks(mail)) expect(headerFormText(mark), mark).not.toContain('form of');
    for (const mark of textMarks(mail)) expect(textFormText(mark), mark).not.toContain('form of');
  }
});
