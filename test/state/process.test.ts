/** What needs a process of its own: kills, damage, locks, a full disk. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../src/contract.ts';
import { checkFile } from '../../src/state/check.ts';
import { ByteWriter } from '../../src/state/codec.ts';
import { Lmdb, nameKey, STORE_TABLES } from '../../src/state/database.ts';
import { compiled } from '../compiled.ts';
import { type Bench, batchOf, bench, type Child, joinedOf, random, startChild } from './support.ts';

let script: string;
beforeAll(async () => {
  script = await compiled('test/state/child.ts');
});

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(() => here.done());

const run = (...args: string[]): Child => startChild(process.execPath, [script, ...args]);

/** Everything a line said is there. */
function holds(store: Store, line: string): void {
  const [what, ...words] = line.split(' ');
  const numbers = words.map(Number);
  if (what === 'join')
    for (let i = 0; i < numbers[1]; i += 13) {
      expect(store.join.find('spam', `e-${words[0]}-${i}`)?.id, line).toBe(`e-${words[0]}-${i}`);
      expect(store.join.find('spam', `mid:${words[0]}-${i}`)?.id, line).toBe(`e-${words[0]}-${i}`);
    }
  else if (what === 'journal')
    expect(store.journal.labelOf('spam', words[1]), line).toEqual({ seq: numbers[0], label: numbers[2] });
  else if (what === 'dead')
    expect(Buffer.from(store.dead.get(words[0])?.original.payload ?? []).toString(), line).toBe(
      `dead ${words[1]}`,
    );
  else if (what === 'waiting')
    expect(store.waiting.find('spam', [`w-${words[0]}`])[0]?.feedback, line).toBe(`feedback ${words[0]}`);
}

describe('SIGKILL', () => {
  test('loses nothing that was called durable, kill after kill', async () => {
    const next = random(21);
    const lines: string[] = [];
    for (let round = 1; round <= 4; round++) {
      const child = run('churn', here.folder, String(round));
      await child.saidSo(20 + Math.floor(next() * 300));
      await new Promise((resolve) => setTimeout(resolve, next() * 50));
      child.kill();
      expect((await child.ended).signal).toBe('SIGKILL');
      lines.push(...child.lines);
      const store = await here.open({ join: { bytes: '64MiB' } });
      for (const line of lines) holds(store, line);
      expect(await here.telemetry.value('store_set_aside')).toBe(0);
      checkOutbox(store, lines);
      checkSnapshots(store, lines);
      checkJournal(store, lines);
      await store.close();
    }
  }, 60_000);
});

/** All durable runs are there, whole and in the order of their first numbers per child. */
function checkOutbox(store: Store, lines: readonly string[]): void {
  for (const sink of ['sink-0', 'sink-1']) {
    const there = store.outbox.peek(sink, 1e7, 1e12).messages.map(({ payload }) => Number(payload));
    expect(there).toHaveLength(store.outbox.size(sink).messages);
    const position = new Map(there.map((payload, i) => [payload, i]));
    for (const line of lines) {
      const [what, of, first, count] = line.split(' ');
      if (what !== 'outbox' || of !== sink) continue;
      const at = position.get(Number(first)) ?? -1;
      expect(there.slice(at, at + Number(count)), line).toEqual(
        Array.from({ length: Number(count) }, (_, i) => Number(first) + i),
      );
    }
  }
}

function checkSnapshots(store: Store, lines: readonly string[]): void {
  const saved = lines
    .filter((line) => line.startsWith('snapshot '))
    .map((line) => Number(line.split(' ')[1]));
  if (saved.length === 0) return;
  const newest = store.snapshots.newest('spam');
  expect(newest?.journal).toBeGreaterThanOrEqual(Math.max(...saved));
  const fill = (newest?.journal ?? 0) % 251;
  expect(newest?.parts.model).toEqual(new Uint8Array(50_000).fill(fill));
  expect(newest?.parts.quality).toEqual(Uint8Array.of(fill));
}

function checkJournal(store: Store, lines: readonly string[]): void {
  const said = lines.filter((line) => line.startsWith('journal ')).map((line) => Number(line.split(' ')[1]));
  const { entries } = store.journal.read('spam', 0, 1e6);
  const there = new Set(entries.map(({ seq }) => seq));
  expect(there.size).toBe(entries.length);
  for (const seq of said) expect(there.has(seq)).toBe(true);
}

describe('the lock', () => {
  test('keeps a second gateway out, names the pid, and is free after SIGKILL', async () => {
    const child = run('hold', here.folder);
    await child.said('held');
    await expect(here.open()).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringContaining(String(child.pid)),
    });
    const tool = await here.open({}, 'tool');
    expect(tool.dead.list()).toEqual([]);
    await tool.close();
    child.kill();
    await child.ended;
    const store = await here.open();
    await expect(here.open()).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringContaining(String(process.pid)),
    });
    await store.close();
    await (await here.open()).close();
    expect(readdirSync(here.folder).filter((name) => /lock-|socket/.test(name))).toEqual([]);
  });

  test('lets exactly one of many in, beside the files of dead ones', async () => {
    for (let n = 0; n < 2; n++) {
      const dead = run('hold', here.folder);
      await dead.said('held');
      dead.kill();
      await dead.ended;
    }
    const children = Array.from({ length: 6 }, () => run('hold', here.folder));
    const outcomes = await Promise.all(
      children.map((child) => child.said('held').catch(() => child.lines.join())),
    );
    expect(outcomes.filter((line) => line === 'held')).toHaveLength(1);
    for (const line of outcomes) expect(line).toMatch(/^held$|^failed STORE_LOCKED/);
    for (const child of children) child.kill();
    await Promise.all(children.map((child) => child.ended));
  }, 60_000);

  test('works in a folder with a path longer than a socket may have', async () => {
    const deep = bench();
    const folder = join(deep.folder, 'x'.repeat(120), 'y'.repeat(120));
    mkdirSync(folder, { recursive: true });
    const child = run('hold', folder);
    await child.said('held');
    const second = run('hold', folder);
    expect((await second.ended).code).toBe(3);
    expect(second.lines[0]).toMatch(/^failed STORE_LOCKED/);
    child.kill();
    await child.ended;
    await deep.done();
  });
});

describe('a tool in another process', () => {
  test('marks letters while the gateway writes; the gateway sees the marks', async () => {
    const store = await here.open();
    const original = {
      source: 's',
      topic: 't',
      key: null,
      payload: Uint8Array.of(1),
      headers: {},
      at: 1,
      position: '',
    };
    const letter = { task: 'spam', code: 'DECODE_JSON', message: 'no', receivedAt: 1, original };
    await store.dead.put([letter, letter, letter]);
    await store.join.put(batchOf('spam', [{ id: 'e-1' }]));
    const tool = run('mark', here.folder);
    let over = false;
    const ended = tool.ended.finally(() => {
      over = true;
    });
    for (let n = 0; !over; n++) await store.join.put(batchOf('spam', [{ id: `busy-${n}` }]));
    const { code, stderr } = await ended;
    expect(tool.lines, stderr).toEqual(['dropped 1', 'marked 2', 'sees 3,2', 'joined e-1']);
    expect(code).toBe(0);
    expect(store.dead.replays(9).map(({ id }) => id)).toEqual(['2', '3']);
    expect(store.dead.get('1')).toBeNull();
    await store.sweep();
    expect(await store.dead.put([letter])).toEqual(['4']);
  });
});

describe('versions', () => {
  test('a store of a newer format is refused and left as it is', async () => {
    await (await here.open()).close();
    const lmdb = new Lmdb(here.folder, 2 ** 30, here.telemetry, STORE_TABLES);
    const value = new ByteWriter().u32(99).u32(1).u32(2).f64(3).seal();
    await lmdb.write([{ table: lmdb.tables.meta, key: nameKey('version'), value }]);
    await lmdb.close();
    await expect(here.open()).rejects.toMatchObject({ code: 'STORE_VERSION' });
    await expect(here.open({}, 'tool')).rejects.toMatchObject({ code: 'STORE_VERSION' });
    expect(await here.telemetry.value('store_set_aside')).toBe(0);
    expect(readdirSync(join(here.folder, '..'))).toEqual(['state']);
  });

  test('only its owner may read the store', async () => {
    await (await here.open()).close();
    for (const name of ['', 'data.mdb', 'lock.mdb'])
      expect(statSync(join(here.folder, name)).mode & 0o077, name).toBe(0);
  });

  test('a tool makes no store where there is none', async () => {
    await expect(here.open({}, 'tool')).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
    expect(existsSync(here.folder)).toBe(false);
  });
});

describe('damage', () => {
  let whole: string;
  let around: string;

  beforeAll(async () => {
    around = mkdtempSync(join(tmpdir(), 'sluice-damage-'));
    const filled = bench();
    const child = run('churn', filled.folder, '3');
    await child.saidSo(500);
    child.kill();
    await child.ended;
    whole = join(around, 'whole.mdb');
    copyFileSync(join(filled.folder, 'data.mdb'), whole);
    await filled.done();
  }, 60_000);
  afterAll(() => rmSync(around, { recursive: true, force: true }));

  const damaged: Readonly<Record<string, (file: string) => void>> = {
    'an empty file': (file) => writeFileSync(file, ''),
    'a file of zeros': (file) => writeFileSync(file, Buffer.alloc(statSync(file).size)),
    'a file of noise': (file) =>
      writeFileSync(
        file,
        Buffer.from(Array.from({ length: 90_000 }, random(1), 0).map((x) => Number(x) * 256)),
      ),
    'a short text': (file) => writeFileSync(file, 'this is no store'),
    'half of the file': (file) => truncateSync(file, statSync(file).size >> 1),
    'one page cut off in the middle': (file) => truncateSync(file, (statSync(file).size >> 1) + 1_234),
    'only the heads': (file) => truncateSync(file, 8_192),
  };
  test.each(Object.entries(damaged))(
    '%s is set aside, loudly, and a fresh store begun',
    async (_, damage) => {
      mkdirSync(here.folder, { recursive: true });
      const file = join(here.folder, 'data.mdb');
      copyFileSync(whole, file);
      damage(file);
      const bytes = readFileSync(file);
      await expect(here.open({}, 'tool')).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
      const store = await here.open();
      expect(await here.telemetry.value('store_set_aside')).toBe(1);
      await store.join.put(batchOf('spam', [{ id: 'new' }]));
      expect(store.join.find('spam', 'new')?.id).toBe('new');
      const [aside] = readdirSync(join(here.folder, '..')).filter((name) =>
        name.startsWith('state.damaged-'),
      );
      expect(readFileSync(join(here.folder, '..', aside, 'data.mdb')).equals(bytes)).toBe(true);
    },
  );

  test('random damage never ends the process: the store works, with or without what was there', async () => {
    const next = random(Number(process.env.SLUICE_FUZZ_SEED ?? 8));
    const rounds = Number(process.env.SLUICE_FUZZ_ROUNDS ?? 10);
    for (let round = 0; round < rounds; round++) {
      const folder = join(here.folder, String(round));
      mkdirSync(folder, { recursive: true });
      const file = join(folder, 'data.mdb');
      copyFileSync(whole, file);
      maul(file, next);
      const child = run('probe', folder);
      const { code, signal, stderr } = await child.ended;
      const said = child.lines.at(-1) ?? '';
      expect({ code, signal, said: said.slice(0, 2) }, `round ${round}: ${said} ${stderr}`).toEqual({
        code: 0,
        signal: null,
        said: 'ok',
      });
      rmSync(folder, { recursive: true });
    }
  }, 120_000);

  test('a damaged value loses itself and nothing else, and is told', async () => {
    const store = await here.open();
    for (const name of ['first', 'victim', 'third'])
      await store.join.put(
        batchOf(
          'spam',
          Array.from({ length: 100 }, (_, i) => ({ id: `${name}-${i}` })),
        ),
      );
    for (const name of ['before', 'target', 'behind'])
      await store.outbox.append(
        'sink',
        Array.from({ length: 100 }, (_, i) => ({ topic: name, key: null, payload: `${i}` })),
      );
    await store.close();
    const file = join(here.folder, 'data.mdb');
    const bytes = readFileSync(file);
    for (const word of ['victim-40', 'target'])
      for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1)) bytes[at] ^= 1;
    writeFileSync(file, bytes);
    const again = await here.open();
    expect(again.join.find('spam', 'victim-3')).toBeNull();
    expect(again.join.find('spam', 'first-3')?.id).toBe('first-3');
    expect(again.join.find('spam', 'third-99')?.id).toBe('third-99');
    const { messages, through } = again.outbox.peek('sink', 1_000, 1e9);
    expect(messages.map(({ topic }) => topic)).toEqual([
      ...Array(100).fill('before'),
      ...Array(100).fill('behind'),
    ]);
    expect(await here.telemetry.value('outbox_dropped', { sink: 'sink' })).toBe(100);
    await again.outbox.remove('sink', through);
    expect(again.outbox.size('sink')).toEqual({ messages: 0, bytes: 0 });
    expect(await here.telemetry.value('store_set_aside')).toBe(0);
    expect(await here.telemetry.value('store_failed')).toBeGreaterThanOrEqual(2);
  });

  test('an undamaged file passes the check', () => {
    expect(checkFile(whole)).toMatchObject({ ok: true });
  });
});

/** Flips bits, overwrites runs, swaps pages or cuts the end. */
function maul(file: string, next: () => number): void {
  const { size } = statSync(file);
  const fd = openSync(file, 'r+');
  const kind = next();
  const hits = kind < 0.25 ? 1 + Math.floor(next() * 3) : kind < 0.5 ? 1 + Math.floor(next() * 300) : 1;
  for (let hit = 0; hit < hits; hit++) {
    const length = kind < 0.5 ? 1 : kind < 0.75 ? 4_096 : 1 + Math.floor(next() * 60_000);
    // Early pages hold the trees; aim at them half of the time.
    const at = Math.floor((next() < 0.5 ? 40 * 4_096 : size) * next());
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = next() * 256;
    writeSync(fd, bytes, 0, Math.min(length, size - at), kind >= 0.5 && kind < 0.75 ? at - (at % 4_096) : at);
  }
  closeSync(fd);
  if (kind > 0.95) truncateSync(file, Math.floor(size * next()));
}

describe('a full disk', () => {
  test('refuses with STORE_FULL, keeps what was stored, and is healthy when there is room', async () => {
    // 6 MiB in blocks of 1 KiB; a write beyond fails with EFBIG, as on a full disk with ENOSPC.
    const limited = `ulimit -f ${6 * 1024} && exec "$0" "$@"`;
    const child = startChild('/bin/bash', ['-c', limited, process.execPath, script, 'fill', here.folder]);
    const { code, stderr } = await child.ended;
    expect(child.lines, stderr).toEqual([
      'refused STORE_FULL true',
      'health false',
      'size true',
      'drained true',
      'healthy again true',
      'done',
    ]);
    expect(code).toBe(0);
  });
});

describe('a large outbox', () => {
  test('adds nearly nothing to a start: nothing is read but the line of its sink', async () => {
    const store = await here.open();
    const messages = Array.from({ length: 1_000 }, () => ({
      topic: 't',
      key: null,
      payload: 'x'.repeat(1_000),
    }));
    for (let n = 0; n < 64; n++) await store.outbox.append('away', messages);
    await store.close();
    const before = process.memoryUsage().rss;
    const again = await here.open();
    expect(again.outbox.size('away').messages).toBe(64_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 ** 2);
    expect(again.outbox.peek('away', 2, 1e6).messages).toHaveLength(2);
  });
});

test('a closed store rejects, and says why', async () => {
  const store = await here.open();
  const entry = {
    task: 't',
    event: 'a',
    device: 'd',
    label: 1,
    weight: 1,
    origin: 'o',
    at: 1,
    joined: joinedOf('a'),
  };
  const last = store.journal.append([entry]);
  await store.close();
  await store.close();
  expect(await last).toHaveLength(1);
  for (const late of [
    store.journal.append([entry]),
    store.join.put(batchOf('t', [{ id: 'a' }])),
    store.outbox.append('s', [{ topic: 't', key: null, payload: '' }]),
    store.waiting.put('t', ['a'], 'x', 1),
  ])
    await expect(late).rejects.toMatchObject({ code: 'STORE_FAILED', message: 'the store is closed' });
});

test('a store that is closing refuses reads too, and ends in peace whatever still read from it', async () => {
  const faults: unknown[] = [];
  const seen = (error: unknown) => faults.push(error);
  process.on('uncaughtExceptionMonitor', seen);
  const store = await here.open();
  await store.join.put(batchOf('t', [{ id: 'a' }]));
  await store.journal.append([
    {
      task: 't',
      event: 'a',
      device: 'd',
      label: 1,
      weight: 1,
      origin: 'o',
      at: 1,
      joined: joinedOf('a'),
    },
  ]);
  await store.snapshots.save({ task: 't', journal: 1, labels: 1, at: 1, parts: {} });
  await store.waiting.put('t', ['b'], 'x', 1);
  await store.outbox.append('s', [{ topic: 't', key: null, payload: '' }]);
  const reads: Record<string, () => unknown> = {
    find: () => store.join.find('t', 'a'),
    span: () => store.join.span('t', 'd', 0, 1, 1),
    labelOf: () => store.journal.labelOf('t', 'a'),
    read: () => store.journal.read('t', 0, 1),
    newest: () => store.snapshots.newest('t'),
    waiting: () => store.waiting.find('t', ['b']),
    entries: () => store.waiting.entries('t', 1),
    peek: () => store.outbox.peek('s', 1, 1),
    list: () => store.dead.list(),
    get: () => store.dead.get('1'),
    replays: () => store.dead.replays(1),
  };
  for (const read of Object.values(reads)) read(); // a read transaction is open
  const closed = store.close();
  const refused = expect.objectContaining({ code: 'STORE_FAILED', message: 'the store is closed' });
  for (const read of Object.values(reads)) expect(read).toThrow(refused);
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const read of Object.values(reads)) expect(read).toThrow(refused);
  await closed;
  for (const read of Object.values(reads)) expect(read).toThrow(refused);
  await new Promise((resolve) => setTimeout(resolve, 20)); // timers of lmdb-js, if there were any left
  process.off('uncaughtExceptionMonitor', seen);
  expect(faults).toEqual([]);
  expect(await here.telemetry.value('store_failed')).toBe(0);
});
