/**
 * The native core as the rest of Sluice sees it: finds the addon, opens a backend, gives models with
 * promises. Promises: every failure is a SluiceError with a code of the table; calls of one model run in
 * the order made; a refused batch changes nothing. Refuses batches whose arrays are too short, of another
 * type, out of range or on resizable memory, and every call after `close`.
 *
 * Views on a SharedArrayBuffer are used where they lie: until the promise settles they must not be changed (the
 * numbers would be wrong, nothing worse). Any other array is copied when the call is made: after that it may be
 * changed, detached or transferred, and nothing comes of it.
 */
import { dirname, join } from 'node:path';
import type { BackendInfo, Engine, Model, ModelShape, Rows } from '../contract.ts';
import { asSluiceError, type ErrorCode, errorTable, SluiceError } from '../errors.ts';
import { loadAddon } from './addon.ts';
import { createConditioned, isConditioned, loadConditioned } from './conditioned.ts';
import { findModelKind, modelKinds } from './kinds.ts';

/** An opaque handle of the addon, checked there by its type tag. */
interface Handle {
  readonly opaque: unique symbol;
}

interface NativeModel extends ModelShape {
  readonly handle: Handle;
  readonly kind: string;
  readonly backend: string;
}

type RowArguments = readonly [
  count: number,
  indptr: Uint32Array,
  indices: Uint32Array,
  values: Float32Array,
  denseDims: number,
  dense: Float32Array,
];
type Labels = Int32Array;
type Weights = Float32Array | undefined;

/** What native/node/addon.cpp exports. */
interface Addon {
  backends(cudaLibrary: string): BackendInfo[];
  open(backend: string, cudaLibrary: string, threads: number, isa: string): Handle;
  create(
    engine: Handle,
    kind: string,
    dims: number,
    denseDims: number,
    classes: number,
    names: readonly string[],
    values: Float64Array,
    seed: number,
  ): NativeModel;
  load(engine: Handle, bytes: Uint8Array): NativeModel;
  score(model: Handle, ...rows: RowArguments): Promise<Float32Array>;
  learn(model: Handle, ...batch: [...RowArguments, Labels, Weights]): Promise<void>;
  step(
    model: Handle,
    ...batch: [...RowArguments, Labels, Weights, Int32Array | undefined]
  ): Promise<Float32Array>;
  save(model: Handle): Promise<Uint8Array>;
  /** Bytes, as of the last call that was settled. */
  size(model: Handle): number;
  close(model: Handle): void;
}

export interface EngineOptions {
  /** `auto` takes the best that works; a named backend that does not is an error. */
  readonly backend?: 'auto' | 'cpu' | 'cuda';
  /** Threads inside one call of a model; 0 lets the backend choose. Results do not depend on it. */
  readonly threads?: number;
  /** Instruction set of the CPU backend, for tests and comparisons. Results do not depend on it. */
  readonly isa?: 'auto' | 'baseline' | 'avx2';
}

/** Errors of the addon carry our codes; anything else is INTERNAL. */
function fromNative(error: unknown): SluiceError {
  const code = (error as { code?: unknown } | null)?.code;
  if (error instanceof Error && typeof code === 'string' && Object.hasOwn(errorTable, code))
    return new SluiceError(code as ErrorCode, error.message, { cause: error });
  return asSluiceError(error);
}

function guard<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

async function guardAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** Memory that can shrink while a thread reads it would take the process down. */
function assertFixed(arrays: readonly (ArrayBufferView | undefined)[]): void {
  for (const array of arrays)
    if (array && (array.buffer as { resizable?: boolean } | undefined)?.resizable === true)
      throw new SluiceError('MODEL_INPUT', 'an array lies on a resizable ArrayBuffer; hand over a fixed one');
}

function rowArguments(rows: Rows): RowArguments {
  assertFixed([rows.indptr, rows.indices, rows.values, rows.dense]);
  return [rows.count, rows.indptr, rows.indices, rows.values, rows.denseDims, rows.dense];
}

class EngineModel implements Model {
  readonly kind: string;
  readonly shape: ModelShape;
  readonly backend: string;
  readonly #addon: Addon;
  readonly #handle: Handle;

  constructor(addon: Addon, native: NativeModel) {
    this.#addon = addon;
    this.#handle = native.handle;
    this.kind = native.kind;
    this.shape = { dims: native.dims, denseDims: native.denseDims, classes: native.classes };
    this.backend = native.backend;
  }

  get bytes(): number {
    return this.#addon.size(this.#handle);
  }

  score(rows: Rows): Promise<Float32Array> {
    return guardAsync(() => this.#addon.score(this.#handle, ...rowArguments(rows)));
  }

  learn(rows: Rows, labels: Int32Array, weights?: Float32Array): Promise<void> {
    return guardAsync(() => {
      assertFixed([labels, weights]);
      return this.#addon.learn(this.#handle, ...rowArguments(rows), labels, weights);
    });
  }

  step(rows: Rows, labels: Int32Array, weights?: Float32Array, schedule?: Int32Array): Promise<Float32Array> {
    return guardAsync(() => {
      assertFixed([labels, weights, schedule]);
      return this.#addon.step(this.#handle, ...rowArguments(rows), labels, weights, schedule);
    });
  }

  save(): Promise<Uint8Array> {
    return guardAsync(() => this.#addon.save(this.#handle));
  }

  close(): void {
    guard(() => this.#addon.close(this.#handle));
  }
}

/** Options with their defaults filled in, as names and values. */
function parseOptions(kind: string, options: Readonly<Record<string, number>>): [string[], Float64Array] {
  const row = findModelKind(kind);
  if (!row) {
    const known = Object.keys(modelKinds).join(', ');
    throw new SluiceError('MODEL_INPUT', `there is no model kind "${kind}"; there are ${known}`);
  }
  const parsed = row.options.safeParse(options);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`.trim());
    throw new SluiceError('MODEL_INPUT', `options of ${kind}: ${reasons.join('; ')}`);
  }
  const entries = Object.entries(parsed.data as Readonly<Record<string, number>>);
  return [entries.map(([name]) => name), Float64Array.from(entries, ([, value]) => value)];
}

class NativeEngine implements Engine {
  readonly backend: string;
  readonly backends: readonly BackendInfo[];
  readonly #addon: Addon;
  readonly #handle: Handle;

  constructor(addon: Addon, handle: Handle, backend: string, backends: readonly BackendInfo[]) {
    this.#addon = addon;
    this.#handle = handle;
    this.backend = backend;
    this.backends = backends;
  }

  create(kind: string, shape: ModelShape, options: Readonly<Record<string, number>>, seed: number): Model {
    if (shape.rules && shape.rules.length > 0)
      return createConditioned(shape, (inner) => this.#create(kind, inner, options, seed));
    return this.#create(kind, shape, options, seed);
  }

  #create(
    kind: string,
    shape: ModelShape,
    options: Readonly<Record<string, number>>,
    seed: number,
  ): EngineModel {
    const [names, values] = parseOptions(kind, options);
    const { dims, denseDims, classes } = shape;
    const native = guard(() =>
      this.#addon.create(this.#handle, kind, dims, denseDims, classes, names, values, seed),
    );
    return new EngineModel(this.#addon, native);
  }

  load(bytes: Uint8Array): Model {
    assertFixed([bytes]);
    return isConditioned(bytes) ? loadConditioned(bytes, (inner) => this.#load(inner)) : this.#load(bytes);
  }

  #load(bytes: Uint8Array): EngineModel {
    return new EngineModel(
      this.#addon,
      guard(() => this.#addon.load(this.#handle, bytes)),
    );
  }
}

/**
 * Finds the addon and opens a backend. Throws SluiceError ENGINE_MISSING (says where it looked) or
 * BACKEND_UNAVAILABLE (says why). Engines are independent of each other and need no closing.
 */
export function openEngine(options: EngineOptions = {}): Engine {
  const { addon, path } = loadAddon() as { addon: Addon; path: string };
  const cudaLibrary = join(dirname(path), 'sluice-cuda.so');
  return guard(() => {
    const backends = addon.backends(cudaLibrary);
    const wanted = options.backend ?? 'auto';
    const backend = wanted === 'auto' ? (backends.find((row) => row.ok)?.name ?? 'cpu') : wanted;
    const handle = addon.open(backend, cudaLibrary, options.threads ?? 0, options.isa ?? 'auto');
    return new NativeEngine(addon, handle, backend, backends);
  });
}
