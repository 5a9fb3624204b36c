/**
 * Lays our reading of a mail beside a referee's, word by word, and names the kind of every difference. Promises: a kind is
 * given only where folding away exactly what it stands for makes both sides equal; everything else is `other`, so that
 * nothing unexplained hides behind a name.
 *
 * Rules: words are what stands between white space; zero-width letters and soft hyphens are no part of them. Plain parts
 * and HTML parts are compared apart, all of a mail in order. HTML is compared by its text with hidden text in its place
 * (see referees.ts). Addresses are compared as the set of their words, whatever punctuation stands between them.
 */
import type { MailBody } from '../../src/contract.ts';
import { addressWords, type Reading, words } from './referees.ts';

export const FIELDS = ['subject', 'from', 'to', 'plain', 'html'] as const;
export type Field = (typeof FIELDS)[number];

/** Each with why it is no fault of ours. */
export const KINDS = {
  charset:
    'the referee shows U+FFFD or C1 controls for bytes that its charset lacks (undeclared or wrong charsets); we fall back to UTF-8, then windows-1252, as WHATWG Encoding and mail readers do',
  hidden:
    'text that its markup hides: the referee leaves it in its place, we keep it apart (MailBody.hidden)',
  flowed:
    'format=flowed: of a joined quoted paragraph the marks stand once (RFC 3676 4.5); the referee repeats or drops them',
  subtype:
    'a text part of another subtype: to be read as text/plain (RFC 2046 4.1.4); the referee attaches it',
  'no type': 'a Content-Type that is none: text/plain (RFC 2045 5.2); the referee attaches or drops it',
  messages:
    'messages in messages and digests (RFC 2046 5.1.5, 5.2.1), bounces among them: we read them, the referee attaches them',
  comments: 'a comment beside the name of an address (RFC 5322 3.2.2): the referee leaves it out',
  addresses:
    'address lists against the grammar of RFC 5322 3.4 (encoded words in addresses: RFC 2047 5): the referee drops or rewrites words, we keep what stands there',
  'no parts': 'a multipart in which no part begins: we read its text, the referee has none',
  comment: 'an HTML comment that is never closed: the referee drops all that follows, we end it with its tag',
  base64:
    'a footer behind base64: padding ends the data (RFC 2045 6.8), and so does a line of dashes; the referee decodes on',
  blanks: 'the same letters with a blank more or less between two elements of HTML',
  other: 'not explained',
} as const;
export type Kind = keyof typeof KINDS;

/**
 * Kinds in which both read the same words as far as the referee reads: it marks the bytes that it cannot read itself, leaves
 * comments out on purpose, and hidden text and quote marks are there on both sides.
 */
export const SAME_WORDS: ReadonlySet<Kind> = new Set(['charset', 'hidden', 'flowed', 'comments']);

/** What became of many mails. */
export interface Tally {
  mails: number;
  /** Word by word the same. */
  equal: number;
  /** The same but for differences of SAME_WORDS. */
  agreeing: number;
  /** Mails by kind of difference. */
  readonly kinds: Map<Kind, number>;
}

export function emptyTally(): Tally {
  return { mails: 0, equal: 0, agreeing: 0, kinds: new Map() };
}

/** Adds one mail's differences. */
export function count(tally: Tally, found: readonly Difference[]): void {
  tally.mails += 1;
  if (found.length === 0) tally.equal += 1;
  if (found.every(({ kind }) => SAME_WORDS.has(kind))) tally.agreeing += 1;
  for (const kind of new Set(found.map((one) => one.kind)))
    tally.kinds.set(kind, (tally.kinds.get(kind) ?? 0) + 1);
}

/** Our side: the words of a decoded mail, and those that are hidden. */
export function readOurs(mail: MailBody): Reading & { readonly hidden: readonly string[] } {
  const all = (name: string) => mail.headers.filter((field) => field[0] === name).map((field) => field[1]);
  const texts = (type: string) => mail.texts.filter((text) => text.type === type).map(({ text }) => text);
  return {
    subject: words(all('subject')[0] ?? ''),
    from: addressWords(all('from')[0] ?? ''),
    to: addressWords(all('to').join(' , ')),
    plain: words(texts('plain').join('\n')),
    html: words(texts('html').join('\n')),
    hidden: words(mail.hidden.join('\n')),
  };
}

export interface Difference {
  readonly field: Field;
  readonly kind: Kind;
  readonly ours: string;
  readonly theirs: string;
}

/** What differs, field by field; nothing where both read the same words. */
export function differences(raw: Uint8Array, mail: MailBody, theirs: Reading): Difference[] {
  const ours = readOurs(mail);
  const source = Buffer.from(raw).toString('latin1');
  return FIELDS.filter((field) => ours[field].join(' ') !== theirs[field].join(' ')).map((field) => ({
    field,
    kind: kindOf(field, ours[field], theirs[field], ours.hidden, source),
    ...firstWords(ours[field], theirs[field]),
  }));
}

function firstWords(ours: readonly string[], theirs: readonly string[]): { ours: string; theirs: string } {
  let i = 0;
  while (i < ours.length && ours[i] === theirs[i]) i += 1;
  const around = (all: readonly string[]) => all.slice(Math.max(0, i - 2), i + 6).join(' ');
  return { ours: around(ours), theirs: around(theirs) };
}

const UNREADABLE = /[\u0080-\u009f\ufffd]/;

function kindOf(
  field: Field,
  ours: readonly string[],
  theirs: readonly string[],
  hidden: readonly string[],
  source: string,
): Kind {
  const isUnreadable = UNREADABLE.test(theirs.join(''));
  const isAddress = field === 'from' || field === 'to';
  const isFlowed = field === 'plain' && /format="?flowed/i.test(source);
  const fold = (all: readonly string[]): string[] => {
    const readable = isUnreadable ? all.map((word) => word.replace(/[^!-~]/g, '')) : all;
    const unquoted = isFlowed ? readable.map((word) => word.replaceAll('>', '')) : readable;
    const left = unquoted.filter((word) => word !== '');
    return isAddress ? left.sort() : left;
  };
  const [a, b] = [fold(ours), fold(theirs)];
  if (a.join('') === b.join(''))
    return isFlowed ? 'flowed' : isUnreadable ? 'charset' : field === 'html' ? 'blanks' : 'other';
  if (isAddress && isPart(b, a) && a.every((word) => b.includes(word) || isInComment(word, source)))
    return 'comments';
  if (isAddress) return isBadList(source, field, ours) ? 'addresses' : 'other';
  if (field === 'html' && hidden.length > 0 && isApart(a.join(''), fold(hidden).join(''), b.join('')))
    return 'hidden';
  if (isPart(b, a)) return missing(field, source);
  return b.join('').startsWith(a.join('')) && /base64/i.test(source) ? 'base64' : 'other';
}

/** Why a referee may have fewer words than we. */
function missing(field: Field, source: string): Kind {
  if (field === 'html') return source.includes('<!--') ? 'comment' : 'other';
  if (/^content-type:\s*text\/(?!plain|html)/im.test(source)) return 'subtype';
  if (/message\/rfc822|multipart\/digest/i.test(source)) return 'messages';
  if (/^content-type:\s*[a-z]+\/[a-z]+\s+[a-z]/im.test(source)) return 'no type';
  const boundary = /^content-type:\s*multipart\/[^;]*;\s*boundary="?([^"\s;]+)/im.exec(source)?.[1];
  return boundary !== undefined && !source.includes(`\n--${boundary}`) ? 'no parts' : 'other';
}

/** Whether a word stands between brackets in some header of addresses. */
function isInComment(word: string, source: string): boolean {
  const lists = source.slice(0, HEAD).match(/^(?:from|to):(?:.*\n[ \t])*.*/gim) ?? [];
  return lists.some((list) => list.match(/\([^()]*\)/g)?.some((comment) => comment.includes(word)) ?? false);
}

/** Headers stand within. */
const HEAD = 65_536;

/** Whether `whole` is `shown` with the letters of `hidden` strewn in. */
function isApart(shown: string, hidden: string, whole: string): boolean {
  if (shown.length + hidden.length !== whole.length) return false;
  let at = 0;
  const rest: string[] = [];
  for (const letter of whole.split('')) {
    if (letter === shown[at]) at += 1;
    else rest.push(letter);
  }
  return at === shown.length && rest.sort().join('') === hidden.split('').sort().join('');
}

/** Whether some words are others with words left out. */
function isPart(some: readonly string[], others: readonly string[]): boolean {
  let at = 0;
  for (const word of others) if (at < some.length && word === some[at]) at += 1;
  return at === some.length;
}

/** What one mailbox of RFC 5322 3.4 looks like, broadly: words or a quoted string, then at most one address. */
const MAILBOX =
  /^\s*(?:(?:"(?:[^"\\]|\\.)*"|[^\s<>"@,;:()[\]\\]+|\([^()]*\))\s*)*(?:<[^\s<>@,()]+@[^\s<>@,()]+>|[^\s<>@,()[\]"]+@[^\s<>@,()[\]"]+)?\s*(?:\([^()]*\)\s*)*$/;

/** Whether the header does hold what the grammar forbids, and our words are those that stand there. */
function isBadList(source: string, field: 'from' | 'to', ours: readonly string[]): boolean {
  const found = new RegExp(`^${field}:((?:.*\\n[ \\t])*.*)`, 'im').exec(source)?.[1] ?? '';
  const value = found.replace(/\r?\n/g, '');
  const isBad =
    value.includes('(') || value.split(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/).some((one) => !MAILBOX.test(one));
  const stands = value.replace(/\s/g, '');
  return (
    (isBad || /=\?/.test(value)) &&
    ours.every((word) => stands.includes(word) || /=\?/.test(value) || /[^ -~]/.test(word))
  );
}
