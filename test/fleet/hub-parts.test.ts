/** The hub over its real parts: registry and pool on disk, the native model, the real trainer; opened again in the middle. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PooledRows } from '../../src/app/hub-pool.ts';
import type { Desired, LabelledRow } from '../../src/contract.ts';
import type { HubTask } from '../../src/fleet/hub/seams.ts';
import { Hub, hubLoopOptions } from '../../src/fleet/hub.ts';
import { openRegistry } from '../../src/fleet/registry.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openPool } from '../../src/state/pool.ts';
import { inProcessTrainer } from '../../src/task/experiments.ts';
import { seededRandom } from '../../src/task/random.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { ManualClock, SEALING, TASK } from './hub-kit.ts';

const engine = openEngine();
const task: HubTask = {
  ...TASK,
  learning: 'online',
  shape: { dims: 0, denseDims: 2, classes: 2 },
  first: { kind: 'linear', options: { rate: 0.4, l2: 0, eps: 1e-6, normalise: 1 }, passes: 1, newest: 0 },
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-hub-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function open(clock: ManualClock, words: Desired[]) {
  const telemetry = new Telemetry({ level: 'silent' });
  const registry = await openRegistry(path.join(folder, 'registry'));
  const pool = await openPool({
    path: path.join(folder, 'rows'),
    limits: { bytes: 64 * 1024 ** 2, age: 90 * 86_400_000 },
    clock,
    telemetry,
  });
  const failures: string[] = [];
  const hub = new Hub({
    group: 'default',
    tasks: [task],
    options: hubLoopOptions.parse({
      approve: 'auto',
      budget: 2,
      retrain: { minRows: 200 },
      gate: { minCount: 60 },
      rollout: { stages: ['canary', 'fleet'], watch: '1m', minCount: 0 },
    }),
    clock,
    failed: (error) => failures.push(`${error.code}: ${error.message}`),
    parts: {
      pool: new PooledRows({ pool, engine, telemetry, now: () => clock.now() }),
      trainer: inProcessTrainer(engine),
      engine,
      registry,
      sealing: SEALING,
      state: { load: (key) => pool.readState(key), save: (key, text) => pool.saveState(key, text) },
      announce: async (word) => {
        if (words.at(-1)?.serial !== word.serial) words.push(word);
      },
    },
  });
  const close = async () => {
    await hub.close();
    await pool.close();
    await registry.close();
  };
  return { hub, registry, failures, close };
}

function rowsOf(count: number, from: number, at: number): LabelledRow[] {
  const random = seededRandom(from, 'rows');
  return Array.from({ length: count }, (_, i) => {
    const x = [random() * 2 - 1, random() * 2 - 1];
    return {
      site: 'a',
      task: TASK.name,
      seq: from + i,
      event: `e${from + i}`,
      device: `d${i % 6}`,
      at,
      labelledAt: at,
      label: x[0] > 0 ? 1 : 0,
      weight: 1,
      origin: 'test',
      features: TASK.features,
      rows: {
        count: 1,
        indptr: Uint32Array.of(0, 0),
        indices: new Uint32Array(0),
        values: new Float32Array(0),
        denseDims: 2,
        dense: Float32Array.from(x),
      },
      scores: Float32Array.of(0.5, 0.5),
      predicted: -1,
      model: 'blank-1+0',
      paired: null,
    };
  });
}

test('rows become a signed model that is live in the registry, across a stop in the middle', async () => {
  const clock = new ManualClock();
  const words: Desired[] = [];
  let opened = await open(clock, words);
  let sent = 1;
  for (let round = 0; round < 30 && opened.registry.live(TASK.name) === null; round += 1) {
    await opened.hub.rows(rowsOf(100, sent, clock.now()));
    sent += 100;
    for (let i = 0; i < 4; i += 1) {
      clock.time += 10_000;
      const word = words.at(-1);
      opened.hub.actual({
        site: 'a',
        group: 'default',
        task: TASK.name,
        digest: word?.digest ?? null,
        labels: 0,
        companion: null,
        serial: word?.serial ?? 0,
        state: 'running',
        reason: '',
        at: clock.now(),
      });
      await opened.hub.tick();
      await opened.hub.settled();
    }
    expect(opened.failures).toEqual([]);
    await opened.close();
    opened = await open(clock, words);
  }
  const live = opened.registry.live(TASK.name);
  expect(live?.manifest).toMatchObject({
    task: TASK.name,
    parent: null,
    version: 1,
    features: TASK.features,
  });
  const { training, quality } = live!.manifest;
  expect(training.counts.reduce((a, b) => a + b, 0)).toBe(training.rows);
  expect(training.through.a).toBeGreaterThanOrEqual(200);
  expect(training.until).toBeLessThanOrEqual(clock.now());
  expect(quality?.accuracy).toBeGreaterThan(0.8);
  expect(words.map(({ serial, digest }) => [serial, digest])).toEqual([
    [1, live?.digest],
    [2, live?.digest],
  ]);
  const audits = (await opened.registry.audited(50)).map(({ what }) => what).reverse();
  expect(audits).toEqual(expect.arrayContaining(['training', 'gate', 'canary', 'stage', 'live']));
  expect(opened.hub.status().tasks[0]).toMatchObject({
    live: { digest: live?.digest },
    serial: 2,
    rollout: null,
  });
  await opened.close();
});
