/** The hub as a process: what it hears on its broker, what it passes over, and that nonsense is counted and holds nobody up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { HubProcess } from '../../src/app/hub.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type { Alarm } from '../../src/contract.ts';
import { driftPayload } from '../../src/envelope/fleet.ts';
import { Envelope } from '../../src/envelope.ts';
import { dropMemoryChannel, memoryChannel } from '../../src/io/memory.ts';
import { encodeBundle } from '../../src/model/bundle.ts';
import { openEngine } from '../../src/model/engine.ts';
import { newKey, writePrivateKey } from '../../src/model/signing.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { manifestOf, weightsOf } from '../model/bundles.ts';

const CHANNEL = 'hub-process-test';
const engine = openEngine({ threads: 1 });
let folder = '';
let hub: HubProcess | null = null;

afterEach(async () => {
  await hub?.stop();
  hub = null;
  dropMemoryChannel(CHANNEL);
  rmSync(folder, { recursive: true, force: true });
});

async function open() {
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-hub-'));
  const key = newKey('test');
  writePrivateKey(path.join(folder, 'hub.key'), key);
  const at = (part: string) => JSON.stringify(path.join(folder, part));
  const config = parseConfig(
    `
site: hub
tasks:
  machine: { event: sensor, fields: { x: { type: number } }, labels: [ok, fault] }
sinks: { bus: { type: memory, channel: ${CHANNEL} } }
hub: { store: ${at('hub')}, key: ${at('hub.key')} }
`,
    'test',
  );
  const telemetry = new Telemetry({ level: 'silent' });
  const trainer = { train: () => Promise.reject(new Error('nothing is trained here')) };
  hub = await HubProcess.start(config, { engine, clock: systemClock, telemetry, trainer });
  return { process: hub, telemetry, key, channel: memoryChannel(CHANNEL) };
}

const alarmOf = (model: string): Alarm => ({
  ...{ task: 'machine', stream: 'logLoss', detector: 'test', state: 'drift', statistic: 1, threshold: 1 },
  ...{ window: 100, model, at: Date.now(), since: Date.now() - 1_000, before: 0.1, now: 0.5 },
  ...{ features: [], devices: [] },
});
const driftOf = (site: string, model: string) => ({
  topic: `sluice/${site}/machine/drift`,
  payload: driftPayload(new Envelope('cloudevents', site, 'machine'), alarmOf(model)),
});
const incidents = (process: HubProcess) =>
  process.status().tasks[0].incidents.flatMap(({ sites }) => [...sites]);

test('an alarm about a model that was replaced is answered already; one about the live model is heard', async () => {
  const { process, key, channel } = await open();
  const made = async (version: number) => {
    const bytes = encodeBundle(manifestOf({ version }), weightsOf(600, version), key);
    const { digest } = await process.registry.put(bytes, 'test', version);
    await process.registry.move(digest, 'live', 'test', version);
    return digest;
  };
  const [retired, live] = [await made(1), await made(2)];
  channel.push(driftOf('north', `${retired}+12`));
  channel.push(driftOf('west', `${'f'.repeat(64)}+0`));
  channel.push(driftOf('south', `${live}+0`));
  await expect.poll(() => incidents(process)).toEqual(['south']);
});

test('a gateway that runs no base is heard', async () => {
  const { process, channel } = await open();
  channel.push(driftOf('north', 'blank+400'));
  await expect.poll(() => incidents(process)).toEqual(['north']);
});

test('nonsense is counted with its reason, and what follows is heard', async () => {
  const { process, channel, telemetry } = await open();
  const nonsense = ['', 'no JSON', '[[[[', '{}', `{"data":"${'x'.repeat(2 * 1024 ** 2)}"}`];
  for (const what of ['rows', 'metrics', 'drift'])
    for (const payload of nonsense) channel.push({ topic: `sluice/north/machine/${what}`, payload });
  // A topic's site is guarded by the broker; the payload must not speak for another.
  channel.push({ ...driftOf('north', 'blank+0'), topic: 'sluice/south/machine/drift' });
  channel.push(driftOf('west', 'blank+0'));
  await expect.poll(() => incidents(process)).toEqual(['west']);
  const refused = async (what: string, code: string) => telemetry.value('fleet_refused', { what, code });
  await expect.poll(() => refused('rows', 'ROWS_INVALID')).toBe(nonsense.length);
  await expect.poll(() => refused('metrics', 'PAYLOAD_INVALID')).toBe(nonsense.length);
  await expect.poll(() => refused('drift', 'PAYLOAD_INVALID')).toBe(nonsense.length + 1);
  expect(process.health()).toEqual({ ok: true, reasons: [] });
});
