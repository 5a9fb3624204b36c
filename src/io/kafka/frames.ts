/**
 * How large a compressed block says it will be, read from its headers before anything is unpacked: a claim of
 * gigabytes in a few bytes is refused for the price of looking. What is not of the expected form throws a
 * plain Error with the reason; the caller knows where the block came from.
 *
 *     snappy, xerial   82 'SNAPPY' 00 | version u32 | compatible u32 | { length u32 | block } …     big-endian
 *     snappy, bare     one block; a block begins with its unpacked size as a varint
 *     LZ4 frame        04 22 4d 18 | FLG | BD | size u64? | dictionary u32? | HC | { length u32 | data | sum u32? } … 0
 *                      little-endian; the top bit of a length marks data stored as it is
 *
 * Sources: snappy format_description.txt, xerial snappy-java, LZ4 Frame Format 1.6.
 */

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER = 16;
const LZ4_MAGIC = 0x184d2204;
/** Unpacked bytes that one packed byte of LZ4 can stand for: a match length grows by 255 a byte. */
const LZ4_MOST = 255;

/** The blocks of what Kafka calls snappy: xerial's frames as Java writes them, or one bare block as others do. */
export function snappyBlocks(packed: Buffer): Buffer[] {
  if (!packed.subarray(0, XERIAL.length).equals(XERIAL)) return [packed];
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER; at < packed.length; ) {
    const from = at + 4;
    const to = from + (from <= packed.length ? packed.readUInt32BE(at) : 0);
    if (from > packed.length || to > packed.length) throw new Error('a block is cut off');
    blocks.push(packed.subarray(from, to));
    at = to;
  }
  return blocks;
}

/** The unpacked size that a snappy block claims; the library allocates it before it looks further. */
export function snappySize(block: Buffer): number {
  let size = 0;
  for (let i = 0; i < Math.min(5, block.length); i++) {
    size += (block[i] & 0x7f) * 2 ** (7 * i);
    if (block[i] < 0x80) return size;
  }
  throw new Error('a block without its size');
}

/** A bound of what an LZ4 frame unpacks to, close for real data: each block is at most as large as the frame declares. */
export function lz4Bound(packed: Buffer): number {
  if (packed.length < 7 || packed.readUInt32LE(0) !== LZ4_MAGIC) throw new Error('not an LZ4 frame');
  const [flags, descriptor] = [packed[4], packed[5]];
  const largest = 2 ** (8 + 2 * ((descriptor >> 4) & 7));
  const sum = flags & 0x10 ? 4 : 0;
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
  let bound = 0;
  while (at + 4 <= packed.length) {
    const word = packed.readUInt32LE(at);
    if (word === 0) return bound;
    const length = word & 0x7fffffff;
    bound += word === length ? Math.min(largest, length * LZ4_MOST) : length;
    at += 4 + length + sum;
  }
  throw new Error('the frame is cut off');
}
