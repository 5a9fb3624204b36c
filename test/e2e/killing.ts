/**
 * The kill scenario, for any broker: a stream of readings with labels for a part of them, a gateway that is
 * killed with SIGKILL at random moments and started again on the same state, and then the account:
 * every event has a verdict, repetitions carry the same identity, every label is learned exactly once, and the
 * model is bit for bit the fold of the journal.
 */
import path from 'node:path';
import { expect } from 'vitest';
import { taskSpec } from '../../src/app/spec.ts';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import { blankBase } from '../../src/fleet/base.ts';
import { Fold } from '../../src/fleet/fold.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore } from '../../src/state.ts';
import { openTask } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import type { Bus } from './bus.ts';
import type { GatewayProcess } from './gateway.ts';
import { patience, random, scale, sleep, until } from './scale.ts';

export interface Topics {
  readonly input: string;
  readonly verdict: string;
  readonly feedback: string;
}

/** The task part of the configuration; labels come from the sum of two fields. */
export const machineTask = (source: string): string => `
tasks:
  machine:
    from: [${source}]
    event: sensor
    fields:
      temperature: { type: number, range: [-50, 150] }
      vibration: { type: number, range: [0, 100] }
      mode: { type: category }
    labels: [ok, fault]
`;

/** One reading as a CloudEvent, about 300 bytes, and its true label. */
export function reading(
  n: number,
  rng: () => number,
): { id: string; label: string; payload: string; device: string } {
  const temperature = 20 + 60 * rng();
  const vibration = 50 * rng();
  const label = temperature / 80 + vibration / 50 > 1.2 ? 'fault' : 'ok';
  const device = `press-${String(n % 40).padStart(2, '0')}`;
  const payload = JSON.stringify({
    specversion: '1.0',
    id: String(n),
    source: `/plant/${device}`,
    type: 'reading',
    time: new Date(1_700_000_000_000 + n * 1000).toISOString(),
    subject: device,
    data: { temperature, vibration, mode: rng() < 0.5 ? 'auto' : 'hand', note: 'x'.repeat(60) },
  });
  return { id: `/plant/${device}/${n}`, label, payload, device };
}

export interface Account {
  readonly events: number;
  readonly verdicts: number;
  readonly duplicates: number;
  readonly labels: number;
  readonly kills: number;
}

/** Runs the scenario; the gateway must have been started. `disturb` replaces the kill of the gateway. */
export async function streamUnderKills(
  bus: Bus,
  topics: Topics,
  gateway: GatewayProcess,
  disturb: () => Promise<void> = async () => {
    await gateway.kill();
    await gateway.start();
  },
): Promise<Account> {
  const rng = random(7);
  const expected = new Map<string, string>();
  const seen = new Map<string, number>();
  const labelled = new Set<string>();
  const sending: Promise<void>[] = [];
  let labels = 0;
  await bus.subscribe(topics.verdict, (payload) => {
    const { event } = JSON.parse(payload.toString()).data;
    const times = (seen.get(event) ?? 0) + 1;
    seen.set(event, times);
    if (times > 1 || !expected.has(event) || Number(event.split('/').at(-1)) % 4 !== 0) return;
    labels += 1;
    labelled.add(event);
    const feedback = JSON.stringify({ event, label: expected.get(event), origin: 'test' });
    sending.push(bus.publish(topics.feedback, feedback));
  });
  let killing = true;
  let kills = 0;
  const killer = (async () => {
    while (kills < scale.kills) {
      await sleep(300 + 1_200 * rng());
      if (!killing) return;
      await disturb();
      kills += 1;
    }
  })();
  const started = performance.now();
  for (let n = 0; n < scale.killEvents; n++) {
    const one = reading(n, rng);
    expected.set(one.id, one.label);
    sending.push(bus.publish(topics.input, one.payload, one.device));
    const ahead = (n / scale.killRate) * 1000 - (performance.now() - started);
    if (ahead > 5) await sleep(ahead);
  }
  await Promise.all(sending);
  await killer;
  killing = false;
  const missing = () => [...expected.keys()].filter((id) => !seen.has(id));
  await until(
    () => missing().length === 0,
    patience / 2,
    () => `${missing().length} events without a verdict, e.g. ${missing()[0]}\n${gateway.log.slice(-2000)}`,
  );
  await Promise.all(sending);
  const learned = async () => (await gateway.status()).tasks.machine.learned;
  await until(
    async () => (await learned()) >= labelled.size,
    60_000,
    () => `labels learned, want ${labelled.size}\n${gateway.log.slice(-2000)}`,
  );
  expect(await learned(), 'each label is learned exactly once').toBe(labelled.size);
  expect(
    [...seen.keys()].every((id) => expected.has(id)),
    'no verdict for an event that was not sent',
  ).toBe(true);
  const duplicates = [...seen.values()].reduce((sum, times) => sum + times - 1, 0);
  return { events: expected.size, verdicts: seen.size, duplicates, labels, kills };
}

/** After a clean stop: the saved model against the fold of the whole journal from nothing. */
export async function expectModelIsFoldOfJournal(
  gateway: GatewayProcess,
  expectedLabels: number,
): Promise<void> {
  const config = loadConfig(path.join(gateway.folder, 'sluice.yaml'), { env: process.env });
  const task = openTask(taskSpec(config, 'machine'));
  const engine = openEngine();
  const { path: folder, ...limits } = config.store;
  const telemetry = new Telemetry({ level: 'silent' });
  const store = await openStore({ path: folder, limits, clock: systemClock, telemetry, mode: 'tool' });
  try {
    const snapshot = store.snapshots.newest('machine');
    expect(snapshot, 'a clean stop saves the model').not.toBeNull();
    expect(snapshot!.labels).toBe(expectedLabels);
    const fold = Fold.start(task, blankBase(task), engine, true);
    while ((await fold.advance(store)).grew);
    expect(fold.labels).toBe(expectedLabels);
    const bits = await fold.model.save();
    expect(Buffer.compare(Buffer.from(bits), Buffer.from(snapshot!.parts.model)), 'the same bits').toBe(0);
    fold.model.close();
  } finally {
    await store.close();
  }
}
