/**
 * HTML to what a reader sees, what is hidden from him, and the links with what they show. Promises: never throws; one
 * pass, linear in the length however broken the markup; comments leave no gap (`Via<!-- x -->gra` reads Viagra);
 * text that its own element hides (see style.ts) is told apart, and leaves no gap either. Script, style and title are
 * no text. It is no browser: style sheets and scripts are not followed.
 */

import { isClean, isFolded } from './plain.ts';
import { decodeEntities } from './references.ts';
import { BLANK, BREAK, Sink } from './sink.ts';
import { BLACK, colourOf, isUnreadable, styleOf, UNKNOWN, WHITE } from './style.ts';
import { endOfName, NameTable, noAttributes, readTag, type TagAttributes } from './tag.ts';
import { unitsOf } from './units.ts';

export interface Link {
  readonly shown: string;
  readonly target: string;
}

export interface VisibleHtml {
  readonly text: string;
  /** What stands in hidden elements, in order. */
  readonly hidden: string;
  readonly links: readonly Link[];
}

/** What an element does, as bits. */
const OPAQUE = 1;
const BLOCK = 2;
const CELL = 4;
/** Its attributes count for what is in it, so it stands on the stack. */
const TRACKED = 8;
/** What is opened in it cannot be closed from outside, nor the other way round. */
const BARRIER = 16;
/** Closing it goes through a barrier. */
const TABLE = 32;
/** Opening it closes an open `p`. */
const ENDS_P = 64;

interface Element {
  readonly name: string;
  readonly bits: number;
}

const ELEMENTS = new Map<string, Element>();
function declare(names: string, bits: number): void {
  for (const name of names.split(' ')) {
    ELEMENTS.set(name, { name, bits: bits | (ELEMENTS.get(name)?.bits ?? 0) });
  }
}
/** Content that is no markup and not shown (`plaintext` and `xmp` are too rare to care). */
declare('script style title noembed noframes iframe', OPAQUE);
/** Elements that begin a new line. */
declare(
  'address article blockquote br center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol option p pre section table tr ul select textarea body',
  BLOCK,
);
/** Elements that are set apart from their neighbour by a blank. */
declare('td th img input button', CELL);
declare(
  'div span font td th tr table a b i u em strong small big center p body section article li ul ol blockquote h1 h2 h3 h4 h5 h6',
  TRACKED,
);
/** Another sheet of styles. */
declare('link', 0);
declare('td th table', BARRIER);
declare('td th tr table body', TABLE);
declare('div p table center section article ul ol blockquote h1 h2 h3 h4 h5 h6 hr form', ENDS_P);
const UNNAMED: Element = { name: '', bits: 0 };
const NAMES = new NameTable(ELEMENTS, UNNAMED);
const P = ELEMENTS.get('p') as Element;
const TABLES = ELEMENTS.get('table') as Element;
const ROW = ELEMENTS.get('tr') as Element;

const MAX_LINKS = 1_000;
const MAX_SHOWN = 300;
const MAX_TARGET = 2_000;
/** Elements deeper than this have no say. */
const MAX_DEPTH = 256;
/** No further down the stack the opening of a closed element is looked for. */
const MAX_SEARCH = 32;
/** Hidden text beyond these units is dropped. */
const MAX_HIDDEN = 65_536;
const LINK_BLUE = 0x0000ee;

const HIDDEN = 1;
const TINY = 2;

// One reader works at a time, so they share their memory.
const FLAGS = new Uint8Array(MAX_DEPTH + 1);
const COLOURS = new Int32Array(MAX_DEPTH + 1);
const BACKGROUNDS = new Int32Array(MAX_DEPTH + 1);
const STACK = new Array<Element>(MAX_DEPTH).fill(UNNAMED);

class Reader {
  readonly #html: string;
  readonly #units: Uint16Array;
  /** After this index stands no `>` any more: what looks like a tag there is text. */
  readonly #lastClose: number;
  /** Where the last comment ends, -1 while nobody has asked. */
  #lastComment = -1;
  readonly #shown: Sink;
  #buried: Sink | null = null;
  /** Where text goes now: `#shown` or `#buried`. */
  #out: Sink;
  readonly links: Link[] = [];
  /** Of the open link, null outside of one, and where its text begins. */
  #target: string | null = null;
  #linkFrom = 0;
  readonly #attributes: TagAttributes = noAttributes();

  // The stack of open elements, and what holds in each: one more than there are, the first is of the whole.
  readonly #stack = STACK;
  #depth = 0;
  readonly #flags = FLAGS;
  readonly #colours = COLOURS;
  readonly #backgrounds = BACKGROUNDS;
  #tooDeep = 0;
  /** Whether the text that is hidden now takes room. */
  #isRoom = false;
  /** Whether backgrounds became unknown since it was last chosen where text goes. */
  #isStale = false;

  constructor(html: string) {
    this.#html = html;
    this.#units = unitsOf(html);
    this.#lastClose = html.lastIndexOf('>');
    this.#shown = new Sink(html.length, true);
    this.#out = this.#shown;
    this.#flags[0] = 0;
    this.#colours[0] = BLACK;
    this.#backgrounds[0] = WHITE;
  }

  read(): VisibleHtml {
    const html = this.#html;
    const end = html.length;
    let at = 0;
    while (at < end) {
      at = this.#out.take(html, this.#units, at, end);
      if (at < end) at = this.#markup(at);
    }
    this.#endLink();
    return {
      text: this.#shown.text(0, this.#shown.length),
      hidden: this.#buried === null ? '' : this.#buried.text(0, this.#buried.length),
      links: this.links,
    };
  }

  /** Reads the markup at `open`; returns the index after it. */
  #markup(open: number): number {
    const html = this.#html;
    const units = this.#units;
    const next = units[open + 1];
    if (next === 0x21 /* ! */ && html.startsWith('--', open + 2) && this.#isClosed(open)) {
      // One that is never closed is taken to end with its tag, as old readers do: nothing readable is lost.
      return html.indexOf('-->', open + 2) + 3;
    }
    const closing = next === 0x2f; /* / */
    const letter = (closing ? units[open + 2] : next) | 0x20;
    const isTag = letter >= 0x61 && letter <= 0x7a;
    if (!isTag && next !== 0x21 && next !== 0x3f /* ? */ && !closing) {
      this.#out.putLess();
      return open + 1;
    }
    if (open > this.#lastClose) return html.length; // a tag cut off: browsers drop it too
    if (!isTag) return html.indexOf('>', open) + 1;
    const from = closing ? open + 2 : open + 1;
    const named = endOfName(units, from);
    const element = NAMES.find(units, from, named);
    const end = readTag(html, units, named, this.#lastClose, this.#attributes);
    if (!closing) return this.#opened(element, end);
    if (element !== UNNAMED) this.#closed(element);
    return end;
  }

  /** Whether the comment that begins at `open` ends anywhere. */
  #isClosed(open: number): boolean {
    if (this.#lastComment < 0) this.#lastComment = Math.max(0, this.#html.lastIndexOf('-->'));
    return open + 2 <= this.#lastComment;
  }

  #opened(element: Element, end: number): number {
    const { bits } = element;
    if ((bits & OPAQUE) !== 0) {
      // A sheet may set any background: from here on only what elements say themselves is believed.
      if (element.name === 'style') this.#forgetBackgrounds();
      return skipOpaque(this.#html, element.name, end);
    }
    if ((bits & ENDS_P) !== 0) this.#popTo(P);
    if (element.name === 'td' || element.name === 'th') this.#popCell();
    if ((bits & TRACKED) !== 0) this.#push(element);
    if ((bits & BLOCK) !== 0) this.#gap(BREAK);
    else if ((bits & CELL) !== 0) this.#gap(BLANK);
    if (this.#attributes.any) this.#links(element.name);
    if (element.name === 'link') this.#forgetBackgrounds();
    return end;
  }

  /** What they are is told by a sheet that is not read. */
  #forgetBackgrounds(): void {
    this.#backgrounds.fill(UNKNOWN, 0, this.#depth + 1);
    this.#isStale = true;
  }

  #closed(element: Element): void {
    const { bits, name } = element;
    if ((bits & BLOCK) !== 0) this.#gap(BREAK);
    if (name === 'a') this.#endLink();
    if ((bits & TRACKED) === 0) return;
    if (this.#tooDeep > 0) this.#tooDeep -= 1;
    else this.#popTo(element);
  }

  /** Elements that take no room leave no gap either; those whose text only cannot be read do. */
  #gap(kind: number): void {
    this.#out.gap(kind);
    if (this.#out !== this.#shown && this.#flags[this.#depth] === 0) this.#shown.gap(kind);
  }

  #links(name: string): void {
    const { href, src, action, alt } = this.#attributes;
    if (name === 'a' && href !== null) {
      this.#endLink();
      this.#target = href;
      this.#linkFrom = this.#shown.length;
    } else if (name === 'area' && href !== null) this.#link(alt ?? '', href);
    else if (action !== null) this.#link('', action);
    else if (src !== null) this.#link(alt ?? '', src);
  }

  #endLink(): void {
    if (this.#target === null) return;
    const to = Math.min(this.#shown.length, this.#linkFrom + MAX_SHOWN);
    this.#link(this.#shown.text(this.#linkFrom, to), this.#target);
    this.#target = null;
  }

  #link(shown: string, target: string): void {
    if (this.links.length >= MAX_LINKS) return;
    const cut = target.length > 2 * MAX_TARGET ? target.slice(0, 2 * MAX_TARGET) : target;
    const clean = isClean(cut)
      ? cut
      : decodeEntities(cut)
          .replace(/[\t\r\n]/g, '')
          .trim();
    const begin = shown.length > MAX_SHOWN ? shown.slice(0, MAX_SHOWN) : shown;
    this.links.push({
      shown: isFolded(begin) ? begin : begin.replace(/\s+/g, ' ').trim(),
      target: clean.length > MAX_TARGET ? clean.slice(0, MAX_TARGET) : clean,
    });
  }

  /** Puts an element on the stack with what its attributes say. */
  #push(element: Element): void {
    const depth = this.#depth;
    if (depth >= MAX_DEPTH) {
      this.#tooDeep += 1;
      return;
    }
    this.#stack[depth] = element;
    this.#depth = depth + 1;
    let flags = this.#flags[depth];
    let colour = this.#colours[depth];
    let background = this.#backgrounds[depth];
    const found = this.#attributes;
    if (found.any) {
      if (element.name === 'a' && found.href !== null) colour = LINK_BLUE;
      if (found.colour !== null) colour = colourOf(found.colour);
      if (found.bgcolor !== null) background = colourOf(found.bgcolor);
      if (found.picture) background = UNKNOWN;
      if (found.size) flags &= ~TINY;
      if (found.hidden) flags |= HIDDEN;
      if (found.style !== null) {
        const style = styleOf(found.style);
        if (style.hides) flags |= HIDDEN;
        if (style.tiny !== undefined) flags = style.tiny ? flags | TINY : flags & ~TINY;
        colour = style.colour ?? colour;
        background = style.background ?? background;
      }
      if (found.named && this.#backgrounds[0] === UNKNOWN) background = UNKNOWN;
    }
    const isSame = flags === this.#flags[depth] && colour === this.#colours[depth];
    this.#flags[depth + 1] = flags;
    this.#colours[depth + 1] = colour;
    this.#backgrounds[depth + 1] = background;
    if (!isSame || background !== this.#backgrounds[depth]) this.#direct();
  }

  /** Closes the innermost open one of this element and what is open in it; not across a cell or a table. */
  #popTo(element: Element): void {
    const stack = this.#stack;
    const least = Math.max(0, this.#depth - MAX_SEARCH);
    const barrier = (element.bits & TABLE) === 0 ? BARRIER : 0;
    for (let level = this.#depth - 1; level >= least; level -= 1) {
      const open = stack[level];
      if (open === element) {
        this.#popAbove(level);
        return;
      }
      if ((open.bits & barrier) !== 0 || open === TABLES) return;
    }
  }

  /** A new cell closes the one before it in the same row. */
  #popCell(): void {
    const stack = this.#stack;
    const least = Math.max(0, this.#depth - MAX_SEARCH);
    for (let level = this.#depth - 1; level >= least; level -= 1) {
      const open = stack[level];
      if (open === TABLES || open === ROW) return;
      if ((open.bits & CELL) === 0) continue;
      this.#popAbove(level);
      return;
    }
  }

  #popAbove(level: number): void {
    const depth = this.#depth;
    this.#depth = level;
    const isSame =
      this.#flags[depth] === this.#flags[level] &&
      this.#colours[depth] === this.#colours[level] &&
      this.#backgrounds[depth] === this.#backgrounds[level];
    if (!isSame || this.#isStale) this.#direct();
  }

  /** Chooses where text goes by what holds now. */
  #direct(): void {
    const depth = this.#depth;
    this.#isStale = false;
    const isShown = this.#flags[depth] === 0 && !isUnreadable(this.#colours[depth], this.#backgrounds[depth]);
    if (isShown) {
      // Blanks in what cannot be read take their room all the same.
      if (this.#out !== this.#shown && this.#isRoom && this.#out.sawBlank) this.#shown.gap(BLANK);
      this.#out = this.#shown;
      return;
    }
    this.#isRoom = this.#flags[depth] === 0;
    if (this.#out === this.#shown) {
      this.#buried ??= new Sink(Math.min(this.#html.length, MAX_HIDDEN), false);
      this.#out = this.#buried;
      this.#out.gap(BREAK);
      this.#out.sawBlank = false;
    }
  }
}

const ENDS: ReadonlyMap<string, RegExp> = new Map(
  [...ELEMENTS.values()]
    .filter(({ bits }) => (bits & OPAQUE) !== 0)
    .map(({ name }) => [name, new RegExp(`</${name}[^>a-z0-9]*>`, 'gi')]),
);

/** Index after the end tag of an element whose content is not markup; the end of all where it is never closed. */
function skipOpaque(html: string, name: string, from: number): number {
  const pattern = ENDS.get(name) as RegExp;
  pattern.lastIndex = from;
  return pattern.test(html) ? pattern.lastIndex : html.length;
}

/** The text of an HTML document or fragment, blanks and empty lines collapsed, and its links. */
export function readHtml(html: string): VisibleHtml {
  return new Reader(html).read();
}

const URL = /\b(?:https?:\/\/|ftp:\/\/|www\.)[^\s<>"'()[\]{}]{2,2000}/gi;

/** `www.` and two letters. */
const MIN_LINK = 6;

/** Addresses that stand in plain text. They show what they are. */
export function plainLinks(text: string, limit = MAX_LINKS): Link[] {
  const links: Link[] = [];
  if (text.length < MIN_LINK || (!text.includes('://') && !/www\./i.test(text))) return links;
  for (const match of text.matchAll(URL)) {
    if (links.length >= limit) break;
    const target = match[0].replace(/[.,;:!?]+$/, '');
    links.push({ shown: target.slice(0, MAX_SHOWN), target });
  }
  return links;
}
