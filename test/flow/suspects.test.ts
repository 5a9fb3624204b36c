import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Message } from '../../src/contract.ts';
import { Suspects } from '../../src/flow/suspects.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-suspects-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

let now = 1_000_000;
const start = (maxInFlight = 4) => new Suspects(folder, maxInFlight, () => now);
const message = (position: string): Message => ({
  source: 's',
  topic: 't',
  key: null,
  payload: Buffer.from('x'),
  headers: {},
  at: 0,
  position,
});

/** Starts that end without `close`, a second apart. */
function crash(times: number): void {
  for (let i = 0; i < times; i++) {
    start();
    now += 1_000;
  }
}

test('a message that ends the process every time is buried, after the crashes that made it suspect and two alone', () => {
  crash(3);
  const first = start();
  expect(first.careful).toBe(true);
  expect(first.admit(message('good'))).toBe(true);
  first.cleared();
  expect(first.admit(message('poison'))).toBe(true);
  const second = start();
  expect(second.careful).toBe(true);
  expect(second.admit(message('poison'))).toBe(true);
  const third = start();
  expect(third.admit(message('other'))).toBe(true);
  third.cleared();
  expect(third.admit(message('poison'))).toBe(false);
});

test('a kill from outside buries nobody: the message that was hit once goes through the next time', () => {
  crash(3);
  start().admit(message('innocent'));
  const next = start();
  expect(next.admit(message('innocent'))).toBe(true);
  next.cleared();
  start().admit(message('another'));
  expect(start().admit(message('innocent'))).toBe(true);
});

test('messages go one at a time only for as many as can have been in flight, then all is forgotten', () => {
  crash(3);
  const careful = start(2);
  for (const name of ['a', 'b']) {
    expect(careful.careful).toBe(true);
    careful.admit(message(name));
    careful.cleared();
  }
  expect(careful.careful).toBe(false);
  expect(start().careful).toBe(false);
});

test('a clean stop, or a restart long after, is no crash loop', () => {
  for (let i = 0; i < 6; i++) {
    const clean = start();
    expect(clean.careful).toBe(false);
    clean.close();
  }
  expect(existsSync(path.join(folder, 'running.json'))).toBe(false);
  for (let i = 0; i < 6; i++) {
    expect(start().careful).toBe(false);
    now += 200_000;
  }
});

test('a damaged mark is no failure', async () => {
  await writeFile(path.join(folder, 'running.json'), '{"lives":');
  expect(start().careful).toBe(false);
});
