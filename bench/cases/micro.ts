/** Parts of the path in this process: decoding, features, scoring, learning, the join store. */
import { mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { open as openLmdb } from 'lmdb';
import PostalMime from 'postal-mime';
import { systemClock } from '../../src/clock.ts';
import type { Event, Rows, Store } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import type { Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { type BenchCase, type BenchOptions, measure } from '../case.ts';
import { type LabelledMail, machineTask, mailTask, message, random, reading, realMails } from '../inputs.ts';
import { learnerSides } from '../learners.ts';

const MAILS = 2_000;
const READINGS = 100_000;

function readings(options: BenchOptions): Buffer[] {
  const rng = random(options.seed);
  return Array.from({ length: options.quick ? 5_000 : READINGS }, (_, n) => reading(n, rng));
}

function rowsOf(task: Task, events: readonly Event[]): Rows {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const event of events) task.fill(event, arena);
  return arena.view();
}

const mailEvents = (task: Task, mails: readonly LabelledMail[]): Event[] =>
  mails.flatMap(({ raw }, n) => [...task.decode(message(raw, n, 'mail/in'))]);

const decodeJson: BenchCase = {
  name: 'decode-json',
  what: '300-byte JSON readings to events: identity, declared fields, ranges',
  peer: 'JSON.parse of the same bytes and nothing else',
  unit: 'readings',
  async prepare(options) {
    const task = machineTask();
    const messages = readings(options).map((payload, n) => message(payload, n));
    let sum = 0;
    return {
      sluice: () =>
        measure(() => {
          for (const one of messages) sum += task.decode(one).length;
          return messages.length;
        }),
      peer: () =>
        measure(() => {
          for (const { payload } of messages) sum += JSON.parse((payload as Buffer).toString()).rpm;
          return sum > -1 ? messages.length : 0;
        }),
    };
  },
};

const decodeMail: BenchCase = {
  name: 'decode-mail',
  what: 'raw mails to headers, visible text, links, attachments',
  peer: 'postal-mime parsing the same mails',
  unit: 'mails',
  async prepare(options) {
    const mails = await realMails(options, MAILS);
    if (typeof mails === 'string') return mails;
    const task = mailTask();
    return {
      sluice: () => measure(() => mailEvents(task, mails).length),
      peer: () =>
        measure(async () => {
          for (const { raw } of mails) await PostalMime.parse(raw);
          return mails.length;
        }),
    };
  },
};

const featuresMail: BenchCase = {
  name: 'features-mail',
  what: 'decoded mails to feature rows, all namespaces',
  peer: 'binary byte 4-grams of the first 3,500 bytes, hashed with deduplication: the classic single view',
  unit: 'mails',
  async prepare(options) {
    const mails = await realMails(options, MAILS);
    if (typeof mails === 'string') return mails;
    const task = mailTask();
    const events = mailEvents(task, mails);
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    const stamps = new Uint32Array(1 << 20);
    let epoch = 0;
    return {
      sluice: () =>
        measure(() => {
          for (const [n, event] of events.entries()) {
            if (n % 64 === 0) arena.reset();
            task.fill(event, arena);
          }
          return events.length;
        }),
      peer: () =>
        measure(() => {
          for (const { raw } of mails) fourGrams(raw, stamps, ++epoch);
          return mails.length;
        }),
    };
  },
};

/** Distinct hashed 4-grams; the count only, so that nothing but the hashing is timed. */
function fourGrams(raw: Uint8Array, stamps: Uint32Array, epoch: number): number {
  const end = Math.min(raw.length, 3_500);
  let distinct = 0;
  let gram = 0;
  for (let i = 0; i < end; i++) {
    gram = ((gram << 8) | raw[i]) >>> 0;
    const bucket = Math.imul(gram, 0x9e3779b1) >>> 12;
    if (stamps[bucket] === epoch) continue;
    stamps[bucket] = epoch;
    distinct += 1;
  }
  return distinct;
}

/** The same mathematics as `linear`, the plainest loop that V8 can run: two classes, AdaGrad. */
class PlainLogistic {
  readonly #weights: Float32Array;
  readonly #squares: Float32Array;

  constructor(dims: number) {
    this.#weights = new Float32Array(dims);
    this.#squares = new Float32Array(dims);
  }

  score(rows: Rows, i: number): number {
    let z = 0;
    for (let k = rows.indptr[i]; k < rows.indptr[i + 1]; k++)
      z += this.#weights[rows.indices[k]] * rows.values[k];
    return 1 / (1 + Math.exp(-z));
  }

  learn(rows: Rows, i: number, label: number): void {
    const error = this.score(rows, i) - label;
    for (let k = rows.indptr[i]; k < rows.indptr[i + 1]; k++) {
      const gradient = error * rows.values[k];
      const bucket = rows.indices[k];
      this.#squares[bucket] += gradient * gradient;
      this.#weights[bucket] -= (0.4 * gradient) / (Math.sqrt(this.#squares[bucket]) + 1e-6);
    }
  }
}

function linearCase(name: string, what: string, learns: boolean): BenchCase {
  return {
    name,
    what,
    peer: 'the plain scalar loop in JavaScript over the same rows',
    unit: 'mails',
    async prepare(options) {
      const mails = await realMails(options, MAILS);
      if (typeof mails === 'string') return mails;
      // The preset whose kind is `linear`; text.ts has the other.
      const task = mailTask('fast');
      const rows = rowsOf(task, mailEvents(task, mails));
      const labels = Int32Array.from(mails, ({ label }) => (label === 'spam' ? 1 : 0));
      const model = task.newModel(openEngine({ threads: 1 }));
      await model.learn(rows, labels);
      const plain = new PlainLogistic(task.shape.dims);
      // Taught as ours is: a table that nothing was written to lies in one page of zeros, which is always in the cache.
      for (let i = 0; i < rows.count; i++) plain.learn(rows, i, labels[i]);
      return learnerSides(model, plain, { rows, labels }, learns);
    },
  };
}

/** A gateway's store with its default limits, in a folder of the case's own. */
function storeIn(folder: string): Promise<Store> {
  const telemetry = new Telemetry({ level: 'silent' });
  const { path: _, ...limits } = storeOptions.parse({});
  return openStore({ path: path.join(folder, 'store'), limits, clock: systemClock, telemetry });
}

const joinStore: BenchCase = {
  name: 'join-store',
  what: 'scored readings kept for feedback, batches of 256, durable',
  peer: 'one lmdb put an event under its random id, same bytes, durable',
  unit: 'readings',
  async prepare(options) {
    const task = machineTask();
    const events = readings(options).flatMap((payload, n) => [...task.decode(message(payload, n))]);
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-bench-'));
    const store = await storeIn(folder);
    const plain = openLmdb({ path: path.join(folder, 'plain'), encoding: 'binary' });
    const size = 256;
    const batches = Array.from({ length: Math.floor(events.length / size) }, (_, b) => {
      const part = events.slice(b * size, (b + 1) * size);
      return { part, rows: rowsOf(task, part) };
    });
    const scores = new Float32Array(size * 2).fill(0.5);
    const predicted = new Int32Array(size);
    const value = Buffer.alloc(200, 7);
    let run = 0;
    return {
      sluice: async () => {
        const before = await bytesIn(path.join(folder, 'store'));
        const measured = await measure(async () => {
          const done = batches.map(({ part, rows }) =>
            store.join.put({
              task: 'machine',
              features: task.features,
              model: 'm',
              rows,
              events: part,
              scores,
              classes: 2,
              predicted,
            }),
          );
          await Promise.all(done);
          return batches.length * size;
        });
        const grown = (await bytesIn(path.join(folder, 'store'))) - before;
        return { ...measured, more: { 'bytes on disk an event': grown / measured.n } };
      },
      peer: () =>
        measure(async () => {
          run += 1;
          for (const event of events.slice(0, batches.length * size))
            void plain.put(`${event.id}${run}`, value);
          await plain.flushed;
          return batches.length * size;
        }),
      close: async () => {
        await store.close();
        await plain.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

const outbox: BenchCase = {
  name: 'outbox',
  what: 'verdicts of 600 bytes taken into the outbox in groups of 256, durable, and taken out again',
  peer: 'the same bytes appended to a plain file with fdatasync a group, and read back',
  unit: 'messages',
  async prepare(options) {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-bench-'));
    const store = await storeIn(folder);
    const payload = 'v'.repeat(600);
    const group = Array.from({ length: 256 }, () => ({
      topic: 'sluice/site/task/verdict',
      key: 'press-07',
      payload,
    }));
    const groups = options.quick ? 20 : 200;
    const n = groups * group.length;
    const plain = path.join(folder, 'plain');
    return {
      sluice: async () => {
        const before = await writtenBytes();
        const measured = await measure(async () => {
          for (let g = 0; g < groups; g++) await store.outbox.append('sink', group);
          return n;
        });
        const perByte = ((await writtenBytes()) - before) / (n * payload.length);
        const drained = await measure(async () => {
          let taken = 0;
          while (taken < n) {
            const { messages, through } = store.outbox.peek('sink', 4_096, 8 * 1024 * 1024);
            taken += messages.length;
            await store.outbox.remove('sink', through);
          }
          return taken;
        });
        const seconds = measured.seconds + drained.seconds;
        return { n, seconds, more: { 'bytes written a payload byte': perByte } };
      },
      peer: () =>
        measure(async () => {
          const file = await open(plain, 'w+');
          const bytes = Buffer.from(payload.repeat(group.length));
          for (let g = 0; g < groups; g++) {
            await file.write(bytes);
            await file.datasync();
          }
          await file.close();
          await readFile(plain);
          return n;
        }),
      close: async () => {
        await store.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** Bytes this process has handed to write calls so far (Linux). */
async function writtenBytes(): Promise<number> {
  return Number(/wchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))?.[1] ?? 0);
}

async function bytesIn(folder: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(folder)).map(async (file) => (await stat(path.join(folder, file))).size),
  );
  return sizes.reduce((a, b) => a + b, 0);
}

export const microCases: readonly BenchCase[] = [
  decodeJson,
  decodeMail,
  featuresMail,
  linearCase('score', 'feature rows of mails scored, one thread', false),
  linearCase('learn', 'feature rows of mails scored and learned, one by one, one thread', true),
  joinStore,
  outbox,
];
