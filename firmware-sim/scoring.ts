/**
 * How well the gateways found the drift of the script: for each change its first alarm and the delay, and the alarms
 * that told of nothing. An alarm belongs to the newest change that had begun when it arrived (and to all
 * that began at the same moment), if it came before the change was complete or within `within` after that; else to one
 * that is still going on; else it is false, and counted once. Times
 * are the sender's own: when a change began here, and when an alarm arrived here.
 */
import type { SeenAlarm } from './alarms.ts';
import { type Drift, mannerOf, type Onset, onsets } from './drift.ts';

/** One change as it was found. */
export interface DriftFound {
  readonly name: string;
  /** When it began, ms since the epoch, and ms after the start. */
  readonly at: number;
  readonly after: number;
  /** ms that it took to be complete. */
  readonly over: number;
  readonly kind: Drift['kind'];
  readonly how: string;
  readonly what: Onset['what'];
  readonly site: string;
  /** First alarm that belongs to it, ms since the epoch, or null: it was missed (so far). */
  readonly firstAlarm: number | null;
  readonly delayMs: number | null;
  /** Of the first alarm. */
  readonly task: string | null;
  readonly stream: string | null;
  readonly detector: string | null;
  /** Alarms that belong to it, the first one among them. */
  readonly alarms: number;
  /** Alarms of this site between the change before (or the start) and this one that belong to none. */
  readonly falseAlarmsBefore: number;
}

export interface DriftScore {
  readonly drift: readonly DriftFound[];
  /** Alarms that belong to no change, of all sites. */
  readonly falseAlarms: number;
  /** Of these, the first ones. */
  readonly false: readonly SeenAlarm[];
}

export interface SiteScript {
  readonly site: string;
  /** The task that judges what drifts: an alarm of another one is false. */
  readonly task: string;
  /** When sending began, ms since the epoch. */
  readonly startedAt: number;
  readonly script: readonly Drift[];
  readonly alarms: readonly SeenAlarm[];
}

const SHOWN_FALSE = 100;

/** `until`: end of the run, ms since the epoch. `within` ms. */
export function scoreDrift(sites: readonly SiteScript[], until: number, within: number): DriftScore {
  const scored = sites.map((site) => scoreSite(site, until, within));
  const wrong = scored.flatMap(({ wrong }) => wrong).sort((a, b) => a.seenAt - b.seenAt);
  return {
    drift: scored.flatMap(({ found }) => found).sort((a, b) => a.at - b.at),
    falseAlarms: wrong.length,
    false: wrong.slice(0, SHOWN_FALSE),
  };
}

interface Change {
  readonly onset: Onset;
  readonly own: SeenAlarm[];
  before: number;
}

/** The newest change that had begun, with those that began at the same moment; else one that is not complete yet. */
function ownersOf(changes: readonly Change[], t: number, within: number): Change[] {
  const begun = changes.filter(({ onset }) => onset.from <= t);
  const newest = begun.at(-1)?.onset.from;
  const owners = begun.filter(({ onset }) => onset.from === newest && t <= onset.to + within);
  if (owners.length > 0) return owners;
  const running = begun.findLast(({ onset }) => t <= onset.to);
  return running ? [running] : [];
}

function scoreSite({ site, task, startedAt, script, alarms }: SiteScript, until: number, within: number) {
  const changes = onsets(script, until - startedAt).map((onset): Change => ({ onset, own: [], before: 0 }));
  const wrong: SeenAlarm[] = [];
  for (const alarm of alarms) {
    const t = alarm.seenAt - startedAt;
    const owners = alarm.task === task ? ownersOf(changes, t, within) : [];
    for (const { own } of owners) own.push(alarm);
    if (owners.length > 0) continue;
    wrong.push(alarm);
    const next = changes.find(({ onset }) => onset.from > t);
    if (next && alarm.task === task) next.before += 1;
  }
  const found = changes.map(({ onset, own, before }): DriftFound => {
    const drift = script[onset.drift];
    const how = mannerOf(drift);
    const [first] = own;
    const at = startedAt + onset.from;
    return {
      name: drift.name ?? `${drift.kind} ${how}`,
      ...{ at: Math.round(at), after: onset.from, over: onset.to - onset.from },
      ...{ kind: drift.kind, how, what: onset.what, site },
      firstAlarm: first ? Math.round(first.seenAt) : null,
      delayMs: first ? Math.round(first.seenAt - at) : null,
      task: first?.task ?? null,
      stream: first?.stream ?? null,
      detector: first?.detector ?? null,
      alarms: own.length,
      falseAlarmsBefore: before,
    };
  });
  return { found, wrong };
}
