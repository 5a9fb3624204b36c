/** Small mails of two sorts that a `text` model soon knows apart, and a task on them with few buckets. */
import type { Message } from '../../src/contract.ts';
import { seededRandom } from '../../src/task/random.ts';
import { openTask, type Task, type TaskSpec } from '../../src/task/task.ts';

export const MAIL_LABELS = ['ham', 'spam'];

export function mailTask(more: Partial<TaskSpec> = {}): Task {
  return openTask({
    name: 'spam',
    event: 'email',
    labels: MAIL_LABELS,
    decode: { kind: 'mime' },
    features: { options: { bits: 12 } },
    seed: 1,
    ...more,
  });
}

const WORDS = [
  ['minutes', 'meeting', 'draft', 'review', 'kernel', 'patch', 'lunch', 'thanks'],
  ['viagra', 'winner', 'prize', 'cheap', 'loan', 'pills', 'casino', 'click'],
];

/** Of mail n: 1 for spam. */
export const truthOf = (n: number): number => (Math.imul(n + 1, 0x9e37_79b1) >>> 31) & 1;

/** The n-th mail. `like`: which sort its words are of; default its own. `label`: as a file would carry it. */
export function mailOf(n: number, like = truthOf(n), label?: string): Message {
  const random = seededRandom(1, `mail ${n}`);
  const word = (sort: number) => WORDS[sort][Math.floor(random() * WORDS[sort].length)];
  const text = Array.from({ length: 12 }, () => word(random() < 0.93 ? like : 1 - like)).join(' ');
  const head = [`Message-ID: <${n}@example.org>`, `From: u${n % 9}@example.org`, `Subject: ${word(like)}`];
  return {
    ...{ source: 's', topic: 't', key: null, headers: {}, at: 1_000 * (n + 1), position: `t/0/${n}` },
    payload: Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}\r\n`),
    ...(label === undefined ? {} : { label }),
  };
}
