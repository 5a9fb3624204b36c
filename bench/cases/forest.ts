/**
 * The forest beside MOA's and River's on the sensor streams, every row tested and then learned, in one run. Seconds are
 * CPU seconds of learning and scoring alone on one thread: other processes and start-up do not count for any side.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Rows } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import type { BenchCase, BenchOptions, Measure } from '../case.ts';
import { type Forest, fetchMoa, fetchRiver, moa, type Outcome, river, type Table } from '../peers/forests.ts';

const TREES = 10;
/** River learns some hundred rows a second. */
const RIVER_ROWS = 2_000;
const BUILDS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../build');

const STREAMS = ['elec2', 'insects-gradual'] as const;

interface Side {
  readonly name: string;
  readonly forest: Forest;
  readonly most: number;
}

function readTable(file: string, most: number): Table {
  const [head, ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/);
  const rows = lines.slice(0, most).map((line) => line.split(','));
  const columns = head.split(',').slice(0, -1);
  return {
    columns,
    rows,
    classes: [...new Set(lines.map((line) => line.split(',')[columns.length]))].sort(),
  };
}

function rowsOf({ rows, columns, classes }: Table): { readonly rows: Rows; readonly labels: Int32Array } {
  const denseDims = columns.length;
  const dense = Float32Array.from(rows.flatMap((row) => row.slice(0, denseDims).map(Number)));
  const sparse = { indices: new Uint32Array(0), values: new Float32Array(0) };
  return {
    rows: { count: rows.length, indptr: new Uint32Array(rows.length + 1), ...sparse, denseDims, dense },
    labels: Int32Array.from(rows, (row) => classes.indexOf(row[denseDims])),
  };
}

/** Ours, by the engine alone. */
const sluice =
  (options: Readonly<Record<string, number>>, seed: number, threads = 1): Forest =>
  async (table) => {
    const { rows, labels } = rowsOf(table);
    const classes = table.classes.length;
    const shape = { dims: 0, denseDims: rows.denseDims, classes };
    const model = openEngine({ backend: 'cpu', threads }).create('forest', shape, options, seed);
    const before = process.cpuUsage();
    const scores = await model.step(rows, labels);
    const { user, system } = process.cpuUsage(before);
    model.close();
    let right = 0;
    for (let i = 0; i < rows.count; i++) {
      const line = scores.subarray(i * classes, (i + 1) * classes);
      if (line.indexOf(Math.max(...line)) === labels[i]) right += 1;
    }
    return { rows: rows.count, cpuSeconds: (user + system) / 1e6, accuracy: (100 * right) / rows.count };
  };

type Figures = Readonly<Record<string, Readonly<Record<string, Outcome>>>>;

function pageOf(figures: Figures, notes: readonly string[]): string {
  const cell = ({ rows, cpuSeconds, accuracy }: Outcome) =>
    `${Math.round(rows / cpuSeconds).toLocaleString('en-US')} | ${accuracy.toFixed(2)}`;
  const head = STREAMS.flatMap((stream) => [`${stream}, rows/s of CPU`, 'accuracy %']);
  return [
    `| forest | ${head.join(' | ')} |`,
    `| --- |${' --- |'.repeat(head.length)}`,
    ...Object.entries(figures).map(
      ([name, outcomes]) => `| ${name} | ${STREAMS.map((stream) => cell(outcomes[stream])).join(' | ')} |`,
    ),
    ...notes.flatMap((note) => ['', note]),
  ].join('\n');
}

async function prepare({ seed, quick, data, tell }: BenchOptions) {
  if (data === null) return 'no real data: set SLUICE_DATA';
  const found = fetchMoa(BUILDS);
  if (typeof found === 'string') return found;
  const python = fetchRiver(BUILDS);
  const most = quick ? 2_000 : Infinity;
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-forest-'));
  const tables = STREAMS.map((name) => readTable(path.join(data, 'sensors', `${name}.csv`), most));
  const ours: Side = { name: `Sluice, ${TREES} trees`, forest: sluice({ trees: TREES }, seed), most };
  const arf: Side = {
    name: `MOA ARF-${TREES}`,
    forest: moa(found.jars, `meta.AdaptiveRandomForest -s ${TREES}`),
    most,
  };
  const sides: Side[] = [
    ours,
    arf,
    { name: `MOA SRP-${TREES}`, forest: moa(found.jars, `meta.StreamingRandomPatches -s ${TREES}`), most },
    { name: 'Sluice, 30 trees', forest: sluice({ trees: 30 }, seed), most },
  ];
  const short = `the first ${RIVER_ROWS} rows`;
  if (typeof python !== 'string') {
    sides.push({ ...ours, name: `${ours.name}, ${short}`, most: RIVER_ROWS });
    sides.push({
      name: `River ARF-${TREES}, ${short}`,
      forest: river(python.python, TREES),
      most: RIVER_ROWS,
    });
  }
  const through = async (side: Side): Promise<Outcome[]> => {
    const outcomes: Outcome[] = [];
    for (const table of tables)
      outcomes.push(await side.forest({ ...table, rows: table.rows.slice(0, side.most) }, folder));
    return outcomes;
  };
  const figures: Record<string, Record<string, Outcome>> = {};
  for (const side of sides) {
    tell(`forest: ${side.name}`);
    const outcomes = await through(side);
    figures[side.name] = Object.fromEntries(STREAMS.map((name, i) => [name, outcomes[i]]));
  }
  const timed = (side: Side) => async (): Promise<Measure> => {
    const outcomes = await through(side);
    const sum = (value: (outcome: Outcome) => number) => outcomes.reduce((all, one) => all + value(one), 0);
    const seconds = sum((one) => one.cpuSeconds);
    return { n: sum((one) => one.rows), seconds, cpuSeconds: seconds };
  };
  return {
    sluice: timed(ours),
    peer: timed(arf),
    page: pageOf(figures, typeof python === 'string' ? [`${python}.`] : []),
    figures,
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

const forest: BenchCase = {
  name: 'forest',
  what: `rows of elec2 and insects-gradual tested and then learned by ${TREES} trees, a second of CPU on one thread`,
  peer: `MOA's adaptive random forest with ${TREES} trees, by its own count of CPU seconds`,
  unit: 'rows',
  floor: 15,
  prepare,
};

export const forestCases: readonly BenchCase[] = [forest];
