/**
 * How a mail is made rather than what it says, as short texts to be hashed: what its headers say of each other (`headerForm`:
 * same or other domains, how names, addresses, dates and subjects are formed), and how its text is written (`textForm`:
 * shares of capitals, digits, marks, quotes, lines, links). Such marks know no language and age slowly, so they serve
 * where every word is new: the first mails of a stream, and spam in a language never seen. Promises: a function of the
 * mail alone, of no clock and no time zone of the machine; bounded in number, length and time; never throws.
 */
import type { MailBody } from '../contract.ts';
import { scale } from './sizes.ts';

/** UTF-16 units of the texts that are looked at, and of a header's value. */
const TEXT = 4_096;
const VALUE = 400;
const MAX_LINKS = 100;

/** A share on a scale of powers of two. */
function share(part: number, whole: number): string {
  if (part === 0 || whole === 0) return 'none';
  return String(Math.max(-8, Math.round(Math.log2(part / whole))));
}

const LOWER = 1;
const UPPER = 2;
const DIGIT = 3;
const FOREIGN = 4;
/** What `outline` writes for a run of each. */
const OUTLINE = ['', 'a', 'A', '9', 'u'];

const CLASS = Uint8Array.from({ length: 0x80 }, (_, unit) => {
  if (unit >= 0x61 && unit <= 0x7a) return LOWER;
  if (unit >= 0x41 && unit <= 0x5a) return UPPER;
  return unit >= 0x30 && unit <= 0x39 ? DIGIT : 0;
});

function classOf(unit: number): number {
  return unit < 0x80 ? CLASS[unit] : FOREIGN;
}

/** Runs of letters and of digits as one sign each, the rest as it is: `Bob42@x` gives `Aa9@a`; `most` signs of 40 units. */
function outline(text: string, most: number): string {
  const end = Math.min(text.length, 40);
  let out = '';
  let before = 0;
  for (let i = 0; i < end && out.length < most; i += 1) {
    const kind = classOf(text.charCodeAt(i));
    if (kind === 0) out += text[i];
    else if (kind !== before) out += OUTLINE[kind];
    before = kind;
  }
  return out;
}

/** The part of the first address's domain that its owner registered, or ''. */
function owner(value: string): string {
  return ownerOf(/@([a-z0-9.-]{1,200})/i.exec(value)?.[1] ?? '');
}

/** The last two labels of a host, three under a country's second level such as `co.uk`. */
function ownerOf(host: string): string {
  const end = host.endsWith('.') ? host.length - 1 : host.length;
  const last = host.lastIndexOf('.', end - 1);
  let from = last > 0 ? host.lastIndexOf('.', last - 1) : -1;
  if (from > 0 && end - last === 3 && last - from <= 4) from = host.lastIndexOf('.', from - 1);
  return host.slice(from + 1, end).toLowerCase();
}

function relation(a: string, b: string): string {
  return a === '' || b === '' ? 'absent' : a === b ? 'same' : 'other';
}

const MONTHS = 'janfebmaraprmayjunjulaugsepoctnovdec';
const DATE = /(\d{1,2}) +([a-z]{3})[a-z]* +(\d{2,4}) +(\d{1,2}):(\d{2})(?::\d{2})?(?: *([+-]\d{2})(\d{2}))?/i;

/** Hours since 1970 of an RFC 5322 date, or NaN. */
function hoursOf(value: string): number {
  const found = DATE.exec(value.slice(0, 100));
  if (found === null) return Number.NaN;
  const month = MONTHS.indexOf(found[2].toLowerCase()) / 3;
  if (!Number.isInteger(month) || month < 0) return Number.NaN;
  const year = Number(found[3]);
  const full = year >= 100 ? year : year < 70 ? 2_000 + year : 1_900 + year;
  const zone = found[6] === undefined ? 0 : Number(found[6]) + Number(found[7]) / 60;
  return Date.UTC(full, month, Number(found[1]), Number(found[4]), Number(found[5])) / 3.6e6 - zone;
}

/** How far the sender's clock is from the first server of the reader that wrote a date. */
function clockMark(date: string, received: string): string {
  const arrived = hoursOf(received.slice(received.lastIndexOf(';') + 1).trimStart());
  const sent = hoursOf(date);
  if (Number.isNaN(arrived)) return 'clock unknown';
  if (Number.isNaN(sent)) return 'clock without date';
  const ahead = sent - arrived;
  return ahead > 1
    ? `clock ahead ${scale(Math.round(ahead))}`
    : `clock behind ${scale(Math.max(0, Math.round(-ahead)))}`;
}

/** The headers that are looked at. */
const NONE = {
  ...{ from: '', to: '', cc: '', subject: '', date: '', received: '', references: '' },
  ...{ 'return-path': '', 'reply-to': '', 'message-id': '', 'in-reply-to': '' },
};
type Wanted = typeof NONE;
const WANTED: ReadonlySet<string> = new Set(Object.keys(NONE));

/** Takes a mark. */
export type MarkTaker = (mark: string) => void;

/** What the headers say of each other, of those that are `usable` (null: not to be looked at); nothing where there are none. */
export function headerForm(
  mail: MailBody,
  usable: (name: string, value: string) => string | null,
  take: MarkTaker,
): void {
  const first = { ...NONE };
  let hops = 0;
  let fields = 0;
  for (const [name, value] of mail.headers) {
    if (name === 'received') hops += 1;
    if (!WANTED.has(name) || first[name as keyof Wanted] !== '') continue;
    fields += 1;
    first[name as keyof Wanted] = (usable(name, value) ?? '').slice(0, VALUE);
  }
  if (fields === 0) return;
  take(`hops ${hops}`);
  addressForm(first, take);
  subjectForm(first, take);
  take(`zone ${/[+-]\d{4}/.exec(first.date)?.[0] ?? 'none'}`);
  take(
    `date ${first.date
      .slice(0, 40)
      .replace(/[A-Z][a-z]+/g, 'Mon')
      .replace(/\d/g, '9')}`,
  );
  take(clockMark(first.date, first.received));
  take(`message-id ${outline(first['message-id'], 16)}`);
}

function addressForm(first: Wanted, take: MarkTaker): void {
  const { from, to } = first;
  const sender = owner(from);
  const bounces = owner(first['return-path']);
  const made = owner(first['message-id']);
  take(`from and return-path ${relation(sender, bounces)}`);
  take(`from and reply-to ${relation(sender, owner(first['reply-to']))}`);
  take(`from and message-id ${relation(sender, made)}`);
  take(`from and to ${relation(sender, owner(to))}`);
  take(`return-path and message-id ${relation(bounces, made)}`);
  take(`from address ${outline(/([^\s<@"]{1,80})@/.exec(from)?.[1] ?? '', 20)}`);
  const name = from.replace(/[<(].*/, '').trim();
  take(`from name ${outline(name, 12)}`);
  take(
    `from ${from === '' ? 'missing' : from.startsWith('"') ? 'quoted' : from.indexOf('<') > 0 ? 'named' : from.startsWith('<') ? 'in brackets' : 'bare'}`,
  );
  take(`readers ${scale(`${to}${first.cc}`.split('@').length - 1)}`);
  take(
    `to ${to === '' ? 'missing' : to.slice(0, Math.max(0, to.indexOf('<'))).trim() !== '' ? 'named' : 'bare'}`,
  );
}

function subjectForm(first: Wanted, take: MarkTaker): void {
  const { subject, to } = first;
  let [letters, capitals, marks] = [0, 0, 0];
  for (let i = 0; i < subject.length; i += 1) {
    const unit = subject.charCodeAt(i);
    const kind = classOf(unit);
    if (kind === UPPER) capitals += 1;
    if (kind === UPPER || kind === LOWER) letters += 1;
    else if (unit === 0x21 || unit === 0x3f || unit === 0x24 || unit === 0x25) marks += 1;
  }
  take(`subject length ${scale(subject.length)}`);
  take(`subject capitals ${letters < 4 ? 'few' : Math.round((4 * capitals) / letters)}`);
  take(`subject marks ${Math.min(3, marks)}`);
  take(`subject ends ${outline(subject.slice(-8), 8)}`);
  if (/\s{3}/.test(subject)) take('subject with gaps');
  if (/^\s*\[/.test(subject)) take('subject tagged');
  const threaded = first['in-reply-to'] !== '' || first.references !== '';
  take(`subject ${/^re:/i.test(subject) ? 'replies' : 'opens'}, ${threaded ? 'threaded' : 'not threaded'}`);
  const reader = /([^\s<@"]{3,80})@/.exec(to)?.[1].toLowerCase();
  if (reader !== undefined) take(`subject names reader ${subject.toLowerCase().includes(reader)}`);
}

const FEED = 0x0a;
/** Kinds of units beyond those of `classOf`, and how many there are. */
const MARK = 5;
const MONEY = 6;
const KINDS = 8;
const KIND = Uint8Array.from({ length: 0x80 }, (_, unit) => {
  if (unit === 0x21 || unit === 0x3f) return MARK;
  return unit === 0x24 || unit === 0x25 ? MONEY : CLASS[unit];
});

/** What one pass over the text counts. */
class Counts {
  /** By kind. */
  readonly kinds = new Uint32Array(KINDS);
  units = 0;
  lines = 0;
  blank = 0;
  quoted = 0;
  words = 0;
  shouted = 0;

  add(text: string, end: number): void {
    const { kinds } = this;
    let [words, shouted] = [0, 0];
    let from = 0;
    for (let i = 0; i < end; ) {
      let unit = text.charCodeAt(i);
      let kind = unit < 0x80 ? KIND[unit] : FOREIGN;
      if (kind >= LOWER && kind <= FOREIGN) {
        const start = i;
        let capitals = 0;
        do {
          kinds[kind] += 1;
          if (kind === UPPER) capitals += 1;
          i += 1;
          unit = i < end ? text.charCodeAt(i) : FEED;
          kind = unit < 0x80 ? KIND[unit] : FOREIGN;
        } while (kind >= LOWER && kind <= FOREIGN);
        words += 1;
        if (capitals >= 4 && capitals === i - start) shouted += 1;
      }
      if (i === end) break;
      kinds[kind] += 1;
      if (unit === FEED) {
        this.#line(text, from, i);
        from = i + 1;
      }
      i += 1;
    }
    this.#line(text, from, end);
    this.words += words;
    this.shouted += shouted;
    this.units += end;
  }

  #line(text: string, from: number, to: number): void {
    let at = from;
    while (at < to && text.charCodeAt(at) <= 0x20) at += 1;
    const first = at < to ? text.charCodeAt(at) : 0;
    this.lines += 1;
    if (first === 0) this.blank += 1;
    else if (first === 0x3e || first === 0x7c) this.quoted += 1;
  }
}

/** How the texts are written. */
export function textForm(mail: MailBody, take: MarkTaker): void {
  const counts = new Counts();
  let [html, length] = [0, 0];
  for (const { type, text } of mail.texts) {
    if (type === 'html') html += 1;
    if (counts.units < TEXT) counts.add(text, Math.min(text.length, TEXT - counts.units));
    length += text.length;
  }
  const { kinds, units } = counts;
  take(`capitals ${share(kinds[UPPER], kinds[LOWER] + kinds[UPPER])}`);
  take(`digits ${share(kinds[DIGIT], units)}`);
  take(`foreign ${share(kinds[FOREIGN], units)}`);
  take(`marks ${share(kinds[MARK], units)}`);
  take(`money ${share(kinds[MONEY], units)}`);
  take(`lines ${share(counts.lines, units)}`);
  take(`blank ${share(counts.blank, counts.lines)}`);
  take(`quoted ${share(counts.quoted, counts.lines)}`);
  take(`shouted ${share(counts.shouted, counts.words)}`);
  take(`linked ${share(mail.links.length, length)}`);
  take(`readable ${share(length, mail.raw.length)}`);
  take(`html ${Math.min(html, 9)} of ${Math.min(mail.texts.length, 9)}`);
  let hidden = 0;
  for (const text of mail.hidden) hidden += text.length;
  take(`hidden ${scale(hidden)}`);
  const begin = mail.texts.find(({ text }) => text.length > 0)?.text ?? '';
  const end = mail.texts.findLast(({ text }) => text.length > 0)?.text ?? '';
  take(`begins ${outline(begin.slice(0, 100).trimStart().slice(0, 12), 12)}`);
  take(`ends ${outline(end.slice(-100).trimEnd().slice(-12), 12)}`);
  linkForm(mail, take);
}

function linkForm(mail: MailBody, take: MarkTaker): void {
  const sender = owner(mail.headers.find(([name]) => name === 'from')?.[1].slice(0, VALUE) ?? '');
  const owners = new Set<string>();
  let [web, own] = [0, 0];
  for (const { target } of mail.links.slice(0, MAX_LINKS)) {
    const host = /^https?:\/\/([^/?#:]{1,200})/i.exec(target)?.[1];
    if (host === undefined) continue;
    const by = ownerOf(host);
    web += 1;
    if (by === sender) own += 1;
    owners.add(by);
  }
  take(`link owners ${scale(owners.size)}`);
  take(`links of sender ${web === 0 ? 'none' : own === 0 ? 'no' : own === web ? 'all' : 'some'}`);
}
