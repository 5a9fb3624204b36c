/**
 * What the fleet sends: feeds of readings from simulated machines, of generated mail, and of real mail
 * replayed from files. A feed makes messages one at a time, on demand, and knows the truth of each.
 */
import type { Message } from '../src/contract.ts';
import { readInput } from '../src/io/files.ts';
import { Device, type DeviceOptions, type Reading } from './device.ts';
import { type FaultRates, faultNames, usualFaults } from './faults.ts';
import { Link, type LinkState, LinkTally, type NetworkPlan, steadyNetwork } from './link.ts';
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
  /** Whoever labels this device's events says the opposite of what is true, always. */
  readonly hostile?: boolean;
}

export interface Feed {
  readonly kind: 'reading' | 'mail';
  readonly labels: readonly string[];
  /** Time is counted from here; without it, from the first `next`. */
  begin?(at: number): void;
  /** What comes next: none, one or several parcels; null when there is nothing more, ever. */
  next(at: number): readonly Parcel[] | null | Promise<readonly Parcel[] | null>;
}

export interface ReadingFeed extends Feed {
  readonly world: World;
  /** Messages touched, by fault. */
  faultCounts(): Readonly<Record<string, number>>;
  deviceCounts(): DeviceCounts;
}

/** Where the devices stand, and what became of readings that could not be sent at once. */
export interface DeviceCounts {
  readonly devices: number;
  readonly states: Readonly<Record<LinkState, number>>;
  readonly outages: number;
  readonly reboots: number;
  /** Readings waiting in devices, sent late out of a buffer, and dropped by a device: these never reached the broker. */
  readonly held: number;
  readonly late: number;
  readonly dropped: number;
  /** Devices whose labels are always wrong. */
  readonly hostile: number;
}

/** What holds at a moment; the same object as long as nothing changes. */
export interface Conditions {
  readonly faults: FaultRates;
  readonly network: NetworkPlan;
}

export interface ReadingFeedOptions extends WorldOptions, DeviceOptions {
  /** By time, ms after the start; default: `faults`, and a network that never fails. */
  readonly conditions?: (t: number) => Conditions;
  /** Share of the devices, 0 to 1, drawn by the seed, whose labels are always wrong. */
  readonly hostile?: number;
}

interface Machine {
  readonly device: Device;
  readonly link: Link<Reading>;
  readonly hostile: boolean;
  state: LinkState;
}

/** Readings of all devices of a world, in an order shuffled once a round: smooth, and never in step. */
export function readingFeed(options: ReadingFeedOptions): ReadingFeed {
  const world = createWorld(options);
  const tally = new LinkTally();
  const random = new Random(options.seed).fork('order');
  const machines = world.devices.map((truth): Machine => {
    const own = new Random(options.seed).fork(`network ${truth.name}`);
    const hostile = own.fork('hostile').chance(options.hostile ?? 0);
    const device = new Device(world, truth, options);
    return { device, link: new Link(tally, own), hostile, state: 'run' };
  });
  const steady: Conditions = { faults: options.faults ?? usualFaults, network: steadyNetwork };
  const counts = new Float64Array(faultNames.length);
  let round = random.shuffled(machines);
  let turn = 0;
  let begin = Number.NaN;
  return {
    kind: 'reading',
    labels: world.labels,
    world,
    faultCounts: () => Object.fromEntries(faultNames.map((name, i) => [name, counts[i]])),
    deviceCounts: () => deviceCounts(machines, tally),
    begin: (at) => {
      begin = at;
    },
    next(at) {
      if (Number.isNaN(begin)) begin = at;
      if (turn === round.length) {
        round = random.shuffled(machines);
        turn = 0;
      }
      const machine = round[turn++];
      const t = at - begin;
      const { faults, network } = options.conditions?.(t) ?? steady;
      const { device, link, hostile } = machine;
      machine.state = link.state(t, network);
      // A device that is starting measures nothing.
      const measured = machine.state === 'boot' ? [] : device.next(t, link.clock(t, at, network), faults);
      count(measured, counts);
      return link.pass(measured, network).map(({ device: name, payload, truth, readable }) => {
        return { name, payload, truth: readable ? truth : -1, readable, hostile };
      });
    },
  };
}

function count(readings: readonly Reading[], counts: Float64Array): void {
  for (const { faults } of readings)
    if (faults !== 0) for (let f = 0; f < counts.length; f++) counts[f] += (faults >> f) & 1;
}

function deviceCounts(machines: readonly Machine[], tally: LinkTally): DeviceCounts {
  const states: Record<LinkState, number> = { run: 0, offline: 0, boot: 0 };
  let hostile = 0;
  for (const machine of machines) {
    states[machine.state] += 1;
    if (machine.hostile) hostile += 1;
  }
  const { held, late, dropped, outages, reboots } = tally;
  return { devices: machines.length, states, outages, reboots, held, late, dropped, hostile };
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
