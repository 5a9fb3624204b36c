/**
 * The way labels take: the feedback topic of a task on the broker of one of its sinks, under a client id of our own, so
 * that a running gateway keeps its session; where no broker brings feedback, the gateway's own HTTP. Promises that what is
 * called sent was confirmed by the broker, or taken by the gateway.
 */
import { randomUUID } from 'node:crypto';
import { topicOf } from '../../app/transport.ts';
import { systemClock } from '../../clock.ts';
import type { Config } from '../../config.ts';
import type { IoContext, Sink } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { type KafkaSinkOptions, kafka } from '../../io/kafka.ts';
import { mqtt } from '../../io/mqtt.ts';
import { Telemetry } from '../../telemetry.ts';
import { openHttp } from './http.ts';

export interface Wire {
  /** The configured name of the sink. */
  readonly name: string;
  readonly topic: string;
  readonly sink: Pick<Sink, 'publish' | 'close'>;
  /** Who says that it has come. */
  readonly by: 'broker' | 'gateway';
}

/** The sink named, else the first on whose broker the gateway listens for this task. Throws USAGE. */
export function openWire(config: Config, task: string, wanted: string | undefined): Wire {
  const serving = Object.keys(config.sinks).filter((name) => {
    const { tasks } = config.sinks[name];
    return tasks === undefined || tasks.includes(task);
  });
  const heard = config.tasks[task].feedback ?? serving;
  const usable = heard.filter((name) => ['mqtt', 'kafka'].includes(config.sinks[name].type));
  if (wanted !== undefined && !usable.includes(wanted))
    throw new SluiceError(
      'USAGE',
      `--sink ${wanted}: feedback for ${task} is heard on ${usable.join(', ') || 'no broker'}`,
    );
  const name = wanted ?? usable[0];
  if (name === undefined) return openHttp(config, task);
  return { name, topic: topicOf(config, name, task, 'feedback'), sink: openOwn(config, name), by: 'broker' };
}

function openOwn(config: Config, name: string): Sink {
  const io: IoContext = {
    site: config.site,
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
    maxInFlight: 1_000,
    maxInFlightBytes: 16 * 1024 ** 2,
  };
  const options = config.sinks[name];
  if (options.type === 'mqtt') {
    // Neither the gateway's client id, nor its will and birth: they would say that the gateway came and went.
    const { will: _, birth: __, session: ___, qos, ...connection } = options;
    const session = `sluice-feedback-${randomUUID().slice(0, 8)}`;
    return mqtt.sink.open(name, { ...connection, session, qos: qos === 0 ? 1 : qos }, io);
  }
  // The type of the configuration does not tell Kafka sinks apart; the schema did.
  return kafka.sink.open(name, options as unknown as KafkaSinkOptions, io);
}
