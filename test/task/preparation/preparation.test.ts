import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { Message } from '../../../src/contract.ts';
import { LOAD_MESSAGES, Load } from '../../../src/task/preparation/load.ts';
import { PLACES } from '../../../src/task/preparation/thread.ts';
import { Pool, prepare, withWorkers } from '../../../src/task/preparation.ts';
import { readCorpus } from '../../decode/corpus.ts';
import { readingTask } from '../fixtures.ts';
import { fault, mails, mailTask, messageOf, openFaulty, outcomes, streamOf } from './kit.ts';

const corpus = readCorpus('index-all.tsv');
let pool: Pool | null = null;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-preparation-'));
});

afterEach(async () => {
  await pool?.close();
  pool = null;
  rmSync(folder, { recursive: true, force: true });
});

/** The mails with faults among others, and what becomes of them all. */
async function withFaults(faults: ReadonlyMap<number, string>, count = 150) {
  const messages = mails(count).map((message, n) => (faults.has(n) ? fault(faults.get(n)!, n) : message));
  const found = await outcomes(streamOf(messages), [mailTask()], pool);
  const expected = await outcomes(streamOf(messages), [mailTask()], null);
  const others = (list: typeof found) => list.filter((_, n) => !faults.has(n));
  expect(others(found)).toEqual(others(expected));
  expect(found.map(({ position }) => position)).toEqual(expected.map(({ position }) => position));
  return { found, expected };
}

describe('worker threads give', () => {
  test('the same events, rows and refusals as the main thread, bit for bit and in order', async () => {
    const tasks = [mailTask(), mailTask({ preset: 'fast' })];
    const messages = mails(300);
    const expected = await outcomes(streamOf(messages), tasks, null);
    pool = await openFaulty({ groups: [tasks] });
    const found = await outcomes(streamOf(messages), tasks, pool);
    expect(found).toEqual(expected);
    expect(new Set(found.map(({ refusal }) => refusal?.split(':')[0]))).toEqual(
      new Set([
        undefined,
        ...['DECODE_EMPTY', 'DECODE_MAIL', 'DECODE_TOO_LARGE', 'DECODE_PARTS', 'DECODE_DEPTH'],
      ]),
    );
  });

  test.skipIf(!corpus)('the same rows of real mails', async () => {
    const messages = corpus!.filter((_, n) => n % 40 === 0).map(({ payload }, n) => messageOf(payload, n));
    pool = await openFaulty();
    const found = await outcomes(streamOf(messages), [mailTask()], pool);
    expect(found).toEqual(await outcomes(streamOf(messages), [mailTask()], null));
  });

  test('one mail at once, without waiting for others', async () => {
    pool = await openFaulty();
    let heard = (): void => {};
    const stream = pool.stream<string>(0, () => heard());
    for (const name of ['first', 'second']) {
      const ready = new Promise<void>((resolve) => {
        heard = resolve;
      });
      stream.add(messageOf('Subject: one\n\nalone\n', 1), name);
      stream.flush();
      await ready;
      const batch = stream.take()!;
      expect(batch.tags).toEqual([name]);
      expect(batch.events(0)).toHaveLength(1);
      stream.release(batch);
      expect(stream.empty).toBe(true);
    }
  });
});

describe('a mail that', () => {
  test('ends its thread twice is refused with the reason; everything else is as ever', async () => {
    const lost: string[] = [];
    pool = await openFaulty({ onLost: (reason) => lost.push(reason) });
    const { found } = await withFaults(
      new Map([
        [3, 'exit'],
        [70, 'exit'],
        [71, 'exit'],
        [149, 'exit'],
      ]),
    );
    for (const n of [3, 70, 71, 149])
      expect(found[n].refusal).toMatch(/^DECODE_CRASHED: .*ended with code 7/);
    expect(lost).toHaveLength(8);
    expect(pool.health().ok).toBe(true);
  });

  test('was at hand when its thread ended once is prepared all the same', async () => {
    pool = await openFaulty();
    const mark = path.join(folder, 'once');
    const { found, expected } = await withFaults(new Map([[30, `once ${mark}`]]), 60);
    expect(existsSync(mark)).toBe(true);
    expect(found[30]).toEqual(expected[30]);
  });

  test('never comes to an end is refused after the limit, once', async () => {
    const lost: string[] = [];
    pool = await openFaulty({ limitMs: 400, onLost: (reason) => lost.push(reason) });
    const { found } = await withFaults(new Map([[100, 'hang']]));
    expect(found[100].refusal).toBe('DECODE_TIMEOUT: it was not decoded within 0.4 s');
    expect(lost).toHaveLength(1);
  });

  test('holds up one stream holds up no other while a thread is free', async () => {
    const task = mailTask();
    pool = await openFaulty({ limitMs: 60_000, groups: [[task], [task]] });
    const stuck = pool.stream<null>(0, () => {});
    stuck.add(fault('hang', 1), null);
    stuck.flush();
    let done = 0;
    const ready = new Promise<void>((resolve) => {
      const other = pool!.stream<null>(1, () => {
        const batch = other.take()!;
        done += batch.messages.length;
        other.release(batch);
        if (done === 100) resolve();
      });
      for (const message of mails(100)) other.add(message, null);
      other.flush();
    });
    await ready;
    expect(stuck.take()).toBeNull();
  });

  test('fills the heap of its thread is refused, and the process lives', async () => {
    pool = await openFaulty({ threads: 1, heapMiB: 64 });
    const { found } = await withFaults(new Map([[10, 'heap']]), 40);
    expect(found[10].refusal).toMatch(/^DECODE_CRASHED: .*memory/);
  });
});

describe('what is under way', () => {
  test('is bounded however fast mails come, and left alone where nobody wants more', async () => {
    pool = await openFaulty();
    let read = 0;
    let closed = false;
    async function* endless(): AsyncGenerator<Message> {
      try {
        for (;;) yield messageOf('Subject: more\n\nand more\n', read++);
      } finally {
        closed = true;
      }
    }
    const prepared = prepare(endless(), [mailTask()], pool);
    await prepared.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(read).toBeGreaterThan(LOAD_MESSAGES);
    expect(read).toBeLessThanOrEqual(2 * PLACES * LOAD_MESSAGES + 1);
    await prepared.return(undefined);
    expect(closed).toBe(true);
  });

  test('is bounded in bytes: a few large mails are as many as may be', async () => {
    pool = await openFaulty({ limitMs: 60_000, groups: [[mailTask()]] });
    const stream = pool.stream<null>(0, () => {});
    const large = messageOf('x'.repeat(20 * 1024 ** 2), 1);
    stream.add(large, null);
    expect(stream.hasRoom).toBe(true);
    stream.add(large, null);
    expect(stream.hasRoom).toBe(false);
  });

  test('ends with the pool, at once', async () => {
    pool = await openFaulty({ limitMs: 60_000 });
    const stream = pool.stream<null>(0, () => {});
    stream.add(fault('hang', 0), null);
    stream.flush();
    for (const message of mails(300)) stream.add(message, null);
    const started = performance.now();
    await pool.close();
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('comes before the failure of a source', async () => {
    pool = await openFaulty();
    async function* broken(): AsyncGenerator<Message> {
      yield* mails(10);
      throw new Error('the disk is gone');
    }
    const seen: number[] = [];
    const all = (async () => {
      for await (const { message } of prepare(broken(), [mailTask()], pool)) seen.push(message.at);
    })();
    await expect(all).rejects.toThrow('the disk is gone');
    expect(seen).toHaveLength(10);
  });
});

test('mails with which workers end, although none of them can be named, are refused after the third end', () => {
  const load = new Load<number>(0, mailTask());
  for (const n of [0, 1]) load.add(messageOf('Subject: x\n\ny\n', n), n);
  load.fell('gone');
  load.fell('gone');
  expect(load.skip).toEqual([]);
  load.fell('gone');
  expect(load.skip).toEqual([0, 1]);
  expect(load.refusal(1)).toMatchObject({ code: 'DECODE_CRASHED' });
});

test('threads that cannot begin are WORKER_FAILED', async () => {
  const script = path.join(folder, 'not-there.js');
  const opening = Pool.open({ threads: 2, groups: [[mailTask()]], clock: systemClock, script });
  await expect(opening).rejects.toMatchObject({ code: 'WORKER_FAILED' });
});

test('no threads are begun where none are asked for, or readings are read', async () => {
  await withWorkers([mailTask()], 0, async (given) => expect(given).toBeNull());
  await withWorkers([readingTask()], 2, async (given) => expect(given).toBeNull());
});
