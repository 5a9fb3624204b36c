/**
 * A hub reduced to its word, for tests of deployment: trains small models on made readings through the real task, signs
 * them, puts pieces and `desired` on the board of a real broker, and hears what gateways say they run. It keeps
 * everything it ever announced, so that a test can say of any verdict whether its model was one of them.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { taskSpec } from '../../src/app/spec.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type {
  Actual,
  Board,
  BundleManifest,
  BundleRef,
  Desired,
  IoContext,
  Message,
} from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { kafka } from '../../src/io/kafka.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { encodeBundle } from '../../src/model/bundle.ts';
import { bundleRef, chunksOf, decodeActual, encodeDesired } from '../../src/model/desired.ts';
import { openEngine } from '../../src/model/engine.ts';
import { newKey, type PrivateKey } from '../../src/model/signing.ts';
import { openTask, type Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { until } from './scale.ts';

export const GROUP = 'default';
export const hubKey = newKey('mini-hub');
export const engine = openEngine();

const io: IoContext = {
  site: 'mini-hub',
  clock: systemClock,
  telemetry: new Telemetry({ level: 'silent' }),
  maxInFlight: 1_000,
  maxInFlightBytes: 64 * 1024 * 1024,
};

export const boards = {
  mqtt: (url: string): Board => mqtt.sink.openBoard('hub', mqtt.sink.options.parse({ url }), io),
  /** `models` is the topic that keeps them. */
  kafka: (brokers: readonly string[], models: string): Board =>
    kafka.sink.openBoard('hub', kafka.sink.options.parse({ brokers: [...brokers], topics: { models } }), io),
};

/** The task part of a gateway's configuration; the smallest that has numbers and a category. */
export const deployedTask = (source: string, learning: 'online' | 'frozen', more = ''): string => `
tasks:
  machine:
    from: [${source}]
    event: sensor
    fields:
      temperature: { type: number, range: [-50, 150] }
      vibration: { type: number, range: [0, 100] }
      unit: { type: category }
    device: { pointer: /device }
    # Scores are computed again here, from single events.
    features: { preset: fast }
    labels: [ok, fault]
    minLabels: 10
    minPerLabel: 2
    learning: ${learning}
    ${more}
`;

/** The same task in this process: what was trained here fits there. */
export function taskOf(config: string): Task {
  return openTask(taskSpec(parseConfig(config, 'test.yaml'), 'machine'));
}

export interface Made {
  readonly bytes: Uint8Array;
  readonly ref: BundleRef;
  readonly weights: Uint8Array;
}

export interface Recipe {
  readonly version: number;
  /** Training rows. */
  readonly rows?: number;
  /** Bytes that make the bundle larger: more pieces. */
  readonly ballast?: number;
  readonly training?: Partial<BundleManifest['training']>;
  readonly manifest?: Partial<BundleManifest>;
  readonly key?: PrivateKey | null;
  /** In the place of trained ones. */
  readonly weights?: Uint8Array;
}

const message = (payload: string): Message => ({
  source: 's',
  topic: 't',
  key: null,
  payload: Buffer.from(payload),
  headers: {},
  at: 0,
  position: '',
});

/** A reading as a sender would send it. `n` names it; the numbers follow from it. */
export function sent(n: number, device = `press-${n % 8}`): { id: string; payload: string; label: string } {
  const temperature = 20 + ((n * 37) % 600) / 10;
  const vibration = ((n * 91) % 500) / 10;
  const label = temperature / 80 + vibration / 50 > 1.2 ? 'fault' : 'ok';
  const data = { device, temperature, vibration, unit: `u${n % 50}` };
  const time = new Date(1_700_000_000_000 + n * 10).toISOString();
  const payload = JSON.stringify({
    ...{
      specversion: '1.0',
      id: String(n),
      source: `/plant/${device}`,
      type: 'reading',
      time,
      subject: device,
    },
    data,
    device,
  });
  return { id: `/plant/${device}/${n}`, payload, label };
}

export class MiniHub {
  readonly board: Board;
  readonly task: Task;
  /** Everything that was ever put on the board whole and signed, by digest. */
  readonly announced = new Map<string, Made>();
  /** What gateways said, in order, by site. */
  readonly actuals = new Map<string, Actual[]>();
  serial = 0;

  constructor(board: Board, task: Task) {
    this.board = board;
    this.task = task;
    board.watch(`+/models/${task.name}/actual`, (_name, payload) => {
      const actual = decodeActual(payload);
      this.actuals.set(actual.site, [...(this.actuals.get(actual.site) ?? []), actual]);
    });
  }

  get place(): string {
    return `${GROUP}/models/${this.task.name}`;
  }

  /** Trains and signs. Models of different versions give different scores. */
  async make(recipe: Recipe): Promise<Made> {
    const { version, rows = 300, ballast = 0, training, manifest, key = hubKey, weights } = recipe;
    const learned = weights ?? (await this.#train(version, rows));
    const { name, labels, positive, features, event, shape, model } = this.task;
    const bytes = encodeBundle(
      {
        ...{ format: 1, task: name, version, labels: [...labels], positive: labels[positive] },
        ...{ kind: model.kind, options: {}, shape, features, event },
        training: {
          ...{ rows, digest: 'a'.repeat(64), through: {}, until: 0 },
          ...{ counts: [rows, rows], seed: version, passes: 1 },
          ...training,
        },
        featureOptions: { ballast: randomBytes((ballast * 3) >> 2).toString('base64') },
        ...{ quality: null, parent: null, created: Date.now(), expires: Date.now() + 86_400_000 },
        ...manifest,
      },
      learned,
      key,
    );
    return { bytes, ref: bundleRef(bytes, version), weights: learned };
  }

  async #train(version: number, rows: number): Promise<Uint8Array> {
    const arena = new RowArena(this.task.shape.dims, this.task.shape.denseDims);
    const truth: number[] = [];
    for (let i = 0; i < rows; i++) {
      const { payload, label } = sent(i * 7 + version * 1_013);
      // A unit nobody else has, and some labels wrong in each version's own way.
      const own = payload.replace(/"unit":"[^"]*"/, `"unit":"v${version}-${i}"`);
      for (const event of this.task.decode(message(i % 2 ? payload : own))) this.task.fill(event, arena);
      truth.push(((i + version) % 9 === 0) !== (label === 'fault') ? 1 : 0);
    }
    const model = this.task.newModel(engine);
    await model.learn(arena.view(), Int32Array.from(truth));
    const bytes = await model.save();
    model.close();
    return bytes;
  }

  async lay({ bytes, ref }: Made): Promise<void> {
    for (const [n, piece] of chunksOf(bytes).entries())
      await this.board.put(`${this.place}/blob/${ref.digest}/${n}`, piece);
  }

  async remove({ ref }: Made): Promise<void> {
    for (let n = 0; n < ref.chunks; n++) await this.board.put(`${this.place}/blob/${ref.digest}/${n}`, null);
  }

  /** The signed word, with the next serial unless `more` names one. */
  document(made: Made | null, more: Partial<Desired> = {}, key = hubKey): string {
    this.serial += 1;
    const none = { digest: null, version: null, size: null, chunks: null };
    const desired: Desired = {
      ...{ group: GROUP, task: this.task.name, serial: this.serial, candidate: null, compare: null },
      at: Date.now(),
      ...(made?.ref ?? none),
      ...more,
    };
    return encodeDesired(desired, key);
  }

  async say(made: Made | null, more: Partial<Desired> = {}): Promise<void> {
    await this.board.put(`${this.place}/desired`, this.document(made, more));
  }

  /** Lays the pieces and says so. */
  async deploy(made: Made, more: Partial<Desired> = {}): Promise<void> {
    this.announced.set(made.ref.digest, made);
    await this.lay(made);
    await this.say(made, more);
  }

  last(site: string): Actual | undefined {
    return this.actuals.get(site)?.at(-1);
  }

  untilActual(site: string, wanted: (actual: Actual) => boolean, ms = 20_000, log = () => ''): Promise<void> {
    return until(
      () => {
        const last = this.last(site);
        return last !== undefined && wanted(last);
      },
      ms,
      () => `actual of ${site} is ${JSON.stringify(this.last(site))}\n${log().slice(-3_000)}`,
    );
  }

  /** Probability of `fault` under a bundle that has learned nothing since, by the payload as it was sent. */
  async scores(made: Made, payloads: readonly string[]): Promise<number[]> {
    const arena = new RowArena(this.task.shape.dims, this.task.shape.denseDims);
    for (const payload of payloads)
      for (const event of this.task.decode(message(payload))) this.task.fill(event, arena);
    const model = this.task.loadModel(engine, made.weights);
    const scores = await model.score(arena.view());
    model.close();
    return payloads.map((_, i) => scores[i * 2 + 1]);
  }
}

/** A file of trusted keys, and what removes it. */
export async function trustFile(
  lines: readonly string[],
): Promise<{ file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-trust-'));
  const file = path.join(folder, 'trusted-keys');
  await writeFile(file, lines.map((line) => `${line}\n`).join(''));
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}
