/**
 * A text as numbers, for loops that look at each letter: asking a string for one costs several times as much. Promises: one text
 * at a time, in memory that is used again; what was allocated for a giant is not kept; behind the last unit stands a 0.
 */

/** Units that are kept between texts. */
const KEPT = 1 << 18;
let bytes = Buffer.alloc(1 << 15);
let units = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);

/** The UTF-16 units of a text and a 0 behind them; valid until the next call. */
export function unitsOf(text: string): Uint16Array {
  const room = 2 * (text.length + 1);
  if (text.length >= KEPT) return written(text, Buffer.alloc(room));
  if (room > bytes.length) {
    bytes = Buffer.alloc(Math.min(2 * KEPT, 2 * room));
    units = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
  }
  bytes.write(text, 0, 2 * text.length, 'utf16le');
  units[text.length] = 0;
  return units;
}

function written(text: string, into: Buffer): Uint16Array {
  into.write(text, 0, 2 * text.length, 'utf16le');
  return new Uint16Array(into.buffer, into.byteOffset, text.length + 1);
}
