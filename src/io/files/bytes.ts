/**
 * The bytes of raw mails: reading them, some ahead of their turn, and the date that orders them. Refuses mails above
 * MAX_MAIL and files that cannot be read, by path.
 */
import { open } from 'node:fs/promises';
import { SluiceError } from '../../errors.ts';
import { fileError } from './lines.ts';
import { parseDate } from './record.ts';

/** Larger mails are an error of the input, not a mail. The decoder has its own, smaller limit. */
export const MAX_MAIL = 256 * 1024 * 1024;
/** Enough of a mail to find its topmost Received line. */
export const HEAD = 64 * 1024;

/** The newest Received date of a header section, else its Date; NaN where there is neither. */
export function receivedDate(head: Uint8Array): number {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, HEAD)).toString('latin1');
  const end = text.search(/\r?\n\r?\n/);
  const lines = (end < 0 ? text : text.slice(0, end)).replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  let sent = Number.NaN;
  for (const line of lines) {
    if (/^received:/i.test(line)) {
      const at = parseDate(line.slice(line.lastIndexOf(';') + 1).trim());
      if (!Number.isNaN(at)) return at;
    } else if (/^date:/i.test(line) && Number.isNaN(sent)) sent = parseDate(line.slice(5).trim());
  }
  return sent;
}

/** Part of a file, or all of it; less where the file ends before. Throws INPUT_*. */
export async function readPart(path: string, offset: number, length: number): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const size = Math.min(length, (await file.stat()).size - offset);
      if (size > MAX_MAIL) throw new SluiceError('INPUT_INVALID', `${path}: larger than ${MAX_MAIL} bytes`);
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafeSlow(Math.max(size, 0)),
        0,
        size,
        offset,
      );
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Opening a file takes longer than reading a mail: some are read ahead. */
const AHEAD = 8;

/** `load` of every item, in order, with AHEAD of them under way. */
export async function* loadAhead<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  load: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const waiting: Promise<R>[] = [];
  for await (const item of items) {
    const loading = load(item);
    // Whoever awaits it sees the failure; until then, or if nobody comes, it is no unhandled one.
    loading.catch(() => {});
    waiting.push(loading);
    if (waiting.length === AHEAD) yield await waiting.shift()!;
  }
  for (const loading of waiting) yield await loading;
}
