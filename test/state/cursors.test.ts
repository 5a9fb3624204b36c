import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { failNext } from './failing.ts';
import { type Bench, bench } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await here.done();
});

test('a cursor is 0 until it is set, and outlives the process', async () => {
  const store = await here.open();
  expect(store.cursors.get('rows spam')).toBe(0);
  await store.cursors.set('rows spam', 41);
  await Promise.all([store.cursors.set('rows spam', 42), store.cursors.set('other', 7)]);
  expect([store.cursors.get('rows spam'), store.cursors.get('other')]).toEqual([42, 7]);
  await store.close();
  const again = await here.open();
  expect([again.cursors.get('rows spam'), again.cursors.get('other')]).toEqual([42, 7]);
});

test('a cursor stays where it was when the disk fails', async () => {
  const store = await here.open();
  await store.cursors.set('rows spam', 1);
  failNext();
  await expect(store.cursors.set('rows spam', 2)).rejects.toMatchObject({ code: 'STORE_FAILED' });
  expect(store.cursors.get('rows spam')).toBe(1);
});

test('a cursor is a position, and only the gateway moves it', async () => {
  const store = await here.open();
  for (const position of [-1, 0.5, Number.NaN, 2 ** 60])
    await expect(store.cursors.set('c', position)).rejects.toMatchObject({ code: 'INTERNAL' });
  await store.cursors.set('c', 3);
  const tool = await here.open({}, 'tool');
  expect(tool.cursors.get('c')).toBe(3);
  await expect(tool.cursors.set('c', 4)).rejects.toMatchObject({ code: 'STORE_LOCKED' });
});
