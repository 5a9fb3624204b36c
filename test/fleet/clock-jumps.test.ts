/** A clock that was wrong once does not keep the hub from training for ever. */
import { expect, test } from 'vitest';
import { hubLoopOptions } from '../../src/fleet/hub/options.ts';
import { dueCause } from '../../src/fleet/hub/triggers.ts';

test.each([
  ['right after a training', 1_000, 2_000, false],
  ['after the cooldown', 1_000, 1_000 + 600_000, true],
  ['on a clock that stood in the future at the last training', 4e12, 2_000, true],
])('%s', (_when, trainedAt, now, due) => {
  const live = { digest: 'd', version: 1, size: 1, chunks: 1 };
  const known = { paused: null, training: null, rollout: null, created: 0, cause: null, fresh: 30_000 };
  const record = { ...known, trainedAt, live } as unknown as Parameters<typeof dueCause>[0];
  const cause = dueCause(record, hubLoopOptions.parse({}), now);
  expect(cause?.kind ?? null).toBe(due ? 'volume' : null);
});
