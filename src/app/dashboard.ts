/**
 * What the dashboard is fed with and what its buttons do: windows, alarms and verdicts of this gateway, those of the
 * fleet where this process is the hub, models and roll-outs from the registry. The collected past outlives a reload.
 */
import type { Config } from '../config.ts';
import type { Alarm, Clock } from '../contract.ts';
import type { PairedFigures } from '../fleet/hub/paired.ts';
import type { RolloutStatus } from '../fleet/hub/status.ts';
import type { IncidentQuery } from '../fleet/incident.ts';
import type { MetricsWindow } from '../flow/windows.ts';
import type { DashboardActions } from '../web/dashboard.ts';
import { gatewayView, modelView } from '../web/fleet.ts';
import { type DashboardReads, type DashboardSetup, DashboardState } from '../web/state.ts';
import type { GatewayView, ModelView, RolloutView } from '../web/view.ts';
import { windowOfFleet, windowOfGateway } from '../web/windows.ts';
import type { Gateway, GatewayEvents } from './gateway.ts';
import type { HubProcess } from './hub.ts';
import type { SeenVerdict } from './unit.ts';

/** The parts that run now; null between two configurations. */
export interface Running {
  readonly config: () => Config;
  readonly gateway: () => Gateway | null;
  readonly hub: () => HubProcess | null;
  readonly ready: () => { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly backend: string;
  readonly version: string;
  readonly clock: Clock;
}

/** Windows shorter than this fill a finer chart of the last hour. */
const FINE_MS = 5_000;
const DAY = { ms: 60_000, points: 1_440 };
const AUDITED = 100;
const SEEN_A_SECOND = 2;
/** Silent gateways that a roll-out names. */
const NAMED = 5;
/** The audit log is read again after so long. */
const AUDIT_MS = 3_000;

export class Dashboard {
  readonly state: DashboardState;
  readonly #running: Running;
  /** By task and site: the base that ran last. */
  readonly #bases = new Map<string, string>();
  /** By task: verdicts told since. */
  readonly #seen = new Map<string, { readonly at: number; readonly told: number }>();
  #audit: Awaited<ReturnType<HubProcess['registry']['audited']>> = [];
  #auditedAt = Number.NEGATIVE_INFINITY;

  constructor(running: Running) {
    this.#running = running;
    const { window } = running.config().monitor;
    const hour = window < FINE_MS ? { ms: 2_000, points: 1_800 } : { ms: 10_000, points: 360 };
    this.state = new DashboardState(this.#setup(), this.#reads(), running.clock, { hour, day: DAY });
  }

  /** After a reload, or when parts came or went. */
  configure(): void {
    this.state.configure(this.#setup(), this.#reads());
  }

  // ---- feeding

  /** For the gateway of this process. */
  get events(): GatewayEvents {
    return {
      onWindow: (task, window) => this.#window(task, window),
      onAlarm: (alarm) => this.state.alarm(this.#site, alarm),
      onVerdicts: (task, verdicts) => this.#verdicts(task, verdicts),
    };
  }

  /** What the hub heard of a site; its own gateway is heard directly. */
  fleetWindow(
    site: string,
    task: string,
    from: number,
    to: number,
    numbers: Readonly<Record<string, number>>,
  ): void {
    if (site === this.#site) return;
    const labels = this.#running.config().tasks[task]?.labels;
    if (!labels) return;
    this.state.window(task, site, windowOfFleet(from, to, numbers, labels));
    const version = numbers['model.version'] ?? 0;
    this.#base(task, site, version > 0 ? `v${version}` : '', to);
  }

  fleetAlarm(site: string, alarm: Alarm): void {
    if (site !== this.#site) this.state.alarm(site, alarm);
  }

  get #site(): string {
    return this.#running.config().site;
  }

  #window(task: string, window: MetricsWindow): void {
    const status = this.#running.gateway()?.status();
    if (this.#running.clock.now() - this.#auditedAt >= AUDIT_MS) this.#audited(this.#running.hub(), AUDITED);
    const { labels, event, positive } = this.#running.config().tasks[task];
    const good =
      event === 'email' && labels.length === 2 ? labels.findIndex((l) => l !== (positive ?? labels[1])) : -1;
    const outbox = Object.values(status?.outbox ?? {}).reduce((sum, { messages }) => sum + messages, 0);
    this.state.window(
      task,
      this.#site,
      windowOfGateway(window, { unsettled: status?.inFlight.events, outbox, ...(good < 0 ? {} : { good }) }),
    );
    this.#base(
      task,
      this.#site,
      window.model.version > 0 ? `v${window.model.version}` : '',
      Date.parse(window.to),
    );
  }

  /** A blank base is no model change. */
  #base(task: string, site: string, name: string, at: number): void {
    const key = `${task}\n${site}`;
    const before = this.#bases.get(key);
    this.#bases.set(key, name);
    if (name !== '' && before !== name) this.state.model({ at, task, site, name });
  }

  /** A few a second, so that a person can read them, and the reason is there before the verdict is gone. */
  #verdicts(task: string, verdicts: readonly SeenVerdict[]): void {
    const now = this.#running.clock.now();
    const { at, told } = this.#seen.get(task) ?? { at: Number.NEGATIVE_INFINITY, told: 0 };
    const fresh = now - at >= 1_000;
    const room = SEEN_A_SECOND - (fresh ? 0 : told);
    if (room <= 0) return;
    const some = verdicts.slice(-room);
    this.#seen.set(task, { at: fresh ? now : at, told: (fresh ? 0 : told) + some.length });
    const desk = this.#running.gateway()?.desk;
    for (const { source } of some) desk?.remember(task, source);
    // What is kept for the page does not keep the messages.
    this.state.verdicts(
      task,
      this.#site,
      some.map(({ source: _source, ...verdict }) => verdict),
    );
  }

  // ---- reading

  #setup(): DashboardSetup {
    const { config, hub, backend, version } = this.#running;
    const { site, tasks, privacy, sources } = config();
    const watches = Object.keys(sources).length > 0;
    return {
      ...{ site, version, backend, show: privacy.show },
      role: hub() === null && config().hub === undefined ? 'gateway' : watches ? 'both' : 'hub',
      tasks: Object.entries(tasks).map(([name, { event, labels, positive }]) => ({
        name,
        kind: event === 'email' ? 'mail' : 'reading',
        labels,
        ...(positive === undefined ? {} : { positive }),
      })),
    };
  }

  #reads(): DashboardReads {
    const { ready, gateway, hub, config } = this.#running;
    const base: DashboardReads = {
      ready,
      dead: (limit) => gateway()?.desk.dead(limit) ?? [],
      reason: (task, event) => gateway()?.desk.reasons(task, event) ?? null,
    };
    if (!config().hub) return base;
    return {
      ...base,
      models: () => this.#models(hub()),
      rollouts: () => this.#rollouts(hub()),
      gateways: () => this.#gateways(hub()),
      audit: (limit) => this.#audited(hub(), limit),
    };
  }

  #models(hub: HubProcess | null): ModelView[] {
    if (!hub) return [];
    const { sites, tasks } = hub.status();
    return hub.registry.list().map((registered) => {
      const { digest, manifest } = registered;
      const runsOn = sites
        .filter(({ actual }) => actual[manifest.task]?.digest === digest)
        .map(({ site }) => site);
      const waiting = tasks.some(({ pendingApproval }) => pendingApproval === digest);
      const rollout = tasks.find((task) => task.rollout?.candidate.digest === digest)?.rollout;
      const compared = rollout?.gate ? comparedOf(rollout.gate) : null;
      return modelView(registered, { runsOn, of: sites.length, waiting, compared });
    });
  }

  #rollouts(hub: HubProcess | null): RolloutView[] {
    return (hub?.status().tasks ?? []).flatMap(({ task, rollout, paused }) =>
      rollout ? [rolloutView(task, rollout, paused)] : [],
    );
  }

  #gateways(hub: HubProcess | null): GatewayView[] {
    if (!hub) return [];
    const { group, sites } = hub.status();
    const versions = new Map(hub.registry.list().map(({ digest, manifest }) => [digest, manifest.version]));
    return sites.map(({ site, lastSeen, online, actual, windows }) =>
      gatewayView({
        ...{ site, group, lastSeen },
        presence: online ? 'online' : 'silent',
        actual: Object.values(actual),
        version: (digest) => versions.get(digest) ?? null,
        window: (task) => {
          const numbers = windows[task]?.numbers;
          return numbers
            ? { rate: numbers.rate ?? 0, accuracy: numbers['quality.window.accuracy'] ?? null }
            : null;
        },
      }),
    );
  }

  /** The log lies on disk: what was read last is shown, and read again beside, also while nobody looks. */
  #audited(hub: HubProcess | null, limit: number) {
    this.#auditedAt = this.#running.clock.now();
    void hub?.registry.audited(AUDITED).then(
      (entries) => {
        this.#audit = entries;
      },
      () => undefined,
    );
    return this.#audit.slice(0, limit).map(({ at, by, what, task, digest, reason }) => ({
      ...{ at, what, task },
      who: by,
      model: digest.slice(0, 12),
      why: reason,
    }));
  }

  // ---- doing

  get actions(): DashboardActions {
    const { gateway, hub, config, clock } = this.#running;
    const desk = () => gateway()?.desk ?? null;
    const gone = { ok: false, text: 'the gateway is starting; try again', retry: true };
    return {
      feedback: async (request) => (await desk()?.feedback(request)) ?? gone,
      label: async (request) => (await desk()?.label(request)) ?? gone,
      take: async (task, feedback) => (await desk()?.take(task, feedback)) ?? gone,
      replay: async (ids) => (await desk()?.replay(ids)) ?? gone,
      drop: async (ids) => (await desk()?.drop(ids)) ?? gone,
      find: async ({ task, text, at, limit }) => {
        const found = desk()?.find(task, { ...asked(text, at), limit });
        if (!found) return { found: [], note: gone.text };
        const site = this.#site;
        return {
          found: found.incidents.map((one) => ({
            ...{ task: one.task, site, event: one.event, device: one.device, at: one.at, model: one.model },
            label: one.verdict,
            score: one.score,
            truth: one.label?.label ?? null,
          })),
          note: found.incidents.length > 0 ? found.how : found.hint,
        };
      },
      ...(config().hub
        ? {
            model: async (what, { task, digest, reason }) => {
              const process = hub();
              if (!process) return gone;
              const id = `dashboard-${clock.now()}-${what}`;
              const by = reason === '' ? 'dashboard' : `dashboard: ${reason}`;
              // The button stands at the live model: back from it, to the one before.
              const target = what === 'rollback' ? '' : digest;
              const result = await process.order({ id, task, what, digest: target, by, at: clock.now() });
              return { ok: result.followed, text: result.reason };
            },
          }
        : {}),
    };
  }
}

/** Words and a time: the time is of the device that the words name; a whole minute where no seconds were given. */
function asked(text: string, at: number | null): IncidentQuery {
  if (at === null) return { text };
  if (text !== '') return { device: text, at };
  return { from: at, to: at + (at % 60_000 === 0 ? 60_000 : 1_000) - 1 };
}

const comparedOf = ({ rows, baseLoss, difference }: PairedFigures): ModelView['compared'] =>
  rows > 0 ? { rows, before: baseLoss, after: baseLoss - difference } : null;

function rolloutView(task: string, rollout: RolloutStatus, paused: boolean): RolloutView {
  const { candidate, step, since, deadline, figures, progress, sites, waits } = rollout;
  const mode = step === 'fleet' || step === 'due' ? 'live' : step;
  const silent = progress?.waiting.slice(0, NAMED) ?? [];
  const more = (progress?.waiting.length ?? 0) - silent.length;
  const where = silent.length > 0 ? `silent: ${silent.join(', ')}${more > 0 ? ` and ${more} more` : ''}` : '';
  return {
    ...{ task, digest: candidate.digest, version: candidate.version, mode, since, deadline, sites, paused },
    tested: figures?.rows ?? 0,
    needed: null,
    text: [waits, where].filter((words) => words !== '').join('; '),
  };
}
