/**
 * The options of MQTT sources and sinks: one truth for validation, schema and docs. Refuses QoS 2 in
 * sources, with the reason, and addresses it cannot speak to.
 */
import { z } from 'zod';
import { byteSize, duration } from '../../units.ts';
import { tlsOptions } from '../tls.ts';

const PROTOCOLS = ['mqtt:', 'mqtts:', 'ws:', 'wss:'];
/** MQTT 5, 2.1.4: the largest Remaining Length. */
const MAX_PACKET_BYTES = 268_435_455;

const address = z
  .string()
  .refine((text) => URL.canParse(text) && PROTOCOLS.includes(new URL(text).protocol), {
    message:
      'not an MQTT address; write mqtt://host:1883, mqtts://host:8883, ws://host/path or wss://host/path',
  });

/** MQTT 5, 4.7.1: `+` fills a level, `#` is a whole last level. */
const topicFilter = z
  .string()
  .min(1)
  .max(65_535)
  .refine(
    (filter) =>
      filter
        .split('/')
        .every(
          (level, i, all) =>
            level === '+' || (level === '#' && i === all.length - 1) || !/[+#\0]/.test(level),
        ),
    { message: 'not a topic filter: `+` must fill a level, `#` must be the whole last level' },
  )
  .refine((filter) => !filter.startsWith('$share/') || /^\$share\/[^/+#]+\/.+/.test(filter), {
    message: 'a shared subscription is written $share/GROUP/FILTER',
  });

/** A topic to publish to: no wildcards. */
const topicName = z
  .string()
  .min(1)
  .max(65_535)
  .refine((topic) => !/[+#\0]/.test(topic), { message: 'a topic to publish to has no wildcards' });

const connection = {
  url: z
    .union([address, z.array(address).min(1)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .describe('Address of the broker, or several that are tried in turn: mqtt, mqtts, ws, wss.'),
  version: z
    .union([z.literal(5), z.literal(4)])
    .default(5)
    .describe('Protocol version: 5, or 4 for MQTT 3.1.1.'),
  user: z.string().optional().describe('User name.'),
  password: z
    .string()
    .optional()
    .meta({ secret: true })
    .describe('Password; best taken from a variable of the environment.'),
  tls: tlsOptions.optional().describe('Certificates, for mqtts and wss.'),
  keepalive: duration
    .default(30_000)
    .describe(
      'A silent connection is checked this often; it is given up after one and a half times as long.',
    ),
  connectTimeout: duration.default(10_000).describe('Give up an attempt to connect after this time.'),
  reconnect: z
    .strictObject({
      min: duration.default(250).describe('Wait before the first new attempt.'),
      max: duration.default(30_000).describe('Longest wait between attempts.'),
    })
    .prefault({})
    .describe('Waits between attempts to connect: doubled each time, each shortened by a random part.'),
};

export const sourceOptions = z.strictObject({
  ...connection,
  topics: z
    .array(topicFilter)
    .min(1)
    .describe('Topic filters, wildcards allowed. $share/GROUP/FILTER divides the messages among gateways.'),
  qos: z
    .union([z.literal(0), z.literal(1)], {
      error: (issue) =>
        issue.input === 2
          ? 'QoS 2 is not offered: the client library confirms such a message before the work is done, so a crash would lose it; use 1 (events are identified, a redelivered one can be told)'
          : 'must be 0 or 1',
    })
    .default(1)
    .describe('Quality of service: 1 loses nothing, 0 may. 2 is refused, see the documentation of delivery.'),
  session: z
    .string()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      'Client id under which the broker keeps what arrives while the gateway is away. One per gateway, and stable. Default: sluice-<site>-<source>. Choose another when topics are taken away: the broker remembers subscriptions.',
    ),
  sessionExpiry: duration
    .default(7 * 86_400_000)
    .describe(
      'How long the broker keeps the session of a gateway that is away (MQTT 5; with 3.1.1 the broker decides). 0: it keeps nothing.',
    ),
  retryAfter: duration
    .default(1_000)
    .describe('Wait before a message that could not be finished is tried again; doubled up to 30 s.'),
});

const will = z.strictObject({
  topic: topicName.describe('Topic of the message.'),
  payload: z.string().describe('Its payload.'),
  retain: z.boolean().default(true).describe('Whether the broker keeps it for later subscribers.'),
});

export const sinkOptions = z.strictObject({
  ...connection,
  qos: z
    .union([z.literal(0), z.literal(1), z.literal(2)])
    .default(1)
    .describe('Quality of service of what is published. With 0 nobody confirms anything.'),
  session: z
    .string()
    .min(1)
    .max(65_000)
    .optional()
    .describe(
      'Client id; feedback is read as <session>-<sink>-<task>-feedback. Default: sluice-<site>-<sink>, with a random end where there is no will.',
    ),
  sessionExpiry: duration
    .default(7 * 86_400_000)
    .describe('How long the broker keeps feedback for a gateway that is away (MQTT 5).'),
  maxInFlight: z
    .int()
    .min(1)
    .max(65_535)
    .default(1_000)
    .describe('Messages sent and not yet confirmed, at most; fewer where the broker asks for it.'),
  maxMessageSize: byteSize
    .default(MAX_PACKET_BYTES)
    .describe('Larger messages are refused before they are sent (MESSAGE_TOO_LARGE).'),
  publishTimeout: duration
    .default(10_000)
    .describe('A publish fails when the broker has confirmed nothing for this long.'),
  will: will
    .optional()
    .describe('Message that the broker publishes when this gateway vanishes; also sent at a clean stop.'),
  birth: will.optional().describe('Message published after each connect: the counterpart of `will`.'),
  topics: z
    .record(z.string(), topicName)
    .default({})
    .describe(
      'Other topic names, by what is published: { verdict: "plant/{site}/{task}" }. Default: sluice/{site}/{task}/<what>.',
    ),
});

export type MqttSourceOptions = z.output<typeof sourceOptions>;
export type MqttSinkOptions = z.output<typeof sinkOptions>;
/** What both have: how to reach a broker. */
export type ConnectionOptions = Pick<MqttSourceOptions, keyof typeof connection>;
