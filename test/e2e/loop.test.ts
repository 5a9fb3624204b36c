/**
 * The loop closes: in virtual time, with the real gateways, hub, learning, training and signing. A few seeds here; the
 * benchmark `loop` tells the same stories over 20 and 100.
 */
import { expect, test } from 'vitest';
import { driftStory, flippedStory, quietStory } from '../../bench/loop/story.ts';
import { openEngine } from '../../src/model/engine.ts';

const engine = openEngine({ threads: 1 });

test('after a drift the hub finds a model that brings quality back, and no reading is lost on the way', async () => {
  const story = await driftStory(engine, 1);
  expect(story.lost).toBe(0);
  expect(story.before - story.low, 'the drift hurts').toBeGreaterThan(0.1);
  expect(story.alarm).not.toBeNull();
  expect(story.live).not.toBeNull();
  expect(story.recovered).toBeGreaterThan(0.9);
}, 120_000);

test('where nothing changes nothing is alarmed and nothing rolled out', async () => {
  const story = await quietStory(engine, 101);
  expect(story).toMatchObject({ alarms: [], rollouts: 0, lost: 0 });
}, 120_000);

test('a candidate that was trained on flipped labels never comes to a gateway', async () => {
  const story = await flippedStory(engine, 5);
  expect(story.candidates).toBeGreaterThan(0);
  expect(story).toMatchObject({ promoted: 0, lost: 0 });
}, 120_000);
