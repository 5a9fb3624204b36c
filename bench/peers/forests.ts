/**
 * Forests of others as processes: MOA (Maven Central) and River (PyPI), fetched once into a build folder by their own
 * package managers. Both test each row and then learn it, and report the CPU time of that alone, without reading the
 * data or starting up. What cannot be had here is a sentence, not an error.
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const MOA = '2024.07.0';
const RIVER = '0.26.1';

const run = promisify(execFile);

export interface Table {
  readonly columns: readonly string[];
  /** Cells of a row, the class last. */
  readonly rows: readonly (readonly string[])[];
  readonly classes: readonly string[];
}

/** What a forest did with a table. */
export interface Outcome {
  readonly rows: number;
  readonly cpuSeconds: number;
  /** Percent. */
  readonly accuracy: number;
}

export type Forest = (table: Table, folder: string) => Promise<Outcome>;

/** The folder of MOA's jars, or why there is none. */
export function fetchMoa(builds: string): { readonly jars: string } | string {
  const folder = path.join(builds, 'moa');
  const jars = path.join(folder, MOA);
  try {
    execFileSync('java', ['-version'], { stdio: 'ignore' });
  } catch {
    return 'no java to run MOA with; on Debian: apt-get install default-jre-headless maven';
  }
  if (existsSync(path.join(jars, `moa-${MOA}.jar`))) return { jars };
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'pom.xml'), projectOf());
  const words = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${jars}`];
  try {
    execFileSync('mvn', words, { cwd: folder, stdio: 'ignore', timeout: 600_000 });
  } catch {
    return 'no MOA to compare with: Maven is missing or could not fetch it';
  }
  return { jars };
}

const projectOf = () => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bench</groupId><artifactId>moa</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>nz.ac.waikato.cms.moa</groupId><artifactId>moa</artifactId><version>${MOA}</version>
  </dependency></dependencies>
</project>
`;

const arff = ({ columns, rows, classes }: Table): string =>
  [
    '@relation stream',
    ...columns.map((name) => `@attribute ${name} numeric`),
    `@attribute class {${classes.join(',')}}`,
    '@data',
    ...rows.map((row) => row.join(',')),
    '',
  ].join('\n');

/** A learner of MOA in MOA's own words, e.g. `meta.AdaptiveRandomForest -s 10`. */
export function moa(jars: string, learner: string): Forest {
  return async (table, folder) => {
    const file = path.join(folder, 'stream.arff');
    writeFileSync(file, arff(table));
    const every = String(table.rows.length * 2);
    const task = `EvaluatePrequential -l (${learner}) -s (ArffFileStream -f ${file}) -e (BasicClassificationPerformanceEvaluator) -f ${every} -q ${every}`;
    const { stdout } = await run('java', ['-Xmx1g', '-cp', `${jars}/*`, 'moa.DoTask', task], {
      maxBuffer: 1 << 24,
    });
    const lines = stdout.trim().split('\n');
    const names = lines[0].split(',');
    const cells = lines[lines.length - 1].split(',').map(Number);
    const cell = (name: string) => cells[names.indexOf(name)];
    return {
      rows: cell('classified instances'),
      cpuSeconds: cell('evaluation time (cpu seconds)'),
      accuracy: cell('classifications correct (percent)'),
    };
  };
}

/** Reads rows as CSV, then tests and learns them one by one. */
const RIVER_PROGRAM = `
import sys, time, csv
from river import forest
rows = [(dict((i, float(v)) for i, v in enumerate(r[:-1])), r[-1]) for r in csv.reader(open(sys.argv[1]))]
model = forest.ARFClassifier(n_models=int(sys.argv[2]), seed=1)
right, start = 0, time.process_time()
for x, y in rows:
    right += model.predict_one(x) == y
    model.learn_one(x, y)
print(len(rows), time.process_time() - start, 100 * right / len(rows))
`;

/** The Python with River, or why there is none. */
export function fetchRiver(builds: string): { readonly python: string } | string {
  const folder = path.join(builds, `river-${RIVER}`);
  const python = path.join(folder, 'bin', 'python');
  const works = () => {
    try {
      execFileSync(python, ['-c', 'import river'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (works()) return { python };
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'ignore', timeout: 120_000 });
    execFileSync(python, ['-m', 'pip', 'install', '-q', `river==${RIVER}`], {
      stdio: 'ignore',
      timeout: 600_000,
    });
  } catch {
    return 'River could not be fetched';
  }
  return works() ? { python } : 'River could not be fetched';
}

/** The adaptive random forest of River. */
export function river(python: string, trees: number): Forest {
  return async (table, folder) => {
    const file = path.join(folder, 'stream.csv');
    writeFileSync(file, table.rows.map((row) => `${row.join(',')}\n`).join(''));
    const { stdout } = await run(python, ['-c', RIVER_PROGRAM, file, String(trees)]);
    const [rows, cpuSeconds, accuracy] = stdout.trim().split(/\s+/).map(Number);
    return { rows, cpuSeconds, accuracy };
  };
}
