/**
 * A gateway made of its parts: store, engine, sinks, tasks with their learners and lanes, sources, windows.
 * It opens in the order in which nothing can be lost (store first, feedback before the first verdict, sources
 * last) and stops in the reverse. It promises: what `stop` leaves unacknowledged comes again.
 */

import { CLOSE_MS, within } from '../clock.ts';
import type { Config } from '../config.ts';
import type {
  Bury,
  Clock,
  DeadLetter,
  Delivery,
  Engine,
  Health,
  IoContext,
  Outgoing,
  Sink,
  Source,
  Store,
} from '../contract.ts';
import { Envelope } from '../envelope.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import { Labels } from '../fleet/labels.ts';
import { Learner } from '../fleet/learner.ts';
import { type DeadOutput, makeBury, Replayer } from '../flow/dead.ts';
import { Lane } from '../flow/lane.ts';
import { Pipeline } from '../flow/pipeline.ts';
import { Publisher } from '../flow/publisher.ts';
import { Suspects } from '../flow/suspects.ts';
import { type TaskStatus, Windows } from '../flow/windows.ts';
import { openStore } from '../state.ts';
import { openTask, type Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { Background } from './background.ts';
import { taskSpec } from './spec.ts';
import { feedbackPlace, openFeedback, openSink, openSource, topicOf } from './transport.ts';

/** How long a stop waits for what is in flight before it leaves the rest to redelivery. */
const STOP_DEADLINE_MS = 10_000;
/** The first verdict waits this long for the feedback subscriptions, so that no early label is missed. */
const FEEDBACK_DEADLINE_MS = 3_000;
const OUTBOX_LOOK_MS = 50;
/** Stands for the task in a dead letter that is one of our own messages: a broker refused it for good. */
const REFUSED = '';

export interface GatewayContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** One task with everything that runs it. */
interface Unit {
  readonly task: Task;
  readonly learner: Learner;
  readonly labels: Labels;
  readonly lane: Lane;
}

interface Port {
  readonly name: string;
  readonly sink: Sink;
  readonly publisher: Publisher;
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
  readonly #ports = new Map<string, Port>();
  readonly #units = new Map<string, Unit>();
  readonly #sources: { readonly name: string; readonly source: Source }[] = [];
  readonly #feedback: Source[] = [];
  readonly #background: Background;
  readonly #startedAt: number;
  #pipeline: Pipeline | null = null;
  #suspects: Suspects | null = null;
  #windows: Windows | null = null;

  private constructor(config: Config, context: GatewayContext, store: Store) {
    this.#config = config;
    this.#context = context;
    this.#store = store;
    this.#startedAt = context.clock.now();
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
    for (const name of Object.keys(this.#config.sinks)) this.#openPort(name);
    const bury = this.#makeBury();
    for (const name of Object.keys(this.#config.tasks)) await this.#openUnit(name, bury);
    await this.#feedbackReady();
    const routes = Object.keys(this.#config.sources).flatMap((name) => {
      const lanes = this.#unitsOf(name).map((unit) => unit.lane);
      if (lanes.length === 0) return [];
      const source = openSource(this.#config, name, this.#io());
      this.#sources.push({ name, source });
      return [{ source, lanes }];
    });
    const { maxInFlight, maxInFlightBytes } = this.#config;
    const suspects = new Suspects(this.#config.store.path, maxInFlight, this.#context.clock.now);
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
    const waits = () => [...this.#ports.keys()].some((name) => this.#store.outbox.size(name).messages > 0);
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
    const ports = [...this.#ports.values()];
    const units = [...this.#units.values()];
    for (const { publisher } of ports) publisher.release();
    await step(() => this.#background.stop());
    await Promise.all(units.map((unit) => step(() => unit.labels.stop())));
    for (const unit of units) await step(() => unit.learner.close());
    await step(() => this.#windows?.publish());
    this.#windows = null;
    this.#units.clear();
    await Promise.all(ports.map((port) => step(() => port.publisher.stop())));
    await step(() => within(clock, CLOSE_MS, Promise.all(ports.map((port) => port.sink.close()))));
    this.#ports.clear();
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
      ...[...this.#ports.values()].map((port): [string, Health] => [`sink ${port.name}`, port.sink.health()]),
      ['store', this.#store.health()],
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
      outbox: Object.fromEntries(
        [...this.#ports.keys()].map((name) => [name, this.#store.outbox.size(name)]),
      ),
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

  /** The sinks of a task, in the order of the configuration. */
  #portsOf(task: string): Port[] {
    return [...this.#ports.values()].filter((port) => {
      const { tasks } = this.#config.sinks[port.name];
      return tasks === undefined || tasks.includes(task);
    });
  }

  #openPort(name: string): void {
    const sink = openSink(this.#config, name, this.#io());
    const { clock, telemetry } = this.#context;
    const refused = async (port: string, message: Outgoing, error: SluiceError) => {
      const { topic, key, headers = {} } = message;
      const payload = Buffer.from(message.payload);
      const receivedAt = clock.now();
      const original = { source: port, topic, key, payload, headers, at: receivedAt, position: '' };
      await this.#store.dead.put([
        { task: REFUSED, code: error.code, message: error.message, receivedAt, original },
      ]);
      const detail = { sink: port, reason: error.message };
      telemetry.count('dead_letters', { task: REFUSED, code: error.code }, 1, detail);
    };
    this.#ports.set(name, {
      name,
      sink,
      publisher: new Publisher(sink, { store: this.#store, clock, telemetry, refused }),
    });
  }

  #makeBury(): Bury {
    const outputs = new Map<string, DeadOutput[]>();
    for (const task of Object.keys(this.#config.tasks)) {
      const ports = this.#portsOf(task).map(({ name, publisher }) => {
        const { envelope, maxMessageBytes } = this.#config.sinks[name];
        return {
          publisher,
          topic: topicOf(this.#config, name, task, 'dead'),
          envelope: new Envelope(envelope, this.#config.site, task),
          maxMessageBytes,
        };
      });
      outputs.set(task, ports);
    }
    const withPayload = this.#config.store.dead.keep === 'whole';
    return makeBury({ store: this.#store, outputs, withPayload, telemetry: this.#context.telemetry });
  }

  async #openUnit(name: string, bury: Bury): Promise<void> {
    const { engine, clock, telemetry } = this.#context;
    const options = this.#config.tasks[name];
    const task = openTask(taskSpec(this.#config, name));
    const store = this.#store;
    const { learning, minLabels, minPerLabel } = options;
    const learner = await Learner.open({
      task,
      engine,
      store,
      clock,
      telemetry,
      learning,
      minLabels,
      minPerLabel,
    });
    const labels = new Labels({ task, store, learner, bury, clock, telemetry });
    await labels.rematch();
    const lane = new Lane({
      site: this.#config.site,
      task,
      scorer: learner,
      store,
      outputs: this.#portsOf(name).map((port) => {
        const { envelope, batch, publish } = this.#config.sinks[port.name];
        return {
          publisher: port.publisher,
          topic: topicOf(this.#config, port.name, name, 'verdict'),
          envelope,
          batch,
          policy: publish,
        };
      }),
      batchSize: this.#config.batch.size,
      bury,
      onJoined: (events) => labels.joined(events),
      clock,
      telemetry,
    });
    this.#units.set(name, { task, learner, labels, lane });
    const heard = new Set<string>();
    for (const port of options.feedback ?? this.#portsOf(name).map(({ name: sink }) => sink)) {
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
    const windows = new Windows(clock, telemetry);
    for (const [name, { task, lane, learner }] of this.#units) {
      const outputs = this.#portsOf(name).map(({ name: sink, publisher }) => ({
        publisher,
        topic: topicOf(this.#config, sink, name, 'metrics'),
        envelope: new Envelope(this.#config.sinks[sink].envelope, this.#config.site, name),
      }));
      windows.add({ task, lane, learner, outputs });
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
    this.#background.every(1_000, async () => this.#gauges());
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
    this.#pipeline?.tell();
    this.#suspects?.tick();
    for (const name of this.#ports.keys()) {
      const { messages, bytes } = this.#store.outbox.size(name);
      telemetry.set('outbox_messages', { sink: name }, messages);
      telemetry.set('outbox_bytes', { sink: name }, bytes);
    }
  }
}
