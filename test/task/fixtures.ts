/** Streams and tasks that several tests share: small readings with a rule that can be learned, and the real engine. */
import type { Message } from '../../src/contract.ts';
import { openTask, type Task } from '../../src/task/task.ts';

export const LABELS = ['ok', 'fault'];

/** A task on two numbers and a category. */
export function readingTask(seed = 1, labels: readonly string[] = LABELS): Task {
  return openTask({
    name: 'machine',
    event: 'sensor',
    labels,
    decode: {
      kind: 'json',
      options: { fields: { n: { type: 'number' }, x: { type: 'number' }, mode: { type: 'category' } } },
    },
    model: { kind: 'linear' },
    seed,
  });
}

/** A message of one reading. */
export function readingMessage(
  index: number,
  fields: object,
  label: string | undefined,
  at = index,
): Message {
  const payload = Buffer.from(JSON.stringify(fields));
  return { source: 'f', topic: 'f', key: null, payload, headers: {}, at, position: `f#${index}`, label };
}

export async function* streamOf(messages: readonly Message[]): AsyncGenerator<Message> {
  yield* messages;
}
