import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Clock, Delivery, IoContext } from '../../src/contract.ts';
import { files } from '../../src/io/files.ts';
import { Telemetry } from '../../src/telemetry.ts';

let folder = '';
let path = '';
const ROWS = 300;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-source-'));
  path = join(folder, 'stream.csv');
  await writeFile(path, `v,label\n${Array.from({ length: ROWS }, (_, i) => `${i},l${i % 2}\n`).join('')}`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A clock in which only sleeping takes time. */
class SleepClock implements Clock {
  time = 1_000_000;
  now(): number {
    return this.time;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!signal?.aborted) this.time += ms;
    await Promise.resolve();
  }
}

function open(more: Record<string, unknown> = {}, limits: Partial<IoContext> = {}) {
  const clock = new SleepClock();
  const telemetry = new Telemetry({ level: 'silent' });
  const context = { site: 's', clock, telemetry, maxInFlight: 1_000, maxInFlightBytes: 1 << 20, ...limits };
  return {
    clock,
    source: files.source.open('plant', files.source.options.parse({ path, ...more }), context),
  };
}

const value = (delivery: Delivery) =>
  JSON.parse(Buffer.from(delivery.message.payload).toString()).v as number;

it('plays every row once in order and ends when all are settled', async () => {
  const { source } = open();
  const seen: number[] = [];
  for await (const batch of source.read(new AbortController().signal)) {
    for (const delivery of batch) {
      seen.push(value(delivery));
      delivery.settle('done');
    }
  }
  expect(seen).toEqual(Array.from({ length: ROWS }, (_, i) => i));
  expect(source.health()).toEqual({ ok: true });
});

it('carries the label beside the message, the source name as topic and arrival as time', async () => {
  const { source, clock } = open();
  for await (const [{ message }] of source.read(new AbortController().signal)) {
    expect(message).toMatchObject({ source: 'plant', topic: 'plant', label: 'l0', position: 'stream.csv#1' });
    expect(message.at).toBe(clock.now());
    expect(Buffer.from(message.payload).toString()).toBe('{"v":0}');
    break;
  }
});

it('delivers again after the end what was settled retry, as often as needed', async () => {
  const { source } = open();
  const tries = new Map<number, number>();
  const order: number[] = [];
  for await (const batch of source.read(new AbortController().signal)) {
    for (const delivery of batch) {
      const v = value(delivery);
      order.push(v);
      tries.set(v, (tries.get(v) ?? 0) + 1);
      const again = (v === 7 && tries.get(v)! < 3) || (v === 250 && tries.get(v)! < 2);
      delivery.settle(again ? 'retry' : 'done');
    }
  }
  expect(order.slice(ROWS)).toEqual([7, 250, 7]);
});

it.each([
  [{ maxInFlight: 10 }, 10],
  [{ maxInFlightBytes: 100 }, 14],
  [{ maxInFlightBytes: 1 }, 1],
])('holds no more unsettled than %j and goes on when some are settled', async (limits, most) => {
  const { source } = open({}, limits);
  const held: Delivery[] = [];
  let [peak, total] = [0, 0];
  for await (const batch of source.read(new AbortController().signal)) {
    held.push(...batch);
    total += batch.length;
    peak = Math.max(peak, held.length);
    // Settled only later, when the source already waits.
    setTimeout(() => held.splice(0).forEach((delivery) => void delivery.settle('done')), 1);
  }
  expect(total).toBe(ROWS);
  expect(peak).toBeLessThanOrEqual(most);
});

it('ends soon when aborted, even while it waits for settlement', async () => {
  const { source } = open({}, { maxInFlight: 5 });
  const abort = new AbortController();
  let taken = 0;
  for await (const batch of source.read(abort.signal)) {
    taken += batch.length;
    setTimeout(() => abort.abort(), 5);
  }
  expect(taken).toBe(5);
});

it('plays at the rate asked for', async () => {
  const { source, clock } = open({ rate: 50 });
  const started = clock.now();
  for await (const batch of source.read(new AbortController().signal)) {
    for (const delivery of batch) {
      expect(clock.now() - started).toBeGreaterThanOrEqual((value(delivery) * 1_000) / 50 - 1e-6);
      delivery.settle('done');
    }
  }
  expect(clock.now() - started).toBeCloseTo(((ROWS - 1) * 1_000) / 50, 3);
});

it('is not healthy after a file that cannot be read', async () => {
  const { source } = open({ path: join(folder, 'absent.csv') });
  const reading = source.read(new AbortController().signal)[Symbol.asyncIterator]().next();
  await expect(reading).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
  expect(source.health()).toMatchObject({ ok: false });
});

it('refuses options that it does not know', () => {
  expect(files.source.options.safeParse({ path, follow: true }).success).toBe(false);
  expect(files.source.options.safeParse({ path, rate: 0 }).success).toBe(false);
  expect(files.sink).toBeNull();
});
