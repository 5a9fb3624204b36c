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

/** The letters and digits of the name that begins at `at`. */
export function tagName(html: string, at: number): string {
  let end = at;
  while (end < at + MAX_NAME) {
    const unit = html.charCodeAt(end);
    const lower = unit | 0x20;
    if (!((lower >= 0x61 && lower <= 0x7a) || (unit >= 0x30 && unit <= 0x39))) break;
    end += 1;
  }
  return html.slice(at, end);
}

const GREATER = 0x3e;
const EQUALS = 0x3d;
const SLASH = 0x2f;

/**
 * Reads the attributes after a tag's name into `found`; returns the index after its `>`. There must be a `>` at or
 * before `lastClose`, the last one of all.
 */
export function readTag(html: string, from: number, lastClose: number, found: TagAttributes): number {
  if (found.any) clear(found);
  let at = from;
  for (;;) {
    let unit = html.charCodeAt(at);
    if (unit === GREATER) return at + 1;
    if (unit <= 0x20 || unit === SLASH) {
      at += 1;
      continue;
    }
    if (at > lastClose) return html.length;
    const name = at;
    do {
      at += 1;
      unit = html.charCodeAt(at);
    } while (unit > 0x20 && unit !== EQUALS && unit !== GREATER && unit !== SLASH);
    const nameEnd = at;
    while (unit <= 0x20) unit = html.charCodeAt(++at);
    found.any = true;
    if (unit !== EQUALS) {
      if (nameEnd - name === 6) keep(html, name, nameEnd, 0, 0, found);
      continue;
    }
    do unit = html.charCodeAt(++at);
    while (unit <= 0x20);
    let close = -1;
    if (found.quotes && (unit === 0x22 || unit === 0x27)) {
      close = html.indexOf(unit === 0x22 ? '"' : "'", at + 1);
      if (close < 0 || close > lastClose) {
        found.quotes = false;
        close = -1;
      }
    }
    if (close >= 0) {
      keep(html, name, nameEnd, at + 1, close, found);
      at = close + 1;
      continue;
    }
    const value = unit === 0x22 || unit === 0x27 ? at + 1 : at;
    while (unit > 0x20 && unit !== GREATER) unit = html.charCodeAt(++at);
    keep(html, name, nameEnd, Math.min(value, at), at, found);
  }
}

/** Keeps the attribute whose name and value stand there, if it is one that counts. */
function keep(
  html: string,
  name: number,
  nameEnd: number,
  from: number,
  to: number,
  found: TagAttributes,
): void {
  const first = html.charCodeAt(name) | 0x20;
  switch (nameEnd - name) {
    case 2:
      if (first === 0x69) found.named ||= is(html, name, 'id');
      return;
    case 3:
      if (first === 0x73 && found.src === null && is(html, name, 'src')) found.src = html.slice(from, to);
      else if (first === 0x61 && found.alt === null && is(html, name, 'alt'))
        found.alt = html.slice(from, to);
      return;
    case 4:
      if (first === 0x68 && found.href === null && is(html, name, 'href')) found.href = html.slice(from, to);
      else if (first === 0x74 && found.colour === null && is(html, name, 'text'))
        found.colour = html.slice(from, to);
      else if (first === 0x73) found.size ||= is(html, name, 'size');
      return;
    case 5:
      if (first === 0x73 && found.style === null && is(html, name, 'style'))
        found.style = html.slice(from, to);
      else if (first === 0x63 && found.colour === null && is(html, name, 'color'))
        found.colour = html.slice(from, to);
      else if (first === 0x63) found.named ||= is(html, name, 'class');
      return;
    case 6:
      if (first === 0x61 && found.action === null && is(html, name, 'action'))
        found.action = html.slice(from, to);
      else if (first === 0x68) found.hidden ||= is(html, name, 'hidden');
      return;
    case 7:
      if (first === 0x62 && found.bgcolor === null && is(html, name, 'bgcolor'))
        found.bgcolor = html.slice(from, to);
      return;
    case 10:
      if (first === 0x62) found.picture ||= is(html, name, 'background');
  }
}

/** Whether a word in lower case stands at `at`, in any case. */
function is(html: string, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i += 1)
    if ((html.charCodeAt(at + i) | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}
