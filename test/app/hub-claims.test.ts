/** What a gateway says is of that gateway alone; and a hub that cannot open leaves nothing open behind it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HubProcess } from '../../src/app/hub.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type { Actual } from '../../src/contract.ts';
import { dropMemoryChannel, memory } from '../../src/io/memory.ts';
import { encodeActual } from '../../src/model/desired.ts';
import { openEngine } from '../../src/model/engine.ts';
import { newKey, writePrivateKey } from '../../src/model/signing.ts';
import { Telemetry } from '../../src/telemetry.ts';

const CHANNEL = 'hub-claims-test';
const engine = openEngine({ threads: 1 });
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-claims-'));
});
afterEach(() => {
  dropMemoryChannel(CHANNEL);
  rmSync(folder, { recursive: true, force: true });
});

function start(): Promise<HubProcess> {
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
  const trainer = { train: () => Promise.reject(new Error('nothing is trained here')) };
  const telemetry = new Telemetry({ level: 'silent' });
  return HubProcess.start(config, { engine, clock: systemClock, telemetry, trainer });
}

test('what one gateway says of another is not heard', async () => {
  writePrivateKey(path.join(folder, 'hub.key'), newKey('test'));
  const hub = await start();
  const io = { site: 'x', clock: systemClock, maxInFlight: 9, maxInFlightBytes: 9e6 };
  const board = memory.sink.openBoard('b', { channel: CHANNEL }, io as never);
  const { group } = hub.status();
  const says = (site: string): string => {
    const actual: Actual = {
      ...{ site, group, task: 'machine', digest: null, labels: 0, companion: null, serial: -1 },
      ...{ state: 'running', reason: '', at: 1 },
    };
    return encodeActual(actual);
  };
  await board.put('south/models/machine/actual', says('north'));
  await board.put('west/models/machine/actual', says('west'));
  await expect.poll(() => hub.status().sites.map(({ site }) => site)).toEqual(['west']);
  await board.close();
  await hub.stop();
});

test('without its key the hub says how to make one, and starts once it is there', async () => {
  await expect(start()).rejects.toThrow('sluice keys new');
  writePrivateKey(path.join(folder, 'hub.key'), newKey('test'));
  await (await start()).stop();
});
