/**
 * Character references of HTML (`&amp;`, `&#233;`, `&#xe9;`; WHATWG HTML 13.5, the names of HTML 4). Promises: what is
 * unknown stays as it stands, what is no character becomes U+FFFD, numbers 128 to 159 are read as windows-1252, as
 * browsers do. A decoded reference is never longer than what stood for it.
 */
import { CP1252 } from './charset.ts';

/** Names of U+00A0 to U+00FF in order. Browsers accept them without the semicolon too. */
const LATIN1 =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro ' +
  'para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil ' +
  'Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave ' +
  'Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml ' +
  'igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute ' +
  'thorn yuml';
/** Names of U+0391 to U+03A9, with a gap at U+03A2; the small ones lie 32 further on. */
const GREEK =
  'Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi Rho - Sigma Tau Upsilon Phi Chi Psi Omega';
const OTHERS: Readonly<Record<string, number>> = {
  amp: 0x26,
  AMP: 0x26,
  lt: 0x3c,
  LT: 0x3c,
  gt: 0x3e,
  GT: 0x3e,
  quot: 0x22,
  QUOT: 0x22,
  apos: 0x27,
  COPY: 0xa9,
  REG: 0xae,
  OElig: 0x152,
  oelig: 0x153,
  Scaron: 0x160,
  scaron: 0x161,
  Yuml: 0x178,
  fnof: 0x192,
  circ: 0x2c6,
  tilde: 0x2dc,
  sigmaf: 0x3c2,
  thetasym: 0x3d1,
  upsih: 0x3d2,
  piv: 0x3d6,
  ensp: 0x2002,
  emsp: 0x2003,
  thinsp: 0x2009,
  zwnj: 0x200c,
  zwj: 0x200d,
  lrm: 0x200e,
  rlm: 0x200f,
  ndash: 0x2013,
  mdash: 0x2014,
  lsquo: 0x2018,
  rsquo: 0x2019,
  sbquo: 0x201a,
  ldquo: 0x201c,
  rdquo: 0x201d,
  bdquo: 0x201e,
  dagger: 0x2020,
  Dagger: 0x2021,
  bull: 0x2022,
  hellip: 0x2026,
  permil: 0x2030,
  prime: 0x2032,
  Prime: 0x2033,
  lsaquo: 0x2039,
  rsaquo: 0x203a,
  frasl: 0x2044,
  oline: 0x203e,
  euro: 0x20ac,
  image: 0x2111,
  weierp: 0x2118,
  real: 0x211c,
  alefsym: 0x2135,
  trade: 0x2122,
  larr: 0x2190,
  uarr: 0x2191,
  rarr: 0x2192,
  darr: 0x2193,
  harr: 0x2194,
  crarr: 0x21b5,
  lArr: 0x21d0,
  uArr: 0x21d1,
  rArr: 0x21d2,
  dArr: 0x21d3,
  hArr: 0x21d4,
  forall: 0x2200,
  part: 0x2202,
  exist: 0x2203,
  empty: 0x2205,
  nabla: 0x2207,
  isin: 0x2208,
  notin: 0x2209,
  ni: 0x220b,
  prod: 0x220f,
  sum: 0x2211,
  minus: 0x2212,
  lowast: 0x2217,
  radic: 0x221a,
  prop: 0x221d,
  infin: 0x221e,
  ang: 0x2220,
  and: 0x2227,
  or: 0x2228,
  cap: 0x2229,
  cup: 0x222a,
  int: 0x222b,
  there4: 0x2234,
  sim: 0x223c,
  cong: 0x2245,
  asymp: 0x2248,
  ne: 0x2260,
  equiv: 0x2261,
  le: 0x2264,
  ge: 0x2265,
  sub: 0x2282,
  sup: 0x2283,
  nsub: 0x2284,
  sube: 0x2286,
  supe: 0x2287,
  oplus: 0x2295,
  otimes: 0x2297,
  perp: 0x22a5,
  sdot: 0x22c5,
  lceil: 0x2308,
  rceil: 0x2309,
  lfloor: 0x230a,
  rfloor: 0x230b,
  lang: 0x2329,
  rang: 0x232a,
  loz: 0x25ca,
  spades: 0x2660,
  clubs: 0x2663,
  hearts: 0x2665,
  diams: 0x2666,
};

const NAMES = new Map<string, number>(Object.entries(OTHERS));
for (const [i, name] of LATIN1.split(' ').entries()) NAMES.set(name, 0xa0 + i);
for (const [i, name] of GREEK.split(' ').entries()) {
  NAMES.set(name, 0x391 + i);
  NAMES.set(name.toLowerCase(), 0x3b1 + i);
}
/** The longest name. */
const MAX_NAME = 8;

/** What the reference found last was: its code point, and where the text goes on. */
export const reference = { point: 0, end: 0 };

/** Reads the reference whose `&` stands at `at` into `reference`; false where none stands there. */
export function readReference(text: string, at: number): boolean {
  return text.charCodeAt(at + 1) === 0x23 /* # */ ? readNumber(text, at) : readName(text, at);
}

/** Digits beyond these make no character. */
const MAX_DIGITS = 8;

function readNumber(text: string, at: number): boolean {
  const isHex = (text.charCodeAt(at + 2) | 0x20) === 0x78;
  const from = at + (isHex ? 3 : 2);
  let i = from;
  let value = 0;
  for (; i < from + MAX_DIGITS; i += 1) {
    const digit = digitOf(text.charCodeAt(i), isHex);
    if (digit < 0) break;
    value = value * (isHex ? 16 : 10) + digit;
  }
  if (i === from) return false;
  reference.end = text.charCodeAt(i) === 0x3b ? i + 1 : i;
  if (value === 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) reference.point = 0xfffd;
  else if (value >= 0x80 && value <= 0x9f) reference.point = CP1252.charCodeAt(value - 0x80);
  else reference.point = value;
  return true;
}

function digitOf(unit: number, isHex: boolean): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return isHex && lower >= 0x61 && lower <= 0x66 ? lower - 87 : -1;
}

function readName(text: string, at: number): boolean {
  let end = at + 1;
  while (end <= at + MAX_NAME && isAlphanumeric(text.charCodeAt(end))) end += 1;
  if (end === at + 1) return false;
  const closed = text.charCodeAt(end) === 0x3b;
  const name = text.slice(at + 1, end);
  // Shouted names (`&NBSP;`) are none in browsers, but nothing else can be meant.
  const point = NAMES.get(name) ?? (closed ? NAMES.get(name.toLowerCase()) : undefined);
  if (point === undefined) return readPrefix(text, at, end);
  reference.point = point;
  reference.end = closed ? end + 1 : end;
  return true;
}

/** `&nbspand`: the old names end where they end. */
function readPrefix(text: string, at: number, most: number): boolean {
  for (let end = most - 1; end > at + 2; end -= 1) {
    const point = NAMES.get(text.slice(at + 1, end));
    if (point === undefined || point > 0xff || point === 0x27) continue;
    reference.point = point;
    reference.end = end;
    return true;
  }
  return false;
}

function isAlphanumeric(unit: number): boolean {
  const lower = unit | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (unit >= 0x30 && unit <= 0x39);
}

/**
 * The value of an attribute with its references replaced; unknown ones stay as they are. A name without its semicolon is
 * none where `=` or a letter follows (`?a=1&copy=2`), as browsers have it.
 */
export function decodeEntities(text: string): string {
  let next = text.indexOf('&');
  if (next < 0) return text;
  let out = '';
  let done = 0;
  for (; next >= 0; next = text.indexOf('&', next)) {
    if (!readReference(text, next) || isOfQuery(text, next)) {
      next += 1;
      continue;
    }
    out += text.slice(done, next) + String.fromCodePoint(reference.point);
    done = reference.end;
    next = done;
  }
  return out + text.slice(done);
}

function isOfQuery(text: string, at: number): boolean {
  const { end } = reference;
  if (text.charCodeAt(at + 1) === 0x23 || text.charCodeAt(end - 1) === 0x3b) return false;
  return text.charCodeAt(end) === 0x3d || isAlphanumeric(text.charCodeAt(end));
}
