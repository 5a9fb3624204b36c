/**
 * A dead letter as bytes. Of the original, `whole` keeps everything; `digest` keeps where it came from, its SHA-256
 * and its size (in two headers, with an empty payload); `encrypted` keeps the same in the open and everything under
 * seal. What is in the open of a sealed letter is bound to it: whoever alters it makes the letter unreadable.
 *
 *     task | stored at | keep u8 | code | message | received at | original, or its digest | sealed original, where encrypted
 */
import { createHash } from 'node:crypto';
import type { DeadLetter, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter, readMessage, wellFormed, writeMessage } from './codec.ts';
import type { StoreLimits } from './options.ts';
import type { Seal } from './sealing.ts';

type Keep = StoreLimits['dead']['keep'];
/** By their number on disk. */
const KEEPS: readonly Keep[] = ['whole', 'digest', 'encrypted'];

export interface LetterHead {
  readonly task: string;
  readonly storedAt: number;
  readonly keep: Keep;
}

/** `number` becomes the letter's id. Throws DEAD_LOCKED where it is to be encrypted and there is no key. */
export function encodeLetter(
  letter: Omit<DeadLetter, 'id'>,
  number: number,
  { storedAt, keep }: Omit<LetterHead, 'task'>,
  seal: Seal | null,
): Buffer {
  const { task, code, message, receivedAt } = letter;
  const outside = keep === 'whole' ? letter.original : digestOf(letter.original);
  const out = new ByteWriter().text(task).f64(storedAt).u8(KEEPS.indexOf(keep));
  writeMessage(out.text(code).text(message).f64(receivedAt), outside);
  if (keep === 'encrypted') {
    if (!seal) throw new SluiceError('DEAD_LOCKED', 'there is no key to encrypt a dead letter under');
    const inside = new ByteWriter();
    writeMessage(inside, letter.original);
    const context = contextOf({ ...letter, original: outside, id: String(number) }, storedAt);
    out.bytes(seal.close(inside.seal(), context));
  }
  return out.seal();
}

export function readHead(from: ByteReader): LetterHead {
  return { task: from.text(), storedAt: from.f64(), keep: KEEPS[from.u8()] };
}

/** What is in the open, and how to get all of it, which throws DEAD_LOCKED, DEAD_ALTERED. Throws STORE_CORRUPT. */
export function readLetter(
  from: ByteReader,
  number: number,
  seal: Seal | null,
): { readonly outside: DeadLetter; open(): DeadLetter } {
  const { task, storedAt, keep } = readHead(from);
  const [code, message, receivedAt] = [from.text(), from.text(), from.f64()];
  const outside = { id: String(number), task, code, message, receivedAt, original: readMessage(from) };
  if (keep !== 'encrypted') return { outside, open: () => outside };
  const sealed = from.bytes();
  const open = () => {
    const what = `dead letter ${number}`;
    if (!seal) throw new SluiceError('DEAD_LOCKED', `${what} is encrypted, and no key was given`);
    const inside = new ByteReader(seal.open(sealed, contextOf(outside, storedAt), what));
    return { ...outside, original: readMessage(inside) };
  };
  return { outside, open };
}

/** Everything that stands in the open, as it comes back from the store. */
function contextOf({ id, task, code, message, receivedAt, original }: DeadLetter, storedAt: number): string {
  const { source, topic, at, position, headers } = original;
  const all = [id, task, storedAt, code, message, receivedAt, source, topic, at, position, headers];
  return JSON.stringify(all, (_key, value) => (typeof value === 'string' ? wellFormed(value) : value));
}

/** Where it came from stays; what it said goes: key and headers may name people too. */
function digestOf(message: Message): Message {
  const { source, topic, at, position, payload } = message;
  const sha256 = createHash('sha256').update(payload).digest('hex');
  const headers = { 'sluice-sha256': sha256, 'sluice-size': String(payload.byteLength) };
  return { source, topic, at, position, key: null, payload: new Uint8Array(0), headers };
}
