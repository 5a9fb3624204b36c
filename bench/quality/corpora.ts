/**
 * The streams that quality is measured on, in memory: the mails of the SpamAssassin index in their order, the same
 * mails without headers that mailing lists and relays wrote, and short texts in a seeded random order. Every
 * system is given the same messages, byte for byte. Labels come from the index; a path is never part of a message.
 */
import path from 'node:path';
import type { Message } from '../../src/contract.ts';
import { type InputOptions, readInput } from '../../src/io/files.ts';
import { shuffle } from '../../src/task/evaluation.ts';

export interface Corpus {
  /** As the page names it. */
  readonly name: string;
  readonly messages: readonly Message[];
}

/** Headers that mark what a list or a relay let through: on old corpora they tell ham from spam by themselves. */
const TELLTALE = /^(?:list-[^:]*|precedence|sender|delivered-to|x-[^:]*):/i;

const LF = 0x0a;
const CR = 0x0d;

/** The end of the line that begins at `at`, its line break included. */
function lineEnd(raw: Uint8Array, at: number): number {
  const end = raw.indexOf(LF, at);
  return end < 0 ? raw.length : end + 1;
}

/**
 * The mail without List-*, Precedence, Sender, Delivered-To and X-* headers, folded lines with them; every other byte
 * stays. Headers of mails inside the mail are its body.
 */
export function stripTelltale(raw: Uint8Array): Buffer {
  const kept: Uint8Array[] = [];
  let dropping = false;
  let at = 0;
  while (at < raw.length) {
    const end = lineEnd(raw, at);
    const blank = raw[at] === LF || (raw[at] === CR && raw[at + 1] === LF);
    if (blank) break;
    const folded = raw[at] === 0x20 || raw[at] === 0x09;
    if (!folded) dropping = TELLTALE.test(Buffer.from(raw.subarray(at, end)).toString('latin1'));
    if (!dropping) kept.push(raw.subarray(at, end));
    at = end;
  }
  return Buffer.concat([...kept, raw.subarray(at)]);
}

async function collect(stream: AsyncIterable<Message>): Promise<Message[]> {
  const all: Message[] = [];
  for await (const message of stream) all.push(message);
  return all;
}

/** Messages again, as a stream. */
export async function* streamOf(messages: readonly Message[]): AsyncGenerator<Message> {
  yield* messages;
}

const read = (options: InputOptions): Promise<Message[]> => collect(readInput(options));

/** The mails of the index, all headers there; and without the telltale ones. `most`: of the stream's start. */
export async function mailCorpora(data: string, most: number): Promise<{ all: Corpus; stripped: Corpus }> {
  const messages = await read({ path: [path.join(data, 'spamassassin', 'index.tsv')] });
  const all = messages.slice(0, most);
  return {
    all: { name: 'spamassassin', messages: all },
    stripped: {
      name: 'spamassassin, without List-*, Precedence, Sender, Delivered-To, X-*',
      messages: all.map((message) => ({ ...message, payload: stripTelltale(message.payload) })),
    },
  };
}

/** The short texts, in the random order of each seed. */
export async function smsCorpora(data: string, most: number, seeds: readonly number[]): Promise<Corpus[]> {
  const file = path.join(data, 'sms-spam', 'SMSSpamCollection');
  const texts = await read({ path: [file], format: 'tsv', columns: ['label', 'text'], text: 'text' });
  const order = async (seed: number): Promise<Corpus> => {
    const messages = await collect(shuffle(streamOf(texts), seed));
    return { name: 'sms-spam, texts without headers', messages: messages.slice(0, most) };
  };
  return Promise.all(seeds.map(order));
}
