/**
 * Feature options that a sweep tries: the configured ones, then seeded draws from the `search` that stands beside each
 * featurizer. Promises: every variant gives other rows than those before it; the configured one is the first.
 */
import type { ModelShape } from '../../contract.ts';
import { featurizers } from '../../features/index.ts';
import { seededRandom } from '../random.ts';
import { openTask, type Task, type TaskSpec } from '../task.ts';
import { choose } from './space.ts';

/** A feature space of a sweep. */
export interface FeatureVariant {
  readonly task: Task;
  readonly spec: TaskSpec;
  /** What was drawn, by path; empty for the configured one. */
  readonly changes: Readonly<Record<string, number | boolean>>;
}

/** Feature spaces are dear: the whole input is turned into rows once for each. */
const MOST = 4;
const TRIALS_PER_VARIANT = 4;
/** Draws that come out as one that is there already are drawn again, so often. */
const DRAWS = 20;

/** `a.b` in an object, without changing it. */
function set(options: Readonly<Record<string, unknown>>, path: readonly string[], value: unknown): object {
  const [head, ...rest] = path;
  const inner = Object.hasOwn(options, head) ? (options[head] as Record<string, unknown>) : {};
  return { ...options, [head]: rest.length === 0 ? value : set(inner, rest, value) };
}

function get(options: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  const [head, ...rest] = path;
  const found = Object.hasOwn(options, head) ? options[head] : undefined;
  return rest.length === 0 ? found : get((found ?? {}) as Record<string, unknown>, rest);
}

/** All feature options of a task, defaults included. */
export function featureOptions({ event, features }: TaskSpec): Readonly<Record<string, unknown>> {
  return featurizers[event].options.parse(features?.options ?? {}) as Record<string, unknown>;
}

/** Options that change nothing here: buckets where nothing is hashed, the time of events that have none. */
function idle({ dims }: ModelShape, timed: boolean): readonly string[] {
  return [...(dims === 0 ? ['bits'] : []), ...(timed ? [] : ['eventTime'])];
}

/** The configured features, and as many others as `budget` trials can tell apart. `timed`: events have times of their own. */
export function drawVariants(spec: TaskSpec, budget: number, seed: number, timed: boolean): FeatureVariant[] {
  const task = openTask(spec);
  const variants: FeatureVariant[] = [{ task, spec, changes: {} }];
  const wanted = Math.min(MOST, 1 + Math.floor((budget - 1) / TRIALS_PER_VARIANT));
  const useless = idle(task.shape, timed);
  const search = Object.entries(featurizers[spec.event].search).filter(([path]) => !useless.includes(path));
  for (let i = 0; i < DRAWS && variants.length < wanted; i += 1) {
    const drawn = drawVariant(spec, search, seededRandom(seed, `features ${i}`));
    if (variants.every((each) => each.task.features !== drawn.task.features)) variants.push(drawn);
  }
  return variants;
}

function drawVariant(
  spec: TaskSpec,
  search: readonly (readonly [string, readonly (number | boolean)[]])[],
  random: () => number,
): FeatureVariant {
  const configured = featureOptions(spec);
  let options: object = configured;
  const changes: Record<string, number | boolean> = {};
  for (const [path, values] of search) {
    const value = choose(values, random);
    // About half of the options stay, so that a variant says something about those that changed.
    if (random() < 0.5 || get(configured, path.split('.')) === value) continue;
    options = set(options as Record<string, unknown>, path.split('.'), value);
    changes[path] = value;
  }
  const changed = { ...spec, features: { options } };
  return { task: openTask(changed), spec: changed, changes };
}
