/**
 * What the dashboard knows: fed by the application with plain data (windows, alarms, model changes, verdicts) and
 * asked once a second while somebody looks. It outlives a reload of the configuration, so that the past stays on the
 * page. Promises bounded memory whatever comes, cheap feeding while nobody looks, and an overview in which every
 * list is bounded and what is private is masked. Knows nothing of flow and fleet.
 */
import type { Alarm, Clock, DeadLetter } from '../contract.ts';
import { upperBound } from './bound.ts';
import { Lanes, type Resolution, type WindowInput } from './lanes.ts';
import { needsOf, type OpenAlarm, stagesOf, words } from './needs.ts';
import { type AskReason, type FoundInput, Recent, type TaskFacts, type VerdictInput } from './recent.ts';
import type {
  Abilities,
  AuditView,
  DeadView,
  FoundView,
  GatewayView,
  Mark,
  ModelView,
  Overview,
  RolloutView,
  Selection,
  TaskView,
} from './view.ts';

const MAX_MARKS = 500;
const MARKS_SHOWN = 100;
const RANGE_MS = { hour: 3_600_000, day: 86_400_000 } as const;
const MAX_OPEN = 200;
const MAX_SITES = 4_096;
const MAX_TASKS = 64;
const DEAD_SHOWN = 50;
const AUDIT_SHOWN = 50;
const MODELS_SHOWN = 50;
const GATEWAYS_SHOWN = 200;
const TEXT_LIMIT = 500;
/** New dead letters are a need for so long. */
const DEAD_MS = 600_000;
/** Lists that come from disk are read again after so long, or when something was done. */
const LISTS_MS = 5_000;
/** The same change at many sites within this time is one mark. */
const SAME_MARK_MS = 120_000;

export interface TaskSetup {
  readonly name: string;
  readonly kind: 'mail' | 'reading';
  readonly labels: readonly string[];
  /** With two labels the one whose probability verdicts tell; default the last. */
  readonly positive?: string;
  /** The label that must not be lost; default of a mail: `ham` or what means it, else the first. */
  readonly good?: string;
}

export interface DashboardSetup {
  readonly site: string;
  readonly version: string;
  readonly backend: string;
  readonly role: Overview['role'];
  readonly tasks: readonly TaskSetup[];
  /** `privacy.show`. */
  readonly show: boolean;
}

/** What is asked for while somebody looks: at most once a second, lists from disk at most every five. Absent: not here. */
export interface DashboardReads {
  ready(): { readonly ok: boolean; readonly reasons: readonly string[] };
  /** Tasks whose flow stopped. */
  stopped?(): readonly { readonly task: string; readonly since: number; readonly reason: string }[];
  /** Newest first. */
  dead?(limit: number): readonly (DeadLetter & { readonly replaying?: boolean })[];
  models?(): readonly ModelView[];
  rollouts?(): readonly RolloutView[];
  gateways?(): readonly GatewayView[];
  /** Newest first. */
  audit?(limit: number): readonly AuditView[];
  reason?: AskReason;
}

/** A model that runs since now. */
export interface ModelChange {
  readonly at: number;
  readonly task: string;
  readonly site: string;
  /** `v2`. */
  readonly name: string;
  readonly rollback?: boolean;
}

interface Stored extends Mark {
  readonly task: string;
}

export class DashboardState {
  readonly #clock: Clock;
  readonly #lanes: Lanes;
  readonly #recent: Recent;
  readonly #open = new Map<string, OpenAlarm>();
  /** By task and site: what runs. */
  readonly #running = new Map<string, string>();
  #marks: Stored[] = [];
  #setup: DashboardSetup;
  #reads: DashboardReads;
  #newDead = new Map<string, { at: number; letters: number }[]>();
  #lists: { at: number; dead: Overview['dead']; audit: Overview['audit'] } | null = null;

  constructor(setup: DashboardSetup, reads: DashboardReads, clock: Clock, resolution?: Resolution) {
    this.#setup = setup;
    this.#reads = reads;
    this.#clock = clock;
    this.#lanes = new Lanes(resolution);
    this.#recent = new Recent((task) => this.#facts(task));
  }

  /** After a reload. */
  configure(setup: DashboardSetup, reads: DashboardReads): void {
    this.#setup = setup;
    this.#reads = reads;
    this.#recent.keep(new Set(setup.tasks.map(({ name }) => name)));
    this.touch();
  }

  // ---------------------------------------------------------------- feeding

  /** A metrics window that closed, here or at a gateway of the fleet. Times ahead of this clock are taken as now. */
  window(task: string, site: string, window: WindowInput): void {
    if (!this.#has(task)) return;
    const now = this.#clock.now();
    this.#lanes.add(task, site, window, now);
    if (!window.dead) return;
    const letters = this.#newDead.get(task) ?? [];
    letters.push({ at: now, letters: window.dead });
    this.#newDead.set(task, letters.slice(-MAX_MARKS));
  }

  /** A change that was told, and its end. */
  alarm(site: string, alarm: Alarm): void {
    const key = `${site}\n${alarm.task}\n${alarm.stream}`;
    const { task, at, stream } = alarm;
    this.#open.delete(key);
    if (alarm.state === 'drift') {
      this.#open.set(key, { site, alarm });
      if (this.#open.size > MAX_OPEN) this.#open.delete(this.#open.keys().next().value!);
    }
    const kind = alarm.state === 'drift' ? 'drift' : 'over';
    this.#mark({ task, site, at, kind, text: words(stream).slice(0, TEXT_LIMIT) });
  }

  model({ at, task, site, name, rollback }: ModelChange): void {
    if (this.#running.size < MAX_SITES * 2) this.#running.set(`${task}\n${site}`, name);
    this.#mark({ task, site, at, kind: 'model', text: rollback ? `${name} ↩` : name });
  }

  /** Verdicts as they were made, in order; the newest are kept. */
  verdicts(task: string, site: string, verdicts: readonly VerdictInput[]): void {
    if (this.#has(task)) this.#recent.add(task, site, verdicts);
  }

  /** A label that was given from the page. */
  given(task: string, event: string, label: string | null): void {
    this.#recent.given(task, event, label);
  }

  /** Something was done that changes a list from disk. */
  touch(): void {
    this.#lists = null;
  }

  // ---------------------------------------------------------------- reading

  /** The first task and all sites where what is asked for is not known. */
  select(asked: Partial<Selection>): Selection {
    const { tasks } = this.#setup;
    const task = tasks.some(({ name }) => name === asked.task) ? asked.task! : (tasks[0]?.name ?? '');
    const site = this.#lanes.sites(task).includes(asked.site ?? '') ? asked.site! : '';
    return { task, site, range: asked.range === 'day' ? 'day' : 'hour' };
  }

  /** The whole page for a selection; with `from` only the points from there on. */
  overview(asked: Partial<Selection>, abilities: Abilities, from: number | null = null): Overview {
    const selection = this.select(asked);
    const now = this.#clock.now();
    const { site, version, backend, role } = this.#setup;
    const tasks = this.#setup.tasks.slice(0, MAX_TASKS).map((setup) => this.#task(setup, now));
    const lists = this.#disk(now);
    const models = this.#reads.models?.() ?? null;
    const gateways = this.#reads.gateways?.() ?? null;
    const known = {
      now,
      ready: this.#reads.ready(),
      stopped: this.#reads.stopped?.() ?? [],
      open: [...this.#open.values()].reverse(),
      models: models ?? [],
      gateways: gateways ?? [],
      newDead: this.#deadLately(now),
      can: abilities,
    };
    const task = this.#selected(selection, now);
    return {
      at: now,
      site,
      version,
      backend,
      role,
      ready: known.ready,
      selection,
      needs: needsOf(known),
      stages: stagesOf({ ...known, task, selection }),
      tasks,
      series:
        selection.task === '' ? null : this.#lanes.series(selection, from, this.#marksOf(selection, now)),
      good: this.#good(selection.task),
      recent: role === 'hub' ? null : this.#recent.view(selection.task, selection.site, this.#reads.reason),
      ...lists,
      models: models?.slice(0, MODELS_SHOWN) ?? null,
      rollouts: this.#reads.rollouts?.().slice(0, MODELS_SHOWN) ?? null,
      gateways: gateways && [...gateways].sort(byUrgency).slice(0, GATEWAYS_SHOWN),
      fleet: gateways && {
        total: gateways.length,
        online: gateways.filter(({ presence }) => presence === 'online').length,
      },
      can: abilities,
    };
  }

  found(hits: readonly FoundInput[]): FoundView[] {
    return this.#recent.found(hits);
  }

  #has(task: string): boolean {
    return this.#setup.tasks.some(({ name }) => name === task);
  }

  #facts(task: string): ReturnType<TaskFacts> {
    const { tasks, show } = this.#setup;
    const setup = tasks.find(({ name }) => name === task);
    const masked = !show && setup?.kind !== 'reading';
    return { masked, positive: setup?.labels.length === 2 ? (setup.positive ?? setup.labels[1]) : null };
  }

  #task({ name, kind, labels }: TaskSetup, now: number, site = ''): TaskView {
    const sites = this.#lanes.sites(name);
    const runs = [...this.#running].filter(([key]) =>
      site === '' ? key.startsWith(`${name}\n`) : key === `${name}\n${site}`,
    );
    const running = new Set(runs.map(([, model]) => model));
    const model = running.size === 0 ? null : [...running].slice(0, 3).join(' and ');
    return { name, kind, labels, sites, model, ...this.#lanes.figures(name, site, now) };
  }

  #selected({ task, site }: Selection, now: number): TaskView | null {
    const setup = this.#setup.tasks.find(({ name }) => name === task);
    return setup ? this.#task(setup, now, site) : null;
  }

  #good(task: string): Overview['good'] {
    const told = this.#lanes.good(task);
    const setup = this.#setup.tasks.find(({ name }) => name === task);
    if (!told || setup?.kind !== 'mail') return null;
    const label =
      setup.good ?? setup.labels.find((name) => /^(ham|good|legit|clean)/i.test(name)) ?? setup.labels[0];
    return { label, ...told, atMost: upperBound(told.lost, told.confirmed) };
  }

  #deadLately(now: number): { task: string; letters: number; since: number }[] {
    return [...this.#newDead].flatMap(([task, all]) => {
      const recent = all.filter(({ at }) => at > now - DEAD_MS);
      this.#newDead.set(task, recent);
      const letters = recent.reduce((sum, one) => sum + one.letters, 0);
      return letters > 0 ? [{ task, letters, since: recent[0].at }] : [];
    });
  }

  #disk(now: number): Pick<Overview, 'dead' | 'audit'> {
    if (!this.#lists || now - this.#lists.at >= LISTS_MS) {
      const letters = this.#reads.dead?.(DEAD_SHOWN + 1) ?? null;
      this.#lists = {
        at: now,
        dead: letters && {
          more: letters.length > DEAD_SHOWN,
          letters: letters.slice(0, DEAD_SHOWN).map(showLetter),
        },
        audit: this.#reads.audit?.(AUDIT_SHOWN).slice(0, AUDIT_SHOWN) ?? null,
      };
    }
    return { dead: this.#lists.dead, audit: this.#lists.audit };
  }

  #mark(mark: Stored): void {
    this.#marks.push(mark);
    if (this.#marks.length > MAX_MARKS) this.#marks = this.#marks.slice(-MAX_MARKS);
  }

  /** Of all sites together the first of equal marks. */
  #marksOf({ task, site, range }: Selection, now: number): Mark[] {
    const oldest = now - RANGE_MS[range];
    const told = this.#marks.filter(
      (mark) => mark.task === task && mark.at >= oldest && (site === '' || mark.site === site),
    );
    const kept: Mark[] = [];
    for (const { at, kind, text, site: where } of told.sort((a, b) => a.at - b.at)) {
      const same = kept.some((k) => k.kind === kind && k.text === text && at - k.at < SAME_MARK_MS);
      if (!same) kept.push({ at, kind, text, site: where });
    }
    return kept.slice(-MARKS_SHOWN);
  }
}

/** Who is away or refused something comes first. */
function byUrgency(a: GatewayView, b: GatewayView): number {
  const calm = ({ presence, tasks }: GatewayView) =>
    Number(presence === 'online') + Number(tasks.every(({ state }) => state !== 'refused'));
  return calm(a) - calm(b) || a.site.localeCompare(b.site);
}

function showLetter({
  id,
  task,
  code,
  message,
  receivedAt,
  original,
  replaying,
}: DeadLetter & { readonly replaying?: boolean }): DeadView {
  return {
    id,
    task,
    code,
    message: message.slice(0, TEXT_LIMIT),
    at: receivedAt,
    source: original.source,
    topic: original.topic.slice(0, TEXT_LIMIT),
    bytes: original.payload.length,
    replaying: replaying ?? false,
  };
}
