/** What `doctor` says of keys and registry: a key that is missing, open to others, or in order. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { examineFleet } from '../../src/cli/doctor/fleet.ts';
import { parseConfig } from '../../src/config.ts';
import { formatPublicKey, newKey, writePrivateKey } from '../../src/model/signing.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-doctor-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const config = (more: string) =>
  parseConfig(
    `
site: a
sources: { in: { type: mqtt, url: "mqtt://127.0.0.1:1", topics: [t] } }
tasks: { m: { from: [in], event: sensor, fields: { x: { type: number } }, labels: [ok, fault] } }
sinks: { out: { type: mqtt, url: "mqtt://127.0.0.1:1" } }
store: { path: ${JSON.stringify(path.join(folder, 'state'))} }
${more}`,
    'a.yaml',
  );
const hub = () =>
  config(
    `hub: { store: ${JSON.stringify(path.join(folder, 'hub'))}, key: ${JSON.stringify(path.join(folder, 'hub.key'))} }`,
  );
const of = (findings: readonly { name: string; state: string; detail: string }[], name: string) =>
  findings.find((finding) => finding.name === name);

it('a gateway that stands alone needs no keys', () => {
  expect(examineFleet(config(''))).toEqual([]);
});

it('a hub without its key is bad, and the finding says how to make one', () => {
  const found = of(examineFleet(hub()), 'hub key');
  expect(found).toMatchObject({ state: 'bad' });
  expect(found?.detail).toContain(`sluice keys new ${path.join(folder, 'hub.key')}`);
});

it('a key in order is named by its public half; one that others may read is a warning', () => {
  const pair = newKey('hub');
  const file = path.join(folder, 'hub.key');
  writePrivateKey(file, pair);
  const found = of(examineFleet(hub()), 'hub key');
  expect(found?.state).toBe('ok');
  expect(found?.detail).toContain(formatPublicKey({ ...pair.public, name: '' }));
  expect(found?.detail).not.toContain('PRIVATE');
  chmodSync(file, 0o644);
  expect(of(examineFleet(hub()), 'hub key')).toMatchObject({ state: 'warn' });
});

it('a trust file that is named and missing is bad; a default one that is missing is told', () => {
  const named = config(`models: { trust: ${JSON.stringify(path.join(folder, 'nobody'))} }`);
  expect(of(examineFleet(named), 'trusted keys')).toMatchObject({ state: 'bad' });
  expect(of(examineFleet(config('models: {}')), 'trusted keys')).toMatchObject({ state: 'warn' });
  writeFileSync(path.join(folder, 'nobody'), `${formatPublicKey(newKey('hub north').public)}\n`);
  expect(of(examineFleet(named), 'trusted keys')?.detail).toContain('hub north');
});
