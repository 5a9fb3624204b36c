/** Devices that a gateway remembers over stops and kills, and what it tells of wrong values. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Gateway } from '../../src/app/gateway.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import { dropMemoryChannel, memoryChannel, type Pushed } from '../../src/io/memory.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';

const CHANNEL = 'remembered';
let folder: string;
let telemetry: Telemetry;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sluice-remembered-'));
  telemetry = new Telemetry({ level: 'silent' });
});
afterEach(async () => {
  dropMemoryChannel(CHANNEL);
  await rm(folder, { recursive: true, force: true });
});

const configOf = (store: string, fields = '{ x: {} }') =>
  parseConfig(
    `
site: plant
sources: { in: { type: memory, channel: ${CHANNEL}, topics: [readings] } }
sinks: { out: { type: memory, channel: ${CHANNEL} } }
tasks:
  machine:
    from: [in]
    event: sensor
    fields: ${fields}
    device: { pointer: /d }
    time: /at
    labels: [ok, fault]
    features: { windows: { on: true, count: 4, stats: [lag, mean] } }
store: { path: ${JSON.stringify(store)} }
`,
    'test.yaml',
    { env: {} },
  );

const start = (store: string, fields?: string) =>
  Gateway.start(configOf(store, fields), { engine: openEngine(), clock: systemClock, telemetry });

const reading = (i: number, more: object = {}): Pushed => ({
  topic: 'readings',
  position: `readings/0/${i}`,
  payload: JSON.stringify({ d: `d${i % 3}`, at: 1_700_000_000 + i, x: (i * 7) % 11, ...more }),
});

async function send(messages: readonly Pushed[]): Promise<void> {
  const channel = memoryChannel(CHANNEL);
  const before = channel.doneBy('in');
  channel.push(...messages);
  while (channel.doneBy('in') < before + messages.length) await systemClock.sleep(2);
}

/** The dense cells of events, as they were scored. */
async function rowsIn(store: string, indices: readonly number[]): Promise<(number[] | undefined)[]> {
  const { path: at, ...limits } = configOf(store).store;
  const opened = await openStore({
    path: at,
    limits,
    key: undefined,
    clock: systemClock,
    telemetry,
    mode: 'tool',
  });
  try {
    return indices.map((i) => {
      const row = opened.join.find('machine', `readings/0/${i}`);
      return row ? [...row.rows.dense] : undefined;
    });
  } finally {
    await opened.close();
  }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const place = (name: string): string => path.join(folder, name);

/** What a gateway makes of all readings that was never stopped. */
async function unbroken(count: number): Promise<(number[] | undefined)[]> {
  const gateway = await start(place('whole'));
  await send(numbers(0, count).map((i) => reading(i)));
  await gateway.stop();
  dropMemoryChannel(CHANNEL);
  return rowsIn(place('whole'), numbers(0, count));
}

describe('windows of devices', () => {
  it('go on after a stop as if there had been none', async () => {
    const whole = await unbroken(40);
    for (const [from, to] of [
      [0, 17],
      [17, 40],
    ]) {
      const gateway = await start(place('parts'));
      await send(numbers(from, to).map((i) => reading(i)));
      await gateway.stop();
    }
    expect(await rowsIn(place('parts'), numbers(0, 40))).toEqual(whole);
  });

  it('go on after a kill, whatever had been saved, by the rows that were kept', async () => {
    const whole = await unbroken(40);
    const first = await start(place('parts'));
    await send(numbers(0, 9).map((i) => reading(i)));
    await first.stop();
    const saved = place('parts/windows/machine.bin');
    const bytes = await readFile(saved);
    const second = await start(place('parts'));
    await send(numbers(9, 25).map((i) => reading(i)));
    await second.stop();
    await writeFile(saved, bytes); // killed: the file is the one of before
    const third = await start(place('parts'));
    await send(numbers(25, 40).map((i) => reading(i)));
    await third.stop();
    expect(await rowsIn(place('parts'), numbers(0, 40))).toEqual(whole);
    await rm(place('parts/windows'), { recursive: true });
    const fourth = await start(place('parts'));
    await send([reading(40)]);
    await fourth.stop();
    const [row] = await rowsIn(place('parts'), [40]);
    expect(row?.[2]).toBe((37 * 7) % 11); // x | x missing | x lag
  });

  it('begin anew, and say so, where the file is damaged', async () => {
    const first = await start(place('a'));
    await send(numbers(0, 9).map((i) => reading(i)));
    await first.stop();
    expect(await readdir(place('a/windows'))).toEqual(['machine.bin']);
    await writeFile(place('a/windows/machine.bin'), 'nothing of the kind');
    const second = await start(place('a'));
    await send([reading(9)]);
    expect((await second.stop()).clean).toBe(true);
    expect((await rowsIn(place('a'), [9]))[0]?.[0]).toBe(63 % 11);
  });

  it('do not count what is redelivered', async () => {
    const gateway = await start(place('a'));
    await send(numbers(0, 20).map((i) => reading(i)));
    await send(numbers(10, 20).map((i) => reading(i)));
    await send(numbers(20, 30).map((i) => reading(i)));
    await gateway.stop();
    const found = await rowsIn(place('a'), numbers(0, 30));
    dropMemoryChannel(CHANNEL);
    expect(found).toEqual(await unbroken(30));
    expect(await telemetry.value('windows_events', { what: 'duplicate' })).toBe(10);
  });
});

describe('what is wrong with a reading', () => {
  const verdicts = (): Record<string, unknown>[] =>
    memoryChannel(CHANNEL)
      .published.filter(({ topic }) => topic.endsWith('/verdict'))
      .map(({ payload }) => JSON.parse(String(payload)).data);

  it('stands in its verdict and is counted by field; a clean one says nothing', async () => {
    const gateway = await start(place('a'), '{ x: { range: [0, 100], unit: bar, unitPointer: /u }, y: {} }');
    await send([
      reading(0, { y: 1 }),
      reading(1, { y: 1, x: 500 }),
      reading(2, { y: 1, u: 'psi' }),
      reading(3, { y: 1, u: 'bar' }),
    ]);
    await gateway.stop();
    expect(await telemetry.value('field_unit', { field: 'x' })).toBe(1);
    expect(verdicts().map(({ flags }) => flags)).toEqual([
      undefined,
      { x: ['invalid'] },
      { x: ['unit'] },
      undefined,
    ]);
    expect(await telemetry.value('field_flags', { task: 'machine', field: 'x', what: 'invalid' })).toBe(1);
  });

  it('may drop the reading: no verdict, acknowledged, counted', async () => {
    const gateway = await start(place('a'), '{ x: { missing: drop }, y: {} }');
    await send([reading(0, { y: 1 }), reading(1, { y: 1, x: null }), reading(2, { y: 1 })]);
    await gateway.stop();
    expect(await telemetry.value('field_flags', { what: 'dropped', field: 'x' })).toBe(1);
    expect(verdicts().map(({ event }) => event)).toEqual(['readings/0/0', 'readings/0/2']);
    expect(memoryChannel(CHANNEL).settled.every(({ outcome }) => outcome === 'done')).toBe(true);
  });

  it('a field that never comes is a signal, and its coming is', async () => {
    const gateway = await start(place('a'), '{ x: {}, y: {} }');
    await send(numbers(0, 250).map((i) => reading(i)));
    while ((await telemetry.value('field_silent', { field: 'y' })) < 1) await systemClock.sleep(20);
    await send([reading(250, { y: 1 })]);
    while ((await telemetry.value('field_heard', { field: 'y' })) < 1) await systemClock.sleep(20);
    await send(numbers(251, 300).map((i) => reading(i)));
    await gateway.stop();
    expect(await telemetry.value('field_silent', {})).toBe(1);
  });
});
