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
import { FleetFigures } from './fleet-figures.ts';
import { PooledRows } from './hub-pool.ts';
import { hubTask } from './hub-task.ts';
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
    try {
      this.hub = this.#makeHub(this.#key);
    } catch (thrown) {
      for (const board of this.#boards.values()) void board.close().catch(() => undefined);
      throw thrown;
    }
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
        await process.#listen().catch(async (thrown) => {
          await process.#disconnect();
          throw thrown;
        });
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
    await this.#disconnect();
    // Whatever becomes of the rows: a registry that stays locked would keep the next hub from starting.
    await this.#pool.close().finally(() => this.registry.close());
  }

  async #disconnect(): Promise<void> {
    const { clock } = this.#context;
    this.#reading.abort();
    await this.#background.stop();
    await Promise.all(this.#readers);
    await this.hub.close();
    const parts = [...this.#sources, ...this.#boards.values()];
    await within(clock, CLOSE_MS, Promise.all(parts.map((part) => part.close())));
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
      tasks: names.map((name) => hubTask(this.#config, this.#tasks.get(name)!)),
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
      board.watch(`${this.#config.group}/models/${name}/desired`, (place, payload) =>
        this.#guard('desired', place, () => this.#heardMyself(payload)),
      );
      board.watch(`+/models/${name}/actual`, (place, payload) =>
        this.#guard('actual', place, () => this.#heardActual(place, payload)),
      );
    }
    for (const [sink, board] of this.#boards)
      if (this.#config.sinks[sink].type === 'mqtt')
        board.watch('+/state', (name, payload) => this.hub.presence(name.split('/')[0], saysOnline(payload)));
    await this.#pool.filled();
    this.#background.every(TICK_MS, () => this.hub.tick());
    const figures = new FleetFigures(this.#context.telemetry);
    this.#background.every(TICK_MS, async () => {
      const { sites, tasks } = this.hub.status();
      figures.tell(sites, this.#context.clock.now());
      figures.stages(tasks);
    });
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

  /** What lies on a board may be anybody's: nonsense is counted and passed over. */
  #guard(what: string, topic: string, hear: () => void): void {
    try {
      hear();
    } catch (thrown) {
      const { code, message: reason } = asSluiceError(thrown);
      this.#context.telemetry.count('fleet_refused', { what, code }, 1, { reason, topic });
    }
  }

  /** A broker's rules guard names, not payloads: what a site says of another is none of its business. */
  #heardActual(place: string, payload: Uint8Array): void {
    const actual = decodeActual(payload);
    if (`${actual.site}/models/${actual.task}/actual` !== place)
      throw new SluiceError('ACTUAL_INVALID', `${place} speaks for ${actual.site} and task ${actual.task}`);
    this.hub.actual(actual);
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

  /**
   * An alarm about a model that was replaced or taken back is answered already: a gateway may have been away, and a hub
   * that has lost its store hears the topic from its beginning.
   */
  #concerns({ task, model }: Alarm): boolean {
    const [base] = model.split('+');
    if (!/^[0-9a-f]{64}$/.test(base)) return true;
    const stage = this.registry.list(task).find(({ digest }) => digest === base)?.stage;
    return stage === 'live' || stage === 'canary' || stage === 'candidate';
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
      if (this.#concerns(alarm)) kept.push(this.hub.alarm(from, alarm));
      this.#context.onAlarm?.(from, alarm);
    }
    return [];
  }
}

/** What the state topic of a gateway says: ours is JSON; a plain `online` is understood too. */
function saysOnline(payload: Uint8Array): boolean {
  const text = Buffer.from(payload.subarray(0, MAX_STATE)).toString('utf8');
  return text === 'online' || /"state"\s*:\s*"online"/.test(text);
}
