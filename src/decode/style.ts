/**
 * Whether an element shows its text, as far as its own attributes tell. Promises: never throws; linear in the length of
 * the style. Knows display, visibility, `hidden`, sizes of nothing, fully transparent, moved off the
 * screen, and colours equal to the background they stand on. It is no browser: style sheets are not followed, so where a
 * class may have set the background, colours prove nothing.
 */
import { detached, hexDigit } from './charset.ts';

/** Not known: set by a picture, a style sheet or words that are not read. */
export const UNKNOWN = -1;
export const WHITE = 0xffffff;
export const BLACK = 0;

/** The names that mail uses; the others are unknown and hide nothing. */
const COLOURS = new Map<string, number>(
  Object.entries({
    white: WHITE,
    black: BLACK,
    red: 0xff0000,
    green: 0x008000,
    lime: 0x00ff00,
    blue: 0x0000ff,
    yellow: 0xffff00,
    navy: 0x000080,
    gray: 0x808080,
    grey: 0x808080,
    silver: 0xc0c0c0,
    maroon: 0x800000,
    purple: 0x800080,
    fuchsia: 0xff00ff,
    magenta: 0xff00ff,
    olive: 0x808000,
    teal: 0x008080,
    aqua: 0x00ffff,
    cyan: 0x00ffff,
    orange: 0xffa500,
    snow: 0xfffafa,
    ivory: 0xfffff0,
    ghostwhite: 0xf8f8ff,
    whitesmoke: 0xf5f5f5,
  }),
);

/** A longer text names no colour. */
const MAX_COLOUR = 32;

/** `#fff`, `#ffffff` (with or without the mark, as browsers read attributes), `rgb(…)` or a name to 0xRRGGBB. */
export function colourOf(raw: string): number {
  if (raw.length > MAX_COLOUR) return UNKNOWN;
  const usual = raw.length === 7 && raw.charCodeAt(0) === 0x23 ? sixDigits(raw) : UNKNOWN;
  if (usual !== UNKNOWN) return usual;
  const text = raw.trim().toLowerCase();
  const named = COLOURS.get(text);
  if (named !== undefined) return named;
  const hex = /^#?([0-9a-f]{6}|[0-9a-f]{3})$/.exec(text)?.[1];
  if (hex !== undefined) return Number.parseInt(hex.length === 6 ? hex : hex.replace(/./g, '$&$&'), 16);
  const rgb = /^rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})/.exec(text);
  if (rgb === null) return UNKNOWN;
  const [red, green, blue] = [rgb[1], rgb[2], rgb[3]].map((one) => Math.min(255, Number(one)));
  return (red << 16) | (green << 8) | blue;
}

/** The number after `#`; UNKNOWN where it is none. */
function sixDigits(raw: string): number {
  let colour = 0;
  for (let i = 1; i < 7; i += 1) {
    const digit = hexDigit(raw.charCodeAt(i));
    if (digit < 0) return UNKNOWN;
    colour = (colour << 4) | digit;
  }
  return colour;
}

/** Channels nearer than this to each other cannot be told apart by eye. */
const INDISTINCT = 12;

/** Whether text of one colour cannot be read on the other; never where one is unknown. */
export function isUnreadable(colour: number, background: number): boolean {
  if (colour === background) return colour !== UNKNOWN;
  if (colour === UNKNOWN || background === UNKNOWN) return false;
  for (let shift = 0; shift <= 16; shift += 8)
    if (Math.abs(((colour >> shift) & 255) - ((background >> shift) & 255)) >= INDISTINCT) return false;
  return true;
}

/** What one `style` says; colours are undefined where it says nothing of them. */
export interface Style {
  readonly hides: boolean;
  /** Whether letters are too small to see; a smaller element inside may say otherwise. */
  readonly tiny: boolean | undefined;
  readonly colour: number | undefined;
  readonly background: number | undefined;
}

const NOTHING: Style = { hides: false, tiny: undefined, colour: undefined, background: undefined };
/** Anything that is looked at below carries one of these. */
const RELEVANT = /none|hid|colla|size|height|width|opac|color|back|indent|left|top|clip|font/i;
/** No more of a style is read. */
const MAX_STYLE = 2_048;
const ZERO = /^(?:0*\.)?0+(?:\.0*)?[a-z%]*$/;
/** Up to one pixel or point. */
const TINY = /^(?:(?:0*\.\d+|0+|0*1)(?:\.0*)?(?:px|pt)?|0+(?:\.0*)?[a-z%]*|0*\.0\d*r?em|[01]?(?:\.\d*)?%)$/;
const NO_SIZE = /(?:^|\s)0(?:px|pt|em)?(?:\s|\/|$)/;
const NO_RECTANGLE = /^rect\(\s*[01](?:px)?(?:[\s,]+[01](?:px)?){3}\s*\)$/;
const FAR = /^-\d{3,}/;

const known = new Map<string, Style>();
/** Styles come from strangers: what is remembered of them is bounded. */
const MAX_KNOWN = 256;
const MAX_KNOWN_LENGTH = 200;

/** Reads a `style` attribute. Mails repeat few styles many times: those are remembered. */
export function styleOf(text: string): Style {
  const seen = known.get(text);
  if (seen !== undefined) return seen;
  const style = RELEVANT.test(text) ? read(text.slice(0, MAX_STYLE)) : NOTHING;
  if (text.length <= MAX_KNOWN_LENGTH) {
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(detached(text), style);
  }
  return style;
}

function read(text: string): Style {
  let hides = false;
  let clipped = false;
  let empty = false;
  let tiny: boolean | undefined;
  let colour: number | undefined;
  let background: number | undefined;
  for (const declaration of text.toLowerCase().split(';')) {
    const colon = declaration.indexOf(':');
    if (colon < 0) continue;
    const name = declaration.slice(0, colon).trim();
    const value = declaration
      .slice(colon + 1)
      .replace(/!\s*important/, '')
      .trim();
    if (name === 'color') {
      colour = colourOf(value);
      hides ||= value === 'transparent';
    } else if (name === 'background-color') background = backgroundOf(value, background);
    else if (name === 'background') background = backgroundOf(value, background);
    else if (name === 'font-size') tiny = TINY.test(value);
    else if (name === 'font') tiny = NO_SIZE.test(value);
    else if (name === 'overflow') clipped ||= value === 'hidden';
    else if (name === 'height' || name === 'width') empty ||= ZERO.test(value);
    else hides ||= isHiding(name, value);
  }
  return { hides: hides || (clipped && empty), tiny, colour, background };
}

function isHiding(name: string, value: string): boolean {
  switch (name) {
    case 'display':
      return value === 'none';
    case 'visibility':
      return value === 'hidden' || value === 'collapse';
    case 'mso-hide':
      return value === 'all';
    case 'opacity':
    case 'max-height':
    case 'max-width':
      return ZERO.test(value);
    case 'text-indent':
    case 'left':
    case 'top':
    case 'margin-left':
    case 'margin-top':
      return FAR.test(value);
    case 'clip':
      return NO_RECTANGLE.test(value);
    default:
      return false;
  }
}

/** `background` may hold a picture and other words beside its colour. */
function backgroundOf(value: string, before: number | undefined): number | undefined {
  if (value === 'transparent' || value === 'none' || value === '' || value === 'inherit') return before;
  if (value.includes('url(') || value.includes('gradient')) return UNKNOWN;
  const whole = colourOf(value);
  return whole === UNKNOWN ? colourOf(value.split(/\s/, 1)[0]) : whole;
}
