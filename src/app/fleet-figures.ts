/**
 * What the hub tells Prometheus of each gateway it hears. Promises: a gateway that the hub no longer knows is no longer
 * told, so that names which come from outside take no more room than the hub gives them.
 */
import type { SiteFacts } from '../fleet/hub/sites.ts';
import type { TaskLoopStatus } from '../fleet/hub.ts';
import type { Telemetry } from '../telemetry.ts';

const STAGES = ['none', 'gate', 'approval', 'due', 'shadow', 'canary', 'fleet', 'watch'] as const;

export class FleetFigures {
  readonly #telemetry: Telemetry;
  /** What was told last: a site, or (with a task) its figures of that task. */
  #told = new Map<string, { readonly site: string; readonly task: string | null }>();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  /** Where the roll-out of each task is. */
  stages(tasks: readonly TaskLoopStatus[]): void {
    for (const { task, rollout } of tasks)
      for (const stage of STAGES)
        this.#telemetry.set('rollout_stage', { task, stage }, stage === (rollout?.step ?? 'none') ? 1 : 0);
  }

  tell(sites: readonly SiteFacts[], now: number): void {
    const telemetry = this.#telemetry;
    const before = this.#told;
    this.#told = new Map();
    for (const { site, lastSeen, windows } of sites) {
      this.#told.set(site, { site, task: null });
      telemetry.set('fleet_last_seen_seconds', { site }, Math.max(0, now - lastSeen) / 1_000);
      for (const [task, { numbers }] of Object.entries(windows)) {
        this.#told.set(`${site}/${task}`, { site, task });
        const accuracy = numbers['quality.window.accuracy'];
        if (accuracy !== undefined) telemetry.set('fleet_accuracy', { site, task }, accuracy);
        telemetry.set('fleet_rate', { site, task }, numbers.rate ?? 0);
      }
    }
    for (const [key, { site, task }] of before) {
      if (this.#told.has(key)) continue;
      if (task === null) telemetry.unset('fleet_last_seen_seconds', { site });
      else
        for (const name of ['fleet_accuracy', 'fleet_rate'] as const) telemetry.unset(name, { site, task });
    }
  }
}
