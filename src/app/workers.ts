/** The threads that prepare the mail of a gateway: one pool, for every task that gains by it. */
import type { Config } from '../config.ts';
import type { Clock } from '../contract.ts';
import { PooledPreparer, type Preparer, type Taker } from '../flow/preparer.ts';
import { gainsByWorkers, Pool } from '../task/preparation.ts';
import { openTask } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { taskSpec } from './spec.ts';

export interface Workers {
  readonly pool: Pool;
  /** How the lane of a task is prepared for; undefined: by itself. */
  preparerOf(task: string): ((taker: Taker) => Preparer) | undefined;
}

/** Null where none are asked for, or no task would gain. Rejects with WORKER_FAILED. */
export async function openWorkers(
  config: Config,
  { clock, telemetry }: { readonly clock: Clock; readonly telemetry: Telemetry },
): Promise<Workers | null> {
  const all = Object.keys(config.tasks).filter((name) => config.tasks[name].from.length > 0);
  const tasks = all.map((name) => openTask(taskSpec(config, name))).filter(gainsByWorkers);
  if (config.workers === 0 || tasks.length === 0) return null;
  const pool = await Pool.open({
    threads: config.workers,
    groups: tasks.map((task) => [task]),
    clock,
    onLost: (reason) => telemetry.count('worker_lost', {}, 1, { reason }),
  });
  return {
    pool,
    preparerOf(name) {
      const group = tasks.findIndex((task) => task.name === name);
      return group < 0 ? undefined : (taker) => new PooledPreparer(pool, group, config.batch.size, taker);
    },
  };
}
