/**
 * One simulated gateway that only follows models: what it is, where it stands, and what it says of itself. Its steps
 * are made by the fleet (followers.ts); here is the truth of one. What a restart loses and what it keeps is as in a
 * real gateway: the model that runs, the serial followed and its document are on disk, an update under way is not.
 *
 *   boot ─▶ connect ─▶ run ◀──────────────────────────────┐
 *    ▲                  │ desired                         │ confirm
 *    │                  ▼                                 │
 *    └─ restart ─── download ─▶ verify ─▶ apply ──────────┘
 *                       └──────────┴─▶ refused ─▶ (next desired)
 */
import type { Actual, BundleRef, Desired } from '../../src/contract.ts';
import type { Random } from '../random.ts';

export const followerStates = ['boot', 'connect', 'run', 'download', 'verify', 'apply', 'refused'] as const;
export type FollowerState = (typeof followerStates)[number];

/** What a follower does wrong. */
export interface Misbehaviour {
  readonly silent: boolean;
  readonly slow: boolean;
  readonly corrupt: boolean;
  readonly reboot: boolean;
  /** ms that its clock is off. */
  readonly clockOff: number;
}

/** An update under way. */
export interface Update {
  readonly desired: Desired;
  readonly document: string;
  /** What is to run and what beside it, by what the document means for this site. */
  readonly run: BundleRef | null;
  readonly beside: BundleRef | null;
  /** What is still to be fetched and verified. */
  readonly wanted: BundleRef[];
  /** Whether it restarts in the middle of this one; once. */
  restart: boolean;
}

export class Follower {
  readonly site: string;
  readonly does: Misbehaviour;
  readonly random: Random;
  state: FollowerState = 'boot';
  /** Rises with every restart: what was begun before it is of no effect. */
  life = 0;
  digest: string | null = null;
  companion: string | null = null;
  /** What ran before: its bytes are still there. */
  previous: string | null = null;
  /** The document that it looked at last. */
  looked: Uint8Array | null = null;
  serial = -1;
  document: string | null = null;
  reason = '';
  update: Update | null = null;
  /** The newest serial in whose midst it restarted already. */
  restartedAt = -1;
  told = 0;

  constructor(site: string, does: Misbehaviour, random: Random) {
    this.site = site;
    this.does = does;
    this.random = random;
  }

  /** Whether the bytes of a model are here, verified. */
  has(digest: string): boolean {
    return digest === this.digest || digest === this.companion || digest === this.previous;
  }

  /** What it thinks the time is. */
  clock(now: number): number {
    return Math.max(0, Math.round(now + this.does.clockOff));
  }

  actual(group: string, task: string, now: number): Actual {
    const { site, digest, companion, serial, state, reason } = this;
    return {
      ...{ site, group, task, digest, companion, serial, reason },
      labels: 0,
      state: state === 'refused' ? 'refused' : busy(state) ? 'fetching' : 'running',
      at: this.clock(now),
    };
  }
}

const busy = (state: FollowerState): boolean =>
  state === 'download' || state === 'verify' || state === 'apply';

/** What a document means for a site, as gateways read it. */
export function meaningFor(
  site: string,
  desired: Desired,
  listed: (desired: Desired) => ReadonlySet<string>,
) {
  const { digest, version, size, chunks, candidate, compare } = desired;
  const all: BundleRef | null =
    digest === null ? null : { digest, version: version ?? 0, size: size ?? 0, chunks: chunks ?? 0 };
  if (!candidate || !listed(desired).has(site)) return { run: all, beside: all && compare };
  return candidate.mode === 'canary' ? { run: candidate, beside: all } : { run: all, beside: candidate };
}
