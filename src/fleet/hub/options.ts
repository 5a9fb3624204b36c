/**
 * The options of the loop: when to train, what a candidate must show, how it is rolled out. Each is declared here
 * once, with its default and one line of meaning; durations come out as milliseconds. The defaults change nothing
 * without a person: `approve` is manual.
 */
import { z } from 'zod';
import { duration } from '../../units.ts';
import { dailyWindow } from './daily.ts';

const retrain = z.strictObject({
  drift: z
    .enum(['labels', 'any', 'never'])
    .default('labels')
    .describe(
      'which drift alarms of gateways lead to training: those of streams with labels (loss), any that concern the model, or none',
    ),
  volume: z
    .int()
    .min(0)
    .max(1e9)
    .default(20_000)
    .describe('train after so many new labels; 0: volume alone is no reason'),
  every: duration
    .prefault('7d')
    .describe('train after so long, where new labels came; 0: time alone is no reason'),
  cooldown: duration.prefault('10m').describe('from one training to the next, at least'),
  minRows: z
    .int()
    .min(20)
    .max(1e9)
    .default(500)
    .describe('labelled rows to train on, at least; the first model is trained as soon as they are there'),
  afterDrift: z
    .int()
    .min(0)
    .max(1e9)
    .default(300)
    .describe('labelled rows from after the drift began that training waits for'),
  afterDriftDeadline: duration
    .prefault('1h')
    .describe('after an alarm training begins then, with the rows that there are'),
});

const gate = z.strictObject({
  alpha: z
    .number()
    .gt(0)
    .max(0.2)
    .default(0.01)
    .describe('probability that a candidate which is not better passes a test'),
  margin: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.02)
    .describe('by which part of the log-loss a candidate must be better than the live model'),
  minCount: z.int().min(20).max(1e9).default(200).describe('unseen labelled rows before it may pass'),
  deadline: duration
    .prefault('3d')
    .describe('undecided by then: the live model stays and the candidate is rejected'),
  validation: z
    .number()
    .min(0.05)
    .max(0.5)
    .default(0.2)
    .describe('newest part of the training rows by which experiments are compared'),
  perDevice: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe('part of the rows of a test that one device may give, where there are more than a few'),
});

const STAGES = ['shadow', 'canary', 'fleet'] as const;

const rollout = z.strictObject({
  stages: z
    .array(z.enum(STAGES))
    .min(1)
    .max(3)
    .refine(
      (stages) =>
        stages.at(-1) === 'fleet' &&
        stages.every((stage, i) => i === 0 || STAGES.indexOf(stage) > STAGES.indexOf(stages[i - 1])),
      'must be some of shadow, canary, fleet in this order, ending with fleet',
    )
    .default([...STAGES])
    .describe('steps of a roll-out: beside the live model, on a few gateways, on all'),
  shadowShare: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('part of the gateways that run a candidate beside the live model in `shadow`'),
  canaryShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.1)
    .describe('part of the gateways that run a candidate in `canary`; at least one'),
  minCount: z
    .int()
    .min(0)
    .max(1e9)
    .default(200)
    .describe('labelled rows that a stage is judged on, at least'),
  deadline: duration.prefault('3d').describe('a stage that is undecided by then is taken back'),
  tolerance: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.05)
    .describe('by which part of the log-loss a candidate may be worse and still pass a canary stage'),
  watch: duration.prefault('1d').describe('after the roll-out: taken back when found worse in this time'),
  silent: duration
    .prefault('5m')
    .describe('a gateway that was not heard of for so long is waited for, neither success nor failure'),
});

export const hubLoopOptions = z.strictObject({
  retrain: retrain.prefault({}).describe('when to train'),
  budget: z
    .int()
    .min(1)
    .max(10_000)
    .default(8)
    .describe('configurations that a training tries; 1 trains the configured model alone'),
  gate: gate.prefault({}).describe('what a candidate must show on unseen rows'),
  approve: z
    .enum(['manual', 'auto'])
    .default('manual')
    .describe('whether a candidate that passed waits for `sluice models promote`'),
  rollout: rollout.prefault({}).describe('how a candidate reaches the gateways'),
  windows: z
    .array(dailyWindow)
    .max(24)
    .default([])
    .describe(
      'daily times in UTC, as in 22:00-04:00, outside which no gateway is given another model; taking one back is always allowed',
    ),
  falseAlarms: z
    .strictObject({
      alarms: z
        .int()
        .min(1)
        .max(1_000)
        .default(2)
        .describe('trainings that one gateway alone may cause for nothing'),
      per: duration.prefault('30d').describe('in this time; beyond it a second gateway must tell the same'),
      merge: duration.prefault('10m').describe('alarms of several gateways within this time have one cause'),
    })
    .prefault({})
    .describe('the budget of false drift alarms of the whole fleet'),
  expires: duration.prefault('90d').describe('after this a gateway no longer installs a new model'),
});

export type HubLoopOptions = Readonly<z.output<typeof hubLoopOptions>>;
