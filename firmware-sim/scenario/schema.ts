/**
 * A scenario: what a simulated fleet is, what it goes through, and how it is judged. One declaration gives validation,
 * types, the page of keys in docs/simulator.md and the defaults of the command line. Promises: unknown keys are errors,
 * every value has its bounds, and what contradicts itself (a recurring drift without a period, phases that do not
 * rise) is refused here, before anything connects.
 */
import { z } from 'zod';
import { sinkOptions as kafkaOptions } from '../../src/io/kafka/options.ts';
import { sinkOptions as mqttOptions } from '../../src/io/mqtt/options.ts';
import { faults, mail, network, readings } from './fleet.ts';

export { sensorFaults } from './fleet.ts';

import { followers } from './followers.ts';
import { drift, phase } from './script.ts';
import { name, positive, share, span } from './words.ts';

const { url, version, user, password, tls } = mqttOptions.shape;
const where = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('mqtt').describe('An MQTT broker.'),
      ...{ url, version, user, password, tls },
      connections: z
        .int()
        .min(1)
        .max(1_000)
        .default(1)
        .describe('Connections that the devices of a site share; each device keeps to one of them.'),
    }),
    z.strictObject({
      type: z.literal('kafka').describe('Kafka brokers.'),
      brokers: kafkaOptions.shape.brokers,
      tls: kafkaOptions.shape.tls,
      sasl: kafkaOptions.shape.sasl,
    }),
  ])
  .describe('The broker on which the gateways listen.');

const topic = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => !/[+#\0]/.test(text), { message: 'a topic to publish to has no wildcards' });

const sites = z
  .record(
    name,
    z.strictObject({
      readings: topic
        .optional()
        .describe(
          'MQTT: readings go to <readings>/<device>/telemetry; Kafka: the topic. Default plant, or plant/<site> where there are several (Kafka: plant.telemetry, plant.<site>.telemetry).',
        ),
      mail: topic
        .optional()
        .describe(
          'MQTT: mail goes to <mail>/<mailbox>; Kafka: the topic. Default mail/inbound, or mail/<site> where there are several (Kafka: mail.inbound, mail.<site>.inbound).',
        ),
    }),
  )
  .refine((all) => Object.keys(all).length > 0, { message: 'must name at least one site' })
  .refine((all) => Object.keys(all).length <= 100, { message: 'must name at most 100 sites' })
  .describe('The gateways that are tested, by their `site`; devices and rates are divided among them.');

export const scenarioSchema = z
  .strictObject({
    where,
    seed: z.int().min(0).max(0xffff_ffff).default(7).describe('Same seed, same fleet and same script.'),
    for: span.optional().describe('End after this time; without it, run until Ctrl-C.'),
    drain: span.default(15_000).describe('How long to wait for the last answers at the end.'),
    day: positive(
      'Length of a day of the simulated world: its rhythm shows in temperatures and rates.',
    ).default(86_400_000),
    rhythm: share
      .default(0)
      .describe('How much the rates follow the day: 0.5 is half to one and a half times.'),
    sites: sites.prefault({ demo: {} }),
    readings,
    mail,
    faults,
    network,
    drift: z
      .array(drift)
      .max(1_000)
      .default([])
      .describe('The drift script: the truth that detectors are judged by.'),
    phases: z
      .array(phase)
      .max(1_000)
      .default([])
      .describe('Parts of the run, in order of time; default: cut where a drift begins.'),
    followers: followers.optional(),
    scoring: z
      .strictObject({
        within: positive(
          'An alarm belongs to a drift if it comes so long after it was complete; else it is false.',
        ).default(300_000),
      })
      .prefault({})
      .describe('How alarms are judged.'),
  })
  .superRefine((scenario, context) => {
    const refuse = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const { phases, sites, readings, mail, followers, drift } = scenario;
    phases.forEach(({ at }, i) => {
      if (i > 0 && at <= phases[i - 1].at) refuse(['phases', i, 'at'], 'must be later than the phase before');
    });
    drift.forEach((one, i) => {
      one.sites?.forEach((site, n) => {
        if (!Object.hasOwn(sites, site))
          refuse(['drift', i, 'sites', n], `is no site here (there are ${Object.keys(sites).join(', ')})`);
      });
    });
    if (readings.rate === 0 && mail.rate === 0 && !followers)
      refuse(['readings', 'rate'], 'nothing is to be sent: give readings.rate, mail.rate or followers');
    if (readings.devices >= 1 && readings.devices < Object.keys(sites).length)
      refuse(['readings', 'devices'], 'must be at least one for each site');
    if (readings.task === mail.task && readings.rate > 0 && mail.rate > 0)
      refuse(['mail', 'task'], 'readings and mail are judged by different tasks');
  });

export type Scenario = z.output<typeof scenarioSchema>;
export type ScenarioInput = z.input<typeof scenarioSchema>;
