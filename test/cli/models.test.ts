import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskSpec } from '../../src/app/spec.ts';
import { loadConfig } from '../../src/config.ts';
import type { BundleManifest } from '../../src/contract.ts';
import { openRegistry, type Registry } from '../../src/fleet/registry.ts';
import { digestOf, encodeBundle } from '../../src/model/bundle.ts';
import { openEngine } from '../../src/model/engine.ts';
import { formatPublicKey, newKey, writePrivateKey } from '../../src/model/signing.ts';
import { openTask } from '../../src/task/task.ts';
import { DAY, manifestOf } from '../model/bundles.ts';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const registry = join(folder.path, 'registry');
const keyFile = join(folder.path, 'hub.key');
const key = newKey('hub north');
const now = Date.now();
const digests: string[] = [];
let trustFile: string;
let file: string;

/** A model that learned `rows` readings, of which those above 3 are faults. */
async function weightsAfter(rows: number): Promise<Uint8Array> {
  const model = openEngine({ backend: 'cpu' }).create(
    'linear',
    { dims: 8, denseDims: 4, classes: 2 },
    manifestOf().options,
    7,
  );
  const dense = Float32Array.from({ length: rows * 4 }, (_, i) => (i * 7) % 11);
  await model.learn(
    {
      count: rows,
      indptr: Uint32Array.from({ length: rows + 1 }, (_, i) => i),
      indices: Uint32Array.from({ length: rows }, (_, i) => i % 5),
      values: new Float32Array(rows).fill(1),
      denseDims: 4,
      dense,
    },
    Int32Array.from({ length: rows }, (_, i) => (dense[i * 4] > 3 ? 1 : 0)),
  );
  const bytes = await model.save();
  model.close();
  return bytes;
}

const manifestAt = (version: number, change: Partial<BundleManifest> = {}): BundleManifest =>
  manifestOf({
    version,
    shape: { dims: 8, denseDims: 4, classes: 2 },
    created: now - DAY,
    expires: now + 30 * DAY,
    ...change,
  });

async function fill(registry: Registry): Promise<void> {
  const training = manifestOf().training;
  const bundles = [
    encodeBundle(manifestAt(1, { quality: null }), await weightsAfter(40), key),
    encodeBundle(manifestAt(2), await weightsAfter(100), key),
    encodeBundle(
      manifestAt(3, {
        parent: digests[1] ?? null,
        options: { rate: 0.2, l2: 0, eps: 1e-6, normalise: 1 },
        training: {
          ...training,
          rows: 2_108,
          digest: 'c'.repeat(64),
          counts: [1_900, 208],
          until: now - 3_600_000,
        },
        quality: { tested: 600, accuracy: 0.983, logLoss: 0.0514, interval: [0.0431, 0.0597] },
      }),
      await weightsAfter(300),
      key,
    ),
    encodeBundle(manifestAt(3, { task: 'press' }), await weightsAfter(10), null),
  ];
  for (const bytes of bundles)
    digests.push((await registry.put(bytes, 'trained on 1,204 rows', now - DAY)).digest);
  await registry.move(digests[0], 'live', 'first model', now - DAY);
  await registry.move(digests[1], 'live', 'better than v1: log-loss lower by 0.02', now - 7_200_000, 'ada');
  await registry.move(digests[2], 'canary', 'passed the gate', now - 300_000);
  file = join(folder.path, 'machine.bundle');
  writeFileSync(file, bundles[2]);
}

beforeAll(async () => {
  writePrivateKey(keyFile, key);
  trustFile = folder.file('trusted', `${formatPublicKey(key.public)}\n`);
  const opened = await openRegistry(registry);
  await fill(opened);
  await opened.close();
});

const models = (...argv: string[]) => sluice(['models', ...argv], { env: { USER: 'ada' } });
const here = () => ['--registry', registry];

describe('models list', () => {
  it('shows every model in a table: newest first, with stage, quality with its interval, size, age and why', async () => {
    const { code, out } = await models('list', ...here());
    expect(code).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^TASK +MODEL +STAGE +DIGEST +ACCURACY +LOG-LOSS \(95 %\) +TESTED +SIZE +AGE +WHY$/,
    );
    expect(lines[1]).toMatch(
      /^machine +v3 +canary +[0-9a-f]{12} +98\.3 % +0\.0514 \(0\.0431–0\.0597\) +600 +1\.\d KiB +5 m +passed the gate$/,
    );
    expect(lines[2]).toMatch(/^machine +v2 +live .* 2 h +better than v1: log-loss lower by 0\.02$/);
    expect(lines[3]).toMatch(/^machine +v1 +retired .* - +- +- .* replaced by v2 [0-9a-f]{12}$/);
    expect(lines[4]).toMatch(/^press +v3 +candidate /);
    expect(new Set(lines.map((line) => line.search(/WHY|passed|better|replaced|trained/))).size).toBe(1);
  });

  it('gives the same as JSON, and one task alone', async () => {
    const { models: all, waiting } = JSON.parse((await models('list', ...here(), '--json')).out);
    expect(all.map(({ digest }: { digest: string }) => digest)).toEqual([
      digests[2],
      digests[1],
      digests[0],
      digests[3],
    ]);
    expect(Array.isArray(waiting)).toBe(true);
    expect((await models('list', ...here(), '--task', 'press')).out.split('\n')[1]).toMatch(/^press/);
  });

  it('says so where there is nothing, and refuses a folder that is none', async () => {
    const empty = join(folder.path, 'empty');
    await (await openRegistry(empty)).close();
    expect(await models('list', '--registry', empty)).toMatchObject({
      code: 0,
      out: '',
      err: 'no models yet\n',
    });
    expect(await models('list', '--registry', join(folder.path, 'nowhere'))).toMatchObject({ code: 1 });
    expect(await models('list')).toMatchObject({ code: 2 });
  });
});

describe('models show', () => {
  it('tells all that a manifest says, who signed it, and how it came to its stage', async () => {
    const { out } = await models('show', 'v2', '--task', 'machine', ...here(), '--trust', trustFile);
    for (const text of [
      /^machine v2, live since .* \(2 h ago\): better than v1/,
      /^digest {5}[0-9a-f]{64}$/m,
      /^signed by {2}hub north \(ed25519:/m,
      /labels ok, fault \(positive: fault\)/,
      /linear: eps 0\.000001, l2 0, normalise 1, rate 0\.4/,
      /1,204 rows \(ok 1,100, fault 104\), 2 passes, seed 7/,
      /accuracy 97\.1 %, log-loss 0\.081 \(0\.069–0\.093\), on 400 unseen rows/,
      /expires .* \(in 29 d\)/,
      /^before {5}candidate .*: trained on 1,204 rows$/m,
    ])
      expect(out).toMatch(text);
  });

  it('shows a file without any registry, and a model without a test', async () => {
    expect((await models('show', file)).out).toMatch(/^machine v3, in a file\n/);
    expect((await models('show', 'v1', ...here())).out).toContain('never tested on unseen rows');
    const { manifest, signer, weights } = JSON.parse((await models('show', file, '--json')).out);
    expect([manifest.version, typeof signer, weights]).toEqual([3, 'string', undefined]);
  });

  it('takes digits of a digest and v3, and says when these are unknown, too few or ambiguous', async () => {
    expect((await models('show', digests[0].slice(0, 6), ...here())).out).toMatch(/^machine v1/);
    expect((await models('show', 'v3', ...here(), '--task', 'press')).out).toMatch(/^press v3/);
    expect((await models('show', 'v3', ...here())).err).toMatch(
      /MODEL_UNKNOWN: v3 is ambiguous: machine .*, press /,
    );
    expect((await models('show', 'v9', ...here())).err).toMatch(/MODEL_UNKNOWN: the registry holds no v9/);
    expect((await models('show', digests[0].slice(0, 4), ...here())).err).toMatch(/MODEL_UNKNOWN/);
    expect((await models('show', join(folder.path, 'none.bundle'))).err).toMatch(/INPUT_NOT_FOUND/);
  });
});

describe('models diff', () => {
  it('says what changed, weights included, and nothing that did not', async () => {
    const { out } = await models('diff', 'v2', file, '--task', 'machine', ...here());
    expect(out).toMatch(/^machine v2 [0-9a-f]{12} → machine v3 [0-9a-f]{12}$/m);
    expect(out).toMatch(/^options +rate 0\.4 → 0\.2$/m);
    expect(out).toMatch(/1,204 → 2,108 rows \(\+904\)/);
    expect(out).toMatch(/accuracy 97\.1 % → 98\.3 % \(\+1\.2 points\)/);
    expect(out).toMatch(/^weights +moved by \d+\.\d % of their length; of 12 features \d+ act differently/m);
    expect(out).not.toMatch(/labels ok|seed|passes|expires/);
  });

  it('knows a model from itself, and renewed from retrained', async () => {
    expect((await models('diff', file, file)).out).toMatch(/they are the same bundle/);
    const renewed = join(folder.path, 'renewed.bundle');
    await models('sign', file, '--key', keyFile, '--expires', '90d', '--out', renewed);
    const { out } = await models('diff', file, renewed);
    expect(out).toMatch(/^weights +the same$/m);
    expect(out).toMatch(/^expires /m);
    const json = JSON.parse((await models('diff', file, renewed, '--json')).out);
    expect(Object.keys(json.changed)).toEqual(['expires']);
  });

  it('compares everything else where the weights cannot be', async () => {
    const broken = join(folder.path, 'broken.bundle');
    writeFileSync(broken, encodeBundle(manifestAt(4), new Uint8Array(100), null));
    expect(await models('diff', file, broken)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/not compared: MODEL_/),
    });
    const wider = encodeBundle(manifestAt(5, { features: 'sensor/2' }), await weightsAfter(5), null);
    writeFileSync(broken, wider);
    expect((await models('diff', file, broken)).out).toMatch(/not compared: they read different features/);
  });
});

describe('models sign and verify', () => {
  it('make a bundle that a gateway trusts, in place or in another file', async () => {
    const unsigned = join(folder.path, 'unsigned.bundle');
    writeFileSync(unsigned, encodeBundle(manifestAt(7), await weightsAfter(20), null));
    expect((await models('verify', unsigned, '--trust', trustFile)).err).toMatch(
      /^sluice: BUNDLE_UNSIGNED: /,
    );
    const signed = await models('sign', unsigned, '--key', keyFile);
    expect(signed).toMatchObject({ code: 0, err: '' });
    expect(signed.out).toMatch(/signed machine v7, now [0-9a-f]{12}\nby ed25519:/);
    expect(await models('verify', unsigned, '--trust', trustFile)).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /ok: machine v7 .*\nsigned by hub north \(ed25519:.*\), expires .* \(in 29 d\)\n$/,
      ),
    });
  });

  it('refuse, exit 1 and say why: a stranger, a changed byte, an expired one', async () => {
    const refusal = async (bytes: Uint8Array) => {
      const path = join(folder.path, 'refused.bundle');
      writeFileSync(path, bytes);
      const { code, err } = await models('verify', path, '--trust', trustFile);
      return `${code} ${/^sluice: (\w+): /.exec(err)?.[1]}`;
    };
    const weights = await weightsAfter(20);
    expect(await refusal(encodeBundle(manifestAt(1), weights, newKey()))).toBe('1 BUNDLE_UNTRUSTED');
    expect(await refusal(encodeBundle(manifestAt(1, { expires: now - DAY }), weights, key))).toBe(
      '1 BUNDLE_EXPIRED',
    );
    const changed = Buffer.from(readFileSync(file));
    changed[changed.length - 150] ^= 1;
    expect(await refusal(changed)).toBe('1 BUNDLE_ALTERED');
    expect(await refusal(changed.subarray(0, 90))).toBe('1 BUNDLE_MALFORMED');
    const json = await models('verify', file, '--trust', folder.file('nobody', '# none\n'), '--json');
    expect([json.code, JSON.parse(json.out).code]).toEqual([1, 'BUNDLE_UNTRUSTED']);
    expect(await models('verify', file)).toMatchObject({ code: 2 });
    expect(await models('sign', file)).toMatchObject({ code: 2 });
    expect(await models('sign', file, '--key', keyFile, '--expires', 'soon')).toMatchObject({ code: 2 });
  });

  it('judge by the task of a configuration', async () => {
    const config = folder.file(
      'hub.yaml',
      `${configuration(join(folder.path, 'state'))}models: { trust: ${JSON.stringify(trustFile)} }\n`,
    );
    const { features, labels } = openTask(taskSpec(loadConfig(config), 'machine'));
    const fitting = join(folder.path, 'fitting.bundle');
    const weights = await weightsAfter(20);
    writeFileSync(fitting, encodeBundle(manifestAt(8, { features, labels }), weights, key));
    expect((await models('verify', fitting, '-c', config)).out).toMatch(/fits task machine of /);
    expect((await models('verify', file, '-c', config)).err).toMatch(/BUNDLE_MISMATCH: .* features/);
    writeFileSync(fitting, encodeBundle(manifestAt(8, { task: 'press' }), weights, key));
    expect((await models('verify', fitting, '-c', config)).err).toMatch(
      /BUNDLE_MISMATCH: .*press; the configuration has/,
    );
    expect((await models('list', '-c', config)).err).toMatch(/USAGE: .* has no `hub` section/);
  });

  it('leave the file as it was where signing fails', async () => {
    const before = readFileSync(file);
    expect((await models('sign', file, '--key', trustFile)).err).toMatch(/KEY_INVALID/);
    expect((await models('sign', file, '--key', keyFile, '--out', join(folder.path, 'no', 'x'))).code).toBe(
      1,
    );
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readdirSync(folder.path).filter((name) => name.includes('partial'))).toEqual([]);
  });
});

describe('orders', () => {
  const take = async () => {
    const hub = await openRegistry(registry);
    const orders = await hub.orders();
    for (const { id } of orders) await hub.done(id);
    await hub.close();
    return orders;
  };

  it('wait in the registry until a hub takes them, and are listed meanwhile', async () => {
    const promoted = await models('promote', digests[2].slice(0, 8), ...here());
    expect(promoted.out).toBe(
      `ordered: promote machine ${digests[2].slice(0, 12)}, asked by ada\nno hub runs on this registry: the next one to start follows it\n`,
    );
    await models('reject', 'v3', '--task', 'press', ...here());
    await models('rollback', 'machine', ...here());
    await models('rollback', 'machine', 'v1', ...here());
    for (const what of ['pause', 'resume', 'stop']) await models(what, 'machine', ...here(), '--by', 'bob');
    expect((await models('list', ...here())).out).toMatch(
      /\nwaiting for the hub, and no hub runs:\n {2}promote machine [0-9a-f]{12}, asked by ada, \d s ago\n/,
    );
    expect((await take()).map(({ what, task, digest, by }) => [what, task, digest, by])).toEqual([
      ['promote', 'machine', digests[2], 'ada'],
      ['reject', 'press', digests[3], 'ada'],
      ['rollback', 'machine', '', 'ada'],
      ['rollback', 'machine', digests[0], 'ada'],
      ['pause', 'machine', '', 'bob'],
      ['resume', 'machine', '', 'bob'],
      ['stop', 'machine', '', 'bob'],
    ]);
  });

  it('say that a hub runs where one does', async () => {
    const hub = await openRegistry(registry);
    expect((await models('pause', 'machine', ...here())).out).toContain(
      `(process ${process.pid}) follows it`,
    );
    await hub.close();
    await take();
  });

  it('lay a bundle file into the registry, where the hub can take it in', async () => {
    const outside = join(folder.path, 'outside.bundle');
    writeFileSync(outside, encodeBundle(manifestAt(12), await weightsAfter(20), key));
    await models('promote', outside, ...here());
    const [{ digest }] = await take();
    const hub = await openRegistry(registry);
    expect(digest).toBe(digestOf(readFileSync(outside)));
    expect((await hub.adopt(digest, 'ordered', now)).manifest.version).toBe(12);
    await hub.close();
  });

  it('are not given for what is live already, unknown, or of another task', async () => {
    for (const argv of [
      ['promote', 'v2', '--task', 'machine'],
      ['rollback', 'pres'],
      ['rollback', 'press', digests[0]],
      ['pause', 'nothing'],
      ['promote', 'ffffff'],
    ])
      expect((await models(...argv, ...here())).code).toBeGreaterThan(0);
    expect((await models('pause', 'nothing', ...here())).err).toMatch(/there are machine, press/);
    expect(await take()).toEqual([]);
  });
});
