/** The sections of a scenario that say what the devices and mailboxes are, and what goes wrong with them. */
import { z } from 'zod';
import { usualFaults, usualLengths } from '../faults.ts';
import { delayShapes, usualLabels } from '../labels.ts';
import { steadyNetwork } from '../link.ts';
import { machineTypes } from '../world.ts';
import { name, share, span } from './words.ts';

export const labelKeys = {
  delay: span.describe('Mean time from a verdict to its label.'),
  shape: z
    .enum(delayShapes)
    .describe(
      'How the delays lie around their mean: uniform (half to one and a half times), fixed, exponential, lognormal (a long tail).',
    ),
  fraction: share.describe('Share of the events that get a label; the others never do.'),
  wrong: share.describe('Share of the labels that are wrong.'),
};
const labels = {
  delay: labelKeys.delay.default(usualLabels.delay),
  shape: labelKeys.shape.default('uniform'),
  fraction: labelKeys.fraction.default(usualLabels.fraction),
  wrong: labelKeys.wrong.default(usualLabels.wrong),
};
const hostile = share
  .default(0)
  .describe('Share of the devices whose labels are always the opposite of the truth.');
const FEEDBACK = 'Feedback: late, missing and wrong labels.';

const RATE = 'write a number of messages a second, 0 to 1000000, or max';
const perSecond = z
  .union([z.literal('max'), z.number().min(0).max(1_000_000)], { error: RATE })
  .transform((rate) => (rate === 'max' ? Number.POSITIVE_INFINITY : rate));

const types = machineTypes.map((type) => type.name) as [string, ...string[]];

export const readings = z
  .strictObject({
    task: name.default('machine').describe('Task of the gateways that judges readings.'),
    devices: z.int().min(1).max(100_000).default(40).describe('Machines, all sites together.'),
    types: z.array(z.enum(types)).min(1).default(types).describe('Types of machines, in turn.'),
    rate: perSecond
      .default(200)
      .describe('Readings a second, all sites together; 0: none; max: as fast as the broker takes them.'),
    classes: z
      .union([z.literal(2), z.literal(4)])
      .default(2)
      .describe('2: labels ok and fault; 4: ok, bearing, leak, overheat.'),
    format: z.enum(['json', 'cloudevents']).default('json').describe('Flat JSON, or CloudEvents around it.'),
    labels: z
      .strictObject({ ...labels, hostile })
      .prefault({})
      .describe(FEEDBACK),
  })
  .prefault({})
  .describe('Machines and their sensors.');

export const mail = z
  .strictObject({
    task: name.default('spam').describe('Task of the gateways that judges mail.'),
    rate: perSecond.default(0).describe('Mails a second, all sites together; 0: none.'),
    spam: share.default(0.4).describe('Share of spam in generated mail.'),
    garbage: share.default(0.000_5).describe('Share of generated payloads that are no mail at all.'),
    replay: z
      .array(z.string().min(1))
      .default([])
      .describe('Real mail instead, once and in order: index.tsv, mbox, maildir, folder. At the first site.'),
    labels: z.strictObject(labels).prefault({}).describe(FEEDBACK),
  })
  .prefault({})
  .describe('Mail, generated or replayed.');

/** Keys of `faults`: what happens to a reading before it is sent. */
const faultTexts = {
  missing: 'one value is missing',
  wrongType: 'one value has another type, such as "12.5 bar"',
  outOfRange: 'one value cannot be, such as -9999',
  spike: 'one value is far off, within the range of its sensor',
  stuck: 'an episode begins in which one sensor repeats its last value',
  offset: 'an episode begins in which one sensor is off by five times its noise',
  dropout: 'an episode begins in which one sensor says nothing',
  invalid: 'the payload is no JSON',
  truncated: 'the payload is cut off',
  empty: 'the payload is empty',
} as const;
export type SensorFault = keyof typeof faultTexts;
export const sensorFaults = Object.keys(faultTexts) as SensorFault[];

const rates = Object.fromEntries(
  sensorFaults.map((fault) => [
    fault,
    share.default(usualFaults[fault]).describe(`Probability, for each reading, that ${faultTexts[fault]}.`),
  ]),
) as Record<SensorFault, z.ZodDefault<typeof share>>;

const readingsLong = (fault: keyof typeof usualLengths) =>
  z
    .int()
    .min(1)
    .max(1_000_000)
    .default(usualLengths[fault])
    .describe(`Readings that a ${fault} episode lasts.`);

export const faults = z
  .strictObject({
    ...rates,
    episodes: z
      .strictObject({
        stuck: readingsLong('stuck'),
        offset: readingsLong('offset'),
        dropout: readingsLong('dropout'),
      })
      .prefault({})
      .describe('How long faults of a sensor last.'),
  })
  .prefault({})
  .describe('Faults of sensors and firmware. A faulty reading keeps its truth: a classifier has to cope.');

const failing = (what: string) => ({
  every: span.default(0).describe(`Mean time from one ${what} of a device to the next; 0: never.`),
  for: span.default(10_000).describe('Mean length.'),
});

export const network = z
  .strictObject({
    offline: z
      .strictObject(failing('loss of connection'))
      .prefault({})
      .describe('Losses of connection; what is measured meanwhile waits in the device.'),
    reboot: z
      .strictObject({
        ...failing('restart'),
        keeps: z.boolean().default(true).describe('Whether what waits in the device survives a restart.'),
      })
      .prefault({})
      .describe('Restarts of a device, during which nothing is measured.'),
    buffer: z
      .int()
      .min(0)
      .max(100_000)
      .default(steadyNetwork.buffer)
      .describe(
        'Readings that wait in a device, at most; in all devices of a site together at most 250,000.',
      ),
    whenFull: z
      .enum(['drop-oldest', 'drop-newest'])
      .default('drop-oldest')
      .describe('What a device drops, and counts, when its buffer is full.'),
    burst: z
      .int()
      .min(1)
      .max(100_000)
      .default(steadyNetwork.burst)
      .describe(
        'Readings that leave the buffer at a turn of the device, in order, once it is connected again.',
      ),
    duplicate: share.default(usualFaults.duplicate).describe('Probability that a reading is sent twice.'),
    reorder: share
      .default(usualFaults.reorder)
      .describe('Probability that a reading comes after its successor.'),
    clock: z
      .strictObject({
        offset: span.default(0).describe("Each device's clock is off by up to so much, either way."),
        drift: z
          .number()
          .min(0)
          .max(100_000)
          .default(0)
          .describe('And runs fast or slow by up to so many millionths (86 ms a day each).'),
      })
      .prefault({})
      .describe('Wrong clocks of devices: what `ts` of a reading says.'),
  })
  .prefault({})
  .describe('What goes wrong between a device and the broker.');
