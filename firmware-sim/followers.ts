/**
 * Thousands of simulated gateways that follow models over one connection, so that a hub can be tested without
 * thousands of processes. Each watches `<group>/models/<task>/desired`, fetches the pieces, verifies them by the code
 * that gateways run, applies after a while of its own, and says at `<site>/models/<task>/actual` what it runs; some
 * misbehave as the scenario says. Promises: same seed, same followers; one watch for all, pieces fetched once; at most
 * TELLING puts under way, and of each follower only the newest word waits. A damaged download is never applied:
 * `corruptInstalled` counts that, and must be 0.
 */
import type { Board, BundleRef, Clock, Desired } from '../src/contract.ts';
import { asSluiceError } from '../src/errors.ts';
import { plausibleNow } from '../src/model/bundle.ts';
import { encodeActual } from '../src/model/desired.ts';
import type { PublicKey } from '../src/model/signing.ts';
import type { Telemetry } from '../src/telemetry.ts';
import { Agenda } from './followers/agenda.ts';
import { Blobs, type Pieces } from './followers/blobs.ts';
import { Checks, damaged } from './followers/checks.ts';
import {
  Follower,
  type FollowerState,
  followerStates,
  type Misbehaviour,
  meaningFor,
} from './followers/follower.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenario/schema.ts';

export type FollowerPlan = NonNullable<Scenario['followers']>;

export interface FollowersOptions {
  readonly plan: Omit<FollowerPlan, 'trust'>;
  readonly trusted: readonly PublicKey[];
  readonly board: Board;
  readonly seed: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export interface FollowerCounts {
  readonly count: number;
  readonly states: Readonly<Record<FollowerState, number>>;
  /** How many run which model, by digest; `none` where they run none. */
  readonly running: Readonly<Record<string, number>>;
  /** Updates that were applied and confirmed. */
  readonly updates: number;
  /** Refusals by code. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly restarts: number;
  readonly corruptDownloads: number;
  /** Damaged downloads that were applied: must be 0. */
  readonly corruptInstalled: number;
  /** Words of what runs that the broker has taken, and that it has not. */
  readonly told: number;
  readonly untold: number;
  readonly silent: number;
}

const TICK_MS = 20;
const TELLING = 64;
const SLOW = 10;
/** They do not all look in the same millisecond. */
const LOOK_MS = 250;
const AGAIN_MS = 5_000;
/** Verifying a model of a megabyte on a small device. */
const VERIFY_MS = 100;

export class Followers {
  readonly #options: FollowersOptions;
  readonly #followers: readonly Follower[];
  readonly #agenda = new Agenda<() => void>();
  readonly #blobs: Blobs;
  readonly #checks: Checks;
  readonly #stop = new AbortController();
  readonly #watch: { stop(): Promise<void> };
  readonly #running: Promise<void>;
  readonly #refusals = new Map<string, number>();
  /** Have something to say that is not under way. */
  readonly #waiting = new Set<Follower>();
  readonly #listed = new WeakMap<Desired, ReadonlySet<string>>();
  #telling = 0;
  #desired: Uint8Array | null = null;
  #updates = 0;
  #restarts = 0;
  #corruptDownloads = 0;
  #corruptInstalled = 0;
  #told = 0;
  #untold = 0;

  constructor(options: FollowersOptions) {
    this.#options = options;
    const { plan, board, clock, trusted } = options;
    const { group, task, maxBytes, fetch: fetchMs, labels, features, event } = plan;
    const { signal } = this.#stop;
    const folder = `${group}/models/${task}/blob`;
    this.#blobs = new Blobs({ board, folder, maxBytes, fetchMs, clock, signal });
    this.#checks = new Checks({ trusted, group, task, maxBytes, labels, features, event });
    this.#followers = drawFollowers(plan, options.seed);
    for (const follower of this.#followers) this.#boot(follower);
    this.#watch = board.watch(`${group}/models/${task}/desired`, (_name, payload) => this.#seen(payload));
    this.#running = this.#run();
  }

  counts(): FollowerCounts {
    const states = Object.fromEntries(followerStates.map((state) => [state, 0])) as Record<
      FollowerState,
      number
    >;
    const running: Record<string, number> = {};
    let silent = 0;
    for (const { state, digest, does } of this.#followers) {
      states[state] += 1;
      const name = digest ?? 'none';
      running[name] = (running[name] ?? 0) + 1;
      if (does.silent) silent += 1;
    }
    return {
      ...{ count: this.#followers.length, states, running, updates: this.#updates },
      refusals: Object.fromEntries(this.#refusals),
      restarts: this.#restarts,
      corruptDownloads: this.#corruptDownloads,
      corruptInstalled: this.#corruptInstalled,
      ...{ told: this.#told, untold: this.#untold, silent },
    };
  }

  /** Ends everything; the last words stay on the broker. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watch.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stop.signal.aborted) {
      for (const act of this.#agenda.take(clock.now())) act();
      this.#tellMore();
      await clock.sleep(TICK_MS, this.#stop.signal);
    }
    while (this.#telling > 0) await clock.sleep(TICK_MS);
  }

  /** After `ms`, unless the follower has started anew meanwhile. */
  #later(follower: Follower, ms: number, act: () => void): void {
    const { life, does } = follower;
    const due = this.#options.clock.now() + ms * (does.slow ? SLOW : 1);
    this.#agenda.enter(due, () => {
      if (follower.life === life) act();
    });
  }

  // ------------------------------------------------------------ life

  #boot(follower: Follower): void {
    follower.life += 1;
    follower.state = 'boot';
    follower.update = null;
    const { plan } = this.#options;
    this.#later(follower, follower.random.exponential(plan.boot), () => {
      follower.state = 'connect';
      this.#later(follower, follower.random.exponential(plan.boot / 4), () => {
        follower.state = 'run';
        this.#tell(follower);
        this.#beat(follower);
        this.#look(follower);
      });
    });
  }

  #beat(follower: Follower): void {
    const { every } = this.#options.plan;
    const { life } = follower;
    this.#agenda.enter(this.#options.clock.now() + every * (0.9 + 0.2 * follower.random.next()), () => {
      if (follower.life !== life) return;
      this.#tell(follower);
      this.#beat(follower);
    });
  }

  #seen(payload: Uint8Array): void {
    if (this.#desired && Buffer.compare(this.#desired, payload) === 0) return;
    this.#desired = Uint8Array.from(payload);
    for (const follower of this.#followers)
      if (follower.state === 'run' || follower.state === 'refused')
        this.#later(follower, follower.random.next() * LOOK_MS, () => this.#look(follower));
  }

  // ------------------------------------------------------------ an update

  /** Looks at the newest document, unless an update is under way; then it looks after that. */
  #look(follower: Follower): void {
    if (!this.#desired || follower.update || follower.does.silent) return;
    follower.looked = this.#desired;
    const accepted = this.#checks.accept(this.#desired, follower.serial, follower.document);
    if (accepted.kind === 'refused') this.#refuse(follower, accepted.error);
    if (accepted.kind !== 'new') return;
    const { desired, document } = accepted;
    const { run, beside } = meaningFor(follower.site, desired, (of) => this.#sitesOf(of));
    const wanted = [run, beside].filter((ref): ref is BundleRef => ref !== null && !follower.has(ref.digest));
    const restart = follower.does.reboot && wanted.length > 0 && follower.restartedAt < desired.serial;
    follower.update = { desired, document, run, beside, wanted, restart };
    this.#next(follower);
  }

  #sitesOf(desired: Desired): ReadonlySet<string> {
    const known = this.#listed.get(desired) ?? new Set(desired.candidate?.sites ?? []);
    this.#listed.set(desired, known);
    return known;
  }

  /** Fetches what is wanted next, or applies. */
  #next(follower: Follower): void {
    const { update } = follower;
    if (!update) return;
    const ref = update.wanted.shift();
    if (ref) void this.#obtain(follower, ref);
    else if (update.run?.digest === follower.digest) this.#confirm(follower);
    else this.#apply(follower);
  }

  async #obtain(follower: Follower, ref: BundleRef): Promise<void> {
    const { life, does, random } = follower;
    follower.state = 'download';
    this.#tell(follower);
    try {
      const fetched = await this.#blobs.fetch(ref);
      if (follower.life !== life || this.#stop.signal.aborted) return;
      if (does.corrupt) this.#corruptDownloads += 1;
      const pieces = does.corrupt ? damaged(fetched, random.next()) : fetched;
      this.#later(follower, VERIFY_MS * random.next(), () => void this.#verify(follower, ref, pieces));
    } catch (thrown) {
      if (follower.life === life) this.#refuse(follower, asSluiceError(thrown));
    }
  }

  async #verify(follower: Follower, ref: BundleRef, pieces: Pieces): Promise<void> {
    const { life, update, does } = follower;
    if (!update) return;
    follower.state = 'verify';
    const now = plausibleNow(follower.clock(this.#options.clock.now()), update.desired.at);
    try {
      if (does.corrupt) await this.#checks.verifyOwn(pieces, ref, now);
      else await this.#checks.verify(pieces, ref, now);
    } catch (thrown) {
      if (follower.life === life) this.#refuse(follower, asSluiceError(thrown));
      return;
    }
    if (follower.life === life) this.#next(follower);
  }

  #apply(follower: Follower): void {
    const { from, to } = this.#options.plan.apply;
    const takes = from + (to - from) * follower.random.next();
    follower.state = 'apply';
    const { update } = follower;
    if (update?.restart) {
      this.#later(follower, takes * follower.random.next(), () => {
        follower.restartedAt = update.desired.serial;
        this.#restarts += 1;
        this.#boot(follower);
      });
      return;
    }
    this.#later(follower, takes, () => this.#confirm(follower));
  }

  /** It runs, and only now counts as followed. */
  #confirm(follower: Follower): void {
    const { update } = follower;
    if (!update) return;
    const digest = update.run?.digest ?? follower.digest;
    if (digest !== follower.digest) {
      this.#updates += 1;
      follower.previous = follower.digest;
      if (follower.does.corrupt) this.#corruptInstalled += 1;
    }
    follower.digest = digest;
    follower.companion = update.beside?.digest ?? null;
    follower.serial = update.desired.serial;
    follower.document = update.document;
    follower.update = null;
    follower.state = 'run';
    follower.reason = '';
    this.#tell(follower);
    this.#look(follower);
  }

  #refuse(follower: Follower, error: { code: string; message: string; retry: boolean }): void {
    follower.update = null;
    follower.state = 'refused';
    follower.reason = `${error.code}: ${error.message}`.slice(0, 1_000);
    this.#refusals.set(error.code, (this.#refusals.get(error.code) ?? 0) + 1);
    this.#tell(follower);
    // A newer document may have come while this one was followed.
    if (follower.looked !== this.#desired) this.#later(follower, LOOK_MS, () => this.#look(follower));
    else if (error.retry) this.#later(follower, AGAIN_MS, () => this.#look(follower));
  }

  // ------------------------------------------------------------ words

  #tell(follower: Follower): void {
    if (follower.does.silent && follower.told > 0) return;
    follower.told += 1;
    this.#waiting.add(follower);
  }

  /** As many as may be under way; who waits says what is true when its turn comes. */
  #tellMore(): void {
    for (const follower of this.#waiting) {
      if (this.#telling >= TELLING || this.#stop.signal.aborted) return;
      this.#waiting.delete(follower);
      this.#telling += 1;
      void this.#put(follower);
    }
  }

  async #put(follower: Follower): Promise<void> {
    const { board, plan, clock, telemetry } = this.#options;
    const { group, task } = plan;
    try {
      const actual = encodeActual(follower.actual(group, task, clock.now()));
      await board.put(`${follower.site}/models/${task}/actual`, actual);
      this.#told += 1;
    } catch (thrown) {
      // It says it again at its next beat.
      this.#untold += 1;
      telemetry.error(asSluiceError(thrown));
    }
    this.#telling -= 1;
    this.#tellMore();
  }
}

function drawFollowers(plan: Omit<FollowerPlan, 'trust'>, seed: number): Follower[] {
  const { count, prefix, faults } = plan;
  const digits = Math.max(5, String(count).length);
  return Array.from({ length: count }, (_, i) => {
    const site = `${prefix}-${String(i + 1).padStart(digits, '0')}`;
    const random = new Random(seed).fork(`follower ${site}`);
    const draw = random.fork('faults');
    const does: Misbehaviour = {
      silent: draw.chance(faults.silent),
      slow: draw.chance(faults.slow),
      corrupt: draw.chance(faults.corrupt),
      reboot: draw.chance(faults.reboot),
      clockOff: draw.chance(faults.clock) ? faults.clockOff : 0,
    };
    return new Follower(site, does, random);
  });
}
