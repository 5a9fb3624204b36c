/**
 * From the configuration to open sources and sinks. The only place that knows both: the options of a
 * transport were parsed by its own schema, so the casts here restate what the schema has proved.
 */
import type { Config } from '../config.ts';
import type { IoContext, Sink, Source, Transport } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { transports } from '../io/index.ts';
import { feedbackName } from '../io/mqtt/ids.ts';

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
  return transportOf(options.type).source.open(name, options, io);
}

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

/** Two sinks of one broker bring the same feedback; where this is equal, one of them is enough. */
export function feedbackPlace(config: Config, sink: string, task: string): string {
  const options = config.sinks[sink];
  const address = 'url' in options ? options.url : 'brokers' in options ? options.brokers : sink;
  return JSON.stringify([options.type, address, topicOf(config, sink, task, 'feedback')]);
}
