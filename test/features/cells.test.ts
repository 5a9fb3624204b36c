import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cells } from '../../src/features/cells.ts';
import { Pieces } from '../../src/features/pieces.ts';
import { RowArena } from '../../src/features/rows.ts';

const NAMESPACES = [
  { view: 0, limit: 40 },
  { view: 1, limit: 40 },
  { view: 1, limit: 6 },
  { view: 1, limit: 3_000 },
] as const;
const WEIGHTS = [1, 0.5, 2, 1];
const SIGN = 0x80000000;

function piecesOf(hashes: readonly number[]): Pieces {
  const pieces = new Pieces();
  for (const hash of hashes) pieces.push(hash);
  return pieces;
}

/** The row computed the plain way: `hashes` by namespace. */
function plain(dims: number, hashes: readonly (readonly number[])[]): [index: number, value: number][] {
  const row = new Map<number, number>();
  for (const [space, { view, limit }] of NAMESPACES.entries()) {
    const signs = new Map<number, number>();
    for (const hash of hashes[space] ?? []) {
      const bucket = (hash & (dims / 2 - 1)) | ((dims / 2) * view);
      if (!signs.has(bucket) && signs.size < limit) signs.set(bucket, (hash & SIGN) === 0 ? 1 : -1);
    }
    const value = Math.fround(WEIGHTS[space] / Math.sqrt(signs.size));
    for (const [bucket, sign] of signs) row.set(bucket, Math.fround((row.get(bucket) ?? 0) + sign * value));
  }
  return [...row];
}

function written(cells: Cells, dims: number): [index: number, value: number][] {
  const arena = new RowArena(dims, 0);
  arena.beginRow();
  cells.flush(arena, WEIGHTS);
  arena.endRow();
  const { indptr, indices, values } = arena.view();
  return Array.from({ length: indptr[1] }, (_, i) => [indices[i], values[i]]);
}

const lists = fc.array(fc.array(fc.integer(), { maxLength: 60 }), { maxLength: NAMESPACES.length });

describe('the cells of a row', () => {
  test.each([2 ** 6, 2 ** 12, 2 ** 26])(
    'are the distinct buckets of each namespace in order, those of two namespaces added up: %i buckets',
    (dims) => {
      const cells = new Cells(dims, 2, NAMESPACES);
      fc.assert(
        fc.property(lists, fc.nat(100_000), (hashes, expected) => {
          cells.expect(expected);
          for (const [space, list] of hashes.entries()) cells.add(space, piecesOf(list));
          expect(written(cells, dims)).toEqual(plain(dims, hashes));
        }),
        { seed: 3, numRuns: 200 },
      );
    },
  );

  test('are the same whether a namespace is filled at once or between others', () => {
    const cells = new Cells(2 ** 12, 2, NAMESPACES);
    const hashes = [0, 1, 2, 3].map((space) =>
      Array.from({ length: 50 }, (_, i) => (i * 7_919 * (space + 1)) | 0),
    );
    for (let i = 0; i < 50; i += 1)
      for (const [space, list] of hashes.entries()) cells.add(space, piecesOf([list[i], list[i]]));
    expect(written(cells, 2 ** 12)).toEqual(plain(2 ** 12, hashes));
  });

  test('of a giant come from a table that grows, and none of it is left for the next', () => {
    const cells = new Cells(2 ** 26, 2, NAMESPACES);
    const many = Array.from({ length: 20_000 }, (_, i) => Math.imul(i, 2_654_435_761));
    cells.add(3, piecesOf(many));
    expect(cells.count(3)).toBe(3_000);
    expect(written(cells, 2 ** 26)).toEqual(plain(2 ** 26, [[], [], [], many]));
    cells.add(1, piecesOf([1, 2]));
    expect(written(cells, 2 ** 26)).toEqual(plain(2 ** 26, [[], [1, 2]]));
  });
});
