/** What a gateway runs is a verified base and its own later labels; nothing else ever runs, whatever comes. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Actual, Board, BundleManifest, Desired } from '../../src/contract.ts';
import { bundleBase } from '../../src/fleet/base.ts';
import { newDeltaTest } from '../../src/fleet/delta.ts';
import { Installed } from '../../src/fleet/installed.ts';
import { Installer } from '../../src/fleet/installer.ts';
import { Learner } from '../../src/fleet/learner.ts';
import { dropMemoryChannel, memory } from '../../src/io/memory.ts';
import { encodeBundle, verifyBundle } from '../../src/model/bundle.ts';
import { bundleRef, chunksOf, decodeActual, encodeDesired } from '../../src/model/desired.ts';
import { newKey } from '../../src/model/signing.ts';
import { bitsOf, engine, eventOf, makeRig, type Rig, task } from './kit.ts';

const key = newKey('hub');
const trusted = [key.public];
const io = {
  site: 'here',
  clock: systemClock,
  maxInFlight: 1_000,
  maxInFlightBytes: 1e9,
} as unknown as Parameters<typeof memory.sink.openBoard>[2];
const NAME = `${task.name}`;
const { name, labels, features, event, positive, shape } = task;

/** A bundle that has learned events [from, to), and knows the site's journal up to `through`. */
async function bundleOf(
  from: number,
  to: number,
  change: Partial<BundleManifest> & { through?: Record<string, number>; flip?: boolean } = {},
) {
  const { through = {}, flip = false, ...manifest } = change;
  const some = Array.from({ length: to - from }, (_, i) => eventOf(from + i)).map((one) =>
    flip ? { ...one, label: one.label === 'ok' ? 'fault' : 'ok' } : one,
  );
  const weights = await bitsOf(some);
  return encodeBundle(
    {
      ...{
        format: 1,
        task: name,
        version: 1,
        labels: [...labels],
        positive: labels[positive],
        kind: 'linear',
      },
      ...{ options: {}, shape, features, featureOptions: {}, event, quality: null, parent: null },
      training: {
        rows: to - from,
        digest: 'a'.repeat(64),
        through,
        until: 0,
        counts: [to - from, to - from],
        seed: 1,
        passes: 1,
      },
      created: Date.now(),
      expires: Date.now() + 86_400_000,
      ...manifest,
    },
    weights,
    key,
  );
}

let rig: Rig;
let board: Board;
let serial = 0;
let channel = '';
const closing: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  rig = await makeRig();
  channel = `installing-${randomBytes(4).toString('hex')}`;
  board = memory.sink.openBoard('b', { channel }, io);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await board.close();
  dropMemoryChannel(channel);
  await rig.close();
});

function open(learner = rig.learner) {
  const { store, telemetry, folder } = rig;
  const context = { folder, task, trusted, maxBytes: 50_000_000, telemetry };
  const installed = new Installed(context);
  const installer = new Installer({
    ...{ site: 'here', group: 'all', task, board, learner, installed, store, trusted, telemetry },
    ...{ maxBytes: 50_000_000, clock: systemClock },
  });
  closing.push(() => installer.stop());
  return { installed, installer };
}

async function publish(bytes: Uint8Array | null, more: Partial<Desired> = {}, signer = key): Promise<void> {
  const ref = bytes && bundleRef(bytes, 1);
  for (const [n, piece] of (bytes ? chunksOf(bytes) : []).entries())
    await board.put(`all/models/${NAME}/blob/${ref!.digest}/${n}`, piece);
  serial += 1;
  const desired: Desired = {
    ...{ group: 'all', task: name, serial, candidate: null, compare: null, at: Date.now() },
    ...(ref ?? { digest: null, version: null, size: null, chunks: null }),
    ...more,
  };
  await board.put(`all/models/${NAME}/desired`, encodeDesired(desired, signer));
}

const actualNow = async (wanted: (actual: Actual) => boolean): Promise<Actual> => {
  let last: Actual | null = null;
  const { stop } = board.watch(`here/models/${NAME}/actual`, (_name, payload) => {
    last = decodeActual(payload);
  });
  for (let i = 0; i < 400 && !(last && wanted(last)); i++) await new Promise((done) => setTimeout(done, 5));
  await stop();
  expect(last && wanted(last), JSON.stringify(last)).toBe(true);
  return last!;
};

async function learn(from: number, to: number, flip = false): Promise<void> {
  const some = Array.from({ length: to - from }, (_, i) => eventOf(from + i));
  await rig.join(some.map((one) => one.event));
  const other = (label: string) => (label === 'ok' ? 'fault' : 'ok');
  await rig.give(some.map((one) => [one.event.id, flip ? other(one.label) : one.label] as const));
  await rig.learner.settled();
}

test('a signed model is fetched, checked, run with the local labels it does not know on top, and told by its digest', async () => {
  await learn(0, 40);
  open();
  const bytes = await bundleOf(0, 30, { through: { here: 30 } });
  await publish(bytes);
  const actual = await actualNow((a) => a.digest !== null);
  expect(actual).toMatchObject({ digest: bundleRef(bytes, 1).digest, labels: 10, state: 'running', serial });
  // Base of the first 30, the other 10 learned on it: the same bits as all 40 in their order.
  const all = Array.from({ length: 40 }, (_, n) => eventOf(n));
  expect(Buffer.from(await rig.learner.save()).equals(await bitsOf(all))).toBe(true);
  expect(rig.learner.name).toBe(`${actual.digest}+10`);
});

test('what runs after a restart is what ran before it, verified again', async () => {
  await learn(0, 40);
  const { installer } = open();
  await publish(await bundleOf(100, 160, { through: { here: 20 } }));
  const { digest } = await actualNow((a) => a.digest !== null);
  await learn(40, 60);
  const before = Buffer.from(await rig.learner.save());
  await installer.stop();
  const installed = new Installed({
    folder: rig.folder,
    task,
    trusted,
    maxBytes: 5e7,
    telemetry: rig.telemetry,
  });
  const base = (await installed.base())!;
  expect(base.digest).toBe(digest);
  const again = await Learner.open({
    ...{ task, engine, store: rig.store, clock: systemClock, telemetry: rig.telemetry, base },
    ...{ learning: 'online', minLabels: 20, minPerLabel: 5 },
  });
  expect(Buffer.from(await again.save()).equals(before)).toBe(true);
  expect(again.labels).toBe(40);
  await again.close();
});

test('a bundle file that was changed on disk is not loaded; the one before it runs, and the hub is followed anew', async () => {
  const { installer, installed } = open();
  await publish(await bundleOf(0, 30));
  const first = await actualNow((a) => a.digest !== null);
  await publish(await bundleOf(0, 60));
  const second = await actualNow((a) => a.digest !== null && a.digest !== first.digest);
  await installer.stop();
  const file = path.join(rig.folder, 'models', NAME, `${second.digest}.bundle`);
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(file, bytes);
  const after = new Installed({ folder: rig.folder, task, trusted, maxBytes: 5e7, telemetry: rig.telemetry });
  expect((await after.base())?.digest).toBe(first.digest);
  expect(after.record.serial).toBeLessThan(installed.record.serial);
});

test.each([
  ['of nobody we trust', { signer: newKey('stranger') }, {}, 'DESIRED_UNTRUSTED'],
  ['for another task', {}, { task: 'other' }, 'BUNDLE_MISMATCH'],
  ['with other features', {}, { features: 'sensor-9/x/y' }, 'BUNDLE_MISMATCH'],
  ['expired', {}, { expires: Date.now() - 1_000 }, 'BUNDLE_EXPIRED'],
])(
  'a model %s is refused with the reason, and the running one stays',
  async (_what, { signer }: { signer?: typeof key }, manifest, code) => {
    await learn(0, 40);
    open();
    const before = Buffer.from(await rig.learner.save());
    await publish(await bundleOf(0, 30, manifest as Partial<BundleManifest>), {}, signer);
    const actual = await actualNow((a) => a.state === 'refused');
    expect(actual.reason).toContain(code);
    expect(actual.digest).toBeNull();
    expect(Buffer.from(await rig.learner.save()).equals(before)).toBe(true);
  },
);

test('a serial that was followed is not followed again with another content, and an older one never', async () => {
  open();
  await publish(await bundleOf(0, 30));
  const first = await actualNow((a) => a.digest !== null);
  await publish(await bundleOf(0, 60));
  await actualNow((a) => a.digest !== first.digest && a.digest !== null);
  serial -= 2;
  await publish(await bundleOf(0, 30));
  const actual = await actualNow((a) => a.state === 'refused');
  expect(actual.reason).toContain('DESIRED_REPLAYED');
  expect(actual.digest).not.toBe(first.digest);
  serial += 1;
});

test('with a clock before the signature expiry is not judged, and a signal says so', async () => {
  const { store, telemetry, learner, folder } = rig;
  const installed = new Installed({ folder, task, trusted, maxBytes: 5e7, telemetry });
  const past = { now: () => 1_000, sleep: systemClock.sleep };
  const installer = new Installer({
    ...{ site: 'here', group: 'all', task, board, learner, installed, store, trusted, telemetry },
    ...{ maxBytes: 5e7, clock: past },
  });
  closing.push(() => installer.stop());
  await publish(await bundleOf(0, 30));
  await actualNow((a) => a.digest !== null);
  expect(await telemetry.value('clock_implausible')).toBe(1);
});

test('a rollback is a new serial that names the older digest; it runs from disk, without the broker', async () => {
  open();
  const old = await bundleOf(0, 30);
  await publish(old);
  const first = await actualNow((a) => a.digest !== null);
  await publish(await bundleOf(0, 60));
  await actualNow((a) => a.digest !== first.digest && a.digest !== null);
  const { chunks } = bundleRef(old, 1);
  for (let n = 0; n < chunks; n++) await board.put(`all/models/${NAME}/blob/${first.digest}/${n}`, null);
  serial += 1;
  const desired: Desired = {
    ...{ group: 'all', task: name, serial, candidate: null, compare: null, at: Date.now() },
    ...bundleRef(old, 1),
  };
  await board.put(`all/models/${NAME}/desired`, encodeDesired(desired, key));
  expect(await actualNow((a) => a.digest === first.digest && a.serial === serial)).toBeTruthy();
});

test('a canary runs the candidate where it is named and compares it with the old model on every label', async () => {
  open();
  await publish(await bundleOf(0, 30));
  const first = await actualNow((a) => a.digest !== null);
  const better = await bundleOf(0, 200);
  const ref = bundleRef(better, 2);
  const old = bundleRef(await bundleOf(0, 30), 1);
  void old;
  for (const [n, piece] of chunksOf(better).entries())
    await board.put(`all/models/${NAME}/blob/${ref.digest}/${n}`, piece);
  await publish(null, {
    ...{ digest: first.digest, version: 1, size: 1, chunks: 1 },
    candidate: { ...ref, mode: 'canary', sites: ['here'] },
  });
  const actual = await actualNow((a) => a.digest === ref.digest && a.companion !== null);
  expect(actual.companion).toBe(first.digest);
  await learn(300, 340);
  const paired = rig.learner.paired(340 - 300)!;
  expect(paired).toMatchObject({ live: ref.digest, other: first.digest });
  expect(rig.learner.pairedThrough).toBe(40);
  let [live, other] = [0, 0];
  for (let seq = 1; seq <= 40; seq++) {
    live += rig.learner.paired(seq)!.liveLoss;
    other += rig.learner.paired(seq)!.otherLoss;
  }
  expect(live, 'the candidate knows more').toBeLessThan(other);
});

test('a site that is not named in a canary keeps the model of the group', async () => {
  open();
  const bytes = await bundleOf(0, 30);
  await publish(bytes, { candidate: { ...bundleRef(bytes, 2), mode: 'canary', sites: ['elsewhere'] } });
  const actual = await actualNow((a) => a.digest !== null);
  expect(actual.companion).toBeNull();
});

test('a delta that wrong labels made worse than its base is dropped; the base runs on', async () => {
  await rig.labels.stop();
  await rig.learner.close();
  const bytes = await bundleOf(0, 400);
  const { name: taskName, labels: l, features: f, event: e } = task;
  const bundle = verifyBundle(bytes, {
    ...{ trusted, now: null, task: taskName, labels: l, features: f, event: e, maxBytes: 5e7 },
  });
  const dropped: number[] = [];
  const learner = await Learner.open({
    ...{ task, engine, store: rig.store, clock: systemClock, telemetry: rig.telemetry },
    ...{
      learning: 'online',
      minLabels: 20,
      minPerLabel: 5,
      base: bundleBase(bundle, 0),
      deltaTest: newDeltaTest,
    },
    onDropped: async ({ since }) => void dropped.push(since),
  });
  rig.learner = learner;
  const { Labels } = await import('../../src/fleet/labels.ts');
  const bury = async () => undefined;
  rig.labels = new Labels({
    task,
    store: rig.store,
    learner,
    bury,
    clock: systemClock,
    telemetry: rig.telemetry,
  });
  await learn(400, 600);
  expect(dropped, 'honest labels').toEqual([]);
  // A burst of wrong labels, then honest ones again: the delta remembers the burst, the base does not.
  await learn(600, 1_800, true);
  for (let from = 1_800; from < 4_000 && dropped.length === 0; from += 200) await learn(from, from + 200);
  expect(dropped.length).toBe(1);
  expect(learner.labels, 'begins again').toBeLessThan(3_000);
  expect(learner.base.since).toBe(dropped[0]);
});
