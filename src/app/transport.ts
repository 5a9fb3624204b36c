/**
 * From the configuration to open sources and sinks. The only place that knows both: the options of a
 * transport were parsed by its own schema, so the casts here restate what the schema has proved.
 */
import type { Config } from '../config.ts';
import type { Board, IoContext, Sink, Source, Transport } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { transports } from '../io/index.ts';
import { feedbackName } from '../io/mqtt/ids.ts';
import { openTask } from '../task/task.ts';
import { taskSpec } from './spec.ts';

type AnyTransport = Transport<unknown, unknown>;

const transportOf = (type: keyof typeof transports): AnyTransport =>
  transports[type] as unknown as AnyTransport;

function sinkSide(config: Config, name: string): NonNullable<AnyTransport['sink']> {
  const { sink } = transportOf(config.sinks[name].type);
  if (!sink)
    throw new SluiceError('CONFIG_INVALID', `sinks.${name}: ${config.sinks[name].type} cannot publish`);
  return sink;
}

export function openSource(config: Config, name: string, io: IoContext): Source {
  const options = config.sources[name];
  if (options.type !== 'kafka') return transportOf(options.type).source.open(name, options, io);
  const warmup = options.warmup ?? (isRemembered(config, name) ? WARMUP : 0);
  return transportOf(options.type).source.open(name, { ...options, warmup }, io);
}

/** Messages of a partition that are read back, where nothing is said. */
const WARMUP = 1_000;

/** Whether a task that reads this source remembers devices. */
const isRemembered = (config: Config, source: string): boolean =>
  Object.entries(config.tasks).some(
    ([name, { from }]) => from.includes(source) && openTask(taskSpec(config, name)).memory !== null,
  );

/** MQTT sinks also keep `sluice/<site>/state`: online at each connect, offline by the broker's last will. */
export function openSink(config: Config, name: string, io: IoContext): Sink {
  const options = config.sinks[name];
  if (options.type !== 'mqtt') return sinkSide(config, name).open(name, options, io);
  const topic = `sluice/${config.site}/state`;
  const state = (value: string) => ({
    topic,
    payload: JSON.stringify({ state: value, site: config.site }),
    retain: true,
  });
  const presence = { will: options.will ?? state('offline'), birth: options.birth ?? state('online') };
  return sinkSide(config, name).open(name, { ...options, ...presence }, io);
}

/** The topic of `what` of a task at this sink. */
export function topicOf(config: Config, sink: string, task: string, what: string): string {
  const options = config.sinks[sink];
  return sinkSide(config, sink).topic(config.site, task, what, 'topics' in options ? options.topics : {});
}

/** The feedback that comes back through this sink's broker. */
export function openFeedback(config: Config, sink: string, task: string, io: IoContext): Source {
  const topics = [topicOf(config, sink, task, 'feedback')];
  return sinkSide(config, sink).openFeedback(feedbackName(sink, task), config.sinks[sink], topics, io);
}

/**
 * The sink on whose broker models and labelled rows of a task pass: what `models.via` names, else the first sink of
 * the task. Null where it has none.
 */
export function boardSink(config: Config, task: string): string | null {
  const serving = Object.entries(config.sinks).filter(([, { tasks }]) => tasks?.includes(task) ?? true);
  return config.models?.via ?? serving[0]?.[0] ?? null;
}

/** What the broker of this sink keeps under names. */
export function openBoard(config: Config, sink: string, io: IoContext): Board {
  return sinkSide(config, sink).openBoard(sink, config.sinks[sink], io);
}

/** What every site of the fleet says of a task on the broker of this sink. */
export function openFleet(
  config: Config,
  sink: string,
  task: string,
  what: string,
  reader: string,
  io: IoContext,
): Source {
  return sinkSide(config, sink).openFleet(reader, config.sinks[sink], task, [what], io);
}

/** The site that a topic names, where the transport's naming holds one: a broker's rules guard topics, not payloads. */
export function siteOf(
  config: Config,
  sink: string,
  topic: string,
  task: string,
  what: string,
): string | undefined {
  const mark = '\u0000';
  const options = config.sinks[sink];
  const templates = 'topics' in options ? options.topics : {};
  const [before, after] = sinkSide(config, sink).topic(mark, task, what, templates).split(mark);
  if (after === undefined || !topic.startsWith(before) || !topic.endsWith(after)) return undefined;
  return topic.slice(before.length, topic.length - after.length);
}

/** Two sinks of one broker bring the same feedback; where this is equal, one of them is enough. */
export function feedbackPlace(config: Config, sink: string, task: string): string {
  const options = config.sinks[sink];
  const address = 'url' in options ? options.url : 'brokers' in options ? options.brokers : sink;
  return JSON.stringify([options.type, address, topicOf(config, sink, task, 'feedback')]);
}
