/**
 * E-mail to a sparse row. Promises: a function of the mail's bytes and the options alone (never of paths, arrival or other
 * filters' headers); bounded in time and cells whatever the mail; each namespace has unit length times its weight, so that
 * none drowns another; a bucket's top bits name its view. `version` changes with anything that changes a row.
 *
 * Four views of one mail, each a region of the buckets, so that a model can have a learner for each: the raw bytes (tokens
 * between blanks; they need no decoder to be right), the headers by name, what the reader sees as
 * words, links and attachments, and the same as characters. What each namespace is worth, and what was left out:
 * docs/mail-features.md.
 */
import { createHash } from 'node:crypto';
import type { Event, Featurizer, MailBody, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type EmailOptions, type ResolvedOptions, resolve, type SpaceName } from './email-options.ts';
import { eachGram, eachToken, type PieceTaker } from './grams.ts';
import { HASH_VERSION, keyMark, mix, pair, seedOf, word } from './hash.ts';
import { linkMarks } from './links.ts';
import { type Names, Space } from './space.ts';
import { addWords } from './tokens.ts';
import { mayUse, RawView, usableValue } from './view.ts';

/** Raised with every change of what a mail's row is. */
const EMAIL_VERSION = 2;

/** The view each namespace is of, and the most distinct buckets it may have: more than any ordinary mail needs. */
const SPACES: Readonly<Record<SpaceName, { readonly view: number; readonly limit: number }>> = {
  raw: { view: 0, limit: 8_192 },
  header: { view: 1, limit: 8_192 },
  headerPairs: { view: 1, limit: 8_192 },
  structure: { view: 1, limit: 1_024 },
  body: { view: 2, limit: 8_192 },
  bodyPairs: { view: 2, limit: 16_384 },
  links: { view: 2, limit: 4_096 },
  attachments: { view: 2, limit: 1_024 },
  chars: { view: 3, limit: 16_384 },
  subject: { view: 3, limit: 2_048 },
};
const SPACE_NAMES = Object.keys(SPACES) as SpaceName[];

/** Headers whose value is new in nearly every mail: pairs of their words would only fill buckets. */
const UNIQUE = new Set([
  'message-id',
  'in-reply-to',
  'references',
  'date',
  'delivery-date',
  'dkim-signature',
  'arc-seal',
]);

const HEADER_BYTES = 16_384;
const HEADER_TEXT = 1_000;
const HEADER_FIELDS = 200;
const MAX_LINKS = 200;

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
  readonly #seeds: Readonly<Record<SpaceName, number>>;
  readonly #view: RawView;
  readonly #token: PieceTaker = (hash, from, to) => this.#addToken(hash, from, to);

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.dims = 2 ** options.bits;
    this.views = options.views;
    this.version = versionOf(options);
    this.#view = new RawView({
      listHeaders: options.listHeaders,
      headerBytes: HEADER_BYTES,
      head: options.headBytes,
      tail: options.tailBytes,
    });
    const spaces = {} as Record<SpaceName, Space>;
    const seeds = {} as Record<SpaceName, number>;
    for (const name of SPACE_NAMES) {
      spaces[name] = new Space(
        this.dims,
        SPACES[name].limit,
        SPACES[name].view % options.views,
        options.views,
      );
      seeds[name] = seedOf(options.key, name);
    }
    this.#spaces = spaces;
    this.#seeds = seeds;
  }

  write(event: Event, row: RowWriter): void {
    try {
      this.#fill(mailOf(event));
      for (const name of SPACE_NAMES) {
        const weight = this.#options.spaces[name];
        if (weight > 0) this.#spaces[name].flush(row, weight);
      }
    } finally {
      for (const name of SPACE_NAMES) this.#spaces[name].clear();
    }
  }

  describe(event: Event): ReturnType<Featurizer['describe']> {
    const cells: ReturnType<Featurizer['describe']>[number][] = [];
    try {
      for (const name of SPACE_NAMES) this.#spaces[name].names = new Map();
      this.#fill(mailOf(event));
      for (const name of SPACE_NAMES) {
        const space = this.#spaces[name];
        if (this.#options.spaces[name] === 0) continue;
        const names: Names = space.names ?? new Map();
        for (const [index, value] of space.cells(this.#options.spaces[name]))
          cells.push({
            name: `${name}: ${names.get(index) ?? '(unnamed)'}`,
            index,
            value,
            part: 'sparse',
          });
      }
    } finally {
      for (const name of SPACE_NAMES) {
        this.#spaces[name].names = null;
        this.#spaces[name].clear();
      }
    }
    return cells;
  }

  /** Fills the spaces that have a weight. */
  #fill(mail: MailBody): void {
    const { spaces } = this.#options;
    if (spaces.raw > 0) this.#raw(mail);
    if (spaces.header > 0 || spaces.headerPairs > 0) this.#header(mail);
    if (spaces.structure > 0) this.#structure(mail);
    if (spaces.body > 0 || spaces.bodyPairs > 0) this.#body(mail);
    if (spaces.links > 0) this.#links(mail);
    if (spaces.attachments > 0) this.#attachments(mail);
    if (spaces.chars > 0) this.#chars(mail);
    if (spaces.subject > 0) this.#subject(mail);
  }

  #raw(mail: MailBody): void {
    const view = this.#view;
    view.load(mail.raw);
    eachToken(view.bytes, 0, view.end, this.#token);
  }

  #addToken(hash: number, from: number, to: number): void {
    const { raw } = this.#spaces;
    const own = mix(hash ^ this.#seeds.raw);
    raw.add(own);
    if (raw.names !== null) raw.note(own, quoted(this.#view.bytes, from, to));
  }

  #header(mail: MailBody): void {
    const { header, headerPairs } = this.#spaces;
    let fields = 0;
    for (const [name, value] of mail.headers) {
      if (!mayUse(name, this.#options.listHeaders)) continue;
      fields += 1;
      if (fields > HEADER_FIELDS) return;
      const pairs = UNIQUE.has(name) ? null : headerPairs;
      const text = usableValue(name, value);
      addWords(text, HEADER_TEXT, this.#seeds.header ^ word(name), header, pairs, name);
    }
  }

  #body(mail: MailBody): void {
    const { body, bodyPairs } = this.#spaces;
    let left = this.#options.textLength;
    for (const { text } of mail.texts) {
      if (left <= 0) return;
      addWords(text, left, this.#seeds.body, body, bodyPairs, '');
      left -= text.length;
    }
  }

  #chars(mail: MailBody): void {
    let left = this.#options.charsLength;
    for (const { text } of mail.texts) {
      if (left <= 0) return;
      this.#grams('chars', text, left);
      left -= text.length;
    }
  }

  #subject(mail: MailBody): void {
    for (const [name, value] of mail.headers)
      if (name === 'subject') this.#grams('subject', usableValue(name, value), HEADER_TEXT);
  }

  #grams(name: SpaceName, text: string, limit: number): void {
    const space = this.#spaces[name];
    eachGram(text, limit, this.#seeds[name], (hash, from, to) => {
      space.add(hash);
      if (space.names !== null) space.note(hash, JSON.stringify(text.slice(from, to)));
    });
  }

  /** One feature that is a whole text. */
  #mark(name: SpaceName, text: string): void {
    const space = this.#spaces[name];
    const hash = mix(word(text) ^ this.#seeds[name]);
    space.add(hash);
    if (space.names !== null) space.note(hash, text);
  }

  #links(mail: MailBody): void {
    let count = 0;
    for (const link of mail.links) {
      count += 1;
      if (count > MAX_LINKS) break;
      for (const mark of linkMarks(link.shown, link.target)) this.#mark('links', mark);
    }
    this.#mark('links', `number ${scale(mail.links.length)}`);
  }

  /** A mail without headers has none of these: no more than what it says is known of it. */
  #structure(mail: MailBody): void {
    const { structure } = this.#spaces;
    let before = '^';
    let beforeHash = word(before);
    let fields = 0;
    for (const [name] of mail.headers) {
      if (!mayUse(name, this.#options.listHeaders)) continue;
      fields += 1;
      if (fields > HEADER_FIELDS) break;
      const hash = word(name);
      const has = mix(hash ^ this.#seeds.structure);
      const then = pair(beforeHash, has);
      structure.add(has);
      structure.add(then);
      if (structure.names !== null) {
        structure.note(has, `has ${name}`);
        structure.note(then, `${before} then ${name}`);
      }
      before = name;
      beforeHash = hash;
    }
    if (fields > 0) this.#mark('structure', `fields ${scale(fields)}`);
  }

  #attachments(mail: MailBody): void {
    let plain = 0;
    let html = 0;
    let length = 0;
    for (const text of mail.texts) {
      if (text.type === 'html') html += 1;
      else plain += 1;
      length += text.text.length;
    }
    const parts = `plain ${scale(plain)} html ${scale(html)} attached ${scale(mail.attachments.length)}`;
    this.#mark('attachments', parts);
    this.#mark('attachments', `text length ${scale(length)}`);
    for (const { type, name, size, digest } of mail.attachments.slice(0, 100)) {
      this.#mark('attachments', `type ${type}`);
      this.#mark('attachments', `ends ${/\.[^.]{1,10}$/.exec(name.toLowerCase())?.[0] ?? 'without'}`);
      this.#mark('attachments', `size ${scale(size)}`);
      this.#mark('attachments', `name ${name.slice(0, 100).toLowerCase()}`);
      if (digest !== '') this.#mark('attachments', `digest ${digest}`);
    }
  }
}

function mailOf(event: Event): MailBody {
  if (event.body.kind !== 'mail')
    throw new SluiceError('INTERNAL', 'the e-mail features were given a reading');
  return event.body;
}

/** Size on a scale of powers of two. */
function scale(n: number): number {
  return 32 - Math.clz32(n);
}

/** Printable form of bytes. */
function quoted(bytes: Uint8Array, from: number, to: number): string {
  return JSON.stringify(Buffer.from(bytes.subarray(from, to)).toString('latin1'));
}

function versionOf(options: ResolvedOptions): string {
  const { key, ...rest } = options;
  const text = JSON.stringify([EMAIL_VERSION, HASH_VERSION, keyMark(key), rest]);
  return `email-${EMAIL_VERSION}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
