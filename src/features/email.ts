/**
 * E-mail to a sparse row. Promises: a function of the mail's bytes and the options alone (never of paths, arrival or other
 * filters' headers); bounded in time and cells whatever the mail; each namespace has unit length times its weight, so that
 * none drowns another; a bucket's top bits name its view. `version` changes with anything that changes a row.
 *
 * Four views of one mail, each a region of the buckets, so that a model can have a learner for each: the raw bytes (tokens
 * between blanks; they need no decoder to be right) and how the text is written, the headers by name and what they say of
 * each other, what the reader sees as words, links and attachments, and the same as characters. What each namespace is worth,
 * what was left out, and where the time goes: docs/mail-features.md.
 */
import type { Event, Featurizer, MailBody, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { Cells } from './cells.ts';
import { type Disguise, disguiseMarks, noDisguise, Unseen, unmask } from './disguise.ts';
import {
  type EmailOptions,
  type ResolvedOptions,
  resolve,
  type SpaceName,
  versionOf,
} from './email-options.ts';
import { headerForm as readHeaderForm, textForm as readTextForm } from './form.ts';
import { readGrams, readTokens } from './grams.ts';
import { mix, pair, word } from './hash.ts';
import { headerOf, type KnownHeader, mayUse } from './header-names.ts';
import { readLink } from './links.ts';
import { Pieces, Units } from './pieces.ts';
import { FIELDS, LENGTH, NUMBER, partsMark, scale } from './sizes.ts';
import { openSpaces, SPACE_NAMES, SPACES, type Space } from './spaces.ts';
import { readWords, seedWords } from './tokens.ts';
import { RawView, usableValue } from './view.ts';

const HEADER_BYTES = 16_384;
const HEADER_TEXT = 1_000;
const HEADER_FIELDS = 200;
const MAX_LINKS = 200;
const MAX_ATTACHMENTS = 100;

/** Opens the featurizer of mails; it takes no declared fields. */
export function openEmail(options: EmailOptions): Featurizer {
  return new EmailFeaturizer(resolve(options));
}

class EmailFeaturizer implements Featurizer {
  readonly version: string;
  readonly dims: number;
  readonly views: number;
  readonly denseDims = 0;
  readonly columns = [];
  readonly #options: ResolvedOptions;
  readonly #spaces: Readonly<Record<SpaceName, Space>>;
  readonly #weights: readonly number[];
  readonly #cells: Cells;
  readonly #view: RawView;
  readonly #text = new Units();
  /** More bytes of a mail than these make no more cells. */
  readonly #most: number;
  /** Values of headers, one behind the other, where each ends, and whose they are. */
  readonly #joined = new Units();
  readonly #ends = new Int32Array(HEADER_FIELDS);
  readonly #known = new Array<KnownHeader>(HEADER_FIELDS).fill(EDGE);
  readonly #pieces = new Pieces();
  readonly #pairs = new Pieces();
  /** Features that are no pieces of a text, of one namespace at a time. */
  readonly #marks = new Pieces();
  readonly #unseen = new Unseen();
  /** What had to be undone for the texts of the mail at hand to be what a reader sees. */
  #disguise: Disguise = noDisguise();
  /** Names of buckets, by namespace; null but for `describe`. */
  #names: Map<number, string>[] | null = null;

  readonly #usable = (name: string, value: string): string | null =>
    mayUse(headerOf(name), this.#options.listHeaders) ? usableValue(name, value) : null;

  constructor(options: ResolvedOptions) {
    const { bits, views, key, listHeaders, headBytes, tailBytes } = options;
    this.#options = options;
    // Where neither raw bytes nor characters are read, a cell is a word or a pair of words.
    const readsLetters = options.spaces.raw > 0 || options.spaces.chars > 0;
    this.#most = readsLetters ? Number.MAX_SAFE_INTEGER : options.textLength / 2;
    this.dims = 2 ** bits;
    this.views = views;
    this.version = versionOf(options);
    this.#view = new RawView({ listHeaders, headerBytes: HEADER_BYTES, head: headBytes, tail: tailBytes });
    this.#weights = SPACE_NAMES.map((name) => options.spaces[name]);
    this.#spaces = openSpaces(key, options.spaces);
    this.#cells = new Cells(
      this.dims,
      views,
      SPACE_NAMES.map((name) => SPACES[name]),
    );
  }

  write(event: Event, row: RowWriter): void {
    try {
      this.#fill(mailOf(event));
      this.#cells.flush(row, this.#weights);
    } finally {
      this.#cells.clear();
      this.#marks.count = 0;
    }
  }

  describe(event: Event): ReturnType<Featurizer['describe']> {
    const names = SPACE_NAMES.map(() => new Map<number, string>());
    try {
      this.#names = names;
      this.#fill(mailOf(event));
      return SPACE_NAMES.flatMap((name, at) =>
        this.#cells.cells(at, this.#weights[at]).map(([index, value]) => ({
          name: `${name}: ${names[at].get(index) ?? '(unnamed)'}`,
          index,
          value,
          part: 'sparse' as const,
        })),
      );
    } finally {
      this.#names = null;
      this.#cells.clear();
    }
  }

  /** Fills the namespaces that have a weight. */
  #fill(mail: MailBody): void {
    this.#cells.expect(Math.min(mail.raw.length, this.#most));
    const { raw, textForm, headerForm, links, attachments, disguise } = this.#spaces;
    this.#disguise = noDisguise();
    if (raw.weight > 0) this.#raw(mail);
    if (textForm.weight > 0) this.#form(textForm, (mark) => readTextForm(mail, mark));
    this.#headers(mail);
    if (headerForm.weight > 0) this.#form(headerForm, (mark) => readHeaderForm(mail, this.#usable, mark));
    this.#texts(mail);
    if (links.weight > 0) this.#links(mail);
    if (attachments.weight > 0) this.#attachments(mail);
    if (disguise.weight > 0) this.#disguises(mail);
  }

  /** What a reader does not see is another feature than what he sees: good words gain nothing by being hidden. */
  #raw(mail: MailBody): void {
    const { raw, disguise } = this.#spaces;
    const view = this.#view;
    const pieces = this.#pieces;
    view.load(mail.raw);
    const isHtml = mail.texts.some(({ type }) => type === 'html');
    const isWatched = isHtml || mail.hidden.length > 0;
    if (isWatched) this.#unseen.load(mail.hidden, isHtml ? view.headerEnd : view.end, view.end);
    readTokens(view.bytes, 0, view.end, pieces, isWatched || this.#names !== null);
    const { hashes, places, count } = pieces;
    for (let i = 0; i < count; i += 1) {
      const isUnseen = isWatched && places !== null && this.#unseen.has(hashes[i], view.bytes, places[i * 2]);
      hashes[i] = mix(hashes[i] ^ (isUnseen ? disguise.seed : raw.seed));
      if (this.#names !== null && places !== null) {
        const token = quoted(view.bytes, places[i * 2], places[i * 2 + 1]);
        this.#note(raw, hashes[i], isUnseen ? `unseen ${token}` : token);
      }
    }
    this.#cells.add(raw.at, pieces);
  }

  /** Words of headers, their names and order, and the characters of the subject. */
  #headers(mail: MailBody): void {
    const { structure, header: words, headerPairs } = this.#spaces;
    const known = this.#known;
    let joined = '';
    let fields = 0;
    let before = EDGE;
    for (const field of mail.headers) {
      const header = headerOf(field[0]);
      if (!mayUse(header, this.#options.listHeaders)) continue;
      if (fields === HEADER_FIELDS) break;
      if (structure.weight > 0) this.#order(before, header);
      before = header;
      known[fields] = header;
      joined += headerText(header.name, field[1]);
      this.#ends[fields] = joined.length;
      fields += 1;
    }
    if (words.weight > 0 || headerPairs.weight > 0) this.#headerWords(joined, fields);
    // A mail without headers has none of these: no more than what it says is known of it.
    if (fields > 0 && structure.weight > 0) this.#size(structure, FIELDS, fields);
    this.#takeMarks(structure);
    this.#subjects(mail);
  }

  /** Words and pairs of headers, whose values are copied together: each alone would cost a call into native code. */
  #headerWords(joined: string, fields: number): void {
    const { header: words, headerPairs } = this.#spaces;
    const pieces = this.#pieces;
    const placed = this.#names !== null;
    this.#joined.load(joined);
    let to = 0;
    for (let i = 0; i < fields; i += 1) {
      const from = to;
      to = this.#ends[i];
      const header = this.#known[i];
      let text = this.#joined;
      if (readWords(text, from, to, pieces, placed) > 0x7f) {
        text = this.#text;
        text.load(unmask(joined.slice(from, to), this.#disguise));
        readWords(text, 0, HEADER_TEXT, pieces, placed);
      }
      this.#words(text, words, header.isUnique ? null : headerPairs, header);
    }
  }

  /** The words at hand, which stand in `text`; those of a header where one is given. */
  #words(text: Units, words: Space, pairs: Space | null, header: KnownHeader | null): void {
    const pieces = this.#pieces;
    const both = pairs !== null && pairs.weight > 0 ? this.#pairs : null;
    seedWords(pieces, header === null ? words.seed : words.seed ^ header.hash, both);
    if (words.weight > 0) this.#cells.add(words.at, pieces);
    if (pairs !== null && both !== null) this.#cells.add(pairs.at, both);
    if (this.#names !== null) this.#noteWords(text, words, pairs, header);
  }

  #noteWords(text: Units, words: Space, pairs: Space | null, header: KnownHeader | null): void {
    const { hashes, places, count } = this.#pieces;
    if (places === null) return;
    const prefix = header === null ? '' : `${header.name}: `;
    const wordAt = (i: number) => text.slice(places[i * 2], places[i * 2 + 1]).toLowerCase();
    for (let i = 0; i < count; i += 1) {
      this.#note(words, hashes[i], `${prefix}${wordAt(i)}`);
      if (pairs !== null && pairs.weight > 0 && i > 0)
        this.#note(pairs, this.#pairs.hashes[i - 1], `${prefix}${wordAt(i - 1)} ${wordAt(i)}`);
    }
  }

  /** Words and characters of the texts. */
  #texts({ texts }: MailBody): void {
    const { body, bodyPairs, chars } = this.#spaces;
    let words = body.weight > 0 || bodyPairs.weight > 0 ? this.#options.textLength : 0;
    let characters = chars.weight > 0 ? this.#options.charsLength : 0;
    let left = Math.max(this.#options.textLength, this.#options.charsLength);
    for (const { text } of texts) {
      if (left <= 0) return;
      const shown = unmask(text.length > left ? text.slice(0, left) : text, this.#disguise);
      left -= text.length;
      if (words <= 0 && characters <= 0) continue;
      this.#text.load(shown, Math.max(words, characters));
      if (words > 0) {
        readWords(this.#text, 0, words, this.#pieces, this.#names !== null);
        this.#words(this.#text, body, bodyPairs, null);
      }
      if (characters > 0) this.#grams(chars, characters);
      words -= shown.length;
      characters -= shown.length;
    }
  }

  #subjects(mail: MailBody): void {
    const { subject } = this.#spaces;
    if (subject.weight === 0) return;
    for (const field of mail.headers) {
      if (field[0] !== 'subject') continue;
      this.#text.load(unmask(headerText(field[0], field[1]), noDisguise()));
      this.#grams(subject, HEADER_TEXT);
    }
  }

  /** Characters of the text at hand. */
  #grams(space: Space, limit: number): void {
    const pieces = this.#pieces;
    readGrams(this.#text, limit, space.seed, pieces, this.#names !== null);
    this.#cells.add(space.at, pieces);
    const { places } = pieces;
    if (this.#names === null || places === null) return;
    for (let i = 0; i < pieces.count; i += 1) {
      const gram = this.#text.slice(places[i * 2], places[i * 2 + 1]);
      this.#note(space, pieces.hashes[i], JSON.stringify(gram));
    }
  }

  /** That a header is there, and after which. */
  #order(before: KnownHeader, header: KnownHeader): void {
    const { structure } = this.#spaces;
    const has = mix(header.hash ^ structure.seed);
    const then = pair(before.hash, has);
    this.#marks.push(has);
    this.#marks.push(then);
    if (this.#names === null) return;
    this.#note(structure, has, `has ${header.name}`);
    this.#note(structure, then, `${before.name} then ${header.name}`);
  }

  #links(mail: MailBody): void {
    const { links } = this.#spaces;
    const count = Math.min(mail.links.length, MAX_LINKS);
    for (let i = 0; i < count; i += 1) {
      const { shown, target } = mail.links[i];
      // The same again, as mails often have it, has no other marks.
      if (i > 0 && target === mail.links[i - 1].target && shown === mail.links[i - 1].shown) continue;
      readLink(shown, target, (hash, name, text, from, to) => {
        const own = mix(hash ^ links.seed);
        this.#marks.push(own);
        if (this.#names !== null) this.#note(links, own, name + text.slice(from, to));
      });
    }
    this.#size(links, NUMBER, mail.links.length);
    this.#takeMarks(links);
  }

  #attachments({ texts, attachments }: MailBody): void {
    const space = this.#spaces.attachments;
    let plain = 0;
    let html = 0;
    let length = 0;
    for (const text of texts) {
      if (text.type === 'html') html += 1;
      else plain += 1;
      length += text.text.length;
    }
    this.#mark(space, partsMark(scale(plain), scale(html), scale(attachments.length)));
    this.#size(space, LENGTH, length);
    const count = Math.min(attachments.length, MAX_ATTACHMENTS);
    for (let i = 0; i < count; i += 1) {
      const { type, name, size, digest } = attachments[i];
      this.#mark(space, `type ${type}`);
      this.#mark(space, `ends ${/\.[^.]{1,10}$/.exec(name.toLowerCase())?.[0] ?? 'without'}`);
      this.#mark(space, `size ${scale(size)}`);
      this.#mark(space, `name ${name.slice(0, 100).toLowerCase()}`);
      if (digest !== '') this.#mark(space, `digest ${digest}`);
    }
    this.#takeMarks(space);
  }

  /** How the mail is made rather than what it says. */
  #form(space: Space, read: (mark: (text: string) => void) => void): void {
    read((text) => this.#mark(space, text));
    this.#takeMarks(space);
  }

  /** Nothing where nothing is disguised or hidden. */
  #disguises({ hidden }: MailBody): void {
    const { disguise } = this.#spaces;
    for (const mark of disguiseMarks(this.#disguise)) this.#mark(disguise, mark);
    let words = 0;
    for (const text of hidden) {
      this.#text.load(text);
      readWords(this.#text, 0, text.length, this.#pieces);
      words += this.#pieces.count;
    }
    if (words > 0) this.#mark(disguise, `hidden words ${scale(words)}`);
    this.#takeMarks(disguise);
  }

  /** One feature that is a whole text. */
  #mark(space: Space, text: string): void {
    const hash = mix(word(text) ^ space.seed);
    this.#marks.push(hash);
    this.#note(space, hash, text);
  }

  /** One feature that is a size. */
  #size(space: Space, marks: readonly string[], size: number): void {
    this.#mark(space, marks[scale(size)]);
  }

  /** Adds the marks at hand to their namespace. */
  #takeMarks(space: Space): void {
    this.#cells.add(space.at, this.#marks);
    this.#marks.count = 0;
  }

  /** Remembers for `describe` what a feature is; many may share a bucket. */
  #note(space: Space, hash: number, name: string): void {
    if (this.#names === null) return;
    const names = this.#names[space.at];
    const bucket = this.#cells.bucketOf(space.at, hash);
    const known = names.get(bucket);
    if (known === undefined) names.set(bucket, name);
    else if (known !== name && known.length < 200 && !known.split(' | ').includes(name))
      names.set(bucket, `${known} | ${name}`);
  }
}

/** What stands before the first header. */
const EDGE = headerOf('^');

function mailOf(event: Event): MailBody {
  if (event.body.kind !== 'mail')
    throw new SluiceError('INTERNAL', 'the e-mail features were given a reading');
  return event.body;
}

/** What is read of a header. */
function headerText(name: string, value: string): string {
  const text = usableValue(name, value);
  return text.length > HEADER_TEXT ? text.slice(0, HEADER_TEXT) : text;
}

/** Printable form of bytes. */
function quoted(bytes: Uint8Array, from: number, to: number): string {
  return JSON.stringify(Buffer.from(bytes.subarray(from, to)).toString('latin1'));
}
