import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DeadLetter, Message, Store } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { ByteReader } from '../../src/state/codec.ts';
import { encodeLetter, readLetter } from '../../src/state/letter.ts';
import { Seal } from '../../src/state/sealing.ts';
import { type Bench, bench } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(() => here.done());

const original = (text: string): Message => ({
  source: 'mail',
  topic: 'mail.inbound',
  key: 'k',
  payload: Uint8Array.from(Buffer.from(text)),
  headers: { ce_id: text, ['__proto__']: 'x' },
  at: 5,
  position: 'p/0/1',
  label: 'spam',
});

const letter = (text: string, task = 'spam'): Omit<DeadLetter, 'id'> => ({
  task,
  code: 'DECODE_JSON',
  message: `cannot use ${text}`,
  receivedAt: 9,
  original: original(text),
});

describe('dead letters', () => {
  test('keep the whole original, newest first, under rising ids that are never given twice', async () => {
    const store = await here.open();
    const ids = await store.dead.put([letter('a'), letter('b', 'machine'), letter('c')]);
    expect(ids).toEqual(['1', '2', '3']);
    expect(store.dead.get('2')).toEqual({ ...letter('b', 'machine'), id: '2' });
    expect(store.dead.list().map(({ id }) => id)).toEqual(['3', '2', '1']);
    expect(store.dead.list({ task: 'spam', limit: 1 }).map(({ id }) => id)).toEqual(['3']);
    expect(await store.dead.drop(['3', '3', '77', 'x', '-1', '1e3', ''])).toBe(1);
    await store.close();
    const again = await here.open();
    expect(again.dead.get('3')).toBeNull();
    expect(await again.dead.put([letter('d')])).toEqual(['4']);
    expect(again.dead.list().map(({ id }) => id)).toEqual(['4', '2', '1']);
  });

  test('lists more than a page', async () => {
    const store = await here.open();
    await store.dead.put(Array.from({ length: 700 }, (_, i) => letter(`${i}`, i % 2 ? 'odd' : 'even')));
    expect(store.dead.list({ limit: 1_000 }).map(({ id }) => Number(id))).toEqual(
      Array.from({ length: 700 }, (_, i) => 700 - i),
    );
    expect(store.dead.list({ task: 'odd', limit: 1_000 })).toHaveLength(350);
    expect(store.dead.list()).toHaveLength(100);
  });

  test('a marked letter waits for its replay until it is dropped, over restarts', async () => {
    const store = await here.open();
    await store.dead.put([letter('a'), letter('b'), letter('c')]);
    expect(await store.dead.markReplay(['3', '1', '9'])).toBe(2);
    expect(store.dead.replays(10).map(({ id }) => id)).toEqual(['1', '3']);
    expect(store.dead.replays(1).map(({ id }) => id)).toEqual(['1']);
    await store.close();
    const again = await here.open();
    expect(again.dead.replays(10)).toEqual([
      { ...letter('a'), id: '1' },
      { ...letter('c'), id: '3' },
    ]);
    await again.dead.drop(['1']);
    expect(again.dead.replays(10).map(({ id }) => id)).toEqual(['3']);
  });

  test('a tool beside the gateway marks and drops; the gateway sees it, and erases at its sweep', async () => {
    const gateway = await here.open();
    await gateway.dead.put([letter('a'), letter('b'), letter('c')]);
    const tool = await here.open({}, 'tool');
    expect(tool.dead.list()).toHaveLength(3);
    expect(await tool.dead.drop(['1'])).toBe(1);
    expect(await tool.dead.markReplay(['1', '2'])).toBe(1);
    expect(tool.dead.get('1')).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(gateway.dead.get('1')).toBeNull();
    expect(gateway.dead.replays(9).map(({ id }) => id)).toEqual(['2']);
    await gateway.sweep();
    expect(gateway.dead.list().map(({ id }) => id)).toEqual(['3', '2']);
    await expect(tool.dead.put([letter('d')])).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await expect(tool.outbox.append('s', [{ topic: 't', key: null, payload: '' }])).rejects.toMatchObject({
      code: 'STORE_LOCKED',
    });
  });

  test('keep: digest leaves where it came from, its SHA-256 and its size, and is not replayed', async () => {
    const store = await here.open({ dead: { keep: 'digest' } });
    const [id] = await store.dead.put([letter('secret words')]);
    const kept = store.dead.get(id);
    expect(kept?.original.payload).toHaveLength(0);
    expect(kept?.original.headers).toEqual({
      'sluice-sha256': '90e132a8e71a48078f8c7dd31c62b6518c497b07863ec1e70403b906e5e202d5',
      'sluice-size': '12',
    });
    expect(kept?.original.key).toBeNull();
    expect(await store.dead.markReplay([id])).toBe(0);
  });

  describe('encrypted', () => {
    const key = 'a key of the fleet';
    const limits = { dead: { keep: 'encrypted' } };

    test('nothing that was written stands in the store, and with the key all of it comes back', async () => {
      const store = await here.open(limits, 'gateway', key);
      const rosa = { ...letter('a'), original: original('Rosa wrote this') };
      const [id] = await store.dead.put([rosa]);
      expect(store.dead.get(id)).toEqual({ ...rosa, id });
      await store.dead.markReplay([id]);
      await store.close();
      const bytes = readFileSync(join(here.folder, 'data.mdb'));
      for (const word of ['Rosa wrote', 'ce_id']) expect(bytes.includes(word), word).toBe(false);
      expect(bytes.includes('mail.inbound')).toBe(true);
      const again = await here.open(limits, 'gateway', key);
      expect(again.dead.replays(9)).toEqual([{ ...rosa, id }]);
    });

    test('without the key, or with another, a letter is listed by its digest and refused to whoever asks', async () => {
      const gateway = await here.open(limits, 'gateway', key);
      const [id] = await gateway.dead.put([letter('secret words')]);
      for (const other of [undefined, 'another key of the fleet']) {
        const tool = await here.open({}, 'tool', other);
        const [listed] = tool.dead.list();
        expect(listed).toMatchObject({ id, code: 'DECODE_JSON', task: 'spam' });
        expect(listed.original).toMatchObject({
          key: null,
          topic: 'mail.inbound',
          headers: { 'sluice-size': '12' },
        });
        expect(listed.original.payload).toHaveLength(0);
        expect(() => tool.dead.get(id)).toThrow(expect.objectContaining({ code: 'DEAD_LOCKED' }));
        await expect(tool.dead.markReplay([id])).rejects.toMatchObject({ code: 'DEAD_LOCKED' });
        await tool.close();
      }
      const tool = await here.open({}, 'tool', key);
      expect(tool.dead.get(id)?.original).toEqual(original('secret words'));
    });

    test('letters under an older key are told and stepped over by a replay; those of today go through', async () => {
      const before = await here.open(limits, 'gateway', 'an older key of the fleet');
      const [old] = await before.dead.put([letter('old')]);
      await before.dead.markReplay([old]);
      await before.close();
      const store = await here.open(limits, 'gateway', key);
      const [young] = await store.dead.put([letter('young')]);
      await store.dead.markReplay([young]);
      expect(store.dead.replays(9).map(({ id }) => id)).toEqual([young]);
      expect(await store.dead.drop([old])).toBe(1);
    });

    test('no store is opened to encrypt without a key', async () => {
      await expect(here.open(limits)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      expect((await here.open({}, 'gateway')).dead.list()).toEqual([]);
    });

    test('any altered byte is refused with a code, never believed and never a crash', () => {
      const seal = new Seal(key, new Uint8Array(8));
      const message = { ...letter('secret words'), original: original('secret words') };
      const head = { storedAt: 3, keep: 'encrypted' } as const;
      const stored = encodeLetter(message, 7, head, seal);
      const read = (bytes: Buffer, number = 7) => {
        // As an attacker would, who can compute a checksum.
        bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
        return readLetter(new ByteReader(bytes), number, seal).open();
      };
      expect(read(Buffer.from(stored))).toEqual({ ...message, id: '7' });
      expect(() => read(Buffer.from(stored), 8)).toThrow(expect.objectContaining({ code: 'DEAD_ALTERED' }));
      for (let at = 5; at < stored.length; at++) {
        const altered = Buffer.from(stored);
        altered[at] ^= 1 + (at % 255);
        try {
          const { original: got } = read(altered);
          // Only where the letter no longer says that it is sealed: then nothing secret is given.
          expect(got.payload, `byte ${at}`).toHaveLength(0);
        } catch (error) {
          expect(error).toBeInstanceOf(SluiceError);
          expect(['DEAD_ALTERED', 'DEAD_LOCKED', 'STORE_CORRUPT'], `byte ${at}`).toContain(
            (error as SluiceError).code,
          );
        }
      }
    });

    test('equal letters do not look equal, and text that is no Unicode survives', () => {
      const seal = new Seal(key, new Uint8Array(8));
      const odd = {
        ...letter('x'),
        message: 'half \ud800',
        original: { ...original('x'), topic: 'half \udc00' },
      };
      const head = { storedAt: 3, keep: 'encrypted' } as const;
      const [one, two] = [1, 2].map(() => encodeLetter(odd, 1, head, seal));
      expect(one.subarray(-40).equals(two.subarray(-40))).toBe(false);
      const { open } = readLetter(new ByteReader(one), 1, seal);
      expect(open()).toMatchObject({ message: 'half \ufffd', original: { topic: 'half \ufffd', key: 'k' } });
    });
  });

  test('the oldest give way to the limits in bytes and age', async () => {
    const store = await here.open({ dead: { bytes: '100kB', age: '1d' } });
    for (let n = 0; n < 40; n++) await store.dead.put([letter(`${n} ${'x'.repeat(10_000)}`)]);
    const left = store.dead.list();
    expect(left.length).toBeGreaterThan(1);
    expect(left.length).toBeLessThan(5);
    expect(left[0].id).toBe('40');
    here.clock.ms += 2 * 86_400_000;
    await store.dead.put([letter('young')]);
    await store.sweep();
    expect(store.dead.list().map(({ id }) => id)).toEqual(['41']);
  });
});

describe('waiting feedback', () => {
  test('is found under any of its names until it is removed, over restarts', async () => {
    const store = await here.open();
    expect(store.waiting.find('spam', ['a'])).toEqual([]);
    const put = store.waiting.put('spam', ['a', 'mid:<a>', 'a'], 'first', 1);
    expect(store.waiting.find('spam', ['mid:<a>'])).toMatchObject([{ feedback: 'first' }]);
    await put;
    await store.waiting.put('spam', ['b', 'a'], 'second', 2);
    await store.waiting.put('machine', ['a'], 'other', 3);
    await store.close();
    const again = await here.open();
    expect(again.waiting.size).toBe(3);
    const found = again.waiting.find('spam', ['x', 'a', 'b']);
    expect(found.map(({ feedback }) => feedback)).toEqual(['first', 'second']);
    await again.waiting.remove([found[0].key, 'nonsense', found[0].key]);
    expect(again.waiting.find('spam', ['a']).map(({ feedback }) => feedback)).toEqual(['second']);
    await again.close();
    const third = await here.open();
    expect(third.waiting.size).toBe(2);
    expect(third.waiting.find('spam', ['mid:<a>'])).toEqual([]);
  });

  test('is given page by page in order of arrival, task by task, what is under way included', async () => {
    const store = await here.open();
    expect(store.waiting.entries('spam', 10)).toEqual([]);
    const puts = Array.from({ length: 23 }, (_, n) =>
      store.waiting.put(n % 3 === 0 ? 'machine' : 'spam', [`e${n}`, `mid:<${n}>`], `feedback ${n}`, n),
    );
    const pages = (of: Store, limit: number) => {
      const all: ReturnType<Store['waiting']['entries']> = [];
      for (let after: string | undefined; ; after = all[all.length - 1].key) {
        const page = of.waiting.entries('spam', limit, after);
        all.push(...page);
        if (page.length < limit) return all;
      }
    };
    const expected = Array.from({ length: 23 }, (_, n) => n)
      .filter((n) => n % 3 !== 0)
      .map((n) => ({ key: expect.any(String), names: [`e${n}`, `mid:<${n}>`], feedback: `feedback ${n}` }));
    expect(pages(store, 4)).toEqual(expected);
    await Promise.all(puts);
    expect(pages(store, 4)).toEqual(expected);
    await store.close();
    const again = await here.open();
    const all = pages(again, 100);
    expect(all).toEqual(expected);
    // What is removed between two pages takes nothing else with it.
    const first = again.waiting.entries('spam', 5);
    await again.waiting.remove(first.map(({ key }) => key));
    expect(again.waiting.entries('spam', 100, first[4].key)).toEqual(all.slice(5));
    expect(again.waiting.find('spam', [all[5].names[1]])).toEqual([
      { key: all[5].key, feedback: all[5].feedback },
    ]);
    expect(again.waiting.entries('nobody', 5)).toEqual([]);
    expect(again.waiting.entries('spam', 5, all[all.length - 1].key)).toEqual([]);
  });

  test('expires by age and gives way by count, and every loss is counted once, by task', async () => {
    const store = await here.open({ waiting: { count: 10, age: '1m' } });
    for (let n = 0; n < 14; n++) await store.waiting.put('spam', [`s${n}`], `${n}`, here.clock.ms + n);
    await store.waiting.put('machine', ['m'], 'm', here.clock.ms);
    expect(store.waiting.size).toBe(10);
    expect(store.waiting.find('spam', ['s0'])).toEqual([]);
    expect(await store.waiting.expire(here.clock.ms)).toEqual(new Map([['spam', 5]]));
    expect(await store.waiting.expire(here.clock.ms)).toEqual(new Map());
    here.clock.ms += 60_010;
    await store.sweep();
    const left = store.waiting.size;
    const lost = await store.waiting.expire(here.clock.ms + 1);
    expect((lost.get('spam') ?? 0) + (lost.get('machine') ?? 0)).toBe(10);
    expect(left).toBeLessThan(10);
    expect(store.waiting.size).toBe(0);
    await store.close();
    expect((await here.open()).waiting.size).toBe(0);
  });
});
