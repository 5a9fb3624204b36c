/** What the hub lays on a board: pieces before the word that names them, no older word over a newer one, nothing for ever. */
import { expect, test } from 'vitest';
import { Word } from '../../src/app/word.ts';
import type { Board, Desired, Registered } from '../../src/contract.ts';
import { newKey } from '../../src/model/signing.ts';

const digest = (letter: string) => letter.repeat(64);
const BYTES = 300_000;
const CHUNKS = 2;

function desired(serial: number, letter: string): Desired {
  return {
    ...{ group: 'default', task: 'machine', serial, digest: digest(letter), version: 1, size: BYTES },
    ...{ chunks: CHUNKS, candidate: null, compare: null, at: 1_000 },
  };
}

/** Keeps what is put; `hold` makes the next put wait for its own end. */
class PlainBoard implements Board {
  readonly kept = new Map<string, string>();
  readonly puts: string[] = [];
  hold: Promise<void> | null = null;

  async put(name: string, payload: Uint8Array | string | null): Promise<void> {
    const held = this.hold;
    this.hold = null;
    await held;
    this.puts.push(name);
    if (payload === null) this.kept.delete(name);
    else this.kept.set(name, Buffer.from(payload).toString('utf8').slice(0, 2_000));
  }

  watch(): { stop(): Promise<void> } {
    return { stop: async () => {} };
  }

  health(): { readonly ok: true } {
    return { ok: true };
  }

  async close(): Promise<void> {}

  get serial(): number {
    return JSON.parse(this.kept.get('default/models/machine/desired') ?? '{"serial":-1}').serial;
  }

  bundles(): string[] {
    const names = [...this.kept.keys()].filter((name) => name.includes('/blob/'));
    return [...new Set(names.map((name) => name.split('/')[4][0]))].sort();
  }
}

const registry = (letters: string) => ({
  get: async (name: string) => Buffer.alloc(BYTES, name),
  // Newest first, as the registry lists them.
  list: () => [...letters].reverse().map((each) => ({ digest: digest(each), size: BYTES }) as Registered),
});

const open = (board: Board, letters = '') => new Word('machine', board, registry(letters), newKey('test'));

test('the pieces are there before the word that names them', async () => {
  const board = new PlainBoard();
  await open(board).say(desired(1, 'a'));
  expect(board.puts.at(-1)).toBe('default/models/machine/desired');
  expect(board.puts.filter((name) => name.includes('/blob/'))).toHaveLength(CHUNKS);
});

test('of two words under way at once the newer one lies there in the end, whichever was slower', async () => {
  const board = new PlainBoard();
  const word = open(board);
  let free = () => {};
  board.hold = new Promise((resolve) => {
    free = resolve;
  });
  const slow = word.say(desired(1, 'a'));
  const quick = word.say(desired(2, 'b'));
  free();
  await Promise.all([slow, quick]);
  await word.repeat(desired(1, 'a'));
  expect(board.serial).toBe(2);
});

test('a word that the broker has lost is said again with all its pieces, and only then', async () => {
  const board = new PlainBoard();
  const word = open(board);
  await word.say(desired(1, 'a'));
  board.kept.clear();
  await word.say(desired(1, 'a'));
  expect(board.bundles()).toEqual([]);
  board.kept.clear();
  await word.repeat(desired(1, 'a'));
  expect(board.serial).toBe(1);
  expect(board.bundles()).toEqual(['a']);
});

test('what no word has named for a while goes, of an earlier process too', async () => {
  const board = new PlainBoard();
  const first = open(board);
  for (const [i, letter] of [...'abcd'].entries()) await first.say(desired(i + 1, letter));
  expect(board.bundles()).toEqual(['b', 'c', 'd']);
  await open(board, 'abcd').say(desired(5, 'e'));
  expect(board.bundles()).toEqual(['c', 'd', 'e']);
});

test('a put that fails is tried again with the same word', async () => {
  const board = new PlainBoard();
  const word = open(board);
  board.hold = Promise.reject(new Error('away'));
  await expect(word.say(desired(1, 'a'))).rejects.toThrow('away');
  await word.say(desired(1, 'a'));
  expect(board.serial).toBe(1);
  expect(board.bundles()).toEqual(['a']);
});
