/** A task of readings with a real store and the real engine, for tests of learning. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { Bury, Clock, Engine, Event, Message, Store } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { Labels } from '../../src/fleet/labels.ts';
import { Learner } from '../../src/fleet/learner.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore, type StoreLimits, storeOptions } from '../../src/state.ts';
import { openTask, type Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';

export const engine = openEngine();

export const task: Task = openTask({
  name: 'machine',
  event: 'sensor',
  labels: ['ok', 'fault'],
  decode: {
    kind: 'json',
    options: {
      fields: { a: { type: 'number' }, b: { type: 'number' } },
      device: { pointer: '/device' },
      time: '/t',
    },
  },
  // Rows that depend on their event alone: tests make them again, in any order.
  features: { options: { preset: 'fast' } },
  seed: 1,
});

export function message(body: unknown, position: string): Message {
  return {
    source: 's',
    topic: 't',
    key: null,
    payload: Buffer.from(JSON.stringify(body)),
    headers: {},
    at: 1_000,
    position,
  };
}

/** The n-th event: a, b decide its label. */
export function eventOf(n: number): { event: Event; label: string } {
  const a = Math.sin(n * 1.7);
  const b = Math.cos(n * 0.9);
  const [event] = task.decode(
    message({ a, b, device: `d${n % 3}`, t: new Date(1_000_000 + n * 1_000).toISOString() }, `t/0/${n}`),
  );
  return { event, label: a + b > 0 ? 'fault' : 'ok' };
}

export interface Rig {
  readonly folder: string;
  readonly telemetry: Telemetry;
  readonly buried: { code: string }[];
  store: Store;
  learner: Learner;
  labels: Labels;
  /** Scores and joins events, as the lane does. */
  join(events: readonly Event[]): Promise<void>;
  /** Gives labels by event id. */
  give(pairs: readonly (readonly [event: string, label: string | null])[]): Promise<void>;
  /** Closes everything and opens it again; `clean` false leaves out the last snapshot, as a kill would. */
  reopen(clean: boolean): Promise<void>;
  close(): Promise<void>;
}

/** What a test may put in the place of the real thing. */
export interface RigOptions {
  readonly engine?: Engine;
  readonly clock?: Clock;
  readonly task?: Task;
  readonly limits?: Partial<StoreLimits>;
}

export async function makeRig(options: RigOptions = {}): Promise<Rig> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-fleet-'));
  const telemetry = new Telemetry({ level: 'silent' });
  const buried: { code: string }[] = [];
  const bury: Bury = async (_task, _message, error) => {
    buried.push(error);
  };
  const { path: _, ...usual } = storeOptions.parse({});
  const limits = { ...usual, ...options.limits };
  const own = options.task ?? task;
  const parts = async () => {
    const store = await openStore({
      path: path.join(folder, 'state'),
      limits,
      clock: systemClock,
      telemetry,
    });
    const learner = await Learner.open({
      task: own,
      engine: options.engine ?? engine,
      store,
      clock: options.clock ?? systemClock,
      telemetry,
      learning: 'online',
      minLabels: 20,
      minPerLabel: 5,
    });
    return {
      store,
      learner,
      labels: new Labels({ task: own, store, learner, bury, clock: systemClock, telemetry }),
    };
  };
  const rig: Rig = {
    folder,
    telemetry,
    buried,
    ...(await parts()),
    async join(events) {
      const arena = new RowArena(own.shape.dims, own.shape.denseDims);
      for (const event of events) own.fill(event, arena);
      const { probabilities, model } = rig.learner.score(arena.view());
      const scores = await probabilities;
      const predicted = Int32Array.from(events, (_event, i) => (scores[i * 2 + 1] > 0.5 ? 1 : 0));
      await rig.store.join.put({
        task: own.name,
        features: own.features,
        model,
        rows: arena.view(),
        events,
        scores,
        classes: 2,
        predicted,
      });
      rig.labels.joined(events);
    },
    give: (pairs) =>
      rig.labels.give(
        pairs.map(([name, label]) => ({
          target: { kind: 'name', name },
          label,
          origin: 'test',
          weight: 1,
          at: 1,
        })),
      ),
    async reopen(clean) {
      await rig.labels.stop();
      if (clean) await rig.learner.close();
      else await rig.learner.settled();
      await rig.store.close();
      Object.assign(rig, await parts());
    },
    async close() {
      await rig.labels.stop();
      await rig.learner.close();
      await rig.store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return rig;
}

/** The bytes of a fresh model that learned exactly these, in this order. */
export async function bitsOf(learned: readonly { event: Event; label: string }[]): Promise<Buffer> {
  const model = task.newModel(engine);
  for (const { event, label } of learned) {
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    task.fill(event, arena);
    await model.learn(arena.view(), Int32Array.of(task.labels.indexOf(label)));
  }
  const bytes = Buffer.from(await model.save());
  model.close();
  return bytes;
}
