/**
 * Typed arrays in saved JSON: base64 of their little-endian bytes, so that state goes on bit for bit (NaN included) and
 * stays small. Refuses, at restore, text that is not of the length expected: DETECTOR_STATE.
 */
import { z } from 'zod';
import { SluiceError } from '../../errors.ts';

/** Longest packed array, in characters. */
const MAX_PACKED = 8 * 1024 * 1024;

export const packed = z.string().max(MAX_PACKED);

type Numbers = Float64Array | Float32Array;

export const pack = (numbers: Numbers): string =>
  Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64');

/** Fills `into` with what `pack` gave of an array of the same type and length. */
export function unpack(text: string, into: Numbers): void {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== into.byteLength)
    throw new SluiceError(
      'DETECTOR_STATE',
      `saved drift state holds ${bytes.length} bytes where ${into.byteLength} belong`,
    );
  new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
}
