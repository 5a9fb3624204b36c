/** What the tests of the store share: a store in a folder of its own, rows to fill it, and children to kill. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Event, JoinBatch, JoinedRow, Store } from '../../src/contract.ts';
import { openStore, type StoreLimits, storeOptions } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';

export interface TestClock extends Clock {
  ms: number;
}

export function testClock(ms = 1_700_000_000_000): TestClock {
  return {
    ms,
    now() {
      return this.ms;
    },
    sleep: () => Promise.resolve(),
  };
}

export const limitsOf = (given: object = {}): StoreLimits => {
  const { path: _, ...limits } = storeOptions.parse(given);
  return limits;
};

export interface Bench {
  readonly folder: string;
  readonly clock: TestClock;
  readonly telemetry: Telemetry;
  open(limits?: object, mode?: 'gateway' | 'tool', key?: string): Promise<Store>;
  done(): Promise<void>;
}

/** A folder for one test; `done` closes what is open and removes everything. */
export function bench(): Bench {
  const root = mkdtempSync(join(tmpdir(), 'sluice-state-'));
  const folder = join(root, 'state');
  const clock = testClock();
  const telemetry = new Telemetry({ level: 'silent' });
  const stores: Store[] = [];
  return {
    folder,
    clock,
    telemetry,
    async open(limits = {}, mode = 'gateway', key) {
      const store = await openStore({ path: folder, limits: limitsOf(limits), key, clock, telemetry, mode });
      stores.push(store);
      return store;
    },
    async done() {
      for (const store of stores) await store.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Numbers from a seed (mulberry32), for tests that need no shrinking. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Named {
  readonly id: string;
  readonly device?: string;
  readonly at?: number;
  readonly aliases?: readonly string[];
}

/** A batch whose rows can be told apart: row i has i + 1 sparse cells and dense values that name its id. */
export function batchOf(task: string, named: readonly Named[], cells = 3): JoinBatch {
  const events: Event[] = named.map(({ id, device = 'd', at = 0, aliases = [] }) => {
    const body = { kind: 'reading', values: new Float64Array(0), categories: [] } as const;
    return { id, weak: false, device, at, aliases, body };
  });
  const count = events.length;
  const sizes = events.map((_, i) => 1 + ((i + cells) % (cells + 1)));
  const indptr = new Uint32Array(count + 5);
  sizes.forEach((size, i) => {
    indptr[i + 1] = indptr[i] + size;
  });
  const nnz = indptr[count];
  const indices = Uint32Array.from({ length: nnz + 9 }, (_, i) => (i * 2_654_435_761) >>> 8);
  const values = Float32Array.from({ length: nnz + 9 }, (_, i) => i / 3);
  const dense = Float32Array.from({ length: 2 * count + 3 }, (_, i) => (i % 5 === 0 ? Number.NaN : i));
  const scores = Float32Array.from({ length: 2 * count }, (_, i) => i / 7);
  const predicted = Int32Array.from({ length: count }, (_, i) => (i % 3) - 1);
  const rows = { count, indptr, indices, values, denseDims: 2, dense };
  return { task, features: 'f-1', model: 'base+7', rows, events, scores, classes: 2, predicted };
}

/** What the store must give back for row i of a batch. */
export function expectedRow(batch: JoinBatch, i: number): JoinedRow {
  const { rows, events, scores, predicted, features, model } = batch;
  const [from, to] = [rows.indptr[i], rows.indptr[i + 1]];
  return {
    id: events[i].id,
    device: events[i].device,
    at: events[i].at,
    features,
    model,
    scores: scores.slice(2 * i, 2 * i + 2),
    predicted: predicted[i],
    rows: {
      count: 1,
      indptr: Uint32Array.of(0, to - from),
      indices: rows.indices.slice(from, to),
      values: rows.values.slice(from, to),
      denseDims: 2,
      dense: rows.dense.slice(2 * i, 2 * i + 2),
    },
  };
}

export function joinedOf(id: string): JoinedRow {
  return expectedRow(batchOf('any', [{ id, device: `device of ${id}`, at: 5 }]), 0);
}

export interface Child {
  readonly pid: number;
  /** Whole lines of its standard output so far. */
  readonly lines: string[];
  /** Resolves when a line is there that starts so. */
  said(start: string): Promise<string>;
  /** Resolves when it has said so many lines. */
  saidSo(many: number): Promise<void>;
  kill(): void;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>;
}

export function startChild(command: string, args: readonly string[]): Child {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let rest = '';
  let stderr = '';
  let wake: () => void = () => {};
  const woken = () => {
    const now = wake;
    wake = () => {};
    now();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    woken();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4_000);
  });
  let over = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>(
    (resolve) => {
      child.on('close', (code, signal) => {
        over = true;
        wake();
        resolve({ code, signal, stderr });
      });
    },
  );
  const until = async <T>(look: () => T | undefined, what: string): Promise<T> => {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (over) throw new Error(`the child ended before ${what}: ${stderr}`);
      await new Promise<void>((resolve) => {
        const before = wake;
        wake = () => {
          before();
          resolve();
        };
      });
    }
  };
  const said = (start: string) => until(() => lines.find((each) => each.startsWith(start)), start);
  const saidSo = (many: number) =>
    until(() => (lines.length >= many ? null : undefined), `${many} lines`).then(() => {});
  return { pid: child.pid ?? 0, lines, said, saidSo, kill: () => child.kill('SIGKILL'), ended };
}
