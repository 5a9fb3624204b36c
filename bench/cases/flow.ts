/**
 * End to end over real brokers: a backlog of 300-byte readings waits, the process under test starts, and the rate is
 * taken from the first verdict to the last as a third party sees them. Beside it the bare loop, the same way.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import kafkajs from 'kafkajs';
import { connectAsync } from 'mqtt';
import type { BenchCase, BenchOptions, Measure, Prepared } from '../case.ts';
import { FIELDS, random, reading } from '../inputs.ts';

/** This file runs as dist/bench/cases/flow.js. */
const DIST = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = path.join(DIST, 'src', 'main.js');
const BARE = path.join(DIST, 'bench', 'peers', 'bare.js');
const MAX_IN_FLIGHT = 4_096;
/** To profile the process under test: BENCH_NODE_ARGS='--cpu-prof --cpu-prof-dir=/tmp/profiles'. */
const NODE_ARGS = process.env.BENCH_NODE_ARGS?.split(' ') ?? [];
/** Clock ticks of /proc/<pid>/stat a second on Linux. */
const TICKS = 100;

/** Counts what arrives on the output and knows when the first and the last came. */
class Counter {
  #want = 0;
  #count = 0;
  #bytes = 0;
  #first = 0;
  #done: ((seconds: number) => void) | null = null;

  expect(n: number): Promise<number> {
    this.#want = n;
    this.#count = 0;
    this.#bytes = 0;
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  add(bytes: number): void {
    this.#count += 1;
    this.#bytes += bytes;
    if (this.#count === 1) this.#first = performance.now();
    if (this.#count === this.#want) this.#done?.((performance.now() - this.#first) / 1000);
  }

  get meanBytes(): number {
    return Math.round(this.#bytes / Math.max(1, this.#count));
  }
}

async function cpuSecondsOf(child: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Starts the process, waits for all outputs, stops it. */
async function timed(args: readonly string[], counter: Counter, n: number): Promise<Measure> {
  const done = counter.expect(n);
  const child = spawn(process.execPath, [...NODE_ARGS, ...args], { stdio: ['ignore', 'inherit', 'pipe'] });
  let log = '';
  child.stderr!.on('data', (text) => {
    log = (log + text).slice(-4_000);
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const failed = exited.then(() => {
    throw new Error(`the process under test ended: ${log}`);
  });
  failed.catch(() => undefined);
  const seconds = await Promise.race([done, failed]);
  const cpuSeconds = await cpuSecondsOf(child);
  child.kill('SIGTERM');
  await exited;
  return { n: n - 1, seconds, cpuSeconds };
}

/** One broker with a way to lay up a backlog for a fresh consumer. */
interface Bench {
  readonly counter: Counter;
  /** Source and sink options for run `k`, after its backlog has been published. */
  lay(
    k: number,
    n: number,
  ): Promise<{ source: Record<string, unknown>; sink: Record<string, unknown>; output: string }>;
  close(): Promise<void>;
}

function flowCase(
  type: 'mqtt' | 'kafka',
  total: number,
  open: (options: BenchOptions) => Promise<Bench | string>,
): BenchCase {
  return {
    name: `${type}-flow`,
    what: `300-byte readings over ${type === 'mqtt' ? 'mosquitto QoS 1' : 'Kafka acks=all'}: consumed, decoded, scored, kept for feedback, verdict published, acknowledged`,
    peer: 'bare consume-and-republish loop: same client, acknowledgement, grouping and size of message',
    unit: 'events',
    floor: 0.6,
    async prepare(options): Promise<Prepared | string> {
      if (!existsSync(MAIN)) return 'dist/ is missing: build first';
      const bench = await open(options);
      if (typeof bench === 'string') return bench;
      const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-flow-'));
      const n = options.quick ? Math.min(total, 5_000) : total;
      let k = 0;
      let bytes = 600;
      return {
        async sluice() {
          const run = k++;
          const { source, sink } = await bench.lay(run, n);
          const config = path.join(folder, `${run}.yaml`);
          const task = {
            from: ['in'],
            event: 'sensor',
            fields: FIELDS,
            device: { pointer: '/device' },
            labels: ['ok', 'fault'],
            // The way to a verdict is measured, not the model: see the case readings-full.
            features: { preset: 'fast' },
          };
          const whole = {
            site: `bench${run}`,
            sources: { in: { type, ...source } },
            sinks: { out: { type, ...sink } },
            tasks: { machine: task },
            store: { path: path.join(folder, `state${run}`) },
            http: { listen: '127.0.0.1:0' },
            maxInFlight: MAX_IN_FLIGHT,
          };
          // JSON is YAML.
          await writeFile(config, JSON.stringify(whole));
          const measured = await timed([MAIN, 'run', '-c', config], bench.counter, n);
          bytes = bench.counter.meanBytes;
          await rm(path.join(folder, `state${run}`), { recursive: true, force: true });
          return measured;
        },
        async peer() {
          const { source, sink, output } = await bench.lay(k++, n);
          const { topics: _, ...bareSink } = sink;
          const bare = { type, source, sink: bareSink, topic: output, bytes, maxInFlight: MAX_IN_FLIGHT };
          return timed([BARE, JSON.stringify(bare)], bench.counter, n);
        },
        async close() {
          await bench.close();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

async function openMqtt(options: BenchOptions): Promise<Bench | string> {
  const { Mosquitto, mosquittoMissing } = await import('../../test/servers/mosquitto.ts');
  if (mosquittoMissing) return mosquittoMissing;
  const broker = await Mosquitto.start();
  const counter = new Counter();
  const reader = await connectAsync(broker.url, { protocolVersion: 5 });
  reader.on('message', (_, payload) => counter.add(payload.length));
  const output = 'out/verdict';
  await reader.subscribeAsync(output, { qos: 0 });
  return {
    counter,
    async lay(k, n) {
      const session = `bench-${k}`;
      const topic = `in/${k}`;
      const properties = { sessionExpiryInterval: 3_600 };
      const visitor = await connectAsync(broker.url, {
        protocolVersion: 5,
        clientId: session,
        clean: false,
        properties,
      });
      await visitor.subscribeAsync(topic, { qos: 1 });
      await visitor.endAsync();
      const sender = await connectAsync(broker.url, { protocolVersion: 5 });
      const rng = random(options.seed);
      for (let i = 0; i < n; i += 500) {
        const part = Array.from({ length: Math.min(500, n - i) }, (_, j) => reading(i + j, rng));
        await Promise.all(part.map((payload) => sender.publishAsync(topic, payload, { qos: 1 })));
      }
      await sender.endAsync();
      const source = { url: broker.url, topics: [topic], session };
      return { source, sink: { url: broker.url, session: `out-${k}`, topics: { verdict: output } }, output };
    },
    async close() {
      await reader.endAsync(true);
      await broker.stop();
    },
  };
}

async function openKafka(options: BenchOptions): Promise<Bench | string> {
  const { startKafka, whyNoKafka } = await import('../../test/servers/kafka.ts');
  const missing = await whyNoKafka();
  if (missing) return missing;
  const broker = await startKafka();
  const kafka = new kafkajs.Kafka({ brokers: [...broker.brokers], logLevel: kafkajs.logLevel.NOTHING });
  const counter = new Counter();
  const output = 'out.verdict';
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: output, numPartitions: 6 }] });
  const consumer = kafka.consumer({ groupId: 'counter' });
  await consumer.connect();
  await consumer.subscribe({ topic: output, fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      for (const { value } of batch.messages) counter.add(value?.length ?? 0);
    },
  });
  const producer = kafka.producer();
  await producer.connect();
  return {
    counter,
    async lay(k, n) {
      const topic = `in.${k}`;
      await admin.createTopics({ topics: [{ topic, numPartitions: 6 }] });
      const rng = random(options.seed);
      for (let i = 0; i < n; i += 1_000) {
        const messages = Array.from({ length: Math.min(1_000, n - i) }, (_, j) => ({
          key: `press-${(i + j) % 50}`,
          value: reading(i + j, rng),
        }));
        await producer.send({ topic, messages, acks: -1 });
      }
      const brokers = [...broker.brokers];
      const source = { brokers, topics: [topic], group: `bench-${k}` };
      return { source, sink: { brokers, topics: { verdict: output } }, output };
    },
    async close() {
      await Promise.all([consumer.disconnect(), producer.disconnect(), admin.disconnect()]);
      await broker.stop();
    },
  };
}

export const flowCases: readonly BenchCase[] = [
  flowCase('mqtt', 40_000, openMqtt),
  flowCase('kafka', 100_000, openKafka),
];
