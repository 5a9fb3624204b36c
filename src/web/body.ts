/**
 * Reading the body of a request piece by piece, for routes that take whole mails. Promises: not a byte more is held than
 * the route claimed room for; what is not wanted any more is passed over without being kept, so that the sender can
 * read the answer. A sender that stalls is ended by the server's request timeout.
 */
import type { IncomingMessage } from 'node:http';

export interface Intake {
  /** Bytes; above it the body is `large`. */
  readonly most: number;
  /** Asked before bytes are kept; false ends the reading. */
  claim(bytes: number): boolean;
}

/** `ended`: nobody wants it any more, or the sender is gone. */
export type Received = Buffer | 'large' | 'ended';

/** Reads the whole body, unless `until` resolves first. Never rejects. */
export function receive(
  request: IncomingMessage,
  intake: Intake,
  until: Promise<unknown>,
): Promise<Received> {
  const told = request.headers['content-length'];
  const length = told === undefined ? null : Number(told);
  if (length !== null && length > intake.most) return passOver(request, 'large');
  if (length !== null && !intake.claim(length)) return passOver(request, 'ended');
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (chunk: Buffer): 'large' | 'ended' | null => {
    size += chunk.length;
    if (size > intake.most) return 'large';
    if (length === null && !intake.claim(chunk.length)) return 'ended';
    chunks.push(chunk);
    return null;
  };
  return pour(request, take, until).then((stopped) => stopped ?? Buffer.concat(chunks, size));
}

/** Shows each piece to `take`, which ends it by not returning null. Null when the whole body was seen. */
export function pour<Stop>(
  request: IncomingMessage,
  take: (chunk: Buffer) => Stop | null,
  until: Promise<unknown> = new Promise(() => undefined),
): Promise<Stop | 'ended' | null> {
  return new Promise((resolve) => {
    const finish = (result: Stop | 'ended' | null) => {
      request.off('data', data).off('end', end).off('close', gone).off('error', gone);
      request.on('error', () => undefined);
      request.resume();
      resolve(result);
    };
    const data = (chunk: Buffer) => {
      const stop = take(chunk);
      if (stop !== null) finish(stop);
    };
    const end = () => finish(null);
    const gone = () => finish('ended');
    if (request.destroyed || request.readableEnded) return finish(request.readableEnded ? null : 'ended');
    request.on('data', data).on('end', end).on('close', gone).on('error', gone);
    void until.then(gone);
  });
}

function passOver<T>(request: IncomingMessage, result: T): Promise<T> {
  request.on('error', () => undefined);
  request.resume();
  return Promise.resolve(result);
}
