/**
 * The size of the scenarios: short in the suite, whole with SLUICE_SCALE=full (the figures in the README come
 * from there). The promises asserted are the same.
 */
import { seededRandom } from '../../src/task/random.ts';

export const full = process.env.SLUICE_SCALE === 'full';

export const scale = {
  killEvents: full ? 50_000 : 4_000,
  kills: full ? 10 : 3,
  /** Events published a second, so that kills fall into the stream. */
  killRate: full ? 3_000 : 1_000,
  mails: full ? Number.POSITIVE_INFINITY : 600,
  malformed: full ? 1_000 : 300,
} as const;

/** Time for a whole scenario, ms. */
export const patience = full ? 560_000 : 170_000;

/** Seeded, so that a failure can be repeated. */
export const random = (seed: number): (() => number) => seededRandom(seed, 'e2e');

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `check` gives true; throws with `what()` after `ms`. */
export async function until(
  check: () => boolean | Promise<boolean>,
  ms: number,
  what: () => string,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`gave up waiting: ${what()}`);
    await sleep(50);
  }
}
