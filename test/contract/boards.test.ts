/** What is put on a board is there for whoever comes later, on every transport that can publish. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Board } from '../../src/contract.ts';
import { type TransportName, transports } from '../../src/io/index.ts';
import { fresh, type Rig, rigs } from './rigs.ts';

const sending = (Object.keys(transports) as TransportName[]).filter((name) => transports[name].sink !== null);

describe.each(sending)('%s', (transport) => {
  const { missing, make } = rigs[transport];
  let rig: Rig;
  let board: Board;
  /** Names say their task in the third level: a task of its own for each test. */
  let task = '';

  beforeEach(async (context) => {
    if (missing) return context.skip(missing);
    rig = await make();
    board = rig.sink!.board('one');
    task = fresh('task');
  });
  afterEach(async () => {
    await board?.close();
    await rig?.close();
  });

  const open = (name: string): Board => {
    const opened = rig.sink!.board(name);
    onTestFinished(() => opened.close());
    return opened;
  };

  async function seen(on: Board, pattern: string, wanted: (values: Map<string, string>) => boolean) {
    const values = new Map<string, string>();
    const { stop } = on.watch(pattern, (name, payload) =>
      values.set(name, Buffer.from(payload).toString('latin1')),
    );
    for (const end = Date.now() + 20_000; !wanted(values) && Date.now() < end; )
      await new Promise((done) => setTimeout(done, 10));
    await stop();
    expect(wanted(values), JSON.stringify([...values.keys()])).toBe(true);
    return values;
  }

  test('a value is seen by who watches already and by who comes later; the last one stays', async () => {
    const name = `all/models/${task}/desired`;
    await board.put(name, 'first');
    const live: string[] = [];
    const watcher = open('two').watch(name, (_name, payload) => live.push(Buffer.from(payload).toString()));
    for (const end = Date.now() + 20_000; live.length === 0 && Date.now() < end; )
      await new Promise((done) => setTimeout(done, 10));
    await board.put(name, 'second');
    await seen(open('three'), name, (values) => values.get(name) === 'second');
    await watcher.stop();
    expect(live).toEqual(['first', 'second']);
  }, 60_000);

  test('a plus stands for one level, and pieces of 256 KiB arrive byte for byte', async () => {
    const pieces = [0, 1, 2].map(() => randomBytes(256 * 1024));
    for (const [n, piece] of pieces.entries()) await board.put(`all/models/${task}/blob/abc/${n}`, piece);
    await board.put(`all/models/${task}/blob/other/0`, 'no');
    await board.put(`all/models/${task}/desired`, 'no');
    const values = await seen(open('two'), `all/models/${task}/blob/abc/+`, ({ size }) => size === 3);
    for (const [n, piece] of pieces.entries())
      expect(Buffer.from(values.get(`all/models/${task}/blob/abc/${n}`)!, 'latin1').equals(piece)).toBe(true);
  }, 60_000);

  test('what was removed is not seen by who comes later', async () => {
    await board.put(`all/models/${task}/a`, 'x');
    await board.put(`all/models/${task}/b`, 'y');
    await board.put(`all/models/${task}/a`, null);
    await board.put(`all/models/${task}/b`, 'z');
    const values = await seen(open('two'), `all/models/${task}/+`, (all) => [...all.values()].includes('z'));
    // A compacted topic may still hold the old value, but what is seen last is what counts.
    if (transport !== 'kafka') expect([...values.keys()]).toEqual([`all/models/${task}/b`]);
  }, 60_000);

  test('a name with wildcards or empty levels is refused', async () => {
    for (const name of ['all/+/x/y', 'all//x', 'all/#', ''])
      await expect(board.put(name, 'x')).rejects.toMatchObject({ code: 'BROKER_REFUSED' });
  });

  test('a board whose broker is away says so and refuses in bounded time', async () => {
    const away = rig.sink!.boardAway('gone');
    onTestFinished(() => away.close());
    await expect(away.put(`all/models/${task}/a`, 'x')).rejects.toMatchObject({
      code: expect.stringMatching(/BROKER_UNREACHABLE|PUBLISH_FAILED/),
    });
    expect(away.health().ok).toBe(false);
  }, 60_000);
});
