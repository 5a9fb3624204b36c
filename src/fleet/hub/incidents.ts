/**
 * Drift alarms of a fleet, merged: alarms of one task and one family of streams that follow each other within the
 * merge interval have one cause and are one incident, whoever tells them. Promises: bounded memory; one budget
 * for the fleet, spent by incidents that led to a training for nothing: while it lasts the word of one gateway is
 * enough, then two must tell the same. Refuses nothing; what does not concern the model is recorded only.
 */
import type { Alarm } from '../../contract.ts';
import type { HubLoopOptions } from './options.ts';

/** `loss` has labels; `confidence` and `features` concern the model without them; `operation` concerns the plant. */
export type Family = 'loss' | 'confidence' | 'features' | 'operation';

export interface Incident {
  readonly id: number;
  readonly family: Family;
  readonly streams: string[];
  readonly sites: string[];
  /** When it probably began, was first told, was last told; ms. */
  since: number;
  readonly first: number;
  last: number;
  /** Sites whose alarm is not over. */
  active: string[];
  /** It leads, or led, to a training. */
  accepted: boolean;
  reason: string;
  outcome: 'none' | 'pending' | 'confirmed' | 'spent';
  /** When what came of it was known, ms. */
  settledAt?: number;
}

/** JSON. */
export interface SavedIncidents {
  readonly next: number;
  readonly incidents: Incident[];
  /** When the budget was spent, ms. */
  readonly spent: number[];
}

const MAX_INCIDENTS = 50;
const MAX_SITES = 64;
const MAX_STREAMS = 16;
/** An alarm about an older change than that is not believed to be that old. */
const OLDEST_MS = 7 * 86_400_000;

export function familyOf(stream: string): Family {
  const head = stream.split(':', 1)[0];
  if (['logLoss', 'loss', 'error', 'errors', 'margin', 'accuracy', 'quality'].includes(head)) return 'loss';
  if (['score', 'scores', 'verdicts', 'verdict', 'confidence', 'estimate'].includes(head))
    return 'confidence';
  if (['feature', 'features'].includes(head)) return 'features';
  return 'operation';
}

const addTo = (list: string[], value: string, most: number): void => {
  if (!list.includes(value) && list.length < most) list.push(value);
};

export class Incidents {
  readonly #options: Pick<HubLoopOptions, 'retrain' | 'falseAlarms'>;
  #next: number;
  #incidents: Incident[];
  #spent: number[];

  constructor(options: Pick<HubLoopOptions, 'retrain' | 'falseAlarms'>, saved: SavedIncidents | null) {
    this.#options = options;
    this.#next = saved?.next ?? 1;
    this.#incidents = saved?.incidents ?? [];
    this.#spent = saved?.spent ?? [];
  }

  /** Newest first. */
  get list(): readonly Readonly<Incident>[] {
    return [...this.#incidents].reverse();
  }

  /** The incident that this alarm has made acceptable, once; null for every other alarm. */
  alarm(site: string, alarm: Alarm, now: number): Readonly<Incident> | null {
    const family = familyOf(alarm.stream);
    if (alarm.state === 'over') {
      for (const incident of this.#incidents)
        if (incident.family === family) incident.active = incident.active.filter((name) => name !== site);
      return null;
    }
    const since = Math.min(now, Math.max(now - OLDEST_MS, Number.isFinite(alarm.since) ? alarm.since : now));
    const incident = this.#find(family, since, now) ?? this.#open(family, since, now);
    incident.last = now;
    incident.since = Math.min(incident.since, since);
    addTo(incident.streams, alarm.stream.slice(0, 200), MAX_STREAMS);
    addTo(incident.sites, site, MAX_SITES);
    addTo(incident.active, site, MAX_SITES);
    return this.#accept(incident, now) ? incident : null;
  }

  /** What began behind the answer to an incident is another one. */
  #find(family: Family, since: number, now: number): Incident | undefined {
    const { merge } = this.#options.falseAlarms;
    const newest = this.#incidents.findLast((each) => each.family === family && now - each.last <= merge);
    return since > (newest?.settledAt ?? Number.POSITIVE_INFINITY) ? undefined : newest;
  }

  #open(family: Family, since: number, now: number): Incident {
    const incident: Incident = {
      id: this.#next,
      family,
      streams: [],
      sites: [],
      since,
      first: now,
      last: now,
      active: [],
      accepted: false,
      reason: '',
      outcome: 'none',
    };
    this.#next += 1;
    this.#incidents.push(incident);
    if (this.#incidents.length > MAX_INCIDENTS) this.#incidents.shift();
    return incident;
  }

  #accept(incident: Incident, now: number): boolean {
    if (incident.accepted) return false;
    const { drift } = this.#options.retrain;
    const { family } = incident;
    const concerns = drift === 'any' ? family !== 'operation' : drift === 'labels' && family === 'loss';
    if (!concerns) {
      incident.reason = 'recorded; such alarms do not lead to training here';
      return false;
    }
    const { alarms, per } = this.#options.falseAlarms;
    this.#spent = this.#spent.filter((at) => now - at < per);
    if (incident.sites.length < 2 && this.#spent.length >= alarms) {
      incident.reason = `the fleet's budget of ${alarms} false alarms is spent; a second gateway must tell the same`;
      return false;
    }
    incident.accepted = true;
    incident.outcome = 'pending';
    incident.reason = `${incident.streams.join(', ')} told by ${incident.sites.join(', ')}`;
    return true;
  }

  /** What came of the training that an incident caused, once; false where that is known already. */
  settle(id: number, confirmed: boolean, now: number): boolean {
    const incident = this.#incidents.find((each) => each.id === id);
    if (incident?.outcome !== 'pending') return false;
    incident.outcome = confirmed ? 'confirmed' : 'spent';
    incident.settledAt = now;
    if (!confirmed) this.#spent = [...this.#spent, now].slice(-1_000);
    return true;
  }

  save(): SavedIncidents {
    return { next: this.#next, incidents: this.#incidents, spent: this.#spent };
  }
}
