/**
 * `node scripts/fuzz-decoders.mjs [json|senml|sparkplug …] [--inputs N] [--seed N]`: mutated messages through the decoders
 * of readings (see bench/decode/fuzz.ts), ten million each where nothing else is asked for; needs a built checkout. One thread
 * decodes, this one watches it: an input that takes longer than 20 s is printed as a hang. Exit 1 and the input as base64
 * where something failed.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = process.env.SLUICE_DIST ?? path.join(ROOT, 'dist');
const HANG_MS = 20_000;
const ROOM = 512;
const FORMATS = ['json', 'senml', 'sparkplug'];

async function work({ format, inputs, seed, shared }) {
  const { fuzz } = await import(path.join(DIST, 'bench', 'decode', 'fuzz.js'));
  const count = new Int32Array(shared, 0, 2);
  const current = new Uint8Array(shared, 8);
  const report = fuzz({
    ...{ format, inputs, seed },
    onInput(input) {
      current.set(input.length > ROOM ? input.subarray(0, ROOM) : input);
      count[1] = input.length;
      count[0] += 1;
    },
  });
  parentPort.postMessage(report);
}

/** Resolves to the report; ends the process where an input hangs. */
function run(format, inputs, seed) {
  const shared = new SharedArrayBuffer(8 + ROOM);
  const count = new Int32Array(shared, 0, 2);
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { format, inputs, seed, shared } });
  let last = -1;
  let since = performance.now();
  const watch = setInterval(() => {
    if (count[0] !== last) {
      last = count[0];
      since = performance.now();
    } else if (performance.now() - since > HANG_MS) {
      const input = Buffer.from(new Uint8Array(shared, 8)).subarray(0, count[1]).toString('base64');
      console.error(`FAILED: an input of ${format} hangs (seed ${seed}, input ${last}):\n${input}`);
      process.exit(1);
    }
  }, 1_000);
  return new Promise((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  }).finally(() => clearInterval(watch));
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      inputs: { type: 'string', default: '10000000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    },
  });
  for (const format of positionals.length > 0 ? positionals : FORMATS) {
    const seed = Number(values.seed);
    const { failure, ...figures } = await run(format, Number(values.inputs), seed);
    console.log(
      JSON.stringify({ seed, ratePerSecond: Math.round(figures.inputs / figures.seconds), ...figures }),
    );
    if (failure === null) continue;
    console.error(
      `FAILED: ${failure.why} (${format}, seed ${seed}, topic ${failure.topic})\n${failure.input}`,
    );
    process.exitCode = 1;
  }
}

if (isMainThread) await main();
else await work(workerData);
