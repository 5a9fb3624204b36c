/**
 * One worker thread with its places: pieces of shared memory, so that a load waits there while another is worked on. It
 * is used by one life: a thread that ended is replaced, not started again. Tells its pool of answers and of its end, and
 * knows which load, and which message of it, it was at then.
 */
import { Worker } from 'node:worker_threads';
import type { Message } from '../../contract.ts';
import { LOAD_BYTES, type Load } from './load.ts';
import {
  type Answer,
  column,
  JOB,
  type Job,
  MESSAGE,
  NOTHING,
  type Opening,
  type RowsMemory,
  type Said,
} from './messages.ts';

/** One is worked on, one waits, one is read. */
export const PLACES = 3;
const FIRST_BYTES = 64 * 1024;
/** Memory of a place beyond this is given back when a large mail has gone. */
const MOST_BYTES = 4 * LOAD_BYTES;

export interface ThreadOptions {
  readonly script: string;
  readonly heapMiB: number;
  readonly groups: Opening['groups'];
  readonly onReady: () => void;
  readonly onAnswer: (load: Load) => void;
  /** Called once. */
  readonly onEnd: (thread: Thread, reason: string) => void;
}

interface Posted {
  readonly job: number;
  readonly load: Load;
  readonly place: number;
}

export class Thread {
  readonly #worker: Worker;
  readonly #options: ThreadOptions;
  readonly #progress = new Int32Array(new SharedArrayBuffer(8)).fill(NOTHING);
  /** By place: payloads, and by group and task the rows. */
  readonly #memory: (SharedArrayBuffer | null)[] = new Array(PLACES).fill(null);
  readonly #rows: RowsMemory[][][] = Array.from({ length: PLACES }, () => []);
  readonly #free = Array.from({ length: PLACES }, (_, i) => i);
  /** Posted and not answered, in order. */
  readonly #posted: Posted[] = [];
  /** Answered and not released. */
  readonly #answered = new Map<Load, number>();
  #jobs = 0;
  #ready = false;
  #reason: string | null = null;
  /** Longer than the limit at one message. */
  #late = false;
  /** Where it was at the last look, and for how long, ms. */
  #stand: readonly [job: number, message: number] = [NOTHING, NOTHING];
  #since = 0;

  constructor(options: ThreadOptions) {
    this.#options = options;
    const opening: Opening = { groups: options.groups, progress: this.#progress };
    this.#worker = new Worker(options.script, {
      workerData: opening,
      resourceLimits: { maxOldGenerationSizeMb: options.heapMiB },
    });
    this.#worker.on('message', (said: Said) => this.#hear(said));
    this.#worker.on('error', (error: Error) => {
      this.#reason ??= error.message;
    });
    this.#worker.on('exit', (code) => options.onEnd(this, this.#reason ?? `it ended with code ${code}`));
  }

  /** Its tasks are open. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Loads that it has not answered. */
  get waiting(): number {
    return this.#posted.length;
  }

  get hasPlace(): boolean {
    return this.#ready && this.#reason === null && this.#free.length > 0;
  }

  /** Loads that it has not answered, the one that it is at first. */
  get loads(): readonly Load[] {
    return this.#posted.map(({ load }) => load);
  }

  /** After its end: tells the load that it was at. A message that was done with after all is not to blame. */
  blame(reason: string, limit: number): void {
    const [first] = this.#posted;
    if (!first) return;
    const [job, message] = this.#place();
    if (this.#late && (job !== this.#stand[0] || message !== this.#stand[1])) return;
    if (job !== first.job || message === NOTHING) first.load.fell(reason);
    else if (this.#late) first.load.stuck(message, limit);
    else first.load.ended(message, reason);
  }

  post(load: Load): void {
    const place = this.#free.pop();
    if (place === undefined) throw new Error('a load was posted to a thread without a place');
    const job = this.#jobs++;
    this.#posted.push({ job, load, place });
    this.#worker.postMessage(this.#jobOf(load, job, place));
  }

  /** The rows of a load are not read any more. */
  release(load: Load): void {
    const place = this.#answered.get(load);
    if (place === undefined) return;
    this.#answered.delete(load);
    this.#free.push(place);
    if ((this.#memory[place]?.byteLength ?? 0) > MOST_BYTES) this.#memory[place] = null;
  }

  /** Another `ms` have passed; ends the thread where it does not get on within `limit`. */
  look(ms: number, limit: number): void {
    if (this.#late) return;
    const stand = this.#place();
    const same = stand[0] === this.#stand[0] && stand[1] === this.#stand[1];
    this.#since = same && this.#posted.length > 0 ? this.#since + ms : 0;
    this.#stand = stand;
    if (this.#since < limit) return;
    this.#late = true;
    this.#reason = `it did not get on within ${limit / 1_000} s`;
    void this.#worker.terminate();
  }

  /** The job and the message that it is at. */
  #place(): readonly [job: number, message: number] {
    return [Atomics.load(this.#progress, JOB), Atomics.load(this.#progress, MESSAGE)];
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #hear(said: Said): void {
    if (said === 'ready') {
      this.#ready = true;
      this.#options.onReady();
      return;
    }
    this.#answer(said);
  }

  #answer(answer: Answer): void {
    const posted = this.#posted.shift();
    if (posted?.job !== answer.job) throw new Error('a worker answered out of turn');
    const { load, place } = posted;
    this.#answered.set(load, place);
    this.#rows[place][load.group] ??= [];
    const memory = this.#rows[place][load.group];
    for (const [k, rows] of answer.rows.entries()) if (rows) memory[k] = rows;
    load.take(
      answer,
      memory.map((rows) => ({ ...rows, count: answer.at.length })),
    );
    this.#options.onAnswer(load);
  }

  #jobOf(load: Load, job: number, place: number): Job {
    const { messages } = load;
    const ends = new Uint32Array(messages.length);
    const at = new Float64Array(messages.length);
    const memory = this.#enough(place, load.bytes);
    const payloads = new Uint8Array(memory ?? this.#memory[place]!);
    let end = 0;
    for (let i = 0; i < messages.length; i++) {
      payloads.set(messages[i].payload, end);
      end += messages[i].payload.length;
      ends[i] = end;
      at[i] = messages[i].at;
    }
    return {
      ...{ job, place, group: load.group, memory, ends, at },
      skip: load.skip,
      sources: column(messages.map(({ source }) => source)),
      topics: column(messages.map(({ topic }) => topic)),
      keys: column(messages.map(({ key }) => key)),
      positions: column(messages.map(({ position }) => position)),
      headers: column(messages.map(headersOf)),
    };
  }

  /** Sees that a place has room for so many bytes: its new memory, or null where the old is large enough. */
  #enough(place: number, bytes: number): SharedArrayBuffer | null {
    const before = this.#memory[place];
    if (before !== null && before.byteLength >= bytes) return null;
    const memory = new SharedArrayBuffer(Math.max(FIRST_BYTES, 2 ** Math.ceil(Math.log2(bytes))));
    this.#memory[place] = memory;
    return memory;
  }
}

/** Null where there are none, as mostly. */
function headersOf({ headers }: Message): Message['headers'] | null {
  for (const _ in headers) return headers;
  return null;
}
