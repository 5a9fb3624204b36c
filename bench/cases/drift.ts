/** Drift detection: what an update costs, and how soon each detector tells a change at what price in false alarms. */
import type { Detector } from '../../src/contract.ts';
import { type BenchCase, measure } from '../case.ts';
import { names, type Outcome, open, outcomePage, settings, simulate } from '../drift/simulation.ts';
import { random } from '../inputs.ts';

/** Values of one timed pass. */
const UPDATES = 2_000_000;
const RUNS = 1_000;

/** Errors at a rate of 2 %, which every detector takes. */
const TIMED = settings[1];

function values(seed: number, n: number): Float64Array {
  const uniform = random(seed);
  return Float64Array.from({ length: n }, () => TIMED.draw(uniform, false));
}

const through = (detector: Detector, stream: Float64Array) =>
  measure(() => {
    let told = 0;
    for (let i = 0; i < stream.length; i++) if (detector.update(stream[i])) told += 1;
    return told >= 0 ? stream.length : 0;
  });

/** ns a value of every detector, the better of two passes. */
async function costs(stream: Float64Array): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const name of names) {
    for (const _ of [1, 2]) {
      const detector = open(name, TIMED);
      if (!detector) continue;
      const { n, seconds } = await through(detector, stream);
      found.set(name, Math.min(found.get(name) ?? Infinity, (seconds / n) * 1e9));
    }
  }
  return found;
}

const drift: BenchCase = {
  name: 'drift',
  what: 'values through the sequential detector at a budget of one false alarm in 10,000',
  peer: 'CUSUM that knows the rates before and after the change, one addition and one comparison a value',
  unit: 'values',
  async prepare({ seed, quick }) {
    const runs = quick ? 20 : RUNS;
    const stream = values(seed, quick ? UPDATES / 10 : UPDATES);
    const outcomes = settings.flatMap((setting) =>
      names.flatMap((name): Outcome[] => {
        const outcome = simulate(name, setting, runs, seed);
        return outcome ? [outcome] : [];
      }),
    );
    const ours = outcomes.filter(({ detector }) => detector === 'sequential');
    const more = {
      'most delay / floor': Math.max(...ours.map(({ delay, floor }) => (delay ?? Infinity) / floor)),
      'most false alarms per 10,000': Math.max(...ours.map(({ falseAlarms }) => falseAlarms)),
    };
    return {
      sluice: async () => ({ ...(await through(open('sequential', TIMED) as Detector, stream)), more }),
      peer: () => through(open('cusum', TIMED) as Detector, stream),
      page: outcomePage(outcomes, runs, await costs(stream)),
    };
  },
};

export const driftCases: readonly BenchCase[] = [drift];
