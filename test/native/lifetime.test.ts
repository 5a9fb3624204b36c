/**
 * Lifetimes of the addon: worker threads, two copies at once, exits in the middle of work, memory that is
 * shared or changes meanwhile. What may take a process down runs in a process of its own.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openEngine } from '../../src/model/engine.ts';
import { bytesOf, randomRows, seeded } from '../model/fixtures.ts';

const addonPath = process.env.SLUICE_ADDON ?? join(import.meta.dirname, '../../build/Release/sluice.node');
const folder = mkdtempSync(join(tmpdir(), 'sluice-native-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Plain JavaScript that every child and worker begins with: a model and a batch that takes a while. */
const prelude = `
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const addon = require(${JSON.stringify(addonPath)});
const engine = addon.open('cpu', '', 2, 'auto');
const make = () => addon.create(engine, 'linear', 65536, 0, 2, ['rate', 'l2', 'eps', 'normalise'], Float64Array.of(0.4, 0, 1e-6, 1), 1).handle;
const count = 20000, each = 50;
const indptr = Uint32Array.from({ length: count + 1 }, (_, i) => i * each);
const indices = Uint32Array.from({ length: count * each }, (_, i) => Math.imul(i, 2654435761) >>> 16);
const values = new Float32Array(count * each).fill(0.14);
const labels = Int32Array.from({ length: count }, (_, i) => i & 1);
const rows = [count, indptr, indices, values, 0, new Float32Array(0)];
`;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Runs a script in a process of its own; one that hangs is killed and shows as a signal. */
function runChild(name: string, body: string): Promise<Ended> {
  const file = join(folder, `${name}.cjs`);
  writeFileSync(file, prelude + body);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file], { timeout: 20_000, killSignal: 'SIGKILL' });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

describe('the process', () => {
  it('waits for calls under way, then ends by itself', async () => {
    const ended = await runChild(
      'drain',
      `const m = make(); addon.step(m, ...rows, labels).then((s) => console.log('scored', s.length));`,
    );
    expect(ended).toEqual({ code: 0, signal: null, output: 'scored 40000\n' });
  });

  it('is not held up by idle models, closed or not', async () => {
    const ended = await runChild(
      'idle',
      `const [a, b, c] = [make(), make(), make()];
      addon.score(a, ...rows).then(() => addon.score(b, ...rows)).then(() => { addon.close(b); console.log('done'); });`,
    );
    expect(ended).toEqual({ code: 0, signal: null, output: 'done\n' });
  });

  it('may exit in the middle of work, at any moment', async () => {
    for (const delay of [0, 1, 5, 20]) {
      const ended = await runChild(
        `exit-${delay}`,
        `for (let i = 0; i < 4; i += 1) { const m = make(); for (let j = 0; j < 20; j += 1) addon.step(m, ...rows, labels).catch(() => {}); }
        setTimeout(() => process.exit(7), ${delay});`,
      );
      expect(ended).toEqual({ code: 7, signal: null, output: '' });
    }
  });

  it('may exit in the turn in which a model is closed', async () => {
    const ended = await runChild(
      'exit-close',
      `const m = make(); addon.learn(m, ...rows, labels).catch(() => {}); addon.close(m); process.exit(7);`,
    );
    expect(ended).toEqual({ code: 7, signal: null, output: '' });
  });

  it('survives an uncaught error while work is under way', async () => {
    const ended = await runChild(
      'throw',
      `const m = make(); addon.learn(m, ...rows, labels); setTimeout(() => { throw new Error('mine'); }, 2);`,
    );
    expect(ended).toMatchObject({ code: 1, signal: null });
    expect(ended.output).toContain('mine');
  });
});

describe('a worker thread', () => {
  it('gives the same bits as the main thread', async () => {
    const ended = await runChild(
      'worker',
      `const run = async () => { const m = make(); await addon.step(m, ...rows, labels); return Buffer.from(await addon.save(m)).toString('base64'); };
      if (!isMainThread) run().then((bits) => parentPort.postMessage(bits));
      else Promise.all([run(), ...[1, 2].map(() => new Promise((ok, no) => new Worker(__filename).on('message', ok).on('error', no)))])
        .then((all) => console.log(all.length, new Set(all).size));`,
    );
    expect(ended).toEqual({ code: 0, signal: null, output: '3 1\n' });
  });

  it('may be terminated in the middle of work, many times over', async () => {
    const ended = await runChild(
      'terminate',
      `if (!isMainThread) { const m = make(); const n = make();
        for (let j = 0; j < 20; j += 1) { addon.step(m, ...rows, labels).catch(() => {}); addon.score(n, ...rows).catch(() => {}); }
        addon.save(m).catch(() => {}); if (workerData % 3 === 0) addon.close(n);
        parentPort.postMessage('busy');
      } else (async () => {
        for (let i = 0; i < 12; i += 1) {
          const worker = new Worker(__filename, { workerData: i });
          await new Promise((ok, no) => worker.once('message', ok).once('error', no));
          await new Promise((ok) => setTimeout(ok, i % 4));
          await worker.terminate();
        }
        const m = make(); await addon.step(m, ...rows, labels); console.log('alive');
      })();`,
    );
    expect(ended).toEqual({ code: 0, signal: null, output: 'alive\n' });
  });

  it('may end with models never closed', async () => {
    const ended = await runChild(
      'abandon',
      `if (!isMainThread) { const m = make(); addon.score(m, ...rows).then(() => parentPort.postMessage('scored')); }
      else { let n = 0; const next = () => { if (n++ < 5) new Worker(__filename).on('exit', next); else console.log('ended'); }; next(); }`,
    );
    expect(ended).toEqual({ code: 0, signal: null, output: 'ended\n' });
  });
});

describe('the addon', () => {
  const shape = { dims: 1024, denseDims: 3, classes: 2 };

  it('loads twice into one process, and refuses the handles of strangers', async () => {
    const copy = join(folder, 'copy.node');
    copyFileSync(addonPath, copy);
    const require = createRequire(import.meta.url);
    const [first, second] = [require(addonPath), require(copy)];
    expect(second).not.toBe(first);
    const engine = second.open('cpu', '', 1, 'auto');
    const options = [['rate', 'l2', 'eps', 'normalise'], Float64Array.of(0.4, 0, 1e-6, 1), 1];
    const made = second.create(engine, 'linear', 1024, 3, 2, ...options);
    const batch = randomRows(1, 30, shape);
    const { rows } = batch;
    const flat = [rows.count, rows.indptr, rows.indices, rows.values, rows.denseDims, rows.dense];
    const scores = await second.step(made.handle, ...flat, batch.labels);
    const own = openEngine().create('linear', shape, {}, 1);
    expect(bytesOf(scores).equals(bytesOf(await own.step(rows, batch.labels)))).toBe(true);

    for (const stranger of [
      engine,
      {},
      null,
      undefined,
      7,
      'handle',
      new Float32Array(4),
      Object.create(made.handle),
    ]) {
      expect(() => second.close(stranger)).toThrow(expect.objectContaining({ code: 'MODEL_INPUT' }));
      expect(() => second.save(stranger)).toThrow(expect.objectContaining({ code: 'MODEL_INPUT' }));
    }
    expect(() => second.load(made.handle, new Uint8Array(9))).toThrow(
      expect.objectContaining({ code: 'MODEL_INPUT' }),
    );
  });

  it('throws, and does nothing worse, whatever it is called with', async () => {
    const require = createRequire(import.meta.url);
    const addon = require(addonPath) as Record<string, (...values: unknown[]) => unknown>;
    const engine = addon.open('cpu', '', 1, 'auto');
    const options = [['rate', 'l2', 'eps', 'normalise'], Float64Array.of(0.4, 0, 1e-6, 1), 1];
    const made = addon.create(engine, 'linear', 64, 2, 2, ...options) as { handle: object };
    const random = seeded(5);
    const things = [
      engine,
      made.handle,
      undefined,
      null,
      0,
      1,
      2,
      3,
      -1,
      1.5,
      64,
      Number.NaN,
      2 ** 53,
      10n,
      true,
      '',
      'linear',
      'cpu',
      {},
      [],
      [1, 2],
      Symbol('s'),
      () => 1,
      new Date(0),
      new ArrayBuffer(8),
      new SharedArrayBuffer(8),
      new Uint8Array(64),
      new Uint32Array(4),
      new Float32Array(8),
      new Int32Array(3),
      new Float64Array(4),
      new BigInt64Array(2),
      new Uint8ClampedArray(4),
      new DataView(new ArrayBuffer(4)),
      new Proxy([], {}),
      { length: 4 },
      Object.freeze(['rate']),
    ];
    const names = Object.keys(addon).filter((name) => name !== 'close');
    let refused = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const name = names[Math.floor(random() * names.length)];
      const values = Array.from(
        { length: Math.floor(random() * 11) },
        () => things[Math.floor(random() * things.length)],
      );
      if (random() < 0.7) values[0] = name === 'create' || name === 'load' ? engine : made.handle;
      try {
        await addon[name](...values);
      } catch (error) {
        refused += 1;
        expect(error).toBeInstanceOf(Error);
        expect((error as { code?: unknown }).code, `${name}: ${error}`).toMatch(/^MODEL_|^BACKEND_/);
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('stays sound while another writer spoils shared rows under it', async () => {
    const { rows, labels } = randomRows(6, 4000, shape);
    const share = <T extends Uint32Array | Float32Array>(from: T): T => {
      const kind = from.constructor as new (buffer: SharedArrayBuffer) => T;
      const view = new kind(new SharedArrayBuffer(from.byteLength));
      view.set(from);
      return view;
    };
    const spoiled = {
      ...rows,
      indptr: share(rows.indptr),
      indices: share(rows.indices),
      values: share(rows.values),
    };
    const engine = openEngine({ threads: 2 });
    for (let round = 0; round < 10; round += 1) {
      const model = engine.create('linear', shape, {}, 1);
      const calls = [model.step(spoiled, labels), model.score(spoiled)];
      spoiled.indices.fill(0xffffffff);
      spoiled.indptr.fill(0xfffffff0, 1);
      await Promise.allSettled(calls);
      spoiled.indices.set(rows.indices);
      spoiled.indptr.set(rows.indptr);
      const scores = await model.score(spoiled);
      expect(scores.every((p) => p >= 0 && p <= 1)).toBe(true);
      model.close();
    }
  });

  it('is done with arrays of its own callers when the call returns: they may be changed, detached, given away', async () => {
    const engine = openEngine();
    const model = engine.create('linear', shape, {}, 1);
    const expected = engine.create('linear', shape, {}, 1);
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 100; i += 1) {
      const { rows, labels } = randomRows(i, 40, shape);
      calls.push(model.step(rows, labels));
      if (i % 2 === 0) rows.values.fill(Number.NaN);
      // The memory itself goes: a copy of the clone is all that is left of it, and that is garbage at once.
      else
        for (const array of [rows.indptr, rows.indices, rows.values, rows.dense, labels])
          structuredClone(array, { transfer: [array.buffer as ArrayBuffer] });
    }
    for (let i = 0; i < 200; i += 1) new Float32Array(100_000).fill(Number.NaN);
    await Promise.all(calls);
    for (let i = 0; i < 100; i += 1) {
      const { rows, labels } = randomRows(i, 40, shape);
      await expected.step(rows, labels);
    }
    expect(bytesOf(await model.save()).equals(bytesOf(await expected.save()))).toBe(true);
  });

  it('takes a span out of longer arrays as if they were cut to it, shared or not', async () => {
    const { rows, labels } = randomRows(11, 300, shape);
    const engine = openEngine();
    const whole = await engine.create('linear', shape, {}, 1).score(rows);
    const shared = new Uint32Array(new SharedArrayBuffer(rows.indices.byteLength));
    shared.set(rows.indices);
    for (const indices of [rows.indices, shared]) {
      const model = engine.create('linear', shape, {}, 1);
      const [first, count] = [120, 50];
      const span = {
        ...rows,
        count,
        indices,
        indptr: rows.indptr.subarray(first),
        dense: rows.dense.subarray(first * shape.denseDims),
      };
      expect(await model.score(span)).toEqual(whole.subarray(first * 2, (first + count) * 2));
      await model.learn(span, labels.subarray(first));
      const other = engine.create('linear', shape, {}, 1);
      const schedule = Int32Array.from({ length: count }, (_, i) => ~(first + i));
      await other.step(rows, labels, undefined, schedule);
      expect(bytesOf(await model.save()).equals(bytesOf(await other.save()))).toBe(true);
    }
  });

  it('holds on to arrays that nobody else holds', async () => {
    const engine = openEngine();
    const model = engine.create('linear', shape, {}, 1);
    const expected = engine.create('linear', shape, {}, 1);
    const promises: Promise<void>[] = [];
    for (let i = 0; i < 200; i += 1) {
      const { rows, labels } = randomRows(i, 40, shape);
      promises.push(model.learn(rows, labels));
    }
    // Garbage in plenty, so that anything let go would be overwritten.
    for (let i = 0; i < 200; i += 1) new Float32Array(100_000).fill(Number.NaN);
    await Promise.all(promises);
    for (let i = 0; i < 200; i += 1) {
      const { rows, labels } = randomRows(i, 40, shape);
      await expected.learn(rows, labels);
    }
    expect(bytesOf(await model.save()).equals(bytesOf(await expected.save()))).toBe(true);
  });
});
