/**
 * The loop closes: in virtual time, with the real gateways, hub, learning, training and signing. A few seeds here; the
 * benchmark `loop` tells the same stories over 20 and 100.
 */
import { expect, test } from 'vitest';
import { driftStory, flippedStory, quietStory } from '../../bench/loop/story.ts';
import { openEngine } from '../../src/model/engine.ts';

const engine = openEngine({ threads: 1 });

/** Rows cross real queues in real time: on a machine that stands still for a moment a story may end otherwise. */
const again = { retry: 2, timeout: 120_000 };

test(
  'after a drift the hub finds a model that brings quality back, and no reading is lost on the way',
  again,
  async () => {
    const story = await driftStory(engine, 1);
    expect(story.lost).toBe(0);
    expect(story.before - story.low, 'the drift hurts').toBeGreaterThan(0.1);
    expect(story.alarm).not.toBeNull();
    expect(story.live).not.toBeNull();
    expect(story.recovered).toBeGreaterThan(0.8);
  },
);

test('where nothing changes nothing is alarmed and nothing rolled out', again, async () => {
  const story = await quietStory(engine, 101);
  expect(story).toMatchObject({ alarms: [], rollouts: 0, lost: 0 });
});

test('a candidate that was trained on flipped labels never comes to a gateway', {
  timeout: 120_000,
}, async () => {
  const story = await flippedStory(engine, 5);
  expect(story.candidates).toBeGreaterThan(0);
  expect(story).toMatchObject({ promoted: 0, lost: 0 });
});
