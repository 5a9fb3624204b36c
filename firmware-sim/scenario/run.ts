/**
 * A scenario on a real broker: for each site a fleet with a session of its own, followers beside them, and at the end
 * one result. Promises: `lost` is counted by the senders' own numbering alone; what devices dropped, or still hold,
 * stands apart, for it never reached the broker; the script stands in the result with the times at which it really
 * happened. Throws SluiceError BROKER_UNREACHABLE where the broker is not there in time, KEY_INVALID for `trust`.
 */
import { existsSync } from 'node:fs';
import type { Board, Clock } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { transports } from '../../src/io/index.ts';
import { type PublicKey, parsePublicKey, readTrust } from '../../src/model/signing.ts';
import { Telemetry } from '../../src/telemetry.ts';
import type { DeviceCounts } from '../feeds.ts';
import { type Fleet, type FleetCounts, type FleetSummary, startFleet } from '../fleet.ts';
import { type FollowerCounts, Followers } from '../followers.ts';
import { type DriftScore, scoreDrift } from '../scoring.ts';
import type { TaskPhases } from '../stream.ts';
import { addCounts, addDevices, addPhases } from '../sums.ts';
import { contextOf, fineClock, overKafka, overMqtt, type Wire } from '../wire.ts';
import { type Plan, planOf, type SitePlan } from './plan.ts';
import type { Scenario } from './schema.ts';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly telemetry?: Telemetry;
}

/** The whole run in one object; what `--json` writes. */
export interface SimulationResult extends FleetSummary, DriftScore {
  readonly seed: number;
  /** When sending began, ISO 8601; null where nothing was sent. */
  readonly startedAt: string | null;
  /** By site; `tasks` above is their sum. */
  readonly sites: Readonly<Record<string, FleetCounts['tasks']>>;
  readonly phases: readonly TaskPhases[];
  /** null where there are no readings. */
  readonly devices: DeviceCounts | null;
  readonly followers: FollowerCounts | null;
}

/** Counts while it runs. */
export interface Progress {
  readonly counts: FleetCounts;
  readonly devices: DeviceCounts | null;
  readonly followers: FollowerCounts | null;
  readonly alarms: number;
}

/** How long the broker may take to be there. */
const CONNECT_MS = 15_000;
const POLL_MS = 50;

export class Simulation {
  readonly #scenario: Scenario;
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  readonly #signal: AbortSignal;
  #fleets: readonly Fleet[] = [];
  #followers: Followers | null = null;
  #board: Board | null = null;

  constructor({ scenario, signal, clock, telemetry }: RunOptions) {
    this.#scenario = scenario;
    this.#plan = planOf(scenario);
    this.#clock = clock ?? fineClock;
    this.#telemetry = telemetry ?? new Telemetry({ level: 'warn' });
    this.#signal = signal ?? new AbortController().signal;
  }

  /** Connects, then begins to send. Returns early where `signal` aborts. */
  async start(): Promise<void> {
    const sending = this.#plan.sites.filter(({ streams }) => streams.length > 0);
    // Keys first: a file that is not there must not leave connections behind.
    const trusted = trustOf(this.#scenario);
    const wires = sending.map((site) => [site, wireOf(site, this.#scenario, this.#telemetry)] as const);
    this.#board = this.#scenario.followers ? boardOf(this.#scenario, this.#telemetry) : null;
    try {
      await this.#connected(wires.map(([, wire]) => wire));
    } catch (error) {
      await Promise.all(wires.flatMap(([, wire]) => [wire.answers.close(), wire.sink.close()]));
      await this.#board?.close();
      throw error;
    }
    this.#fleets = wires.map(([{ site, seed, streams }, wire]) => {
      const [signal, telemetry, clock] = [this.#signal, this.#telemetry, this.#clock];
      return startFleet({ wire, streams, seed, site, signal, telemetry, clock });
    });
    const { followers: plan, seed } = this.#scenario;
    if (plan && this.#board) {
      const [board, clock, telemetry] = [this.#board, this.#clock, this.#telemetry];
      this.#followers = new Followers({ plan, trusted, board, seed, clock, telemetry });
    }
  }

  /** Resolves when every feed has ended (only replay does), never where followers are. */
  get finished(): Promise<unknown> {
    if (this.#followers) return new Promise(() => {});
    return Promise.all(this.#fleets.map((fleet) => fleet.finished));
  }

  progress(): Progress {
    return {
      counts: addCounts(this.#fleets.map((fleet) => fleet.counts())),
      devices: addDevices(this.#fleets.map((fleet) => fleet.devices())),
      followers: this.#followers?.counts() ?? null,
      alarms: this.#fleets.reduce((sum, fleet) => sum + fleet.alarms.length, 0),
    };
  }

  /** Stops sending, waits for what is outstanding, and gives the account. */
  async drain(timeoutMs = this.#scenario.drain): Promise<SimulationResult> {
    const until = this.#clock.now();
    const all = await Promise.all(this.#fleets.map((fleet) => fleet.drain(timeoutMs)));
    const started = this.#fleets.flatMap(({ startedAt }) => (startedAt === null ? [] : [startedAt]));
    const { devices, followers } = this.progress();
    return {
      ...addCounts(all),
      lost: all.reduce((sum, { lost }) => sum + lost, 0),
      seed: this.#scenario.seed,
      startedAt: started.length > 0 ? new Date(Math.min(...started)).toISOString() : null,
      sites: Object.fromEntries(all.map(({ tasks }, i) => [this.#sites[i].site, tasks])),
      phases: addPhases(this.#fleets.map((fleet) => fleet.phases())),
      devices,
      followers,
      ...this.#score(until),
    };
  }

  /** Closes every connection. */
  async stop(): Promise<void> {
    await this.#followers?.stop();
    await Promise.all(this.#fleets.map((fleet) => fleet.stop()));
    await this.#board?.close();
  }

  get #sites(): readonly SitePlan[] {
    return this.#plan.sites.filter(({ streams }) => streams.length > 0);
  }

  #score(until: number): DriftScore {
    const { readings, scoring } = this.#scenario;
    const sites = this.#fleets.flatMap(({ startedAt, alarms }, i) => {
      const { site, script } = this.#sites[i];
      return startedAt === null ? [] : [{ site, task: readings.task, startedAt, script, alarms }];
    });
    return scoreDrift(sites, until, scoring.within);
  }

  async #connected(wires: readonly Wire[]): Promise<void> {
    const parts = [...wires.map(({ answers }) => answers), ...(this.#board ? [this.#board] : [])];
    const deadline = this.#clock.now() + CONNECT_MS;
    while (!this.#signal.aborted) {
      const sick = parts.map((part) => part.health()).find((health) => !health.ok);
      if (!sick || sick.ok) return;
      if (this.#clock.now() > deadline)
        throw new SluiceError('BROKER_UNREACHABLE', sick.reason.replace(/^[A-Z_]+: /, ''));
      await this.#clock.sleep(POLL_MS, this.#signal);
    }
  }
}

function wireOf({ site, streams, inputs }: SitePlan, { where }: Scenario, telemetry: Telemetry): Wire {
  const common = { site, tasks: streams.map(({ task }) => task), inputs, telemetry };
  if (where.type === 'kafka') {
    const { type: _type, brokers, ...access } = where;
    return overKafka(brokers, { ...common, access });
  }
  const { type: _type, url, version, connections, ...access } = where;
  return overMqtt(url, { ...common, version, connections, access });
}

function boardOf({ where }: Scenario, telemetry: Telemetry): Board {
  // A name of its own: the sessions of sites on the same broker are theirs.
  const context = contextOf({ site: 'sluice-sim', telemetry });
  if (where.type === 'kafka') {
    const { type: _type, ...access } = where;
    const side = transports.kafka.sink;
    return side.openBoard('followers', side.options.parse({ ...access, createTopics: true }), context);
  }
  const { type: _type, connections: _connections, ...access } = where;
  const side = transports.mqtt.sink;
  return side.openBoard('followers', side.options.parse(access), context);
}

function trustOf({ followers }: Scenario): PublicKey[] {
  return (followers?.trust ?? []).flatMap((text) =>
    text.startsWith('ed25519:') && !existsSync(text) ? [parsePublicKey(text)] : readTrust(text),
  );
}
