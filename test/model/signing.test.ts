import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import {
  formatPublicKey,
  isExposed,
  isSignedBy,
  newKey,
  parsePublicKey,
  parseTrust,
  publicKey,
  readPrivateKey,
  readTrust,
  signBytes,
  writePrivateKey,
} from '../../src/model/signing.ts';
import { codeOf } from './codes.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a key survives its file, which only its owner may read and which is never overwritten', () => {
  const key = newKey('hub of the north');
  const file = join(folder, 'hub.key');
  writePrivateKey(file, key);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(isExposed(file)).toBe(false);
  chmodSync(file, 0o644);
  expect(isExposed(file)).toBe(true);
  const read = readPrivateKey(file);
  expect(read.public.hex).toBe(key.public.hex);
  const text = Buffer.from('what is signed');
  expect(isSignedBy(text, signBytes(text, read), key.public)).toBe(true);
  expect(isSignedBy(Buffer.from('what was signed'), signBytes(text, read), key.public)).toBe(false);
  expect(isSignedBy(text, signBytes(text, read).subarray(1), key.public)).toBe(false);
  expect(codeOf(() => writePrivateKey(file, key))).toBe('KEY_INVALID');
});

it('signs as RFC 8032 says (section 7.1, test 2)', () => {
  const bytes = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex');
  const signature =
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';
  expect(isSignedBy(Uint8Array.of(0x72), Buffer.from(signature, 'hex'), publicKey(bytes))).toBe(true);
});

it('a public key is one line that can be pasted, with or without a name', () => {
  const { public: key } = newKey('hub of the north');
  const line = formatPublicKey(key);
  expect(line).toMatch(/^ed25519:[A-Za-z0-9+/]{43}= hub of the north$/);
  expect(parsePublicKey(` ${line}\n`)).toMatchObject({ hex: key.hex, id: key.id, name: key.name });
  expect(parsePublicKey(line.split(' ')[0]).name).toBe('');
});

it('a trust file holds a key a line and comments, and says where it is wrong', () => {
  const [a, b] = [newKey('a').public, newKey().public];
  const file = join(folder, 'trust');
  writeFileSync(
    file,
    `# ours\r\n${formatPublicKey(a)} # the old one\n\n${formatPublicKey(b)}\n${formatPublicKey(a)}\n`,
  );
  expect(readTrust(file).map(({ hex, name }) => [hex, name])).toEqual([
    [a.hex, 'a'],
    [b.hex, ''],
  ]);
  expect(() => parseTrust(`${formatPublicKey(a)}\nrubbish`, 'trust')).toThrow(/trust:2: /);
  expect(codeOf(() => readTrust(join(folder, 'none')))).toBe('INPUT_NOT_FOUND');
});

it('what is no key is refused, and no message quotes a private one', () => {
  const { public: key } = newKey();
  const line = formatPublicKey(key);
  for (const text of ['', 'ed25519:', line.slice(0, -2), line.replace('ed25519', 'rsa'), `${line}x`, key.hex])
    expect(codeOf(() => parsePublicKey(text))).toBe('KEY_INVALID');
  const rsa = join(folder, 'rsa.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
  writeFileSync(rsa, privateKey.export({ format: 'pem', type: 'pkcs8' }) as string);
  expect(() => readPrivateKey(rsa)).toThrow(/rsa, not Ed25519/);
  const secret = newKey();
  const file = join(folder, 'cut.key');
  writePrivateKey(join(folder, 'whole.key'), secret);
  const pem = readFileSync(join(folder, 'whole.key'), 'utf8');
  writeFileSync(file, pem.slice(0, 60));
  let message = '';
  try {
    readPrivateKey(file);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toMatch(/is no private key/);
  expect(message).not.toContain(pem.slice(30, 50));
  expect(codeOf(() => parsePublicKey(pem))).toBe('KEY_INVALID');
});
