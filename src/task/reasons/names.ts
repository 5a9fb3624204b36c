/**
 * The names that the features of mail give their cells (`bodyPairs: be removed`), read for people. Promises: a sentence for each kind of
 * cell, the name itself for what is of no kind known here; nothing is left out but the second of two names that share a bucket,
 * which is told as `or …`.
 */

import { headerFormText, scaled, textFormText } from './forms.ts';

export interface Named {
  /** For a reader. */
  readonly text: string;
  /** For one who knows what it goes with. */
  readonly short: string;
  /** Words of one field are compared with each other only: `text`, or a header's name. */
  readonly field: string;
  /** The one of these that it is; the others are null. */
  readonly word: string | null;
  readonly pair: readonly [string, string] | null;
  /** Characters of decoded text. */
  readonly piece: string | null;
  /** A token of the raw mail. */
  readonly token: string | null;
}

const TEXT = 'text';
const HAS = 'headers';
const none = { field: '', word: null, pair: null, piece: null, token: null } as const;
const plain = (text: string): Named => ({ ...none, text, short: text });
const quoted = (text: string): string => JSON.stringify(text);

/** From the name of a cell. */
export function named(name: string): Named {
  const [first, ...others] = name.split(/ \| (?=[a-z]+(?:Pairs|Form)?: )/i);
  const [, kind, detail] = /^([a-z]+(?:Pairs|Form)?): (.*)$/is.exec(first) ?? [];
  const read = kind !== undefined && Object.hasOwn(KINDS, kind) ? KINDS[kind](detail) : plain(first);
  return others.length === 0 ? read : { ...read, text: `${read.text} or ${others.join(' or ')}` };
}

const word = (place: string, field: string, text: string): Named => ({
  ...{ ...none, field, word: text },
  ...{ text: `${place} ${quoted(text)}`, short: quoted(text) },
});

function pair(place: string, field: string, both: string): Named {
  const [a, b = ''] = both.split(' ');
  const shown = quoted(`${a} … ${b}`);
  return { ...none, field, pair: [a, b], text: `${place} ${shown}`, short: shown };
}

/** `name: rest`; a header's name has no colon. */
function ofHeader(detail: string): [place: string, field: string, rest: string] {
  const at = detail.indexOf(': ');
  const field = detail.slice(0, at);
  return [`header ${field}`, field, detail.slice(at + 2)];
}

function piece(place: string, field: string, detail: string): Named {
  const text = unquoted(detail);
  return {
    ...none,
    field,
    piece: text,
    text: `characters ${quoted(`…${text}…`)} ${place}`,
    short: quoted(`…${text}…`),
  };
}

function unquoted(detail: string): string {
  try {
    return String(JSON.parse(detail.split(' | ')[0]));
  } catch {
    return detail;
  }
}

function raw(detail: string): Named {
  const unseen = detail.startsWith('unseen ');
  const token = unquoted(unseen ? detail.slice('unseen '.length) : detail);
  const text = `${unseen ? 'not shown to the reader' : 'as sent'} ${quoted(token)}`;
  return { ...none, token: unseen ? null : token, text, short: text };
}

function structure(detail: string): Named {
  const [, has] = /^has (.+)$/.exec(detail) ?? [];
  if (has !== undefined)
    return { ...none, field: HAS, word: has, text: `has a header ${has}`, short: `has ${has}` };
  const [, before, then] = /^(\S+) then (\S+)$/.exec(detail) ?? [];
  if (then === undefined) return plain(`headers: ${sizes(detail)}`);
  const text = before === '^' ? `the first header is ${then}` : `header ${then} right after ${before}`;
  return {
    ...none,
    field: HAS,
    pair: [before, then],
    text,
    short: before === '^' ? 'it is the first' : text,
  };
}

const sizes = (text: string): string => text.replace(/\b\d+\b/g, (power) => scaled(Number(power)));

const DISGUISES: Readonly<Record<string, string>> = {
  invisible: 'characters without width inside words',
  styled: 'letters in styles of their own',
  struck: 'letters with strokes over them',
  foreign: 'words with letters that only look Latin',
  'hidden words': 'words hidden from the reader',
};

function disguise(detail: string): Named {
  const [, kind, power] = /^(.+) (\d+)$/.exec(detail) ?? [];
  return plain(kind in DISGUISES ? `${DISGUISES[kind]}: ${scaled(Number(power))}` : `disguise ${detail}`);
}

function attachments(detail: string): Named {
  const [, text, html, attached] = /^plain (\d+) html (\d+) attached (\d+)$/.exec(detail) ?? [];
  if (attached !== undefined) {
    const [a, b, c] = [text, html, attached].map((power) => scaled(Number(power)));
    return plain(`parts: plain ${a}, HTML ${b}, attached ${c}`);
  }
  if (detail.startsWith('text length ')) return plain(`characters of text: ${sizes(detail.slice(12))}`);
  return plain(`attachment, ${detail.startsWith('size ') ? `${sizes(detail)} bytes` : detail}`);
}

const KINDS: Readonly<Record<string, (detail: string) => Named>> = {
  body: (detail) => word('text', TEXT, detail),
  bodyPairs: (detail) => pair('text', TEXT, detail),
  chars: (detail) => piece('of the text', TEXT, detail),
  subject: (detail) => piece('of the subject', 'subject', detail),
  header: (detail) => word(...ofHeader(detail)),
  headerPairs: (detail) => pair(...ofHeader(detail)),
  raw,
  structure,
  links: (detail) => plain(/^number /.test(detail) ? `links: ${sizes(detail.slice(7))}` : `link, ${detail}`),
  attachments,
  disguise,
  headerForm: (detail) => plain(headerFormText(detail)),
  textForm: (detail) => plain(textFormText(detail)),
};
