/** The options of a decision, checked for sense: what could never act, or would act on what anyone may forge, is refused. */
import { z } from 'zod';
import { leastFor } from './tolerance.ts';

const budget = z.number().min(1e-5, 'is too small to be kept by counting').max(0.1).or(z.literal('off'));
const entry = z
  .string()
  .toLowerCase()
  .max(320)
  .regex(/^(?:[^\s@<>",;]+@)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'must be an address or a domain, in ASCII');

/** Tag this share of the ham at most, where the task does not say: mail of two labels. */
export const MAIL_TAG = 0.001;

export const decisionOptions = z
  .strictObject({
    tag: budget
      .optional()
      .describe(
        'share of events without the positive label that may be tagged, from 0.00001 to 0.1, or `off`; default 0.001 for mail of two labels, else `off`',
      ),
    hold: budget.default('off').describe('the same for holding back: a stricter share, as 0.0001'),
    window: z
      .int()
      .min(30)
      .max(1_048_576)
      .default(65_536)
      .describe('newest confirmed events that the thresholds stand on'),
    allow: z
      .array(entry)
      .max(10_000)
      .default([])
      .describe(
        'addresses, and domains with what is below them, that are never tagged or held; without `authserv` From alone counts, which anyone can forge',
      ),
    authserv: z
      .string()
      .regex(/^[!#-'*+\-./0-9A-Z^-~]{1,255}$/, 'must be a name as the server writes it')
      .optional()
      .describe(
        'name of your mail server in the `Authentication-Results` that it writes (RFC 8601); senders count only as it found them',
      ),
    correspondents: z
      .boolean()
      .default(false)
      .describe(
        'never tag or hold authenticated senders to whom users here wrote or of whom three mails were confirmed; needs `authserv`',
      ),
  })
  .superRefine((given, context) => {
    const complain = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    for (const name of ['tag', 'hold'] as const) {
      const share = given[name];
      if (typeof share !== 'number') continue;
      const least = leastFor(share);
      if (least > given.window)
        complain(name, `needs ${least} confirmed events to begin with; \`window\` keeps ${given.window}`);
    }
    const { hold, tag = MAIL_TAG } = given;
    if (typeof hold === 'number' && typeof tag === 'number' && hold > tag)
      complain('hold', `must not allow more than \`tag\`, which is ${tag}`);
    if (given.correspondents && given.authserv === undefined)
      complain('correspondents', 'needs `authserv`: a sender that nobody has authenticated may be anyone');
  });

/** As given, checked. */
export type DecisionGiven = z.output<typeof decisionOptions>;

/** What a task decides by. */
export interface DecisionOptions extends Omit<DecisionGiven, 'tag' | 'hold'> {
  /** Shares; null: off. */
  readonly tag: number | null;
  readonly hold: number | null;
}

/** Null where nothing is decided: neither tag nor hold is on. Only tasks of two labels decide. */
export function resolveDecision(given: DecisionGiven, mail: boolean, labels: number): DecisionOptions | null {
  const share = (value: number | 'off'): number | null => (value === 'off' ? null : value);
  const tag = share(given.tag ?? (mail && labels === 2 ? MAIL_TAG : 'off'));
  const hold = share(given.hold);
  return tag === null && hold === null ? null : { ...given, tag, hold };
}
