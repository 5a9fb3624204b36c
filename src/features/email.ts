/**
 * E-mail to a sparse row. Promises: a function of the mail's bytes and the options alone (never of paths, arrival or other
 * filters' headers); bounded in time and cells whatever the mail; each namespace has unit length times its weight, so that no
 * view drowns another. `version` changes with anything that changes a row.
 *
 * The views: byte 5-grams of the raw mail (they need no decoder to be right), words and sparse pairs of the headers by
 * name, words and sparse pairs of the decoded texts, links, structure, attachments. Raw word pairs were tried and
 * left out: half as many cells again, and nothing gained.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Event, Featurizer, MailBody, RowWriter } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { fiveGrams, GRAM, HASH_VERSION, keyMark, mix, seedOf, word } from './hash.ts';
import { linkMarks } from './links.ts';
import { type Names, Space } from './space.ts';
import { WordPairs } from './tokens.ts';
import { mayUse, RawView, usableValue } from './view.ts';

/** Raised with every change of what a mail's row is. */
const EMAIL_VERSION = 1;

const weight = (fallback: number, what: string) =>
  z.number().min(0).max(100).default(fallback).describe(`weight of ${what}; 0 leaves it out`);

export const emailOptions = z.strictObject({
  bits: z.number().int().min(10).max(26).default(20).describe('2^bits buckets'),
  key: z
    .string()
    .default('')
    .describe('secret of the fleet that the hashes are seeded with; all gateways and the hub share it'),
  listHeaders: z
    .boolean()
    .default(true)
    .describe('whether List-*, Precedence and other headers of mailing lists are used'),
  headBytes: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(16_384)
    .describe('bytes of the raw body that are read at its begin'),
  tailBytes: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(4_096)
    .describe('bytes of the raw body that are read at its end'),
  textLength: z
    .number()
    .int()
    .min(0)
    .max(1_048_576)
    .default(32_768)
    .describe('characters of decoded text that are read'),
  spaces: z
    .strictObject({
      raw: weight(1, 'byte 5-grams of the raw mail'),
      header: weight(1, 'words and sparse pairs of headers, by name'),
      body: weight(1, 'words and sparse pairs of the decoded texts'),
      links: weight(1, 'hosts, paths and oddities of links'),
      structure: weight(1, 'parts, types, header names and sizes'),
      attachments: weight(1, 'types and names of attachments'),
    })
    .prefault({})
    .describe('the views of a mail and what each weighs'),
});

export type EmailOptions = z.infer<typeof emailOptions>;
type SpaceName = keyof EmailOptions['spaces'];

/** Most distinct buckets a view may have: more than any ordinary mail needs. */
const LIMITS: Readonly<Record<SpaceName, number>> = {
  raw: 32_768,
  header: 16_384,
  body: 32_768,
  links: 4_096,
  structure: 1_024,
  attachments: 1_024,
};
const SPACE_NAMES = Object.keys(LIMITS) as SpaceName[];

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
  return new EmailFeaturizer(options);
}

class EmailFeaturizer implements Featurizer {
  readonly version: string;
  readonly dims: number;
  readonly denseDims = 0;
  readonly columns = [];
  readonly #options: EmailOptions;
  readonly #spaces: Readonly<Record<SpaceName, Space>>;
  readonly #seeds: Readonly<Record<SpaceName, number>>;
  readonly #view: RawView;
  readonly #words = new WordPairs();

  constructor(options: EmailOptions) {
    this.#options = options;
    this.dims = 2 ** options.bits;
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
      spaces[name] = new Space(this.dims, LIMITS[name]);
      seeds[name] = seedOf(options.key, name);
    }
    this.#spaces = spaces;
    this.#seeds = seeds;
  }

  write(event: Event, row: RowWriter): void {
    try {
      this.#fill(mailOf(event));
      for (const name of SPACE_NAMES) this.#spaces[name].flush(row, this.#options.spaces[name]);
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
    if (spaces.header > 0) this.#header(mail);
    if (spaces.body > 0) this.#body(mail);
    if (spaces.links > 0) this.#links(mail);
    if (spaces.structure > 0) this.#structure(mail);
    if (spaces.attachments > 0) this.#attachments(mail);
  }

  #raw(mail: MailBody): void {
    const view = this.#view;
    view.load(mail.raw);
    const space = this.#spaces.raw;
    fiveGrams(view.bytes, 0, view.end, this.#seeds.raw, (hash, end) => {
      space.add(hash);
      if (space.names !== null) space.note(hash, quoted(view.bytes, end - GRAM, end));
    });
  }

  #header(mail: MailBody): void {
    const space = this.#spaces.header;
    let fields = 0;
    for (const [name, value] of mail.headers) {
      if (!mayUse(name, this.#options.listHeaders)) continue;
      fields += 1;
      if (fields > HEADER_FIELDS) return;
      const pairs = UNIQUE.has(name) ? null : space;
      const text = usableValue(name, value);
      this.#words.add(text, HEADER_TEXT, this.#seeds.header ^ word(name), space, pairs, `${name}: `);
    }
  }

  #body(mail: MailBody): void {
    const space = this.#spaces.body;
    let left = this.#options.textLength;
    for (const { text } of mail.texts) {
      if (left <= 0) return;
      this.#words.add(text, left, this.#seeds.body, space, space, '');
      left -= text.length;
    }
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

  #structure(mail: MailBody): void {
    let before = '^';
    let fields = 0;
    for (const [name] of mail.headers) {
      if (!mayUse(name, this.#options.listHeaders)) continue;
      fields += 1;
      if (fields > HEADER_FIELDS) break;
      this.#mark('structure', `has ${name}`);
      this.#mark('structure', `${before} then ${name}`);
      before = name;
    }
    let plain = 0;
    let html = 0;
    let length = 0;
    for (const text of mail.texts) {
      if (text.type === 'html') html += 1;
      else plain += 1;
      length += text.text.length;
    }
    this.#mark(
      'structure',
      `plain ${scale(plain)} html ${scale(html)} attached ${scale(mail.attachments.length)}`,
    );
    this.#mark('structure', `text length ${scale(length)}`);
    this.#mark('structure', `fields ${scale(fields)}`);
  }

  #attachments(mail: MailBody): void {
    for (const { type, name, size } of mail.attachments.slice(0, 100)) {
      this.#mark('attachments', `type ${type}`);
      this.#mark('attachments', `ends ${/\.[^.]{1,10}$/.exec(name.toLowerCase())?.[0] ?? 'without'}`);
      this.#mark('attachments', `size ${scale(size)}`);
      this.#mark('attachments', `name ${name.slice(0, 100).toLowerCase()}`);
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

function versionOf(options: EmailOptions): string {
  const { key, ...rest } = options;
  const text = JSON.stringify([EMAIL_VERSION, HASH_VERSION, keyMark(key), rest]);
  return `email-${EMAIL_VERSION}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}
