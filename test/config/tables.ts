/** Small tables of parts for tests of the configuration itself, so that they do not hang on any real part. */
import { z } from 'zod';
import { buildSchema } from '../../src/config/schema.ts';
import { duration } from '../../src/units.ts';

const broker = {
  url: z.string().describe('address'),
  password: z.string().optional().meta({ secret: true }).describe('password'),
  wait: duration.prefault('10s').describe('how long'),
};

export const tables = {
  transports: {
    mqtt: {
      summary: 'an MQTT broker',
      source: {
        options: z.strictObject({
          ...broker,
          topics: z.array(z.string()).min(1),
          qos: z
            .union([z.literal(0), z.literal(1)], {
              error: (issue) => (issue.input === 2 ? 'QoS 2 is not offered: it loses' : 'must be 0 or 1'),
            })
            .default(1),
          session: z.string().optional(),
          clean: z.boolean().default(false),
        }),
      },
      sink: {
        options: z.strictObject({
          ...broker,
          qos: z.int().min(0).max(2).default(1),
          session: z.string().optional(),
        }),
      },
    },
    files: { summary: 'files', source: { options: z.strictObject({ path: z.string() }) }, sink: null },
  },
  decoders: {
    mime: { summary: 'mail', options: z.strictObject({ maxParts: z.int().min(1).default(1000) }) },
    json: {
      summary: 'readings',
      options: z.strictObject({
        fields: z.record(
          z.string(),
          z.strictObject({ pointer: z.string(), type: z.enum(['number', 'category']) }),
        ),
        device: z.string().optional(),
        maxBytes: z.int().default(1_048_576),
      }),
    },
  },
  featurizers: {
    email: {
      summary: 'a mail',
      options: z.strictObject({ bits: z.int().default(20), key: z.string().default('') }),
    },
    sensor: { summary: 'a reading', options: z.strictObject({ lags: z.int().default(0) }) },
  },
  modelKinds: {
    linear: { summary: 'a line', options: z.strictObject({ rate: z.number().gt(0).default(0.1) }) },
    forest: { summary: 'trees', options: z.strictObject({ trees: z.int().min(1).default(10) }) },
  },
  storeOptions: z.strictObject({
    path: z.string().default('./state'),
    dead: z.strictObject({ keep: z.enum(['whole', 'encrypted']).default('whole') }).optional(),
  }),
} as const;

export const schema = buildSchema(tables);

/** A good configuration; tests change one thing at a time. */
export const good = `site: north-gate
sources:
  mail: { type: mqtt, url: "mqtt://user:hunter22@broker", topics: [mail/in] }
  plant:
    type: mqtt
    url: mqtt://broker
    topics: ["plant/+"]
    qos: 1
tasks:
  spam:
    from: [mail]
    event: email
    labels: [ham, spam]
  machine:
    from: [plant]
    event: sensor
    fields:
      t: { pointer: /t, type: number }
    labels: [ok, fault]
    model: { kind: forest, trees: 3 }
sinks:
  core:
    type: mqtt
    url: mqtt://broker
`;
