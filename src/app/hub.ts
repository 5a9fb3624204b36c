/**
 * A hub made of its parts: registry, pool of labelled rows, trainer, the brokers of its tasks. It hears every gateway
 * of the fleet, decides once a second, and speaks by signed words. What it has not kept is not acknowledged; what it
 * cannot read is counted with its reason and stepped over: a gateway that speaks nonsense holds nobody up.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { CLOSE_MS, within } from '../clock.ts';
import type { Config } from '../config.ts';
import type {
  Alarm,
  Board,
  Clock,
  Delivery,
  Engine,
  Health,
  IoContext,
  Message,
  Order,
  Source,
  Trainer,
} from '../contract.ts';
import { readAlarm, readMetricsWindow } from '../envelope/fleet.ts';
import { readRows } from '../envelope/rows.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { HubTask } from '../fleet/hub/seams.ts';
import { Hub, type HubEvent, type HubStatus } from '../fleet/hub.ts';
import { openRegistry, type Registry } from '../fleet/registry.ts';
import { encodeBundle } from '../model/bundle.ts';
import { decodeActual, openDesired } from '../model/desired.ts';
import { formatPublicKey, type PrivateKey, readPrivateKey } from '../model/signing.ts';
import { openPool, type Pool } from '../state/pool.ts';
import { childTrainer } from '../task/experiments.ts';
import { openTask, type Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { Background } from './background.ts';
import { PooledRows } from './hub-pool.ts';
import { taskSpec } from './spec.ts';
import { boardSink, openBoard, openFleet, siteOf } from './transport.ts';
import { Word } from './word.ts';

const TICK_MS = 1_000;
const SWEEP_MS = 60_000;
const RETRY_MS = 1_000;
/** How often the hub looks whether its words lie on the broker, and how long it waits for one. */
const ASSURE_MS = 30_000;
const LOOK_MS = 5_000;
/** Labelled rows are kept so long, in so much space. */
const POOL_LIMITS = { bytes: 4 * 1024 ** 3, age: 90 * 86_400_000 };
/** Retired and rejected models of a task that stay in the registry. */
const KEPT_MODELS = 20;
/** Bytes of a state that are looked at. */
const MAX_STATE = 1_024;
const HEARD = ['rows', 'metrics', 'drift'] as const;
type Heard = (typeof HEARD)[number];

export interface HubContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Who wants to see what gateways tell. */
  readonly onWindow?: (
    site: string,
    task: string,
    from: number,
    to: number,
    numbers: Readonly<Record<string, number>>,
  ) => void;
  readonly onAlarm?: (site: string, alarm: Alarm) => void;
  /** Default: child processes of low priority. */
  readonly trainer?: Trainer;
}

export class HubProcess {
  readonly registry: Registry;
  readonly hub: Hub;
  readonly #config: Config;
  readonly #context: HubContext;
  readonly #pool: Pool;
  readonly #key: PrivateKey;
  readonly #tasks = new Map<string, Task>();
  readonly #boards = new Map<string, Board>();
  readonly #words = new Map<string, Word>();
  readonly #sources: Source[] = [];
  readonly #reading = new AbortController();
  readonly #background: Background;
  #readers: Promise<void>[] = [];

  private constructor(config: Config, context: HubContext, pool: Pool, registry: Registry) {
    this.#config = config;
    this.#context = context;
    this.#pool = pool;
    this.registry = registry;
    this.#background = new Background(context.clock, context.telemetry);
    this.#key = readPrivateKey(config.hub!.key);
    for (const what of registry.recovered) context.telemetry.count('registry_recovered', { what });
    this.hub = this.#makeHub(this.#key);
  }

  /** Throws STORE_LOCKED, REGISTRY_*, KEY_*, CONFIG_INVALID; a broker that is away is no error. */
  static async start(config: Config, context: HubContext): Promise<HubProcess> {
    const { store, registry: folder } = config.hub!;
    const { clock, telemetry } = context;
    const registry = await openRegistry(folder ?? path.join(store, 'registry'));
    try {
      const pool = await openPool({ path: path.join(store, 'rows'), limits: POOL_LIMITS, clock, telemetry });
      try {
        const process = new HubProcess(config, context, pool, registry);
        await process.#listen();
        return process;
      } catch (thrown) {
        await pool.close();
        throw thrown;
      }
    } catch (thrown) {
      await registry.close();
      throw thrown;
    }
  }

  status(): HubStatus {
    return this.hub.status();
  }

  onEvent(listener: (event: HubEvent) => void): () => void {
    return this.hub.onEvent(listener);
  }

  order(order: Order): ReturnType<Hub['order']> {
    return this.hub.order(order);
  }

  health(): { readonly ok: boolean; readonly reasons: string[] } {
    const parts: [string, Health][] = [
      ...this.#sources.map((source): [string, Health] => [`hub ${source.name}`, source.health()]),
      ...[...this.#boards].map(([name, board]): [string, Health] => [`hub models ${name}`, board.health()]),
      ['hub rows', this.#pool.health()],
    ];
    const reasons = parts.flatMap(([name, health]) => (health.ok ? [] : [`${name}: ${health.reason}`]));
    return { ok: reasons.length === 0, reasons };
  }

  async stop(): Promise<void> {
    const { clock } = this.#context;
    this.#reading.abort();
    await this.#background.stop();
    await Promise.all(this.#readers);
    await this.hub.close();
    const parts = [...this.#sources, ...this.#boards.values()];
    await within(clock, CLOSE_MS, Promise.all(parts.map((part) => part.close())));
    await this.#pool.close();
    await this.registry.close();
  }

  // ---- opening

  #io(): IoContext {
    const { site, maxInFlight, maxInFlightBytes } = this.#config;
    const { clock, telemetry } = this.#context;
    return { site, maxInFlight, maxInFlightBytes, clock, telemetry };
  }

  /** The sink on whose broker a task is spoken of. */
  #sinkOf(task: string): string {
    const sink = this.#config.hub?.via ?? boardSink(this.#config, task);
    if (sink !== null) return sink;
    throw new SluiceError('CONFIG_INVALID', `the hub needs a sink for task ${task}; name it in hub.via`);
  }

  #board(sink: string): Board {
    const found = this.#boards.get(sink);
    if (found) return found;
    const board = openBoard(this.#config, sink, this.#io());
    this.#boards.set(sink, board);
    return board;
  }

  #makeHub(key: PrivateKey): Hub {
    const { engine, clock, telemetry } = this.#context;
    const { registry } = this;
    const names = Object.keys(this.#config.tasks);
    for (const name of names) this.#tasks.set(name, openTask(taskSpec(this.#config, name)));
    for (const name of names)
      this.#words.set(name, new Word(name, this.#board(this.#sinkOf(name)), registry, key));
    const signer = formatPublicKey(key.public);
    return new Hub({
      group: this.#config.group,
      tasks: names.map((name) => this.#hubTask(name)),
      options: this.#config.hub!,
      clock,
      failed: (error, task) => telemetry.error(error, { task }),
      parts: {
        engine,
        registry,
        pool: new PooledRows({ pool: this.#pool, engine, telemetry, now: () => clock.now() }),
        trainer: this.#context.trainer ?? childTrainer(),
        state: {
          load: (name) => this.#pool.readState(name),
          save: (name, text) => this.#pool.saveState(name, text),
        },
        announce: (desired) => this.#words.get(desired.task)!.say(desired),
        sealing: { seal: (manifest, weights) => ({ bytes: encodeBundle(manifest, weights, key), signer }) },
      },
    });
  }

  #hubTask(name: string): HubTask {
    const task = this.#tasks.get(name)!;
    const { learning, model, features } = this.#config.tasks[name];
    const { key: _secret, ...featureOptions } = features.options as Record<string, unknown>;
    const { event, labels, positive, shape } = task;
    const first = { kind: model.kind, options: model.options, passes: 1, newest: 0 };
    const { features: version } = task;
    return {
      name,
      event,
      labels,
      positive,
      features: version,
      featureOptions,
      shape,
      learning,
      first,
      seed: this.#config.seed,
    };
  }

  async #listen(): Promise<void> {
    // A pool of its own reads what its broker still has from the start: the group is named for it.
    let reader = this.#pool.readState('reader');
    if (reader === null) {
      reader = randomUUID().slice(0, 8);
      await this.#pool.saveState('reader', reader);
    }
    for (const name of this.#tasks.keys()) {
      const sink = this.#sinkOf(name);
      const board = this.#board(sink);
      for (const what of HEARD) {
        const source = openFleet(this.#config, sink, name, what, `hub-${reader}-${what}`, this.#io());
        this.#sources.push(source);
        this.#readers.push(this.#read(source, sink, name, what));
      }
      board.watch(`${this.#config.group}/models/${name}/desired`, (_name, payload) =>
        this.#heardMyself(payload),
      );
      board.watch(`+/models/${name}/actual`, (_name, payload) => this.hub.actual(decodeActual(payload)));
    }
    for (const [sink, board] of this.#boards)
      if (this.#config.sinks[sink].type === 'mqtt')
        board.watch('+/state', (name, payload) => this.hub.presence(name.split('/')[0], saysOnline(payload)));
    await this.#pool.filled();
    this.#background.every(TICK_MS, () => this.hub.tick());
    this.#background.every(TICK_MS, () => this.#gauges());
    this.#background.every(SWEEP_MS, async () => {
      await this.#pool.sweep();
      for (const name of this.#tasks.keys()) await this.#prune(name);
    });
    this.#background.every(ASSURE_MS, () => this.#assureWords());
  }

  /**
   * A broker that keeps nothing over a restart (mosquitto by default) has lost what a gateway must find when it comes
   * back. So the hub looks whether its words lie there, and says those again that do not. Kafka keeps.
   */
  async #assureWords(): Promise<void> {
    const { clock } = this.#context;
    for (const word of this.hub.words()) {
      const sink = this.#sinkOf(word.task);
      const board = this.#board(sink);
      if (this.#config.sinks[sink].type !== 'mqtt' || !board.health().ok) continue;
      const seen = new AbortController();
      const looking = board.watch(`${word.group}/models/${word.task}/desired`, () => seen.abort());
      await clock.sleep(LOOK_MS, AbortSignal.any([seen.signal, this.#background.signal]));
      const isLost = !seen.signal.aborted && !this.#background.signal.aborted && board.health().ok;
      await looking.stop();
      if (isLost) await this.#words.get(word.task)!.repeat(word);
    }
  }

  /** A registry that was restored from a backup may lie behind what it had said: gateways would take that for a replay. */
  #heardMyself(payload: Uint8Array): void {
    const { desired } = openDesired(payload, [this.#key.public]);
    const { group, task, serial } = desired;
    if (serial <= this.registry.serial(group, task)) return;
    this.registry
      .sawSerial(group, task, serial)
      .catch((thrown) => this.#context.telemetry.error(asSluiceError(thrown), { task }));
  }

  /** What a rollback would go back to stays, however many were rejected since. */
  async #prune(task: string): Promise<void> {
    const previous = this.hub.status().tasks.find((one) => one.task === task)?.previous?.digest;
    const over = this.registry.list(task).filter(({ stage }) => stage === 'retired' || stage === 'rejected');
    const place = over.findIndex(({ digest }) => digest === previous);
    await this.registry.prune(task, Math.max(KEPT_MODELS, place + 1));
  }

  // ---- hearing

  async #read(source: Source, sink: string, task: string, what: Heard): Promise<void> {
    const { signal } = this.#reading;
    const { clock, telemetry } = this.#context;
    while (!signal.aborted) {
      try {
        for await (const deliveries of source.read(signal)) await this.#hear(deliveries, sink, task, what);
        return;
      } catch (thrown) {
        telemetry.error(asSluiceError(thrown), { source: source.name });
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }

  /** Acknowledged when it is kept; what cannot be read is told and acknowledged, or it would come for ever. */
  async #hear(deliveries: readonly Delivery[], sink: string, task: string, what: Heard): Promise<void> {
    const { clock, telemetry } = this.#context;
    /** What must be kept before anything of it is acknowledged. */
    const kept: Promise<void>[] = [];
    const rows = deliveries.flatMap(({ message }) => {
      try {
        return this.#understand(message, sink, task, what, kept);
      } catch (thrown) {
        const { code, message: reason } = asSluiceError(thrown, 'PAYLOAD_INVALID');
        telemetry.count('fleet_refused', { what, code }, 1, { reason, topic: message.topic });
        return [];
      }
    });
    try {
      await Promise.all([this.hub.rows(rows), ...kept]);
    } catch (thrown) {
      telemetry.error(asSluiceError(thrown, 'STORE_FAILED'), { task });
      await clock.sleep(RETRY_MS, this.#reading.signal);
      for (const delivery of deliveries) delivery.settle('retry');
      return;
    }
    for (const delivery of deliveries) delivery.settle('done');
  }

  /** Gives labelled rows; the rest is heard at once. */
  #understand({ topic, payload }: Message, sink: string, name: string, what: Heard, kept: Promise<void>[]) {
    const site = siteOf(this.#config, sink, topic, name, what);
    if (what === 'rows')
      return readRows(payload, { taskOf: (task) => (task === name ? this.#tasks.get(name)! : null), site });
    if (what === 'metrics') {
      const { site: from, task, ...window } = readMetricsWindow(payload, site);
      this.hub.window(from, task, window);
      this.#context.onWindow?.(from, task, window.from, window.to, window.numbers);
    } else {
      const { site: from, ...alarm } = readAlarm(payload, site);
      kept.push(this.hub.alarm(from, alarm));
      this.#context.onAlarm?.(from, alarm);
    }
    return [];
  }

  #gauges(): void {
    const { telemetry, clock } = this.#context;
    const { sites } = this.hub.status();
    for (const { site, lastSeen, windows } of sites) {
      telemetry.set('fleet_last_seen_seconds', { site }, Math.max(0, clock.now() - lastSeen) / 1_000);
      for (const [task, { numbers }] of Object.entries(windows)) {
        const accuracy = numbers['quality.window.accuracy'];
        if (accuracy !== undefined) telemetry.set('fleet_accuracy', { site, task }, accuracy);
        telemetry.set('fleet_rate', { site, task }, numbers.rate ?? 0);
      }
    }
  }
}

/** What the state topic of a gateway says: ours is JSON; a plain `online` is understood too. */
function saysOnline(payload: Uint8Array): boolean {
  const text = Buffer.from(payload.subarray(0, MAX_STATE)).toString('utf8');
  return text === 'online' || /"state"\s*:\s*"online"/.test(text);
}
