import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Rows } from '../../src/contract.ts';
import { concat, RowArena, sliceRow } from '../../src/features/rows.ts';

type Cell = readonly [index: number, value: number];

/** What a row must be, computed the plain way. */
function merged(cells: readonly Cell[]): Cell[] {
  const sums = new Map<number, number>();
  for (const [index, value] of cells) sums.set(index, Math.fround((sums.get(index) ?? 0) + value));
  return [...sums];
}

function fill(arena: RowArena, rows: readonly (readonly Cell[])[]): void {
  for (const cells of rows) {
    arena.beginRow();
    for (const [index, value] of cells) arena.sparse(index, value);
    arena.endRow();
  }
}

function cellsOf(rows: Rows, i: number): Cell[] {
  const cells: Cell[] = [];
  for (let k = rows.indptr[i]; k < rows.indptr[i + 1]; k += 1) cells.push([rows.indices[k], rows.values[k]]);
  return cells;
}

function opened(arena: RowArena): RowArena {
  arena.beginRow();
  return arena;
}

const cell = fc.tuple(fc.nat(63), fc.integer({ min: -8, max: 8 }));
const batch = fc.array(fc.array(cell, { maxLength: 40 }), { maxLength: 12 });

describe('the arena', () => {
  test('holds each bucket once a row, summed, in order of first appearance, whatever was in it before', () => {
    const arena = new RowArena(64, 0);
    fc.assert(
      fc.property(batch, (rows) => {
        arena.reset();
        fill(arena, rows);
        const view = arena.view();
        expect(view.count).toBe(rows.length);
        for (const [i, cells] of rows.entries()) expect(cellsOf(view, i)).toEqual(merged(cells));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test('a block at once is the same as its cells one by one, whatever comes before or behind it', () => {
    const one = new RowArena(64, 0);
    const other = new RowArena(64, 0);
    const distinct = fc.uniqueArray(cell, { selector: ([index]) => index, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.array(cell), distinct, fc.array(cell)), { maxLength: 4 }), (rows) => {
        one.reset();
        other.reset();
        fill(
          one,
          rows.map((parts) => parts.flat()),
        );
        for (const [before, block, behind] of rows) {
          other.beginRow();
          for (const [index, value] of before) other.sparse(index, value);
          const [indices, values] = [block.map(([index]) => index), block.map(([, value]) => value)];
          other.block(Uint32Array.of(...indices, 99), Float32Array.of(...values, Number.NaN), block.length);
          for (const [index, value] of behind) other.sparse(index, value);
          other.endRow();
        }
        for (let i = 0; i < rows.length; i += 1)
          expect(cellsOf(other.view(), i)).toEqual(cellsOf(one.view(), i));
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  test('keeps rows larger than any first size', () => {
    const arena = new RowArena(2 ** 20, 0);
    const cells = Array.from({ length: 50_000 }, (_, i): Cell => [(i * 7_919) % 30_011, 1]);
    fill(arena, [[[1, 1]], cells, [[2, 2]]]);
    expect(cellsOf(arena.view(), 1)).toEqual(merged(cells));
    expect(cellsOf(arena.view(), 2)).toEqual([[2, 2]]);
  });

  test('takes rows of others as they are, in its own memory or in shared memory', () => {
    const source = new RowArena(64, 2);
    const [own, shared] = [new RowArena(64, 2), new RowArena(64, 2, 'shared')];
    fc.assert(
      fc.property(batch, (rows) => {
        for (const arena of [source, own, shared]) arena.reset();
        for (const [i, cells] of rows.entries()) {
          source.beginRow();
          for (const [index, value] of cells) source.sparse(index, value);
          source.dense(1, i);
          source.endRow();
        }
        for (const arena of [own, shared]) {
          for (let i = rows.length - 1; i >= 0; i--) arena.append(source.view(), i);
          const view = arena.view();
          expect(view.count).toBe(rows.length);
          for (const [i, cells] of [...rows].reverse().entries()) {
            expect(cellsOf(view, i)).toEqual(merged(cells));
            expect([...view.dense.subarray(i * 2, i * 2 + 2)]).toEqual([Number.NaN, rows.length - 1 - i]);
          }
        }
      }),
      { seed: 2, numRuns: 200 },
    );
    expect(shared.view().indices.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(own.view().indices.buffer).toBeInstanceOf(ArrayBuffer);
  });

  test('forgets the newest rows, an open one too, and goes on behind those that stay', () => {
    const arena = new RowArena(64, 0);
    fill(arena, [[[1, 1]], [[2, 2]], [[3, 3]]]);
    arena.beginRow();
    arena.sparse(4, 4);
    arena.truncate(1);
    fill(arena, [[[5, 5]]]);
    const view = arena.view();
    expect([view.count, cellsOf(view, 0), cellsOf(view, 1)]).toEqual([2, [[1, 1]], [[5, 5]]]);
    arena.truncate(9);
    expect(arena.count).toBe(2);
  });

  test('an abandoned row leaves no trace', () => {
    const arena = new RowArena(64, 2);
    fill(arena, [[[1, 1]]]);
    arena.beginRow();
    arena.sparse(1, 5);
    arena.dense(0, 5);
    arena.abandonRow();
    arena.abandonRow();
    fill(arena, [[[1, 2]]]);
    expect(arena.count).toBe(2);
    expect(cellsOf(arena.view(), 1)).toEqual([[1, 2]]);
    expect([...arena.view().dense.slice(2, 4)]).toEqual([Number.NaN, Number.NaN]);
  });

  test('dense cells are missing until set', () => {
    const arena = new RowArena(0, 3);
    for (let round = 0; round < 2; round += 1) {
      arena.reset();
      for (let i = 0; i < 200; i += 1) {
        arena.beginRow();
        arena.dense(i % 3, i);
        arena.endRow();
      }
      const { dense } = arena.view();
      for (let i = 0; i < 600; i += 1)
        expect(dense[i]).toBe(i % 3 === Math.floor(i / 3) % 3 ? Math.floor(i / 3) : Number.NaN);
    }
  });

  test('allocates nothing once grown, and gives back what one huge batch took', () => {
    const arena = new RowArena(2 ** 20, 1);
    const small = Array.from({ length: 20 }, (_, i): Cell[] => [[i, 1]]);
    const huge = [Array.from({ length: 200_000 }, (_, i): Cell => [i, 1])];
    fill(arena, small);
    const before = arena.bytes;
    fill(arena, huge);
    const grown = arena.bytes;
    const { indices } = arena.view();
    arena.reset();
    fill(arena, huge);
    expect(arena.view().indices).toBe(indices);
    expect(arena.bytes).toBe(grown);
    for (let i = 0; i < 200; i += 1) {
      arena.reset();
      fill(arena, small);
    }
    expect(arena.bytes).toBeLessThan(grown / 4);
    expect(arena.bytes).toBeLessThanOrEqual(before * 4);
    expect(cellsOf(arena.view(), 19)).toEqual([[19, 1]]);
  });

  test.each<[string, (arena: RowArena) => void]>([
    ['a cell outside of a row', (arena) => arena.sparse(0, 1)],
    ['a dense cell outside of a row', (arena) => arena.dense(0, 1)],
    ['closing what is not open', (arena) => arena.endRow()],
    ['opening twice', (arena) => opened(arena).beginRow()],
    ['a bucket too high', (arena) => opened(arena).sparse(64, 1)],
    ['a negative bucket', (arena) => opened(arena).sparse(-1, 1)],
    ['a bucket that is no integer', (arena) => opened(arena).sparse(1.5, 1)],
    ['a bucket that is no number', (arena) => opened(arena).sparse(Number.NaN, 1)],
    ['a value that is not finite', (arena) => opened(arena).sparse(1, Number.POSITIVE_INFINITY)],
    ['a value that is no number', (arena) => opened(arena).sparse(1, Number.NaN)],
    ['a block outside of a row', (arena) => arena.block(Uint32Array.of(1), Float32Array.of(1), 1)],
    [
      'a block of a bucket too high',
      (arena) => opened(arena).block(Uint32Array.of(64), Float32Array.of(1), 1),
    ],
    [
      'a block of a value that is no number',
      (arena) => opened(arena).block(Uint32Array.of(1), Float32Array.of(Number.NaN), 1),
    ],
    [
      'a block longer than its arrays',
      (arena) => opened(arena).block(new Uint32Array(1), new Float32Array(2), 2),
    ],
    ['a column too high', (arena) => opened(arena).dense(1, 1)],
  ])('refuses %s', (_, misuse) => {
    expect(() => misuse(new RowArena(64, 1))).toThrowError(expect.objectContaining({ code: 'MODEL_INPUT' }));
  });
});

describe('copies', () => {
  test('a sliced row stands alone, and slices put together are the whole', () => {
    const arena = new RowArena(64, 2);
    fc.assert(
      fc.property(batch, (rows) => {
        arena.reset();
        fill(arena, rows);
        const parts = rows.map((_, i) => sliceRow(arena.view(), i));
        arena.reset();
        fill(arena, [[[63, 63]]]);
        for (const [i, cells] of rows.entries()) expect(cellsOf(parts[i], 0)).toEqual(merged(cells));
        const whole = concat(parts);
        expect(whole.count).toBe(rows.length);
        for (const [i, cells] of rows.entries()) expect(cellsOf(whole, i)).toEqual(merged(cells));
        expect(whole.dense.length).toBe(rows.length * (rows.length === 0 ? 0 : 2));
      }),
      { seed: 2, numRuns: 100 },
    );
  });

  test('rows of different widths are not put together, rows that are not there not cut out', () => {
    const one = new RowArena(4, 1);
    const two = new RowArena(4, 2);
    fill(one, [[]]);
    fill(two, [[]]);
    const refused = expect.objectContaining({ code: 'MODEL_INPUT' });
    expect(() => concat([one.view(), two.view()])).toThrowError(refused);
    expect(() => sliceRow(one.view(), 1)).toThrowError(refused);
  });
});
