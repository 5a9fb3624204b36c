/** The section of a scenario on simulated gateways that follow models. */
import { z } from 'zod';
import { MAX_BUNDLE_BYTES } from '../../src/model/bundle.ts';
import { byteSize, duration } from '../../src/units.ts';
import { name, positive, share, span } from './words.ts';

const misbehaving = z
  .strictObject({
    silent: share.default(0).describe('Share that says once that it is there, and never again anything.'),
    slow: share.default(0).describe('Share that takes ten times as long for everything.'),
    corrupt: share.default(0).describe('Share whose downloads are damaged: they must refuse.'),
    reboot: share
      .default(0)
      .describe('Share that restarts in the middle of an update, once for each, and begins again.'),
    clock: share.default(0).describe('Share whose clock is wrong by `clockOff`.'),
    clockOff: z
      .union([z.number(), z.string()])
      .default('-20000d')
      .transform((text, context) => {
        const match = /^(-?)(.+)$/.exec(String(text));
        const parsed = duration.safeParse(match?.[2]);
        if (match && parsed.success) return match[1] === '-' ? -parsed.data : parsed.data;
        context.addIssue({ code: 'custom', message: 'not a duration; write -20000d, 400d or -3h' });
        return z.NEVER;
      })
      .describe('By how much; negative is behind. A gateway that thinks it is 1970 does not judge expiry.'),
  })
  .prefault({})
  .describe('Followers that do not do as they should. A follower may do several of these.');

export const followers = z
  .strictObject({
    count: z.int().min(1).max(100_000).describe('How many simulated gateways follow.'),
    group: name.default('default').describe('The group whose models they follow.'),
    task: name.default('machine').describe('The task whose models they follow.'),
    prefix: name.default('sim').describe('They are the sites <prefix>-00001 and so on.'),
    trust: z
      .array(z.string().min(1))
      .min(1)
      .describe(
        'Keys whose models they install: lines such as ed25519:…, or paths of files that hold such lines.',
      ),
    apply: z
      .strictObject({ from: span.default(500), to: span.default(5_000) })
      .prefault({})
      .refine(({ from, to }) => from <= to, { message: 'from must not be greater than to' })
      .describe('How long a follower takes to apply a model: drawn evenly between these.'),
    boot: span.default(2_000).describe('Mean time that a start takes.'),
    every: positive('How often each repeats what it runs.').default(15_000),
    fetch: positive('How long all pieces of a model may take to come.').default(60_000),
    maxBytes: byteSize
      .pipe(z.number().min(1).max(MAX_BUNDLE_BYTES, 'must be at most 256MiB'))
      .default(64 * 1024 * 1024)
      .describe('Larger models are refused before a piece is fetched.'),
    features: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The features that they have, as `sluice models show` names them; default: those of the model.',
      ),
    labels: z
      .array(z.string().min(1))
      .min(2)
      .optional()
      .describe('Their labels; default: those of the model.'),
    event: z
      .enum(['sensor', 'email'])
      .optional()
      .describe('Their kind of events; default: that of the model.'),
    faults: misbehaving,
  })
  .describe('Simulated gateways that only follow models: they fetch, verify, apply and say what they run.');
