/** A task as the hub works on it: what the configuration says of it. The key under which names are hashed stays out. */
import type { Config } from '../config.ts';
import type { HubTask } from '../fleet/hub/seams.ts';
import type { Task } from '../task/task.ts';

export function hubTask(config: Config, task: Task): HubTask {
  const { name, event, labels, positive, shape, model, features: version } = task;
  const { learning, features } = config.tasks[name];
  const { key: _secret, ...featureOptions } = features.options as Record<string, unknown>;
  const first = { kind: model.kind, options: model.options, passes: 1, newest: 0 };
  return {
    ...{ name, event, labels, positive, features: version, featureOptions, shape, learning, first },
    seed: config.seed,
  };
}
