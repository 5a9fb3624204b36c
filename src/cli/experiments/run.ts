/**
 * `train` and `sweep` from the command line to the bundle: read the input once into rows, split it in time (train |
 * validation | test), try configurations, train the best again on all but the test part, test it once, write the
 * bundle. A sweep keeps a journal beside the bundle until it is done. An interruption stops cleanly, exit code 130.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import type { Engine, Experiment } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { type InputOptions, readInput } from '../../io/files.ts';
import { openEngine } from '../../model/engine.ts';
import { modelKinds, takesShape } from '../../model/kinds.ts';
import { type StoreLock, takeLock } from '../../state/lock.ts';
import { checkEnough, type Featurized, featurize } from '../../task/experiments/featurize.ts';
import {
  type Attempt,
  type Bench,
  type Contender,
  halve,
  planRounds,
  type Slices,
} from '../../task/experiments/halving.ts';
import { openPool } from '../../task/experiments/pool.ts';
import { openRowFile } from '../../task/experiments/rowfile.ts';
import { digestRows, type RowStore } from '../../task/experiments/rows.ts';
import { finalJob, inProcessBench } from '../../task/experiments/run.ts';
import { sliceRows } from '../../task/experiments/slices.ts';
import { choose, drawExperiments } from '../../task/experiments/space.ts';
import { testUnseen, type Unseen } from '../../task/experiments/unseen.ts';
import { drawVariants, type FeatureVariant } from '../../task/experiments/variants.ts';
import { presets } from '../../task/presets.ts';
import { seededRandom } from '../../task/random.ts';
import type { Task } from '../../task/task.ts';
import { oneOf, parseInput, usage } from '../evaluate/asked.ts';
import { planTask } from '../evaluate/data.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { version } from '../version.ts';
import type { Asked } from './asked.ts';
import { manifestOf, readParent, writeBundle } from './bundle.ts';
import { TrialJournal } from './journal.ts';
import { Screen } from './screen.ts';
import { inWords, type Result, resultJson, resultLines } from './show.ts';

/** Everything that a run works with once its rows are there. */
interface Ready {
  readonly asked: Asked;
  readonly input: Omit<InputOptions, 'path'>;
  readonly folder: string;
  readonly engine: Engine;
  readonly variants: readonly FeatureVariant[];
  readonly paths: readonly string[];
  readonly stores: readonly RowStore[];
  readonly read: Featurized;
  readonly slices: Slices;
  readonly first: Experiment;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** Runs the verb. Throws SluiceError; an interruption sets the exit code 130. */
export async function runExperiments(asked: Asked, terminal: Terminal): Promise<void> {
  if (asked.given.config === undefined) oneOf('task', asked.name, presets);
  const parent = readParent(asked.parent);
  const stop = new AbortController();
  const interrupt = (): void => stop.abort(new Error('interrupted'));
  const screen = new Screen(terminal);
  const folder = `${asked.out}.${asked.verb}`;
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const result = await work(asked, folder, parent, screen, stop.signal);
    screen.clear();
    if (asked.json !== undefined) await printJson(terminal, asked.json, resultJson(result));
    if (asked.json !== true && asked.json !== '-')
      for (const line of resultLines(result, terminal.stdout.columns ?? 100)) print(terminal, line);
  } catch (error) {
    screen.clear();
    if (!stop.signal.aborted) throw error;
    terminal.exitCode = 130;
    const kept = asked.verb === 'sweep' ? '; the same command goes on from the trials that ended' : '';
    terminal.stderr.write(`stopped, nothing was written to ${asked.out}${kept}\n`);
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function work(
  asked: Asked,
  folder: string,
  parent: ReturnType<typeof readParent>,
  screen: Screen,
  signal: AbortSignal,
): Promise<Result> {
  const lock = await occupy(folder, asked);
  let done = false;
  try {
    const started = performance.now();
    const ready = await prepare(asked, folder, screen, signal);
    try {
      const result = await experiment(ready, parent, started);
      done = true;
      return result;
    } finally {
      for (const store of ready.stores) store.close();
    }
  } finally {
    await lock.release();
    // A sweep that did not end keeps its journal; rows are made again.
    rmSync(done || asked.verb === 'train' ? folder : join(folder, 'rows'), { recursive: true, force: true });
  }
}

async function occupy(folder: string, { out }: Asked): Promise<StoreLock> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    return await takeLock(folder);
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'STORE_LOCKED')
      throw usage(`--out ${out}: another run is writing there`);
    throw error;
  }
}

function firstOf({ model }: Task, { passes, newest }: Asked): Experiment {
  return { ...model, passes, newest };
}

/** The input as rows in files, one for each feature space. */
async function prepare(asked: Asked, folder: string, screen: Screen, signal: AbortSignal): Promise<Ready> {
  const { given, name, seed } = asked;
  const input = parseInput({ ...given, input: [...given.input, ...asked.testInput] });
  screen.say('looking at the input …');
  const plan = await planTask(name, given, input, seed);
  for (const { column, reason } of plan.leftOut) screen.note(`column ${column} is left out: it ${reason}`);
  if (plan.less !== null) screen.note(plan.less);
  const engine = openEngine(asked.engine);
  const timed = given.time !== undefined || given.config !== undefined || plan.kind === 'mail';
  const variants = drawVariants(plan.spec, asked.searchFeatures ? asked.budget : 1, seed, timed);
  const rows = join(folder, 'rows');
  rmSync(rows, { recursive: true, force: true });
  mkdirSync(rows, { mode: 0o700 });
  const paths = variants.map((_, i) => join(rows, String(i)));
  const spaces = variants.length > 1 ? `rows in ${variants.length} feature spaces` : 'rows';
  const read = await featurize(readInput({ ...input, path: given.input }), {
    tasks: variants.map(({ task }) => task),
    paths,
    workers: asked.preparing,
    signal,
    onProgress: screen.count(spaces, plan.total),
  });
  checkEnough(read);
  const stores = paths.map((path) => openRowFile(path, statSync(path).size));
  // By time: the newest test, those before them validate.
  const end = read.rows - Math.floor(read.rows * asked.test);
  const slices = sliceRows(stores[0].labels, end, asked.validation * read.rows);
  const first = firstOf(plan.task, asked);
  return { asked, input, folder, engine, variants, paths, stores, read, slices, first, screen, signal };
}

function contendersOf({ asked, variants, slices, first }: Ready): Contender[] {
  const { budget, seed, given } = asked;
  const fitting = Object.entries(modelKinds).filter(([, kind]) => takesShape(kind, variants[0].task.shape));
  const kinds = given.model === undefined ? fitting.map(([name]) => name) : [first.kind];
  return drawExperiments(first, budget, slices.train, seed, kinds).map((each, i) => ({
    variant: i === 0 ? 0 : variants.indexOf(choose(variants, seededRandom(seed, `variant ${i}`))),
    experiment: each,
  }));
}

/** Digest of everything that the outcome of a trial depends on. */
function keyOf({ asked, stores, slices, engine, variants }: Ready, contenders: readonly Contender[]): string {
  const depends = [
    version,
    engine.backend,
    asked.seed,
    slices,
    variants.map(({ task }) => [task.features, task.shape]),
    contenders,
    stores.map((store) => digestRows(store, 0, slices.end)),
  ];
  return createHash('sha256').update(JSON.stringify(depends)).digest('hex');
}

function openBench(ready: Ready, contenders: number): Promise<Bench> | Bench {
  const { asked, engine, variants, paths, stores, folder, signal } = ready;
  const { seed } = asked;
  const shapes = variants.map(({ task }) => task.shape);
  if (asked.verb === 'train') {
    // The stores are closed with the run.
    const ground = {
      engine,
      variants: stores.map((store, i) => ({ store, shape: shapes[i] })),
      start: null,
      seed,
    };
    return { ...inProcessBench(ground), close: async () => {} };
  }
  const pool = {
    variants: paths.map((path, i) => ({ path, size: statSync(path).size, shape: shapes[i] })),
    start: null,
    seed,
    engine: { backend: asked.engine.backend, threads: asked.engine.threads ?? 1 },
    memory: asked.memory,
    folder: null,
    lowPriority: false,
    workers: Math.min(asked.workers, contenders),
    exchange: folder,
  };
  return openPool(pool, signal);
}

async function experiment(
  ready: Ready,
  parent: ReturnType<typeof readParent>,
  started: number,
): Promise<Result> {
  const { asked, engine, variants, stores, slices, read, first, screen, signal } = ready;
  const contenders = contendersOf(ready);
  const rounds = planRounds(contenders.length, slices.train);
  const bench = await openBench(ready, contenders.length);
  try {
    const { board, trials, recalled } = await tryAll(ready, contenders, bench);
    screen.say('training the best on training and validation events …');
    const job = finalJob(board[0], slices);
    const weights = await bench.train(job, signal);
    const variant = variants[job.variant];
    screen.say('testing it once …');
    const unseen = await test(ready, weights, variant, stores[job.variant]);
    const created = asked.created ?? systemClock.now();
    const made = { variant, store: stores[job.variant], job, quality: unseen?.measured ?? null, created };
    const manifest = manifestOf(asked, made, parent);
    const written = await writeBundle(asked, manifest, weights);
    const rows = {
      train: slices.train,
      validation: slices.end - slices.train,
      test: unseen?.measured.tested ?? 0,
    };
    const { unlabelled, dead } = read;
    const workers = bench.places;
    const ms = performance.now() - started;
    const whole = { asked, board, rounds: rounds.length, variants, first, rows, unlabelled, dead, unseen };
    return { ...whole, manifest, written, backend: engine.backend, workers, trials, recalled, ms };
  } finally {
    await bench.close();
  }
}

async function tryAll(
  ready: Ready,
  contenders: readonly Contender[],
  bench: Bench,
): Promise<{ board: Attempt[]; trials: number; recalled: number }> {
  const { asked, folder, slices, screen, signal } = ready;
  const journal =
    asked.verb === 'sweep' ? new TrialJournal(join(folder, 'trials'), keyOf(ready, contenders)) : null;
  if (journal?.startedAnew)
    screen.note(`${folder} held trials of another input, seed or setting: the sweep starts anew`);
  else if (journal && journal.size > 0)
    screen.note(`${journal.size} trials are known from before: the sweep goes on from there`);
  let [trials, recalled] = [0, 0];
  const seen = screen.trials(planRounds(contenders.length, slices.train), (attempt) =>
    inWords(attempt, ready),
  );
  try {
    const board = await halve({
      contenders,
      slices,
      bench,
      signal,
      recall: journal?.recall,
      onTrial: (attempt, job, known) => {
        if (known) recalled += 1;
        else {
          trials += 1;
          journal?.add(job, attempt);
        }
        seen(attempt, known);
      },
    });
    return { board, trials, recalled };
  } finally {
    journal?.close();
  }
}

/** The winner on the test part of the input, or on the files that were named for it. */
async function test(
  { asked, input, engine, slices, folder, signal }: Ready,
  weights: Uint8Array,
  { task }: FeatureVariant,
  store: RowStore,
): Promise<Unseen | null> {
  const apart = asked.testInput.length > 0;
  if (!apart && slices.end === store.count) return null;
  const path = join(folder, 'rows', 'test');
  const model = engine.load(weights);
  try {
    if (!apart)
      return await testUnseen(model, store, { from: slices.end, to: store.count }, task, asked.seed, signal);
    await featurize(readInput({ ...input, path: asked.testInput }), { tasks: [task], paths: [path], signal });
    const unseen = openRowFile(path, statSync(path).size);
    try {
      return await testUnseen(model, unseen, { from: 0, to: unseen.count }, task, asked.seed, signal);
    } finally {
      unseen.close();
    }
  } finally {
    model.close();
  }
}
