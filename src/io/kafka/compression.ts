/**
 * Gzip, snappy, LZ4 and zstd for kafkajs, which brings gzip alone. A library is loaded when the first batch needs it.
 * Promises that unpacking is bounded whatever a producer sends: the batches of one answer together unpack to at most
 * UNPACKED_FACTOR times what a fetch asks for. Where an answer holds more, what fits is handed on and the rest is
 * fetched again; a single batch beyond the bound, or a damaged one, is refused with BATCH_UNREADABLE and its offset.
 * Refuses codecs that Kafka does not have, and libraries that do not load here, with COMPRESSION_UNSUPPORTED.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import kafkajs from 'kafkajs';
import { SluiceError } from '../../errors.ts';
import { lz4Bound, snappyBlocks, snappySize } from './frames.ts';

/** The number of each compression in the attributes of a record batch. */
export const compressions = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
type CodecName = Exclude<keyof typeof compressions, 'none'>;

const UNPACKED_FACTOR = 4;
/** A broker hands out the first batch of a fetch however large it is: a small `fetchBytes` must not refuse it. */
const UNPACKED_LEAST = 16 * 1024 ** 2;
/** The attributes have three bits for the codec. */
const LAST_NUMBER = 7;
/** In a record batch of format 2: where its format stands, and where its records begin. */
const BATCH = { format: 16, records: 61 };

interface Library {
  pack(plain: Buffer): Promise<Buffer>;
  /** Throws where the result would have more than `most` bytes, before it takes the memory. */
  unpack(packed: Buffer, most: number): Promise<Buffer>;
}

const libraries: Readonly<Record<CodecName, () => Promise<Library>>> = {
  async gzip() {
    return {
      pack: promisify(gzip),
      // zlib refuses 0 as a limit.
      unpack: (packed, most) => promisify(gunzip)(packed, { maxOutputLength: Math.max(1, most) }),
    };
  },
  async snappy() {
    const { compress, uncompress } = await import('snappy');
    return {
      pack: (plain) => compress(plain),
      async unpack(packed, most) {
        const blocks = snappyBlocks(packed);
        fits(
          blocks.reduce((sum, block) => sum + snappySize(block), 0),
          most,
        );
        const plain: Buffer[] = [];
        for (const block of blocks) plain.push((await uncompress(block, { asBuffer: true })) as Buffer);
        return Buffer.concat(plain);
      },
    };
  },
  async lz4() {
    const { compressFrame, decompressFrame } = await import('lz4-napi');
    return {
      pack: (plain) => compressFrame(plain),
      async unpack(packed, most) {
        fits(lz4Bound(packed), most);
        return decompressFrame(packed);
      },
    };
  },
  async zstd() {
    const zstd = await import('@foxglove/wasm-zstd');
    await zstd.isLoaded;
    return {
      pack: async (plain) => zstd.compress(plain),
      // It gets a buffer of that size and never writes beyond it.
      unpack: async (packed, most) => zstd.decompress(packed, most),
    };
  },
};

function fits(size: number, most: number): void {
  if (size > most) throw new Error(`it says that it unpacks to ${size} bytes`);
}

async function load(name: CodecName): Promise<Library> {
  try {
    return await libraries[name]();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new SluiceError('COMPRESSION_UNSUPPORTED', `${name} cannot be loaded here: ${reason}`, { cause });
  }
}

// ---------------------------------------------------------------- what one answer may unpack to

let most = UNPACKED_LEAST;
/** What is left of an answer's bound. kafkajs tells a codec nothing but the bytes: slices of the answer they came in. */
const answers = new WeakMap<ArrayBufferLike, { left: number }>();

/** Says how much a source fetches at once. The codecs are the process's own, so the largest source counts. */
export function boundUnpacking(fetchBytes: number): void {
  most = Math.max(most, fetchBytes * UNPACKED_FACTOR);
}

/** kafkajs takes this name for a batch cut off at the end of an answer: it hands on what came before and fetches again. */
class CutOff extends Error {
  override name = 'KafkaJSPartialMessageError';
}

/** Ends the consumer at once instead of after kafkajs's retries, which would unpack the same again and again. */
class Refused extends Error {
  readonly retriable = false;

  constructor(cause: SluiceError) {
    super(cause.message, { cause });
  }
}

async function unpack(name: CodecName, packed: Buffer): Promise<Buffer> {
  let answer = answers.get(packed.buffer);
  if (!answer) {
    answer = { left: most };
    answers.set(packed.buffer, answer);
  }
  const { unpack: unpackWith } = await load(name).catch((error) => Promise.reject(new Refused(error)));
  try {
    const plain = await unpackWith(packed, answer.left);
    answer.left -= plain.length;
    return plain;
  } catch (cause) {
    // Perhaps only the room was short. If it is the batch itself, the next fetch begins with it.
    if (answer.left < most) throw new CutOff();
    const what = `a ${name} batch of ${packed.length} bytes${offsetOf(packed)}`;
    const why = `is damaged or unpacks to more than ${most} bytes: ${(cause as Error).message}`;
    throw new Refused(new SluiceError('BATCH_UNREADABLE', `${what} ${why}`, { cause }));
  }
}

/** The head of a batch stands before its records, in the same answer. */
function offsetOf(packed: Buffer): string {
  if (packed.byteOffset < BATCH.records) return '';
  const head = Buffer.from(packed.buffer, packed.byteOffset - BATCH.records, BATCH.records);
  return head[BATCH.format] === 2 ? ` at offset ${head.readBigInt64BE(0)}` : '';
}

// ---------------------------------------------------------------- for kafkajs

async function pack(name: CodecName, plain: Buffer): Promise<Buffer> {
  try {
    return await (await load(name)).pack(plain);
  } catch (cause) {
    // Not the message's fault: it must wait in the outbox, not be buried as refused.
    throw new SluiceError('PUBLISH_FAILED', (cause as Error).message, { cause });
  }
}

/** Enters the codecs into kafkajs's table, which is the process's own. May be called again. */
export function installCodecs(): void {
  const table = kafkajs.CompressionCodecs as Record<number, () => unknown>;
  for (const [name, number] of Object.entries(compressions)) {
    if (name === 'none') continue;
    const codec = name as CodecName;
    table[number] = () => ({
      compress: ({ buffer }: { buffer: Buffer }) => pack(codec, buffer),
      decompress: (packed: Buffer) => unpack(codec, packed),
    });
  }
  // kafkajs would read batches of a codec it does not know as if they were not compressed.
  for (let number = Object.keys(compressions).length; number <= LAST_NUMBER; number++)
    table[number] = () => {
      throw new Refused(
        new SluiceError('COMPRESSION_UNSUPPORTED', `a batch has codec ${number}, which is not known`),
      );
    };
}
