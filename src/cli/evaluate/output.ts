/** What `evaluate` writes beside its result: the file of scores, the report with plots, and a progress bar on a terminal. */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename } from 'node:path';
import { SluiceError } from '../../errors.ts';
import type { Evaluation } from '../../task/evaluation.ts';
import { ReportCollector } from '../../task/html/collector.ts';
import { type HtmlHead, reportHtml } from '../../task/html/page.ts';
import type { Tested } from '../../task/protocols.ts';
import type { Task } from '../../task/task.ts';
import type { Terminal } from '../terminal.ts';

/** `id <tab> label <tab> predicted <tab> score`: of two labels the score of the positive one, else of the predicted. */
export class ScoreFile {
  readonly #file: number;
  readonly #task: Task;
  #text = '';

  constructor(path: string, task: Task) {
    this.#task = task;
    try {
      this.#file = openSync(path, 'w');
    } catch (error) {
      throw new SluiceError('USAGE', `--scores ${path}: ${(error as Error).message}`);
    }
  }

  add({ id, truth, predicted, scores, offset }: Tested): void {
    const { labels, positive } = this.#task;
    const score = scores[offset + (labels.length === 2 ? positive : predicted)];
    // Nine digits tell any two 32-bit floats apart.
    const cells = [
      id.replace(/[\t\r\n]/g, ' '),
      labels[truth],
      labels[predicted],
      Number(score.toPrecision(9)),
    ];
    this.#text += `${cells.join('\t')}\n`;
    if (this.#text.length > 65_536) this.#flush();
  }

  #flush(): void {
    writeSync(this.#file, this.#text);
    this.#text = '';
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }
}

/** The report with plots. Its file is opened before the run, so that an hour is not lost to a folder that is not there; a run that fails leaves what was there before. */
export class HtmlFile {
  readonly #path: string;
  readonly #file: number;
  readonly #new: boolean;
  readonly collector: ReportCollector;
  #written = false;

  constructor(path: string, task: Task) {
    const { labels, positive } = task;
    this.collector = new ReportCollector({ labels, positive, mail: task.event === 'email' });
    this.#path = path;
    this.#new = !existsSync(path);
    try {
      this.#file = openSync(path, 'a');
    } catch (error) {
      throw new SluiceError('USAGE', `--html ${path}: ${(error as Error).message}`);
    }
  }

  write(head: HtmlHead, evaluation: Evaluation): void {
    const text = reportHtml(head, evaluation, this.collector);
    if (fstatSync(this.#file).isFile()) ftruncateSync(this.#file);
    writeFileSync(this.#file, text);
    this.#written = true;
  }

  close(): void {
    closeSync(this.#file);
    if (this.#new && !this.#written) rmSync(this.#path, { force: true });
  }
}

/** Names of inputs as a report shows them: of a path the last part, without the folders of this machine. */
export function inputNames(inputs: readonly string[]): string[] {
  return inputs.map((input) => {
    const label = /^[^/\\=]*=/.exec(input)?.[0] ?? '';
    return `${label}${basename(input.slice(label.length))}`;
  });
}

/** A bar with rate and time to go, on a terminal only, ten times a second. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #total: number;
  readonly #started = performance.now();
  #shown = 0;

  constructor(terminal: Terminal, total: number) {
    this.#terminal = terminal;
    this.#total = Math.max(1, total);
  }

  show(events: number, accuracy: number): void {
    const now = performance.now();
    if (!this.#terminal.stderr.isTTY || now - this.#shown < 100) return;
    this.#shown = now;
    const share = Math.min(1, events / this.#total);
    const rate = (events * 1_000) / (now - this.#started);
    const bar = '█'.repeat(Math.round(share * 24)).padEnd(24, '░');
    const left = Math.ceil((this.#total - events) / Math.max(rate, 1e-9));
    const line = `${bar} ${Math.round(share * 100)} %  ${Math.round(rate)}/s  ${left} s to go  accuracy ${(accuracy * 100).toFixed(2)} %`;
    this.#terminal.stderr.write(`\r\x1b[K${line.slice(0, (this.#terminal.stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#shown > 0) this.#terminal.stderr.write('\r\x1b[K');
    this.#shown = 0;
  }
}
