import { spawn } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AuditLog } from '../../src/fleet/registry/audit.ts';
import { openRegistry, type Registry, visitRegistry } from '../../src/fleet/registry.ts';
import { digestOf, encodeBundle } from '../../src/model/bundle.ts';
import { newKey } from '../../src/model/signing.ts';
import { compiled } from '../compiled.ts';
import { full, random } from '../e2e/scale.ts';
import { manifestOf, NOW, weightsOf } from '../model/bundles.ts';
import { codeOf, codeOfAsync } from '../model/codes.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-registry-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(root, `r${folders++}`);

const key = newKey();
const bundleOf = (version: number, task = 'machine') =>
  encodeBundle(manifestOf({ version, task }), weightsOf(500, version), key);

async function withRegistry<T>(folder: string, work: (registry: Registry) => Promise<T>): Promise<T> {
  const registry = await openRegistry(folder);
  try {
    return await work(registry);
  } finally {
    await registry.close();
  }
}

describe('the registry', () => {
  it('keeps bundles by their content and their stages over a restart', async () => {
    const folder = newFolder();
    const [a, b] = [bundleOf(1), bundleOf(2)];
    await withRegistry(folder, async (registry) => {
      await registry.put(a, 'trained', NOW);
      await registry.put(b, 'trained', NOW + 1);
      expect((await registry.put(a, 'again', NOW + 2)).reason).toBe('trained');
      await registry.move(digestOf(a), 'canary', 'passed the gate', NOW + 3);
      await registry.move(digestOf(a), 'live', 'better', NOW + 4, 'ada');
    });
    const view = await visitRegistry(folder);
    expect(view.list().map(({ manifest, stage }) => [manifest.version, stage])).toEqual([
      [2, 'candidate'],
      [1, 'live'],
    ]);
    expect(view.live('machine')).toMatchObject({ digest: digestOf(a), since: NOW + 4, reason: 'better' });
    expect(view.history(digestOf(a)).map(({ stage, reason }) => `${stage}: ${reason}`)).toEqual([
      'candidate: trained',
      'canary: passed the gate',
    ]);
    expect(Buffer.from(await view.get(digestOf(b))).equals(b)).toBe(true);
    expect((await view.audited(9)).map(({ what, by }) => `${what} ${by}`)).toEqual([
      'live ada',
      'canary hub',
    ]);
  });

  it('has at most one live model a task: the one before retires and says why', async () => {
    await withRegistry(newFolder(), async (registry) => {
      const all = [bundleOf(1), bundleOf(2), bundleOf(1, 'spam')];
      for (const bytes of all) await registry.put(bytes, 'trained', NOW);
      // All at once: they are done one after the other.
      await Promise.all(all.map((bytes, n) => registry.move(digestOf(bytes), 'live', 'go', NOW + n)));
      expect(
        registry
          .list()
          .filter(({ stage }) => stage === 'live')
          .map(({ manifest }) => manifest.task),
      ).toEqual(['machine', 'spam']);
      expect(registry.live('machine')?.manifest.version).toBe(2);
      expect(registry.find(digestOf(all[0])).reason).toMatch(/^replaced by v2 /);
      expect(registry.live('other')).toBeNull();
    });
  });

  it('finds a model by six or more digits, and says when they are too few, unknown or ambiguous', async () => {
    await withRegistry(newFolder(), async (registry) => {
      const digest = digestOf(bundleOf(1));
      await registry.put(bundleOf(1), '', NOW);
      expect(registry.find(digest.slice(0, 6)).digest).toBe(digest);
      for (const prefix of [digest.slice(0, 5), 'ffffffffff', '', '../../etc', digest.toUpperCase()])
        expect(codeOf(() => registry.find(prefix))).toBe('MODEL_UNKNOWN');
      const { findPrefix } = await import('../../src/fleet/registry/catalogue.ts');
      const twin = { ...registry.find(digest), digest: `${digest.slice(0, 10)}${'0'.repeat(54)}` };
      expect(() => findPrefix([registry.find(digest), twin], digest.slice(0, 8))).toThrow(/ambiguous/);
    });
  });

  it('refuses what is no bundle, unknown models, and an object that was changed on disk', async () => {
    const folder = newFolder();
    await withRegistry(folder, async (registry) => {
      expect(await codeOfAsync(() => registry.put(Buffer.from('x'), '', NOW))).toBe('BUNDLE_MALFORMED');
      expect(await codeOfAsync(() => registry.move('0'.repeat(64), 'live', '', NOW))).toBe('MODEL_UNKNOWN');
      expect(await codeOfAsync(() => registry.get('../index.json'))).toBe('MODEL_UNKNOWN');
      expect(await codeOfAsync(() => registry.get('0'.repeat(64)))).toBe('MODEL_UNKNOWN');
      const bytes = bundleOf(1);
      await registry.put(bytes, '', NOW);
      const changed = Buffer.from(bytes);
      changed[300] ^= 1;
      writeFileSync(join(folder, 'objects', digestOf(bytes)), changed);
      expect(await codeOfAsync(() => registry.get(digestOf(bytes)))).toBe('REGISTRY_CORRUPT');
      // A refusal in between holds up nobody, and laying it in again mends it.
      await registry.put(bytes, '', NOW);
      expect(Buffer.from(await registry.get(digestOf(bytes))).equals(bytes)).toBe(true);
    });
    for (const path of [join(root, 'none'), root])
      expect(await codeOfAsync(() => visitRegistry(path))).toBe('INPUT_NOT_FOUND');
  });

  it('belongs to one hub at a time, and a command may stand beside it', async () => {
    const folder = newFolder();
    await withRegistry(folder, async (registry) => {
      expect(await codeOfAsync(() => openRegistry(folder))).toBe('REGISTRY_LOCKED');
      const beside = await visitRegistry(folder);
      const { digest } = await beside.deposit(bundleOf(5));
      await beside.order({ task: 'machine', what: 'promote', digest, by: 'ada', at: NOW });
      const [order] = await registry.orders();
      expect((await registry.adopt(order.digest, 'ordered by ada', NOW)).stage).toBe('candidate');
      await registry.done(order.id);
      await registry.done(order.id);
      expect(await beside.orders()).toEqual([]);
      // A version that came from outside is not given again.
      expect(await registry.nextVersion('machine')).toBe(6);
    });
    expect(await codeOfAsync(() => withRegistry(folder, async (registry) => registry.list()))).toBeNull();
  });

  it('takes orders in their order, before and after its start, and sets aside what is none', async () => {
    const folder = newFolder();
    await withRegistry(folder, async () => undefined);
    const beside = await visitRegistry(folder);
    for (const at of [NOW + 2, NOW, NOW + 1])
      await beside.order({ task: 'machine', what: 'pause', digest: '', by: 'ada', at });
    const orders = join(folder, 'orders');
    writeFileSync(join(orders, 'rubbish.json'), '{');
    writeFileSync(join(orders, `${'0'.repeat(15)}-${'a'.repeat(12)}.json`), '{"what":"format the disk"}');
    writeFileSync(join(orders, `${'0'.repeat(15)}-${'b'.repeat(12)}.json`), Buffer.alloc(100_000, 0x20));
    expect((await beside.orders()).map(({ at }) => at - NOW)).toEqual([0, 1, 2]);
    await withRegistry(folder, async (registry) => {
      expect((await registry.orders()).map(({ at }) => at - NOW)).toEqual([0, 1, 2]);
      expect(readdirSync(join(orders, 'refused'))).toHaveLength(3);
      await registry.done('../../index');
    });
    expect((await beside.orders()).length).toBe(3);
  });

  it('keeps the newest of what nobody needs, and never lets go of what is live, canary or candidate', async () => {
    await withRegistry(newFolder(), async (registry) => {
      for (let version = 1; version <= 8; version++) {
        await registry.put(bundleOf(version), '', NOW);
        await registry.move(
          digestOf(bundleOf(version)),
          version === 2 ? 'canary' : 'live',
          '',
          NOW + version,
        );
      }
      await registry.put(bundleOf(9), '', NOW);
      const gone = await registry.prune('machine', 3);
      expect(gone).toHaveLength(3);
      expect(registry.list().map(({ manifest }) => manifest.version)).toEqual([9, 8, 7, 6, 5, 2]);
      expect(await codeOfAsync(() => registry.get(gone[0]))).toBe('MODEL_UNKNOWN');
    });
  });

  it('turns its audit log over before it grows without bound', async () => {
    const folder = newFolder();
    await withRegistry(folder, async () => undefined);
    const log = new AuditLog(folder, 4_000);
    for (let n = 0; n < 200; n++)
      await log.append({
        at: n,
        task: 'machine',
        what: 'live',
        digest: '',
        reason: 'x'.repeat(100),
        by: 'hub',
      });
    const files = readdirSync(folder).filter((name) => name.startsWith('audit'));
    expect(files.length).toBe(5);
    for (const file of files) expect(readFileSync(join(folder, file)).length).toBeLessThan(5_000);
    const newest = await log.read(30);
    expect(newest.map(({ at }) => at)).toEqual(Array.from({ length: 30 }, (_, i) => 199 - i));
  });
});

describe('serials', () => {
  it('rise by group and task, over restarts, and follow one that was seen on the broker', async () => {
    const folder = newFolder();
    await withRegistry(folder, async (registry) => {
      expect(registry.serial('default', 'machine')).toBe(0);
      const both = await Promise.all([
        registry.nextSerial('default', 'machine'),
        registry.nextSerial('default', 'machine'),
      ]);
      expect(both).toEqual([1, 2]);
      expect(await registry.nextSerial('east', 'machine')).toBe(1);
    });
    await withRegistry(folder, async (registry) => {
      expect(await registry.nextSerial('default', 'machine')).toBe(3);
      await registry.sawSerial('default', 'machine', 90);
      await registry.sawSerial('default', 'machine', 10);
      expect(await registry.nextSerial('default', 'machine')).toBe(91);
    });
  });

  it('leap ahead when the newest copy of them is damaged, and stop the hub when both are', async () => {
    const folder = newFolder();
    const given = await withRegistry(folder, async (registry) => {
      for (let n = 0; n < 20; n++) await registry.nextSerial('default', 'machine');
      return registry.serial('default', 'machine');
    });
    const file = join(folder, 'serials.json');
    const whole = readFileSync(file);
    for (const length of [0, 1, 40, whole.length - 3]) {
      writeFileSync(file, whole.subarray(0, length));
      await withRegistry(folder, async (registry) => {
        expect(registry.recovered).toEqual(['serials']);
        expect(await registry.nextSerial('default', 'machine')).toBeGreaterThan(given);
      });
    }
    writeFileSync(file, '');
    writeFileSync(join(folder, 'serials.previous.json'), '{"serial":1}');
    expect(await codeOfAsync(() => openRegistry(folder))).toBe('REGISTRY_CORRUPT');
  });
});

describe('a write that was cut', () => {
  it('at any byte of the index leaves the state before it readable', async () => {
    const folder = newFolder();
    await withRegistry(folder, async (registry) => {
      for (const version of [1, 2]) await registry.put(bundleOf(version), '', NOW);
      await registry.move(digestOf(bundleOf(1)), 'live', '', NOW);
    });
    const file = join(folder, 'index.json');
    const whole = readFileSync(file);
    for (let length = 0; length < whole.length - 1; length += 97) {
      writeFileSync(file, whole.subarray(0, length));
      const view = await visitRegistry(folder);
      expect(view.list().map(({ stage }) => stage)).toEqual(['candidate', 'candidate']);
    }
    const flipped = Buffer.from(whole);
    flipped[whole.indexOf('"live"') + 2] ^= 2;
    writeFileSync(file, flipped);
    expect((await visitRegistry(folder)).live('machine')).toBeNull();
    await withRegistry(folder, async (registry) => {
      expect(registry.recovered).toEqual(['index']);
      await registry.move(digestOf(bundleOf(2)), 'live', '', NOW);
    });
    expect((await visitRegistry(folder)).live('machine')?.manifest.version).toBe(2);
  });

  it('leaves partial files that nobody reads and the next hub sweeps away', async () => {
    const folder = newFolder();
    await withRegistry(folder, async () => undefined);
    const [old, fresh] = ['objects/abc.1-00.partial', 'orders/abc.2-00.partial'].map((name) =>
      join(folder, name),
    );
    for (const path of [old, fresh]) writeFileSync(path, 'half');
    const twoHoursAgo = Date.now() / 1_000 - 7_200;
    utimesSync(old, twoHoursAgo, twoHoursAgo);
    await withRegistry(folder, async (registry) => {
      expect(registry.list()).toEqual([]);
      expect(await registry.orders()).toEqual([]);
    });
    expect(readdirSync(join(folder, 'objects'))).toEqual([]);
    expect(readdirSync(join(folder, 'orders'))).toEqual(['abc.2-00.partial']);
  });

  it('in the audit log costs that line and no other', async () => {
    const folder = newFolder();
    await withRegistry(folder, (registry) =>
      registry.audit({ at: 1, task: '', what: 'start', digest: '', reason: '', by: 'hub' }),
    );
    appendFileSync(join(folder, 'audit.jsonl'), '{"at":2,"task":"mach');
    await withRegistry(folder, (registry) =>
      registry.audit({ at: 3, task: '', what: 'start', digest: '', reason: '', by: 'hub' }),
    );
    expect((await (await visitRegistry(folder)).audited(10)).map(({ at }) => at)).toEqual([3, 1]);
  });
});

/** What the killed hub had said. */
interface Said {
  readonly serials: readonly number[];
  readonly versions: readonly number[];
  readonly put: readonly string[];
  readonly live: string | undefined;
  readonly orders: readonly string[];
  readonly gone: ReadonlySet<string>;
}

function readSaid(text: string): Said {
  // A last line without its end was not said.
  const lines = text
    .slice(0, text.lastIndexOf('\n'))
    .split('\n')
    .map((line) => line.split(' '));
  const all = (what: string) => lines.filter(([word]) => word === what).map(([, value]) => value);
  return {
    serials: all('serial').map(Number),
    versions: all('version').map(Number),
    put: all('put'),
    live: all('live').at(-1),
    orders: all('order'),
    gone: new Set(all('gone')),
  };
}

/** Runs a hub, kills it `ms` after it has said so many lines (however slow the machine), gives what it had said. */
function runAndKill(script: string, folder: string, seed: number, lines: number, ms: number): Promise<Said> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [script, folder, String(seed)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    let aimed = false;
    child.stdout.on('data', (data) => {
      text += data;
      if (aimed || text.split('\n').length <= lines) return;
      aimed = true;
      setTimeout(() => child.kill('SIGKILL'), ms);
    });
    child.on('close', (code) => {
      if (code === null) done(readSaid(text));
      else failed(new Error(`the hub ended by itself with ${code}`));
    });
  });
}

async function killAgainAndAgain(script: string, kills: number, seed: number): Promise<number> {
  const folder = newFolder();
  const next = random(seed);
  let [serial, version, said] = [0, 0, 0];
  for (let n = 0; n < kills; n++) {
    const before = await runAndKill(script, folder, seed + n, 1 + Math.floor(next() * 12), next() * 10);
    said += before.serials.length;
    for (const given of before.serials) {
      expect(given).toBeGreaterThan(serial);
      serial = given;
    }
    const view = await visitRegistry(folder);
    const models = view.list();
    expect(models.filter(({ stage }) => stage === 'live').length).toBeLessThanOrEqual(1);
    for (const { digest } of models) await view.get(digest);
    if (before.live) expect(view.live('machine')).not.toBeNull();
    const kept = new Set(models.map(({ digest }) => digest));
    // What was being pruned when the kill came may be gone without having been said so: three are always kept.
    for (const digest of before.put.slice(-3)) expect(kept.has(digest)).toBe(true);
    for (const digest of before.gone) expect(kept.has(digest)).toBe(false);
    const waiting = new Set((await view.orders()).map(({ id }) => id));
    for (const id of before.orders) expect(waiting.has(id)).toBe(true);
    await withRegistry(folder, async (registry) => {
      expect(registry.recovered).toEqual([]);
      version = Math.max(version, ...before.versions);
      const [nextSerial, nextVersion] = [
        await registry.nextSerial('default', 'machine'),
        await registry.nextVersion('machine'),
      ];
      expect(nextSerial).toBeGreaterThan(serial);
      expect(nextVersion).toBeGreaterThan(version);
      [serial, version] = [nextSerial, nextVersion];
      for (const { id } of await registry.orders()) await registry.done(id);
    });
  }
  return said;
}

it('a hub killed at random points leaves every model whole, one live, and no serial given twice', async () => {
  const script = await compiled('test/fleet/registry-child.ts');
  const kills = full ? 150 : 15;
  const said = await Promise.all([
    killAgainAndAgain(script, kills, 100),
    killAgainAndAgain(script, kills, 900),
  ]);
  // The kills fell into the work, not before it.
  expect(said[0] + said[1]).toBeGreaterThan(kills);
}, 560_000);
