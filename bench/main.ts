/**
 * `npm run bench -- [--case NAME …] [--runs N] [--quick] [--json FILE|-] [--keep]`: runs the cases, prints a table,
 * and with --keep writes bench/results/<case>.json and bench/RESULTS.md from all kept results.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { cases } from './cases/index.ts';
import { type CaseResult, describeMachine, type Machine, runCase, type Skipped } from './runner.ts';
import { resultsPage, table } from './table.ts';

interface Options {
  readonly case: string[];
  readonly runs: string;
  readonly quick?: boolean;
  readonly json?: string;
  readonly keep?: boolean;
  readonly seed: string;
  readonly list?: boolean;
}

/** This file runs as dist/bench/main.js of a checkout. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RESULTS = path.join(ROOT, 'bench', 'results');

const program = new Command('bench')
  .description('Benchmarks: each case beside a peer or a plain baseline, paired in the same run.')
  .option(
    '--case <name>',
    'only this case (repeatable)',
    (value: string, all: string[]) => [...all, value],
    [],
  )
  .option('--runs <n>', 'counted pairs', '5')
  .option('--quick', 'short inputs, to see that everything runs')
  .option('--seed <n>', 'seed of made inputs', '1')
  .option('--json <file>', 'the results as JSON; - is standard output')
  .option('--keep', 'write bench/results/ and bench/RESULTS.md')
  .option('--list', 'names of the cases')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();
const options = program.opts<Options>();

function dataFolder(): string | null {
  const folder = process.env.SLUICE_DATA ?? path.resolve(ROOT, '../shared/data');
  return existsSync(folder) ? folder : null;
}

async function keep(machine: Machine, results: readonly CaseResult[]): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  for (const result of results) {
    await writeFile(
      path.join(RESULTS, `${result.case}.json`),
      `${JSON.stringify({ machine, ...result }, null, 2)}\n`,
    );
  }
  const files = (await readdir(RESULTS)).filter((file) => file.endsWith('.json')).sort();
  const kept = await Promise.all(
    files.map(
      async (file) =>
        JSON.parse(await readFile(path.join(RESULTS, file), 'utf8')) as CaseResult & { machine: Machine },
    ),
  );
  await writeFile(path.join(ROOT, 'bench', 'RESULTS.md'), resultsPage(kept));
}

/** Without a terminal no line follows another sooner. */
const QUIET_MS = 20_000;

async function main(): Promise<number> {
  if (options.list) {
    for (const one of cases) console.log(`${one.name.padEnd(16)} ${one.what}`);
    return 0;
  }
  const unknown = options.case.filter((name) => !cases.some((one) => one.name === name));
  if (unknown.length > 0) {
    console.error(
      `bench: no case ${unknown.join(', ')}; there are ${cases.map((one) => one.name).join(', ')}`,
    );
    return 2;
  }
  const machine = describeMachine();
  const chosen = cases.filter((one) => options.case.length === 0 || options.case.includes(one.name));
  const results: (CaseResult | Skipped)[] = [];
  for (const one of chosen) {
    // On a terminal one line that changes; else a line now and then, so that a log shows that it lives.
    let told = performance.now();
    const tell = (text: string) => {
      const { isTTY } = process.stderr;
      if (!isTTY && performance.now() - told < QUIET_MS) return;
      told = performance.now();
      process.stderr.write(isTTY ? `\r\x1b[K${one.name}: ${text}` : `${one.name}: ${text}\n`);
    };
    tell('preparing');
    const settings = { seed: Number(options.seed), quick: options.quick === true, data: dataFolder(), tell };
    results.push(
      await runCase(one, settings, Number(options.runs), (done, of) => tell(`${done}/${of} pairs`)),
    );
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
  const done = results.filter((result): result is CaseResult => 'ratio' in result);
  const skipped = results.filter((result): result is Skipped => 'skipped' in result);
  if (options.json === '-') console.log(JSON.stringify({ machine, results }, null, 2));
  else console.log([table(done), ...done.flatMap(({ page }) => (page ? [page] : []))].join('\n\n'));
  for (const { case: name, skipped: why } of skipped) console.error(`SKIPPED ${name}: ${why}`);
  if (options.json && options.json !== '-')
    await writeFile(options.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
  if (options.keep) await keep(machine, done);
  return done.some((result) => result.held === false) ? 1 : 0;
}

process.exit(await main());
