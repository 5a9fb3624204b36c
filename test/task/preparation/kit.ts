/** Mails for the pool: ordinary ones and every kind that is refused, and what became of them, to be compared. */
import { createHash } from 'node:crypto';
import { MailGenerator } from '../../../firmware-sim/mail.ts';
import { systemClock } from '../../../src/clock.ts';
import type { Message } from '../../../src/contract.ts';
import { RowArena } from '../../../src/features/rows.ts';
import { Pool, type PoolOptions, prepare } from '../../../src/task/preparation.ts';
import { openTask, type Task } from '../../../src/task/task.ts';
import { compiled } from '../../compiled.ts';

const MAX_BYTES = 300_000;

export function mailTask(features: object = {}): Task {
  return openTask({
    name: 'spam',
    event: 'email',
    labels: ['ham', 'spam'],
    decode: { kind: 'mime', options: { maxBytes: MAX_BYTES, maxParts: 50, maxDepth: 5 } },
    features: { options: features },
    seed: 1,
  });
}

export function messageOf(payload: Uint8Array | string, n: number): Message {
  return {
    source: 'test',
    topic: n % 5 === 0 ? 'mail/other' : 'mail/in',
    key: n % 3 === 0 ? `box-${n % 7}` : null,
    payload: Buffer.from(payload),
    headers: n % 4 === 0 ? { ce_source: '/test', ce_id: String(n) } : {},
    at: Date.UTC(2026, 0, 1) + n,
    position: n % 2 === 0 ? `mail/0/${n}` : '',
    label: n % 3 === 0 ? 'spam' : 'ham',
  };
}

const REFUSED = [
  '',
  '\n\n',
  Buffer.from([0, 1, 2, 3, 255, 254, 0, 9]),
  `Subject: large\n\n${'x'.repeat(MAX_BYTES)}`,
  `Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(60)}--b--\n`,
  'Content-Type: message/rfc822\n\n'.repeat(9),
] as const;

/** So many mails, of all kinds; each 20th is refused. */
export function mails(count: number): Message[] {
  const generator = new MailGenerator({ seed: 5 });
  return Array.from({ length: count }, (_, n) => {
    if (n % 20 === 19) return messageOf(REFUSED[((n / 20) % REFUSED.length) | 0], n);
    const { raw } = generator.next(Date.UTC(2026, 0, 1) + n * 60_000);
    const mailbox = Buffer.from(n % 20 === 7 ? 'From someone Mon Jan  5 10:00:00 2026\n' : '');
    return messageOf(Buffer.concat([mailbox, raw]), n);
  });
}

export async function* streamOf(messages: Iterable<Message>): AsyncGenerator<Message> {
  yield* messages;
}

/** All that is known of a message after its preparation. */
export interface Outcome {
  readonly position: string;
  readonly refusal: string | null;
  readonly events: readonly object[];
  /** By event and task: a digest of the row's bits. */
  readonly rows: readonly string[];
}

export async function outcomes(
  messages: AsyncIterable<Message>,
  tasks: readonly Task[],
  pool: Pool | null,
): Promise<Outcome[]> {
  const all: Outcome[] = [];
  for await (const prepared of prepare(messages, tasks, pool)) {
    const { message, events, refusal } = prepared;
    const rows = events.flatMap((_, i) =>
      tasks.map(({ shape }, k) => {
        const arena = new RowArena(shape.dims, shape.denseDims);
        prepared.fill(i, arena, k);
        const { indices, values, indptr } = arena.view();
        const bits = createHash('sha256').update(indices.subarray(0, indptr[1]));
        return bits.update(values.subarray(0, indptr[1])).digest('hex');
      }),
    );
    const said = events.map(({ id, weak, device, at, aliases, body }) => {
      if (body.kind !== 'mail') throw new Error('no mail');
      const { raw, headers, texts, hidden, links, attachments } = body;
      return {
        ...{ id, weak, device, at, aliases: [...aliases], raw: Buffer.from(raw).toString('latin1') },
        ...{ headers, texts, hidden, links, attachments },
      };
    });
    const why = refusal && `${refusal.code}: ${refusal.message}`;
    all.push({ position: `${message.position}@${message.at}`, refusal: why, events: said, rows });
  }
  return all;
}

/** A pool whose decoder has faults on demand. Whoever opens it closes it. */
export async function openFaulty(options: Partial<PoolOptions> = {}): Promise<Pool> {
  const script = await compiled('test/task/preparation/faults.ts');
  return Pool.open({ threads: 2, groups: [[mailTask()]], clock: systemClock, script, ...options });
}

export const fault = (what: string, n: number): Message =>
  messageOf(`Subject: bad\nFault: ${what}\n\nThis should not be possible.\n`, n);
