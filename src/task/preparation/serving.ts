/**
 * What a worker does: decodes the messages of a job and makes a row of each event for every task of the group, in order,
 * by the same task.ts as everybody. Says where it is before each message, so that whoever finds it dead or stuck knows of
 * which. A message that cannot be used leaves no row behind; nothing that a message does makes it throw.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Event, Message } from '../../contract.ts';
import { asSluiceError } from '../../errors.ts';
import { RowArena } from '../../features/rows.ts';
import { openTask, type Task, type TaskSpec } from '../task.ts';
import {
  type Answer,
  cell,
  column,
  JOB,
  type Job,
  MESSAGE,
  NOTHING,
  type Opening,
  type RowsMemory,
} from './messages.ts';

/** Answers the jobs that come through `port`. `open` is for tests that need a task with faults. */
export function serve(
  port: MessagePort,
  { groups, progress }: Opening,
  open: (spec: TaskSpec) => Task = openTask,
): void {
  const memory: SharedArrayBuffer[] = [];
  const benches = groups.map((specs) => new Bench(specs.map(open), progress, memory));
  port.on('message', (job: Job) => port.postMessage(benches[job.group].work(job)));
  port.postMessage('ready');
}

/** An arena, and the rows in it that were told last. */
interface Sheet {
  readonly arena: RowArena;
  told: RowsMemory | null;
}

/** The tasks of a group, with what lies at each place. */
class Bench {
  readonly #tasks: readonly Task[];
  readonly #progress: Int32Array;
  /** By place, one a task. */
  readonly #sheets: Sheet[][] = [];
  /** By place. */
  readonly #memory: SharedArrayBuffer[];

  /** `memory`: of all groups together. */
  constructor(tasks: readonly Task[], progress: Int32Array, memory: SharedArrayBuffer[]) {
    this.#tasks = tasks;
    this.#progress = progress;
    this.#memory = memory;
  }

  work(job: Job): Answer {
    const progress = this.#progress;
    if (job.memory) this.#memory[job.place] = job.memory;
    const payloads = new Uint8Array(this.#memory[job.place]);
    const sheets = this.#sheetsOf(job.place);
    const arenas = sheets.map(({ arena }) => arena);
    const weak: boolean[] = [];
    const devices: string[] = [];
    const at: number[] = [];
    const aliases: (readonly string[])[] = [];
    const ids: (string | null)[] = [];
    const lengths: number[] = [];
    const counts = new Uint32Array(job.ends.length);
    const refused: Answer['refused'][number][] = [];
    Atomics.store(progress, JOB, job.job);
    for (let i = 0; i < job.ends.length; i++) {
      if (job.skip.includes(i)) continue;
      Atomics.store(progress, MESSAGE, i);
      const message = messageOf(job, i, payloads);
      try {
        const found = this.#prepare(message, arenas);
        counts[i] = found.length;
        for (const event of found) {
          weak.push(event.weak);
          devices.push(event.device);
          at.push(event.at);
          aliases.push(event.aliases);
          ids.push(event.id === message.position ? null : event.id);
          lengths.push(event.body.kind === 'mail' ? event.body.raw.length : 0);
        }
      } catch (thrown) {
        const { code, message: detail } = asSluiceError(thrown, 'DECODE_UNEXPECTED');
        refused.push([i, code, detail]);
      }
    }
    const answer: Answer = {
      job: job.job,
      counts,
      refused,
      ids: column(ids),
      weak: column(weak),
      devices: column(devices),
      at: Float64Array.from(at),
      aliases,
      lengths: Uint32Array.from(lengths),
      rows: sheets.map(told),
    };
    Atomics.store(progress, MESSAGE, NOTHING);
    return answer;
  }

  #prepare(message: Message, arenas: readonly RowArena[]): readonly Event[] {
    const rows = arenas[0].count;
    try {
      const events = this.#tasks[0].decode(message);
      for (const event of events)
        for (let k = 0; k < arenas.length; k++) this.#tasks[k].fill(event, arenas[k]);
      return events;
    } catch (thrown) {
      for (const arena of arenas) arena.truncate(rows);
      throw thrown;
    }
  }

  /** With empty arenas. */
  #sheetsOf(place: number): readonly Sheet[] {
    this.#sheets[place] ??= this.#tasks.map(({ shape }) => ({
      arena: new RowArena(shape.dims, shape.denseDims, 'shared'),
      told: null,
    }));
    for (const { arena } of this.#sheets[place]) arena.reset();
    return this.#sheets[place];
  }
}

/** The arrays of the rows, where they are not those that were told last. */
function told(sheet: Sheet): RowsMemory | null {
  const { count: _, ...rows } = sheet.arena.view();
  const before = sheet.told;
  if (
    before?.indptr === rows.indptr &&
    before.indices === rows.indices &&
    before.values === rows.values &&
    before.dense === rows.dense
  )
    return null;
  sheet.told = rows;
  return rows;
}

function messageOf(job: Job, i: number, payloads: Uint8Array): Message {
  return {
    source: cell(job.sources, i),
    topic: cell(job.topics, i),
    key: cell(job.keys, i),
    payload: payloads.subarray(i === 0 ? 0 : job.ends[i - 1], job.ends[i]),
    headers: cell(job.headers, i) ?? {},
    at: job.at[i],
    position: cell(job.positions, i),
  };
}
