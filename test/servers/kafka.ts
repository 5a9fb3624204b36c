/**
 * Real Kafka brokers for tests: one KRaft node each, on free loopback ports, in a folder of its own under the
 * system's temporary folder. `sharedKafka` starts one for the whole run on first demand and every test file
 * reuses it; `startKafka` gives a test its own, which it may kill and start again on the same ports and data.
 * A broker never outlives the process that owns it, even if that is killed. Nothing here is a mock.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import kafkajs, { type Admin } from 'kafkajs';
import { inject } from 'vitest';
import { ensureKafka } from '#servers/kafka.mjs';
import './global.ts';

const READY_WITHIN_MS = 60_000;
const CLUSTER_ID = 'c2x1aWNlLXRlc3QtYnJva2Vy';

export interface KafkaServer {
  /** PLAINTEXT bootstrap addresses. */
  readonly brokers: readonly string[];
  /** SASL_PLAINTEXT (PLAIN and SCRAM-SHA-256) or SASL_SSL where TLS was asked for; none without `users`. */
  readonly saslBrokers: readonly string[];
  /** TLS with client certificates; none without `tls`. */
  readonly tlsBrokers: readonly string[];
  readonly pid: number;
  readonly folder: string;
  /** Power failure: SIGKILL, data stays. */
  kill(): Promise<void>;
  /** After `kill`: the same ports, the same data; resolves when it answers metadata requests. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

export interface KafkaServerOptions {
  /** Users of a SASL listener, by name. */
  readonly users?: Readonly<Record<string, string>>;
  /** PEM files of a TLS listener. */
  readonly tls?: { readonly keystore: string; readonly truststore: string };
  /** More lines for server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** Why there is no Kafka here, or null. A skip on a user's machine; in CI a failure, so it throws there. */
export async function whyNoKafka(): Promise<string | null> {
  const { missing } = await ensureKafka();
  if (missing && process.env.CI) throw new Error(`CI needs Kafka: ${missing}`);
  if (missing) console.error(`SKIPPED (no Kafka): ${missing}`);
  return missing ?? null;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function properties(folder: string, ports: readonly number[], options: KafkaServerOptions): string {
  const [plain, controller, sasl, tls] = ports;
  const listeners = [`PLAINTEXT://127.0.0.1:${plain}`, `CONTROLLER://127.0.0.1:${controller}`];
  if (options.users) listeners.push(`SASL://127.0.0.1:${sasl}`);
  if (options.tls) listeners.push(`TLS://127.0.0.1:${tls}`);
  const all: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: listeners.join(','),
    'advertised.listeners': listeners.filter((l) => !l.startsWith('CONTROLLER')).join(','),
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL`,
    'log.dirs': path.join(folder, 'data'),
    'auto.create.topics.enable': 'true',
    'num.partitions': '1',
    'default.replication.factor': '1',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '2',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'log.cleaner.dedupe.buffer.size': '2097152',
    ...saslProperties(options),
    ...tlsProperties(options),
    ...options.properties,
  };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

function saslProperties({ users }: KafkaServerOptions): Record<string, string> {
  if (!users) return {};
  const known = Object.entries(users).map(([name, password]) => `user_${name}="${password}"`);
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
    'listener.name.sasl.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${known.join(' ')};`,
    'listener.name.sasl.scram-sha-256.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  };
}

function tlsProperties({ tls }: KafkaServerOptions): Record<string, string> {
  if (!tls) return {};
  return {
    'listener.name.tls.ssl.keystore.type': 'PEM',
    'listener.name.tls.ssl.keystore.location': tls.keystore,
    'listener.name.tls.ssl.truststore.type': 'PEM',
    'listener.name.tls.ssl.truststore.location': tls.truststore,
    'listener.name.tls.ssl.client.auth': 'required',
  };
}

async function java(folder: string, args: readonly string[], owner: number | null): Promise<number> {
  const tools = await ensureKafka();
  if (tools.missing !== undefined) throw new Error(tools.missing);
  const log = await open(path.join(folder, 'broker.log'), 'a');
  // The small loop kills the broker when the owner is gone, however that ended; `exec` keeps the pid.
  const watch =
    owner === null
      ? ''
      : `(while kill -0 ${owner} && kill -0 $$; do sleep 1; done; kill -9 $$) 2>/dev/null & `;
  const child = spawn(
    'sh',
    [
      '-c',
      `${watch}exec "$0" "$@"`,
      tools.java,
      '-Xmx512m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      tools.classpath,
      ...args,
    ],
    { cwd: folder, stdio: ['ignore', log.fd, log.fd], detached: owner !== null },
  );
  await log.close();
  if (owner !== null) {
    child.unref();
    return child.pid as number;
  }
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`java exited with ${code}: ${await tail(folder)}`);
  return 0;
}

async function tail(folder: string): Promise<string> {
  const log = await readFile(path.join(folder, 'broker.log'), 'utf8').catch(() => '');
  return log.split('\n').slice(-12).join('\n');
}

/** Ready is when metadata names the broker: the port opens long before that. */
async function untilReady(folder: string, broker: string, pid: number): Promise<void> {
  const kafka = new kafkajs.Kafka({
    brokers: [broker],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: 1000,
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const admin = kafka.admin();
    try {
      await admin.connect();
      if ((await admin.describeCluster()).brokers.length > 0) return;
    } catch {
      if (!alive(pid)) throw new Error(`Kafka ended while starting: ${await tail(folder)}`);
      if (Date.now() > deadline) throw new Error(`Kafka is not ready: ${await tail(folder)}`);
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function killed(pid: number): Promise<void> {
  if (alive(pid)) process.kill(pid, 'SIGKILL');
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A broker of the test's own. `owner` is the process with which it ends; default this one. */
export async function startKafka(
  options: KafkaServerOptions = {},
  owner = process.pid,
): Promise<KafkaServer> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-kafka-'));
  const ports = await freePorts(4);
  const file = path.join(folder, 'server.properties');
  await writeFile(file, properties(folder, ports, options));
  const scram = Object.entries(options.users ?? {}).flatMap(([name, password]) => [
    '--add-scram',
    `SCRAM-SHA-256=[name=${name},password=${password}]`,
  ]);
  await java(folder, ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', file, ...scram], null);
  let pid = 0;
  const start = async () => {
    pid = await java(folder, ['kafka.Kafka', file], owner);
    await untilReady(folder, `127.0.0.1:${ports[0]}`, pid);
  };
  await start();
  return {
    brokers: [`127.0.0.1:${ports[0]}`],
    saslBrokers: options.users ? [`127.0.0.1:${ports[2]}`] : [],
    tlsBrokers: options.tls ? [`127.0.0.1:${ports[3]}`] : [],
    folder,
    get pid() {
      return pid;
    },
    start,
    kill: () => killed(pid),
    async stop() {
      await killed(pid);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * The broker all files of this run share; the first who asks starts it. Use topic and group names of
 * your own, and never stop it: the run's teardown does.
 */
export async function sharedKafka(): Promise<readonly string[]> {
  const run = inject('sluiceRun');
  const address = path.join(run.folder, 'kafka.json');
  const first = await mkdir(path.join(run.folder, 'kafka.lock')).then(
    () => true,
    () => false,
  );
  if (first) {
    const server = await startKafka({}, run.pid).catch(async (error) => {
      await writeFile(path.join(run.folder, 'kafka.failed'), String(error));
      throw error;
    });
    await writeFile(
      `${address}.part`,
      JSON.stringify({ brokers: server.brokers, pid: server.pid, folder: server.folder }),
    );
    await rename(`${address}.part`, address);
  }
  while (!existsSync(address)) {
    const failed = await readFile(path.join(run.folder, 'kafka.failed'), 'utf8').catch(() => null);
    if (failed) throw new Error(failed);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return JSON.parse(await readFile(address, 'utf8')).brokers;
}

/** Runs `work` with an admin client. */
export async function withAdmin<T>(
  brokers: readonly string[],
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const kafka = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
