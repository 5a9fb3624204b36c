/**
 * Reads a text file line by line in bounded memory: one chunk and one line at a time. Lines are UTF-8 (bytes
 * that are not become U+FFFD), end in LF or CRLF, and a byte order mark is dropped. Refuses, with the line
 * number, a line above MAX_LINE, and any file that cannot be read.
 */
import { createReadStream } from 'node:fs';
import { SluiceError } from '../../errors.ts';

export const MAX_LINE = 16 * 1024 * 1024;

export interface Line {
  readonly text: string;
  /** From 1. */
  readonly number: number;
}

/** A failure of the file system as an INPUT_* error that names the path. */
export function fileError(path: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new SluiceError('INPUT_NOT_FOUND', `${path}: no such file`);
  return new SluiceError('INPUT_INVALID', `${path}: ${message}`, { cause: error });
}

/** An INPUT_INVALID that names file and line. */
export function lineError(path: string, line: number, what: string): SluiceError {
  return new SluiceError('INPUT_INVALID', `${path}:${line}: ${what}`);
}

/** The chunks of a file; errors name the path. */
export async function* readChunks(path: string): AsyncGenerator<Buffer> {
  const stream = createReadStream(path, { highWaterMark: 256 * 1024 });
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    throw fileError(path, error);
  } finally {
    stream.destroy();
  }
}

/** Lines in arrays, one array a chunk: an `await` a line would cost more than the parsing. */
export async function* readLines(path: string): AsyncGenerator<readonly Line[]> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let number = 0;
  for await (const chunk of readChunks(path)) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > MAX_LINE)
      throw lineError(path, number + 1, `the line is longer than ${MAX_LINE} characters`);
    yield parts.map((text) => {
      number += 1;
      return { text: text.endsWith('\r') ? text.slice(0, -1) : text, number };
    });
  }
  rest += decoder.decode();
  if (rest !== '') yield [{ text: rest.endsWith('\r') ? rest.slice(0, -1) : rest, number: number + 1 }];
}
