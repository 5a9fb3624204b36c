/** What a user can set about the store; each value with its meaning, parsed once to ms and bytes. */
import { z } from 'zod';
import { byteSize, duration } from '../units.ts';

const days = (n: number) => n * 86_400_000;
const GiB = 1024 ** 3;

const join = z
  .strictObject({
    age: duration.default(days(7)).describe('How long a scored event waits for its label.'),
    bytes: byteSize.default(GiB).describe('Space for scored events; the oldest give way.'),
  })
  .prefault({})
  .describe('Scored events, kept so that feedback can be joined with their features.');

const outbox = z
  .strictObject({
    age: duration.default(days(14)).describe('Messages older than this are dropped, and counted.'),
    bytes: byteSize.default(GiB).describe('Space for messages whose sink is away, all sinks together.'),
    whenFull: z
      .enum(['block', 'drop-oldest'])
      .default('block')
      .describe('block: sources stop until there is room; drop-oldest: the oldest give way, counted.'),
  })
  .prefault({})
  .describe('Messages on their way to a sink that is away.');

const dead = z
  .strictObject({
    age: duration.default(days(14)).describe('Dead letters older than this are erased.'),
    bytes: byteSize.default(256 * 1024 ** 2).describe('Space for dead letters; the oldest give way.'),
    keep: z
      .enum(['whole', 'encrypted', 'digest'])
      .default('whole')
      .describe(
        'whole: the original, so that it can be replayed; encrypted: the same, readable only with `privacy.key`; digest: only its SHA-256 and size. Except with whole, the published dead letter carries nothing of what was written.',
      ),
  })
  .prefault({})
  .describe('Messages that could not be used.');

const journal = z
  .strictObject({
    age: duration.default(days(90)).describe('Labels older than this may go once a snapshot holds them.'),
    bytes: byteSize.default(GiB).describe('Space for labels; the oldest that a snapshot holds give way.'),
  })
  .prefault({})
  .describe('The labels learned, in order, with their rows.');

const waiting = z
  .strictObject({
    count: z.int().positive().default(10_000).describe('How many labels may wait; the oldest give way.'),
    age: duration.default(600_000).describe('How long a label waits for its event.'),
  })
  .prefault({})
  .describe('Feedback that came before its event.');

const snapshots = z
  .strictObject({
    keep: z
      .int()
      .nonnegative()
      .default(4)
      .describe('Older snapshots kept beside the newest, geometrically spaced, to take labels back.'),
  })
  .prefault({})
  .describe('Saved models.');

export const storeOptions = z
  .strictObject({
    path: z.string().min(1).default('./state').describe('The folder of the store; one process at a time.'),
    join,
    outbox,
    dead,
    journal,
    waiting,
    snapshots,
  })
  .describe('The one store of a gateway.');

/** `path` and the limits of every room, in ms and bytes. */
export type StoreOptions = z.infer<typeof storeOptions>;
/** The limits without the path. */
export type StoreLimits = Omit<StoreOptions, 'path'>;
