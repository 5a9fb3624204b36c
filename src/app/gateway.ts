/**
 * A gateway made of its parts: store, engine, sinks, tasks with their learners and lanes, sources, windows.
 * It opens in the order in which nothing can be lost (store first, feedback before the first verdict, sources
 * last) and stops in the reverse. It promises: what `stop` leaves unacknowledged comes again.
 */

import { CLOSE_MS, within } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Clock, DeadLetter, Delivery, Engine, Health, IoContext, Source, Store } from '../contract.ts';
import { asSluiceError } from '../errors.ts';
import { Replayer } from '../flow/dead.ts';
import { Pipeline } from '../flow/pipeline.ts';
import { Suspects } from '../flow/suspects.ts';
import { type TaskStatus, type WindowEvents, Windows } from '../flow/windows.ts';
import { openStore } from '../state.ts';
import type { Telemetry } from '../telemetry.ts';
import { Background } from './background.ts';
import { Desk } from './desk.ts';
import { tellReadings } from './devices.ts';
import { Door } from './door.ts';
import { Ports, REFUSED } from './ports.ts';
import { feedbackPlace, openFeedback, openSource } from './transport.ts';
import { trustedKeys } from './trust.ts';
import { openUnit, type SeenVerdict, type Unit } from './unit.ts';
import { openWorkers, type Workers } from './workers.ts';

/** How long a stop waits for what is in flight before it leaves the rest to redelivery. */
const STOP_DEADLINE_MS = 10_000;
/** The first verdict waits this long for the feedback subscriptions, so that no early label is missed. */
const FEEDBACK_DEADLINE_MS = 3_000;
const OUTBOX_LOOK_MS = 50;

export interface GatewayContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Who wants to see windows and alarms as they are told. */
  readonly events?: GatewayEvents;
}

export interface GatewayEvents extends WindowEvents {
  /** The newest verdicts of a batch, a few. */
  readonly onVerdicts?: (task: string, verdicts: readonly SeenVerdict[]) => void;
}

export interface GatewayStatus {
  readonly site: string;
  readonly backend: string;
  readonly uptimeSeconds: number;
  readonly inFlight: { readonly events: number; readonly bytes: number };
  readonly outbox: Readonly<Record<string, { readonly messages: number; readonly bytes: number }>>;
  readonly tasks: Readonly<Record<string, TaskStatus>>;
}

export class Gateway {
  readonly #config: Config;
  readonly #context: GatewayContext;
  readonly #store: Store;
  readonly #ports: Ports;
  readonly #units = new Map<string, Unit>();
  /** What a person asks of it. */
  readonly desk: Desk;
  /** Where messages over HTTP come in. */
  readonly door: Door;
  readonly #sources: { readonly name: string; readonly source: Source }[] = [];
  readonly #feedback: Source[] = [];
  readonly #background: Background;
  readonly #startedAt: number;
  #pipeline: Pipeline | null = null;
  #suspects: Suspects | null = null;
  #workers: Workers | null = null;
  #windows: Windows | null = null;

  private constructor(config: Config, context: GatewayContext, store: Store) {
    this.#config = config;
    this.#context = context;
    this.#store = store;
    this.desk = new Desk(store, this.#units, () => this.#context.clock.now());
    this.door = new Door(config, () => (this.#pipeline ? this.#sources : []), store);
    this.#startedAt = context.clock.now();
    this.#ports = new Ports({ ...context, config, store, io: this.#io() });
    this.#background = new Background(context.clock, context.telemetry);
  }

  /** Opens everything and starts to read. Throws STORE_LOCKED, MODEL_*, CONFIG_INVALID; a broker that is away is no error. */
  static async start(config: Config, context: GatewayContext): Promise<Gateway> {
    const { clock, telemetry } = context;
    const { path, ...limits } = config.store;
    const store = await openStore({ path, limits, key: config.privacy.key, clock, telemetry });
    const gateway = new Gateway(config, context, store);
    try {
      await gateway.#open();
    } catch (thrown) {
      await gateway.stop().catch(() => undefined);
      throw thrown;
    }
    return gateway;
  }

  async #open(): Promise<void> {
    this.#workers = await openWorkers(this.#config, this.#context);
    const shared = {
      ...this.#context,
      config: this.#config,
      store: this.#store,
      ports: this.#ports,
      bury: this.#ports.makeBury(),
      workers: this.#workers,
      trusted: trustedKeys(this.#config),
      onVerdicts: this.#context.events?.onVerdicts,
    };
    for (const name of Object.keys(this.#config.tasks)) {
      const unit = await openUnit(name, shared);
      this.#units.set(name, unit);
      this.#followFeedback(unit);
    }
    await this.#feedbackReady();
    const routes = Object.keys(this.#config.sources).flatMap((name) => {
      const lanes = this.#unitsOf(name).map((unit) => unit.lane);
      if (lanes.length === 0) return [];
      const source = openSource(this.#config, name, this.#io());
      this.#sources.push({ name, source });
      return [{ source, lanes }];
    });
    const { maxInFlight, maxInFlightBytes } = this.#config;
    const suspects = new Suspects(this.#config.store.path, maxInFlight, () => this.#context.clock.now());
    this.#suspects = suspects;
    this.#pipeline = new Pipeline(routes, { ...this.#context, maxInFlight, maxInFlightBytes, suspects });
    this.#windows = this.#makeWindows();
    this.#pipeline.start();
    this.#startBackground();
  }

  /** Resolves when every source has ended (files) and its verdicts are out, or at `stop`. Brokers never end. */
  async finished(): Promise<void> {
    const { signal } = this.#background;
    await this.#pipeline?.finished();
    const waits = () => this.#ports.all.some(({ name }) => this.#store.outbox.size(name).messages > 0);
    while (!signal.aborted && waits()) await this.#context.clock.sleep(OUTBOX_LOOK_MS, signal);
  }

  /** Sources stop, what is in flight is finished, acknowledged and saved, then everything closes. Safe to call twice. */
  async stop(): Promise<{ readonly clean: boolean }> {
    const { clock, telemetry } = this.#context;
    // Every step is taken, whatever becomes of those before it: a store that fails must not keep its lock.
    let clean = true;
    const step = async (work: () => unknown) => {
      try {
        await work();
      } catch (thrown) {
        clean = false;
        telemetry.error(asSluiceError(thrown));
      }
    };
    await step(async () => {
      clean = (await this.#pipeline?.stop(STOP_DEADLINE_MS))?.clean ?? true;
    });
    this.#pipeline = null;
    await step(() => this.#workers?.pool.close());
    const ports = this.#ports.all;
    const units = [...this.#units.values()];
    for (const { publisher } of ports) publisher.release();
    await step(() => this.#background.stop());
    await Promise.all(units.map((unit) => step(() => unit.labels.stop())));
    await Promise.all(units.map((unit) => step(() => unit.fleet?.installer.stop())));
    for (const unit of units) await step(() => unit.learner.close());
    await Promise.all(units.map((unit) => step(() => unit.fleet?.feed.stop())));
    await step(() => this.#windows?.publish());
    this.#windows = null;
    for (const unit of units) tellReadings(unit, telemetry);
    const saved = units.flatMap(({ watch, anomalies, deciding, devices, senders }) => [
      watch.save(),
      anomalies?.save(),
      deciding?.save(),
      devices?.save(),
      senders?.save('all'),
    ]);
    await Promise.all(saved);
    this.#units.clear();
    await Promise.all(ports.map((port) => step(() => port.publisher.stop())));
    const boards = this.#ports.boards.map(([, board]) => board.close());
    const closed = Promise.all([...boards, ...ports.map((port) => port.sink.close())]);
    await step(() => within(clock, CLOSE_MS, closed));
    await step(() => this.#store.close());
    if (clean) this.#suspects?.close();
    this.#suspects = null;
    return { clean };
  }

  /** ok while every source, feedback source and sink is connected and consuming and the store writes. */
  health(): { readonly ok: boolean; readonly reasons: string[] } {
    const parts: [string, Health][] = [
      ...this.#sources.map(({ name, source }): [string, Health] => [`source ${name}`, source.health()]),
      ...this.#feedback.map((source): [string, Health] => [`feedback ${source.name}`, source.health()]),
      ...this.#ports.all.map((port): [string, Health] => [`sink ${port.name}`, port.sink.health()]),
      ...this.#ports.boards.map(([name, board]): [string, Health] => [`models ${name}`, board.health()]),
      ['store', this.#store.health()],
      ['workers', this.#workers?.pool.health() ?? { ok: true }],
    ];
    const reasons = parts.flatMap(([name, health]) => (health.ok ? [] : [`${name}: ${health.reason}`]));
    if (!this.#pipeline) reasons.push('not reading');
    return { ok: reasons.length === 0, reasons };
  }

  status(): GatewayStatus {
    const tasks = Object.fromEntries(
      [...this.#units.keys()].flatMap((name) => {
        const status = this.#windows?.status(name);
        return status ? [[name, status]] : [];
      }),
    );
    return {
      site: this.#config.site,
      backend: this.#context.engine.backend,
      uptimeSeconds: Math.round((this.#context.clock.now() - this.#startedAt) / 1000),
      inFlight: { events: this.#pipeline?.credit.events ?? 0, bytes: this.#pipeline?.credit.bytes ?? 0 },
      outbox: Object.fromEntries(this.#ports.all.map(({ name }) => [name, this.#store.outbox.size(name)])),
      tasks,
    };
  }

  /** Resolves when every label in the journal is learned. */
  async learned(): Promise<void> {
    await Promise.all([...this.#units.values()].map((unit) => unit.learner.settled()));
  }

  #io(): IoContext {
    const { site, maxInFlight, maxInFlightBytes } = this.#config;
    return {
      site,
      maxInFlight,
      maxInFlightBytes,
      clock: this.#context.clock,
      telemetry: this.#context.telemetry,
    };
  }

  #unitsOf(source: string): Unit[] {
    return [...this.#units.values()].filter((unit) =>
      this.#config.tasks[unit.task.name].from.includes(source),
    );
  }

  #followFeedback({ task: { name }, labels }: Unit): void {
    const heard = new Set<string>();
    const ports = this.#ports.of(name).map(({ name: sink }) => sink);
    for (const port of this.#config.tasks[name].feedback ?? ports) {
      const place = feedbackPlace(this.#config, port, name);
      if (heard.has(place)) continue;
      heard.add(place);
      const source = openFeedback(this.#config, port, name, this.#io());
      this.#feedback.push(source);
      labels.follow(source);
    }
  }

  async #feedbackReady(): Promise<void> {
    const { clock } = this.#context;
    const until = clock.now() + FEEDBACK_DEADLINE_MS;
    while (this.#feedback.some((source) => !source.health().ok) && clock.now() < until) await clock.sleep(20);
  }

  #makeWindows(): Windows {
    const { clock, telemetry } = this.#context;
    const windows = new Windows(clock, telemetry, this.#context.events);
    for (const [name, { task, lane, learner, watch }] of this.#units) {
      const [outputs, alarms] = ['metrics', 'drift'].map((what) => this.#ports.outputs(name, what));
      windows.add({ task, lane, learner, outputs, watch, alarms });
    }
    return windows;
  }

  #startBackground(): void {
    const { telemetry } = this.#context;
    const replayer = new Replayer(this.#store, telemetry, (letter, delivery) =>
      this.#replay(letter, delivery),
    );
    this.#background.every(this.#config.monitor.window, async () => this.#windows?.publish());
    this.#background.every(1_000, () => replayer.tick());
    this.#background.every(1_000, async () => {
      this.#gauges();
      for (const { lane, senders } of this.#units.values()) {
        lane.tick();
        await senders?.save('urgent');
      }
    });
    this.#background.every(60_000, async () => {
      for (const { watch, anomalies, deciding, devices, senders } of this.#units.values()) {
        await watch.save();
        await anomalies?.save();
        await deciding?.save();
        await devices?.save();
        await senders?.save('all');
      }
    });
    this.#background.every(10_000, async () => {
      for (const { labels } of this.#units.values()) await labels.tick();
    });
    this.#background.every(30_000, async () => {
      await this.#store.sweep();
      const expired = await this.#store.waiting.expire(
        this.#context.clock.now() - this.#config.store.waiting.age,
      );
      for (const [task, n] of expired) telemetry.count('feedback_received', { task, result: 'unmatched' }, n);
    });
  }

  /** The way it came: an event through its lane, feedback as feedback, what a sink's broker refused out by that sink. */
  async #replay({ task, code }: DeadLetter, delivery: Delivery): Promise<void> {
    const unit = this.#units.get(task);
    if (unit && this.#pipeline) {
      if (code.startsWith('FEEDBACK_')) return unit.labels.offer([delivery]);
      return this.#pipeline.inject(unit.lane, delivery);
    }
    const { source, topic, key, payload, headers } = delivery.message;
    const port = task === REFUSED ? this.#ports.get(source) : undefined;
    const sent = port?.publisher.submit([{ topic, key, payload, headers }]) ?? Promise.reject();
    await sent.then(
      () => delivery.settle('done'),
      () => delivery.settle('retry'),
    );
  }

  #gauges(): void {
    const { telemetry } = this.#context;
    telemetry.set('ready', {}, this.health().ok ? 1 : 0);
    for (const unit of this.#units.values()) {
      unit.deciding?.tell();
      tellReadings(unit, telemetry);
    }
    this.#pipeline?.tell();
    this.#suspects?.tick();
    for (const { name } of this.#ports.all) {
      const { messages, bytes } = this.#store.outbox.size(name);
      telemetry.set('outbox_messages', { sink: name }, messages);
      telemetry.set('outbox_bytes', { sink: name }, bytes);
    }
  }
}
