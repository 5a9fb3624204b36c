/**
 * The small values of a configuration as people write them: names, labels, addresses, publishing rules,
 * alarm budgets. Each refuses with a sentence that shows how it is written.
 */
import { z } from 'zod';
import { duration } from '../units.ts';
import { parseListen } from '../web/listen.ts';

/** Names end up in topics, metrics and file names, so they are short and plain. */
export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'use letters, digits, - and _, at most 64, beginning with a letter or digit',
  );

export const label = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}]*$/u, 'must not hold control characters');

export const listen = z.string().transform((text, context) => {
  const address = parseListen(text);
  if (address) return address;
  context.addIssue({
    code: 'custom',
    message: 'is not an address; write HOST:PORT, as in 127.0.0.1:8088 or [::1]:8088',
  });
  return z.NEVER;
});

export const publish = z.string().transform((text, context) => {
  if (text === 'all' || text === 'changes') return { kind: text } as const;
  const every = text.startsWith('every:') ? duration.safeParse(text.slice('every:'.length)) : null;
  if (every?.success && every.data > 0) return { kind: 'every', ms: every.data } as const;
  context.addIssue({
    code: 'custom',
    message: 'must be one of all, changes, every:DURATION (as in every:10s)',
  });
  return z.NEVER;
});

const SPANS = {
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
  month: 2_629_746_000,
  year: 31_556_952_000,
} as const;

export const budget = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?) per (hour|day|week|month|year)$/.exec(text.trim());
  if (match && Number(match[1]) > 0)
    return { alarms: Number(match[1]), perMs: SPANS[match[2] as keyof typeof SPANS] };
  context.addIssue({
    code: 'custom',
    message: 'must be a number of false alarms per hour, day, week, month or year, as in "1 per month"',
  });
  return z.NEVER;
});
