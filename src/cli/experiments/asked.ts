/**
 * What was asked of `train` or `sweep`, checked before anything is read. Refuses (USAGE) numbers out of range and a
 * place for the bundle that cannot be written, so that no hour is lost to them at the end.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { type PrivateKey, readPrivateKey } from '../../model/signing.ts';
import { byteSize, duration } from '../../units.ts';
import { type DataGiven, oneOf, threadsOf, usage, whole, workersOf } from '../evaluate/asked.ts';
import type { Terminal } from '../terminal.ts';

/** As commander gives it. */
export interface Given extends Omit<DataGiven, 'train'> {
  readonly out: string;
  readonly testInput: string[];
  readonly validation: string;
  readonly test?: string;
  readonly passes: string;
  readonly newest: string;
  readonly seed: string;
  readonly backend: string;
  readonly threads?: string;
  readonly key?: string;
  readonly parent?: string;
  readonly expires: string;
  readonly created?: string;
  readonly json?: string | true;
  // sweep alone
  readonly budget?: string;
  readonly workers?: string;
  readonly memory?: string;
  readonly fixedFeatures?: boolean;
}

export interface Asked {
  readonly verb: 'train' | 'sweep';
  readonly name: string;
  readonly given: DataGiven;
  readonly testInput: readonly string[];
  readonly out: string;
  /** Shares of the labelled events of --input; the newest are tested, those before them validate. */
  readonly validation: number;
  readonly test: number;
  readonly passes: number;
  readonly newest: number;
  readonly seed: number;
  readonly budget: number;
  readonly workers: number;
  /** Threads that prepare mail. */
  readonly preparing: number;
  /** Bytes a worker may hold. */
  readonly memory: number;
  readonly searchFeatures: boolean;
  readonly engine: { readonly backend: 'auto' | 'cpu' | 'cuda'; readonly threads: number | undefined };
  readonly key: PrivateKey | null;
  readonly parent: string | null;
  readonly lifetime: number;
  /** ms; null: now. */
  readonly created: number | null;
  readonly json: string | true | undefined;
}

const LEAST_MEMORY = 1024 ** 3;
/** Of the machine's memory, for all workers together. */
const MEMORY_SHARE = 0.8;
/** A bundle's time, seconds. */
const LATEST = 8.64e12;

function share(option: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value < 1) return value;
  throw usage(`${option} ${text}: needs a share ${least > 0 ? 'above 0' : 'from 0'} to below 1`);
}

function atLeast(option: string, text: string, least: number, most: number): number {
  const value = whole(option, text);
  if (value >= least && value <= most) return value;
  throw usage(`${option} ${text}: needs a whole number from ${least} to ${most}`);
}

/** The folder is there and can be written to, and the name is none of a folder. */
function checkOut(out: string): string {
  const path = resolve(out);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw usage(`--out ${out}: ${(error as Error).message}`);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw usage(`--out ${out}: is a folder; name a file, as in ${basename(out)}/model.bundle`);
  return path;
}

/** `--created`, else SOURCE_DATE_EPOCH (seconds, reproducible-builds.org), else null. */
function createdAt(given: string | undefined, environment: string | undefined): number | null {
  if (given !== undefined) {
    const at = Date.parse(given);
    if (Number.isFinite(at) && at >= 0) return at;
    throw usage(`--created ${given}: needs a date, as in 2026-05-01T12:00:00Z`);
  }
  if (environment === undefined || environment === '') return null;
  return atLeast('SOURCE_DATE_EPOCH', environment, 0, LATEST) * 1_000;
}

function parsed<T>(
  option: string,
  text: string,
  schema: {
    safeParse(
      text: unknown,
    ): { success: true; data: T } | { success: false; error: { issues: readonly { message: string }[] } };
  },
): T {
  const result = schema.safeParse(text);
  if (result.success) return result.data;
  throw usage(`${option} ${text}: ${result.error.issues[0].message}`);
}

/** Checks everything that can be checked without reading data. Throws USAGE, KEY_INVALID, INPUT_NOT_FOUND. */
export function parseAsked(verb: Asked['verb'], name: string, given: Given, { env }: Terminal): Asked {
  if (given.input.length === 0) throw usage('--input PATH is needed: the data to learn from');
  const validation = share('--validation', given.validation, Number.MIN_VALUE);
  const separate = given.testInput.length > 0;
  if (separate && given.test !== undefined)
    throw usage('--test F cuts the test events off --input; --test-input names others: give one of them');
  const test = separate ? 0 : share('--test', given.test ?? '0.2', 0);
  if (validation + test >= 1) throw usage('--validation and --test together leave nothing to train on');
  // A training is one process; its workers prepare.
  const workers =
    verb === 'train'
      ? 1
      : given.workers === undefined
        ? availableParallelism()
        : atLeast('--workers', given.workers, 1, 256);
  const most = Math.max(LEAST_MEMORY, Math.floor((totalmem() * MEMORY_SHARE) / workers));
  return {
    verb,
    name,
    given: { ...given, train: [] },
    testInput: given.testInput,
    out: checkOut(given.out),
    validation,
    test,
    passes: atLeast('--passes', given.passes, 1, 1_000),
    newest: whole('--newest', given.newest),
    seed: whole('--seed', given.seed),
    budget: verb === 'train' ? 1 : atLeast('--budget', given.budget ?? '', 1, 10_000),
    workers,
    preparing: verb === 'train' ? workersOf(given.workers ?? '0') : Math.min(workers, availableParallelism()),
    memory: given.memory === undefined ? most : parsed('--memory', given.memory, byteSize),
    searchFeatures: verb === 'sweep' && given.fixedFeatures !== true,
    engine: {
      backend: oneOf('--backend', given.backend, ['auto', 'cpu', 'cuda']),
      threads: given.threads === undefined ? undefined : threadsOf(given.threads),
    },
    key: given.key === undefined ? null : readPrivateKey(given.key),
    parent: given.parent ?? null,
    lifetime: parsed('--expires', given.expires, duration),
    created: createdAt(given.created, env.SOURCE_DATE_EPOCH),
    json: given.json,
  };
}
