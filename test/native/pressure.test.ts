/**
 * The addon under a garbage collector that runs all the time, in several threads at once: a hundred thousand calls,
 * models made and left to the collector, arrays detached while they are read. What it must not do is crash or keep
 * memory.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';

const addonPath = process.env.SLUICE_ADDON ?? join(import.meta.dirname, '../../build/Release/sluice.node');
const folder = mkdtempSync(join(tmpdir(), 'sluice-pressure-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const THREADS = 4;
const CALLS = 100_000;

/** Each thread loads the addon by itself and makes its share of the calls; a few models live at a time. */
const script = `
const { Worker, isMainThread, parentPort } = require('node:worker_threads');
async function work(calls) {
  const addon = require(${JSON.stringify(addonPath)});
  const engine = addon.open('cpu', '', 1, 'auto');
  const make = () => addon.create(engine, 'linear', 4096, 2, 2, ['rate', 'l2', 'eps', 'normalise'], Float64Array.of(0.4, 0, 1e-6, 1), 1).handle;
  let model = make(), sum = 0;
  for (let i = 0; i < calls; i += 8) {
    const batch = Array.from({ length: 8 }, (_, j) => {
      const rows = [2, Uint32Array.of(0, 2, 4), Uint32Array.of(1, 7, 2, (i + j) & 4095), Float32Array.of(1, 2, 3, 4), 2, Float32Array.of(1, 2, 3, 4)];
      const call = j & 1 ? addon.score(model, ...rows) : addon.step(model, ...rows, Int32Array.of(0, 1));
      if (j === 3) structuredClone(rows[2], { transfer: [rows[2].buffer] });
      return call;
    });
    if (i % 400 === 0) gc();
    for (const scores of await Promise.all(batch)) sum += scores[0] + scores[1];
    if (i % 4000 === 0) {
      const bytes = await addon.save(model);
      if (i % 8000 === 0) addon.close(model);
      model = addon.load(engine, bytes).handle;
    }
  }
  return sum;
}
if (!isMainThread) work(${CALLS / THREADS}).then((sum) => parentPort.postMessage(sum));
else (async () => {
  const round = () => Promise.all(Array.from({ length: ${THREADS} }, () => new Promise((ok, no) => new Worker(__filename).once('message', ok).once('error', no))));
  await work(2_000);
  const sums = [];
  const used = [];
  for (let i = 0; i < 2; i += 1) {
    sums.push(...(await round()));
    gc();
    await new Promise((ok) => setTimeout(ok, 200));
    used.push(process.memoryUsage().rss);
  }
  console.log(JSON.stringify({ sums, grown: used[1] - used[0] }));
})();
`;

it('makes 100,000 calls in four threads under forced garbage collection, twice, and keeps nothing', async () => {
  const file = join(folder, 'pressure.cjs');
  writeFileSync(file, script);
  const run = promisify(execFile)(process.execPath, ['--expose-gc', file], { timeout: 100_000 });
  const { sums, grown } = JSON.parse((await run).stdout) as { sums: number[]; grown: number };
  expect(sums).toHaveLength(2 * THREADS);
  expect(new Set(sums).size).toBe(1);
  expect(sums[0]).toBeCloseTo(CALLS / THREADS, 0);
  // A model is 50 KB and the second round makes 100 of them: kept, they would show.
  expect(grown).toBeLessThan(24 * 1024 ** 2);
}, 120_000);
