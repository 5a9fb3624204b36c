/**
 * What a user may say about a Kafka source or sink, parsed once; the defaults live here and nowhere else.
 * Refuses unknown keys, empty lists and settings that Kafka itself would refuse.
 */
import { z } from 'zod';
import { byteSize, duration } from '../../units.ts';

const tls = z
  .strictObject({
    ca: z.string().optional().describe('PEM file of the authorities to trust; default those of Node.'),
    cert: z.string().optional().describe('PEM file of the client certificate.'),
    key: z.string().optional().describe('PEM file of the private key of `cert`.'),
    servername: z.string().optional().describe('Name to expect in the broker certificate; default its host.'),
    verify: z
      .boolean()
      .default(true)
      .describe('false accepts any broker certificate: for a laboratory, never for a network.'),
  })
  .refine((value) => (value.cert === undefined) === (value.key === undefined), {
    message: 'cert and key belong together',
  })
  .describe('TLS. Files are read again when they change.');

const sasl = z.strictObject({
  mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('SASL mechanism.'),
  username: z.string().min(1).describe('User name.'),
  password: z
    .string()
    .min(1)
    .meta({ description: 'Password; better from the environment than as text.', secret: true }),
});

const connection = {
  brokers: z
    .array(z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/, 'write host:port'))
    .min(1)
    .describe('Bootstrap brokers, host:port.'),
  clientId: z.string().min(1).optional().describe('Client id the broker logs; default `sluice-<site>`.'),
  tls: z
    .union([z.boolean(), tls])
    .default(false)
    .describe('TLS: true for the system authorities, or the files to use.'),
  sasl: sasl.optional().describe('SASL authentication.'),
  connectTimeout: duration.default(3_000).describe('How long one connection attempt may take.'),
  requestTimeout: duration.default(15_000).describe('How long the broker may take to answer a request.'),
};

/** The part of the options that reaching a broker needs, the same for both directions. */
export type ConnectionOptions = z.output<z.ZodObject<typeof connection>>;

export const sourceOptions = z
  .strictObject({
    ...connection,
    topics: z.array(z.string().min(1)).min(1).describe('Topics to read.'),
    group: z
      .string()
      .min(1)
      .optional()
      .describe('Consumer group; members of one group share the partitions. Default `sluice-<site>`.'),
    fromBeginning: z
      .boolean()
      .default(true)
      .describe('Where a new group starts: at the oldest kept message, or (false) at the newest.'),
    warmup: z
      .int()
      .min(0)
      .max(1_000_000)
      .optional()
      .describe(
        'Messages of a partition that are read back when it comes to this gateway, so that what is remembered of devices is as if it had always been here. Nothing is published for them. Default 1,000 where a task that reads this source has windows, else 0.',
      ),
    createTopics: z.boolean().default(false).describe('Create missing topics instead of waiting for them.'),
    sessionTimeout: duration
      .default(10_000)
      .describe(
        'How long the group waits for a silent member before its partitions go to others; brokers refuse less than 6s unless told otherwise.',
      ),
    rebalanceTimeout: duration
      .default(30_000)
      .describe('How long the group waits for its members to join again.'),
    commitInterval: duration.default(200).describe('Settled offsets are committed together, this often.'),
    fetchBytes: byteSize
      .default(8 * 1024 * 1024)
      .describe(
        'Most that one fetch from one broker asks for; never above a quarter of `maxInFlightBytes`. Compressed batches may unpack to four times as much.',
      ),
    fetchWait: duration.default(250).describe('How long the broker may hold a fetch while nothing arrives.'),
  })
  .refine((value) => value.sessionTimeout >= 1_000, {
    path: ['sessionTimeout'],
    message: 'must be at least 1s',
  })
  .refine((value) => value.fetchWait * 2 <= value.sessionTimeout, {
    path: ['fetchWait'],
    message: 'must be at most half of sessionTimeout, or heartbeats come late',
  });

export const sinkOptions = z.strictObject({
  ...connection,
  topics: z
    .record(z.string(), z.string().min(1))
    .default({})
    .describe(
      'Other topic names, by what is published: { verdict: "mail.verdicts" }; may name {site} and {task}. Default: sluice.{task}.<what>.',
    ),
  createTopics: z
    .boolean()
    .default(true)
    .describe('Create missing output topics with the partitions and replication the broker has as default.'),
  compression: z
    .enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
    .default('none')
    .describe('Compression of what is published.'),
  maxMessageBytes: byteSize
    .default(1_000_000)
    .describe('Larger messages are refused here; raise it with `max.message.bytes` of the topic.'),
  publishTimeout: duration
    .default(10_000)
    .describe('How long one publish may take, retries included, before it counts as failed.'),
});

export type KafkaSourceOptions = z.output<typeof sourceOptions>;
export type KafkaSinkOptions = z.output<typeof sinkOptions>;
