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

  test('keeps rows larger than any first size', () => {
    const arena = new RowArena(2 ** 20, 0);
    const cells = Array.from({ length: 50_000 }, (_, i): Cell => [(i * 7_919) % 30_011, 1]);
    fill(arena, [[[1, 1]], cells, [[2, 2]]]);
    expect(cellsOf(arena.view(), 1)).toEqual(merged(cells));
    expect(cellsOf(arena.view(), 2)).toEqual([[2, 2]]);
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
