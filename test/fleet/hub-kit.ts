/**
 * A hub in virtual time with a fleet that is a page of code: the clock is moved by hand, the pool, the registry and the
 * state are in memory and survive a `restart`, a model is one number (the probability it gives to the true label).
 */
import type {
  Actual,
  Alarm,
  BundleManifest,
  Clock,
  Desired,
  Engine,
  LabelledRow,
  Model,
  Order,
  Registered,
  Rows,
  Trainer,
} from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { concat } from '../../src/features/rows.ts';
import type { HubRegistry, HubTask, Sealing, TrainingRows } from '../../src/fleet/hub/seams.ts';
import { Hub, type HubEvent, hubLoopOptions } from '../../src/fleet/hub.ts';
import { digestOf, encodeBundle, readBundle } from '../../src/model/bundle.ts';
import { newKey } from '../../src/model/signing.ts';
import { seededRandom } from '../../src/task/random.ts';

export const KEY = newKey('hub');
export const SEALING: Sealing = {
  seal: (manifest, weights) => ({ bytes: encodeBundle(manifest, weights, KEY), signer: 'hub' }),
};
/** By digest: reading a bundle checks its signature, and rows are many. */
const percents = new Map<string, number>();
export const SECOND = 1_000;
export const HOUR = 3_600_000;
/** A Monday, 12:00 UTC. */
export const START = Date.UTC(2026, 0, 5, 12);

export class ManualClock implements Clock {
  time = START;
  now() {
    return this.time;
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

export const TASK: HubTask = {
  name: 'machine',
  event: 'sensor',
  labels: ['ok', 'fault'],
  positive: 1,
  features: 'sensor-1/abc',
  featureOptions: {},
  shape: { dims: 0, denseDims: 1, classes: 2 },
  learning: 'frozen',
  first: { kind: 'linear', options: {}, passes: 1, newest: 0 },
  seed: 1,
};

/** The true label stands in the row, so that a fake model can be as good as its one number says. */
export function rowWith(label: number): Rows {
  return {
    count: 1,
    indptr: Uint32Array.of(0, 0),
    indices: new Uint32Array(0),
    values: new Float32Array(0),
    denseDims: 1,
    dense: Float32Array.of(label),
  };
}

/** Weights: the percentage that the true label gets. */
const weightsOf = (percent: number) => Uint8Array.of(percent);

export const fakeEngine: Engine = {
  backend: 'fake',
  backends: [],
  create: () => {
    throw new SluiceError('INTERNAL', 'not used');
  },
  load: (bytes) => {
    const share = bytes[0] / 100;
    const score = async (rows: Rows) =>
      Float32Array.from({ length: rows.count * 2 }, (_, i) =>
        rows.dense[Math.floor(i / 2)] === i % 2 ? share : 1 - share,
      );
    return {
      kind: 'linear',
      shape: TASK.shape,
      backend: 'fake',
      bytes: 1,
      score,
      step: score,
      learn: async () => undefined,
      save: async () => bytes,
      close: () => undefined,
    } satisfies Model;
  },
};

export class MemoryRegistry implements HubRegistry {
  readonly entries = new Map<string, Registered>();
  readonly objects = new Map<string, Uint8Array>();
  readonly audits: { what: string; digest: string; reason: string; by: string }[] = [];
  waiting: Order[] = [];
  versions = 0;
  serials = 0;

  list(): Registered[] {
    return [...this.entries.values()];
  }
  live(): Registered | null {
    return this.list().find(({ stage }) => stage === 'live') ?? null;
  }
  get lives(): string[] {
    return this.list()
      .filter(({ stage }) => stage === 'live')
      .map(({ digest }) => digest);
  }
  stage(digest: string) {
    return this.entries.get(digest)?.stage;
  }
  async get(digest: string): Promise<Uint8Array> {
    const bytes = this.objects.get(digest);
    if (!bytes) throw new SluiceError('MODEL_UNKNOWN', digest);
    return bytes;
  }
  async put(bytes: Uint8Array, reason: string, at: number): Promise<Registered> {
    const { manifest, signer, size, digest } = readBundle(bytes);
    this.objects.set(digest, bytes);
    percents.set(digest, readBundle(bytes).weights[0]);
    const entry = { digest, stage: 'candidate', since: at, reason, size, signer, manifest } as const;
    if (!this.entries.has(digest)) this.entries.set(digest, entry);
    return this.entries.get(digest) as Registered;
  }
  adopt(digest: string, reason: string, at: number): Promise<Registered> {
    return this.get(digest).then((bytes) => this.put(bytes, reason, at));
  }
  async move(digest: string, stage: Registered['stage'], reason: string, at: number): Promise<Registered> {
    const entry = this.entries.get(digest);
    if (!entry) throw new SluiceError('MODEL_UNKNOWN', digest);
    for (const other of this.list())
      if (stage === 'live' && other.stage === 'live' && other.digest !== digest)
        this.entries.set(other.digest, { ...other, stage: 'retired' });
    const moved = { ...entry, stage, reason, since: at };
    this.entries.set(digest, moved);
    return moved;
  }
  async nextVersion() {
    this.versions += 1;
    return this.versions;
  }
  async nextSerial() {
    this.serials += 1;
    return this.serials;
  }
  serial() {
    return this.serials;
  }
  async orders() {
    return this.waiting;
  }
  async done(id: string) {
    this.waiting = this.waiting.filter((order) => order.id !== id);
  }
  async audit(entry: { what: string; digest: string; reason: string; by: string }) {
    this.audits.push(entry);
  }
}

export class MemoryPool {
  readonly rows: LabelledRow[] = [];
  readonly #seen = new Set<string>();
  distrusted = new Set<string>();

  async add(rows: readonly LabelledRow[]) {
    for (const row of rows) {
      const name = `${row.site}/${row.event}`;
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      this.rows.push(row);
    }
  }
  async training(): Promise<TrainingRows> {
    const rows = this.rows.filter(({ label }) => label >= 0);
    const set = {
      features: TASK.features,
      rows: concat(rows.map((row) => row.rows)),
      labels: Int32Array.from(rows, ({ label }) => label),
      weights: Float32Array.from(rows, () => 1),
      at: Float64Array.from(rows, ({ at }) => at),
    };
    const through: Record<string, number> = {};
    for (const { site, seq } of this.rows) through[site] = Math.max(through[site] ?? 0, seq);
    const until = Math.max(0, ...rows.slice(-1).map(({ at }) => at));
    return {
      set,
      through,
      until,
      digest: digestOf(new Uint8Array(set.labels.buffer)),
      position: this.rows.length,
    };
  }
  async unseen(_task: HubTask, after: number, limit: number) {
    const rows = this.rows.slice(after, after + limit);
    return { rows, through: after + rows.length };
  }
  position() {
    return this.rows.length;
  }
  distrusts(_task: string, site: string, device: string) {
    return this.distrusted.has(`${site}/${device}`);
  }
}

export interface World {
  readonly clock: ManualClock;
  readonly registry: MemoryRegistry;
  readonly pool: MemoryPool;
  readonly saved: Map<string, string>;
  /** Every word that the broker has had, in order. */
  readonly words: Desired[];
  readonly events: HubEvent[];
  readonly failures: string[];
  hub: Hub;
  /** What the next training gives: percentages, in order; the last one stays. */
  makes: number[];
  /** True: the training does not end. */
  stuck: boolean;
  /** The broker refuses words. */
  away: boolean;
  /** Called before and after anything leaves the hub: throws to play a kill. */
  hook: (where: string) => void;
  tick(seconds?: number, step?: number): Promise<void>;
  /** A hub that was killed, and another one with the same state. */
  restart(): void;
  /** Labelled rows of a site, as its gateway sends them, with the paired losses of what it runs. */
  rows(site: string, count: number, options?: RowOptions): Promise<void>;
  readonly fleet: Fleet;
  order(what: Order['what'], digest?: string): Promise<{ followed: boolean; reason: string }>;
  kinds(): string[];
  readonly step: string | null;
}

export interface RowOptions {
  readonly devices?: number;
  readonly noise?: number;
  /** What the site really runs gives the true label this percentage, whatever its weights say. */
  readonly percent?: Readonly<Record<string, number>>;
}

/** Gateways that do what they are told, unless told otherwise. */
export class Fleet {
  readonly sites = new Map<
    string,
    { online: boolean; obeys: boolean | 'late'; actual: Actual | null; seq: number }
  >();
  add(...names: string[]) {
    for (const name of names) this.sites.set(name, { online: true, obeys: true, actual: null, seq: 0 });
  }
  site(name: string) {
    const site = this.sites.get(name);
    if (!site) throw new Error(name);
    return site;
  }
}

/** Follows the newest word as a gateway would. */
function follow(name: string, word: Desired | undefined, now: number, obeys: boolean): Actual {
  const base = { site: name, group: 'default', task: TASK.name, labels: 0, at: now } as const;
  if (!word) return { ...base, digest: null, companion: null, serial: 0, state: 'running', reason: '' };
  if (!obeys)
    return {
      ...base,
      digest: null,
      companion: null,
      serial: 0,
      state: 'refused',
      reason: 'BUNDLE_UNTRUSTED: no',
    };
  const { candidate } = word;
  const mine = candidate?.sites.includes(name) ? candidate : null;
  const digest = mine?.mode === 'canary' ? mine.digest : word.digest;
  const companion =
    mine?.mode === 'canary'
      ? word.digest
      : mine
        ? mine.digest
        : word.digest
          ? (word.compare?.digest ?? null)
          : null;
  return { ...base, digest, companion, serial: word.serial, state: 'running', reason: '' };
}

export function options(given: Record<string, unknown> = {}) {
  return hubLoopOptions.parse({
    retrain: { minRows: 40, afterDrift: 20, cooldown: '1m', volume: 0, every: 0 },
    gate: { minCount: 60, deadline: '1h' },
    rollout: { minCount: 60, deadline: '1h', watch: '10m', silent: '2m' },
    approve: 'auto',
    ...given,
  });
}

export function makeWorld(given: Record<string, unknown> = {}, seed = 1): World {
  const clock = new ManualClock();
  const registry = new MemoryRegistry();
  const pool = new MemoryPool();
  const saved = new Map<string, string>();
  const random = seededRandom(seed, 'world');
  const fleet = new Fleet();
  const parsed = options(given);
  let stop = new AbortController();
  const trainer: Trainer = {
    train: async (_request, signal) => {
      if (world.stuck)
        await new Promise((_resolve, reject) => {
          const fail = () => reject(new SluiceError('TRAINING_FAILED', 'stopped'));
          signal?.addEventListener('abort', fail);
          stop.signal.addEventListener('abort', fail);
        });
      const percent = world.makes.length > 1 ? (world.makes.shift() as number) : world.makes[0];
      const trial = {
        experiment: TASK.first,
        round: 1,
        trainedRows: 1,
        validation: { tested: 10, accuracy: 0.9, logLoss: 0.3, interval: [0.2, 0.4] as const },
        modelBytes: 1,
        rate: 1,
      };
      return { leaderboard: [trial], winner: trial, model: weightsOf(percent) };
    },
  };
  const guard = <T extends object>(target: T, names: readonly (keyof T & string)[]): T =>
    new Proxy(target, {
      get: (object, name) => {
        const value = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        if (!(names as readonly string[]).includes(String(name))) return value.bind(object);
        return async (...args: unknown[]) => {
          world.hook(`before ${String(name)}`);
          const result = await value.apply(object, args);
          world.hook(`after ${String(name)}`);
          return result;
        };
      },
    });
  const open = () => {
    const hub = new Hub({
      group: 'default',
      tasks: [TASK],
      options: parsed,
      clock,
      failed: (error) => world.failures.push(`${error.code}: ${error.message}`),
      parts: {
        pool,
        trainer,
        engine: fakeEngine,
        registry: guard(registry, ['move', 'nextSerial', 'audit', 'put', 'done']),
        sealing: SEALING,
        state: {
          load: (key) => saved.get(key) ?? null,
          save: async (key, text) => {
            world.hook('before save');
            saved.set(key, text);
            world.hook('after save');
          },
        },
        announce: async (desired) => {
          world.hook('before announce');
          if (world.away) throw new SluiceError('BROKER_UNREACHABLE', 'away');
          const last = world.words.at(-1);
          const again = last?.serial === desired.serial;
          if (again && JSON.stringify(last) !== JSON.stringify(desired))
            throw new Error('a serial changed its content');
          if (!again) world.words.push(structuredClone(desired));
          world.hook('after announce');
        },
      },
    });
    hub.onEvent((event) => world.events.push(event));
    return hub;
  };
  const world: World = {
    clock,
    registry,
    pool,
    saved,
    words: [],
    events: [],
    failures: [],
    makes: [90],
    stuck: false,
    away: false,
    hook: () => undefined,
    fleet,
    hub: null as unknown as Hub,
    async tick(seconds = 1, step = 1) {
      for (let done = 0; done < seconds; done += step) {
        clock.time += step * SECOND;
        for (const [name, site] of fleet.sites) {
          if (!site.online) continue;
          if (site.obeys !== 'late' || !site.actual)
            site.actual = follow(name, world.words.at(-1), clock.time, site.obeys !== false);
          world.hub.actual(site.actual);
        }
        await world.hub.tick();
        if (!world.stuck) await world.hub.settled();
      }
    },
    restart() {
      stop.abort();
      stop = new AbortController();
      world.hub = open();
    },
    async rows(name, count, { devices = 10, noise = 0.1, percent = {} } = {}) {
      const site = fleet.site(name);
      const { actual } = site;
      const rows = Array.from({ length: count }, (): LabelledRow => {
        site.seq += 1;
        const label = random() < 0.5 ? 1 : 0;
        const gives = (digest: string | null) =>
          digest === null ? 50 : (percent[digest] ?? (percents.get(digest) as number));
        const loss = (digest: string | null) =>
          Math.max(0, -Math.log(gives(digest) / 100) + noise * (random() - 0.5));
        const [live, other] = [actual?.digest ?? null, actual?.companion ?? null];
        return {
          site: name,
          task: TASK.name,
          seq: site.seq,
          event: `${name}-${site.seq}`,
          device: `d${Math.floor(random() * devices)}`,
          at: clock.time,
          labelledAt: clock.time,
          label,
          weight: 1,
          origin: 'test',
          features: TASK.features,
          rows: rowWith(label),
          scores: Float32Array.of(0.5, 0.5),
          predicted: random() < gives(live) / 100 ? label : 1 - label,
          model: `${live ?? 'blank-1'}+0`,
          paired: live && other ? { live, liveLoss: loss(live), other, otherLoss: loss(other) } : null,
        };
      });
      await world.hub.rows(rows);
    },
    order(what, digest = '') {
      const order = {
        id: `o${clock.time}-${random()}`,
        task: TASK.name,
        what,
        digest,
        by: 'alice',
        at: clock.time,
      };
      const result = world.hub.order(order);
      return world.tick().then(() => result);
    },
    kinds: () => world.events.map(({ kind }) => kind),
    get step() {
      return world.hub.status().tasks[0].rollout?.step ?? null;
    },
  };
  world.hub = open();
  return world;
}

export function alarmAt(clock: Clock, stream = 'logLoss', state: Alarm['state'] = 'drift'): Alarm {
  return {
    task: TASK.name,
    stream,
    detector: 'adwin',
    state,
    statistic: 1,
    threshold: 0.5,
    window: 100,
    model: 'x+0',
    at: clock.now(),
    since: clock.now() - 60 * SECOND,
    before: 0.1,
    now: 0.7,
    features: [],
    devices: [],
  };
}

/** Brings a first model live: `percent` to the true label. */
export async function bringLive(world: World, percent: number, sites = ['a', 'b']): Promise<string> {
  world.fleet.add(...sites);
  world.makes = [percent];
  await world.tick();
  for (let i = 0; i < 300 && !world.hub.status().tasks[0].live; i += 1) {
    for (const site of sites) await world.rows(site, 60);
    await world.tick(60, 30);
  }
  const live = world.hub.status().tasks[0].live;
  if (!live) throw new Error(`no live model: ${JSON.stringify(world.hub.status().tasks[0], null, 1)}`);
  return live.digest;
}

/** A bundle that an operator made, signed. */
export function bundleOf(
  percent: number,
  change: Partial<BundleManifest> = {},
  signed = true,
  weights: Uint8Array = weightsOf(percent),
): Uint8Array {
  const manifest: BundleManifest = {
    format: 1,
    task: TASK.name,
    version: 77,
    labels: TASK.labels,
    positive: 'fault',
    kind: 'linear',
    options: {},
    shape: TASK.shape,
    features: TASK.features,
    featureOptions: {},
    event: 'sensor',
    training: { rows: 1, digest: 'a'.repeat(64), through: {}, until: 1, counts: [1, 0], seed: 1, passes: 1 },
    quality: null,
    parent: null,
    created: START,
    expires: START + 90 * 86_400_000,
    ...change,
  };
  if (signed) return SEALING.seal(manifest, weights).bytes;
  return encodeBundle(manifest, weights, null);
}

export { digestOf };
