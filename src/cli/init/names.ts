/**
 * Places of a JSON as fields: readable names from pointers, and units that the payload itself tells. `{"temperature":
 * {"value": 4, "unit": "°C"}}` and `{"temperature": 4, "temperature_unit": "°C"}` are both the field temperature in °C.
 */
import type { Place, Shape } from './shape.ts';

export const MOST_FIELDS = 200;

/** `/motor/temp` is `motor.temp`; the value beside a unit goes by the name of the whole. */
export function nameOf(pointer: string): string {
  const names = pointer
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (names.length > 1 && VALUE.test(names[names.length - 1])) names.pop();
  return names.join('.');
}

const VALUE = /^(?:value|val|v)$/i;
const UNIT = /^(?:unit|units|uom|u)$/i;
/** Names that YAML, JSON or people would trip over. */
const AWKWARD = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** The places that may be fields, without those that only tell a unit; and the units by the pointer of their value. */
export function placesByName(shape: Shape): {
  readonly places: ReadonlyMap<string, Place>;
  readonly units: ReadonlyMap<string, string>;
} {
  const places = new Map<string, Place>();
  const units = new Map<string, string>();
  for (const [pointer, place] of shape.places) {
    if (AWKWARD.test(pointer) || pointer.split('/').includes('__proto__') || nameOf(pointer) === '') continue;
    const value = unitOf(pointer, place, shape);
    if (value !== null) units.set(value, [...place.distinct][0]);
    else places.set(pointer, place);
  }
  return { places, units };
}

/** The pointer of the number whose unit this place tells; null where it tells none. */
function unitOf(pointer: string, place: Place, shape: Shape): string | null {
  const [unit] = place.distinct;
  if (place.texts !== place.seen || place.distinct.size !== 1 || unit.length > 16 || AWKWARD.test(unit))
    return null;
  const slash = pointer.lastIndexOf('/');
  const [parent, name] = [pointer.slice(0, slash), pointer.slice(slash + 1)];
  const numbers = (at: string) => (shape.places.get(at)?.numbers ?? 0) > 0;
  if (UNIT.test(name)) {
    const value = ['value', 'val', 'v'].map((each) => `${parent}/${each}`).find(numbers);
    return value ?? null;
  }
  const stem = /^(.+?)[_-]?(?:unit|units|uom)$/i.exec(name)?.[1];
  return stem !== undefined && numbers(`${parent}/${stem}`) ? `${parent}/${stem}` : null;
}
