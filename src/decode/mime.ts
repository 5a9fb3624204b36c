/**
 * Raw bytes of an e-mail to a MailBody (RFC 5322, 2045–2047, 2231). Promises: whatever is readable of a broken mail
 * is used (a multipart cut off, a lost empty line, a wrong charset are no errors); one pass over the
 * bytes, with time and memory linear in their number whatever they are. Refuses bombs by code: DECODE_TOO_LARGE,
 * DECODE_HEADERS, DECODE_DEPTH, DECODE_PARTS; nothing at all is DECODE_EMPTY; bytes without a header line that are not
 * text either are DECODE_MAIL (text without a header counts as a mail of body only).
 *
 * The mbox `From ` line belongs to the mailbox, not to the mail: `raw` begins after it.
 */
import { z } from 'zod';
import type { Decoder, Event, MailBody, MailText, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { byteSize } from '../units.ts';
import { asBuffer, decodeBase64, decodeQuotedPrintable, decodeText, detached } from './charset.ts';
import { delimiterOf, type Entity, entityOf, refuseBinary, skipBlankLines } from './entity.ts';
import { joinFlowed } from './flowed.ts';
import { type HeaderBudget, type HeaderField, isMailboxLine, lineEnd, readHeaders } from './headers.ts';
import { type Link, plainLinks, readHtml } from './html.ts';
import { deviceOf, deviceOptions, type Identity, identify, sha256 } from './identity.ts';
import { MAX_WORDS } from './words.ts';

export const mimeOptions = z.strictObject({
  maxBytes: byteSize.default(50 * 1024 ** 2).describe('largest mail; above it DECODE_TOO_LARGE'),
  maxHeaderBytes: byteSize
    .default(1024 ** 2)
    .describe('all header sections of a mail together; above it DECODE_HEADERS'),
  maxHeaderFields: z
    .number()
    .int()
    .positive()
    .default(10_000)
    .describe('header fields of a mail in all; above it DECODE_HEADERS'),
  maxDepth: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(20)
    .describe('multiparts and messages inside each other; above it DECODE_DEPTH'),
  maxParts: z
    .number()
    .int()
    .positive()
    .default(1_000)
    .describe('parts of a mail in all; above it DECODE_PARTS'),
  device: deviceOptions.optional(),
});

export type MimeOptions = z.infer<typeof mimeOptions>;

/** Opens the decoder of raw e-mails; one message is one event. */
export function openMime(options: MimeOptions): Decoder {
  return {
    kind: 'mail',
    decode(message: Message): readonly Event[] {
      const body = readMail(message.payload, options);
      const identity = identify(message);
      const names = new Names(messageIdOf(body.headers), message.payload);
      const at = mailTime(body.headers, message.at);
      return [new MailEvent(identity, deviceOf(message, options.device), at, names, body)];
    },
  };
}

/** Other names of a mail. The digest of the whole costs a tenth of reading it: it is made for whoever asks, once. */
class Names {
  readonly #messageId: string | null;
  readonly #payload: Uint8Array;
  #list: readonly string[] | null = null;

  constructor(messageId: string | null, payload: Uint8Array) {
    this.#messageId = messageId;
    this.#payload = payload;
  }

  get list(): readonly string[] {
    if (this.#list === null) {
      const raw = `raw:${sha256(this.#payload)}`;
      this.#list = this.#messageId === null ? [raw] : [`mid:${this.#messageId}`, raw];
    }
    return this.#list;
  }
}

/** The event of a mail. */
export class MailEvent implements Event {
  readonly id: string;
  readonly weak: boolean;
  readonly device: string;
  readonly at: number;
  readonly body: MailBody;
  readonly #names: Names;

  constructor({ id, weak }: Identity, device: string, at: number, names: Names, body: MailBody) {
    this.id = id;
    this.weak = weak;
    this.device = device;
    this.at = at;
    this.body = body;
    this.#names = names;
  }

  get aliases(): readonly string[] {
    return this.#names.list;
  }

  /** The same event, its mail held in another way. */
  holding(body: MailBody): Event {
    return new MailEvent(this, this.device, this.at, this.#names, body);
  }
}

/** Parses a mail. Limits as in the options. */
export function readMail(payload: Uint8Array, options: MimeOptions): MailBody {
  const bytes = asBuffer(payload);
  if (bytes.length > options.maxBytes)
    throw new SluiceError(
      'DECODE_TOO_LARGE',
      `a mail of ${bytes.length} bytes; the limit is ${options.maxBytes}`,
    );
  let start = skipBlankLines(bytes, 0);
  if (start === bytes.length) throw new SluiceError('DECODE_EMPTY', 'the mail is empty');
  if (isMailboxLine(bytes, start)) start = lineEnd(bytes, start, bytes.length);
  const reader = new MailReader(bytes, options);
  reader.read(start);
  return {
    kind: 'mail',
    raw: payload.subarray(start),
    headers: reader.headers,
    texts: reader.texts,
    hidden: reader.hidden,
    links: reader.links,
    attachments: reader.attachments,
  };
}

interface Container {
  /** `--boundary` as bytes; empty for message/rfc822, which ends with its parent. */
  readonly delimiter: Buffer;
  readonly digest: boolean;
  readonly body: number;
  children: number;
}

/** Bytes that are searched here: a call into native code costs more. */
const SHORT = 24;
const DASHES = Buffer.from('\n--');
const MAX_LINKS = 1_000;
/** Hidden texts of one mail together, in UTF-16 units. */
const MAX_HIDDEN = 65_536;
/** Attachments whose content is looked at; an ordinary mail has a few. */
const MAX_DIGESTS = 100;
/** Bytes of one attachment that its digest covers, from the begin. */
const MAX_DIGESTED = 8 * 1024 ** 2;

class MailReader {
  readonly #bytes: Buffer;
  readonly #options: MimeOptions;
  readonly #budget: HeaderBudget;
  readonly #stack: Container[] = [];
  #parts = 0;
  /** The leaf whose body is being read, null between a closed part and the next. */
  #leaf: Entity | null = null;
  headers: readonly HeaderField[] = [];
  readonly texts: MailText[] = [];
  readonly links: Link[] = [];
  readonly hidden: string[] = [];
  readonly attachments: Attachment[] = [];
  #hiddenLeft = MAX_HIDDEN;

  constructor(bytes: Buffer, options: MimeOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.#budget = { bytes: options.maxHeaderBytes, fields: options.maxHeaderFields, words: MAX_WORDS };
  }

  /** Reads the whole mail that begins at `start`. */
  read(start: number): void {
    const end = this.#bytes.length;
    let at = this.#enter(start, false, true);
    // Lines that begin with `--` are all that can end a part.
    while (this.#stack.length > 0) {
      const dashes = this.#lineOfDashes(at);
      if (dashes < 0) break;
      const level = this.#matching(dashes);
      at = lineEnd(this.#bytes, dashes, end);
      if (level < 0) continue;
      this.#endLeaf(lineBreakBefore(this.#bytes, dashes));
      this.#closeAbove(level, dashes);
      const container = this.#stack[level];
      if (this.#isFinal(dashes + container.delimiter.length)) this.#close(dashes);
      else {
        container.children += 1;
        at = this.#enter(at, container.digest, false);
      }
    }
    this.#endLeaf(end);
    this.#closeAbove(-1, end);
  }

  /** Index of the next line that begins with `--`, at or after the line begin `at`; -1 where none is. */
  #lineOfDashes(at: number): number {
    const bytes = this.#bytes;
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return at;
    const near = Math.min(bytes.length, at + SHORT);
    for (let i = at; i < near; i += 1)
      if (bytes[i] === 0x0a && bytes[i + 1] === 0x2d && bytes[i + 2] === 0x2d) return i + 1;
    const found = bytes.indexOf(DASHES, Math.max(0, near - 1));
    return found < 0 ? -1 : found + 1;
  }

  /** The innermost container whose delimiter stands at `at`, -1 for none. */
  #matching(at: number): number {
    for (let level = this.#stack.length - 1; level >= 0; level -= 1) {
      const { delimiter } = this.#stack[level];
      if (delimiter.length === 0) continue;
      const end = at + delimiter.length;
      if (this.#stands(delimiter, at)) {
        // `--ab` must not be taken for the delimiter `--a`: after it, or its `--`, stand only blanks (RFC 2046 5.1.1).
        const after = this.#bytes[this.#isFinal(end) ? end + 2 : end];
        if (after === undefined || after <= 0x20) return level;
      }
    }
    return -1;
  }

  /** Whether the bytes of a delimiter stand at `at`; most lines of dashes differ early. */
  #stands(delimiter: Buffer, at: number): boolean {
    for (let i = 2; i < delimiter.length; i += 1) if (this.#bytes[at + i] !== delimiter[i]) return false;
    return true;
  }

  #isFinal(at: number): boolean {
    return this.#bytes[at] === 0x2d && this.#bytes[at + 1] === 0x2d;
  }

  /** Reads the header section at `at` and opens its entity; returns where its body begins. */
  #enter(at: number, digest: boolean, top: boolean): number {
    let begin = at;
    let isTop = top;
    // One turn per message/rfc822 inside a message/rfc822, else one.
    for (
      let defaultType: 'text/plain' | 'message/rfc822' = digest ? 'message/rfc822' : 'text/plain';
      ;
      defaultType = 'text/plain'
    ) {
      this.#parts += 1;
      if (this.#parts > this.#options.maxParts)
        throw new SluiceError('DECODE_PARTS', `more than ${this.#options.maxParts} parts`);
      const section = readHeaders(this.#bytes, begin, this.#bytes.length, this.#budget);
      if (isTop) {
        this.headers = section.fields;
        if (section.fields.length === 0) refuseBinary(this.#bytes, begin);
      }
      const entity = entityOf(section.fields, section.body, defaultType);
      const delimiter = delimiterOf(entity, this.#bytes);
      if (delimiter === null) {
        this.#leaf = entity;
        return section.body;
      }
      if (this.#stack.length >= this.#options.maxDepth)
        throw new SluiceError('DECODE_DEPTH', `parts nested deeper than ${this.#options.maxDepth}`);
      const isDigest = entity.type.value === 'multipart/digest';
      this.#stack.push({ delimiter, digest: isDigest, body: section.body, children: 0 });
      if (delimiter.length > 0) return section.body;
      begin = skipMailboxLine(this.#bytes, section.body);
      isTop = false;
    }
  }

  /** Closes what stands above `level` on the stack. */
  #closeAbove(level: number, at: number): void {
    while (this.#stack.length - 1 > level) this.#close(at);
  }

  /** Closes the innermost container. A multipart in which no part was found is read as text. */
  #close(at: number): void {
    const container = this.#stack.pop();
    if (container === undefined || container.children > 0 || container.delimiter.length === 0) return;
    this.#addPlain(decodeText(this.#bytes.subarray(container.body, at), ''));
  }

  #endLeaf(end: number): void {
    const leaf = this.#leaf;
    this.#leaf = null;
    if (leaf === null) return;
    const bytes = this.#bytes.subarray(leaf.body, Math.max(leaf.body, end));
    const decoded = decodeContent(bytes, leaf.encoding);
    const { value: type, parameters } = leaf.type;
    if (!type.startsWith('text/') || leaf.disposition.value === 'attachment') {
      const name = leaf.disposition.parameters.get('filename') ?? parameters.get('name') ?? '';
      this.#attach(type, name, decoded);
      return;
    }
    if (decoded.length === 0) return;
    const text = decodeText(decoded, parameters.get('charset') ?? '');
    if (type === 'text/html' || (this.headers.length === 0 && /^\s{0,100}<(?:!doctype|html)/i.test(text)))
      this.#addHtml(text);
    else if (parameters.get('format')?.toLowerCase() === 'flowed')
      this.#addPlain(joinFlowed(text, parameters.get('delsp')?.toLowerCase() === 'yes'));
    else this.#addPlain(text);
  }

  #attach(type: string, name: string, content: Buffer): void {
    const isDigested = this.attachments.length < MAX_DIGESTS;
    const digest = isDigested ? sha256(content.subarray(0, MAX_DIGESTED)) : '';
    this.attachments.push({ type, name, size: content.length, digest });
  }

  #addHtml(html: string): void {
    const { text, hidden, links } = readHtml(html);
    this.#addLinks(links);
    if (text !== '') this.texts.push({ text, type: 'html' });
    if (hidden === '' || this.#hiddenLeft <= 0) return;
    this.hidden.push(hidden.slice(0, this.#hiddenLeft));
    this.#hiddenLeft -= hidden.length;
  }

  #addPlain(text: string): void {
    const plain = (text.includes('\r') ? text.replaceAll('\r\n', '\n') : text).trim();
    this.#addLinks(plainLinks(plain));
    if (plain !== '') this.texts.push({ text: plain, type: 'plain' });
  }

  #addLinks(links: readonly Link[]): void {
    for (const link of links) if (this.links.length < MAX_LINKS) this.links.push(link);
  }
}

type Attachment = MailBody['attachments'][number];

/** A body without its transfer encoding; unknown ones are taken for none. */
function decodeContent(bytes: Buffer, encoding: string): Buffer {
  if (encoding === 'base64') return decodeBase64(bytes);
  return encoding === 'quoted-printable' ? decodeQuotedPrintable(bytes) : bytes;
}

function skipMailboxLine(bytes: Buffer, at: number): number {
  const begin = skipBlankLines(bytes, at);
  return isMailboxLine(bytes, begin) ? lineEnd(bytes, begin, bytes.length) : begin;
}

/** Where the part before a delimiter ends: the line break before it belongs to the delimiter (RFC 2046 5.1.1). */
function lineBreakBefore(bytes: Buffer, at: number): number {
  if (at > 0 && bytes[at - 1] === 0x0a) return at > 1 && bytes[at - 2] === 0x0d ? at - 2 : at - 1;
  return at;
}

const DAY = 86_400_000;
const NEWEST_TRACE = /;([^;]{6,100})$/;

/**
 * When the mail was received: the topmost `Received` (written by a server near the reader), else `Date`, which senders
 * set as they like. What lies before 1990 or more than a day after arrival is not believed.
 */
function mailTime(headers: readonly HeaderField[], arrived: number): number {
  let date = '';
  for (const [name, value] of headers) {
    if (name === 'date') date ||= value.slice(0, 100);
    if (name !== 'received') continue;
    const trace = NEWEST_TRACE.exec(value.slice(-200));
    if (trace) {
      date = trace[1];
      break;
    }
  }
  const at = date === '' ? Number.NaN : Date.parse(date.trim());
  return at > 631_152_000_000 && at < arrived + DAY ? at : arrived;
}

const MAX_MESSAGE_ID = 500;

/** The first Message-ID without its brackets; null where there is none to be used. */
function messageIdOf(headers: readonly HeaderField[]): string | null {
  for (const [name, value] of headers) {
    if (name !== 'message-id') continue;
    const id = /<([^<>]+)>/.exec(value)?.[1] ?? value;
    return id !== '' && id.length <= MAX_MESSAGE_ID ? detached(id.trim()) : null;
  }
  return null;
}
