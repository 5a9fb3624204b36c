/**
 * One tag of HTML: its name, where it ends, and the attributes that tell what is shown and where links lead. Promises: one
 * look at each letter; a `>` in a quoted value does not end the tag; of an attribute given twice the first counts.
 */

/** What a tag says; null or false where it says nothing. Reused from tag to tag. */
export interface TagAttributes {
  /** Whether there was any attribute at all. */
  any: boolean;
  href: string | null;
  src: string | null;
  action: string | null;
  alt: string | null;
  style: string | null;
  /** `color` of a font, `text` of the body. */
  colour: string | null;
  bgcolor: string | null;
  /** A picture behind it. */
  picture: boolean;
  /** `size` of a font. */
  size: boolean;
  hidden: boolean;
  /** A class or an id: a style sheet may say more. */
  named: boolean;
  /** Off once a quoted value was found unclosed: looking for its end again and again would be quadratic. */
  quotes: boolean;
}

export function noAttributes(): TagAttributes {
  return {
    any: false,
    href: null,
    src: null,
    action: null,
    alt: null,
    style: null,
    colour: null,
    bgcolor: null,
    picture: false,
    size: false,
    hidden: false,
    named: false,
    quotes: true,
  };
}

function clear(found: TagAttributes): void {
  found.any = false;
  found.href = null;
  found.src = null;
  found.action = null;
  found.alt = null;
  found.style = null;
  found.colour = null;
  found.bgcolor = null;
  found.picture = false;
  found.size = false;
  found.hidden = false;
  found.named = false;
}

/** Longer than any element's name: such a tag is unknown anyway. */
const MAX_NAME = 16;

/** Index after the letters and digits of the name that begins at `at`. */
export function endOfName(units: Uint16Array, at: number): number {
  let end = at;
  while (end < at + MAX_NAME && isNameUnit(units[end])) end += 1;
  return end;
}

function isNameUnit(unit: number): boolean {
  const lower = unit | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (unit >= 0x30 && unit <= 0x39);
}

/** Names in lower case, each with what it stands for, found by the letters themselves in any case. */
export class NameTable<T> {
  readonly #none: T;
  readonly #mask: number;
  readonly #names: string[];
  readonly #values: T[];

  /** `none` is what all other names stand for. */
  constructor(names: ReadonlyMap<string, T>, none: T) {
    const size = 2 ** (34 - Math.clz32(names.size));
    this.#none = none;
    this.#mask = size - 1;
    this.#names = new Array<string>(size).fill('');
    this.#values = new Array<T>(size).fill(none);
    for (const [name, value] of names) {
      const units = Uint16Array.from(name, (letter) => letter.charCodeAt(0));
      let slot = this.#slotOf(units, 0, name.length);
      while (this.#names[slot] !== '') slot = (slot + 1) & this.#mask;
      this.#names[slot] = name;
      this.#values[slot] = value;
    }
  }

  /** Of the name that stands in units[from, to). */
  find(units: Uint16Array, from: number, to: number): T {
    for (let slot = this.#slotOf(units, from, to); ; slot = (slot + 1) & this.#mask) {
      const name = this.#names[slot];
      if (name === '') return this.#none;
      if (name.length === to - from && is(units, from, name)) return this.#values[slot];
    }
  }

  #slotOf(units: Uint16Array, from: number, to: number): number {
    let hash = to - from;
    for (let i = from; i < to; i += 1) hash = Math.imul(hash, 0x01000193) ^ (units[i] | 0x20);
    return (hash ^ (hash >>> 9)) & this.#mask;
  }
}

const GREATER = 0x3e;
const EQUALS = 0x3d;
const SLASH = 0x2f;

/**
 * Reads the attributes after a tag's name into `found`; returns the index after its `>`. There must be a `>` at or
 * before `lastClose`, the last one of all. `units` are those of the text, so that only values are cut from it.
 */
export function readTag(
  html: string,
  units: Uint16Array,
  from: number,
  lastClose: number,
  found: TagAttributes,
): number {
  if (found.any) clear(found);
  let at = from;
  for (;;) {
    let unit = units[at];
    if (unit === GREATER) return at + 1;
    if (unit <= 0x20 || unit === SLASH) {
      at += 1;
      continue;
    }
    if (at > lastClose) return html.length;
    const name = at;
    do {
      at += 1;
      unit = units[at];
    } while (unit > 0x20 && unit !== EQUALS && unit !== GREATER && unit !== SLASH);
    const nameEnd = at;
    while (unit <= 0x20) unit = units[++at];
    found.any = true;
    if (unit !== EQUALS) {
      if (nameEnd - name === 6) keep(html, units, name, nameEnd, 0, 0, found);
      continue;
    }
    do unit = units[++at];
    while (unit <= 0x20);
    let close = -1;
    if (found.quotes && (unit === 0x22 || unit === 0x27)) {
      close = closeOf(html, units, unit, at + 1, lastClose);
      if (close < 0 || close > lastClose) {
        found.quotes = false;
        close = -1;
      }
    }
    if (close >= 0) {
      keep(html, units, name, nameEnd, at + 1, close, found);
      at = close + 1;
      continue;
    }
    const value = unit === 0x22 || unit === 0x27 ? at + 1 : at;
    while (unit > 0x20 && unit !== GREATER) unit = units[++at];
    keep(html, units, name, nameEnd, Math.min(value, at), at, found);
  }
}

/** Values are searched here so far: a call into native code costs more. */
const SHORT = 32;

/** Index of the quote that closes a value; -1 or behind `lastClose` where none does. */
function closeOf(html: string, units: Uint16Array, quote: number, from: number, lastClose: number): number {
  const near = Math.min(lastClose, from + SHORT);
  for (let i = from; i < near; i += 1) if (units[i] === quote) return i;
  return html.indexOf(quote === 0x22 ? '"' : "'", near);
}

/** Keeps the attribute whose name and value stand there, if it is one that counts. */
function keep(
  html: string,
  units: Uint16Array,
  name: number,
  nameEnd: number,
  from: number,
  to: number,
  found: TagAttributes,
): void {
  const first = units[name] | 0x20;
  switch (nameEnd - name) {
    case 2:
      if (first === 0x69) found.named ||= is(units, name, 'id');
      return;
    case 3:
      if (first === 0x73 && found.src === null && is(units, name, 'src')) found.src = html.slice(from, to);
      else if (first === 0x61 && found.alt === null && is(units, name, 'alt'))
        found.alt = html.slice(from, to);
      return;
    case 4:
      if (first === 0x68 && found.href === null && is(units, name, 'href')) found.href = html.slice(from, to);
      else if (first === 0x74 && found.colour === null && is(units, name, 'text'))
        found.colour = html.slice(from, to);
      else if (first === 0x73) found.size ||= is(units, name, 'size');
      return;
    case 5:
      if (first === 0x73 && found.style === null && is(units, name, 'style'))
        found.style = html.slice(from, to);
      else if (first === 0x63 && found.colour === null && is(units, name, 'color'))
        found.colour = html.slice(from, to);
      else if (first === 0x63) found.named ||= is(units, name, 'class');
      return;
    case 6:
      if (first === 0x61 && found.action === null && is(units, name, 'action'))
        found.action = html.slice(from, to);
      else if (first === 0x68) found.hidden ||= is(units, name, 'hidden');
      return;
    case 7:
      if (first === 0x62 && found.bgcolor === null && is(units, name, 'bgcolor'))
        found.bgcolor = html.slice(from, to);
      return;
    case 10:
      if (first === 0x62) found.picture ||= is(units, name, 'background');
  }
}

/** Whether a word in lower case stands at `at`, in any case. */
function is(units: Uint16Array, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i += 1) if ((units[at + i] | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}
