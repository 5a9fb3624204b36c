/**
 * Anomaly scores without any label on SKAB and NAB, every row scored before it is learned from, through the decoder and the
 * default features of readings; beside a plain baseline and River's half-space trees in the same run.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Message } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { AnomalyScorer } from '../../src/task/anomaly/scorer.ts';
import { openTask } from '../../src/task/task.ts';
import type { BenchCase, BenchOptions, Measure } from '../case.ts';
import { halfSpaceTrees, largestDeviation, type Scored } from '../peers/anomalies.ts';
import { fetchRiver } from '../peers/forests.ts';
import {
  type AnomalyFigures,
  type AnomalyStream,
  anomalyFigures,
  anomalyStreams,
} from '../quality/anomalies.ts';

const BUILDS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../build');
const THRESHOLD = 0.99;
const QUICK = 4;

/** Seconds are of scoring and learning alone. */
function sluice(streams: readonly AnomalyStream[]): Scored {
  let cpu = 0;
  const scores = streams.map(({ rows }) => {
    const names = rows[0].map((_, i) => `v${i}`);
    const fields = Object.fromEntries(names.map((name) => [name, { type: 'number' }]));
    const decode = { kind: 'json', options: { fields } } as const;
    const task = openTask({ name: 'machine', event: 'sensor', labels: ['ok', 'fault'], decode, seed: 1 });
    const scorer = new AnomalyScorer(task.features, task.columns);
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    for (const [n, row] of rows.entries())
      for (const event of task.decode(messageOf(names, row, n))) task.fill(event, arena);
    const view = arena.view();
    const before = process.cpuUsage();
    const out = [...scorer.step(view)];
    const { user, system } = process.cpuUsage(before);
    cpu += (user + system) / 1e6;
    return out;
  });
  return { scores, cpuSeconds: cpu };
}

/** One a second. */
function messageOf(names: readonly string[], row: readonly number[], n: number): Message {
  const values = Object.fromEntries(names.map((name, i) => [name, row[i]]));
  const at = 1_600_000_000_000 + 1_000 * n;
  return {
    ...{ source: 'file', topic: 'rows', position: `rows/0/${n}`, key: null, headers: {}, at },
    payload: Buffer.from(JSON.stringify(values)),
  };
}

type Figures = Readonly<Record<string, Readonly<Record<string, AnomalyFigures>>>>;

function pageOf(figures: Figures, notes: readonly string[]): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const lines = Object.entries(figures).flatMap(([set, systems]) =>
    Object.entries(systems).map(([system, f]) => {
      const alarms = f.alarms
        ? `${f.alarms.f1.toFixed(3)} | ${percent(f.alarms.falseAlarms)} | ${percent(f.alarms.missed)}`
        : '| |';
      const cost = ((1e6 * f.cpuSeconds) / f.rows).toFixed(1);
      return `| ${set} | ${system} | ${f.rocAuc.toFixed(3)} | ${f.meanRocAuc.toFixed(3)} | ${f.prAuc.toFixed(3)} | ${alarms} | ${cost} |`;
    }),
  );
  return [
    `| streams | score | ROC AUC | mean of streams | PR AUC | F1 above ${THRESHOLD} | false alarms | missed | µs a row |`,
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    ...notes.flatMap((note) => ['', note]),
  ].join('\n');
}

async function prepare({ quick, data, tell }: BenchOptions) {
  if (data === null) return 'no real data: set SLUICE_DATA';
  const sets = Object.entries(anomalyStreams(data)).map(
    ([name, streams]) => [name, quick ? streams.slice(0, QUICK) : streams] as const,
  );
  if (sets.length === 0) return 'neither SKAB nor NAB is among the data';
  const river = fetchRiver(BUILDS);
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-anomaly-'));
  const figures: Record<string, Record<string, AnomalyFigures>> = {};
  for (const [name, streams] of sets) {
    tell(`anomaly: ${name}`);
    const of = ({ scores, cpuSeconds }: Scored, threshold: number | null = null) =>
      anomalyFigures(streams, scores, threshold, cpuSeconds);
    figures[name] = {
      Sluice: of(sluice(streams), THRESHOLD),
      'largest deviation': of(largestDeviation(streams)),
    };
    if (typeof river === 'string') continue;
    const out = await halfSpaceTrees(river.python, streams, folder);
    figures[name]['River HalfSpaceTrees'] = of(JSON.parse(readFileSync(out, 'utf8')) as Scored);
  }
  const timed = (score: (streams: readonly AnomalyStream[]) => Scored) => async (): Promise<Measure> => {
    const cpuSeconds = sets.reduce((sum, [, streams]) => sum + score(streams).cpuSeconds, 0);
    const n = sets.reduce(
      (sum, [, streams]) => sum + streams.reduce((all, { rows }) => all + rows.length, 0),
      0,
    );
    return { n, seconds: cpuSeconds, cpuSeconds };
  };
  return {
    sluice: timed(sluice),
    peer: timed(largestDeviation),
    page: pageOf(figures, typeof river === 'string' ? [`${river}.`] : []),
    figures,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

const anomaly: BenchCase = {
  name: 'anomaly',
  what: 'rows of SKAB and NAB scored without labels and then learned from; the table has how well anomalies stand out',
  peer: 'the largest deviation of a value from its running mean',
  unit: 'rows',
  prepare,
};

export const anomalyCases: readonly BenchCase[] = [anomaly];
