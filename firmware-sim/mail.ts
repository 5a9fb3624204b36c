/**
 * A seeded stream of mail as a server sees it: ham and spam in several languages and charsets, plain,
 * HTML and multipart, with attachments, mailing lists, encoded and folded headers and Received chains.
 * Vocabulary overlaps: shops and newsletters talk like spam, some spam talks like a colleague. A good
 * filter gets about 98 to 99.5 % right; word lists alone do not. Every message is valid RFC 5322 except a
 * small, known share of garbage. Same seed, same bytes.
 */
import { type Charset, canEncode } from './charsets.ts';
import {
  encodeHeaderText,
  foldHeader,
  type Leaf,
  type Multipart,
  type TransferEncoding,
  writeMessage,
} from './mime.ts';
import { Circle, createPersona, documentationIp, madeUpDomain, type Persona } from './personas.ts';
import { expand, type MailLabel, madeUpWord, type Topic } from './phrases.ts';
import { Random } from './random.ts';

export interface GeneratedMail {
  readonly raw: Buffer;
  /** null for garbage, which has no truth. */
  readonly label: MailLabel | null;
  /** Without the angle brackets; '' for garbage. */
  readonly messageId: string;
  readonly mailbox: string;
  /** Subject and visible text as the reader sees them: the truth that decoders are tested against. */
  readonly subject: string;
  readonly text: string;
  readonly charset: Charset;
  readonly language: string;
}

export interface MailOptions {
  readonly seed: number;
  /** Share of spam, default 0.4. */
  readonly spam?: number;
  /** Share of payloads that are no mail at all, default 0.0005. */
  readonly garbage?: number;
  /** Default `inbox` and `team`. */
  readonly mailboxes?: readonly string[];
}

/** How much the two kinds of mail talk like each other: what keeps the task from being trivial. */
const OTHER_KIND_SENTENCE = 0.025;
const STEALTH_SPAM = 0.015;
const TAKEN_OVER = 0.06;
const FIRST_CONTACT = 0.2;

/** Everything that was decided about one message before it is written. */
interface Draft {
  readonly label: MailLabel;
  readonly from: Persona;
  readonly topic: Topic;
  readonly charset: Charset;
  readonly subject: string;
  readonly paragraphs: readonly string[];
  readonly links: readonly { readonly shown: string; readonly target: string }[];
  readonly at: number;
}

export class MailGenerator {
  readonly #random: Random;
  readonly #ham: Circle;
  readonly #spam: Circle;
  readonly #options: Required<MailOptions>;
  #count = 0;

  constructor(options: MailOptions) {
    const random = new Random(options.seed).fork('mail');
    this.#ham = new Circle('ham', 150, random.fork('ham'));
    this.#spam = new Circle('spam', 40, random.fork('spam'));
    this.#random = random.fork('stream');
    this.#options = { spam: 0.4, garbage: 0.000_5, mailboxes: ['inbox', 'team'], ...options };
  }

  /** The next message; `at` (ms since the epoch) stands in its Date and Received headers. */
  next(at: number): GeneratedMail {
    const random = this.#random;
    this.#count += 1;
    const mailbox = random.pick(this.#options.mailboxes);
    if (random.chance(this.#options.garbage)) return garbage(mailbox, random);
    const draft = this.#draft(random.chance(this.#options.spam) ? 'spam' : 'ham', at);
    const messageId = this.#messageId(draft.from);
    const { content, text } = writeBody(draft, random);
    const raw = writeMessage(writeHeaders(draft, messageId, mailbox, random), content);
    return {
      raw,
      label: draft.label,
      messageId,
      mailbox,
      subject: draft.subject,
      text,
      charset: draft.charset,
      language: draft.from.language.code,
    };
  }

  #draft(label: MailLabel, at: number): Draft {
    const random = this.#random;
    const from = this.#sender(label);
    const { language } = from;
    const stealth = label === 'spam' && random.chance(STEALTH_SPAM);
    const topic = pickTopic(language.topics, stealth ? 'ham' : label, random);
    const other = pickTopic(language.topics, label === 'ham' ? 'spam' : 'ham', random);
    const say = (template: string): string => expand(template, language, random);
    // Each sentence at most once, and at least one that belongs to the topic.
    const own = random.shuffled(topic.sentences);
    const common = random.shuffled(language.shared);
    const paragraphs = [say(own[0])];
    for (let i = 1; i < random.between(2, 7); i++) {
      const pool = random.chance(OTHER_KIND_SENTENCE) ? other.sentences : random.chance(0.28) ? common : own;
      paragraphs.push(say(pool[i % pool.length]));
    }
    const shout = label === 'spam' && random.chance(0.12);
    const body = shout ? paragraphs.map((p) => p.toUpperCase()) : paragraphs;
    const greeting = say(random.pick(language.greetings));
    const closing = say(random.pick(language.closings));
    const all = [greeting, ...random.shuffled(body), closing].filter((p) => p !== '');
    const subject = say(random.pick(topic.subjects));
    const links = this.#links(label, from, topic, say);
    const wanted = random.weighted(language.charsets);
    const charset = canEncode(`${subject}${all.join('')}`, wanted) ? wanted : 'utf-8';
    return { label, from, topic, charset, subject, paragraphs: all, links, at };
  }

  #sender(label: MailLabel): Persona {
    const random = this.#random;
    if (label === 'ham')
      return random.chance(FIRST_CONTACT) ? createPersona('ham', random) : this.#ham.pick(random);
    if (random.chance(TAKEN_OVER)) return this.#ham.pick(random);
    return random.chance(0.7) ? createPersona('spam', random) : this.#spam.pick(random);
  }

  #links(label: MailLabel, from: Persona, topic: Topic, say: (template: string) => string): Draft['links'] {
    const random = this.#random;
    const many =
      label === 'spam'
        ? random.between(0, 3)
        : random.weighted([
            [0, 5],
            [1, 3],
            [2, 2],
            [4, 1],
          ] as const);
    return Array.from({ length: many }, () => {
      const home = label === 'spam' && random.chance(0.75) ? madeUpDomain(random) : from.domain;
      const host = label === 'spam' && random.chance(0.15) ? documentationIp(random) : home;
      const path = `/${madeUpWord(random, random.between(1, 3))}${random.chance(0.3) ? `?id=${random.uint32().toString(16)}` : ''}`;
      const target = `${random.chance(0.6) ? 'https' : 'http'}://${host}${path}`;
      const honest = label === 'ham' ? random.chance(0.3) : random.chance(0.1);
      const posing = label === 'spam' && random.chance(0.35);
      const shown = posing ? `https://www.${from.domain}/` : honest ? target : say(random.pick(topic.links));
      return { shown, target };
    });
  }

  #messageId(from: Persona): string {
    const random = this.#random;
    const unique = `${this.#count.toString(36)}.${random.uint32().toString(36)}${random.uint32().toString(36)}`;
    return `${unique}@${random.chance(0.8) ? from.server : from.domain}`;
  }
}

function pickTopic(topics: readonly Topic[], label: MailLabel, random: Random): Topic {
  return random.weighted(topics.filter((t) => t.label === label).map((t) => [t, t.weight] as const));
}

/** What turns up on a mail topic and is no mail: nothing, binary, text without a header line. */
function garbage(mailbox: string, random: Random): GeneratedMail {
  const noise = Buffer.from(Array.from({ length: random.between(1, 300) }, () => random.below(256)));
  const raw = random.pick([
    Buffer.alloc(0),
    noise,
    Buffer.from('\r\n\r\n'),
    Buffer.from('no header here\r\n'),
  ]);
  return {
    raw,
    label: null,
    messageId: '',
    mailbox,
    subject: '',
    text: '',
    charset: 'us-ascii',
    language: '',
  };
}

// ---------------------------------------------------------------- headers

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (n: number): string => String(n).padStart(2, '0');

/** RFC 5322 section 3.3; `zone` in minutes east of UTC. */
export function mailDate(at: number, zone: number): string {
  const d = new Date(at + zone * 60_000);
  const sign = zone < 0 ? '-' : '+';
  const away = Math.abs(zone);
  const offset = `${sign}${two(Math.floor(away / 60))}${two(away % 60)}`;
  const time = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return `${DAYS[d.getUTCDay()]}, ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()} ${time} ${offset}`;
}

function received(draft: Draft, mailbox: string, random: Random): string[] {
  const hops = draft.label === 'spam' ? random.between(1, 3) : random.between(1, 4);
  const lines: string[] = [];
  let by = 'mx.home.example';
  for (let hop = 0; hop < hops; hop++) {
    const last = hop === hops - 1;
    const from = last ? draft.from.server : `relay${random.below(30)}.${madeUpDomain(random)}`;
    const ip = last ? draft.from.ip : documentationIp(random);
    const helo = draft.label === 'spam' && random.chance(0.25) ? `[${ip}]` : from;
    const envelope = hop === 0 ? ` for <${mailbox}@home.example>` : '';
    const id = random.uint32().toString(36).toUpperCase();
    const when = mailDate(draft.at - hop * 1_000 * random.between(1, 40), 0);
    lines.push(
      foldHeader(
        'Received',
        `from ${helo} (${from} [${ip}]) by ${by} with ESMTP id ${id}${envelope}; ${when}`,
      ),
    );
    by = from;
  }
  return lines;
}

function writeHeaders(draft: Draft, messageId: string, mailbox: string, random: Random): string[] {
  const { from, charset, label } = draft;
  const scheme = /^(iso-8859|windows-1252|us-ascii)/.test(charset) ? 'Q' : 'B';
  const encode = (text: string): string => encodeHeaderText(text, charset, scheme);
  const sender = from.name
    ? `${random.chance(0.3) ? `"${from.name}"` : from.name} <${from.address}>`
    : from.address;
  const zone = random.pick([0, 60, 120, -300, -480, 330, 540]);
  const middle = [
    foldHeader('Date', mailDate(draft.at - random.below(60_000), zone)),
    foldHeader('From', sender),
    foldHeader('To', random.chance(0.85) ? `<${mailbox}@home.example>` : 'undisclosed-recipients:;'),
    foldHeader('Subject', encode(draft.subject)),
    `Message-ID: <${messageId}>`,
  ];
  if (from.mailer) middle.push(`${from.mailerHeader}: ${from.mailer}`);
  if (draft.topic.name === 'list') middle.push(...listHeaders(from, random));
  else if (draft.topic.name === 'newsletter')
    middle.push(`List-Unsubscribe: <https://${from.domain}/unsubscribe>`);
  if (draft.subject.startsWith('Re:') && random.chance(label === 'ham' ? 0.9 : 0.1)) {
    const parent = `<${random.uint32().toString(36)}@${from.domain}>`;
    middle.push(
      `In-Reply-To: ${parent}`,
      foldHeader('References', `<${random.uint32().toString(36)}@home.example> ${parent}`),
    );
  }
  if (random.chance(label === 'spam' ? 0.25 : 0.08)) {
    middle.push(
      `Reply-To: <${label === 'spam' ? `${madeUpWord(random, 2)}@${madeUpDomain(random)}` : from.address}>`,
    );
  }
  if (random.chance(label === 'spam' ? 0.2 : 0.03)) middle.push(`X-Priority: ${random.between(1, 3)}`);
  return [`Return-Path: <${from.address}>`, ...received(draft, mailbox, random), ...random.shuffled(middle)];
}

function listHeaders(from: Persona, random: Random): string[] {
  const list = `dev.${from.domain}`;
  return [
    `List-Id: <${list}>`,
    `List-Post: <mailto:dev@${from.domain}>`,
    foldHeader('List-Unsubscribe', `<https://${from.domain}/lists/leave>, <mailto:dev-leave@${from.domain}>`),
    `Precedence: ${random.pick(['list', 'bulk'])}`,
  ];
}

// ---------------------------------------------------------------- bodies

const WIDE: ReadonlySet<Charset> = new Set(['shift_jis', 'gb2312', 'gb18030', 'big5', 'euc-kr']);

function textEncoding(text: string, charset: Charset, random: Random): TransferEncoding {
  const ascii = /^[\n\r\t -~]*$/.test(text);
  if (charset === 'iso-2022-jp' || (ascii && charset !== 'utf-8'))
    return random.chance(0.85) ? '7bit' : 'base64';
  if (ascii) return random.pick(['7bit', 'quoted-printable', 'base64'] as const);
  if (WIDE.has(charset)) return random.pick(['base64', '8bit'] as const);
  return random.pick(['quoted-printable', 'quoted-printable', 'base64', '8bit'] as const);
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escapeHtml = (text: string): string => text.replace(/[&<>]/g, (char) => ENTITIES[char]);

/** HTML as mail programs make it: tables and styles, a pixel, in spam now and then words nobody sees. */
function writeHtml(draft: Draft, random: Random): string {
  const { label, paragraphs, links, from } = draft;
  const spam = label === 'spam';
  const style = random.pick(['', ' style="font-family:Arial"', ' bgcolor="#ffffff"']);
  const body = paragraphs.map((p) => `<p>${escapeHtml(p).replace(/\n/g, '<br>\n')}</p>`);
  for (const { shown, target } of links) {
    const anchor = `<a href="${target}">${escapeHtml(shown)}</a>`;
    body.splice(
      random.between(1, body.length),
      0,
      random.chance(0.5) ? `<p>${anchor}</p>` : `<td align=center><b>${anchor}</b></td>`,
    );
  }
  if (spam && random.chance(0.25)) {
    const filler = Array.from({ length: random.between(5, 15) }, () => madeUpWord(random, 2)).join(' ');
    body.push(`<div style="display:none">${filler}</div>`);
  }
  if (random.chance(spam ? 0.4 : 0.15)) {
    body.push(
      `<img src="https://${from.domain}/p/${random.uint32().toString(16)}.gif" width="1" height="1" alt="">`,
    );
  }
  const head = random.chance(0.6) ? `<head><title>${escapeHtml(draft.subject)}</title></head>` : '';
  return `<html>${head}<body${style}>\n${body.join('\n')}\n</body></html>\n`;
}

function writePlain(draft: Draft): string {
  const links = draft.links.map(({ shown, target }) => (shown === target ? target : `${shown}: ${target}`));
  return `${[...draft.paragraphs, ...links].join('\n\n')}\n`;
}

function writeBody(
  draft: Draft,
  random: Random,
): { readonly content: Leaf | Multipart; readonly text: string } {
  const { charset } = draft;
  const text = writePlain(draft);
  const leaf = (type: string, body: string): Leaf => ({
    type,
    charset,
    encoding: textEncoding(body, charset, random),
    body,
  });
  const boundary = (): string => `=_${random.uint32().toString(16)}${random.uint32().toString(16)}`;
  const plain = leaf('text/plain', text);
  let content: Leaf | Multipart = plain;
  if (random.chance(draft.from.html)) {
    const html = leaf('text/html', writeHtml(draft, random));
    const alone = random.chance(draft.label === 'spam' ? 0.5 : 0.15);
    content = alone ? html : { multipart: 'alternative', boundary: boundary(), parts: [plain, html] };
  }
  if (random.chance(0.05)) {
    const image: Leaf = {
      ...bytesLeaf('image/png', 'logo.png', random),
      disposition: 'inline',
      contentId: `${random.uint32()}@img`,
    };
    content = { multipart: 'related', boundary: boundary(), parts: [content, image] };
  }
  const files = random.weighted(draft.label === 'ham' ? HAM_FILES : SPAM_FILES);
  if (files.length > 0) {
    const parts = files.map(([type, name]) =>
      bytesLeaf(type, name.replace('#', String(random.between(1, 999))), random),
    );
    content = { multipart: 'mixed', boundary: boundary(), parts: [content, ...parts] };
  }
  return { content, text };
}

type Files = readonly (readonly [type: string, name: string])[];

const HAM_FILES: readonly (readonly [Files, number])[] = [
  [[], 80],
  [[['application/pdf', 'invoice-#.pdf']], 7],
  [
    [
      ['image/jpeg', 'IMG_#.jpg'],
      ['image/jpeg', 'IMG_#b.jpg'],
    ],
    5,
  ],
  [[['text/calendar', 'invite.ics']], 3],
  [[['application/octet-stream', 'Übersicht-#.xlsx']], 3],
  [[['text/x-patch', 'fix-#.patch']], 2],
];
const SPAM_FILES: readonly (readonly [Files, number])[] = [
  [[], 88],
  [[['application/zip', 'document-#.zip']], 4],
  [[['application/pdf', 'invoice-#.pdf']], 4],
  [[['image/gif', 'offer#.gif']], 4],
];

/** Some magic bytes and then noise: sizes and types matter here, contents do not. */
function bytesLeaf(type: string, name: string, random: Random): Leaf {
  const body = new Uint8Array(random.between(80, 2_500));
  for (let i = 0; i < body.length; i++) body[i] = random.uint32() >>> 24;
  body.set([0x89, 0x50, 0x4e, 0x47]);
  return { type, name, encoding: 'base64', body, disposition: 'attachment' };
}
