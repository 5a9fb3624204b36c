/**
 * One event explained: what is known of it, with which model it is explained and how that model stands to the one that
 * gave the verdict, and the contributions. Promises: an event whose row or model no longer fits the task is still
 * told, with the reason why it is not explained.
 */
import type { Config } from '../../config.ts';
import type { Event, JoinedRow, Rows, Store } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { RowArena } from '../../features/rows.ts';
import type { Found, Incident } from '../../fleet/incident.ts';
import { modelName, type PastModel, pastModel } from '../../fleet/past.ts';
import { openEngine } from '../../model/engine.ts';
import { bucketNames, type Explanation, explainRow } from '../../task/explanation.ts';
import type { Task } from '../../task/task.ts';

export interface Explained {
  readonly task: string;
  /** What was looked for, in words. */
  readonly how: string;
  /** The message itself was given. */
  readonly given: boolean;
  /** null: the store does not know it; it was scored just now. */
  readonly incident: Incident | null;
  /** With which model it is explained, and how that stands to the one of the verdict; in words. */
  readonly model: { readonly name: string; readonly note: string } | null;
  readonly explanation: Explanation | null;
  /** Why there is no explanation; else ''. */
  readonly reason: string;
  /** Units of the declared fields, by name. */
  readonly units: Readonly<Record<string, string>>;
  /** Other events that the words would also mean. */
  readonly others: readonly Incident[];
}

export interface ExplainContext {
  readonly store: Store;
  readonly config: Config;
  /** Explained instead of the given label. */
  readonly label: string | undefined;
  readonly limit: number;
}

/** The first of what was found, the rest named. */
export async function explainFound(
  { task, found }: { task: Task; found: Found },
  context: ExplainContext,
): Promise<Explained[]> {
  const [incident, ...others] = found.incidents;
  const subject = { task, how: found.how, incident, row: found.rows[0], others, names: undefined };
  return [await explainOne(subject, context)];
}

/** A message at hand, with what the store knows of it. */
export async function explainMessage(
  task: Task,
  event: Event,
  found: Found | null,
  context: ExplainContext,
): Promise<Explained[]> {
  const names = bucketNames(task, event);
  const how = found?.how ?? (event.body.kind === 'mail' ? 'this mail' : `event ${event.id}`);
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  task.fill(event, arena);
  const stored = found?.rows[0];
  // A row made with other features cannot be named by these.
  const row = stored?.features === task.features ? stored : { features: task.features, rows: arena.view() };
  return [
    await explainOne({ task, how, incident: found?.incidents[0] ?? null, row, others: [], names }, context),
  ];
}

interface Subject {
  readonly task: Task;
  readonly how: string;
  readonly incident: Incident | null;
  readonly row: Pick<JoinedRow, 'features' | 'rows'>;
  readonly others: readonly Incident[];
  readonly names: ReadonlyMap<number, string> | undefined;
}

async function explainOne(subject: Subject, context: ExplainContext): Promise<Explained> {
  const { task, how, incident, row, others } = subject;
  const given = subject.names !== undefined;
  const base = { task: task.name, how, given, incident, others, units: unitsOf(context.config, task.name) };
  const not = (reason: string): Explained => ({ ...base, model: null, explanation: null, reason });
  const label = labelOf(task, incident, context.label);
  if (row.features !== task.features)
    return not(`its row was made with ${row.features}, the task now has ${task.features}`);
  const learns = context.config.tasks[task.name].learning === 'online';
  let past: PastModel | null;
  try {
    past = await pastModel(task, openEngine(), context.store, incident?.model ?? null, learns);
  } catch (error) {
    if (error instanceof SluiceError && error.code.startsWith('MODEL_')) return not(error.message);
    throw error;
  }
  if (!past) return not('no model is kept that could explain it');
  try {
    const chosen = label ?? (await likeliest(past, row.rows));
    const { limit } = context;
    const explanation = await explainRow(task, past.model, row.rows, chosen, { names: subject.names, limit });
    const note = incident ? standing(past, incident, explanation) : 'the newest one kept';
    return { ...base, model: { name: past.name, note }, explanation, reason: '' };
  } finally {
    past.model.close();
  }
}

/** The label asked for, else the one given; null where none was. Throws FEEDBACK_LABEL. */
function labelOf(task: Task, incident: Incident | null, wanted: string | undefined): number | null {
  if (wanted !== undefined) {
    const label = task.labels.indexOf(wanted);
    if (label >= 0) return label;
    throw new SluiceError(
      'FEEDBACK_LABEL',
      `"${wanted.slice(0, 64)}" is not one of ${task.labels.join(', ')}`,
    );
  }
  return incident?.verdict ? task.labels.indexOf(incident.verdict) : null;
}

async function likeliest(past: PastModel, rows: Rows): Promise<number> {
  const scores = (await past.model.score({ ...rows, count: 1 })).subarray(0, past.model.shape.classes);
  return scores.indexOf(Math.max(...scores));
}

/** Probabilities that differ less are the same score. */
const SAME = 1e-5;

/** How the model that explains stands to the one of the verdict, and whether it says the same. */
function standing(past: PastModel, incident: Incident, { label, probability }: Explanation): string {
  const then = incident.scores[label] ?? Number.NaN;
  const agrees = Math.abs(then - probability) <= SAME;
  const says = agrees
    ? 'its score is that of the verdict'
    : `it gives ${label} ${probability.toFixed(3)} where the verdict had ${then.toFixed(3)}`;
  const verdict = modelName(incident.model);
  if (past.base !== verdict.base) return `another base than the verdict's; ${says}`;
  const more = past.labels - verdict.labels;
  if (more === 0)
    return agrees ? `the model of the verdict; ${says}` : `labels were corrected since; ${says}`;
  return `${more > 0 ? 'newer' : 'older'} than the model of the verdict by ${Math.abs(more)} labels; ${says}`;
}

function unitsOf(config: Config, task: string): Record<string, string> {
  const options = config.tasks[task].decode.options as {
    readonly fields?: Readonly<Record<string, { readonly unit?: string }>>;
  };
  const units = Object.entries(options.fields ?? {}).flatMap(([name, { unit }]) =>
    unit ? [[name, unit]] : [],
  );
  return Object.fromEntries(units);
}
