/**
 * A bench of worker processes that read the same row files. Promises: a worker that dies (killed, out of memory, a
 * crash of native code) is a rejected trial with what it said last, never the end of this process; an abort kills
 * the workers at once; after `close` none is left. Workers that this process leaves behind by dying end themselves.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, errorTable, SluiceError } from '../../errors.ts';
import type { Bench } from './halving.ts';
import type { Answer, Ask, Opening } from './messages.ts';
import { failed } from './rows.ts';
import type { Job, TryJob } from './trial.ts';

/** Of what a worker says on standard error the end is kept. */
const SAID = 2_000;
/** The JavaScript heap of a worker is small: rows and models lie outside of it. */
const HEAP_MIB = 256;

export interface PoolOptions extends Opening {
  readonly workers: number;
  /** Where trained models are handed over. */
  readonly exchange: string;
  /** The compiled script of a worker; default: beside this file. */
  readonly script?: string;
}

const ownScript = (): string => {
  const own = fileURLToPath(import.meta.url);
  return join(own, '..', `worker${extname(own)}`);
};

class Worker {
  readonly #child: ChildProcess;
  #said = '';
  #waiting: { resolve(answer: Answer): void; reject(error: unknown): void } | null = null;
  #end: string | null = null;
  readonly #ended: Promise<void>;

  constructor(script: string) {
    this.#child = fork(script, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
    });
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#said = (this.#said + text.toString()).slice(-SAID);
    });
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting;
      this.#waiting = null;
      waiting?.resolve(answer);
    });
    // `close` comes after the last of standard error.
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => this.#over(error.message, resolve));
      this.#child.on('close', (code, signal) =>
        this.#over(signal ? `ended by ${signal}` : `ended with code ${code}`, resolve),
      );
    });
  }

  #over(how: string, resolve: () => void): void {
    this.#end ??= `${how}${this.#said.trim() ? `: ${this.#said.trim()}` : ''}`;
    this.#waiting?.reject(failed(`the process that trains ${this.#end}`));
    this.#waiting = null;
    resolve();
  }

  /** One question at a time. */
  ask(ask: Ask, signal?: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#end !== null) return reject(failed(`the process that trains ${this.#end}`));
      const stop = () => {
        reject(signal?.reason);
        this.kill();
      };
      if (signal?.aborted) return stop();
      signal?.addEventListener('abort', stop, { once: true });
      const done = () => signal?.removeEventListener('abort', stop);
      this.#waiting = {
        resolve: (answer) => {
          done();
          resolve(answer);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      // Where the channel is broken the process has ended, and `close` says how.
      this.#child.send(ask, () => undefined);
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.kill();
    await this.#ended;
  }
}

/** What was asked for, or the worker's failure with its own code. */
function expectAnswer<K extends Answer['kind']>(answer: Answer, kind: K): Extract<Answer, { kind: K }> {
  if (answer.kind === 'failed') {
    const code = Object.hasOwn(errorTable, answer.code) ? (answer.code as ErrorCode) : 'TRAINING_FAILED';
    throw new SluiceError(code, answer.message);
  }
  if (answer.kind === kind) return answer as Extract<Answer, { kind: K }>;
  throw failed(`the process that trains answered ${answer.kind} instead of ${kind}`);
}

/** Starts the workers. Rejects with TRAINING_FAILED or an engine's error where one cannot begin. */
export async function openPool(options: PoolOptions, signal?: AbortSignal): Promise<Bench> {
  const { workers: count, exchange, script, ...opening } = options;
  const workers = Array.from({ length: count }, () => new Worker(script ?? ownScript()));
  const idle = [...workers];
  const close = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.close()));
  };
  const lend = async <T>(use: (worker: Worker) => Promise<T>): Promise<T> => {
    const worker = idle.pop();
    if (!worker) throw failed('more trials than workers');
    try {
      return await use(worker);
    } finally {
      idle.push(worker);
    }
  };
  try {
    const opened = await Promise.all(workers.map((worker) => worker.ask({ kind: 'open', opening }, signal)));
    for (const answer of opened) expectAnswer(answer, 'opened');
  } catch (error) {
    await close();
    throw error;
  }
  return {
    places: count,
    close,
    try: (job: TryJob, until) =>
      lend(async (worker) => expectAnswer(await worker.ask({ kind: 'try', job }, until), 'tried').outcome),
    train: (job: Job, until) =>
      lend(async (worker) => {
        const path = join(exchange, 'model');
        expectAnswer(await worker.ask({ kind: 'train', job, path }, until), 'trained');
        const bytes = new Uint8Array(await readFile(path));
        await rm(path);
        return bytes;
      }),
  };
}
