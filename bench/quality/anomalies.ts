/**
 * Streams with anomalies: the water pumps of SKAB, the machines and servers of NAB; and what is measured of scores that
 * saw no label. Of each file the first rows are for getting acquainted with it and are not counted: 400 in SKAB and
 * 15 % but at most 750 in NAB, as these benchmarks do it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface AnomalyStream {
  readonly name: string;
  /** Values of each row, in order. */
  readonly rows: readonly (readonly number[])[];
  readonly anomalous: readonly boolean[];
  /** The first row that counts. */
  readonly from: number;
}

export interface AnomalyFigures {
  /** Over the rows of all streams that count, and their mean over streams with both kinds of rows. */
  readonly rocAuc: number;
  readonly meanRocAuc: number;
  readonly prAuc: number;
  /** Where rows above `threshold` are called anomalies; null where the score has no such threshold. */
  readonly alarms: { readonly f1: number; readonly falseAlarms: number; readonly missed: number } | null;
  readonly rows: number;
  readonly cpuSeconds: number;
}

const csvs = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.csv'))
    .sort()
    .map((name) => path.join(folder, name));

const lines = (file: string, cut: string) =>
  readFileSync(file, 'utf8')
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.split(cut));

const SKAB_ACQUAINTED = 400;

function skab(folder: string): AnomalyStream[] {
  return ['valve1', 'valve2', 'other'].flatMap((part) =>
    csvs(path.join(folder, 'data', part)).map((file) => {
      const cells = lines(file, ';');
      return {
        name: `${part}/${path.basename(file)}`,
        // Between the time and the two labels.
        rows: cells.map((row) => row.slice(1, -2).map(Number)),
        anomalous: cells.map((row) => Number(row.at(-2)) === 1),
        from: SKAB_ACQUAINTED,
      };
    }),
  );
}

function nab(folder: string): AnomalyStream[] {
  const windows = JSON.parse(
    readFileSync(path.join(folder, 'labels', 'combined_windows.json'), 'utf8'),
  ) as Record<string, readonly [string, string][]>;
  const time = (text: string) => Date.parse(`${text.slice(0, 19).replace(' ', 'T')}Z`);
  return readdirSync(path.join(folder, 'data'))
    .sort()
    .flatMap((part) =>
      csvs(path.join(folder, 'data', part)).map((file) => {
        const name = `${part}/${path.basename(file)}`;
        const spans = (windows[name] ?? []).map(([from, to]) => [time(from), time(to)]);
        const cells = lines(file, ',');
        return {
          name,
          rows: cells.map((row) => [Number(row[1])]),
          anomalous: cells.map(([at]) => spans.some(([from, to]) => time(at) >= from && time(at) <= to)),
          from: Math.min(750, Math.floor(0.15 * cells.length)),
        };
      }),
    );
}

/** By name of the benchmark; without those that are not there. */
export function anomalyStreams(data: string): Record<string, AnomalyStream[]> {
  const sets: Record<string, AnomalyStream[]> = {};
  for (const [name, read] of [
    ['skab', skab],
    ['nab', nab],
  ] as const) {
    const folder = path.join(data, 'sensors', name);
    if (existsSync(folder)) sets[name] = read(folder);
  }
  return sets;
}

/** Area under the ROC curve, ties counted half. */
export function rocAuc(scores: readonly number[], positive: readonly boolean[]): number {
  const order = [...scores.keys()].sort((a, b) => scores[a] - scores[b]);
  let [ranks, positives] = [0, 0];
  for (let i = 0, j = 0; i < order.length; i = j) {
    while (j < order.length && scores[order[j]] === scores[order[i]]) j += 1;
    for (let k = i; k < j; k += 1)
      if (positive[order[k]]) {
        ranks += (i + j + 1) / 2;
        positives += 1;
      }
  }
  const negatives = order.length - positives;
  return (ranks - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Average precision. */
export function prAuc(scores: readonly number[], positive: readonly boolean[]): number {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  let [found, sum] = [0, 0];
  for (let i = 0, j = 0; i < order.length; i = j) {
    let here = 0;
    for (; j < order.length && scores[order[j]] === scores[order[i]]; j += 1)
      here += positive[order[j]] ? 1 : 0;
    found += here;
    sum += here * (found / j);
  }
  return sum / found;
}

/** `scores` of each stream's rows, NaN where there is none. */
export function anomalyFigures(
  streams: readonly AnomalyStream[],
  scores: readonly (readonly number[])[],
  threshold: number | null,
  cpuSeconds: number,
): AnomalyFigures {
  const counted = streams.map(({ anomalous, from }, s) => ({
    scores: scores[s].slice(from).map((score) => (Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score)),
    positive: anomalous.slice(from),
  }));
  const all = counted.flatMap((each) => each.scores);
  const positive = counted.flatMap((each) => each.positive);
  const both = counted.filter((each) => each.positive.includes(true) && each.positive.includes(false));
  const each = both.map((one) => rocAuc(one.scores, one.positive));
  return {
    rocAuc: rocAuc(all, positive),
    meanRocAuc: each.reduce((sum, auc) => sum + auc, 0) / each.length,
    prAuc: prAuc(all, positive),
    alarms: threshold === null ? null : alarmsOf(all, positive, threshold),
    rows: streams.reduce((sum, { rows }) => sum + rows.length, 0),
    cpuSeconds,
  };
}

function alarmsOf(scores: readonly number[], positive: readonly boolean[], threshold: number) {
  const count = (alarm: boolean, truth: boolean) =>
    scores.filter((score, i) => score > threshold === alarm && positive[i] === truth).length;
  const [right, falseAlarms, missed, quiet] = [
    count(true, true),
    count(true, false),
    count(false, true),
    count(false, false),
  ];
  return {
    f1: (2 * right) / (2 * right + falseAlarms + missed),
    falseAlarms: falseAlarms / (falseAlarms + quiet),
    missed: missed / (missed + right),
  };
}
