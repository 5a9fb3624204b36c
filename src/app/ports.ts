/**
 * The sinks of a gateway with their publishers, and what a task finds there: its topics, its dead letters, the board of
 * a broker. Opened before anything can be read, closed after everything was handed over.
 */
import type { Config } from '../config.ts';
import type { Board, Bury, Clock, IoContext, Outgoing, Sink, Store } from '../contract.ts';
import { Envelope } from '../envelope.ts';
import type { SluiceError } from '../errors.ts';
import { type DeadOutput, makeBury } from '../flow/dead.ts';
import { Publisher } from '../flow/publisher.ts';
import type { Telemetry } from '../telemetry.ts';
import { openBoard, openSink, topicOf } from './transport.ts';

/** Stands for the task in a dead letter that is one of our own messages: a broker refused it for good. */
export const REFUSED = '';

export interface Port {
  readonly name: string;
  readonly sink: Sink;
  readonly publisher: Publisher;
}

/** A topic of a task at one sink, and how to write for it. */
export interface Output {
  readonly publisher: Publisher;
  readonly topic: string;
  readonly envelope: Envelope;
}

export interface PortsContext {
  readonly config: Config;
  readonly store: Store;
  readonly io: IoContext;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export class Ports {
  readonly #context: PortsContext;
  readonly #ports = new Map<string, Port>();
  readonly #boards = new Map<string, Board>();

  constructor(context: PortsContext) {
    this.#context = context;
    for (const name of Object.keys(context.config.sinks)) this.#open(name);
  }

  get all(): readonly Port[] {
    return [...this.#ports.values()];
  }

  get boards(): readonly (readonly [name: string, board: Board])[] {
    return [...this.#boards];
  }

  get(name: string): Port | undefined {
    return this.#ports.get(name);
  }

  /** The sinks of a task, in the order of the configuration. */
  of(task: string): Port[] {
    return this.all.filter((port) => {
      const { tasks } = this.#context.config.sinks[port.name];
      return tasks === undefined || tasks.includes(task);
    });
  }

  /**
   * The sinks of a task that publish where a source reads: those on its own broker, else, since a broker has many
   * addresses, all that speak as it does. Only MQTT has senders that listen.
   */
  reaching(task: string, source: string): Port[] {
    const { sources, sinks } = this.#context.config;
    const from = Object.hasOwn(sources, source) ? sources[source] : null;
    const speaking = this.of(task).filter(({ name }) => sinks[name].type === 'mqtt');
    if (from?.type !== 'mqtt') return [];
    const near = speaking.filter(({ name }) => {
      const sink = sinks[name];
      return sink.type === 'mqtt' && String(sink.url) === String(from.url);
    });
    return near.length > 0 ? near : speaking;
  }

  /** Where `what` of a task goes. */
  outputs(task: string, what: string): Output[] {
    return this.of(task).map(({ name }) => this.output(name, task, what));
  }

  output(sink: string, task: string, what: string): Output {
    const { config } = this.#context;
    return {
      publisher: this.#ports.get(sink)!.publisher,
      topic: topicOf(config, sink, task, what),
      envelope: new Envelope(config.sinks[sink].envelope, config.site, task),
    };
  }

  /** What the broker of a sink keeps; one connection for all tasks. */
  board(sink: string): Board {
    const found = this.#boards.get(sink);
    if (found) return found;
    const board = openBoard(this.#context.config, sink, this.#context.io);
    this.#boards.set(sink, board);
    return board;
  }

  makeBury(): Bury {
    const { config, store, telemetry } = this.#context;
    const outputs = new Map<string, DeadOutput[]>();
    for (const task of Object.keys(config.tasks)) {
      const ports = this.of(task).map(({ name }) => ({
        ...this.output(name, task, 'dead'),
        maxMessageBytes: config.sinks[name].maxMessageBytes,
      }));
      outputs.set(task, ports);
    }
    return makeBury({ store, outputs, withPayload: config.store.dead.keep === 'whole', telemetry });
  }

  #open(name: string): void {
    const { config, store, io, clock, telemetry } = this.#context;
    const sink = openSink(config, name, io);
    const refused = async (port: string, message: Outgoing, error: SluiceError) => {
      const { topic, key, headers = {} } = message;
      const payload = Buffer.from(message.payload);
      const receivedAt = clock.now();
      const original = { source: port, topic, key, payload, headers, at: receivedAt, position: '' };
      await store.dead.put([
        { task: REFUSED, code: error.code, message: error.message, receivedAt, original },
      ]);
      const detail = { sink: port, reason: error.message };
      telemetry.count('dead_letters', { task: REFUSED, code: error.code }, 1, detail);
    };
    const publisher = new Publisher(sink, { store, clock, telemetry, refused });
    this.#ports.set(name, { name, sink, publisher });
  }
}
