/** The sections of a scenario that say what it goes through: the drift script, and its phases. */
import { z } from 'zod';
import { isShare, MANNERS } from '../drift.ts';
import { machineTypes, SENSORS } from '../world.ts';
import { labelKeys } from './fleet.ts';
import { name, span } from './words.ts';

const sensors = SENSORS.map((sensor) => sensor.name) as [
  (typeof SENSORS)[number]['name'],
  ...(typeof SENSORS)[number]['name'][],
];
const types = machineTypes.map((type) => type.name);
const DEVICE = new RegExp(`^(${types.join('|')})-\\d{2,6}$`);
/** A slip here would be a drift that nobody goes through. */
const who = z
  .string()
  .refine((text) => text === '*' || types.includes(text) || isShare(text) || DEVICE.test(text), {
    message: `must be one of *, ${types.join(', ')}, a share such as 25%, or a device such as ${types[0]}-01`,
  });

export const drift = z
  .strictObject({
    name: z.string().min(1).max(100).optional().describe('How the report calls it.'),
    how: z
      .enum(MANNERS)
      .default('abrupt')
      .describe(
        'abrupt: at once; gradual: ever more readings are of the new state; incremental: values move bit by bit; recurring: comes and goes.',
      ),
    kind: z
      .enum(['sensor', 'concept'])
      .describe('sensor: the values of one sensor shift; concept: what a fault looks like changes.'),
    at: span.describe('When it begins, after the start.'),
    over: span.default(0).describe('How long a gradual or incremental drift takes.'),
    until: span
      .optional()
      .describe('When it goes back, in the manner in which it came; never where left out.'),
    period: span.default(0).describe('With recurring: from one coming to the next.'),
    share: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.5)
      .describe('With recurring: the part of the period for which it stays.'),
    who: z
      .union([who, z.array(who).min(1)])
      .default('*')
      .describe('Which devices: a type, a name, a share such as 25%, * for all, or a list of these.'),
    sites: z.array(name).min(1).optional().describe('At which sites; default all.'),
    sensor: z.enum(sensors).optional().describe('With sensor: which one.'),
    shift: z
      .number()
      .min(-100)
      .max(100)
      .default(4)
      .describe('With sensor: by how many multiples of its noise.'),
    strength: z
      .number()
      .min(0)
      .max(10)
      .default(1)
      .describe('With concept: how far; at 1 the old boundary between sound and faulty is useless.'),
  })
  .superRefine((drift, context) => {
    const refuse = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    const slow = drift.how === 'gradual' || drift.how === 'incremental';
    if (slow && drift.over === 0)
      refuse('over', `a ${drift.how} drift takes time: give over, as in over: 5m`);
    if (!slow && drift.over > 0)
      refuse('over', `belongs to gradual and incremental; this drift is ${drift.how}`);
    if (drift.how === 'recurring' && drift.period < 1)
      refuse('period', 'a recurring drift comes again: give period, as in period: 10m');
    if (drift.how !== 'recurring' && drift.period > 0) refuse('period', 'belongs to recurring');
    if (drift.until !== undefined && drift.until < drift.at + drift.over)
      refuse('until', 'must not be before the drift is complete (at + over)');
    if (drift.kind === 'sensor' && !drift.sensor)
      refuse('sensor', `a drift of a sensor names it: one of ${sensors.join(', ')}`);
    if (drift.kind === 'concept' && drift.sensor) refuse('sensor', 'belongs to kind: sensor');
  });

export const phase = z
  .strictObject({
    name: name.describe('How the report calls it.'),
    at: span.describe('When it begins, after the start; it lasts until the next one.'),
    rate: z.number().min(0).max(1_000).default(1).describe('Factor on the rates.'),
    faults: z
      .number()
      .min(0)
      .max(1_000)
      .default(1)
      .describe('Factor on all rates of faults (each stays a probability).'),
    network: z
      .number()
      .min(0)
      .max(1_000)
      .default(1)
      .describe('How many times more often connections are lost and devices restart; 0: never.'),
    labels: z
      .strictObject({
        delay: labelKeys.delay.optional(),
        shape: labelKeys.shape.optional(),
        fraction: labelKeys.fraction.optional(),
        wrong: labelKeys.wrong.optional(),
      })
      .prefault({})
      .describe('What is different about labels, of readings and mail.'),
  })
  .describe('A part of the run.');
