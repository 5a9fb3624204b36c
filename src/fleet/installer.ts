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
import { acceptDesired, encodeActual, joinChunksAside } from '../model/desired.ts';
import type { PublicKey } from '../model/signing.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { bundleBase, cutOff } from './base.ts';
import type { Installed } from './installed.ts';
import type { Learner } from './learner.ts';

/** All pieces of a bundle must come within this; what has come is then asked for again. */
const FETCH_MS = 60_000;
const AGAIN_MS = 5_000;
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
  /** The newest document that was not looked at yet. */
  #next: Uint8Array | null = null;
  #working: Promise<void> | null = null;
  #state: Actual['state'] = 'running';
  #reason = '';
  #told = '';

  constructor(context: InstallerContext) {
    this.#context = context;
    const { board, group, task } = context;
    this.#watch = board.watch(`${group}/models/${task.name}/desired`, (_name, payload) => {
      this.#next = payload;
      this.#wake();
    });
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

  /** The base runs from another position on: what was learned on it was dropped. */
  async rebased(since: number): Promise<void> {
    const { base } = this.#context.installed.record;
    if (base) await this.#context.installed.save({ base: { ...base, since } });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watch.stop();
    await this.settled();
    await this.#beating;
  }

  #wake(): void {
    if (this.#working || this.#stop.signal.aborted) return;
    this.#working = this.#work().finally(() => {
      this.#working = null;
      if (this.#next) this.#wake();
    });
  }

  async #work(): Promise<void> {
    const { task, telemetry, clock } = this.#context;
    while (this.#next && !this.#stop.signal.aborted) {
      const payload = this.#next;
      this.#next = null;
      try {
        if (await this.#follow(payload)) this.#say('running', '');
      } catch (thrown) {
        const error = asSluiceError(thrown);
        telemetry.count('model_refused', { task: task.name, code: error.code }, 1, { reason: error.message });
        this.#say('refused', `${error.code}: ${error.message}`);
        if (error.retry && !this.#stop.signal.aborted) {
          await clock.sleep(AGAIN_MS, this.#stop.signal);
          this.#next ??= payload;
        }
      }
    }
  }

  /** False where nothing was to be done. */
  async #follow(payload: Uint8Array): Promise<boolean> {
    const { group, task, installed, trusted, clock } = this.#context;
    const { serial, document } = installed.record;
    const accepted = acceptDesired(payload, {
      trusted,
      group,
      task: task.name,
      lastSerial: serial,
      lastDocument: document,
    });
    if (accepted.kind === 'refused') throw accepted.error;
    if (accepted.kind === 'same') return this.#state !== 'running';
    const { desired } = accepted;
    const now = plausibleNow(clock.now(), desired.at);
    if (now === null)
      this.#context.telemetry.count('clock_implausible', {}, 1, {
        signedAt: new Date(desired.at).toISOString(),
      });
    await this.#arrange(desired, now);
    // Only what was followed counts as followed: after a kill, or where it was refused, it comes again.
    await installed.save({ serial: desired.serial, document: accepted.document });
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

  /** From disk, else from the broker; verified in any case. */
  async #obtain(ref: BundleRef, now: number | null) {
    const { installed, task, trusted, maxBytes } = this.#context;
    if (installed.has(ref.digest)) return installed.load(ref.digest);
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

  /** Gathers the pieces. Throws BUNDLE_TOO_LARGE before a piece is asked for, BUNDLE_MISSING where some do not come. */
  async #fetch(ref: BundleRef): Promise<Uint8Array> {
    const { board, group, task, maxBytes, clock } = this.#context;
    if (ref.size > maxBytes)
      throw new SluiceError(
        'BUNDLE_TOO_LARGE',
        `the bundle has ${ref.size} bytes, and ${maxBytes} are allowed`,
      );
    const pieces = new Array<Uint8Array | undefined>(ref.chunks).fill(undefined);
    const prefix = `${group}/models/${task.name}/blob/${ref.digest}/`;
    const enough = new AbortController();
    let missing = ref.chunks;
    let held = 0;
    const watch = board.watch(`${prefix}+`, (name, payload) => {
      const n = Number(name.slice(prefix.length));
      // Pieces are small; what is larger, or comes beyond the size, is none of ours.
      if (!Number.isInteger(n) || n < 0 || n >= ref.chunks || pieces[n] || held + payload.length > ref.size)
        return;
      pieces[n] = Uint8Array.from(payload);
      held += payload.length;
      missing -= 1;
      if (missing === 0) enough.abort();
    });
    try {
      await clock.sleep(FETCH_MS, AbortSignal.any([enough.signal, this.#stop.signal]));
    } finally {
      await watch.stop();
    }
    if (missing > 0)
      throw new SluiceError(
        'BUNDLE_MISSING',
        `${missing} of ${ref.chunks} pieces of ${ref.digest.slice(0, 12)} did not come`,
      );
    return joinChunksAside(pieces, ref, maxBytes);
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
