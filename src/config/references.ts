/**
 * The JSON Schema that editors use: that of the values, in which every scalar may also be a text with a reference to
 * the environment (`${VAR}`), as the configuration allows. It refuses nothing that `lint` takes.
 */

type Json = Readonly<Record<string, unknown>>;

const SCALARS = new Set(['string', 'number', 'integer', 'boolean', 'null']);
/** `$${` writes a literal; that it matches too only makes the check milder. */
const REFERENCE = { type: 'string', pattern: '\\$\\{' };
/** What says something about a value without checking it stays outside of the choice, where editors look for it. */
const ANNOTATIONS = new Set(['title', 'description', 'default', 'examples', 'unit', 'secret']);
/** Keywords that hold one schema, a list of them, or schemas by name. Names are no values: `propertyNames` stays. */
const INNER = new Set(['additionalProperties', 'items', 'not']);
const LISTS = new Set(['anyOf', 'allOf', 'prefixItems']);
const NAMED = new Set(['properties', '$defs']);

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A copy of `schema` that takes `${…}` wherever it takes a scalar. */
export function withReferences(schema: Json): Json {
  if (isScalar(schema)) return isAnyText(schema) ? schema : choice(schema);
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => within(key, value)));
}

function within(key: string, value: unknown): [string, unknown] {
  const inner = (one: unknown): unknown => (isJson(one) ? withReferences(one) : one);
  // With a reference in its discriminator a section fits several branches.
  if (key === 'oneOf' && Array.isArray(value)) return ['anyOf', value.map(inner)];
  if (LISTS.has(key) && Array.isArray(value)) return [key, value.map(inner)];
  if (INNER.has(key)) return [key, inner(value)];
  if (NAMED.has(key) && isJson(value))
    return [key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one)]))];
  return [key, value];
}

function isScalar(schema: Json): boolean {
  if ('const' in schema || Array.isArray(schema.enum)) return true;
  const types = [schema.type].flat();
  return types.every((type) => typeof type === 'string' && SCALARS.has(type));
}

/** Text without a condition takes references already. */
function isAnyText(schema: Json): boolean {
  const checks = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key));
  return schema.type === 'string' && checks.length === 1;
}

function choice(schema: Json): Json {
  const split = (outside: boolean): Json =>
    Object.fromEntries(Object.entries(schema).filter(([key]) => ANNOTATIONS.has(key) === outside));
  return { ...split(true), anyOf: [split(false), REFERENCE] };
}
