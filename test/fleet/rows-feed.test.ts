import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JournalEntry, LabelledRow, Outgoing, PairedLoss, Store } from '../../src/contract.ts';
import { readRows } from '../../src/envelope/rows.ts';
import { Envelope } from '../../src/envelope.ts';
import { SluiceError } from '../../src/errors.ts';
import { RowsFeed, type RowsFeedOptions } from '../../src/fleet/rows-feed.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { failNext } from '../state/failing.ts';
import { labelled } from '../state/pool-kit.ts';
import { testClock } from '../state/support.ts';

const shape = { dims: 1_024, denseDims: 2, classes: 2 };
const task = { name: 'spam', labels: ['ham', 'spam'], features: 'f-1', shape };

let folder: string;
let store: Store;
let telemetry: Telemetry;
/** What the sink confirmed, as the hub reads it. */
let heard: LabelledRow[];
let batches: number[];
const feeds: RowsFeed[] = [];

async function open(): Promise<void> {
  const { path: _, ...limits } = storeOptions.parse({});
  store = await openStore({ path: folder, limits, clock: testClock(), telemetry });
}
beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-feed-'));
  telemetry = new Telemetry({ level: 'silent' });
  heard = [];
  batches = [];
  await open();
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const feed of feeds.splice(0)) await feed.stop();
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const hear = async (messages: readonly Outgoing[]) => {
  batches.push(messages.length);
  for (const { payload } of messages)
    heard.push(...readRows(Buffer.from(payload), { taskOf: () => task, site: 'north' }));
};

function feed(over: Partial<RowsFeedOptions> = {}): RowsFeed {
  const clock = { now: () => 0, sleep: () => new Promise<void>((resolve) => setTimeout(resolve, 2)) };
  const envelope = new Envelope('cloudevents', 'north', 'spam');
  const fixed = { task, site: 'north', store, topic: 'rows', envelope, clock, telemetry };
  const made = new RowsFeed({ ...fixed, publish: hear, paired: () => null, ...over });
  feeds.push(made);
  return made;
}

type Given = Omit<JournalEntry, 'seq' | 'supersedes'>;
const entry = (n: number, label = n % 2, features = 'f-1'): Given => {
  const { rows, scores, predicted, model, device, event, weight, origin } = labelled(n);
  const joined = { id: event, device, at: 1_000 + n, features, rows, scores, predicted, model };
  return { task: 'spam', event, device, label, weight, origin, at: 2_000 + n, joined };
};
const some = (from: number, count: number) => Array.from({ length: count }, (_, i) => entry(from + i));
const until = (done: () => boolean) =>
  vi.waitFor(() => expect(done()).toBe(true), { timeout: 5_000, interval: 3 });
const seqs = () => heard.map(({ seq }) => seq);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('the rows feed', () => {
  test('tells every entry in order, whole: labels, corrections and withdrawals', async () => {
    await store.journal.append([
      entry(1),
      { ...entry(9), task: 'other' },
      entry(1, 0),
      entry(2),
      entry(2, -1),
    ]);
    const paired: PairedLoss = { live: 'a', liveLoss: 0.5, other: 'b', otherLoss: 0.25 };
    feed({ paired: (seq) => (seq === 3 ? paired : null) });
    await until(() => heard.length === 4);
    expect(heard.map(({ seq, event, label }) => [seq, event, label])).toEqual([
      [1, 'e-1', 1],
      [3, 'e-1', 0],
      [4, 'e-2', 0],
      [5, 'e-2', -1],
    ]);
    expect(heard[1]).toEqual({ ...labelled(1), seq: 3, label: 0, paired });
    expect(await telemetry.value('rows_told')).toBe(4);
  });

  test('sleeps at the end of the journal and goes on when it is woken', async () => {
    const running = feed();
    await until(() => store.cursors.get('rows spam') === 1);
    for (let n = 1; n <= 5; n++) {
      await store.journal.append([entry(n)]);
      running.wake();
      await until(() => heard.length === n);
    }
    expect(batches).toEqual([1, 1, 1, 1, 1]);
  });

  test('publishes one bounded batch at a time and waits for it', async () => {
    await store.journal.append(some(1, 300));
    let open = 0;
    let most = 0;
    const publish = async (messages: readonly Outgoing[]) => {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setTimeout(resolve, 1));
      await hear(messages);
      open -= 1;
    };
    feed({ publish });
    await until(() => heard.length === 300);
    expect(most).toBe(1);
    expect(Math.max(...batches)).toBeLessThanOrEqual(64);
    expect(seqs()).toEqual(numbers(1, 300));
  });

  test('holds entries back until their losses are known', async () => {
    await store.journal.append(some(1, 6));
    let known = 0;
    const running = feed({ through: () => known });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(heard).toEqual([]);
    known = 4;
    running.wake();
    await until(() => heard.length === 4);
    known = 6;
    running.wake();
    await until(() => heard.length === 6);
    expect(seqs()).toEqual(numbers(1, 6));
  });

  test('begins, the first time, with the newest of an old journal; later with whatever it missed', async () => {
    await store.journal.append(some(1, 50));
    const first = feed({ history: 10 });
    await until(() => heard.length === 10);
    expect(seqs()).toEqual(numbers(41, 50));
    await first.stop();
    await store.journal.append(some(51, 30));
    feed({ history: 10 });
    await until(() => heard.length === 40);
    expect(seqs()).toEqual(numbers(41, 80));
  });

  test('whose hub was never reached has missed nothing when it starts again', async () => {
    const first = feed({ history: 5, publish: () => new Promise(() => {}) });
    await until(() => store.cursors.get('rows spam') === 1);
    await store.journal.append(some(1, 40));
    first.wake();
    await first.stop();
    await store.close();
    await open();
    feed({ history: 5 });
    await until(() => heard.length === 40);
    expect(seqs()).toEqual(numbers(1, 40));
  });
});

describe('a kill', () => {
  test('between entry, publish and cursor loses nothing, wherever it falls', async () => {
    await store.journal.append(some(1, 100));
    for (let round = 0; round < 6; round++) {
      let publishes = 0;
      // The sink has it, but the feed never hears of it: as if killed between publish and cursor.
      const publish = async (messages: readonly Outgoing[]) => {
        await hear(messages);
        publishes += 1;
        if (publishes === 1 + (round % 2)) await new Promise(() => {});
      };
      const killed = feed({ publish });
      await until(() => publishes === 1 + (round % 2) || new Set(seqs()).size === 100 + 30 * round);
      await killed.stop();
      await store.close();
      await open();
      await store.journal.append(some(101 + 30 * round, 30));
    }
    feed();
    await until(() => new Set(seqs()).size === 280);
    expect([...new Set(seqs())]).toEqual(numbers(1, 280));
    expect(heard.length).toBeGreaterThan(280);
  });

  test('of the disk under the cursor only repeats', async () => {
    await store.journal.append(some(1, 3));
    const running = feed();
    await until(() => heard.length === 3 && store.cursors.get('rows spam') === 4);
    await store.journal.append(some(4, 2));
    failNext();
    running.wake();
    await until(() => new Set(seqs()).size === 5 && store.cursors.get('rows spam') === 6);
    expect(heard.length).toBeGreaterThan(5);
  });
});

describe('a sink', () => {
  test('that fails is tried again until it has everything, in order', async () => {
    await store.journal.append(some(1, 20));
    let tries = 0;
    const publish = async (messages: readonly Outgoing[]) => {
      tries += 1;
      if (tries % 3 !== 0) throw new SluiceError('BROKER_UNREACHABLE', 'away');
      await hear(messages);
    };
    feed({ publish });
    await until(() => heard.length === 20);
    expect(seqs()).toEqual(numbers(1, 20));
  });

  test('that refuses one row for good loses that one, loudly, and gets the others', async () => {
    await store.journal.append(some(1, 20));
    const publish = async (messages: readonly Outgoing[]) => {
      if (messages.some(({ payload }) => String(payload).includes('"event":"e-7"')))
        throw new SluiceError('MESSAGE_TOO_LARGE', 'no');
      await hear(messages);
    };
    feed({ publish });
    await until(() => heard.length === 19);
    expect(seqs()).toEqual(numbers(1, 20).filter((n) => n !== 7));
    expect(await telemetry.value('rows_left_out')).toBe(1);
  });

  test('that stands still does not hold up the stop', async () => {
    await store.journal.append(some(1, 3));
    let asked = false;
    const running = feed({
      publish: () => {
        asked = true;
        return new Promise(() => {});
      },
    });
    await until(() => asked);
    await running.stop();
    expect(store.cursors.get('rows spam')).toBe(1);
  });
});

test('labels of other features are not told, their withdrawals are', async () => {
  await store.journal.append([entry(1, 1, 'f-0'), entry(2), entry(1, -1, 'f-0')]);
  feed();
  await until(() => heard.length === 2);
  expect(heard.map(({ seq, label }) => [seq, label])).toEqual([
    [2, 0],
    [3, -1],
  ]);
});
