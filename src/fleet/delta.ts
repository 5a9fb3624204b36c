/**
 * Whether what a gateway has learned on its base has become worse than the base alone: a paired sequential test on the
 * gateway's own labelled rows. It begins anew now and then, so that a delta that was good for long is still
 * dropped soon after it turns bad (by a burst of wrong labels, say).
 */
import { PairedTest } from './hub/paired.ts';
import type { DeltaTest } from './sides.ts';

/** Probability that a delta that is not worse is dropped, for each round. */
const ALPHA = 1e-4;
const ROUND_ROWS = 4_096;
const MIN_ROWS = 128;

function newRound(): PairedTest {
  // One device may be all there is at a gateway; a share would silence it.
  return new PairedTest({
    alpha: ALPHA,
    margin: 0,
    tolerance: 0,
    perDevice: 1,
    minCount: MIN_ROWS,
    devices: 1,
  });
}

export function newDeltaTest(): DeltaTest {
  let round = newRound();
  let rows = 0;
  return {
    isWorse(device, loss, baseLoss) {
      round.add(device, baseLoss, loss);
      rows += 1;
      const { answer } = round;
      if (answer === 'worse' && rows >= MIN_ROWS) return true;
      if (answer === 'better' || rows >= ROUND_ROWS) {
        round = newRound();
        rows = 0;
      }
      return false;
    },
  };
}
