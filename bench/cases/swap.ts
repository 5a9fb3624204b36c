/**
 * What events feel of a model change: a gateway under all the load it takes, as a third party sees it. The 99th
 * percentile from sending an event to seeing its verdict, in the seconds in which a model is fetched, checked,
 * folded with the local labels and swapped, beside that of as many seconds in which nothing is deployed; same process,
 * same run, in turn. Shown as events a second of p99 (1 / p99), so that the ratio is quiet / changing turned round:
 * 0.5 means that p99 doubles.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { taskSpec } from '../../src/app/spec.ts';
import { parseConfig } from '../../src/config.ts';
import { RowArena } from '../../src/features/rows.ts';
import { formatPublicKey } from '../../src/model/signing.ts';
import { openTask, type Task } from '../../src/task/task.ts';
import type { Bus } from '../../test/e2e/bus.ts';
import { boards, engine, hubKey, type Made, MiniHub, sent } from '../../test/e2e/mini-hub.ts';
import type { BenchCase, Measure, Prepared } from '../case.ts';
import { message, random } from '../inputs.ts';

/** This file runs as dist/bench/cases/swap.js. */
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
/** Events without a verdict, at most: what the gateway holds, and as many again waiting for it. */
const OUTSTANDING = 2_000;
const QUIET_MS = 3_000;
/** The window goes on for so long after the new model runs. */
const AFTER_MS = 1_000;
const NODE_ARGS = process.env.BENCH_NODE_ARGS?.split(' ') ?? [];
const SITE = 'bench';
/** Words of the made mails; so many buckets of the model are in use. */
const WORDS = 60_000;
const MAIL_LABELS = 2_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What is sent, how a verdict finds its sender's number again, and the models that are deployed in turn. */
interface Load {
  readonly task: string;
  readonly section: (source: string) => string;
  /** The n-th event; `place` is its MQTT topic level and Kafka key. */
  event(n: number): { readonly payload: string; readonly place: string };
  numberOf(verdict: { readonly event: string; readonly device: string }): number;
  /** A label for a part of the events, null for the others. */
  labelOf(n: number): string | null;
  models(hub: MiniHub): Promise<Made[]>;
}

const sensor: Load = {
  task: 'machine',
  section: (source) => `
tasks:
  machine:
    from: [${source}]
    event: sensor
    fields: { temperature: { type: number }, vibration: { type: number }, unit: { type: category } }
    device: { pointer: /device }
    labels: [ok, fault]
    features: { preset: fast }
    learning: frozen
`,
  event: (n) => ({ payload: sent(n).payload, place: `press-${n % 8}` }),
  numberOf: ({ event }) => Number(event.split('/').at(-1)),
  labelOf: () => null,
  models: (hub) => Promise.all([1, 2, 3].map((version) => hub.make({ version, ballast: 500_000 }))),
};

/** About 2 KB; spam and ham share most of their words. */
function mailOf(n: number): string {
  const rng = random(n + 1);
  const most = n % 2 ? WORDS : WORDS / 2;
  const words = Array.from({ length: 250 }, () => `w${Math.floor(rng() ** 2 * most).toString(36)}`);
  const lines = Array.from({ length: 25 }, (_, i) => words.slice(i * 10, i * 10 + 10).join(' '));
  return `From: a${n % 500}@example.org\r\nTo: b@example.org\r\nSubject: ${words.slice(0, 5).join(' ')}\r\nMessage-ID: <${n}@bench>\r\n\r\n${lines.join('\r\n')}\r\n`;
}

const mail: Load = {
  task: 'spam',
  section: (source) => `
tasks:
  spam: { from: [${source}], event: email, labels: [ham, spam], learning: online, features: { bits: 20 } }
`,
  // Distinct mails cost the sender more than the gateway; the place tells equal ones apart.
  event: (n) => ({ payload: mails[n % mails.length], place: String(n) }),
  numberOf: ({ device }) => Number(device.split('/').at(-1)),
  labelOf: (n) => (n % 20 === 0 || n < MAIL_LABELS ? (n % 2 ? 'spam' : 'ham') : null),
  models: async (hub) => {
    const made: Made[] = [];
    for (const version of [1, 2, 3])
      made.push(await hub.make({ version, weights: await trained(hub.task, version) }));
    return made;
  },
};
const mails: string[] = [];

async function trained(task: Task, version: number): Promise<Uint8Array> {
  const model = task.newModel(engine);
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  const labels: number[] = [];
  for (let i = 0; i < 1_500; i++) {
    const n = version * 10_000 + i;
    for (const event of task.decode(message(Buffer.from(mailOf(n)), n))) task.fill(event, arena);
    labels.push(n % 2);
  }
  await model.learn(arena.view(), Int32Array.from(labels));
  const bytes = await model.save();
  model.close();
  return bytes;
}

/** Keeps the gateway as busy as it can be, and notes when each verdict came. */
class Pump {
  readonly latencies: number[] = [];
  readonly took: number[] = [];
  seen = 0;
  readonly #bus: Bus;
  readonly #load: Load;
  readonly #topics: { readonly input: (place: string) => string; readonly feedback: string };
  readonly #sentAt = new Map<number, number>();
  #n = 0;
  #going = true;

  constructor(bus: Bus, load: Load, topics: Pump['topics']) {
    this.#bus = bus;
    this.#load = load;
    this.#topics = topics;
  }

  get topics() {
    return this.#topics;
  }

  get lost(): number {
    return this.#sentAt.size;
  }

  heard(payload: Buffer): void {
    const { data } = JSON.parse(payload.toString());
    const n = this.#load.numberOf(data);
    const at = this.#sentAt.get(n);
    if (at === undefined) return;
    this.#sentAt.delete(n);
    this.latencies.push(performance.now() - at);
    this.took.push(data.tookMs);
    this.seen += 1;
    const label = this.#load.labelOf(n);
    if (label !== null)
      void this.#bus.publish(
        this.#topics.feedback,
        JSON.stringify({ event: data.event, label, origin: 'bench' }),
      );
    this.fill();
  }

  fill(): void {
    while (this.#going && this.#sentAt.size < OUTSTANDING) {
      const { payload, place } = this.#load.event(this.#n);
      this.#sentAt.set(this.#n, performance.now());
      this.#n += 1;
      void this.#bus.publish(this.#topics.input(place), payload, place);
    }
  }

  async stop(): Promise<void> {
    this.#going = false;
    for (let i = 0; i < 1_000 && this.#sentAt.size > 0; i++) await sleep(20);
  }

  /** Percentiles since the last call. */
  async window(work: () => Promise<void>): Promise<Measure> {
    this.latencies.length = 0;
    this.took.length = 0;
    const started = performance.now();
    await work();
    const seconds = (performance.now() - started) / 1_000;
    const p99 = percentile(this.latencies, 0.99);
    const more = {
      p50Ms: percentile(this.latencies, 0.5),
      p99Ms: p99,
      tookP99Ms: percentile(this.took, 0.99),
      rate: this.latencies.length / seconds,
    };
    return { n: 1, seconds: p99 / 1_000, more };
  }
}

const percentile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(values.length * q) - 1)] ??
  Number.NaN;

interface Place {
  readonly bus: Bus;
  readonly board: MiniHub['board'];
  /** YAML of source `in` and sink `out`. */
  readonly config: string;
  readonly topics: {
    readonly input: (place: string) => string;
    readonly verdict: string;
    readonly feedback: string;
  };
  close(): Promise<void>;
}

function swapCase(
  name: string,
  where: string,
  load: Load,
  open: (load: Load) => Promise<Place | string>,
): BenchCase {
  return {
    name,
    what: `1 / p99 from sending to verdict over ${where} under full load while a model is deployed (${load === mail ? 'online task, 2^20 buckets, local labels folded onto it' : 'frozen task'})`,
    peer: 'the same gateway in the seconds without a deployment',
    unit: '1/p99',
    floor: 0.5,
    async prepare(options): Promise<Prepared | string> {
      if (!existsSync(MAIN)) return 'dist/ is missing: build first';
      if (load === mail && mails.length === 0)
        for (let n = 0; n < (options.quick ? 500 : 4_000); n++) mails.push(mailOf(n));
      const place = await open(load);
      if (typeof place === 'string') return place;
      return start(place, load);
    },
  };
}

async function start(place: Place, load: Load): Promise<Prepared> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-swap-'));
  const [file, trust] = ['gateway.yaml', 'trusted'].map((name) => path.join(folder, name));
  const config = `site: ${SITE}\n${place.config}\nmodels: { trust: ${JSON.stringify(trust)} }\nstore: { path: ${JSON.stringify(path.join(folder, 'state'))} }\nhttp: { listen: "127.0.0.1:0" }\n${load.section('in')}`;
  await writeFile(trust, `${formatPublicKey(hubKey.public)}\n`);
  await writeFile(file, config);
  const hub = new MiniHub(place.board, openTask(taskSpec(parseConfig(config, file), load.task)));
  const models = await load.models(hub);
  const pump = new Pump(place.bus, load, place.topics);
  await place.bus.subscribe(place.topics.verdict, (payload) => pump.heard(payload));
  const gateway = new Child(file);
  await hub.untilActual(
    SITE,
    () => true,
    40_000,
    () => gateway.log,
  );
  pump.fill();
  while (pump.seen < 2 * OUTSTANDING) await sleep(50);
  let next = 0;
  const deploy = async () => {
    const made = models[next++ % models.length];
    await hub.deploy(made);
    await hub.untilActual(
      SITE,
      (a) => a.digest === made.ref.digest && a.state === 'running',
      60_000,
      () => gateway.log,
    );
    await sleep(AFTER_MS);
  };
  return {
    sluice: () => pump.window(deploy),
    peer: () => pump.window(() => sleep(QUIET_MS)),
    async close() {
      await pump.stop();
      if (pump.lost > 0) console.error(`swap: ${pump.lost} events have no verdict`);
      await gateway.stop();
      await hub.board.close();
      await place.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

class Child {
  log = '';
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;

  constructor(file: string) {
    this.#child = spawn(process.execPath, [...NODE_ARGS, MAIN, 'run', '-c', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr!.on('data', (text) => {
      this.log = (this.log + text).slice(-8_000);
    });
    this.#exited = new Promise((resolve) => this.#child.once('exit', () => resolve()));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exited;
  }
}

async function openMqtt(load: Load): Promise<Place | string> {
  const { Mosquitto, mosquittoMissing } = await import('../../test/servers/mosquitto.ts');
  if (mosquittoMissing) return mosquittoMissing;
  const { mqttBus } = await import('../../test/e2e/bus.ts');
  const broker = await Mosquitto.start();
  const bus = await mqttBus(broker.url);
  return {
    bus,
    board: boards.mqtt(broker.url),
    config: `sources: { in: { type: mqtt, url: "${broker.url}", topics: ["in/+"], session: bench-in } }\nsinks: { out: { type: mqtt, url: "${broker.url}" } }`,
    topics: {
      input: (place) => `in/${place}`,
      verdict: `sluice/${SITE}/${load.task}/verdict`,
      feedback: `sluice/${SITE}/${load.task}/feedback`,
    },
    async close() {
      await bus.close();
      await broker.stop();
    },
  };
}

async function openKafka(): Promise<Place | string> {
  const { startKafka, whyNoKafka } = await import('../../test/servers/kafka.ts');
  const missing = await whyNoKafka();
  if (missing) return missing;
  const { kafkaBus } = await import('../../test/e2e/bus.ts');
  const broker = await startKafka();
  const bus = await kafkaBus(broker.brokers, ['in', 'out.verdict', 'out.feedback']);
  const brokers = JSON.stringify(broker.brokers);
  return {
    bus,
    board: boards.kafka(broker.brokers, 'out.models'),
    config: `sources: { in: { type: kafka, brokers: ${brokers}, topics: [in], group: bench } }\nsinks: { out: { type: kafka, brokers: ${brokers}, topics: { verdict: out.verdict, feedback: out.feedback, models: out.models } } }`,
    topics: { input: () => 'in', verdict: 'out.verdict', feedback: 'out.feedback' },
    async close() {
      await bus.close();
      await broker.stop();
    },
  };
}

export const swapCases: readonly BenchCase[] = [
  swapCase('mqtt-swap', 'mosquitto', sensor, openMqtt),
  swapCase('mqtt-swap-mail', 'mosquitto', mail, openMqtt),
  swapCase('kafka-swap', 'Kafka', sensor, openKafka),
  swapCase('kafka-swap-mail', 'Kafka', mail, openKafka),
];
