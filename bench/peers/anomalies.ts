/**
 * What anomaly scores are compared with: the largest deviation of any value from its running mean, which takes ten lines,
 * and River's half-space trees, run as a process on the same rows.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { AnomalyStream } from '../quality/anomalies.ts';

const run = promisify(execFile);

export interface Scored {
  /** By stream and row. */
  readonly scores: number[][];
  readonly cpuSeconds: number;
}

/** Largest |z| of a row's values, mean and deviation of all rows before (Welford 1962). */
export function largestDeviation(streams: readonly AnomalyStream[]): Scored {
  const before = process.cpuUsage();
  const scores = streams.map(({ rows }) => {
    const mean = new Float64Array(rows[0].length);
    const squares = new Float64Array(rows[0].length);
    return rows.map((row, n) => {
      let largest = 0;
      row.forEach((value, i) => {
        const apart = value - mean[i];
        const deviation = Math.sqrt(squares[i] / Math.max(1, n));
        if (deviation > 0) largest = Math.max(largest, Math.abs(apart) / deviation);
        mean[i] += apart / (n + 1);
        squares[i] += apart * (value - mean[i]);
      });
      return largest;
    });
  });
  const { user, system } = process.cpuUsage(before);
  return { scores, cpuSeconds: (user + system) / 1e6 };
}

const PROGRAM = `
import json, sys, time
from river import anomaly, compose, preprocessing
streams = json.load(open(sys.argv[1]))
used, out = 0.0, []
for rows in streams:
    model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1))
    scores = []
    began = time.process_time()
    for row in rows:
        x = dict(enumerate(row))
        scores.append(model.score_one(x))
        model.learn_one(x)
    used += time.process_time() - began
    out.append(scores)
json.dump({'scores': out, 'cpuSeconds': used}, open(sys.argv[2], 'w'))
`;

/** River's half-space trees with its defaults (Tan, Ting & Liu 2011), values scaled to what was seen so far. */
export async function halfSpaceTrees(
  python: string,
  streams: readonly AnomalyStream[],
  folder: string,
): Promise<string> {
  const [given, out] = ['rows.json', 'scores.json'].map((name) => path.join(folder, name));
  writeFileSync(given, JSON.stringify(streams.map(({ rows }) => rows)));
  await run(python, ['-c', PROGRAM, given, out], { maxBuffer: 1 << 24 });
  return out;
}
