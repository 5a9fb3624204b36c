/**
 * What a running model begins from: nothing, or a signed bundle. On top of it a gateway learns its own labels, those
 * behind `since` in its journal: the delta. Base and position together say what the model is the fold of, so a
 * snapshot belongs to exactly one of them.
 */
import { createHash } from 'node:crypto';
import type { Bundle, JournalEntry, Store } from '../contract.ts';
import type { Task } from '../task/task.ts';

export interface Base {
  /** Of the bundle; null where the model began with nothing. */
  readonly digest: string | null;
  /** How verdicts call it. */
  readonly name: string;
  readonly version: number;
  /** What the engine loads; null: a fresh model. */
  readonly weights: Uint8Array | null;
  /** The model kind in `weights`: a bundle may bring another than the configuration names. */
  readonly kind: string | null;
  /** Journal position up to which this gateway's labels are in the base, or are to stay out. */
  readonly since: number;
  /** Labels that the base has learned, by label index. */
  readonly counts: readonly number[];
}

/** A model that has learned nothing. */
export function blankBase(task: Task): Base {
  const name = `blank-${createHash('sha256').update(task.fingerprint).digest('hex').slice(0, 12)}`;
  const counts = task.labels.map(() => 0);
  return { digest: null, name, version: 0, weights: null, kind: null, since: 0, counts };
}

/** A verified bundle with the position behind which local labels are learned on top of it. */
export function bundleBase({ digest, manifest, weights }: Bundle, since: number): Base {
  const { version, kind, training } = manifest;
  return { digest, name: digest, version, weights, kind, since, counts: training.counts };
}

const PAGE = 512;

/**
 * Up to where the training of a bundle knew the labels of this site: by its journal position where the manifest names
 * the site, else by the time of the newest label used. Later ones are replayed onto it.
 */
export function cutOff({ manifest }: Bundle, site: string, task: string, store: Store): number {
  const { through, until } = manifest.training;
  if (Object.hasOwn(through, site)) {
    const known = through[site];
    // A journal that does not reach so far is a new one: nothing of it is in the base.
    return store.journal.read(task, Math.max(0, known - 1), 1).through >= known ? known : 0;
  }
  const known = ({ at }: JournalEntry) => at <= until;
  let since = 0;
  for (let after = 0; ; ) {
    const page = store.journal.read(task, after, PAGE);
    for (const entry of page.entries) {
      if (!known(entry)) return since;
      since = entry.seq;
    }
    if (page.through === after) return since;
    after = page.through;
  }
}
