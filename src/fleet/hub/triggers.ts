/** Whether a training is due, and why: drift first, then the first model, then volume, then time. Never while something is under way. */
import type { HubLoopOptions } from './options.ts';
import type { Cause, TaskRecord } from './record.ts';

type Known = Pick<
  TaskRecord,
  'paused' | 'training' | 'rollout' | 'trainedAt' | 'created' | 'cause' | 'fresh' | 'live'
>;

export function dueCause(record: Known, options: Pick<HubLoopOptions, 'retrain'>, now: number): Cause | null {
  const { retrain } = options;
  const { trainedAt, cause, fresh } = record;
  if (record.paused !== null || record.training || record.rollout) return null;
  // A clock that was set back must not forbid training until it comes there again.
  if (trainedAt !== null && now >= trainedAt && now - trainedAt < retrain.cooldown) return null;
  if (cause) return isRipe(cause, retrain, now) ? cause : null;
  const plain = (kind: Cause['kind'], reason: string): Cause => ({
    kind,
    reason,
    at: now,
    incident: null,
    since: 0,
    rows: fresh,
  });
  if (!record.live && fresh >= retrain.minRows) return plain('first', `the first model: ${fresh} labels`);
  // Before the first training there is nothing to train again, and too few rows would only make it fail.
  if (!record.live && trainedAt === null) return null;
  if (retrain.volume > 0 && fresh >= retrain.volume)
    return plain('volume', `${fresh} new labels since the last training`);
  const last = trainedAt ?? record.created;
  if (retrain.every > 0 && fresh > 0 && now - last >= retrain.every)
    return plain('time', `the last training was ${new Date(last).toISOString()}`);
  return null;
}

/** After a drift there must be something to learn from. */
function isRipe(cause: Cause, retrain: HubLoopOptions['retrain'], now: number): boolean {
  // The same rows again would make the same candidate.
  if (cause.again && cause.rows === 0) return false;
  return cause.rows >= (cause.want ?? retrain.afterDrift) || now - cause.at >= retrain.afterDriftDeadline;
}

/** What the next training waits for, in words. */
export function sayNext(record: Known, options: Pick<HubLoopOptions, 'retrain'>, now: number): string {
  const { retrain } = options;
  if (record.paused !== null) return 'paused';
  if (record.training) return `training: ${record.training.reason}`;
  if (record.rollout) return 'a roll-out is under way';
  const { cause, trainedAt, fresh } = record;
  const rest = trainedAt === null ? 0 : trainedAt + retrain.cooldown - now;
  const cooling = rest > 0 ? `; not before ${new Date(now + rest).toISOString()}` : '';
  if (cause)
    return `${cause.reason}: ${cause.rows} of ${cause.want ?? retrain.afterDrift} labels from after it began${cooling}`;
  if (!record.live) return `the first model: ${fresh} of ${retrain.minRows} labels${cooling}`;
  const parts = [
    ...(retrain.volume > 0 ? [`${fresh} of ${retrain.volume} new labels`] : []),
    ...(retrain.every > 0 ? [new Date((trainedAt ?? record.created) + retrain.every).toISOString()] : []),
    ...(retrain.drift !== 'never' ? ['a drift alarm'] : []),
  ];
  return `${parts.join(', or ')}${cooling}`;
}
