/**
 * What the registry knows of its bundles, as plain values: which stage each is at, since when, why, and what it was
 * before. A change gives a new catalogue; the registry writes it before it believes it. Promises: at most one live
 * bundle a task, whatever is asked.
 */
import { z } from 'zod';
import type { Bundle, Registered, Stage } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { manifestSchema } from '../../model/bundle.ts';

const MAX_HISTORY = 50;
const MAX_REASON = 2_000;

const stage = z.enum(['candidate', 'canary', 'live', 'retired', 'rejected']);
const moment = { stage, since: z.number(), reason: z.string() };
const entrySchema = z.object({
  ...moment,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.number().int().positive(),
  signer: z.string().nullable(),
  manifest: manifestSchema,
  /** Stages before this one, oldest first. */
  history: z.array(z.object(moment)),
});

/** A stage that a bundle was at. */
export type Moment = Pick<Registered, 'stage' | 'since' | 'reason'>;
type Entry = Registered & { readonly history: readonly Moment[] };
export interface Catalogue {
  readonly entries: readonly Entry[];
}

export const catalogueSchema: z.ZodType<Catalogue> = z.object({ entries: z.array(entrySchema) });

export const EMPTY: Catalogue = { entries: [] };

export const registered = ({ history: _, ...entry }: Entry): Registered => entry;

export function entryOf(catalogue: Catalogue, digest: string): Entry {
  const entry = catalogue.entries.find((candidate) => candidate.digest === digest);
  if (!entry) throw new SluiceError('MODEL_UNKNOWN', `the registry holds no model ${digest.slice(0, 12)}`);
  return entry;
}

/** Adds a bundle as a candidate; one that is there keeps its stage. */
export function withBundle(catalogue: Catalogue, bundle: Bundle, reason: string, at: number): Catalogue {
  const { digest, size, signer, manifest } = bundle;
  if (catalogue.entries.some((entry) => entry.digest === digest)) return catalogue;
  const arrived: Moment = { stage: 'candidate', since: at, reason: shorten(reason) };
  return { entries: [...catalogue.entries, { ...arrived, digest, size, signer, manifest, history: [] }] };
}

const shorten = (reason: string): string => reason.slice(0, MAX_REASON);

/** Moves one bundle; what was live of its task retires when it becomes live. Throws MODEL_UNKNOWN. */
export function withStage(
  catalogue: Catalogue,
  digest: string,
  to: Stage,
  reason: string,
  at: number,
): Catalogue {
  const moved = entryOf(catalogue, digest);
  const { task, version } = moved.manifest;
  return {
    entries: catalogue.entries.map((entry) => {
      if (entry === moved) return step(entry, to, reason, at);
      const replaced = to === 'live' && entry.stage === 'live' && entry.manifest.task === task;
      return replaced ? step(entry, 'retired', `replaced by v${version} ${digest.slice(0, 12)}`, at) : entry;
    }),
  };
}

function step(entry: Entry, to: Stage, reason: string, at: number): Entry {
  const { stage, since, reason: before } = entry;
  const history = [...entry.history, { stage, since, reason: before }].slice(-MAX_HISTORY);
  return { ...entry, stage: to, since: at, reason: shorten(reason), history };
}

/** The bundles of a task that may go: retired and rejected ones beyond the newest `keep`. */
export function disposable(catalogue: Catalogue, task: string, keep: number): string[] {
  return catalogue.entries
    .filter(({ stage, manifest }) => manifest.task === task && (stage === 'retired' || stage === 'rejected'))
    .sort((a, b) => b.since - a.since)
    .slice(keep)
    .map(({ digest }) => digest);
}

export function without(catalogue: Catalogue, digests: readonly string[]): Catalogue {
  const gone = new Set(digests);
  return { entries: catalogue.entries.filter(({ digest }) => !gone.has(digest)) };
}

/** The one bundle whose digest begins so. Throws MODEL_UNKNOWN: none, several, or fewer than six digits. */
export function findPrefix(entries: readonly Registered[], prefix: string): Registered {
  const unknown = (detail: string) => new SluiceError('MODEL_UNKNOWN', detail);
  if (!/^[0-9a-f]{6,64}$/.test(prefix))
    throw unknown(`${prefix} is no digest, nor six or more digits of one`);
  const found = entries.filter(({ digest }) => digest.startsWith(prefix));
  if (found.length === 1) return found[0];
  if (found.length === 0) throw unknown(`no model begins with ${prefix}`);
  const names = found.slice(0, 4).map(({ digest }) => digest.slice(0, prefix.length + 6));
  throw unknown(`${prefix} is ambiguous: ${names.join(', ')}${found.length > 4 ? ', …' : ''}`);
}
