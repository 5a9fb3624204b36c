/**
 * What senders of spam do to a mail so that a filter that knows its like lets it through; each attack takes a raw mail and gives
 * the attacked one. Promises: the reader still sees the text or finds the link that the mail was sent for; a
 * seeded attacker always writes the same. The two kinds of rewriting without disguise say what the writing anew
 * costs by itself.
 *
 * Good words and paragraphs: Lowd and Meek, CEAS 2005; Wittel and Wu, CEAS 2004. Strong attackers know the words that stand
 * in good mail of this very mailbox and seldom in its spam; weak ones have a dictionary.
 */
import { escapeHtml, htmlTail, type Pieces, plainTail, putTogether, takeApart } from './rewriting.ts';

/** What an attacker knows. */
export interface Attacker {
  /** In [0, 1), seeded. */
  readonly random: () => number;
  /** Words of good mail that spam seldom has, the best first. */
  readonly goodWords: readonly string[];
  /** Words of any mail. */
  readonly dictionary: readonly string[];
  /** Texts of good mail. */
  readonly goodTexts: readonly string[];
}

export interface Attack {
  readonly what: string;
  readonly apply: (raw: Buffer, attacker: Attacker) => Buffer;
}

const WORDS = 200;
const PARAGRAPH = 1_500;

const pick = <T>(from: readonly T[], random: () => number): T => from[Math.floor(random() * from.length)];
const words = (from: readonly string[], count: number, random: () => number): string =>
  Array.from({ length: count }, () => pick(from, random)).join(' ');
const good = ({ goodWords, random }: Attacker): string => words(goodWords, WORDS, random);

/** Pseudo-words of syllables, as random paragraphs are made of. */
function babble(count: number, random: () => number): string {
  const syllable = () => pick('bcdfghklmnprstvw'.split(''), random) + pick('aeiou'.split(''), random);
  return Array.from({ length: count }, () =>
    Array.from({ length: 2 + Math.floor(random() * 3) }, syllable).join(''),
  ).join(' ');
}

const plain = (change: (text: string, attacker: Attacker) => string) => (raw: Buffer, attacker: Attacker) => {
  const pieces = takeApart(raw);
  const body = change(`${pieces.text}\n${plainTail(pieces)}\n`, attacker);
  return putTogether(pieces, [{ type: 'text/plain', body }]);
};

const paragraphs = (text: string): string =>
  text
    .split(/\n\s*\n/)
    .map((each) => `<p>${escapeHtml(each)}</p>`)
    .join('\n');

const page = (pieces: Pieces, inside: string): string =>
  `<html><body bgcolor="#ffffff">\n${inside}\n${htmlTail(pieces)}\n</body></html>\n`;

const html =
  (change: (inside: string, attacker: Attacker) => string) => (raw: Buffer, attacker: Attacker) => {
    const pieces = takeApart(raw);
    const body = page(pieces, change(paragraphs(pieces.text), attacker));
    return putTogether(pieces, [{ type: 'text/html', body }]);
  };

/** The words of text and subject disguised. */
const disguised =
  (change: (word: string, random: () => number) => string) => (raw: Buffer, attacker: Attacker) => {
    const pieces = takeApart(raw);
    const all = (text: string) => text.replace(/[a-z]{3,}/gi, (word) => change(word, attacker.random));
    const body = `${all(pieces.text)}\n${plainTail(pieces)}\n`;
    return putTogether(pieces, [{ type: 'text/plain', body }], all(pieces.subject));
  };

/** Disguised by mark-up within words. */
const split = (between: (random: () => number) => string) =>
  html((inside, { random }) =>
    inside.replace(/(<[^>]*>|&[a-z]+;)|([a-z]{4,})/gi, (all, tag: string | undefined, word: string) => {
      if (tag !== undefined) return all;
      const at = 1 + Math.floor(random() * (word.length - 2));
      return word.slice(0, at) + between(random) + word.slice(at);
    }),
  );

const hidden = (tag: (text: string) => string) =>
  html((inside, attacker) => `${inside}\n${tag(good(attacker))}`);

/** Letters that look like Latin ones in most fonts. */
const TWINS: Readonly<Record<string, string>> = {
  ...{ a: 'аα', c: 'с', e: 'е', i: 'іι', j: 'ј', o: 'оο', p: 'рρ', s: 'ѕ', v: 'ν', x: 'х', y: 'у' },
  ...{ A: 'АΑ', B: 'ВΒ', C: 'С', E: 'ЕΕ', H: 'НΗ', I: 'ІΙ', K: 'КΚ', M: 'МΜ', N: 'Ν', O: 'ОΟ', P: 'РΡ' },
  ...{ S: 'Ѕ', T: 'ТΤ', X: 'ХΧ', Y: 'ΥҮ', Z: 'Ζ' },
};
const twins = (share: number) =>
  disguised((word, random) =>
    word.replace(/[a-z]/gi, (letter) =>
      TWINS[letter] !== undefined && random() < share ? pick([...TWINS[letter]], random) : letter,
    ),
  );

const LEET: Readonly<Record<string, string>> = { a: '@', e: '3', i: '1', o: '0', s: '$', t: '7' };
const joined = (sign: string) => disguised((word) => [...word].join(sign));
const shifted = (lower: number, upper: number) =>
  disguised((word) =>
    word.replace(/[a-z]/gi, (letter) =>
      String.fromCodePoint(letter.charCodeAt(0) - (letter < 'a' ? 65 : 97) + (letter < 'a' ? upper : lower)),
    ),
  );

function picture(withGoodWords: boolean): Attack['apply'] {
  return (raw, attacker) => {
    const pieces = takeApart(raw);
    const image = Uint8Array.from({ length: 6_000 }, () => attacker.random() * 256);
    image.set([0x47, 0x49, 0x46, 0x38, 0x39, 0x61]);
    const below = withGoodWords ? `<div style="display:none">${good(attacker)}</div>` : '';
    const link = pieces.mail.links[0]?.target ?? 'http://pictures.example/';
    const body = `<html><body><a href="${escapeHtml(link)}"><img src="cid:p1"></a>${below}</body></html>\n`;
    return putTogether(pieces, [
      { type: 'text/html', body },
      { type: 'image/gif', body: image },
    ]);
  };
}

const encoded =
  (encoding: 'base64' | 'quoted-printable', charset: string): Attack['apply'] =>
  (raw) => {
    const pieces = takeApart(raw);
    const body = `${pieces.text}\n${plainTail(pieces)}\n`;
    return putTogether(pieces, [{ type: 'text/plain', body, encoding, charset }]);
  };

/** By name; a name is a row of the tables. */
export const ATTACKS = {
  'written anew, plain': {
    what: 'the same text as one plain part: no disguise',
    apply: plain((text) => text),
  },
  'written anew, HTML': {
    what: 'the same text as one HTML part: no disguise',
    apply: html((inside) => inside),
  },
  'good words, strong': {
    what: '200 words that good mail of this mailbox has and its spam has not',
    apply: plain((text, attacker) => `${text}\n${good(attacker)}\n`),
  },
  'good words, dictionary': {
    what: '200 words of any mail',
    apply: plain((text, { dictionary, random }) => `${text}\n${words(dictionary, WORDS, random)}\n`),
  },
  'good paragraph': {
    what: 'the first 1,500 characters of a good mail',
    apply: plain(
      (text, { goodTexts, random }) => `${text}\n${pick(goodTexts, random).slice(0, PARAGRAPH)}\n`,
    ),
  },
  'random paragraph': {
    what: '200 made-up words',
    apply: plain((text, { random }) => `${text}\n${babble(WORDS, random)}\n`),
  },
  'hidden: display:none': {
    what: 'good words that are not displayed',
    apply: hidden((text) => `<div style="display:none">${text}</div>`),
  },
  'hidden: white on white': {
    what: 'good words in the colour of their ground',
    apply: hidden((text) => `<font color="#ffffff">${text}</font>`),
  },
  'hidden: font size 0': {
    what: 'good words of no height',
    apply: hidden((text) => `<span style="font-size:0">${text}</span>`),
  },
  'hidden: comments': { what: 'good words in HTML comments', apply: hidden((text) => `<!-- ${text} -->`) },
  picture: { what: 'the text as a picture with the link', apply: picture(false) },
  'picture, good words': { what: 'and good words that are not displayed', apply: picture(true) },
  'homoglyphs, some': {
    what: 'a third of the letters that have a Greek or Cyrillic twin',
    apply: twins(0.33),
  },
  'homoglyphs, all': { what: 'all letters that have a Greek or Cyrillic twin', apply: twins(1) },
  'full-width letters': {
    what: 'words in the full-width letters of Unicode',
    apply: shifted(0xff41, 0xff21),
  },
  'mathematical letters': {
    what: 'words in the bold letters of mathematics',
    apply: shifted(0x1d41a, 0x1d400),
  },
  'zero-width spaces': { what: 'between all letters of words', apply: joined('\u200b') },
  'soft hyphens': { what: 'between all letters of words', apply: joined('\u00ad') },
  'strokes over letters': { what: 'a combining mark behind each letter', apply: joined('\u0336') },
  'blanks between letters': { what: 'v i a g r a', apply: joined(' ') },
  'points between letters': { what: 'v.i.a.g.r.a', apply: joined('.') },
  'digits for letters': {
    what: 'v1@gr@',
    apply: disguised((word) => word.replace(/[aeiost]/g, (letter) => LEET[letter])),
  },
  'words split by tags': { what: 'an empty element within each word', apply: split(() => '<b></b>') },
  'words split by comments': {
    what: 'a comment within each word',
    apply: split((random) => `<!--${babble(1, random)}-->`),
  },
  base64: { what: 'the text in base64', apply: encoded('base64', 'utf-8') },
  'quoted-printable': { what: 'every byte of the text escaped', apply: encoded('quoted-printable', 'utf-8') },
  'wrong charset': {
    what: 'base64 under the name of a charset that nobody has',
    apply: encoded('base64', 'x-none'),
  },
  'subject only': {
    what: 'no text at all',
    apply: (raw: Buffer) => putTogether(takeApart(raw), [{ type: 'text/plain', body: '' }]),
  },
} as const satisfies Readonly<Record<string, Attack>>;

export type AttackName = keyof typeof ATTACKS;
