import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  formatPublicKey,
  isSignedBy,
  newKey,
  parsePublicKey,
  readPrivateKey,
  readTrust,
  signBytes,
} from '../../src/model/signing.ts';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const keys = (...argv: string[]) => sluice(['keys', ...argv]);
const at = (name: string) => join(folder.path, name);

describe('keys new', () => {
  it('writes a private key that only its owner reads and a public one that can be pasted', async () => {
    const { code, out, err } = await keys('new', at('hub.key'), '--name', 'hub north');
    expect(code).toBe(0);
    expect(out).toMatch(/^ed25519:[A-Za-z0-9+/]{43}= hub north\n$/);
    expect(err).toContain('keep it on the hub and nowhere else');
    expect(statSync(at('hub.key')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('hub.key.pub'), 'utf8')).toBe(out);
    const text = Buffer.from('text');
    expect(isSignedBy(text, signBytes(text, readPrivateKey(at('hub.key'))), parsePublicKey(out))).toBe(true);
    expect(out + err).not.toContain('PRIVATE');
  });

  it('never overwrites a key, private or public', async () => {
    await keys('new', at('once.key'));
    const before = readFileSync(at('once.key'), 'utf8');
    expect((await keys('new', at('once.key'))).err).toMatch(/KEY_INVALID: .* exists already/);
    expect(readFileSync(at('once.key'), 'utf8')).toBe(before);
    writeFileSync(at('other.key.pub'), 'mine');
    expect((await keys('new', at('other.key'))).code).toBe(1);
    expect(existsSync(at('other.key'))).toBe(false);
    expect((await keys('new', at('bad.key'), '--name', 'a\nb')).code).toBe(1);
    expect((await keys('new', join(folder.path, 'no', 'x.key'))).code).toBe(1);
  });
});

describe('keys trust', () => {
  it('adds a line, a public file, or the public half of a private file, each once, and keeps comments', async () => {
    const file = folder.file('trusted', '# ours');
    const [a, b] = [newKey('a').public, newKey().public];
    expect((await keys('trust', formatPublicKey(a), '--file', file)).out).toMatch(
      /^trusted from now on: ed25519:.* a\n/,
    );
    await keys('trust', folder.file('b.pub', `${formatPublicKey(b)}\n`), '--file', file, '--name', 'hub b');
    await keys('new', at('c.key'));
    await keys('trust', at('c.key'), '--file', file);
    const again = await keys('trust', formatPublicKey(a), '--file', file);
    expect(again.out).toMatch(/was trusted already: .*\n.* holds 3 trusted keys\n$/);
    expect(readTrust(file).map(({ name }) => name)).toEqual(['a', 'hub b', '']);
    expect(readFileSync(file, 'utf8')).toMatch(/^# ours\ned25519:/);
    expect(readFileSync(file, 'utf8')).not.toContain('PRIVATE');
  });

  it('finds the file by the configuration of the gateway, and makes it', async () => {
    const trust = join(folder.path, 'deep', 'trusted');
    const config = folder.file(
      'gateway.yaml',
      `${configuration(at('state'))}models: { trust: ${JSON.stringify(trust)} }\n`,
    );
    const { code, out } = await keys('trust', formatPublicKey(newKey('hub').public), '-c', config, '--json');
    expect([code, JSON.parse(out)]).toEqual([
      0,
      { file: trust, added: [expect.objectContaining({ name: 'hub' })], trusted: 1 },
    ]);
    expect(readTrust(trust)).toHaveLength(1);
  });

  it('refuses what is no key, an empty file, a broken trust file and an unnamed place, and changes nothing', async () => {
    const file = folder.file('untouched', `${formatPublicKey(newKey().public)}\nrubbish\n`);
    const good = formatPublicKey(newKey().public);
    expect((await keys('trust', good, '--file', file)).err).toMatch(/KEY_INVALID: .*untouched:2: /);
    expect(readFileSync(file, 'utf8')).toMatch(/rubbish\n$/);
    expect((await keys('trust', 'ed25519:AAAA', '--file', at('fresh'))).err).toMatch(/KEY_INVALID/);
    expect((await keys('trust', folder.file('void', '# nothing\n'), '--file', at('fresh'))).err).toMatch(
      /holds no key/,
    );
    expect((await keys('trust', at('nowhere'), '--file', at('fresh'))).err).toMatch(/INPUT_NOT_FOUND/);
    expect((await keys('trust', good)).code).toBe(2);
    expect(existsSync(at('fresh'))).toBe(false);
  });
});
