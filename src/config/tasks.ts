/**
 * The schema of a task: labels and learning, and the options of its decoder, features and model by the tables.
 * What comes out is what a task is opened with: each part as `{ kind, options }`, the declared fields
 * handed to the decoder, the fleet's key to the features.
 */
import { z } from 'zod';
import { type AnomaliesGiven, anomaliesOption } from '../task/anomaly/options.ts';
import { decisionOptions } from '../task/decision/options.ts';
import { selfTrainingOption } from '../task/self-training.ts';
import { SUFFICIENT } from '../task/verdict.ts';
import { kindSchema, type Output, type Part, type Tables, union } from './parts.ts';
import { label, name } from './words.ts';

/** These stand at the task, not inside `decode`, because features and feedback depend on them too. */
const SHARED = ['fields', 'device', 'time'] as const;
type Shared = (typeof SHARED)[number];

/** An event kind: which decoder is meant where none is named. */
export const EVENTS = { email: 'mime', sensor: 'json' } as const;
export type EventKind = keyof typeof EVENTS;

const DEFAULT_MODEL = {
  email: '`text` for two labels unless the features have the preset `fast`, else `linear`',
  sensor:
    '`stack` unless the features have the preset `fast` or there is more than `stack` takes, else `linear`',
} as const satisfies Record<EventKind, string>;

const taskCommon = {
  from: z
    .array(name)
    .default([])
    .describe('sources that this task reads; none where this process is only the hub'),
  labels: z
    .array(label)
    .min(2, 'must have at least 2 labels: a verdict is a choice')
    .max(1_000)
    .describe('what a verdict can say'),
  positive: label
    .optional()
    .describe('of two labels the one that `score` is the probability of; default the last'),
  learning: z
    .enum(['online', 'frozen'])
    .default('online')
    .describe('`online` learns from feedback as it comes; `frozen` never changes the model'),
  feedback: z
    .array(name)
    .optional()
    .describe('sinks on whose brokers feedback arrives; default all sinks of the task'),
  minLabels: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(SUFFICIENT.labels)
    .describe('labels learned in all before verdicts carry a label'),
  minPerLabel: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(SUFFICIENT.perLabel)
    .describe('labels learned of each of at least two labels before verdicts carry a label'),
  decision: decisionOptions
    .prefault({})
    .describe('what becomes of events with the positive label, beyond the label; see docs/decision.md'),
  selfTraining: selfTrainingOption,
};

function shapeOf(part: Part, what: string): Readonly<Record<string, z.ZodType>> {
  if (!(part.options instanceof z.ZodObject))
    throw new TypeError(`the options of ${what} must be a zod object`);
  return part.options.shape as Readonly<Record<string, z.ZodType>>;
}

/** `decode: json`, or `decode: { kind: json, … }` with what is not shared. */
function decodeSchema({ decoders }: Tables, event: EventKind): z.ZodType {
  // A decoder of readings declares their fields; mail has none.
  const fits = ([kind, part]: [string, Part]) =>
    Object.hasOwn(shapeOf(part, kind), 'fields') === (event === 'sensor');
  const fitting = Object.entries(decoders).filter(fits);
  const kinds = fitting.map(([kind]) => kind);
  const objects = fitting.map(([kind, part]) => {
    const own = Object.entries(shapeOf(part, kind)).filter(([key]) => !SHARED.includes(key as Shared));
    return z.strictObject({ kind: z.literal(kind).describe(part.summary), ...Object.fromEntries(own) });
  });
  const named = z.enum(kinds).transform((kind) => objects[kinds.indexOf(kind)].parse({ kind }));
  return z
    .union([named, union('kind', objects)])
    .prefault(EVENTS[event])
    .describe('the wire format: a name, or `kind` and its options');
}

/** The schema of tasks of one event kind. */
export function taskSchema(tables: Tables, event: EventKind): z.ZodObject {
  const decoder = tables.decoders[EVENTS[event]];
  const shared = Object.entries(shapeOf(decoder, EVENTS[event])).filter(([key]) =>
    SHARED.includes(key as Shared),
  );
  const features = tables.featurizers[event];
  // The key that features are hashed with belongs to the fleet, not to a task: `privacy.key`.
  const own = Object.entries(shapeOf(features, event)).filter(
    ([key]) => key !== 'key' && !SHARED.includes(key as Shared),
  );
  return z.strictObject({
    event: z.literal(event).describe(features.summary),
    ...taskCommon,
    decode: decodeSchema(tables, event),
    ...(event === 'sensor' ? { anomalies: anomaliesOption } : {}),
    ...Object.fromEntries(shared),
    model: kindSchema(tables.modelKinds)
      .optional()
      .describe(`what learns and scores; default ${DEFAULT_MODEL[event]}`),
    features: z.strictObject(Object.fromEntries(own)).prefault({}).describe('how an event becomes numbers'),
  });
}

/** What stands at the task and its decoder does not take. */
export function unshared({ decoders }: Tables, task: RawTask): readonly { key: Shared; kind: string }[] {
  const { kind } = task.decode;
  const takes = shapeOf(decoders[kind], kind);
  return SHARED.filter((key) => task[key] !== undefined && !Object.hasOwn(takes, key)).map((key) => ({
    key,
    kind,
  }));
}

/** A task as the schema gives it, before its parts are put together. */
export type RawTask = z.output<z.ZodObject<typeof taskCommon>> & {
  readonly event: EventKind;
  readonly decode: { readonly kind: string };
  readonly model?: { readonly kind: string };
  readonly features: object;
} & { readonly [K in Shared]?: unknown };

type Opened<P extends Readonly<Record<string, Part>>> = {
  [K in keyof P & string]: { readonly kind: K; readonly options: Output<P[K]['options']> };
}[keyof P & string];

/** A task as it is opened. */
export type TaskConfig<T extends Tables> = z.output<z.ZodObject<typeof taskCommon>> & {
  readonly event: EventKind;
  /** Of readings. */
  readonly anomalies?: AnomaliesGiven;
  readonly decode: Opened<T['decoders']>;
  readonly model?: Opened<T['modelKinds']>;
  readonly features: {
    readonly options: Output<T['featurizers'][keyof T['featurizers'] & string]['options']>;
  };
};

/** Puts the parts together. The casts restate what the schema has proved. */
export function finishTask<T extends Tables>(
  tables: T,
  task: RawTask,
  key: string | undefined,
): TaskConfig<T> {
  const { decode, model, features, fields, device, time, ...common } = task;
  const given = Object.entries({ fields, device, time }).filter(([, value]) => value !== undefined);
  const split = ({ kind, ...options }: { kind: string }) => ({ kind, options });
  const decoder = split(decode);
  const takesKey = Object.hasOwn(shapeOf(tables.featurizers[task.event], task.event), 'key');
  return {
    ...common,
    decode: { ...decoder, options: { ...decoder.options, ...Object.fromEntries(given) } },
    ...(model === undefined ? {} : { model: split(model) }),
    features: { options: { ...features, ...(takesKey && key !== undefined ? { key } : {}) } },
  } as unknown as TaskConfig<T>;
}
