/** Labelled readings of a seeded fleet, some of whose devices are not honest. */
import type { RowSet } from '../../../src/contract.ts';
import type { TrustInput } from '../../../src/fleet/trust.ts';
import { seededRandom } from '../../../src/task/random.ts';

export type Lie = 'flips' | 'flips30' | 'constant' | 'random' | 'own concept';

export interface World {
  readonly devices: number;
  readonly rows: number;
  readonly seed: number;
  readonly lies?: Readonly<Record<number, Lie>>;
  /** Standard deviation of how hard the devices' rows are. */
  readonly spread?: number;
  /** Share of rows with label 1; default a half. */
  readonly rare?: boolean;
}

export const shape = { dims: 0, denseDims: 4, classes: 2 };

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Rows of all devices by turns; the label is the side of a plane, with noise near it. */
export function fleet({ devices, rows, seed, lies = {}, spread = 0, rare = false }: World): TrustInput {
  const random = seededRandom(seed, 'world');
  const count = devices * rows;
  const dense = new Float32Array(count * 4);
  const labels = new Int32Array(count);
  const names: string[] = [];
  const noise = Array.from({ length: devices }, () => Math.max(0.1, 0.4 + spread * normal(random)));
  for (let i = 0; i < count; i++) {
    const d = i % devices;
    const x = [normal(random), normal(random), normal(random), normal(random)];
    dense.set(x, i * 4);
    const side = lies[d] === 'own concept' ? x[2] - x[3] : x[0] + x[1];
    const truth = side + noise[d] * normal(random) > (rare ? 1.8 : 0) ? 1 : 0;
    labels[i] = told(truth, lies[d], random);
    names.push(`site/d${d}`);
  }
  const none = { indices: new Uint32Array(0), values: new Float32Array(0) };
  const set: RowSet = {
    features: 'f',
    rows: { count, indptr: new Uint32Array(count + 1), ...none, denseDims: 4, dense },
    labels,
    weights: new Float32Array(count).fill(1),
    at: Float64Array.from({ length: count }, (_, i) => i),
  };
  return { set, devices: names, shape };
}

function told(truth: number, lie: Lie | undefined, random: () => number): number {
  if (lie === 'flips') return 1 - truth;
  if (lie === 'flips30') return random() < 0.3 ? 1 - truth : truth;
  if (lie === 'constant') return 0;
  if (lie === 'random') return random() < 0.5 ? 1 : 0;
  return truth;
}
