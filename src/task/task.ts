/**
 * A task: decoder, features and model bound together. This is the one path from a message to a feature row that the
 * gateway, `evaluate` and training all run, so what was measured is what is served. Options are checked
 * here against the tables' schemas. Refuses unknown parts and options (CONFIG_INVALID, with the place), labels that are
 * fewer than two or not distinct, decoders whose events the features cannot read, and saved models of
 * another shape (MODEL_MISMATCH).
 */
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import type {
  Decoder,
  DecoderMemory,
  Engine,
  Event,
  FeatureMemory,
  Featurizer,
  Message,
  Model,
  ModelShape,
  RowWriter,
} from '../contract.ts';
import { decoders } from '../decode/index.ts';
import { SluiceError } from '../errors.ts';
import { featurizers } from '../features/index.ts';
import type { RowArena } from '../features/rows.ts';
import type { DeclaredFields } from '../features/sensor.ts';
import { defaultKind, type ModelKind, modelKinds, takesShape } from '../model/kinds.ts';
import { type DecisionOptions, decisionOptions, resolveDecision } from './decision/options.ts';
import { FieldWatch } from './fields.ts';
import { type SelfTrainingGiven, trainsItself } from './self-training.ts';

export interface TaskSpec {
  readonly name: string;
  /** What its events are; chooses the featurizer. */
  readonly event: keyof typeof featurizers;
  readonly labels: readonly string[];
  /** The label whose probability is the score of two; default the last. */
  readonly positive?: string;
  /** Defaults of the decoder and the featurizer where left out. */
  readonly decode: { readonly kind: keyof typeof decoders; readonly options?: unknown };
  readonly features?: { readonly options?: unknown };
  /** Without a kind, the one that fits the rows. */
  readonly model?: { readonly kind?: string; readonly options?: Readonly<Record<string, unknown>> };
  /** Options of decision.ts; defaults where left out. */
  readonly decision?: unknown;
  /** Default `auto`. */
  readonly selfTraining?: SelfTrainingGiven;
  readonly seed: number;
}

export interface Task {
  /** What it was bound from, so that another thread can bind the same; left out: none can. */
  readonly spec?: TaskSpec;
  readonly name: string;
  readonly event: TaskSpec['event'];
  readonly labels: readonly string[];
  /** Index of the positive label. */
  readonly positive: number;
  /** The featurizer's version and the labels that an index stands for: rows of different ones never mix. */
  readonly features: string;
  readonly shape: ModelShape;
  /** What learns, all its options given. */
  readonly model: { readonly kind: string; readonly options: Readonly<Record<string, number>> };
  /** The dense columns of a row, by name and declared field. */
  readonly columns: Featurizer['columns'];
  /** What its readings lack and what is wrong with them; null for mail. */
  readonly fields: FieldWatch | null;
  /** What it remembers of devices; null where a row depends on its event alone. */
  readonly memory: FeatureMemory | null;
  /** Null where nothing is decided beyond the label. */
  readonly decision: DecisionOptions | null;
  /** Whether its model, where of the task's kind, may learn what it says itself. */
  readonly selfTraining: boolean;
  /** Of everything that a fresh model depends on: labels, features, kind, options, seed. */
  readonly fingerprint: string;
  /** Without the readings that a field wants dropped. Throws SluiceError DECODE_*; whatever else a decoder throws becomes DECODE_UNEXPECTED. */
  decode(message: Message): readonly Event[];
  /** Only where its decoder needs a memory of what came before; see `Decoder.remember`. */
  readonly remember?: (saved: Uint8Array | null) => DecoderMemory;
  /** Adds one row, and remembers the event where its features do. After a failure (DECODE_* or MODEL_INPUT) the arena is as it was before. */
  fill(event: Event, arena: RowArena): void;
  /** Remembers the events of a message that was handled before; what cannot be used is passed over. Never throws. */
  readBack(message: Message): void;
  describe(event: Event): ReturnType<Featurizer['describe']>;
  /** A model that has learned nothing. */
  newModel(engine: Engine): Model;
  /** `kind`: of a bundle, which may bring another than the task names. Throws MODEL_MISMATCH, MODEL_CORRUPT, MODEL_VERSION. */
  loadModel(engine: Engine, bytes: Uint8Array, kind?: string): Model;
}

/** Which bodies a featurizer reads. */
const BODIES = { email: 'mail', sensor: 'reading' } as const satisfies Record<
  TaskSpec['event'],
  Event['body']['kind']
>;

function invalid(task: string, what: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', `task ${task}: ${what}`);
}

/** Checks options against a schema; the error names each place. */
function parseOptions<T>(task: string, part: string, schema: z.ZodType<T>, options: unknown): T {
  const parsed = schema.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map((issue) => `${[part, ...issue.path].join('.')}: ${issue.message}`);
  throw invalid(task, places.join('; '));
}

function lookUp<T extends object>(task: string, what: string, table: T, name: string): T[keyof T] {
  if (Object.hasOwn(table, name)) return table[name as keyof T];
  throw invalid(task, `${what} ${name} is not one of ${Object.keys(table).join(', ')}`);
}

/** Binds a task. Throws SluiceError CONFIG_INVALID. */
export function openTask(spec: TaskSpec): Task {
  const { name, labels } = spec;
  if (labels.length < 2) throw invalid(name, 'needs at least two labels');
  if (new Set(labels).size !== labels.length)
    throw invalid(name, `labels ${labels.join(', ')} are not distinct`);
  const positive = spec.positive === undefined ? labels.length - 1 : labels.indexOf(spec.positive);
  if (positive < 0) throw invalid(name, `positive: ${spec.positive} is not one of ${labels.join(', ')}`);
  const { decoder, fields } = openDecoder(spec);
  const featurizer = openFeaturizer(spec, fields);
  const model = chooseModel(spec, featurizer);
  const parts = { decoder, featurizer, model, decision: openDecision(spec) };
  return new BoundTask(spec, positive, parts, fields === undefined ? null : new FieldWatch(fields));
}

function chooseModel({ name, labels, model }: TaskSpec, featurizer: Featurizer): Task['model'] {
  const { views, lean, rules = [] } = featurizer;
  const shape = shapeOf(featurizer, labels.length);
  const kind = model?.kind ?? defaultKind(shape, views, lean);
  const row: ModelKind = lookUp(name, 'model kind', modelKinds, kind);
  if (!takesShape(row, shape)) throw invalid(name, `model kind ${kind} takes ${taken(row)}`);
  // How many views there are is what the rows say; what is on a scale of its own must not be standardised once more.
  const scaled = rules.some(({ scale }) => scale !== 'none');
  const known = {
    ...('views' in row.options.shape ? { views } : {}),
    ...(scaled && 'normalise' in row.options.shape ? { normalise: 0 } : {}),
  };
  const options = parseOptions(name, 'model', row.options, { ...known, ...model?.options });
  return { kind, options };
}

function shapeOf({ dims, denseDims, rules }: Featurizer, classes: number): ModelShape {
  return { dims, denseDims, classes, ...(rules ? { rules } : {}) };
}

/** The shapes of a kind, in words. */
function taken({ labels, columns, most }: ModelKind): string {
  return [
    labels === 'two' ? 'two labels only' : most ? `at most ${most.labels} labels` : 'any labels',
    columns ? '' : 'hashed features only',
    most ? `at most ${most.columns} columns` : '',
  ]
    .filter((text) => text !== '')
    .join(' and ');
}

function openDecision({ name, event, labels, decision }: TaskSpec): DecisionOptions | null {
  const given = parseOptions(name, 'decision', decisionOptions, decision);
  const resolved = resolveDecision(given, event === 'email', labels.length);
  if (resolved && labels.length !== 2) throw invalid(name, 'decision: needs a task of two labels');
  return resolved;
}

/** `fields`: as declared; undefined for mail. */
function openDecoder(spec: TaskSpec): { decoder: Decoder; fields: DeclaredFields | undefined } {
  const part = lookUp(spec.name, 'decoder', decoders, spec.decode.kind);
  const options = parseOptions(spec.name, 'decode', part.options as z.ZodType<object>, spec.decode.options);
  const decoder = (part.open as (given: object) => Decoder)(options);
  const wanted = BODIES[spec.event];
  if (decoder.kind !== wanted)
    throw invalid(
      spec.name,
      `decoder ${spec.decode.kind} gives a ${decoder.kind}, ${spec.event} needs a ${wanted}`,
    );
  return { decoder, fields: (options as { fields?: DeclaredFields }).fields };
}

function openFeaturizer(spec: TaskSpec, fields: unknown): Featurizer {
  const part = lookUp(spec.name, 'event', featurizers, spec.event);
  const options = parseOptions(
    spec.name,
    'features',
    part.options as z.ZodType<object>,
    spec.features?.options,
  );
  return (part.open as (given: object, fields: unknown, labels: number) => Featurizer)(
    options,
    fields,
    spec.labels.length,
  );
}

interface Parts {
  readonly decoder: Decoder;
  readonly featurizer: Featurizer;
  readonly model: Task['model'];
  readonly decision: DecisionOptions | null;
}

/** For events of which only the memory is wanted. */
const NOWHERE: RowWriter = { sparse: () => undefined, block: () => undefined, dense: () => undefined };

class BoundTask implements Task {
  readonly spec: TaskSpec;
  readonly name: string;
  readonly event: TaskSpec['event'];
  readonly labels: readonly string[];
  readonly positive: number;
  readonly features: string;
  readonly shape: ModelShape;
  readonly model: Task['model'];
  readonly columns: Featurizer['columns'];
  readonly fields: FieldWatch | null;
  readonly memory: FeatureMemory | null;
  readonly decision: DecisionOptions | null;
  readonly selfTraining: boolean;
  readonly fingerprint: string;
  readonly remember?: Task['remember'];
  readonly #decoder: Decoder;
  readonly #featurizer: Featurizer;
  readonly #seed: number;

  constructor(
    spec: TaskSpec,
    positive: number,
    { decoder, featurizer, model, decision }: Parts,
    fields: FieldWatch | null,
  ) {
    const { version } = featurizer;
    this.spec = spec;
    this.name = spec.name;
    this.event = spec.event;
    this.labels = [...spec.labels];
    this.positive = positive;
    this.features = `${version}/${createHash('sha256').update(JSON.stringify(spec.labels)).digest('hex').slice(0, 8)}`;
    this.shape = shapeOf(featurizer, spec.labels.length);
    this.columns = featurizer.columns;
    this.fields = fields;
    this.memory = featurizer.memory ?? null;
    this.decision = decision;
    this.selfTraining = trainsItself(spec.selfTraining ?? 'auto', spec.event, model.kind);
    this.#decoder = decoder;
    if (decoder.remember) this.remember = (saved) => decoder.remember!(saved);
    this.#featurizer = featurizer;
    this.model = model;
    this.#seed = spec.seed;
    const depends = [this.labels, version, this.shape, this.model, spec.seed];
    this.fingerprint = createHash('sha256').update(JSON.stringify(depends)).digest('hex');
  }

  decode(message: Message): readonly Event[] {
    try {
      const events = this.#decoder.decode(message);
      return this.fields ? this.fields.use(events) : events;
    } catch (error) {
      throw asDecodeError(error);
    }
  }

  fill(event: Event, arena: RowArena): void {
    arena.beginRow();
    try {
      this.#featurizer.write(event, arena);
      arena.endRow();
      this.fields?.see(event);
    } catch (error) {
      arena.abandonRow();
      throw asDecodeError(error);
    }
  }

  readBack(message: Message): void {
    if (this.memory === null) return;
    try {
      const events = this.#decoder.decode(message);
      this.memory.enter(message.source, message.position, true);
      for (const event of this.fields?.use(events, true) ?? events) this.#featurizer.write(event, NOWHERE);
      this.memory.applied();
    } catch {
      // It became a dead letter when it was handled.
    }
  }

  describe(event: Event): ReturnType<Featurizer['describe']> {
    return this.#featurizer.describe(event);
  }

  newModel(engine: Engine): Model {
    return engine.create(this.model.kind, this.shape, this.model.options, this.#seed);
  }

  loadModel(engine: Engine, bytes: Uint8Array, wantedKind: string = this.model.kind): Model {
    const model = engine.load(bytes);
    const text = (kind: string, { dims, denseDims, classes }: ModelShape) =>
      `${kind} of ${dims} buckets, ${denseDims} columns and ${classes} labels`;
    const [found, wanted] = [text(model.kind, model.shape), text(wantedKind, this.shape)];
    const rules = JSON.stringify(model.shape.rules) === JSON.stringify(this.shape.rules);
    if (found === wanted && rules) return model;
    model.close();
    if (found === wanted)
      throw new SluiceError(
        'MODEL_MISMATCH',
        `task ${this.name} has other rules for its columns than the bytes`,
      );
    throw new SluiceError('MODEL_MISMATCH', `task ${this.name} needs a ${wanted}, the bytes hold a ${found}`);
  }
}

/** Nothing but SluiceErrors leaves a task; whatever a payload makes a parser throw is DECODE_UNEXPECTED. */
function asDecodeError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new SluiceError('DECODE_UNEXPECTED', text, { cause: error });
}
