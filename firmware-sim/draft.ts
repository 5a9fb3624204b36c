/**
 * From a draft to the headers and the MIME tree of a message: Received chains, lists and replies, plain
 * text and HTML, alternatives, inline images and attachments, in the proportions that ham and spam differ in.
 * What it is given to say was decided before (mail.ts); how it is written is decided here.
 */
import type { Charset } from './charsets.ts';
import { encodeHeaderText, foldHeader, type Leaf, type Multipart, type TransferEncoding } from './mime.ts';
import { documentationIp, madeUpDomain, type Persona } from './personas.ts';
import { type MailLabel, madeUpWord, type Topic } from './phrases.ts';
import type { Random } from './random.ts';

/** Everything that was decided about one message before it is written. */
export interface Draft {
  readonly label: MailLabel;
  readonly from: Persona;
  readonly topic: Topic;
  readonly charset: Charset;
  readonly subject: string;
  readonly paragraphs: readonly string[];
  readonly links: readonly { readonly shown: string; readonly target: string }[];
  readonly at: number;
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

/** The header lines of a draft, folded, in the order of the wire. */
export function writeHeaders(draft: Draft, messageId: string, mailbox: string, random: Random): string[] {
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

/** The MIME tree of a draft, and its plain text as the reader sees it. */
export function writeBody(
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
