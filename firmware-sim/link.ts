/**
 * A device's connection to the broker, with a memory: while it is away, readings wait in a bounded buffer and go out
 * later, in their order, a burst at each turn; while the device starts anew, nothing is measured. Promises: what was
 * measured is sent, still held, or counted as dropped, never anything else; all buffers of a fleet together hold at
 * most MAX_HELD readings. Times between failures and their lengths are drawn from exponential distributions by the
 * device's own stream of chance, so that phases may change them at any moment (they have no memory).
 *
 *   boot ──(reboot.for)──▶ run ──(offline.every)──▶ offline ──(offline.for)──▶ run: buffer first, then the new
 *    ▲                      │
 *    └────(reboot.every)────┘
 */
import type { Random } from './random.ts';

/** A mean time between failures, and a mean length, ms. `every` 0: it never happens. */
export interface Failing {
  readonly every: number;
  readonly for: number;
}

export interface NetworkPlan {
  readonly offline: Failing;
  /** `keeps`: the buffer lies in flash and survives. */
  readonly reboot: Failing & { readonly keeps: boolean };
  /** Readings that a device holds while it is away. */
  readonly buffer: number;
  readonly whenFull: 'drop-oldest' | 'drop-newest';
  /** Readings sent at once at a turn after the connection is back. */
  readonly burst: number;
  /** Each device's clock is off by up to `offset` ms, and runs fast or slow by up to `drift` millionths. */
  readonly clock: { readonly offset: number; readonly drift: number };
}

export const steadyNetwork: NetworkPlan = {
  offline: { every: 0, for: 0 },
  reboot: { every: 0, for: 0, keeps: true },
  buffer: 200,
  whenFull: 'drop-oldest',
  burst: 20,
  clock: { offset: 0, drift: 0 },
};

export const linkStates = ['run', 'offline', 'boot'] as const;
export type LinkState = (typeof linkStates)[number];

/** Readings in all buffers that share a tally: about 100 MiB. */
const MAX_HELD = 250_000;

/** What happened on all links of a fleet. */
export class LinkTally {
  /** Waiting in devices now. */
  held = 0;
  /** Sent out of a buffer, after a time away. */
  late = 0;
  /** Measured and never sent: the buffer was full, or lost with a restart. */
  dropped = 0;
  outages = 0;
  reboots = 0;
}

export class Link<T> {
  readonly #tally: LinkTally;
  readonly #random: Random;
  /** -1 to 1: where in the range of `clock.offset` and of `clock.drift` this device lies. */
  readonly #offset: number;
  readonly #pace: number;
  #plan: NetworkPlan | null = null;
  #state: LinkState = 'run';
  /** When the state ends, ms after the start, and with which one. */
  #until = Number.POSITIVE_INFINITY;
  #next: LinkState = 'run';
  #held: T[] = [];
  #head = 0;

  constructor(tally: LinkTally, random: Random) {
    this.#tally = tally;
    this.#random = random.fork('link');
    const clock = random.fork('clock');
    this.#offset = 2 * clock.next() - 1;
    this.#pace = 2 * clock.next() - 1;
  }

  get held(): number {
    return this.#held.length - this.#head;
  }

  /** The device's own idea of the time, ms since the epoch, at true time `at`, `t` ms after the start. */
  clock(t: number, at: number, { clock }: NetworkPlan): number {
    return at + clock.offset * this.#offset + (t * clock.drift * this.#pace) / 1e6;
  }

  /** Where the device stands at `t`. */
  state(t: number, plan: NetworkPlan): LinkState {
    if (plan !== this.#plan) {
      this.#plan = plan;
      if (this.#state === 'run') this.#schedule(t, plan);
    }
    while (t >= this.#until) this.#turn(plan);
    return this.#state;
  }

  /** Takes what was measured, gives what goes out now, in order. `state` must have been asked for this `t`. */
  pass(measured: readonly T[], plan: NetworkPlan): readonly T[] {
    if (this.#state === 'run' && this.held === 0) return measured;
    for (const item of measured) this.#hold(item, plan);
    if (this.#state !== 'run') return [];
    const out = this.#held.slice(this.#head, this.#head + plan.burst);
    this.#head += out.length;
    this.#tally.held -= out.length;
    this.#tally.late += out.length;
    this.#compact();
    return out;
  }

  #turn(plan: NetworkPlan): void {
    const from = this.#until;
    if (this.#state !== 'run') {
      this.#state = 'run';
      this.#schedule(from, plan);
      return;
    }
    this.#state = this.#next;
    const reboot = this.#state === 'boot';
    if (reboot) this.#tally.reboots += 1;
    else this.#tally.outages += 1;
    if (reboot && !plan.reboot.keeps) this.#lose();
    // At least a millisecond: the loop must come to an end.
    this.#until = from + Math.max(1, this.#random.exponential(reboot ? plan.reboot.for : plan.offline.for));
  }

  /** Draws which failure comes first, and when. */
  #schedule(t: number, { offline, reboot }: NetworkPlan): void {
    const wait = ({ every }: Failing): number =>
      every > 0 ? t + Math.max(1, this.#random.exponential(every)) : Number.POSITIVE_INFINITY;
    const away = wait(offline);
    const down = wait(reboot);
    this.#until = Math.min(away, down);
    this.#next = down < away ? 'boot' : 'offline';
  }

  #hold(item: T, { buffer, whenFull }: NetworkPlan): void {
    if (this.held >= buffer || this.#tally.held >= MAX_HELD) {
      this.#tally.dropped += 1;
      if (whenFull === 'drop-newest' || this.held === 0) return;
      this.#head += 1;
      this.#tally.held -= 1;
      this.#compact();
    }
    this.#held.push(item);
    this.#tally.held += 1;
  }

  #lose(): void {
    this.#tally.dropped += this.held;
    this.#tally.held -= this.held;
    this.#held = [];
    this.#head = 0;
  }

  #compact(): void {
    if (this.held === 0) this.#held = [];
    else if (this.#head >= 64 && this.#head * 2 > this.#held.length)
      this.#held = this.#held.slice(this.#head);
    else return;
    this.#head = 0;
  }
}
