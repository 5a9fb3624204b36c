/** What must not run does not run: the reason is told, the running model stays, and the next good word is followed. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { formatPublicKey, newKey } from '../../src/model/signing.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import {
  boards,
  deployedTask,
  GROUP,
  hubKey,
  type Made,
  MiniHub,
  type Recipe,
  sent,
  taskOf,
  trustFile,
} from './mini-hub.ts';
import { Operated } from './ops-kit.ts';
import { patience, sleep, until } from './scale.ts';

vi.setConfig({ testTimeout: patience });

let broker: Mosquitto;
let trust: Awaited<ReturnType<typeof trustFile>>;
let bus: Bus;
let hub: MiniHub;
let gateway: Operated;
/** What runs, and its verdicts. */
let good: Made;
let version = 1;
let n = 0;
const verdicts = new Map<string, string>();
const log = () => gateway.log;

const configOf = (site: string) => `
site: ${site}
sources:
  plant: { type: mqtt, url: "${broker.url}", topics: ["plant/${site}/telemetry"], session: sluice-${site} }
sinks:
  floor: { type: mqtt, url: "${broker.url}" }
models: { trust: ${JSON.stringify(trust.file)}, maxBytes: 2MiB }
${deployedTask('plant', 'frozen')}`;

beforeAll(async () => {
  if (mosquittoMissing) return;
  broker = await Mosquitto.start();
  trust = await trustFile([formatPublicKey(hubKey.public)]);
  bus = await mqttBus(broker.url);
  hub = new MiniHub(boards.mqtt(broker.url), taskOf(configOf('north')));
  gateway = await Operated.make(configOf('north'));
  // Before any hub has spoken.
  await gateway.start();
  await bus.subscribe('sluice/north/machine/verdict', (payload) => {
    const { event, model } = JSON.parse(payload.toString()).data;
    verdicts.set(event, model);
  });
  await hub.untilActual('north', ({ digest, serial }) => digest === null && serial === -1);
  good = await hub.make({ version });
  await hub.deploy(good);
  await runs(good);
});
afterAll(async () => {
  if (mosquittoMissing) return;
  await gateway.remove();
  await hub.board.close();
  await bus.close();
  await broker.stop();
  await trust.remove();
});
afterEach(async () => {
  if (mosquittoMissing) return;
  // Whatever was tried: the process lives, judges with the good model, and follows the next good word.
  expect(gateway.running).toBe(true);
  expect(await judgedBy()).toBe(`${good.ref.digest}+0`);
});

async function judgedBy(): Promise<string> {
  const { id, payload } = sent(n++);
  await bus.publish('plant/north/telemetry', payload);
  await until(
    () => verdicts.has(id),
    20_000,
    () => `the verdict of ${id}\n${log().slice(-2_000)}`,
  );
  return verdicts.get(id)!;
}

const runs = (made: Made, site = 'north') =>
  hub.untilActual(
    site,
    (a) => a.digest === made.ref.digest && a.serial === hub.serial && a.state === 'running',
    40_000,
    log,
  );
const refused = (code: string) =>
  hub.untilActual('north', (a) => a.state === 'refused' && a.reason.startsWith(`${code}:`), 40_000, log);
const make = (recipe: Partial<Recipe> = {}) => hub.make({ version: ++version, ...recipe });
const put = (payload: string | Uint8Array | null) => hub.board.put(`${hub.place}/desired`, payload);
const piece = (made: Made, place: string | number, bytes: Uint8Array | null) =>
  hub.board.put(`${hub.place}/blob/${made.ref.digest}/${place}`, bytes);
const CHUNK = 256 * 1024;
const bytesOf = (made: Made, i: number) => made.bytes.subarray(i * CHUNK, (i + 1) * CHUNK);

async function deployGood(made: Made): Promise<void> {
  await hub.deploy(made);
  await runs(made);
  good = made;
}

const words: readonly [string, string, () => string | Uint8Array | Promise<string>][] = [
  [
    'that is not signed',
    'DESIRED_UNTRUSTED',
    () => JSON.stringify({ ...JSON.parse(hub.document(good)), key: undefined, signature: undefined }),
  ],
  [
    'that was altered',
    'DESIRED_UNTRUSTED',
    () => hub.document(good).replace(/"serial":\d+/, `"serial":${hub.serial + 50}`),
  ],
  ['of a stranger', 'DESIRED_UNTRUSTED', () => hub.document(good, {}, newKey('stranger'))],
  ['for another group', 'DESIRED_INVALID', () => hub.document(good, { group: 'elsewhere' })],
  ['for another task', 'DESIRED_INVALID', () => hub.document(good, { task: 'other' })],
  ['that is no JSON', 'DESIRED_INVALID', () => Buffer.from([0xff, 0x00, 0x7b])],
  ['that is an older one', 'DESIRED_REPLAYED', () => hub.document(good, { serial: 0 })],
];

test.skipIf(mosquittoMissing).each(words)('a word %s is refused', async (_what, code, word) => {
  await put(await word());
  await refused(code);
});

const bundles: readonly [string, string, Partial<Recipe>][] = [
  ['that is not signed', 'BUNDLE_UNSIGNED', { key: null }],
  ['signed by a stranger', 'BUNDLE_UNTRUSTED', { key: newKey('stranger') }],
  ['for another task', 'BUNDLE_MISMATCH', { manifest: { task: 'other' } }],
  ['that has expired', 'BUNDLE_EXPIRED', { manifest: { expires: 1_000 } }],
  ['whose weights are none', 'MODEL_CORRUPT', { weights: Buffer.from('no weights at all') }],
];

test.skipIf(mosquittoMissing).each(bundles)('a bundle %s is refused', async (_what, code, recipe) => {
  const bad = await make(recipe);
  await hub.lay(bad);
  await hub.say(bad);
  await refused(code);
  await expect(
    stat(path.join(gateway.state, 'models', 'machine', `${bad.ref.digest}.bundle.partial`)),
  ).rejects.toThrow();
});

test.skipIf(mosquittoMissing)(
  'a bundle that is too large is refused before a piece of it is asked for',
  async () => {
    const bad = await make();
    const size = 3 * 1024 * 1024;
    await hub.say(bad, { size, chunks: size / CHUNK });
    await refused('BUNDLE_TOO_LARGE');
  },
);

test.skipIf(mosquittoMissing)(
  'pieces that are foreign, doubled, cut, too long or damaged do no harm once the right ones are there',
  async () => {
    const made = await make({ ballast: 700_000 });
    expect(made.ref.chunks).toBe(3);
    for (const place of ['x', '-1', '1e1', '99', '3']) await piece(made, place, Buffer.alloc(1_000, 7));
    await piece(made, 0, Buffer.alloc(CHUNK + 1, 7));
    await piece(made, 1, bytesOf(made, 1).subarray(1));
    const damaged = Buffer.from(bytesOf(made, 2));
    damaged[1_000] ^= 1;
    await piece(made, 2, damaged);
    hub.announced.set(made.ref.digest, made);
    await hub.say(made);
    await hub.untilActual('north', ({ state }) => state === 'fetching');
    await piece(made, 0, bytesOf(made, 0));
    await piece(made, 0, bytesOf(made, 0));
    await piece(made, 1, bytesOf(made, 1));
    await refused('BUNDLE_ALTERED');
    expect(hub.last('north')!.digest).toBe(good.ref.digest);
    await piece(made, 2, bytesOf(made, 2));
    await runs(made); // tried again by itself
    good = made;
  },
);

test.skipIf(mosquittoMissing)(
  'a word whose pieces stay away gives way to a newer one, and the broker may go and come in between',
  async () => {
    const stuck = await make({ ballast: 300_000 });
    await piece(stuck, 0, bytesOf(stuck, 0));
    await hub.say(stuck);
    await hub.untilActual('north', ({ state }) => state === 'fetching');
    const next = await make({ ballast: 300_000 });
    await piece(next, 0, bytesOf(next, 0));
    await hub.say(next);
    await sleep(300);
    await broker.kill();
    await broker.start();
    await until(
      () => hub.board.health().ok,
      20_000,
      () => 'the board of the hub to be connected again',
    );
    await piece(next, 1, bytesOf(next, 1));
    await runs(next);
    good = next;
  },
);

test.skipIf(mosquittoMissing)(
  'a disk that does not take the bundle keeps the old model; it runs when the disk does',
  async () => {
    const made = await make();
    const inTheWay = path.join(gateway.state, 'models', 'machine', `${made.ref.digest}.bundle`);
    await mkdir(path.join(inTheWay, 'x'), { recursive: true });
    await hub.deploy(made);
    await refused('STORE_FAILED');
    expect(hub.last('north')!.digest).toBe(good.ref.digest);
    await rm(inTheWay, { recursive: true });
    await runs(made);
    good = made;
  },
);

/** A file system of 700 KiB at a folder; null where this machine does not let us. */
function smallDisk(folder: string): (() => void) | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=700k', 'none', folder], { stdio: 'ignore' });
    return () => execFileSync('umount', ['-l', folder]);
  } catch {
    return null;
  }
}

test.skipIf(mosquittoMissing)('a full disk keeps the old model, and its record whole', async (context) => {
  const full = await Operated.make(configOf('east'));
  const folder = path.join(full.state, 'models');
  await mkdir(folder, { recursive: true });
  const unmount = smallDisk(folder);
  if (!unmount) return context.skip('no file system can be mounted here');
  try {
    await full.start();
    await runs(good, 'east');
    const large = await make({ ballast: 900_000 });
    await hub.deploy(large);
    await hub.untilActual(
      'east',
      (a) => a.state === 'refused' && a.reason.includes('ENOSPC'),
      30_000,
      () => full.log,
    );
    await runs(large);
    expect(hub.last('east')!.digest).toBe(good.ref.digest);
    expect(await readdir(path.join(folder, 'machine'))).not.toContainEqual(
      expect.stringContaining('.partial'),
    );
    const before = good;
    good = large;
    await deployGood(await make());
    await runs(good, 'east');
    expect(good.ref.digest).not.toBe(before.ref.digest);
  } finally {
    if (full.running) await full.stop('SIGKILL');
    unmount();
    await full.remove();
  }
});

test.skipIf(mosquittoMissing)(
  'where the word is taken off the broker, what runs goes on, after a restart too',
  async () => {
    await put(null);
    await gateway.stop('SIGKILL');
    await gateway.start();
    expect(await judgedBy()).toBe(`${good.ref.digest}+0`);
  },
);

test.skipIf(mosquittoMissing)(
  'a bundle cut on disk is not run: the one before it does, until the broker has brought it again',
  async () => {
    const before = good;
    const made = await make();
    await deployGood(made);
    const file = path.join(gateway.state, 'models', 'machine', `${made.ref.digest}.bundle`);
    await gateway.stop('SIGKILL');
    await truncate(file, made.bytes.byteLength >> 1);
    const said = hub.actuals.get('north')!.length;
    await gateway.start();
    await runs(made);
    const first = hub.actuals.get('north')!.slice(said);
    expect(first[0].digest).toBe(before.ref.digest);
    expect((await readFile(file)).equals(Buffer.from(made.bytes))).toBe(true);
    expect(log()).toMatch(/BUNDLE_(ALTERED|MALFORMED)/);
  },
);

test.skipIf(mosquittoMissing)('a rollback to a bundle that is damaged on disk fetches it again', async () => {
  const before = good;
  await deployGood(await make());
  await truncate(path.join(gateway.state, 'models', 'machine', `${before.ref.digest}.bundle`), 100);
  await hub.say(before);
  await runs(before);
  good = before;
});

test.skipIf(mosquittoMissing)(
  'a damaged record counts as the one before it, two as none; the word of the hub puts all right',
  async () => {
    const folder = path.join(gateway.state, 'models', 'machine');
    const serial = hub.serial;
    for (const files of [['record.json'], ['record.json', 'record.before.json']]) {
      await gateway.stop('SIGKILL');
      for (const file of files) await writeFile(path.join(folder, file), '{"format":1,"serial":');
      await gateway.start();
      await runs(good);
      expect(JSON.parse(await readFile(path.join(folder, 'record.json'), 'utf8'))).toMatchObject({ serial });
    }
  },
);

test.skipIf(mosquittoMissing)(
  'two sites with different parts: a canary here, a shadow there, the group model elsewhere',
  async () => {
    const other = await Operated.make(configOf('south'));
    try {
      await other.start();
      await runs(good, 'south');
      const candidate = await make();
      hub.announced.set(candidate.ref.digest, candidate);
      await hub.lay(candidate);
      await hub.say(good, { candidate: { ...candidate.ref, mode: 'canary', sites: ['south'] } });
      await runs(candidate, 'south');
      expect(hub.last('south')!.companion).toBe(good.ref.digest);
      await runs(good);
      expect(hub.last('north')!.companion).toBeNull();
      await hub.say(good, { candidate: { ...candidate.ref, mode: 'shadow', sites: ['north'] } });
      await runs(good);
      expect(hub.last('north')!.companion).toBe(candidate.ref.digest);
      await runs(good, 'south');
      expect(hub.last('south')!.companion).toBeNull();
    } finally {
      await other.remove();
    }
    expect(GROUP).toBe('default');
  },
);
