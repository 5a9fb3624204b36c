/** A swap between two calls: what was asked of a model is answered by that model. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RowArena } from '../../src/features/rows.ts';
import { blankBase } from '../../src/fleet/base.ts';
import { bitsOf, eventOf, makeRig, type Rig, task } from './kit.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

test('scores that are under way while another base takes over come, from the old one, under its name', async () => {
  const weights = await bitsOf(Array.from({ length: 50 }, (_, n) => eventOf(n)));
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (let n = 0; n < 64; n++) task.fill(eventOf(n).event, arena);
  const rows = arena.view();
  const before = Buffer.from(Float32Array.from(await rig.learner.score(rows).probabilities).buffer);
  const blank = blankBase(task);
  for (let round = 0; round < 50; round++) {
    const digest = String(round).padStart(64, 'a');
    const base = round % 2 === 0 ? { ...blank, digest, name: digest, weights, kind: 'linear' } : blank;
    const installed = rig.learner.install(base);
    let done = false;
    void installed.then(() => {
      done = true;
    });
    while (!done) {
      const asked = rig.learner.score(rows);
      const scores = Buffer.from(Float32Array.from(await asked.probabilities).buffer);
      expect(scores.equals(before), asked.model).toBe(asked.model.startsWith('blank-'));
    }
  }
});
