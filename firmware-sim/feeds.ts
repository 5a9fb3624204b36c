/**
 * What the fleet sends: feeds of readings from simulated machines, of generated mail, and of real mail
 * replayed from files. A feed makes messages one at a time, on demand, and knows the truth of each.
 */
import type { Message } from '../src/contract.ts';
import { readInput } from '../src/io/files.ts';
import { Device, type DeviceOptions } from './device.ts';
import { faultNames } from './faults.ts';
import { MailGenerator, type MailOptions } from './mail.ts';
import { Random } from './random.ts';
import { createWorld, type World, type WorldOptions } from './world.ts';

/** One message before it has an address. */
export interface Parcel {
  /** The device or mailbox. */
  readonly name: string;
  readonly payload: string | Uint8Array;
  /** Index into the feed's labels, -1 where there is no truth. */
  readonly truth: number;
  /** False where a dead letter is the right answer. */
  readonly readable: boolean;
}

export interface Feed {
  readonly kind: 'reading' | 'mail';
  readonly labels: readonly string[];
  /** What comes next: none, one or several parcels; null when there is nothing more, ever. */
  next(at: number): readonly Parcel[] | null | Promise<readonly Parcel[] | null>;
}

export interface ReadingFeed extends Feed {
  readonly world: World;
  /** Messages touched, by fault. */
  faultCounts(): Readonly<Record<string, number>>;
}

/** Readings of all devices of a world, in an order shuffled once a round: smooth, and never in step. */
export function readingFeed(options: WorldOptions & DeviceOptions): ReadingFeed {
  const world = createWorld(options);
  const devices = world.devices.map((truth) => new Device(world, truth, options));
  const random = new Random(options.seed).fork('order');
  const counts = new Float64Array(faultNames.length);
  let round = random.shuffled(devices);
  let turn = 0;
  let begin = Number.NaN;
  return {
    kind: 'reading',
    labels: world.labels,
    world,
    faultCounts: () => Object.fromEntries(faultNames.map((name, i) => [name, counts[i]])),
    next(at) {
      if (Number.isNaN(begin)) begin = at;
      if (turn === round.length) {
        round = random.shuffled(devices);
        turn = 0;
      }
      const readings = round[turn++].next(at - begin, at);
      const parcels = new Array<Parcel>(readings.length);
      for (let i = 0; i < readings.length; i++) {
        const { device, payload, truth, readable, faults } = readings[i];
        if (faults !== 0) for (let f = 0; f < counts.length; f++) counts[f] += (faults >> f) & 1;
        parcels[i] = { name: device, payload, truth: readable ? truth : -1, readable };
      }
      return parcels;
    },
  };
}

const MAIL_LABELS = ['ham', 'spam'];

/** Endless generated mail. */
export function mailFeed(options: MailOptions): Feed {
  const generator = new MailGenerator(options);
  return {
    kind: 'mail',
    labels: MAIL_LABELS,
    next(at) {
      const { raw, label, mailbox } = generator.next(at);
      const truth = label === null ? -1 : MAIL_LABELS.indexOf(label);
      return [{ name: mailbox, payload: raw, truth, readable: label !== null }];
    },
  };
}

/**
 * Real mail from an index.tsv, mbox, maildir or folder, once, in stream order. Labels other than
 * `ham` and `spam` count as no label. Throws SluiceError INPUT_NOT_FOUND or INPUT_INVALID while it is read.
 */
export function replayFeed(paths: readonly string[], mailbox = 'inbox'): Feed {
  let stream: AsyncIterator<Message> | null = null;
  return {
    kind: 'mail',
    labels: MAIL_LABELS,
    async next() {
      stream ??= readInput({ path: paths })[Symbol.asyncIterator]();
      const { value, done } = await stream.next();
      if (done) return null;
      const message: Message = value;
      const truth = MAIL_LABELS.indexOf(message.label ?? '');
      return [{ name: mailbox, payload: message.payload, truth, readable: true }];
    },
  };
}
