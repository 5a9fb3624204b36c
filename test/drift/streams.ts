/** Made streams for the detectors' tests: seeded, with a change where it is asked for. */
import { seededRandom } from '../../src/task/random.ts';

/** 0/1 values: `before` of them at the rate `p0`, then `after` at `p1`. */
export function errors(seed: number, p0: number, before: number, p1 = p0, after = 0): Float64Array {
  const random = seededRandom(seed, 'errors');
  return Float64Array.from({ length: before + after }, (_, i) => (random() < (i < before ? p0 : p1) ? 1 : 0));
}

/** Normal values of deviation 1; the mean rises by `shift` after `before` of them. */
export function normal(seed: number, before: number, shift = 0, after = 0): Float64Array {
  const random = seededRandom(seed, 'normal');
  const draw = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float64Array.from({ length: before + after }, (_, i) => draw() + (i < before ? 0 : shift));
}

/** Indices at which the detector told a change. */
export function alarms(detector: { update(value: number): boolean }, stream: Iterable<number>): number[] {
  const found: number[] = [];
  let i = 0;
  for (const value of stream) {
    if (detector.update(value)) found.push(i);
    i += 1;
  }
  return found;
}
