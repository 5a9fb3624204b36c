/**
 * Walks a zod schema beside a value: which options a section knows, and which of its values are
 * secret. The schema stays the one truth; nothing here names an option.
 */
import { z } from 'zod';
import { type Node, type Path, toValue } from './tree.ts';

type AnySchema = z.core.$ZodType;

/** The schema under defaults, optionals and transforms, as the user's input meets it. */
export function unwrap(schema: AnySchema): AnySchema {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodNonOptional ||
    schema instanceof z.ZodCatch
  )
    return unwrap(schema.def.innerType);
  if (schema instanceof z.ZodPipe) return unwrap(schema.def.in);
  if (schema instanceof z.ZodLazy) return unwrap(schema.def.getter());
  return schema;
}

/** Whether any layer of a schema carries `.meta({ secret: true })`. */
export function isSecret(schema: AnySchema): boolean {
  for (let at = schema; ; ) {
    if (z.globalRegistry.get(at)?.secret === true) return true;
    const inner = unwrapOnce(at);
    if (inner === at) return false;
    at = inner;
  }
}

function unwrapOnce(schema: AnySchema): AnySchema {
  if (schema instanceof z.ZodPipe) return schema.def.in;
  if (schema instanceof z.ZodLazy) return schema.def.getter();
  const { innerType } = schema._zod.def as { innerType?: AnySchema };
  return innerType ?? schema;
}

/** Of a union the branches that can be meant by this value: by discriminator where there is one. */
function branches(schema: AnySchema, value: unknown): AnySchema[] {
  const plain = unwrap(schema);
  if (!(plain instanceof z.ZodUnion)) return [plain];
  const options = plain.options.flatMap((option) => branches(option as AnySchema, value));
  if (!(plain instanceof z.ZodDiscriminatedUnion)) return options;
  const { discriminator } = plain.def;
  const chosen = options.filter((option) => {
    const tag = option instanceof z.ZodObject ? unwrap(option.def.shape[discriminator]) : null;
    return (
      tag instanceof z.ZodLiteral &&
      isRecord(value) &&
      tag.def.values.includes(value[discriminator] as string)
    );
  });
  return chosen.length > 0 ? chosen : options;
}

/** The schemas that may stand under `key` of a value. */
export function descend(schema: AnySchema, key: string | number, value: unknown): AnySchema[] {
  return branches(schema, value).flatMap((branch) => {
    if (branch instanceof z.ZodObject) {
      const shape = branch.def.shape as Readonly<Record<string, AnySchema>>;
      return Object.hasOwn(shape, key) ? [shape[key]] : [];
    }
    if (branch instanceof z.ZodRecord) return [branch.def.valueType];
    if (branch instanceof z.ZodArray) return [branch.def.element];
    return [];
  });
}

/** The names of the options that the section at `path` knows; empty where names are free. */
export function allowedKeys(schema: AnySchema, root: Node, path: Path): string[] {
  let value: unknown = toValue(root);
  let schemas: AnySchema[] = [schema];
  for (const part of path) {
    schemas = schemas.flatMap((s) => descend(s, part, value));
    value =
      isRecord(value) || Array.isArray(value) ? (value as Record<string | number, unknown>)[part] : undefined;
  }
  const keys = schemas
    .flatMap((s) => branches(s, value))
    .flatMap((s) => (s instanceof z.ZodObject ? Object.keys(s.def.shape) : []));
  return [...new Set(keys)];
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
