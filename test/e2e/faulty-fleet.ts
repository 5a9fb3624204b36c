/**
 * A fleet of simulated machines as it reaches a broker: readings of every device round by round, some repeated, some
 * out of order, some late; each with the truth of what was done to it. And the account of what a gateway made of them.
 */
import { Device, type Reading } from '../../firmware-sim/device.ts';
import {
  type FaultName,
  type FaultRates,
  faultBit,
  faultNames,
  noFaults,
} from '../../firmware-sim/faults.ts';
import { Random } from '../../firmware-sim/random.ts';
import { createWorld } from '../../firmware-sim/world.ts';

/** A reading a second of each device. */
const ROUND_MS = 1_000;
const BEGIN = 1_700_000_000_000;
/** A late reading comes so many rounds later. */
const LATE = { share: 0.01, from: 3, to: 40 } as const;

/** Far more than a plant has: one reading in eight is touched. */
const badFaults: FaultRates = {
  ...noFaults,
  missing: 0.03,
  wrongType: 0.02,
  outOfRange: 0.02,
  spike: 0.02,
  stuck: 0.001_5,
  invalid: 0.002,
  truncated: 0.002,
  duplicate: 0.02,
  reorder: 0.02,
};

export interface Sent extends Reading {
  readonly id: string;
  readonly late: boolean;
}

/** What a verdict should say of a reading with a fault; what is missing or late is not wrong. */
const FLAGS = { wrongType: 'invalid', outOfRange: 'invalid', spike: 'spike', stuck: 'stuck' } as const;
type Flagged = keyof typeof FLAGS;

export interface Verdict {
  readonly event: string;
  readonly label: string | null;
  readonly flags?: Readonly<Record<string, readonly string[]>>;
}

export class Fleet {
  readonly labels: readonly string[];
  readonly #devices: readonly Device[];
  readonly #random: Random;
  readonly #bad: boolean;
  /** By round in which they come at last. */
  readonly #late = new Map<number, Sent[]>();
  #round = 0;

  constructor(prefix: string, devices: number, bad: boolean) {
    const world = createWorld({ seed: 11, devices });
    const options = { faults: bad ? badFaults : noFaults, format: 'cloudevents', prefix } as const;
    this.labels = world.labels;
    this.#devices = world.devices.map((truth) => new Device(world, truth, options));
    this.#random = new Random(12).fork(prefix);
    this.#bad = bad;
  }

  /** What reaches the broker in the next round, in order; a reading that is sent twice stands there twice. */
  next(): Sent[] {
    const t = this.#round * ROUND_MS;
    const out: Sent[] = [...(this.#late.get(this.#round) ?? [])];
    this.#late.delete(this.#round);
    for (const device of this.#random.shuffled([...this.#devices]))
      for (const reading of device.next(t, BEGIN + t)) {
        const id = `/${reading.topic.slice(0, reading.topic.lastIndexOf('/'))}/${reading.seq}`;
        const late = this.#bad && this.#random.chance(LATE.share);
        const sent = { ...reading, id, late };
        if (late) this.#postpone(sent);
        else out.push(sent);
      }
    this.#round += 1;
    return out;
  }

  /** What is still under way at the end. */
  rest(): Sent[] {
    const rest = [...this.#late.values()].flat();
    this.#late.clear();
    return rest;
  }

  #postpone(sent: Sent): void {
    const round = this.#round + this.#random.between(LATE.from, LATE.to);
    this.#late.set(round, [...(this.#late.get(round) ?? []), sent]);
  }
}

/** What came of the readings of a fleet. */
export class Account {
  readonly sent = new Map<string, Sent>();
  readonly verdicts = new Map<string, Verdict>();
  dead = 0;
  /** Messages, repetitions included. */
  messages = 0;
  repeated = 0;
  /** Messages that no decoder can read. */
  unreadable = 0;
  #readable = 0;

  add(readings: readonly Sent[]): void {
    for (const reading of readings) {
      this.messages += 1;
      if (!reading.readable) this.unreadable += 1;
      if (reading.readable && !this.sent.has(reading.id)) this.#readable += 1;
      this.sent.set(reading.id, reading);
    }
  }

  verdict(verdict: Verdict): void {
    if (this.verdicts.has(verdict.event)) this.repeated += 1;
    this.verdicts.set(verdict.event, verdict);
  }

  get outstanding(): number {
    return this.#readable - this.verdicts.size;
  }

  /** Readable readings without a verdict. */
  get unanswered(): string[] {
    return [...this.sent.values()]
      .filter(({ id, readable }) => readable && !this.verdicts.has(id))
      .map(({ id }) => id);
  }

  /** Of the readings from `seq` on with a label; `which` picks some by what was done to them. */
  accuracy(labels: readonly string[], from: number, which: (sent: Sent) => boolean = () => true): number {
    const tested = [...this.sent.values()].filter(
      (sent) => sent.seq >= from && which(sent) && (this.verdicts.get(sent.id)?.label ?? null) !== null,
    );
    const right = tested.filter(({ id, truth }) => this.verdicts.get(id)?.label === labels[truth]);
    return right.length / tested.length;
  }

  /** Share of readings with this fault, or with none, whose verdict has one of these flags on any field. */
  flagged(
    fault: FaultName | null,
    flags: readonly string[],
  ): { readonly readings: number; readonly share: number } {
    const some = [...this.sent.values()].filter(({ faults, readable, seq }) => {
      if (!readable || seq <= 16) return false; // a window that is too short shows no spread
      return fault === null ? (faults & WRONG) === 0 : (effective(faults) & faultBit(fault)) !== 0;
    });
    const found = some.filter(({ id }) =>
      Object.values(this.verdicts.get(id)?.flags ?? {}).some((each) =>
        each.some((what) => flags.includes(what)),
      ),
    );
    return { readings: some.length, share: found.length / Math.max(1, some.length) };
  }

  /** By fault the share of its readings that are flagged for it; `none`: of readings without any wrong value. */
  recall(): Record<Flagged | 'none', { readonly readings: number; readonly share: number }> {
    const entries = Object.entries(FLAGS).map(([fault, flag]) => [
      fault,
      this.flagged(fault as FaultName, [flag]),
    ]);
    return { ...Object.fromEntries(entries), none: this.flagged(null, Object.values(FLAGS)) };
  }

  /** Messages touched, by fault. */
  faults(): Record<string, number> {
    const all = [...this.sent.values()];
    const counts = faultNames.map(
      (name) => [name, all.filter(({ faults }) => faults & faultBit(name)).length] as const,
    );
    return {
      ...Object.fromEntries(counts.filter(([, n]) => n > 0)),
      late: all.filter(({ late }) => late).length,
    };
  }
}

const WRONG = Object.keys(FLAGS).reduce((bits, name) => bits | faultBit(name as Flagged), 0);

/** Of the faults that touch one value of a reading only the first comes out. */
const ONE_OF = ['missing', 'wrongType', 'outOfRange', 'spike'] as const;

function effective(faults: number): number {
  const first = ONE_OF.find((name) => faults & faultBit(name));
  const others = ONE_OF.filter((name) => name !== first).reduce((bits, name) => bits | faultBit(name), 0);
  return faults & ~others;
}
