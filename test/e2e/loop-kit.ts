/**
 * A fleet on a real broker for tests of the closed loop: gateways and a hub as processes of their own (the built
 * `sluice run`), one key, one folder. What the hub decided is read from its audit log, as an operator would; what
 * runs is read from what the gateways say on the broker. Nothing here reaches into a process.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { visitRegistry } from '../../src/fleet/registry.ts';
import { startBroker } from '../../src/io/broker.ts';
import { formatPublicKey, newKey, writePrivateKey } from '../../src/model/signing.ts';
import { startKafka } from '../servers/kafka.ts';
import { Mosquitto } from '../servers/mosquitto.ts';
import { type Bus, kafkaBus, mqttBus } from './bus.ts';
import { type GatewayProcess, makeGateway } from './gateway.ts';
import { until } from './scale.ts';

/** A broker as gateways, hub and users reach it. */
export interface LoopBroker {
  readonly kind: 'mosquitto' | 'kafka' | 'embedded';
  /** `host:port`, or a URL for MQTT. */
  readonly address: string;
  /** YAML of a source on one topic, and of a sink. */
  source(topic: string): string;
  readonly sink: string;
  /** The topic of `what` of a task of a site. */
  topic(site: string, task: string, what: string): string;
  bus(topics: readonly string[]): Promise<Bus>;
  /** It is killed and started again, and has lost everything that it kept. Only where it can: mosquitto. */
  lose(): Promise<void>;
  stop(): Promise<void>;
}

const cannotLose = () => Promise.reject(new Error('this broker is not made to lose anything'));

const mqttTopic = (site: string, task: string, what: string) => `sluice/${site}/${task}/${what}`;

export async function openLoopBroker(kind: LoopBroker['kind']): Promise<LoopBroker> {
  if (kind === 'kafka') {
    const server = await startKafka();
    const brokers = `brokers: ["${server.brokers[0]}"]`;
    return {
      kind,
      address: server.brokers[0],
      source: (topic) => `{ type: kafka, ${brokers}, topics: ["${topic}"] }`,
      sink: `{ type: kafka, ${brokers} }`,
      topic: (_site, task, what) => `sluice.${task}.${what}`,
      bus: (topics) => kafkaBus(server.brokers, topics, 1),
      lose: cannotLose,
      stop: () => server.stop(),
    };
  }
  const embedded = kind === 'embedded';
  const server = embedded ? await startBroker() : await Mosquitto.start();
  const version = embedded ? ', version: 4' : '';
  return {
    kind,
    address: server.url,
    source: (topic) => `{ type: mqtt, url: "${server.url}"${version}, topics: ["${topic}"] }`,
    sink: `{ type: mqtt, url: "${server.url}"${version} }`,
    topic: mqttTopic,
    bus: () => mqttBus(server.url, embedded ? 4 : 5),
    lose: async () => {
      if (!(server instanceof Mosquitto)) return cannotLose();
      await server.kill('SIGKILL');
      await server.start();
    },
    stop: () => ('close' in server ? server.close() : server.stop()),
  };
}

export interface FleetPlan {
  readonly broker: LoopBroker;
  readonly task: string;
  /** YAML of the task without `from`, indented by four. */
  readonly taskYaml: string;
  /** By site the topic that it reads. */
  readonly sites: Readonly<Record<string, string>>;
  /** YAML of the hub's decisions, unindented; null: every gateway stands alone. */
  readonly hub: string | null;
  /** Further top-level lines of every configuration. */
  readonly more?: string;
}

export interface AuditLine {
  readonly at: number;
  readonly what: string;
  readonly digest: string;
  readonly reason: string;
}

/** What a gateway says that it runs. */
export interface Running {
  readonly site: string;
  readonly digest: string | null;
  readonly companion: string | null;
  readonly serial: number;
  readonly labels: number;
  readonly state: string;
}

export class LoopFleet {
  readonly gateways: ReadonlyMap<string, GatewayProcess>;
  readonly hub: GatewayProcess | null;
  readonly folder: string;

  private constructor(
    folder: string,
    gateways: ReadonlyMap<string, GatewayProcess>,
    hub: GatewayProcess | null,
  ) {
    this.folder = folder;
    this.gateways = gateways;
    this.hub = hub;
  }

  static async make({ broker, task, taskYaml, sites, hub, more = '' }: FleetPlan): Promise<LoopFleet> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-loop-'));
    const key = newKey('loop test');
    writePrivateKey(path.join(folder, 'hub.key'), key);
    const trusted = path.join(folder, 'trusted');
    await writeFile(trusted, `${formatPublicKey(key.public)}\n`);
    const sinks = `sinks:\n  out: ${broker.sink}\n`;
    const models = hub === null ? '' : `models: { trust: ${JSON.stringify(trusted)} }\n`;
    const gateways = new Map<string, GatewayProcess>();
    for (const [site, topic] of Object.entries(sites))
      gateways.set(
        site,
        await makeGateway(
          `site: ${site}\nsources:\n  in: ${broker.source(topic)}\n${sinks}${models}tasks:\n  ${task}:\n    from: [in]\n${taskYaml}\n${more}`,
        ),
      );
    const places = `  store: ${JSON.stringify(path.join(folder, 'hub'))}\n  key: ${JSON.stringify(path.join(folder, 'hub.key'))}\n`;
    const process =
      hub === null
        ? null
        : await makeGateway(
            `site: hub\n${sinks}tasks:\n  ${task}:\n${taskYaml}\nhub:\n${places}${hub.trim().replace(/^/gm, '  ')}\n${more}`,
          );
    return new LoopFleet(folder, gateways, process);
  }

  /** The hub first: it hears what its gateways say from the beginning. */
  async start(): Promise<void> {
    await this.hub?.start();
    await Promise.all([...this.gateways.values()].map((gateway) => gateway.start()));
  }

  get hubStore(): string {
    return path.join(this.folder, 'hub');
  }

  /** Everything the hub has decided so far, oldest first; lines that are being written are left out. */
  async audit(): Promise<AuditLine[]> {
    const file = path.join(this.hubStore, 'registry', 'audit.jsonl');
    if (!existsSync(file)) return [];
    const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as AuditLine);
  }

  async audited(what: string): Promise<AuditLine[]> {
    return (await this.audit()).filter((line) => line.what === what);
  }

  /** Whether the hub is making a candidate now. */
  async training(): Promise<boolean> {
    const count = async (what: string) => (await this.audited(what)).length;
    const begun = (await count('training')) - (await count('trainingFailed'));
    if (begun === 0) return false;
    const registry = await visitRegistry(path.join(this.hubStore, 'registry'));
    return registry.list().length < begun;
  }

  async bundle(digest: string): Promise<Buffer> {
    return readFile(path.join(this.hubStore, 'registry', 'objects', digest));
  }

  /** Bytes of each bundle in the registry. */
  async bundleSizes(): Promise<number[]> {
    const folder = path.join(this.hubStore, 'registry', 'objects');
    const names = existsSync(folder) ? await readdir(folder) : [];
    return Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).size));
  }

  async remove(): Promise<void> {
    await Promise.all(
      [...this.gateways.values(), ...(this.hub ? [this.hub] : [])].map((one) => one.remove()),
    );
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Follows what gateways say that they run, and the hub's word. */
export class LoopWatch {
  readonly running = new Map<string, Running>();
  /** Serials of the hub's words in the order in which the broker gave them. */
  readonly serials: number[] = [];
  readonly words = new Map<number, string>();
  /** Serials that were given to two different words. */
  readonly clashes: number[] = [];
  /** What the last word says that all run. */
  newest: string | null = null;

  static async on(bus: Bus, broker: LoopBroker, task: string, sites: readonly string[]): Promise<LoopWatch> {
    const watch = new LoopWatch();
    const take = (payload: Buffer) => watch.#take(payload);
    if (broker.kind === 'kafka') await bus.subscribe(`sluice.${task}.models`, take);
    else {
      for (const site of sites) await bus.subscribe(`sluice/${site}/models/${task}/actual`, take);
      await bus.subscribe(`sluice/default/models/${task}/desired`, take);
    }
    return watch;
  }

  #take(payload: Buffer): void {
    // Pieces of bundles pass here too, on Kafka.
    if (payload[0] !== 0x7b || payload.length > 100_000) return;
    let said: Record<string, unknown>;
    try {
      said = JSON.parse(payload.toString()) as Record<string, unknown>;
    } catch {
      return;
    }
    if ('signature' in said) {
      const { key: _, signature: __, ...word } = said;
      this.serials.push(said.serial as number);
      const text = JSON.stringify(word);
      const known = this.words.get(said.serial as number);
      if (known !== undefined && known !== text) this.clashes.push(said.serial as number);
      this.words.set(said.serial as number, text);
      this.newest = said.digest as string | null;
    } else if ('site' in said) this.running.set(said.site as string, said as unknown as Running);
  }

  /** Resolves when all of them run this base, or any but none. */
  async allRun(sites: readonly string[], digest: string | null, ms: number): Promise<void> {
    await until(
      () =>
        sites.every((site) => {
          const is = this.running.get(site)?.digest ?? null;
          return digest === null ? is !== null && is === this.running.get(sites[0])?.digest : is === digest;
        }),
      ms,
      () => `all to run ${digest ?? 'the same base'}: ${JSON.stringify([...this.running.values()])}`,
    );
  }
}
