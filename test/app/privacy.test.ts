/** What a gateway that may not keep raw events leaves behind: in its store, in its outbox, on the dead-letter topic. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Gateway } from '../../src/app/gateway.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type { Outgoing } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { dropMemoryChannel, memoryChannel } from '../../src/io/memory.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';

const CHANNEL = 'privacy';
const KEY = 'fleet-key-0123456789';
const WORDS = 'Rosa Luchs, 555-1234';
const telemetry = new Telemetry({ level: 'silent' });
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sluice-privacy-'));
});
afterEach(async () => {
  dropMemoryChannel(CHANNEL);
  await rm(folder, { recursive: true, force: true });
});

const configOf = (keep: string) =>
  parseConfig(
    `
site: quiet
sources: { in: { type: memory, channel: ${CHANNEL}, topics: [readings] } }
sinks: { out: { type: memory, channel: ${CHANNEL} } }
tasks:
  machine: { from: [in], event: sensor, fields: { x: { type: number } }, labels: [ok, fault] }
store: { path: ${JSON.stringify(folder)}, dead: { keep: ${keep} } }
privacy: { key: ${KEY} }
`,
    'test.yaml',
    { env: {} },
  );

/** Sends one broken message that names a person everywhere, while the sink is away or not. */
async function bury(keep: string, sinkIsAway: boolean): Promise<void> {
  const channel = memoryChannel(CHANNEL);
  if (sinkIsAway) channel.failWith = new SluiceError('BROKER_UNREACHABLE', 'away');
  const gateway = await Gateway.start(configOf(keep), {
    engine: openEngine(),
    clock: systemClock,
    telemetry,
  });
  const headers = { from: WORDS };
  channel.push({ topic: 'readings', key: WORDS, headers, payload: `{ broken, from ${WORDS}` });
  while (channel.doneBy('in') < 1) await systemClock.sleep(5);
  await gateway.stop();
}

async function open() {
  const { path: at, ...limits } = configOf('whole').store;
  return openStore({ path: at, limits, key: KEY, clock: systemClock, telemetry, mode: 'tool' });
}

/** Whether any file of the store holds the words. */
const findsWords = (): boolean =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .some((entry) => readFileSync(path.join(entry.parentPath, entry.name)).includes(WORDS));

function dataOf(message: Outgoing): Record<string, unknown> {
  return JSON.parse(String(message.payload)).data;
}

describe.each(['encrypted', 'digest'])('with store.dead.keep: %s', (keep) => {
  it('neither store nor outbox holds what was written, and the letter waits with digest and size only', async () => {
    await bury(keep, true);
    expect(findsWords()).toBe(false);
    const store = await open();
    const { messages } = store.outbox.peek('out', 100, 1_000_000);
    const dead = messages.filter(({ topic }) => topic.endsWith('/dead'));
    expect(dead).toHaveLength(1);
    expect(dead[0].key).toBeNull();
    expect(dataOf(dead[0])).toMatchObject({
      code: 'DECODE_JSON',
      size: `{ broken, from ${WORDS}`.length,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
    expect(dataOf(dead[0])).not.toHaveProperty('payload');
    const [letter] = store.dead.list();
    const kept = keep === 'encrypted' ? `{ broken, from ${WORDS}` : '';
    expect(Buffer.from(letter.original.payload).toString()).toBe(kept);
    await store.close();
  });

  it('the published dead letter names nobody', async () => {
    await bury(keep, false);
    const published = memoryChannel(CHANNEL).published.filter(({ topic }) => topic.endsWith('/dead'));
    expect(published).toHaveLength(1);
    expect(JSON.stringify(published)).not.toMatch(/Rosa|555/);
  });
});

it('with store.dead.keep: whole the published letter and the store carry the original', async () => {
  await bury('whole', false);
  expect(findsWords()).toBe(true);
  const [dead] = memoryChannel(CHANNEL).published.filter(({ topic }) => topic.endsWith('/dead'));
  expect(Buffer.from(String(dataOf(dead).payload), 'base64').toString()).toBe(`{ broken, from ${WORDS}`);
  expect(dead.key).toBe(WORDS);
});
