/**
 * `node scripts/fuzz-mail.mjs [--mails N] [--seed N] [--explore N]`: mutated mails through the decoder (see
 * bench/mail/fuzz.ts), with progress; needs a built checkout. One thread decodes, this one watches it: a mail that takes
 * longer than 20 s is printed as a hang. Exit 1 and the smallest mail as base64 where something failed.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = process.env.SLUICE_DIST ?? path.join(ROOT, 'dist');
const HANG_MS = 20_000;
const ROOM = 4_096;

/** A sample of the real mails, where there are some. */
function realMails() {
  const folder = path.join(process.env.SLUICE_DATA ?? path.resolve(ROOT, '../shared/data'), 'spamassassin');
  const index = path.join(folder, 'index.tsv');
  if (!existsSync(index)) return [];
  const files = readFileSync(index, 'utf8').trim().split('\n').slice(1);
  return files
    .filter((_, i) => i % 20 === 0)
    .map((line) => readFileSync(path.join(folder, line.split('\t')[0])));
}

async function work({ mails, seed, explore, shared }) {
  const { fuzz } = await import(path.join(DIST, 'bench', 'mail', 'fuzz.js'));
  const count = new Int32Array(shared, 0, 2);
  const current = new Uint8Array(shared, 8);
  const report = fuzz({
    mails,
    seed,
    explore,
    real: realMails(),
    onMail(mail) {
      current.set(mail.length > ROOM ? mail.subarray(0, ROOM) : mail);
      count[1] = mail.length;
      count[0] += 1;
    },
    onProgress(done) {
      parentPort.postMessage({ done });
      return true;
    },
  });
  parentPort.postMessage({ report });
}

function main() {
  const { values } = parseArgs({
    options: {
      mails: { type: 'string', default: '10000000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      explore: { type: 'string', default: '200000' },
    },
  });
  const mails = Number(values.mails);
  const seed = Number(values.seed);
  console.log(`fuzz-mail: ${mails} mails, seed ${seed}`);
  const shared = new SharedArrayBuffer(8 + ROOM);
  const count = new Int32Array(shared, 0, 2);
  const started = performance.now();
  const worker = new Worker(fileURLToPath(import.meta.url), {
    workerData: { mails, seed, explore: Number(values.explore), shared },
  });
  let last = -1;
  let since = performance.now();
  let told = 0;
  let latest = null;
  const watch = setInterval(() => {
    if (count[0] !== last) {
      last = count[0];
      since = performance.now();
    } else if (performance.now() - since > HANG_MS) {
      const mail = Buffer.from(new Uint8Array(shared, 8)).subarray(0, count[1]).toString('base64');
      console.error(`FAILED: a mail hangs (seed ${seed}, mail ${last}):\n${mail}`);
      process.exit(1);
    }
    if (latest !== null && performance.now() - told > (process.stderr.isTTY ? 1_000 : 15_000)) {
      told = performance.now();
      const rate = Math.round((latest.mails * 1000) / (told - started));
      process.stderr.write(
        `${latest.mails} mails, ${rate} a second, pool ${latest.pool}, blocks ${latest.blocks}, heap ${Math.round(latest.memory / 2 ** 20)} MiB\n`,
      );
    }
  }, 1_000);
  worker.on('error', (error) => {
    console.error(`FAILED: ${error.stack ?? error}`);
    process.exit(1);
  });
  worker.on('message', ({ done, report }) => {
    latest = done ?? latest;
    if (report === undefined) return;
    clearInterval(watch);
    const { failure, ...figures } = report;
    console.log(
      JSON.stringify({ seed, ratePerSecond: Math.round(report.mails / report.seconds), ...figures }),
    );
    if (failure !== null) {
      console.error(`FAILED: ${failure.why} (seed ${seed})\n${failure.mail}`);
      process.exitCode = 1;
    }
  });
}

if (isMainThread) main();
else await work(workerData);
