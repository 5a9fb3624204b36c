/**
 * What a pool keeps of a labelled row, as two records so that a look over many rows never touches their cells:
 * the head (names, times, label, prediction), under [task, position] in `rows`, and the row with its scores,
 * under [position] in `cells`, in the compact bytes it travels in. A withdrawal is a head without cells.
 */
import type { LabelledRow, PairedLoss, Rows } from '../../contract.ts';
import { decodeRowBytes, encodeRowBytes } from '../../envelope/row-bytes.ts';
import { ByteReader, type ByteWriter } from '../codec.ts';

/** A labelled row without its cells and scores. */
export interface PoolHead extends Omit<LabelledRow, 'rows' | 'scores'> {
  /** Rises with arrival, unique in the pool. */
  readonly position: number;
  readonly storedAt: number;
  /**
   * When it was labelled, but not later than it arrived, ms: what order and ages go by, so that a clock that runs
   * ahead cannot make its rows the newest for ever.
   */
  readonly time: number;
  /** Nothing was known of its event before: no label, no withdrawal. */
  readonly first: boolean;
  /** Sparse cells and dense columns of the row. */
  readonly cells: number;
  readonly denseDims: number;
  /** Bytes of both records. */
  readonly bytes: number;
}

export function encodeHead(out: ByteWriter, head: Omit<PoolHead, 'position' | 'time'>): Buffer {
  out.text(head.site).text(head.task).f64(head.seq).text(head.event).i32(head.label);
  out.f64(head.storedAt).f64(head.labelledAt).u32(head.cells).u32(head.denseDims).u32(head.bytes);
  out.text(head.features).text(head.device).text(head.origin).f64(head.at).f64(head.weight);
  out
    .text(head.model)
    .i32(head.predicted)
    .u8(head.paired ? 1 : 0);
  out.u8(head.first ? 1 : 0);
  if (head.paired) writePaired(out, head.paired);
  return out.seal();
}

function writePaired(out: ByteWriter, { live, liveLoss, other, otherLoss }: PairedLoss): void {
  out.text(live).f64(liveLoss).text(other).f64(otherLoss);
}

/** Throws STORE_CORRUPT. */
export function decodeHead(position: number, value: Buffer): PoolHead {
  const from = new ByteReader(value);
  const name = { site: from.text(), task: from.text(), seq: from.f64(), event: from.text() };
  const given = { label: from.i32(), storedAt: from.f64(), labelledAt: from.f64() };
  const size = { cells: from.u32(), denseDims: from.u32(), bytes: from.u32() };
  const about = { features: from.text(), device: from.text(), origin: from.text(), at: from.f64() };
  const verdict = { weight: from.f64(), model: from.text(), predicted: from.i32() };
  const has = from.u8() === 1;
  const first = from.u8() === 1;
  const paired = has ? readPaired(from) : null;
  const time = Math.min(given.labelledAt, given.storedAt);
  return { position, ...name, ...given, ...size, ...about, ...verdict, first, paired, time };
}

const readPaired = (from: ByteReader): PairedLoss => ({
  live: from.text(),
  liveLoss: from.f64(),
  other: from.text(),
  otherLoss: from.f64(),
});

/** Throws ROWS_INVALID for a row that is larger than any that could have been sent. */
export function encodeCells(out: ByteWriter, row: Pick<LabelledRow, 'rows' | 'scores'>): Buffer {
  const bytes = encodeRowBytes(row.rows); // first: a writer must not keep half a record
  return out.array(row.scores).bytes(bytes).seal();
}

/** Throws STORE_CORRUPT or ROWS_INVALID. */
export function decodeCells(value: Buffer): { readonly rows: Rows; readonly scores: Float32Array } {
  const from = new ByteReader(value);
  return { scores: from.f32s(), rows: decodeRowBytes(from.bytes(), null) };
}
