/**
 * The model behind a verdict, for explaining it: the kept snapshot that is closest to it, and where the journal still
 * has them, the labels learned between the two. Promises: reads only, so it may run beside a gateway; says
 * whether the model has the name that the verdict carries. Corrections made since are in it, so that even a model of
 * that name may differ; who explains compares the scores. Refuses (null) where there is neither snapshot nor
 * a whole journal to begin with.
 */
import type { Engine, JournalEntry, Model, Snapshot, Store } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { concat } from '../features/rows.ts';
import type { Task } from '../task/task.ts';
import { blankBase } from './base.ts';

export interface PastModel {
  /** The caller closes it. */
  readonly model: Model;
  /** As verdicts name it: `<base>+<labels>`. */
  readonly name: string;
  readonly base: string;
  readonly labels: number;
  /** When the snapshot was taken that it comes from, ms; null: from the journal alone. */
  readonly at: number | null;
}

/** A model's name in its parts: `<base>+<labels>`. */
export function modelName(name: string): { readonly base: string; readonly labels: number } {
  const [, base, labels] = /^(.*)\+(\d+)$/.exec(name) ?? [];
  return base === undefined ? { base: name, labels: 0 } : { base, labels: Number(labels) };
}

/** Snapshots looked at, from the newest on: more are never kept. */
const MOST = 64;
const PAGE = 256;

/**
 * `wanted`: the name that the verdict carries, null for the newest; `learns`: whether the task learns from labels. Throws MODEL_MISMATCH where the task has other
 * features or labels than what is kept, MODEL_CORRUPT, MODEL_VERSION.
 */
export async function pastModel(
  task: Task,
  engine: Engine,
  store: Store,
  wanted: string | null,
  learns: boolean,
): Promise<PastModel | null> {
  const aim = wanted === null ? null : modelName(wanted);
  const snapshot = closest(task, store, aim);
  if (!snapshot && store.snapshots.oldest(task.name) > 0) return null;
  const begin = snapshot ? load(task, engine, snapshot) : fresh(task, engine);
  const same = learns && (aim === null || aim.base === begin.base);
  const learned = same ? await replay(task, store, begin, aim?.labels ?? Number.POSITIVE_INFINITY) : 0;
  const labels = begin.labels + learned;
  const { model, base } = begin;
  return { model, name: `${base}+${labels}`, base, labels, at: snapshot?.at ?? null };
}

interface Begin {
  readonly model: Model;
  readonly base: string;
  readonly labels: number;
  readonly journal: number;
}

/** What fold.ts saves beside the weights, as far as it matters here. */
interface Meta {
  readonly features: string;
  readonly base?: string;
}

function metaOf(snapshot: Snapshot): Meta {
  return JSON.parse(Buffer.from(snapshot.parts.meta).toString('utf8')) as Meta;
}

/** The newest of the same base that is not beyond what is wanted; else the oldest of those beyond; else the newest. */
function closest(task: Task, store: Store, aim: { base: string; labels: number } | null): Snapshot | null {
  const newest = store.snapshots.newest(task.name);
  if (!newest || aim === null) return newest;
  let beyond: Snapshot | null = null;
  let snapshot: Snapshot | null = newest;
  for (let n = 0; snapshot && n < MOST; n += 1) {
    if ((metaOf(snapshot).base ?? blankBase(task).name) === aim.base) {
      if (snapshot.labels <= aim.labels) return snapshot;
      beyond = snapshot;
    }
    snapshot = store.snapshots.newest(task.name, snapshot.journal - 1);
  }
  return beyond ?? newest;
}

function load(task: Task, engine: Engine, snapshot: Snapshot): Begin {
  const { features, base } = metaOf(snapshot);
  const mismatch = (what: string) =>
    new SluiceError('MODEL_MISMATCH', `the saved model of task ${task.name} has ${what} than the task now`);
  if (features !== task.features) throw mismatch('other features or labels');
  // A bundle may have brought another kind than the task names: only the shape must fit.
  const model = engine.load(snapshot.parts.model);
  const { dims, denseDims, classes } = task.shape;
  if (model.shape.dims !== dims || model.shape.denseDims !== denseDims || model.shape.classes !== classes) {
    model.close();
    throw mismatch('another shape');
  }
  return { model, base: base ?? blankBase(task).name, labels: snapshot.labels, journal: snapshot.journal };
}

const fresh = (task: Task, engine: Engine): Begin => ({
  model: task.newModel(engine),
  base: blankBase(task).name,
  labels: 0,
  journal: 0,
});

/** Learns what the journal holds behind the snapshot, up to so many labels in all; resolves to how many. */
async function replay(task: Task, store: Store, begin: Begin, upTo: number): Promise<number> {
  let learned = 0;
  let position = begin.journal;
  while (begin.labels + learned < upTo) {
    const { entries, through } = store.journal.read(task.name, position, PAGE, { own: true });
    if (through === position) break;
    position = through;
    const usable: JournalEntry[] = [];
    for (const entry of entries) {
      if (entry.joined.features !== task.features || begin.labels + learned === upTo) continue;
      usable.push(entry);
      if (entry.label >= 0) learned += 1;
    }
    if (usable.length === 0) continue;
    const labels = Int32Array.from(usable, ({ label }) => label);
    const weights = Float32Array.from(usable, ({ weight }) => weight);
    await begin.model.learn(concat(usable.map(({ joined }) => joined.rows)), labels, weights);
  }
  return learned;
}
