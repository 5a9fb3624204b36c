/**
 * From what was seen to what is declared: the fields of a reading with types, units and ranges, its time, and which
 * member names the device. Promises to invent nothing: what was seen too seldom gets no range and says so; what would
 * describe the messages rather than the world (numbers of messages, names, labels) is left out with the reason.
 */
import { MOST_FIELDS, nameOf, placesByName } from './names.ts';
import type { Place, Shape } from './shape.ts';

export interface Field {
  readonly name: string;
  readonly pointer: string;
  readonly type: 'number' | 'category' | 'boolean' | 'time';
  readonly unit: string | null;
  /** Lowest and highest plausible: what was seen, widened; null where too little was seen. */
  readonly range: readonly [number, number] | null;
  /** What was seen, for people. */
  readonly seen: string;
}

export interface LeftOut {
  readonly pointer: string;
  readonly reason: string;
}

export interface TimeField {
  readonly pointer: string;
  /** `RFC 3339 text`, `Unix seconds`, `Unix milliseconds`. */
  readonly format: string;
}

export interface Judged {
  readonly fields: readonly Field[];
  readonly leftOut: readonly LeftOut[];
  readonly time: TimeField | null;
  /** A member that names the device. */
  readonly device: { readonly pointer: string; readonly names: number } | null;
}

/** Fewer numbers say nothing about a range. */
const ENOUGH = 20;
/** Beyond what was seen, to each side, in widths of it. */
const SLACK = 3;
const MOST_CATEGORIES = 32;
const MOST_LEFT_OUT = 50;

const TIME =
  /^(?:t|ts|time|date|at|date_?time|time_?stamp|(?:event|created|measured|recorded|sampled|sent|received)_?(?:at|on|time)?)$/i;
const DEVICE =
  /^(?:device|sensor|machine|asset|node|unit|station|meter|equipment|client|thing|host)(?:[_-]?(?:id|name|no|number|serial))?$|^(?:id|serial|serial_?n(?:o|umber))$/i;
const NUMBERING =
  /^(?:seq|seq_?n(?:o|r|um|umber)|sequence(?:_?number)?|msg_?id|message_?id|packet(?:_?id)?|frame(?:_?id)?|uuid|guid|offset)$/i;
const ANSWER = /^(?:label|class|target|verdict|ground_?truth|is_?(?:fault|anomaly|spam)|anomaly)$/i;

/** Judges a shape. */
export function judge(shape: Shape): Judged {
  const leftOut: LeftOut[] = [];
  const { places, units } = placesByName(shape);
  const last = (pointer: string) => nameOf(pointer).split('.').at(-1) ?? '';
  const time = timeOfShape(places, last);
  const device = deviceOfShape(places, last);
  const fields: Field[] = [];
  for (const [pointer, place] of places) {
    if (pointer === time?.pointer || pointer === device?.pointer) continue;
    const field = fieldAt(pointer, place, last(pointer), units.get(pointer) ?? null);
    if ('reason' in field) leftOut.push(field);
    else if (fields.length < MOST_FIELDS) fields.push(field);
    else leftOut.push({ pointer, reason: `more than ${MOST_FIELDS} fields` });
  }
  return { fields: unique(fields), leftOut: leftOut.slice(0, MOST_LEFT_OUT), time, device };
}

/** Two places may come to the same name. */
function unique(fields: readonly Field[]): Field[] {
  const taken = new Set<string>();
  return fields.map((field) => {
    let { name } = field;
    for (let n = 2; taken.has(name); n += 1) name = `${field.name} ${n}`;
    taken.add(name);
    return { ...field, name };
  });
}

function timeOfShape(
  places: ReadonlyMap<string, Place>,
  last: (pointer: string) => string,
): TimeField | null {
  const candidates = [...places].flatMap(([pointer, place]) => {
    const format = timeFormat(place);
    const named = TIME.test(last(pointer));
    // Not every number of that size is a time: it must be called one, or be about now.
    const sure = named || (format !== null && place.near === place.seen);
    return format !== null && sure
      ? [{ pointer, format, rank: (named ? 2 : 0) + place.near / place.seen }]
      : [];
  });
  const [best] = candidates.sort((a, b) => b.rank - a.rank);
  return best ? { pointer: best.pointer, format: best.format } : null;
}

/** How a place tells the time; null where it does not in every message. */
function timeFormat(place: Place): string | null {
  const { seen, times, zoneless, numbers, unix } = place;
  if (seen === 0) return null;
  if (times === seen) return zoneless > 0 ? 'RFC 3339 text without a zone: taken as UTC' : 'RFC 3339 text';
  if (numbers !== seen) return null;
  if (unix[0] === seen) return 'Unix seconds';
  return unix[1] === seen ? 'Unix milliseconds' : null;
}

function deviceOfShape(
  places: ReadonlyMap<string, Place>,
  last: (pointer: string) => string,
): Judged['device'] {
  for (const [pointer, place] of places) {
    const { seen, texts, integers, numbers, min, max, distinct } = place;
    if (!DEVICE.test(last(pointer)) || seen === 0) continue;
    // An identity of every message is none of a device.
    const each = place.many ? seen : distinct.size;
    if (texts === seen && !(each > 10 && each > seen / 2)) return { pointer, names: each };
    if (integers === seen && numbers === seen && !(place.steps >= 5 && place.rises === place.steps))
      return { pointer, names: min === max ? 1 : 2 };
  }
  return null;
}

function fieldAt(pointer: string, place: Place, last: string, unit: string | null): Field | LeftOut {
  const reason = whyNot(place, last);
  if (reason !== null) return { pointer, reason };
  const base = { name: nameOf(pointer), pointer, unit, range: null };
  const known = place.seen - place.nulls;
  if (timeFormat(place) !== null && (place.times > 0 || place.near === place.seen))
    return { ...base, type: 'time', seen: 'another time' };
  if (place.booleans === known) return { ...base, type: 'boolean', seen: times(known) };
  if (place.numbers >= known * 0.9) return { ...base, type: 'number', ...numbersSeen(place) };
  return { ...base, type: 'category', seen: categoriesSeen(place) };
}

/** Why a place is no field; null where it is one. */
function whyNot(place: Place, last: string): string | null {
  const { seen, nulls, others, numbers, texts, booleans, numeric, distinct, unix } = place;
  const known = seen - nulls;
  if (known === 0) return 'always null';
  if (others > 0) return 'an array or nested too deep';
  if (ANSWER.test(last)) return 'sounds like the answer that is to be learned';
  if (NUMBERING.test(last)) return 'its name says that it numbers messages';
  if (place.steps >= ENOUGH && place.rises === place.steps) return 'rises with every message: it counts them';
  if (numbers === seen && TIME.test(last) && (unix[2] === seen || unix[3] === seen))
    return 'a time in micro- or nanoseconds, which is not read';
  if (texts > 0 && numeric === texts && numbers + booleans === 0)
    return 'numbers written as text; send them as JSON numbers';
  if (
    texts > known * 0.1 &&
    (distinct.size > MOST_CATEGORIES || (texts >= ENOUGH && distinct.size > texts / 2))
  )
    return 'too many different texts: it names things';
  return null;
}

function numbersSeen(place: Place): Pick<Field, 'range' | 'seen'> {
  const { numbers, min, max } = place;
  if (numbers === 1) return { range: null, seen: `seen once: ${show(min)}` };
  if (min === max) return { range: null, seen: `always ${show(min)}, ${times(numbers)}` };
  const seen = `seen ${show(min)} to ${show(max)}`;
  if (numbers < ENOUGH) return { range: null, seen: `${seen}, only ${times(numbers)}: no range yet` };
  const [low, high] = usual(place);
  const strange = [min, max].filter((value) => value < low || value > high).map(show);
  const also = strange.length > 0 ? `; also ${strange.join(' and ')}, which counts as missing` : '';
  return { range: widened(low, high), seen: `seen ${show(low)} to ${show(high)}${also}` };
}

/** Values so many widths away from nearly all others are no values; */
const STRANGE = 8;
/** of these, which usually stand for something else, already so many. */
const STRANGE_MARK = 2;
const MARKS = new Set([999, 9_999, 99_999, 32_767, 32_768, 65_535, 2 ** 31, 2 ** 31 - 1, 2 ** 32 - 1]);

/** Lowest and highest of the values that are values. */
function usual({ sample, min, max }: Place): readonly [number, number] {
  const sorted = [...sample].sort((a, b) => a - b);
  const isMark = (value: number) => MARKS.has(Math.abs(value));
  const plain = sorted.some(isMark) ? sorted.filter((value) => !isMark(value)) : sorted;
  const at = (share: number) => plain[Math.floor(share * (plain.length - 1))];
  // Two in a hundred may be anything.
  const [low, high] = [at(0.02), at(0.98)];
  const width = high - low;
  if (!(width > 0)) return [min, max];
  const near = (value: number) => {
    const reach = width * (isMark(value) ? STRANGE_MARK : STRANGE);
    return value >= low - reach && value <= high + reach;
  };
  const inside = sorted.filter(near);
  return [near(min) ? min : inside[0], near(max) ? max : inside[inside.length - 1]];
}

/** Rounded outwards to a digit of the width. */
export function widened(min: number, max: number): readonly [number, number] | null {
  const width = max - min;
  const step = 10 ** Math.floor(Math.log10(width * SLACK));
  const low = Math.floor((min - SLACK * width) / step) * step;
  const high = Math.ceil((max + SLACK * width) / step) * step;
  const clean = (value: number) => Number(value.toPrecision(12));
  const usable = width > 0 && Number.isFinite(low) && Number.isFinite(high) && low <= min && high >= max;
  return usable ? [clean(low), clean(high)] : null;
}

function categoriesSeen({ distinct, seen }: Place): string {
  const shown = [...distinct].slice(0, 8).map((text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text));
  const more = distinct.size > shown.length ? `, … (${distinct.size})` : '';
  return `${seen === 1 ? 'seen once: ' : 'seen: '}${shown.join(', ')}${more}`;
}

const show = (value: number): string => String(Number(value.toPrecision(6)));
const times = (n: number): string => (n === 1 ? 'seen once' : `${n} times`);
