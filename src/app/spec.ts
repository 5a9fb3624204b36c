/** From the configuration to what a task is made of; `run`, `decode` and `evaluate -c` share it. */
import type { Config } from '../config.ts';
import type { TaskSpec } from '../task/task.ts';

export function taskSpec(config: Config, name: string): TaskSpec {
  const task = config.tasks[name];
  return { ...task, name, seed: config.seed };
}
