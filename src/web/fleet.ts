/** From what the registry and the gateways say to what the page shows of it. */
import type { Actual, Registered } from '../contract.ts';
import type { GatewayView, ModelView } from './view.ts';

/** What a hub knows of a model beside its registry. */
export interface ModelFacts {
  readonly gain?: ModelView['gain'];
  readonly compared?: ModelView['compared'];
  /** Whether it waits for a person's word. */
  readonly waiting?: boolean;
  /** Sites that run it, of so many that should. */
  readonly runsOn?: readonly string[];
  readonly of?: number;
}

export function modelView(registered: Registered, facts: ModelFacts = {}): ModelView {
  const { digest, stage, since, reason, size, signer, manifest } = registered;
  const { gain = null, compared = null, waiting = false, runsOn = [], of = 0 } = facts;
  return {
    task: manifest.task,
    digest,
    version: manifest.version,
    kind: manifest.kind,
    stage,
    since,
    reason,
    trainedRows: manifest.training.rows,
    bytes: size,
    signer,
    quality: manifest.quality,
    gain,
    compared,
    waiting,
    runsOn,
    of,
  };
}

/** A gateway as a hub hears it. */
export interface GatewayFacts {
  readonly site: string;
  readonly group: string;
  readonly presence: GatewayView['presence'];
  readonly lastSeen: number | null;
  /** One of each task. */
  readonly actual: readonly Actual[];
  /** The version of a digest, null where the registry does not have it. */
  readonly version: (digest: string) => number | null;
  /** The last window of a task, null where none came. */
  readonly window: (task: string) => { readonly rate: number; readonly accuracy: number | null } | null;
}

export function gatewayView(facts: GatewayFacts): GatewayView {
  const { site, group, presence, lastSeen, actual, version, window } = facts;
  const name = (digest: string | null): string | null => {
    if (digest === null) return null;
    const known = version(digest);
    return known === null ? digest.slice(0, 12) : `v${known}`;
  };
  return {
    site,
    group,
    presence,
    lastSeen,
    tasks: actual.map(({ task, digest, labels, state, reason }) => {
      const last = window(task);
      const figures = { rate: last?.rate ?? null, accuracy: last?.accuracy ?? null };
      return { task, model: name(digest), labels, state, reason, ...figures };
    }),
  };
}
