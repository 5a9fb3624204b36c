// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what this file is about
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { withReferences } from '../../src/config/references.ts';
import { configJsonSchema } from '../../src/config.ts';

type Json = Readonly<Record<string, unknown>>;
const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
  array: Array.isArray,
  object: isJson,
};

/** The keywords that our schema uses; an unknown one fails the test, so that none is passed over. */
const CHECKS: Readonly<Record<string, (rule: never, value: unknown, schema: Json) => boolean>> = {
  type: (rule: string | string[], value) => [rule].flat().some((type) => TYPES[type](value)),
  const: (rule: unknown, value) => value === rule,
  enum: (rule: unknown[], value) => rule.includes(value),
  pattern: (rule: string, value) => typeof value !== 'string' || new RegExp(rule, 'u').test(value),
  minLength: (rule: number, value) => typeof value !== 'string' || value.length >= rule,
  maxLength: (rule: number, value) => typeof value !== 'string' || value.length <= rule,
  minimum: (rule: number, value) => typeof value !== 'number' || value >= rule,
  maximum: (rule: number, value) => typeof value !== 'number' || value <= rule,
  exclusiveMinimum: (rule: number, value) => typeof value !== 'number' || value > rule,
  exclusiveMaximum: (rule: number, value) => typeof value !== 'number' || value < rule,
  minItems: (rule: number, value) => !Array.isArray(value) || value.length >= rule,
  maxItems: (rule: number, value) => !Array.isArray(value) || value.length <= rule,
  anyOf: (rule: Json[], value) => rule.some((one) => valid(one, value)),
  oneOf: (rule: Json[], value) => rule.filter((one) => valid(one, value)).length === 1,
  allOf: (rule: Json[], value) => rule.every((one) => valid(one, value)),
  items: (rule: Json, value, schema) =>
    !Array.isArray(value) ||
    value.slice((schema.prefixItems as unknown[] | undefined)?.length ?? 0).every((one) => valid(rule, one)),
  prefixItems: (rule: Json[], value) =>
    !Array.isArray(value) || rule.every((one, i) => i >= value.length || valid(one, value[i])),
  required: (rule: string[], value) => !isJson(value) || rule.every((key) => key in value),
  properties: (rule: Record<string, Json>, value) =>
    !isJson(value) || Object.entries(rule).every(([key, one]) => !(key in value) || valid(one, value[key])),
  propertyNames: (rule: Json, value) => !isJson(value) || Object.keys(value).every((key) => valid(rule, key)),
  additionalProperties: (rule: Json | false, value, schema) =>
    !isJson(value) ||
    Object.keys(value)
      .filter((key) => !(key in ((schema.properties as Json | undefined) ?? {})))
      .every((key) => rule !== false && valid(rule, value[key])),
};
const SILENT = new Set(['$schema', 'title', 'description', 'default', 'unit', 'secret', 'format']);

function valid(schema: Json, value: unknown): boolean {
  return Object.entries(schema).every(([key, rule]) => {
    if (SILENT.has(key)) return true;
    if (!Object.hasOwn(CHECKS, key)) throw new Error(`this validator does not know ${key}`);
    return CHECKS[key](rule as never, value, schema);
  });
}

const example = (): Record<string, never> => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  return parse(/```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? '');
};

describe('the JSON Schema for editors', () => {
  const schema = withReferences(configJsonSchema());

  test('takes the example of the README, which has references in it', () => {
    expect(JSON.stringify(example())).toContain('${KAFKA}');
    expect(valid(schema, example())).toBe(true);
    expect(valid(configJsonSchema(), example())).toBe(false);
  });

  test.each([
    ['a number', { sources: { x: { type: 'mqtt', url: '${URL}', topics: ['${T}'], qos: '${QOS:-1}' } } }],
    ['true or false', { privacy: { show: '${SHOW}' } }],
    ['a whole number', { maxInFlight: '${MANY}', seed: '${SEED}' }],
    ['one of some words', { sources: { x: { type: '${KIND}', url: 'mqtt://h', topics: ['t'] } } }],
    ['a text with a pattern', { site: '${SITE}-gate' }],
  ])('takes a reference for %s', (_, more) => {
    expect(valid(schema, { ...example(), ...more })).toBe(true);
  });

  test.each([
    ['a text for a number', { maxInFlight: 'many' }],
    ['a number out of range', { maxInFlight: 0 }],
    ['a misspelt option', { sities: 'x' }],
    ['a word that is none of them', { sources: { x: { type: 'carrier', url: 'mqtt://h', topics: ['t'] } } }],
    ['a reference for a section', { sources: '${SOURCES}' }],
  ])('still refuses %s', (_, more) => {
    expect(valid(schema, { ...example(), ...more })).toBe(false);
  });
});
