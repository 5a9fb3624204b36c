/**
 * A tiny grammar for made-up text: `[a|b|c]` is one of the choices, `{word}` an entry of a word list,
 * either may hold the other. A language is word lists, polite forms, and topics for wanted (ham) and
 * unwanted (spam) mail. All of it was written for this simulator; none comes from a corpus.
 */
import type { Charset } from './charsets.ts';
import type { Random } from './random.ts';

export type MailLabel = 'ham' | 'spam';

export interface Topic {
  readonly name: string;
  readonly label: MailLabel;
  /** Share among the language's topics of this label. */
  readonly weight: number;
  readonly subjects: readonly string[];
  readonly sentences: readonly string[];
  /** Words on a button or link. */
  readonly links: readonly string[];
}

export interface Language {
  readonly code: string;
  /** Share among all mail. */
  readonly weight: number;
  /** Charsets in which such mail is written, with weights. */
  readonly charsets: readonly (readonly [Charset, number])[];
  readonly greetings: readonly string[];
  readonly closings: readonly string[];
  /** Sentences that stand in wanted and unwanted mail alike. */
  readonly shared: readonly string[];
  readonly words: Readonly<Record<string, readonly string[]>>;
  readonly topics: readonly Topic[];
}

const INNERMOST = /\[([^[\]]*)\]|\{(\w+)\}/g;

/** Numbers and made-up names that any language may use. */
function builtIn(word: string, random: Random): string | null {
  switch (word) {
    case 'n':
      return String(random.between(2, 48));
    case 'nn':
      return String(random.between(100, 9_999));
    case 'code':
      return `${random.pick('ABCDEFGHKLMNPRSTVXZ'.split(''))}${random.between(10_000, 999_999)}`;
    case 'money':
      return `${random.between(1, 980)}.${String(random.below(100)).padStart(2, '0')}`;
    case 'millions':
      return `${random.between(1, 48)},${random.between(100, 999)},000`;
    case 'clock':
      return `${random.between(7, 19)}:${random.pick(['00', '15', '30', '45'])}`;
    case 'percent':
      return String(random.between(1, 19) * 5);
    case 'name':
      return madeUpName(random);
    default:
      return null;
  }
}

const ONSETS = [
  'b',
  'd',
  'f',
  'g',
  'k',
  'l',
  'm',
  'n',
  'p',
  'r',
  's',
  't',
  'v',
  'br',
  'kr',
  'st',
  'tr',
  'sh',
];
const VOWELS = ['a', 'e', 'i', 'o', 'u', 'ai', 'ea', 'io'];
const CODAS = ['', '', 'n', 'r', 'l', 's', 'm', 'x', 'k'];

/** A pronounceable word that names nobody. */
export function madeUpWord(random: Random, syllables: number): string {
  let word = '';
  for (let i = 0; i < syllables; i++) word += random.pick(ONSETS) + random.pick(VOWELS) + random.pick(CODAS);
  return word;
}

export function madeUpName(random: Random): string {
  const word = madeUpWord(random, random.between(1, 2));
  return word[0].toUpperCase() + word.slice(1);
}

/** Resolves a template; unknown words stand as they are. */
export function expand(template: string, language: Language, random: Random): string {
  let text = template;
  for (let depth = 0; depth < 6; depth++) {
    const next = text.replace(INNERMOST, (whole, choices: string | undefined, word: string | undefined) => {
      if (choices !== undefined) return random.pick(choices.split('|'));
      const list = language.words[word as string];
      return list ? random.pick(list) : (builtIn(word as string, random) ?? whole);
    });
    if (next === text) break;
    text = next;
  }
  return text;
}
