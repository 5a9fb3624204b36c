/**
 * The hub's rows as the hub uses them: from the pool, with what is set aside or beyond a device's share left out of
 * training. Trust is judged anew before each training, kept with the pool, and holds for the tests that follow.
 */
import { createHash } from 'node:crypto';
import type { Engine, LabelledRow, RowSet } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import type { HubPool, HubTask, TrainingRows, UnseenRows } from '../fleet/hub/seams.ts';
import {
  assessTrust,
  boundContributions,
  follow,
  isTrusted,
  pickSet,
  readTrust,
  type TrustState,
  writeTrust,
} from '../fleet/trust.ts';
import type { Pool, PoolSet } from '../state/pool.ts';
import type { Telemetry } from '../telemetry.ts';

export interface PooledRowsContext {
  readonly pool: Pool;
  readonly engine: Engine;
  readonly telemetry: Telemetry;
  readonly now: () => number;
}

export class PooledRows implements HubPool {
  readonly #context: PooledRowsContext;
  readonly #trust = new Map<string, TrustState>();

  constructor(context: PooledRowsContext) {
    this.#context = context;
  }

  async add(rows: readonly LabelledRow[]): Promise<void> {
    const { pool, telemetry } = this.#context;
    const result = await pool.put(rows);
    for (const [what, n] of Object.entries(result))
      if (n > 0) telemetry.count('pool_rows', { result: what }, n);
  }

  async training(task: HubTask): Promise<TrainingRows> {
    const { pool } = this.#context;
    const position = pool.position;
    const through = pool.through(task.name);
    const all = await pool.set(task.name, { features: task.features, shape: task.shape, upTo: position });
    const set = await this.#trusted(task, all);
    const until = set.at.length > 0 ? set.at[set.at.length - 1] : 0;
    return { set, through, until, digest: digestOf(set), withdrawnAt: all.withdrawnAt, position };
  }

  async unseen(task: HubTask, after: number, limit: number): Promise<UnseenRows> {
    const { rows, through } = this.#context.pool.read(task.name, after, limit);
    const usable = rows.filter(
      ({ label, features, first, site, device }) =>
        label >= 0 && first && features === task.features && !this.distrusts(task.name, site, device),
    );
    return { rows: usable, through };
  }

  position(): number {
    return this.#context.pool.position;
  }

  distrusts(task: string, site: string, device: string): boolean {
    return !isTrusted(this.#trustOf(task), nameOf({ site, device }));
  }

  /** Judges whom to trust by all rows, then takes of those who are what their share allows. */
  async #trusted(task: HubTask, { set, heads }: PoolSet): Promise<RowSet> {
    const { engine, telemetry, now } = this.#context;
    const { seed, shape } = task;
    const before = this.#trustOf(task.name);
    const suspicious = new Set([...before.keys()].filter((device) => !isTrusted(before, device)));
    const devices = heads.map(nameOf);
    const assessment = await assessTrust({ set, devices, shape }, { engine, seed, suspicious });
    const state = follow(before, assessment, now());
    for (const [device, { state: verdict, reason }] of state)
      if (verdict === 'suspicious' && !suspicious.has(device))
        telemetry.count('device_set_aside', { task: task.name }, 1, { device, reason });
    this.#trust.set(task.name, state);
    await this.#context.pool.saveState(keyOf(task.name), writeTrust(state));
    const places = devices.flatMap((device, i) => (isTrusted(state, device) ? [i] : []));
    const kept = boundContributions(
      places.map((place) => devices[place]),
      places.map((place) => set.at[place]),
      { seed },
    );
    // A copy of all would double what a large training holds in memory.
    return kept.length === set.rows.count
      ? set
      : pickSet(
          set,
          kept.map((i) => places[i]),
        );
  }

  #trustOf(task: string): TrustState {
    const found = this.#trust.get(task);
    if (found) return found;
    let saved: string | null = null;
    try {
      saved = this.#context.pool.readState(keyOf(task));
    } catch (thrown) {
      this.#context.telemetry.error(asSluiceError(thrown), { task });
    }
    const state = readTrust(saved);
    this.#trust.set(task, state);
    return state;
  }
}

const keyOf = (task: string): string => `trust/${task}`;
const nameOf = ({ site, device }: { readonly site: string; readonly device: string }): string =>
  `${site}/${device}`;

/** SHA-256 over labels, weights and rows: the same training set has the same digest. */
function digestOf({ rows, labels, weights }: RowSet): string {
  const hash = createHash('sha256');
  const cells = rows.indptr[rows.count];
  const parts = [
    rows.indptr.subarray(0, rows.count + 1),
    rows.indices.subarray(0, cells),
    rows.values.subarray(0, cells),
    rows.dense.subarray(0, rows.count * rows.denseDims),
    labels,
    weights,
  ];
  for (const part of parts) hash.update(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
  return hash.digest('hex');
}
