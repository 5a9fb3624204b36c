/**
 * bogofilter as a model, so that the product's own protocols run it: it scores and learns exactly when Sluice does, asks
 * and complains by its own verdicts, and is measured by the same code. A row is the number of a mail, whose bytes lie in
 * a file in memory; the word list lies beside them. Mails between two labels are scored by one process, labels
 * between two verdicts are learned by one process a class: the counts are the same as one by one.
 *
 * Its defaults stand; its score is taken for the probability of spam, with a verdict at one half: of its cutoffs the one
 * at which it is most accurate. `-TT` prints 16 decimals, which is all that its score (1 + Q - P) / 2 holds. With nothing learned it is 0.52.
 */
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Event, Message, Model, ModelShape, Rows } from '../../src/contract.ts';
import type { Task } from '../../src/task/task.ts';

/** First line of `--version`; null where it is not installed. */
export function bogofilterVersion(program = 'bogofilter'): string | null {
  try {
    const text = execFileSync(program, ['-V'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return text.split('\n')[0].replace(' version', '').trim();
  } catch {
    return null;
  }
}

/** A folder that is gone when the process is done with it; in memory where the system has such a place. */
function memoryFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return mkdtempSync('/dev/shm/sluice-bogofilter-');
  } catch {
    return mkdtempSync(path.join(tmpdir(), 'sluice-bogofilter-'));
  }
}

/** The mails of one corpus as files, by number. */
export class MailFiles {
  readonly folder = memoryFolder();
  readonly #numbers = new Map<Message, number>();

  constructor(messages: readonly Message[]) {
    for (const message of messages) {
      const number = this.#numbers.size;
      this.#numbers.set(message, number);
      writeFileSync(this.file(number), message.payload);
    }
  }

  get count(): number {
    return this.#numbers.size;
  }

  file(number: number): string {
    return path.join(this.folder, String(number));
  }

  numberOf(message: Message): number {
    const number = this.#numbers.get(message);
    if (number === undefined) throw new Error('the mail is not of this corpus');
    return number;
  }

  /** An empty folder beside the mails. */
  subfolder(name: string): string {
    const made = path.join(this.folder, name);
    mkdirSync(made);
    return made;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A task whose rows are numbers of mails. */
export function numberTask(files: MailFiles): Task {
  const shape: ModelShape = {
    dims: 2 ** Math.ceil(Math.log2(Math.max(2, files.count))),
    denseDims: 0,
    classes: 2,
  };
  const none = (): never => {
    throw new Error('bogofilter is opened by openBogofilter');
  };
  return {
    ...{ name: 'spam', event: 'email', labels: ['ham', 'spam'], positive: 1, features: 'number', shape },
    ...{
      model: { kind: 'bogofilter', options: {} },
      columns: [],
      fields: null,
      memory: null,
      readBack: () => {},
      decision: null,
      selfTraining: false,
      fingerprint: '',
    },
    decode: (message) => [eventOf(message, files.numberOf(message))],
    fill(event, arena) {
      arena.beginRow();
      arena.sparse(Number(event.id), 1);
      arena.endRow();
    },
    describe: () => [],
    newModel: none,
    loadModel: none,
  };
}

function eventOf({ at }: Message, number: number): Event {
  const body = { kind: 'reading', values: new Float64Array(0), categories: [] } as const;
  return { id: String(number), weak: false, device: '', at, aliases: [], body };
}

/** Without a word list it says nothing: an empty one comes first, made by learning no mail. */
const EMPTY = '[ -e "$2/wordlist.db" ] || "$1" -C -d "$2" -n -b </dev/null || exit 8';

/** What one process is started for. */
type Job =
  | { readonly kind: 'score'; readonly mails: number[] }
  | { readonly kind: 'learn'; readonly ham: number[]; readonly spam: number[] };

/** The steps of a schedule, neighbours of a kind together. */
function jobsOf(rows: Rows, labels: Int32Array, schedule: Int32Array): Job[] {
  const jobs: Job[] = [];
  const last = <K extends Job['kind']>(kind: K, fresh: Extract<Job, { kind: K }>) => {
    const job = jobs.at(-1);
    if (job?.kind === kind) return job as Extract<Job, { kind: K }>;
    jobs.push(fresh);
    return fresh;
  };
  for (const entry of schedule) {
    const row = entry < 0 ? ~entry : entry;
    const mail = rows.indices[rows.indptr[row]];
    if (entry >= 0) last('score', { kind: 'score', mails: [] }).mails.push(mail);
    else if (labels[row] >= 0) {
      const job = last('learn', { kind: 'learn', ham: [], spam: [] });
      (labels[row] === 1 ? job.spam : job.ham).push(mail);
    }
  }
  return jobs;
}

/** One bogofilter with a word list of its own. */
export class Bogofilter implements Model {
  readonly kind = 'bogofilter';
  readonly backend = 'cpu';
  readonly bytes = 0;
  readonly shape: ModelShape;
  /** What it said last of each mail. */
  readonly spamicity = new Map<number, number>();
  readonly #files: MailFiles;
  readonly #program: string;
  readonly #words: string;

  /** `name`: of its folder, not used before. */
  constructor(files: MailFiles, shape: ModelShape, name: string, program = 'bogofilter') {
    this.shape = shape;
    this.#files = files;
    this.#program = program;
    this.#words = files.subfolder(name);
  }

  async step(rows: Rows, labels: Int32Array, weights?: Float32Array, schedule?: Int32Array) {
    if (weights !== undefined) throw new Error('bogofilter knows no weights');
    const steps =
      schedule ?? Int32Array.from({ length: 2 * rows.count }, (_, i) => (i & 1 ? ~(i >> 1) : i >> 1));
    const jobs = jobsOf(rows, labels, steps);
    const said = await this.#run(jobs);
    const wanted = jobs.flatMap((job) => (job.kind === 'score' ? job.mails : []));
    if (said.length !== wanted.length)
      throw new Error(`bogofilter said ${said.length} scores of ${wanted.length}`);
    wanted.forEach((mail, i) => {
      this.spamicity.set(mail, said[i]);
    });
    const scores = new Float32Array(rows.count * 2).fill(Number.NaN);
    for (const entry of steps) {
      if (entry < 0) continue;
      const spam = this.spamicity.get(rows.indices[rows.indptr[entry]]) as number;
      scores.set([1 - spam, spam], 2 * entry);
    }
    return scores;
  }

  /** One shell for all of them: it starts processes faster than we do. */
  async #run(jobs: readonly Job[]): Promise<number[]> {
    const call = (flags: string, mails: readonly number[], failed: string) => {
      const names = mails.map((mail) => this.#files.file(mail));
      return mails.length === 0 ? [] : [`"$1" -C -d "$2" ${flags} -b <<E ${failed}`, ...names, 'E'];
    };
    const lines = jobs.flatMap((job) =>
      job.kind === 'score'
        ? call('-TT', job.mails, '')
        : [...call('-n', job.ham, '|| exit 9'), ...call('-s', job.spam, '|| exit 9')],
    );
    const child = spawn('/bin/sh', ['-s', this.#program, this.#words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end([EMPTY, ...lines, 'exit 0', ''].join('\n'));
    let text = '';
    child.stdout.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`bogofilter's shell ended with ${code}`);
    const said = text.split('\n').filter((line) => line !== '');
    return said.map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
  }

  async score(rows: Rows): Promise<Float32Array> {
    const each = Int32Array.from({ length: rows.count }, (_, i) => i);
    return this.step(rows, new Int32Array(rows.count).fill(-1), undefined, each);
  }

  async learn(rows: Rows, labels: Int32Array, weights?: Float32Array): Promise<void> {
    const each = Int32Array.from({ length: rows.count }, (_, i) => ~i);
    await this.step(rows, labels, weights, each);
  }

  async save(): Promise<Uint8Array> {
    throw new Error('bogofilter keeps its word list on disk');
  }

  close(): void {
    rmSync(this.#words, { recursive: true, force: true });
  }
}
