/**
 * From the tables of parts to schemas and types: a row of a table becomes a branch of a union, chosen by `type`
 * (sources and sinks) or `kind` (decoders, models). Promises: unknown options are errors in every branch.
 * Refuses, at start, a row whose options are not a zod object: it could not be documented.
 */
import { z } from 'zod';
import { byteSize } from '../units.ts';
import { name, publish } from './words.ts';

export interface Part {
  readonly summary: string;
  readonly options: z.ZodType;
}

/** The tables that the schema is made of; the real ones are handed in by config.ts. */
export interface Tables {
  readonly transports: Readonly<
    Record<
      string,
      {
        readonly summary: string;
        readonly source: { readonly options: z.ZodType };
        readonly sink: { readonly options: z.ZodType } | null;
      }
    >
  >;
  readonly decoders: Readonly<Record<string, Part>>;
  readonly featurizers: Readonly<Record<string, Part>>;
  readonly modelKinds: Readonly<Record<string, Part>>;
  readonly storeOptions: z.ZodType;
}

export type Output<S> = S extends z.ZodType ? z.output<S> : never;
export type SourceOf<T extends Tables> = {
  [K in keyof T['transports'] & string]: { readonly type: K } & Output<
    T['transports'][K]['source']['options']
  >;
}[keyof T['transports'] & string];
export type SinkOf<T extends Tables> = {
  [K in keyof T['transports'] & string]: [NonNullable<T['transports'][K]['sink']>] extends [never]
    ? never
    : NonNullable<T['transports'][K]['sink']> extends { options: infer S }
      ? { readonly type: K } & Output<S> & SinkCommon
      : never;
}[keyof T['transports'] & string];
export type KindOf<P extends Readonly<Record<string, Part>>> = {
  [K in keyof P & string]: { readonly kind: K } & Output<P[K]['options']>;
}[keyof P & string];

/** What every sink takes beside the options of its transport. */
const sinkCommon = {
  tasks: z.array(name).min(1).optional().describe('tasks whose verdicts go here; default all'),
  publish: publish
    .prefault('all')
    .describe(
      'which verdicts: `all`, `changes` (when the label of a device changes) or `every:10s` (one per device and interval)',
    ),
  batch: z.int().min(1).max(10_000).default(1).describe('verdicts in one message'),
  envelope: z
    .enum(['cloudevents', 'none'])
    .default('cloudevents')
    .describe('CloudEvents 1.0 structured JSON, or the bare data'),
  maxMessageBytes: byteSize
    .prefault('1MiB')
    .describe(
      'largest message the broker takes; a larger dead letter is published as digest and first 64 KiB',
    ),
};
type SinkCommon = z.output<z.ZodObject<typeof sinkCommon>>;

/** The options of a part as an object with its tag (`type` or `kind`) first; unknown keys are errors. */
function tagged(
  tag: string,
  value: string,
  summary: string,
  options: z.ZodType,
  more: z.ZodRawShape = {},
): z.ZodObject {
  if (!(options instanceof z.ZodObject)) throw new TypeError(`the options of ${value} must be a zod object`);
  const own = { [tag]: z.literal(value).describe(summary) };
  // The tag first, where people write it; an object with refinements can only be extended at its end.
  if (options.def.checks?.length) return options.safeExtend({ ...own, ...more } as z.ZodRawShape).strict();
  return z.strictObject({ ...own, ...options.shape, ...more });
}

export function union(tag: string, options: readonly z.ZodObject[]): z.ZodType {
  return z.discriminatedUnion(tag, options as unknown as [z.ZodObject, ...z.ZodObject[]]);
}

export function sourceSchema<T extends Tables>({ transports }: T): z.ZodType<SourceOf<T>> {
  const options = Object.entries(transports).map(([type, t]) =>
    tagged('type', type, t.summary, t.source.options),
  );
  return union('type', options) as z.ZodType<SourceOf<T>>;
}

export function sinkSchema<T extends Tables>({ transports }: T): z.ZodType<SinkOf<T>> {
  const options = Object.entries(transports).flatMap(([type, t]) =>
    t.sink ? [tagged('type', type, t.summary, t.sink.options, sinkCommon)] : [],
  );
  return union('type', options) as z.ZodType<SinkOf<T>>;
}

export function kindSchema<P extends Readonly<Record<string, Part>>>(parts: P): z.ZodType<KindOf<P>> {
  const options = Object.entries(parts).map(([kind, part]) =>
    tagged('kind', kind, part.summary, part.options),
  );
  return union('kind', options) as z.ZodType<KindOf<P>>;
}
