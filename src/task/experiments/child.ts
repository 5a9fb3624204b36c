/**
 * A trainer that works in child processes of low priority, so that a gateway or hub goes on undisturbed whatever
 * training does: rows are handed over in a temporary file that goes when the training ends, trials
 * are told as they end. A child that dies or needs too much memory is TRAINING_FAILED; an abort kills it.
 */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Trainer, TrainRequest } from '../../contract.ts';
import { type EngineOptions, openEngine } from '../../model/engine.ts';
import { openPool } from './pool.ts';
import { writeRowFile } from './rowfile.ts';
import { failed } from './rows.ts';
import { asTraining, planRequest, runPlan, type TrialSeen } from './run.ts';

export interface ChildOptions {
  readonly engine?: EngineOptions;
  /** Processes at a time, default 1. Results do not depend on it. */
  readonly workers?: number;
  /** Resident bytes that one process may hold, default 2 GiB. */
  readonly memory?: number;
  /** Where rows are handed over, default the system's folder for temporary files. */
  readonly folder?: string;
  readonly onTrial?: TrialSeen;
  /** The compiled script of the child; default: beside this file. */
  readonly script?: string;
}

const MEMORY = 2 * 1024 ** 3;
/** Bytes of rows that one request may hand over. */
const MOST_BYTES = 8 * 1024 ** 3;

/** Trains in `workers` processes that end when the training does. */
export function childTrainer(options: ChildOptions = {}): Trainer {
  return {
    train: (request, signal) => asTraining(signal, () => trainApart(options, request, signal)),
  };
}

const sizeOf = ({ set: { rows } }: TrainRequest): number =>
  rows.indptr[rows.count] * 8 + rows.count * (rows.denseDims * 4 + 20);

async function trainApart(options: ChildOptions, request: TrainRequest, signal?: AbortSignal) {
  const bytes = sizeOf(request);
  if (bytes > MOST_BYTES) throw failed(`${bytes} bytes of rows are too many, ${MOST_BYTES} are allowed`);
  // One thread a process; they share the cores, and results do not depend on it.
  const engine = { threads: 1, ...options.engine };
  const plan = planRequest(request, openEngine(engine));
  const folder = await mkdtemp(join(options.folder ?? tmpdir(), 'sluice-train-'));
  try {
    const path = join(folder, 'rows');
    const start = request.start ? join(folder, 'start') : null;
    await writeRowFile(path, request.set);
    if (start !== null && request.start) await writeFile(start, request.start, { mode: 0o600 });
    const pool = {
      variants: [{ path, size: (await stat(path)).size, shape: request.shape }],
      start,
      seed: request.seed,
      engine,
      memory: options.memory ?? MEMORY,
      folder,
      lowPriority: true,
      workers: Math.max(1, Math.min(options.workers ?? 1, plan.experiments.length)),
      exchange: folder,
      script: options.script,
    };
    const bench = await openPool(pool, signal);
    try {
      return await runPlan(plan, bench, signal, options.onTrial);
    } finally {
      await bench.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
