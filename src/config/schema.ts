/**
 * The schema of the configuration, built from the tables of parts: registering a transport, decoder,
 * featurizer or model is all it takes for its options to be known here, in `lint`, in `schema` and in
 * the documentation. Each option is declared once, with its default and one line of meaning. What
 * comes out is parsed: durations are milliseconds, sizes are bytes.
 */
import { z } from 'zod';
import { byteSize, duration } from '../units.ts';
import { hub, models } from './fleet.ts';
import { sinkSchema, sourceSchema, type Tables, union } from './parts.ts';
import {
  EVENTS,
  type EventKind,
  finishTask,
  type RawTask,
  type TaskConfig,
  taskSchema,
  unshared,
} from './tasks.ts';
import { budget, listen, name } from './words.ts';

/** A section of names; at least one. */
function named<S extends z.ZodType>(value: S, what: string) {
  return z.record(name, value).refine((all) => Object.keys(all).length > 0, `must hold at least one ${what}`);
}

/** What a process that is nothing but a hub, or answers over HTTP alone, can do without; otherwise checks.ts demands it. */
const maybeNamed = <S extends z.ZodType>(value: S) => z.record(name, value).prefault({});

const http = z.strictObject({
  listen: listen
    .prefault('127.0.0.1:8088')
    .describe('HOST:PORT of dashboard, metrics and API; loopback unless you say otherwise'),
  token: z
    .string()
    .min(16, 'must have at least 16 characters; `openssl rand -hex 24` makes one')
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
    .optional()
    .meta({ secret: true })
    .describe('bearer token that every change over HTTP needs; without one nothing can be changed'),
});

const monitor = z.strictObject({
  window: duration.prefault('10s').describe('length of a metrics window'),
  budget: budget.optional().describe('false drift alarms that are acceptable, as in "1 per month"'),
});

const batch = z.strictObject({
  size: z.int().min(1).max(65_536).default(256).describe('events scored in one call, at most'),
});

const privacy = z.strictObject({
  show: z
    .boolean()
    .default(false)
    .describe('show addresses, subjects and words unmasked on dashboard, in logs and reports'),
  key: z
    .string()
    .min(16, 'must have at least 16 characters')
    .optional()
    .meta({ secret: true })
    .describe('secret key of the fleet, by which stored text features are hashed and dead letters encrypted'),
});

/** The schema of a whole file. What it gives is `Config`. */
export function buildSchema<const T extends Tables>(tables: T) {
  const events = (Object.keys(EVENTS) as EventKind[]).map((event) => taskSchema(tables, event));
  const task = union('event', events) as z.ZodType<RawTask>;
  const whole = z.strictObject({
    site: name.describe('name of this gateway, in topics and metrics'),
    sources: maybeNamed(sourceSchema(tables)).describe('where events come from, by name'),
    tasks: named(task, 'task').describe('what is decided about them, by name'),
    sinks: maybeNamed(sinkSchema(tables)).describe(
      'where verdicts go and feedback comes from, by name; may be left out where every source is `http`',
    ),
    group: name.default('default').describe('which roll-outs of models reach this gateway'),
    models: models
      .optional()
      .describe(
        'makes this gateway part of a fleet: it runs what a trusted hub signs, and tells it the labels',
      ),
    hub: hub
      .optional()
      .describe(
        'this process is the hub of the fleet: it gathers labels, trains, tests and rolls models out',
      ),
    store: (tables.storeOptions as T['storeOptions'])
      .prefault({} as never)
      .describe('what this gateway keeps on disk'),
    http: http.prefault({}).describe('dashboard, metrics and API'),
    monitor: monitor.prefault({}).describe('metrics windows and drift'),
    maxInFlight: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(4_096)
      .describe('events taken from sources and not yet settled, at most'),
    maxInFlightBytes: byteSize
      .prefault('64MiB')
      .describe('their bytes, at most; one larger event passes alone'),
    batch: batch.prefault({}).describe('how events are gathered for scoring'),
    workers: z
      .int()
      .min(0)
      .max(64)
      .default(0)
      .describe(
        'threads that decode mail and make its features beside the main one; pays where some thousand mails a second come and cores are free, or where no mail, however large or broken, may hold up the rest or end the process. Each takes about 50 MiB. 0: the main thread does it',
      ),
    privacy: privacy.prefault({}).describe('what is shown and stored of what people wrote'),
    seed: z.int().min(0).max(0xffff_ffff).default(1).describe('seed of everything random'),
  });
  const fitting = whole.superRefine((config, context) => {
    for (const [name, task] of Object.entries(config.tasks as Record<string, RawTask>))
      for (const { key, kind } of unshared(tables, task))
        context.addIssue({
          code: 'custom',
          path: ['tasks', name, key],
          message: `the decoder ${kind} takes it from the message itself; leave it out`,
        });
  });
  return fitting.transform((config) => ({
    ...config,
    // A hub's own gateway follows it.
    models: config.models ?? (config.hub ? models.parse({}) : undefined),
    tasks: finishTasks(tables, config.tasks, config.privacy.key),
  }));
}

function finishTasks<T extends Tables>(
  tables: T,
  tasks: Readonly<Record<string, RawTask>>,
  key: string | undefined,
) {
  const finished = Object.entries(tasks).map(
    ([name, task]) => [name, finishTask(tables, task, key)] as const,
  );
  return Object.fromEntries(finished) as Record<string, TaskConfig<T>>;
}
