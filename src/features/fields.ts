/**
 * Where the cells of each declared field go: the columns of a row by name, in an order that declaration and options
 * fix; and what a model has to do with them by what it learns. Refuses declarations that nothing can be made of
 * (CONFIG_INVALID).
 */
import type { ColumnRule, Featurizer } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { seedOf } from './hash.ts';
import type { DeclaredField, DeclaredFields, ResolvedSensor } from './sensor-options.ts';

export const TIME_COLUMNS = ['hour sin', 'hour cos', 'weekday sin', 'weekday cos'];

/** A field and its cells. */
export interface FieldColumn {
  readonly name: string;
  readonly type: DeclaredField['type'];
  readonly encode: NonNullable<DeclaredField['encode']>;
  /** First dense column of the value, -1 for a hashed category. */
  readonly at: number;
  /** Column of the indicator, -1 for none. */
  readonly missing: number;
  readonly seed: number;
  /** Places of the allowed categories. */
  readonly places: ReadonlyMap<string, number>;
  /** 0: the number does not go round. */
  readonly period: number;
  readonly low: number;
  readonly high: number;
  /** 0: not looked for. */
  readonly spike: number;
  readonly stuck: number;
  /** What stands for a missing value: the last one, a number (NaN: nothing does), a category. */
  readonly last: boolean;
  readonly fill: number;
  readonly category: string | null;
  /** Its place among the fields that are remembered, -1: it is not. */
  readonly ring: number;
  /** First of its window columns, -1 for none. */
  readonly window: number;
}

export interface Layout {
  readonly fields: readonly FieldColumn[];
  readonly columns: Featurizer['columns'];
  readonly rules: readonly ColumnRule[];
  /** Whether any category is hashed. */
  readonly hashed: boolean;
  /** Fields that are remembered, by declared order. */
  readonly rings: readonly number[];
  /** First column of the event's time, -1 for none. */
  readonly time: number;
}

/** Fields whose windows are columns. */
export function windowedFields(fields: DeclaredFields, { windows }: ResolvedSensor): ReadonlySet<string> {
  if (!windows.on) return new Set();
  const isPlain = (name: string) => fields[name]?.type === 'number' && fields[name].period === undefined;
  const wrong = windows.fields.filter((name) => !isPlain(name));
  if (wrong.length > 0)
    throw new SluiceError('CONFIG_INVALID', `windows.fields: ${wrong.join(', ')}: no declared plain number`);
  const named = windows.fields.length > 0 ? windows.fields : Object.keys(fields).filter(isPlain);
  return new Set(named);
}

/** `statistics`: names of the columns of a window. */
export function layOut(
  options: ResolvedSensor,
  declared: DeclaredFields,
  statistics: readonly string[],
): Layout {
  const columns: Featurizer['columns'][number][] = [];
  const place = (field: string, added: readonly string[], more: { derived?: true } = {}): number =>
    columns.push(...added.map((name) => ({ name, field, ...more }))) - added.length;
  const windowed = windowedFields(declared, options);
  const rings: number[] = [];
  const begun = Object.entries(declared).map(([name, field], i) => {
    const values = valueColumns(name, field);
    const at = values.length > 0 ? place(name, values) : -1;
    const missing = options.missing && !field.required ? place(name, [`${name} missing`]) : -1;
    const remembered =
      windowed.has(name) ||
      field.spike !== undefined ||
      field.stuck !== undefined ||
      field.missing === 'last';
    const ring = remembered ? rings.push(i) - 1 : -1;
    return { name, field, at, missing, ring };
  });
  if (begun.length === 0)
    throw new SluiceError('CONFIG_INVALID', 'a sensor task needs at least one declared field');
  const fields = begun.map(({ name, field, ...where }): FieldColumn => {
    const names = statistics.map((statistic) => `${name} ${statistic}`);
    const window = windowed.has(name) && names.length > 0 ? place(name, names, { derived: true }) : -1;
    return { ...treatmentOf(field), ...where, name, window, seed: seedOf(options.key, `sensor ${name}`) };
  });
  const time = options.eventTime
    ? place(
        'time of the event',
        TIME_COLUMNS.map((part) => `time ${part}`),
      )
    : -1;
  const hashed = fields.some(({ type, encode }) => type === 'category' && encode === 'hash');
  const rules = rulesOf(fields, declared, columns.length);
  return { fields, columns, rules, hashed, rings, time };
}

function valueColumns(name: string, { type, encode, categories, period }: DeclaredField): string[] {
  if (type === 'time') return TIME_COLUMNS.map((part) => `${name} ${part}`);
  if (type !== 'category') return period === undefined ? [name] : [`${name} sin`, `${name} cos`];
  if (encode === 'onehot') return (categories ?? []).map((category) => `${name}=${category}`);
  return encode === 'ordinal' || encode === 'target' ? [name] : [];
}

function treatmentOf(field: DeclaredField) {
  const { type, encode = 'hash', categories = [], missing = 'keep', clip, period = 0 } = field;
  const limits = Array.isArray(clip) ? clip : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const constant = typeof missing === 'object' ? missing.constant : null;
  return {
    ...{ type, encode, period, low: limits[0], high: limits[1] },
    places: new Map(categories.map((category, i) => [category, i])),
    spike: field.spike ?? 0,
    stuck: field.stuck ?? 0,
    last: missing === 'last',
    fill: constant === null || typeof constant === 'string' ? Number.NaN : Number(constant),
    category: typeof constant === 'string' ? constant : null,
  };
}

/**
 * What the model does. Where the scale of any field is chosen, every other column is standardised beside it, and the model
 * need not do it again: to standardise what is on a scale already would undo it.
 */
function rulesOf(fields: readonly FieldColumn[], declared: DeclaredFields, columns: number): ColumnRule[] {
  const scaled = Object.values(declared).some(({ scale = 'auto' }) => scale !== 'auto');
  const values = new Map(fields.filter(({ at }) => at >= 0).map((field) => [field.at, field]));
  const rules: ColumnRule[] = [];
  for (let column = 0; column < columns; column += 1) {
    const field = values.get(column);
    const { clip, missing, scale = 'auto' } = field ? declared[field.name] : {};
    const rule: ColumnRule = {
      column,
      impute: missing === 'mean' || missing === 'median' ? missing : 'none',
      clip: typeof clip === 'number' ? clip : 0,
      scale: scale !== 'auto' ? scale : scaled ? 'zscore' : 'none',
      target: field?.encode === 'target' && field.type === 'category',
    };
    if (rule.impute !== 'none' || rule.clip > 0 || rule.scale !== 'none' || rule.target) rules.push(rule);
  }
  return rules;
}
