/** Training in a child: the same result as in this process, and nothing that happens there reaches us. */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrainResult } from '../../src/contract.ts';
import { isConditioned } from '../../src/model/conditioned.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openRowFile, RowFileWriter, writeRowFile } from '../../src/task/experiments/rowfile.ts';
import { digestRows, memoryStore } from '../../src/task/experiments/rows.ts';
import { childTrainer, inProcessTrainer } from '../../src/task/experiments.ts';
import { compiled } from '../compiled.ts';
import { request, rowSet, shape } from './experiments-kit.ts';

let script: string;
let folder: string;
beforeAll(async () => {
  script = await compiled('src/task/experiments/worker.ts');
  folder = await mkdtemp(join(tmpdir(), 'sluice-experiments-'));
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const withoutRates = ({ leaderboard, model }: TrainResult) => ({
  board: leaderboard.map(({ rate: _, ...trial }) => trial),
  model: Buffer.from(model).toString('hex'),
});

/** Child processes of this one, by the kernel's word. */
async function children(): Promise<number[]> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

const failure = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => expect.fail('it did not fail'),
    (error) => error as Error,
  );

const set = rowSet(5_000, (x, y, i) => x + y * (i % 3) > 0);

describe('a trainer in children', () => {
  test('gives what a trainer in this process gives, with one worker and with two, and tells of each trial', async () => {
    const base = await inProcessTrainer(openEngine()).train(request(rowSet(500)));
    const asked = request(set, { budget: 7, start: base.model });
    const here = await inProcessTrainer(openEngine()).train(asked);
    for (const workers of [1, 2]) {
      let told = 0;
      const onTrial = () => {
        told += 1;
      };
      const there = await childTrainer({ script, workers, folder, onTrial }).train(asked);
      expect(withoutRates(there)).toEqual(withoutRates(here));
      expect(told).toBe(8 + 3);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test('learns the rules of columns with the model, as in this process, and goes on with what it had learned', async () => {
    const rules = [
      { column: 0, impute: 'median', clip: 3, scale: 'robust', target: false },
      { column: 1, impute: 'none', clip: 0, scale: 'zscore', target: false },
    ] as const;
    const asked = request(set, { budget: 4, shape: { ...shape, rules } });
    const here = await inProcessTrainer(openEngine()).train(asked);
    expect(isConditioned(here.model)).toBe(true);
    expect(here.winner.validation.accuracy).toBeGreaterThan(0.7);
    expect(withoutRates(await childTrainer({ script, workers: 2, folder }).train(asked))).toEqual(
      withoutRates(here),
    );
    const again = { ...asked, start: here.model };
    expect(withoutRates(await childTrainer({ script, workers: 1, folder }).train(again))).toEqual(
      withoutRates(await inProcessTrainer(openEngine()).train(again)),
    );
  });

  test('that is killed is TRAINING_FAILED; this process goes on, and the next training works', async () => {
    const before = await children();
    const trainer = childTrainer({
      script,
      folder,
      onTrial: () => {
        children().then((now) => {
          for (const pid of now.filter((each) => !before.includes(each))) process.kill(pid, 'SIGKILL');
        });
      },
    });
    const error = await failure(trainer.train(request(rowSet(200_000), { budget: 9 })));
    expect(error.code).toBe('TRAINING_FAILED');
    expect(error.message).toContain('SIGKILL');
    expect(readdirSync(folder)).toEqual([]);
    await childTrainer({ script, folder }).train(request(set));
  });

  test('that needs more memory than it may is TRAINING_FAILED and says so', async () => {
    const trainer = childTrainer({ script, folder, memory: 60 * 1024 ** 2 });
    const shape = { dims: 2 ** 24, denseDims: 2, classes: 2 };
    const error = await failure(trainer.train(request(rowSet(200_000), { shape, budget: 3 })));
    expect(error.code).toBe('TRAINING_FAILED');
    expect(error.message).toMatch(/needed \d+ MiB of memory, 60 MiB are allowed/);
  });

  test('that cannot start is TRAINING_FAILED with what it said', async () => {
    const trainer = childTrainer({ script: join(folder, 'nothing.js'), folder });
    const error = await failure(trainer.train(request(set)));
    expect(error.code).toBe('TRAINING_FAILED');
    expect(error.message).toContain('nothing.js');
  });

  test('ends at once when it is told to, and leaves no process and no file', async () => {
    const before = await children();
    const stop = new AbortController();
    const onTrial = () => stop.abort(new Error('enough'));
    const work = childTrainer({ script, folder, workers: 2, onTrial }).train(
      request(rowSet(100_000), { budget: 9 }),
      stop.signal,
    );
    expect((await failure(work)).message).toBe('enough');
    expect(await children()).toEqual(before);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a file of rows', () => {
  test('gives the rows back in any span, and has the digest of the rows in memory', async () => {
    const path = join(folder, 'rows');
    const rows = rowSet(1_700);
    await writeRowFile(path, rows);
    const [file, memory] = [openRowFile(path, statSync(path).size), memoryStore(rows)];
    for (const [from, to] of [
      [0, 1_700],
      [1, 2],
      [500, 1_600],
      [511, 513],
      [900, 900],
    ]) {
      expect(digestRows(file, from, to)).toBe(digestRows(memory, from, to));
      expect([...file.blocks(from, to)].reduce((n, block) => n + block.rows.count, 0)).toBe(to - from);
    }
    expect(digestRows(file, 0, 5)).not.toBe(digestRows(file, 1, 6));
    expect(file.at).toEqual(rows.at);
    file.close();
    truncateSync(path, statSync(path).size - 8);
    expect(() => openRowFile(path, statSync(path).size)).toThrow(/was not finished/);
    await rm(path);
  });

  test('that was abandoned is refused', async () => {
    const path = join(folder, 'half');
    const rows = rowSet(100);
    const writer = await RowFileWriter.create(path, 'test-1', 2);
    await writer.add(rows.rows, rows.labels, null, rows.at);
    await writer.abandon();
    expect(() => openRowFile(path, statSync(path).size)).toThrow(/was not finished/);
    await rm(path);
  });
});
