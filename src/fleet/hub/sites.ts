/**
 * What is known of the gateways of a fleet: when each was last heard, whether its broker holds it for present, what
 * it runs, its last metrics windows. Promises: bounded memory (a new name beyond the bound takes the place of the one
 * not heard for longest); what a site says is a claim of that site alone, judged by nothing but this hub's clock.
 * Refuses names that are none, and serials that were never given.
 */
import { createHash } from 'node:crypto';
import type { Actual } from '../../contract.ts';
import type { HubLoopOptions } from './options.ts';
import type { Rollout } from './record.ts';
import type { HubTask } from './seams.ts';

const MAX_SITES = 4_096;
const MAX_TASKS = 64;
/** Of a list of gateways in a word. */
const MAX_CHOSEN = 4_096;
const MAX_NUMBERS = 1_000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** The numbers of a closed metrics window by path. */
export interface SiteWindow {
  readonly from: number;
  readonly to: number;
  readonly numbers: Readonly<Record<string, number>>;
}

interface Site {
  heard: number;
  /** null: nobody told. */
  present: boolean | null;
  readonly actual: Map<string, Actual>;
  /** When it last said what it runs, by task, by this clock. */
  readonly told: Map<string, number>;
  readonly windows: Map<string, SiteWindow>;
}

export interface SiteFacts {
  readonly site: string;
  /** ms */
  readonly lastSeen: number;
  readonly online: boolean;
  readonly actual: Readonly<Record<string, Actual>>;
  readonly windows: Readonly<Record<string, SiteWindow>>;
}

/** Where a stage stands with its sites. */
export interface Progress {
  readonly confirmed: readonly string[];
  readonly refused: readonly { readonly site: string; readonly reason: string }[];
  /** Online, and not there yet. */
  readonly underWay: readonly string[];
  /** Not heard of. */
  readonly waiting: readonly string[];
}

const keep = <T>(map: Map<string, T>, key: string, value: T): void => {
  if (map.has(key) || map.size < MAX_TASKS) map.set(key, value);
};

export class Sites {
  readonly #silent: number;
  /** In the order in which they were last heard. */
  readonly #sites = new Map<string, Site>();

  constructor(silent: number) {
    this.#silent = silent;
  }

  /** null for a name that is none. */
  heard(name: string, now: number): Site | null {
    if (!NAME.test(name)) return null;
    const site = this.#sites.get(name) ?? {
      heard: now,
      present: null,
      actual: new Map(),
      told: new Map(),
      windows: new Map(),
    };
    site.heard = now;
    this.#sites.delete(name);
    this.#sites.set(name, site);
    if (this.#sites.size > MAX_SITES) this.#sites.delete(this.#sites.keys().next().value as string);
    return site;
  }

  presence(name: string, online: boolean, now: number): void {
    const site = online || this.#sites.has(name) ? this.heard(name, now) : null;
    if (site) site.present = online;
  }

  window(name: string, task: string, window: SiteWindow, now: number): void {
    const site = this.heard(name, now);
    if (!site) return;
    const numbers = Object.fromEntries(Object.entries(window.numbers).slice(0, MAX_NUMBERS));
    keep(site.windows, task, { ...window, numbers });
  }

  /** False where it is not taken: no name, or a serial that was never given. */
  actual(actual: Actual, lastSerial: number, now: number): boolean {
    if (!(actual.serial <= lastSerial)) return false;
    const site = this.heard(actual.site, now);
    if (!site) return false;
    keep(site.actual, actual.task, { ...actual, reason: actual.reason.slice(0, 1_024) });
    keep(site.told, actual.task, now);
    return true;
  }

  #online(site: Site, now: number): boolean {
    return site.present !== false && now - site.heard <= this.#silent;
  }

  isOnline(name: string, now: number): boolean {
    const site = this.#sites.get(name);
    return site !== undefined && this.#online(site, now);
  }

  /** Those that have said what they run of the task, by name. */
  of(task: string): string[] {
    const telling = [...this.#sites].filter(([, site]) => site.actual.has(task));
    return telling.map(([name]) => name).sort();
  }

  /**
   * Where the sites stand with a word that was given at `since`; `reached` looks at what a site says. A site that
   * refuses a word keeps the serial it followed before.
   */
  progress(
    task: string,
    names: readonly string[],
    since: number,
    reached: (actual: Actual) => boolean,
    now: number,
  ): Progress {
    const found = {
      confirmed: [] as string[],
      refused: [] as { site: string; reason: string }[],
      underWay: [] as string[],
      waiting: [] as string[],
    };
    for (const name of names) {
      const site = this.#sites.get(name);
      const actual = site?.actual.get(task);
      if (!site || !this.#online(site, now)) found.waiting.push(name);
      else if (actual && reached(actual)) found.confirmed.push(name);
      else if (actual?.state === 'refused' && (site.told.get(task) ?? 0) >= since)
        found.refused.push({ site: name, reason: actual.reason });
      else found.underWay.push(name);
    }
    return found;
  }

  facts(now: number): SiteFacts[] {
    return [...this.#sites]
      .map(([name, site]) => ({
        site: name,
        lastSeen: site.heard,
        online: this.#online(site, now),
        actual: Object.fromEntries(site.actual),
        windows: Object.fromEntries(site.windows),
      }))
      .sort((a, b) => (a.site < b.site ? -1 : 1));
  }
}

/**
 * The next stage of a roll-out. A first model has nothing to be compared with and goes to all, unless gateways have
 * learned by themselves: in their shadow it must beat that.
 */
export function stageOf(
  { base, stage }: Pick<Rollout, 'base' | 'stage'>,
  { task, options }: { readonly task: Pick<HubTask, 'learning'>; readonly options: HubLoopOptions },
): 'shadow' | 'canary' | 'fleet' {
  const { stages } = options.rollout;
  if (base) return stages[stage] ?? 'fleet';
  return task.learning === 'online' && stage === 0 && stages[0] === 'shadow' ? 'shadow' : 'fleet';
}

/**
 * Which gateways take part in a stage: the same for the same candidate, online ones first. null: none is online. A canary that
 * nobody hears says nothing; in the shadow a gateway may join when it comes back.
 */
export function chooseSites(
  digest: string,
  stage: 'shadow' | 'canary',
  {
    sites,
    task,
    options,
  }: { readonly sites: Sites; readonly task: Pick<HubTask, 'name'>; readonly options: HubLoopOptions },
  now: number,
): string[] | null {
  const known = sites.of(task.name);
  const online = known.filter((site) => sites.isOnline(site, now));
  if (online.length === 0) return null;
  const lot = (site: string) => createHash('sha256').update(`${digest} ${site}`).digest('hex');
  const byLot = (names: readonly string[]) => [...names].sort((a, b) => (lot(a) < lot(b) ? -1 : 1));
  const share = stage === 'shadow' ? options.rollout.shadowShare : options.rollout.canaryShare;
  const count = Math.min(MAX_CHOSEN, Math.max(1, Math.ceil(share * known.length)));
  const offline = stage === 'shadow' ? byLot(known.filter((site) => !online.includes(site))) : [];
  return [...byLot(online), ...offline].slice(0, count);
}
