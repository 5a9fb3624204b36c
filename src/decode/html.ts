/**
 * HTML to what a reader sees, and the links with what they show. Promises: never throws; one pass, linear in
 * the length however broken the markup; comments leave no gap (`Via<!-- x -->gra` reads Viagra); text in
 * elements hidden by their own style is left out, so are script, style and title. It is no browser: style
 * sheets, scripts and colours are not followed.
 */

import { decodeEntities } from './references.ts';

export interface Link {
  readonly shown: string;
  readonly target: string;
}

export interface VisibleHtml {
  readonly text: string;
  readonly links: readonly Link[];
}

/** Elements whose content is no markup and not shown (`plaintext` and `xmp` are too rare to care). */
const OPAQUE = new Set(['script', 'style', 'title', 'noembed', 'noframes', 'textarea', 'select']);
/** Elements that begin a new line. */
const BLOCK = new Set(
  'address article blockquote br center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol option p pre section table tr ul'.split(
    ' ',
  ),
);
/** Elements that are set apart from their neighbour by a blank. */
const CELL = new Set(['td', 'th', 'img', 'input', 'button']);
/** Elements whose style can hide what is in them; others are closed too carelessly in mail. */
const HIDER = new Set(['div', 'span', 'font', 'td', 'tr', 'table', 'a', 'b', 'i', 'center', 'section']);
const HIDDEN =
  /display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|max-height\s*:\s*0(?![.\d]*[1-9])/i;

const MAX_LINKS = 1_000;
const MAX_SHOWN = 300;
const MAX_TARGET = 2_000;
/** No more of one tag is searched for attributes. */
const MAX_TAG = 8_192;
const ATTRIBUTE = /\b(href|src|action|style|alt)\s*=\s*(?:"([^"]*)"?|'([^']*)'?|([^\s>]+))/gi;

class Reader {
  readonly #html: string;
  /** After this index stands no `>` any more: what looks like a tag there is text. */
  readonly #lastClose: number;
  readonly #lastComment: number;
  readonly links: Link[] = [];
  text = '';
  /** Text of the open link so far; kept apart because cutting it out of `text` would copy all of that each time. */
  #shown = '';
  /** Of the open link, null outside of one. */
  #target: string | null = null;
  #hiddenBy = '';
  #hiddenDepth = 0;
  /** The next `=` at or after where it was last asked for; Infinity for none. */
  #equals = -1;
  /** Off once a quoted value was found unclosed, as looking for its end again and again would be quadratic. */
  #quotes = true;

  constructor(html: string) {
    this.#html = html;
    this.#lastClose = html.lastIndexOf('>');
    this.#lastComment = html.lastIndexOf('-->') - 2;
  }

  read(): void {
    const html = this.#html;
    let at = 0;
    while (at < html.length) {
      const open = html.indexOf('<', at);
      if (open < 0) break;
      if (open > at) this.#show(html.slice(at, open));
      at = this.#markup(open);
    }
    if (at < html.length) this.#show(html.slice(at));
    this.#endLink();
  }

  #show(raw: string): void {
    if (this.#hiddenDepth === 0) this.#add(decodeEntities(raw));
  }

  #add(text: string): void {
    if (this.#hiddenDepth > 0) return;
    this.text += text;
    if (this.#target !== null && this.#shown.length < MAX_SHOWN) this.#shown += text.slice(0, MAX_SHOWN);
  }

  #equalsFrom(at: number): number {
    if (this.#equals < at) {
      const found = this.#html.indexOf('=', at);
      this.#equals = found < 0 ? Number.POSITIVE_INFINITY : found;
    }
    return this.#equals;
  }

  /** Reads the markup at `open`; returns the index after it. */
  #markup(open: number): number {
    const html = this.#html;
    const next = html.charCodeAt(open + 1);
    if (next === 0x21 /* ! */ && html.startsWith('--', open + 2)) {
      // One that is never closed is taken to end with its tag, as old readers do: nothing readable is lost.
      if (open <= this.#lastComment) return html.indexOf('-->', open + 2) + 3;
    }
    const closing = next === 0x2f; /* / */
    const letter = (closing ? html.charCodeAt(open + 2) : next) | 0x20;
    const isTag = letter >= 0x61 && letter <= 0x7a;
    if (!isTag && next !== 0x21 && next !== 0x3f /* ? */ && !closing) {
      this.#show('<');
      return open + 1;
    }
    if (open > this.#lastClose) return html.length; // a tag cut off: browsers drop it too
    const end = this.#tagEnd(open);
    if (!isTag) return end;
    const name = tagName(html, closing ? open + 2 : open + 1);
    if (closing) this.#closed(name);
    else return this.#opened(name, html.slice(open, Math.min(end, open + MAX_TAG)), end);
    return end;
  }

  /** Index after the `>` of the tag at `open`; a `>` in a quoted value does not count. */
  #tagEnd(open: number): number {
    const html = this.#html;
    const plain = html.indexOf('>', open) + 1;
    if (!this.#quotes) return plain;
    let at = open + 1;
    let close = plain - 1;
    for (;;) {
      const equals = this.#equalsFrom(at);
      if (equals > close) return close + 1;
      at = equals + 1;
      while (at < close && html.charCodeAt(at) <= 0x20) at += 1;
      const quote = html[at];
      if (quote !== '"' && quote !== "'") continue;
      const end = html.indexOf(quote, at + 1);
      if (end < 0 || end > this.#lastClose) {
        this.#quotes = false;
        return plain;
      }
      at = end + 1;
      if (at > close) close = html.indexOf('>', at);
    }
  }

  #opened(name: string, tag: string, end: number): number {
    if (OPAQUE.has(name)) return skipOpaque(this.#html, name, end);
    if (BLOCK.has(name)) this.#add('\n');
    else if (CELL.has(name)) this.#add(' ');
    if (this.#hiddenDepth > 0) {
      if (name === this.#hiddenBy) this.#hiddenDepth += 1;
      return end;
    }
    if (tag.length === name.length + 2) return end;
    const found = attributes(tag);
    if (HIDER.has(name) && found.style !== undefined && HIDDEN.test(found.style)) {
      this.#hiddenBy = name;
      this.#hiddenDepth = 1;
    }
    if (name === 'a' && found.href !== undefined) {
      this.#endLink();
      this.#target = found.href;
      this.#shown = '';
    } else if (name === 'area' && found.href !== undefined) this.#link(found.alt ?? '', found.href);
    else if (name === 'form' && found.action !== undefined) this.#link('', found.action);
    else if (found.src !== undefined) this.#link(found.alt ?? '', found.src);
    return end;
  }

  #closed(name: string): void {
    if (this.#hiddenDepth > 0) {
      if (name === this.#hiddenBy) this.#hiddenDepth -= 1;
    }
    if (name === 'a') this.#endLink();
    else if (BLOCK.has(name)) this.#add('\n');
  }

  #endLink(): void {
    if (this.#target !== null) this.#link(this.#shown.slice(0, MAX_SHOWN), this.#target);
    this.#target = null;
  }

  #link(shown: string, target: string): void {
    if (this.links.length >= MAX_LINKS) return;
    const clean = decodeEntities(target)
      .replace(/[\t\r\n]/g, '')
      .trim()
      .slice(0, MAX_TARGET);
    this.links.push({ shown: shown.slice(0, MAX_SHOWN).replace(/\s+/g, ' ').trim(), target: clean });
  }
}

function tagName(html: string, at: number): string {
  let end = at;
  // Longer than any element's name: such a tag is unknown anyway.
  while (end < at + 16) {
    const unit = html.charCodeAt(end);
    const lower = unit | 0x20;
    if (!((lower >= 0x61 && lower <= 0x7a) || (unit >= 0x30 && unit <= 0x39))) break;
    end += 1;
  }
  return html.slice(at, end).toLowerCase();
}

/** Index after the end tag of an element whose content is not markup; the end of all where it is never closed. */
function skipOpaque(html: string, name: string, from: number): number {
  const pattern = new RegExp(`</${name}[^>a-z0-9]*>`, 'gi');
  pattern.lastIndex = from;
  const match = pattern.exec(html);
  return match === null ? html.length : pattern.lastIndex;
}

type Attributes = Partial<Record<'href' | 'src' | 'action' | 'style' | 'alt', string>>;

function attributes(tag: string): Attributes {
  const found: Attributes = {};
  for (const match of tag.matchAll(ATTRIBUTE)) {
    const name = match[1].toLowerCase() as keyof Attributes;
    found[name] ??= match[2] ?? match[3] ?? match[4];
  }
  return found;
}

/** The visible text of an HTML document or fragment, blanks and empty lines collapsed, and its links. */
export function readHtml(html: string): VisibleHtml {
  const reader = new Reader(html);
  reader.read();
  const text = reader.text
    .replace(/[ \t\r\f\v\u00a0]+/g, ' ')
    .replace(/ ?\n[ \n]*/g, '\n')
    .trim();
  return { text, links: reader.links };
}

const URL = /\b(?:https?:\/\/|ftp:\/\/|www\.)[^\s<>"'()[\]{}]{2,2000}/gi;

/** Addresses that stand in plain text. They show what they are. */
export function plainLinks(text: string, limit = MAX_LINKS): Link[] {
  const links: Link[] = [];
  if (!text.includes('://') && !/www\./i.test(text)) return links;
  for (const match of text.matchAll(URL)) {
    if (links.length >= limit) break;
    const target = match[0].replace(/[.,;:!?]+$/, '');
    links.push({ shown: target.slice(0, MAX_SHOWN), target });
  }
  return links;
}
