/** What decides in a gateway, on a real store: nothing that was confirmed is lost or counted twice, whatever ends the process. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Deciding } from '../../src/app/deciding.ts';
import { Gateway } from '../../src/app/gateway.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type { Event, JournalEntry, Store } from '../../src/contract.ts';
import { dropMemoryChannel, memoryChannel } from '../../src/io/memory.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { openTask } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { HAM, mail, SPAM, scoresOf } from '../task/decision/kit.ts';

const lines: string[] = [];
let telemetry: Telemetry;
const task = openTask({
  ...{ name: 'spam', event: 'email', labels: ['ham', 'spam'], seed: 1 },
  decode: { kind: 'mime' },
  model: { kind: 'linear' },
  decision: { tag: 0.01, window: 400 },
});
let folder = '';
let store: Store;
beforeEach(async () => {
  lines.length = 0;
  telemetry = new Telemetry({ level: 'error', destination: { write: (line) => void lines.push(line) } });
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-deciding-'));
  store = await opened('state');
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

function opened(name: string): Promise<Store> {
  const { path: _, ...limits } = storeOptions.parse({});
  return openStore({ path: path.join(folder, name), limits, clock: systemClock, telemetry });
}

const open = (base = 'base') => new Deciding({ task, folder, key: 'k'.repeat(16), base, store, telemetry });
const event = mail('Subject: x');
const act = (deciding: Deciding, odds: number, model = 'base+1', one: Event = event) =>
  deciding.decide(one, SPAM, scoresOf(odds), 0, model).action;

/** Journals labels of events that had these log-odds; gives the durable entries. */
function journal(
  labels: readonly (readonly [name: string, label: number, odds: number])[],
): Promise<JournalEntry[]> {
  return store.journal.append(
    labels.map(([name, label, odds]) => {
      const rows = {
        count: 1,
        indptr: Uint32Array.of(0, 0),
        indices: new Uint32Array(),
        values: new Float32Array(),
      };
      const joined = {
        ...{ id: name, device: 'd', at: 1, features: task.features, model: 'base+7', predicted: HAM },
        rows: { ...rows, denseDims: 0, dense: new Float32Array() },
        scores: scoresOf(odds),
      };
      return { task: 'spam', event: name, device: 'd', label, weight: 1, origin: 'o', at: 1, joined };
    }),
  );
}
const ham = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => [`e${from + i}`, HAM, -4] as const);

test('a kill loses no label and counts none twice, whenever the state was saved', async () => {
  const first = open();
  for (const entry of await journal(ham(0, 250))) first.entered(entry);
  await first.save();
  for (const entry of await journal([...ham(250, 300), ['e0', SPAM, 3]])) first.entered(entry);
  expect(act(first, 3)).toBe('tag');
  // No save: the process was killed. One label more was durable, and not told any more.
  await journal([['e1', -1, 3]]);
  const second = open();
  expect(act(second, 3)).toBe('unsure');
  for (const entry of await journal([['e1', HAM, 3]])) second.entered(entry);
  expect([act(second, 3), act(second, 4)]).toEqual(['unsure', 'tag']);
  await second.save();
  const third = open();
  expect([act(third, 3), act(third, 4)]).toEqual(['unsure', 'tag']);
  expect(lines).toEqual([]);
});

test.each([
  ['cut', (text: string) => text.slice(0, 400)],
  ['empty', () => ''],
  ['of something else', () => '{"salt":1}'],
  ['null', () => 'null'],
])('state that is %s is told, and gathered again from the journal', async (_, damage) => {
  const first = open();
  for (const entry of await journal(ham(0, 320))) first.entered(entry);
  await first.save();
  const file = path.join(folder, 'decision', 'spam.json');
  writeFileSync(file, damage(readFileSync(file, 'utf8')));
  expect(act(open(), 3)).toBe('tag');
  expect(lines.join()).toContain('DECISION_STATE');
});

test('what belongs to a store that was set aside counts no more', async () => {
  const first = open();
  for (const entry of await journal(ham(0, 320))) first.entered(entry);
  await first.save();
  const old = store;
  store = await opened('other');
  await old.close();
  const second = open();
  expect(act(second, 3)).toBe('unsure');
  expect(lines.join()).toContain('DECISION_STATE');
  for (const entry of await journal(ham(0, 320))) second.entered(entry);
  expect(act(second, 3)).toBe('tag');
});

test('another base is noticed by the model of a verdict, and over a restart', async () => {
  const first = open();
  for (const entry of await journal(ham(0, 320))) first.entered(entry);
  expect(act(first, 3)).toBe('tag');
  expect(act(first, 3, 'base+2')).toBe('tag');
  expect(act(first, 3, 'next+0')).toBe('tag');
  const late = await journal([['late', HAM, 2]]);
  for (const entry of late) first.entered({ ...entry, joined: { ...entry.joined, model: 'next+0' } });
  expect(act(first, 2, 'next+1')).toBe('unsure');
  await first.save();
  expect(act(open('next'), 2, 'next+1')).toBe('unsure');
  expect(act(open('third'), 3, 'third+0')).toBe('tag');
});

test('a task without a decision has none, and of mails of two labels every verdict says what becomes of it', async () => {
  const channel = 'deciding-test';
  const tasks = `
  spam: { from: [in], event: email, labels: [ham, spam], minLabels: 4, minPerLabel: 1,
          decision: { tag: 0.09, window: 60, allow: [friend.example] } }
  kind: { from: [in], event: email, labels: [a, b, c] }
  plain: { from: [in], event: email, labels: [ham, spam], decision: { tag: off } }`;
  const config = parseConfig(
    `site: s
sources: { in: { type: memory, channel: ${channel}, topics: [mail] } }
sinks: { out: { type: memory, channel: ${channel} } }
tasks: ${tasks}
store: { path: ${JSON.stringify(path.join(folder, 'gateway'))} }
http: { listen: "127.0.0.1:0" }`,
    'test.yaml',
    { env: {} },
  );
  const engine = openEngine({ threads: 1 });
  const { published, push } = bound(channel);
  let gateway = await Gateway.start(config, { engine, clock: systemClock, telemetry });
  const send = async (n: number, words: string, from = `a${n}@x.example`) => {
    const before = published('spam').length;
    push(`Message-ID: <m${n}@x.example>\r\nFrom: ${from}\r\nSubject: ${words}\r\n\r\n${words} ${words}\r\n`);
    while (published('spam').length === before) await systemClock.sleep(2);
    return published('spam').at(-1)!;
  };
  const labels = async (pairs: readonly (readonly [number, string])[]) => {
    for (const [n, label] of pairs) {
      memoryChannel(channel).push({
        topic: 'sluice/s/spam/feedback',
        payload: JSON.stringify({ messageId: `m${n}@x.example`, label }),
      });
    }
  };
  const learned = async (n: number) => {
    while ((await telemetry.value('labels_learned', { task: 'spam' })) < n) await systemClock.sleep(2);
  };
  try {
    expect(await send(0, 'lunch today')).toMatchObject({ label: null, state: 'learning', action: 'none' });
    for (let n = 1; n < 8; n++) await send(n, n % 2 ? 'cheap pills' : 'lunch today');
    await labels([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n, n % 2 ? 'spam' : 'ham']));
    await learned(8);
    expect(await send(8, 'cheap pills')).toMatchObject({
      label: 'spam',
      action: 'unsure',
      reason: 'evidence',
    });
    for (let n = 10; n < 50; n++) expect((await send(n, 'lunch today')).action).toBe('none');
    await labels(Array.from({ length: 40 }, (_, i) => [10 + i, 'ham']));
    // Told every second.
    while ((await telemetry.value('decision_confirmed', { task: 'spam' })) < 40) await systemClock.sleep(20);
    expect(await send(60, 'cheap pills')).toMatchObject({ label: 'spam', action: 'tag' });
    await gateway.stop();
    gateway = await Gateway.start(config, { engine, clock: systemClock, telemetry });
    expect(await send(61, 'cheap pills')).toMatchObject({ label: 'spam', action: 'tag' });
    const friend = await send(62, 'cheap pills', 'joe@friend.example');
    expect(friend).toMatchObject({ label: 'spam', action: 'none', reason: 'allowed' });
    for (const name of ['kind', 'plain'])
      for (const verdict of published(name)) expect(Object.keys(verdict)).not.toContain('action');
  } finally {
    await gateway.stop();
    dropMemoryChannel(channel);
  }
});

interface Data {
  readonly action?: string;
  readonly [field: string]: unknown;
}

function bound(name: string) {
  const channel = memoryChannel(name);
  return {
    push: (text: string) => void channel.push({ topic: 'mail', payload: text }),
    published: (of: string): Data[] =>
      channel.published
        .filter(({ topic }) => topic === `sluice/s/${of}/verdict`)
        .map(({ payload }) => (JSON.parse(String(payload)) as { data: Data }).data),
  };
}
