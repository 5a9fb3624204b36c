/**
 * Deployments while the gateway is killed with SIGKILL again and again, and what must hold after each kill: the files
 * name only whole, signed bundles that were announced; the serial never goes back; verdicts name announced models
 * alone. In the end the newest word runs, every event has its verdict, no label is lost, and the model is bit for bit
 * its base with the local labels behind the cut-off.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { loadConfig } from '../../src/config.ts';
import type { Desired } from '../../src/contract.ts';
import { bundleBase } from '../../src/fleet/base.ts';
import { Fold } from '../../src/fleet/fold.ts';
import { verifyBundle } from '../../src/model/bundle.ts';
import { openStore } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import type { Bus } from './bus.ts';
import { engine, hubKey, type Made, type MiniHub, sent } from './mini-hub.ts';
import type { Operated } from './ops-kit.ts';
import { random, sleep, until } from './scale.ts';

interface Placed {
  readonly digest: string;
  readonly since: number;
}

interface RecordFile {
  readonly serial: number;
  readonly base: Placed | null;
  readonly previous: Placed | null;
  readonly companion: Placed | null;
}

/** What lies on disk between two lives of the gateway; throws where it is not whole or was never announced. */
export function readInstalled(state: string, hub: MiniHub): RecordFile | null {
  const folder = path.join(state, 'models', hub.task.name);
  const file = path.join(folder, 'record.json');
  if (!existsSync(file)) return null;
  const record = JSON.parse(readFileSync(file, 'utf8')) as RecordFile;
  for (const place of [record.base, record.previous, record.companion])
    if (place) expectWhole(path.join(folder, `${place.digest}.bundle`), place.digest, hub);
  for (const name of readdirSync(folder))
    if (name.endsWith('.bundle')) expectWhole(path.join(folder, name), name.split('.')[0], hub);
  return record;
}

function expectWhole(file: string, digest: string, hub: MiniHub): void {
  expect(hub.announced.has(digest), `${digest} was announced`).toBe(true);
  const { name, labels, features, event } = hub.task;
  const expected = {
    trusted: [hubKey.public],
    now: null,
    task: name,
    labels,
    features,
    event,
    maxBytes: 1e9,
  };
  expect(verifyBundle(readFileSync(file), expected).digest).toBe(digest);
}

export interface Plan {
  readonly deployments: number;
  /** Deployments in one life of the process, about. */
  readonly perLife: number;
  readonly seed: number;
}

export interface Tally {
  readonly deployments: number;
  readonly kills: number;
  /** Kills by what the gateway last said it was doing. */
  readonly during: Readonly<Record<string, number>>;
  readonly events: number;
  /** Events that were alone in flight at two kills, and so are held to have ended the process: dead letters. */
  readonly suspected: number;
  readonly labels: number;
  readonly seconds: number;
}

export class KillRun {
  readonly #hub: MiniHub;
  readonly #gateway: Operated;
  readonly #bus: Bus;
  readonly #site: string;
  readonly #topics: {
    readonly input: string;
    readonly verdict: string;
    readonly feedback: string;
    readonly dead: string;
  };
  readonly #rng: () => number;
  readonly #seen = new Set<string>();
  readonly #labelled = new Set<string>();
  readonly #buried = new Set<string>();
  readonly #pool: Made[] = [];
  readonly #during: Record<string, number> = {};
  #n = 0;
  #serial = -1;
  #going = true;

  constructor(
    hub: MiniHub,
    gateway: Operated,
    bus: Bus,
    site: string,
    topics: {
      readonly input: string;
      readonly verdict: string;
      readonly feedback: string;
      readonly dead: string;
    },
    seed: number,
  ) {
    this.#hub = hub;
    this.#gateway = gateway;
    this.#bus = bus;
    this.#site = site;
    this.#topics = topics;
    this.#rng = random(seed);
  }

  async run({ deployments, perLife }: Plan): Promise<Tally> {
    const started = performance.now();
    await this.#listen();
    for (let version = 1; version <= 12; version++) this.#pool.push(await this.#newModel(version));
    await this.#gateway.start(); // its session is there: what is sent from now on is kept for it
    const pouring = this.#pour();
    let kills = 0;
    let last: Made = this.#pool[0];
    for (let done = 0; done < deployments; done++) {
      last = await this.#deployOne(done);
      // Until it is told, or not at all: the next word may come while this one is followed.
      await sleep(this.#rng() * 250);
      if (this.#rng() * perLife < 1 && done < deployments - 1) {
        await this.#killAndLook();
        kills += 1;
      }
    }
    const tally = { deployments, kills, during: this.#during };
    await this.#settle(last, pouring);
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    return { ...tally, events: this.#n, suspected: this.#buried.size, labels: this.#labelled.size, seconds };
  }

  async #listen(): Promise<void> {
    await this.#bus.subscribe(this.#topics.dead, (payload) => {
      const { code, payload: original } = JSON.parse(payload.toString()).data as {
        code: string;
        payload: string;
      };
      const { id, device } = JSON.parse(Buffer.from(original, 'base64').toString());
      if (code === 'DECODE_CRASHED') this.#buried.add(`/plant/${device}/${id}`);
      else this.#wrong ??= `a dead letter ${code}`;
    });
    await this.#bus.subscribe(this.#topics.verdict, (payload) => {
      const { event, model } = JSON.parse(payload.toString()).data as { event: string; model: string };
      const base = model.split('+')[0];
      if (!base.startsWith('blank-') && !this.#hub.announced.has(base))
        this.#wrong ??= `${event} was judged by ${model}, which was never announced`;
      if (this.#seen.has(event)) return;
      this.#seen.add(event);
      const n = Number(event.split('/').at(-1));
      if (n % 3 !== 0) return;
      this.#labelled.add(event);
      const feedback = JSON.stringify({ event, label: sent(n).label, origin: 'test' });
      void this.#bus.publish(this.#topics.feedback, feedback);
    });
  }

  #wrong: string | null = null;

  async #pour(): Promise<void> {
    while (this.#going) {
      const { payload } = sent(this.#n);
      await this.#bus.publish(this.#topics.input, payload, `press-${this.#n % 8}`);
      this.#n += 1;
      // Few: after kills in a row the gateway takes what it had in flight one by one (flow/suspects.ts).
      if (this.#n % 4 === 0) await sleep(100);
    }
  }

  async #newModel(version: number): Promise<Made> {
    const training =
      version % 3 === 0
        ? { until: Date.now() } // knows what was labelled so far
        : version % 3 === 1
          ? { through: { [this.#site]: version * 5 } }
          : {};
    return this.#hub.make({ version, rows: 60, ballast: version % 4 === 0 ? 400_000 : 0, training });
  }

  /** Mostly one model after the other, now and then the same again, a canary, or one in the shadow. */
  async #deployOne(n: number): Promise<Made> {
    const pick = () => this.#pool[Math.floor(this.#rng() * this.#pool.length)];
    const made = pick();
    const beside = pick();
    const how = this.#rng();
    let more: Partial<Desired> = {};
    if (how < 0.2 && beside !== made) {
      this.#hub.announced.set(beside.ref.digest, beside);
      await this.#hub.lay(beside);
      const mode = n % 2 ? 'canary' : 'shadow';
      more = { candidate: { ...beside.ref, mode, sites: [this.#site] } };
    }
    await this.#hub.deploy(made, more);
    return how < 0.2 && beside !== made && n % 2 ? beside : made;
  }

  async #killAndLook(): Promise<void> {
    const doing = this.#hub.last(this.#site)?.state ?? 'silent';
    this.#during[doing] = (this.#during[doing] ?? 0) + 1;
    if (this.#gateway.running) await this.#gateway.stop('SIGKILL');
    this.#look();
    this.#gateway.launch();
    // Sometimes it is killed again before it has come up.
    await sleep(this.#rng() < 0.3 ? this.#rng() * 700 : 500 + this.#rng() * 1_500);
  }

  /** The promises that hold between two lives. */
  #look(): void {
    expect(this.#wrong).toBeNull();
    const record = readInstalled(this.#gateway.state, this.#hub);
    if (record === null) return;
    expect(record.serial, 'the serial never goes back').toBeGreaterThanOrEqual(this.#serial);
    expect(record.serial).toBeLessThanOrEqual(this.#hub.serial);
    this.#serial = record.serial;
    for (const { serial } of this.#hub.actuals.get(this.#site) ?? [])
      expect(serial).toBeLessThanOrEqual(this.#hub.serial);
  }

  async #settle(last: Made, pouring: Promise<void>): Promise<void> {
    const log = () => this.#gateway.log;
    if (!this.#gateway.running) this.#gateway.launch();
    await this.#hub.untilActual(
      this.#site,
      (a) => a.digest === last.ref.digest && a.serial === this.#hub.serial && a.state === 'running',
      40_000,
      log,
    );
    this.#going = false;
    await pouring;
    const all = () => new Set([...this.#seen, ...this.#buried]).size >= this.#n;
    await until(
      all,
      120_000,
      () =>
        `${this.#seen.size} verdicts and ${this.#buried.size} dead letters of ${this.#n}\n${log().slice(-2_000)}`,
    );
    expect(this.#wrong).toBeNull();
    await sleep(1_500); // the last labels
    expect(await this.#gateway.stop()).toBe(0);
    this.#look();
    await this.#expectBaseAndLabels(last);
  }

  /** After a clean stop: the journal has every label once, and the saved model is the base with those behind the cut-off. */
  async #expectBaseAndLabels(last: Made): Promise<void> {
    const { task } = this.#hub;
    const { base: placed } = readInstalled(this.#gateway.state, this.#hub)!;
    expect(placed!.digest).toBe(last.ref.digest);
    const { path: folder, ...limits } = loadConfig(this.#gateway.file, { env: process.env }).store;
    const telemetry = new Telemetry({ level: 'silent' });
    const store = await openStore({ path: folder, limits, clock: systemClock, telemetry, mode: 'tool' });
    try {
      const events: string[] = [];
      for (let after = 0; ; ) {
        const { entries, through } = store.journal.read(task.name, after, 512);
        events.push(...entries.map(({ event }) => event));
        if (through === after) break;
        after = through;
      }
      expect(events.length, 'each label is in the journal once').toBe(new Set(events).size);
      expect(
        [...this.#labelled].filter((event) => !events.includes(event)),
        'no label is lost',
      ).toEqual([]);
      const { name, labels, features, event } = task;
      const expected = {
        trusted: [hubKey.public],
        now: null,
        task: name,
        labels,
        features,
        event,
        maxBytes: 1e9,
      };
      const fold = Fold.start(
        task,
        bundleBase(verifyBundle(last.bytes, expected), placed!.since),
        engine,
        true,
      );
      while ((await fold.advance(store)).grew);
      const snapshot = store.snapshots.newest(name)!;
      expect(snapshot.labels).toBe(fold.labels);
      const bits = Buffer.from(await fold.model.save());
      expect(bits.equals(Buffer.from(snapshot.parts.model)), 'base and local labels, bit for bit').toBe(true);
      fold.model.close();
    } finally {
      await store.close();
    }
  }
}
