import { describe, expect, test } from 'vitest';
import { ATTACKS } from '../../bench/mail/attacks.ts';
import type { Rows } from '../../src/contract.ts';
import { mimeOptions, openMime } from '../../src/decode/mime.ts';
import { disguiseMarks, noDisguise, unmask } from '../../src/features/disguise.ts';
import { openEmail } from '../../src/features/email.ts';
import { emailOptions } from '../../src/features/email-options.ts';
import { RowArena, sliceRow } from '../../src/features/rows.ts';
import { messageOf } from '../decode/corpus.ts';

const undone = (text: string) => {
  const found = noDisguise();
  return [unmask(text, found), disguiseMarks(found)] as const;
};

describe('a text without its disguise', () => {
  test.each([
    ['characters without width', 'v\u200bi\u2060a\u00adg\ufeffra now', 'viagra now', ['invisible 3']],
    [
      'letters of mathematics',
      '\u{1d42f}\u{1d422}\u{1d41a}\u{1d420}\u{1d42b}\u{1d41a}',
      'viagra',
      ['styled 3'],
    ],
    ['full width', 'ｖｉａｇｒａ １００', 'viagra 100', ['styled 3']],
    ['letters in circles', 'ⓥⓘⓐ', 'via', ['styled 2']],
    ['strokes', 'v\u0336i\u0336a\u0336', 'via', ['struck 2']],
    ['Cyrillic letters in a Latin word', 'vi\u0430gr\u0430 for y\u043eu', 'viagra for you', ['foreign 2']],
    ['Greek letters in a Latin word', 'm\u03bfn\u03b5y', 'money', ['foreign 1']],
    [
      'words of Cyrillic letters only, in a Latin text',
      '\u0441\u0430\u0455\u0435 your account',
      'case your account',
      ['foreign 1'],
    ],
    ['several at once', '\u{1d42f}\u200b\u0456\u0430gra', 'viagra', ['styled 1', 'foreign 1']],
  ])('%s are undone and counted', (_kind, text, plain, marks) => {
    expect(undone(text)).toEqual([plain, marks]);
  });

  test.each([
    ['English', "It's a plain text, 100 % so."],
    ['French', 'À bientôt, cœur naïf'],
    ['Vietnamese', 'Tiếng Việt rất đẹp'],
    ['Russian', 'Привет, вот отчёт от компании Microsoft о рекламе'],
    ['Russian with a name in Latin letters stuck to it', 'ИТ-отдел, e-mail: сервер'],
    ['Greek', 'Καλημέρα, ο λογαριασμός του Windows'],
    ['Japanese', 'こんにちは、世界'],
    ['Arabic with its marks', 'مُحَمَّد'],
    ['Hindi with its signs', 'क्षत्रिय'],
    ['a lone half of a pair', 'a\ud835b \udc00'],
    ['a word with a letter that looks like no Latin one', 'vi\u0430\u0433ra'],
    ['symbols', '™ 5 µm ① ½ €'],
    ['a Latin-1 text', 'für 5 £ § ß'],
  ])('%s stays as it is', (_language, text) => {
    expect(undone(text)).toEqual([text, []]);
  });

  test('an accent written behind its letter is spelling, and becomes one with it', () => {
    expect(undone('cafe\u0301')).toEqual(['café', []]);
  });

  test('emoji and joined scripts lose nothing that makes words, and are no disguise', () => {
    expect(undone('good \u{1f600}\ufe0f day')[1]).toEqual([]);
    expect(undone('می\u200cخواهم')[1]).toEqual([]);
    // Padding behind the preview line of a newsletter stands between blanks.
    expect(undone('Offer \u200c \u200c \u200c now')[1]).toEqual([]);
  });

  test.each([
    ['a\u200b'],
    ['\u0430a'],
    ['\u0430'],
    ['a\u0301'],
    ['a\u0336\u0336'],
    ['\ud835\udc1a'],
    ['\ud835'],
    ['\ufb03\u0436 '],
    ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'],
  ])('takes no more than linear time: %j', (piece) => {
    const text = `\u0430 ${piece.repeat(200_000 / piece.length)}`;
    const start = performance.now();
    unmask(text, noDisguise());
    // It takes some 10 ms; quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(3_000);
  });
});

const decoder = openMime(mimeOptions.parse({}));
/** How a text is written is what a disguise changes. */
const form = { textForm: 0, headerForm: 0 };
const none = {
  ...form,
  raw: 0,
  header: 0,
  headerPairs: 0,
  structure: 0,
  links: 0,
  attachments: 0,
  disguise: 0,
};

function rowOf(mail: string | Buffer, spaces: object): Rows {
  const featurizer = openEmail(emailOptions.parse({ spaces }));
  const arena = new RowArena(featurizer.dims, 0);
  arena.beginRow();
  featurizer.write(decoder.decode(messageOf(mail))[0], arena);
  arena.endRow();
  return sliceRow(arena.view(), 0);
}
const names = (mail: string | Buffer) =>
  openEmail(emailOptions.parse({}))
    .describe(decoder.decode(messageOf(mail))[0])
    .map(({ name }) => name);

const MAIL = Buffer.from(
  'From: a@b.example\r\nSubject: Cheap pills\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n' +
    'Buy our cheap pills today, the best prices for everyone.\r\n',
);
const attacker = { random: () => 0.1, goodWords: ['compile'], dictionary: ['word'], goodTexts: ['text'] };

describe('the row of a disguised mail', () => {
  test.each([
    'homoglyphs, some',
    'homoglyphs, all',
    'full-width letters',
    'mathematical letters',
    'zero-width spaces',
    'soft hyphens',
    'strokes over letters',
  ] as const)('%s: the words, pairs and characters of the plain one, and a mark', (attack) => {
    const plain = ATTACKS['written anew, plain'].apply(MAIL, attacker);
    const disguised = ATTACKS[attack].apply(MAIL, attacker);
    expect(disguised.equals(plain)).toBe(false);
    expect(rowOf(disguised, none)).toEqual(rowOf(plain, none));
    const marks = names(disguised).filter((name) => name.startsWith('disguise: '));
    expect(marks).toHaveLength(1);
    expect(names(plain).some((name) => name.startsWith('disguise: '))).toBe(false);
  });

  const page = (inside: string) =>
    `From: a@b.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<html><p>Buy pills</p>\r\n${inside}\r\n<p>visible end</p></html>\r\n`;

  test('hidden words are told by number, and are other features than seen ones', () => {
    const seen = names(page('<div> compile kernel </div>'));
    const hidden = names(page('<div style="display:none"> compile kernel </div>'));
    expect(hidden).toContain('disguise: hidden words 2');
    expect(seen).toEqual(expect.arrayContaining(['raw: "compile"', 'body: compile']));
    expect(hidden).toContain('raw: unseen "compile"');
    expect(hidden).not.toContain('raw: "compile"');
    expect(hidden).not.toContain('body: compile');
    expect(hidden).toContain('raw: end</p></html>'.replace(/: (.*)/, ': "$1"'));
  });

  test('what stands in a comment is another feature, up to where the comment ends', () => {
    const found = names(page('<!-- compile kernel --> open <!--x--> last'));
    for (const word of ['compile', 'kernel', '-->']) expect(found).toContain(`raw: unseen "${word}"`);
    for (const word of ['open', 'last']) expect(found).toContain(`raw: "${word}"`);
    const long = names(page(`<!--${'x'.repeat(200)}--> behind`));
    expect(long).toContain('raw: "behind"');
  });

  test('a comment in a header or in plain text hides nothing', () => {
    const header = names(
      `From: a@b.example\r\nSubject: <!-- x\r\nContent-Type: text/html\r\n\r\n<p> shown </p>\r\n`,
    );
    expect(header).toContain('raw: "shown"');
    const text = names('From: a@b.example\r\n\r\nwrite <!-- to begin a comment\r\n');
    expect(text).toContain('raw: "comment"');
  });

  test('a row does not depend on the mail before it', () => {
    const featurizer = openEmail(emailOptions.parse({}));
    const arena = new RowArena(featurizer.dims, 0);
    const mails = [
      page('<b>one</b> two'),
      page('<!-- never closed'),
      page('<i style="display:none">one two</i>'),
    ];
    for (const mail of [...mails, mails[0]]) {
      arena.beginRow();
      featurizer.write(decoder.decode(messageOf(mail))[0], arena);
      arena.endRow();
    }
    expect(sliceRow(arena.view(), 3)).toEqual(sliceRow(arena.view(), 0));
  });
});
