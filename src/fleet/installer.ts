/**
 * Follows the signed word of a hub on what this gateway shall run. For each new `desired` it fetches the bytes, checks
 * them from the first to the last, keeps them, folds the local labels onto them beside the running model, swaps, and
 * says by `actual` what really runs. Promises: nothing unverified is ever loaded; a refusal keeps the running model and
 * is told with its reason; a kill at any point leaves either the old or the new base, whole; serials only rise. One
 * document at a time, the newest first. Silence of the broker changes nothing.
 */
import type { Actual, Board, Bundle, BundleRef, Clock, Desired, Store } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { plausibleNow, verifyBundleAside } from '../model/bundle.ts';
import { type Accepted, acceptDesired, encodeActual } from '../model/desired.ts';
import type { PublicKey } from '../model/signing.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { type Base, bundleBase, cutOff } from './base.ts';
import type { Installed } from './installed.ts';
import type { Learner } from './learner.ts';
import { fetchBundle } from './pieces.ts';

/** What may succeed later is tried again after this, and after twice as long each time it fails. */
const AGAIN_MS = 2_000;
const AGAIN_MOST_MS = 300_000;
/** `actual` is repeated, so that a hub tells a silent gateway from one that is only quiet. */
const ACTUAL_EVERY_MS = 15_000;

export interface InstallerContext {
  readonly site: string;
  readonly group: string;
  readonly task: Task;
  readonly board: Board;
  readonly learner: Learner;
  readonly installed: Installed;
  readonly store: Store;
  readonly trusted: readonly PublicKey[];
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

type Followed = Extract<Accepted, { kind: 'new' }>;

/** What a document means for this site. */
interface Wanted {
  readonly run: BundleRef | null;
  readonly beside: BundleRef | null;
}

export class Installer {
  readonly #context: InstallerContext;
  readonly #stop = new AbortController();
  readonly #watch: { stop(): Promise<void> };
  readonly #beating: Promise<void>;
  /** The newest document that is to be followed. */
  #next: Followed | null = null;
  /** The one that is being followed, and what gives it up for a newer one. */
  #serial = -1;
  #newer = new AbortController();
  #failures = 0;
  #pausing = false;
  /** What kept the pieces of a bundle from coming together. */
  #unfetched: SluiceError | null = null;
  #working: Promise<void> | null = null;
  #state: Actual['state'] = 'running';
  #reason = '';
  #told = '';

  constructor(context: InstallerContext) {
    this.#context = context;
    const { board, group, task } = context;
    this.#watch = board.watch(`${group}/models/${task.name}/desired`, (_name, payload) =>
      this.#heard(payload),
    );
    this.#beating = this.#beat();
  }

  /** What runs, for the dashboard and the `actual` topic. */
  actual(): Actual {
    const { site, group, task, learner, installed, clock } = this.#context;
    return {
      site,
      group,
      task: task.name,
      digest: learner.base.digest,
      labels: learner.labels,
      companion: learner.companion?.digest ?? null,
      serial: installed.record.serial,
      state: this.#state,
      reason: this.#reason,
      at: clock.now(),
    };
  }

  /** Resolves when no document is being followed. */
  async settled(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** A base runs from another position on: what was learned on it was dropped. */
  async rebased({ digest, since }: Base): Promise<void> {
    const { installed } = this.#context;
    const { base, previous } = installed.record;
    // The record may name the next base already, while this one still runs.
    if (base?.digest === digest) await installed.save({ base: { ...base, since } });
    else if (previous?.digest === digest) await installed.save({ previous: { ...previous, since } });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watch.stop();
    await this.settled();
    await this.#beating;
  }

  /** Judged as it comes, so that no nonsense stands in the way of what waits or is under way. */
  #heard(payload: Uint8Array): void {
    const { group, task, installed, trusted } = this.#context;
    const { serial: lastSerial, document: lastDocument } = installed.record;
    const accepted = acceptDesired(payload, { trusted, group, task: task.name, lastSerial, lastDocument });
    if (accepted.kind === 'refused') {
      this.#refuse(accepted.error);
      return;
    }
    if (accepted.kind === 'same') {
      if (!this.#working && this.#state !== 'running') this.#say('running', '');
      return;
    }
    const { serial } = accepted.desired;
    if (serial < Math.max(this.#serial, this.#next?.desired.serial ?? -1)) return; // overtaken before it was followed
    this.#next = accepted;
    this.#failures = 0;
    // Said once more while it waits to be tried again: now may be better than later.
    if (serial > this.#serial || this.#pausing) this.#newer.abort();
    this.#wake();
  }

  #wake(): void {
    if (this.#working || this.#stop.signal.aborted) return;
    this.#working = this.#work().finally(() => {
      this.#working = null;
      if (this.#next) this.#wake();
    });
  }

  async #work(): Promise<void> {
    while (this.#next && !this.#stop.signal.aborted) {
      const followed = this.#next;
      this.#next = null;
      this.#newer = new AbortController();
      this.#serial = followed.desired.serial;
      try {
        if (await this.#follow(followed)) this.#say('running', '');
        this.#failures = 0;
      } catch (thrown) {
        if (!this.#gaveUp.aborted) await this.#failed(followed, asSluiceError(thrown));
      } finally {
        this.#serial = -1;
      }
    }
  }

  /** A newer document has come, or the gateway stops. */
  get #gaveUp(): AbortSignal {
    return AbortSignal.any([this.#newer.signal, this.#stop.signal]);
  }

  async #failed(followed: Followed, error: SluiceError): Promise<void> {
    this.#refuse(error);
    if (!error.retry && error !== this.#unfetched) return;
    const pause = Math.min(AGAIN_MOST_MS, AGAIN_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#pausing = true;
    await this.#context.clock.sleep(pause, this.#gaveUp);
    this.#pausing = false;
    this.#next ??= followed;
  }

  #refuse(error: SluiceError): void {
    const { task, telemetry } = this.#context;
    telemetry.count('model_refused', { task: task.name, code: error.code }, 1, { reason: error.message });
    this.#say('refused', `${error.code}: ${error.message}`);
  }

  /** False where nothing was to be done. */
  async #follow({ desired, document }: Followed): Promise<boolean> {
    const { installed, clock } = this.#context;
    const { serial: last, document: lastDocument } = installed.record;
    if (desired.serial === last && document === lastDocument) return this.#state !== 'running';
    if (desired.serial <= last)
      throw new SluiceError(
        'DESIRED_REPLAYED',
        `serial ${desired.serial} of ${desired.group}/${desired.task} came after ${last} or with other content`,
      );
    const now = plausibleNow(clock.now(), desired.at);
    if (now === null)
      this.#context.telemetry.count('clock_implausible', {}, 1, {
        signedAt: new Date(desired.at).toISOString(),
      });
    await this.#arrange(desired, now);
    // Only what was followed counts as followed: after a kill, or where it was refused, it comes again.
    await installed.save({ serial: desired.serial, document });
    return true;
  }

  #wanted({ digest, version, size, chunks, candidate, compare }: Desired): Wanted {
    const all =
      digest === null ? null : { digest, version: version ?? 0, size: size ?? 0, chunks: chunks ?? 0 };
    if (!candidate?.sites.includes(this.#context.site)) return { run: all, beside: all && compare };
    return candidate.mode === 'canary' ? { run: candidate, beside: all } : { run: all, beside: candidate };
  }

  async #arrange(desired: Desired, now: number | null): Promise<void> {
    const { learner, installed } = this.#context;
    const { run, beside } = this.#wanted(desired);
    if (run && run.digest !== learner.base.digest) await this.#run(run, now);
    if (!beside || beside.digest === learner.base.digest) {
      learner.accompany(null);
      await installed.save({ companion: null });
    } else if (beside.digest !== learner.companion?.digest) await this.#accompany(beside, now);
  }

  /** The bytes are on disk and recorded before the model runs, so that a kill at any point finds what it names. */
  async #run(ref: BundleRef, now: number | null): Promise<void> {
    const { learner, installed } = this.#context;
    const bundle = await this.#obtain(ref, now);
    const { base, previous } = installed.record;
    const since = this.#since(bundle);
    await installed.save({ base: { digest: ref.digest, since }, previous: base });
    try {
      await learner.install(bundleBase(bundle, since));
    } catch (thrown) {
      await installed.save({ base, previous: previous?.digest === ref.digest ? previous : null });
      throw thrown;
    }
  }

  /** A base that ran here goes on where it was: what was dropped stays dropped. */
  #since(bundle: Bundle): number {
    const { site, task, store, installed } = this.#context;
    const { base, previous, companion } = installed.record;
    const known = [base, previous, companion].find((place) => place?.digest === bundle.digest);
    return known?.since ?? cutOff(bundle, site, task.name, store);
  }

  async #accompany(ref: BundleRef, now: number | null): Promise<void> {
    const { learner, installed } = this.#context;
    const bundle = await this.#obtain(ref, now);
    const since = this.#since(bundle);
    await installed.save({ companion: { digest: ref.digest, since } });
    learner.accompany(bundleBase(bundle, since));
  }

  /** From disk, else from the broker; verified in any case. What is damaged on disk comes from the broker again. */
  async #obtain(ref: BundleRef, now: number | null): Promise<Bundle> {
    const { installed, task, trusted, maxBytes, telemetry } = this.#context;
    if (installed.has(ref.digest)) {
      try {
        return await installed.load(ref.digest);
      } catch (thrown) {
        telemetry.error(asSluiceError(thrown), { task: task.name });
      }
    }
    this.#say('fetching', '');
    const bytes = await this.#fetch(ref);
    const { name, labels, features, event } = task;
    const bundle = await verifyBundleAside(bytes, {
      trusted,
      now,
      task: name,
      labels,
      features,
      event,
      maxBytes,
    });
    await installed.put(bundle, bytes);
    return bundle;
  }

  async #fetch(ref: BundleRef): Promise<Uint8Array> {
    const { board, group, task, maxBytes, clock } = this.#context;
    const prefix = `${group}/models/${task.name}/blob/${ref.digest}/`;
    const fetching = fetchBundle({ board, prefix, ref, maxBytes, clock, signal: this.#gaveUp });
    return fetching.catch((thrown) => {
      // The hub may lay the pieces again.
      if (thrown instanceof SluiceError && thrown.code !== 'BUNDLE_TOO_LARGE') this.#unfetched = thrown;
      throw thrown;
    });
  }

  // ---- actual

  #say(state: Actual['state'], reason: string): void {
    this.#state = state;
    this.#reason = reason.slice(0, 1_000);
    void this.#tell();
  }

  async #tell(): Promise<void> {
    const { board, site, task, telemetry } = this.#context;
    const actual = this.actual();
    const { at: _at, labels: _labels, ...happening } = actual;
    const text = JSON.stringify(happening);
    try {
      await board.put(`${site}/models/${task.name}/actual`, encodeActual(actual));
      this.#told = text;
    } catch (thrown) {
      if (this.#told !== text) telemetry.error(asSluiceError(thrown), { task: task.name });
    }
  }

  async #beat(): Promise<void> {
    const { clock } = this.#context;
    while (!this.#stop.signal.aborted) {
      await this.#tell();
      await clock.sleep(ACTUAL_EVERY_MS, this.#stop.signal);
    }
  }
}
