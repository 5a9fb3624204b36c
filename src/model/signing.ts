/**
 * Who may decide what runs here: Ed25519 keys (RFC 8032), by node:crypto alone. A private key lives in a file
 * of its own, PKCS#8 PEM (RFC 8410), readable by its owner only; a public key is one line that can be pasted:
 *
 *     ed25519:<base64 of the 32 bytes> [name]
 *
 * and a trust file is such lines, one a key, with # comments. Refuses with KEY_INVALID what is no such key;
 * no message ever holds a part of a private key. The name is for people: trust rests on the 32 bytes.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { SluiceError } from '../errors.ts';

export interface PublicKey {
  /** 64 hex digits of the 32 bytes: what two keys are compared by. */
  readonly hex: string;
  /** First 16 hex digits of SHA-256 over the 32 bytes: a short name for people, not for decisions. */
  readonly id: string;
  /** What a person called it, or ''. */
  readonly name: string;
  readonly key: KeyObject;
}

export interface PrivateKey {
  readonly public: PublicKey;
  readonly key: KeyObject;
}

export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** SubjectPublicKeyInfo of Ed25519 before the 32 bytes (RFC 8410, section 4). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const MAX_FILE = 1024 * 1024;
const MAX_NAME = 128;

const invalid = (detail: string, cause?: unknown) => new SluiceError('KEY_INVALID', detail, { cause });

/** A new pair from the machine's randomness. */
export function newKey(name = ''): PrivateKey {
  return fromPrivate(generateKeyPairSync('ed25519').privateKey, checkName(name));
}

function fromPrivate(key: KeyObject, name: string): PrivateKey {
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { public: publicKey(spki.subarray(SPKI.length), name), key };
}

/** The key of 32 bytes. Throws KEY_INVALID. */
export function publicKey(bytes: Uint8Array, name = ''): PublicKey {
  if (bytes.byteLength !== KEY_BYTES)
    throw invalid(`a public key has ${KEY_BYTES} bytes, not ${bytes.byteLength}`);
  const hex = Buffer.from(bytes).toString('hex');
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const key = createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });
  return { hex, id, name: checkName(name), key };
}

function checkName(name: string): string {
  if (name.length <= MAX_NAME && /^[^\p{Cc}#]*$/u.test(name)) return name.trim();
  throw invalid(`a key's name has at most ${MAX_NAME} characters, none of them a control character or #`);
}

/** `ed25519:<base64> [name]`: one line, which `parsePublicKey` reads. */
export function formatPublicKey({ hex, name }: PublicKey): string {
  const text = `ed25519:${Buffer.from(hex, 'hex').toString('base64')}`;
  return name === '' ? text : `${text} ${name}`;
}

/** Throws KEY_INVALID for anything but one line as formatPublicKey writes it. */
export function parsePublicKey(line: string): PublicKey {
  if (line.includes('PRIVATE KEY')) throw invalid('this is a private key; hand over the public one only');
  const match = /^ed25519:([A-Za-z0-9+/]{43}=)(?:[ \t]+(.*))?$/.exec(line.trim());
  if (!match) throw invalid('this is no line `ed25519:<base64 of 32 bytes> [name]`');
  const bytes = Buffer.from(match[1], 'base64');
  // Base64 of 32 bytes has two bits to spare: one key, one text.
  if (bytes.toString('base64') !== match[1]) throw invalid('the base64 of the key is damaged at its end');
  return publicKey(bytes, match[2] ?? '');
}

/** The keys of a trust file's text. Throws KEY_INVALID with the line. A key that stands twice counts once. */
export function parseTrust(text: string, file: string): PublicKey[] {
  const keys = new Map<string, PublicKey>();
  text.split(/\r?\n/).forEach((line, i) => {
    const content = line.replace(/#.*$/, '').trim();
    if (content === '') return;
    try {
      const key = parsePublicKey(content);
      keys.set(key.hex, keys.get(key.hex) ?? key);
    } catch (error) {
      throw invalid(`${file}:${i + 1}: ${(error as Error).message}`, error);
    }
  });
  return [...keys.values()];
}

/** Reads a trust file. Throws KEY_INVALID, INPUT_NOT_FOUND. */
export function readTrust(file: string): PublicKey[] {
  return parseTrust(readSmall(file, '`sluice keys trust KEY -c FILE` makes it'), file);
}

/** PKCS#8 PEM of the private key. */
export function privateKeyPem(key: PrivateKey): string {
  return key.key.export({ format: 'pem', type: 'pkcs8' }) as string;
}

/** The key of a PEM text. Throws KEY_INVALID; `file` is how messages call it. */
export function parsePrivateKey(pem: string, file: string, name = ''): PrivateKey {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch (error) {
    // OpenSSL's words say nothing to a person, and must not be able to quote the file.
    const encrypted = /ENCRYPTED/.test(pem) ? ' (it is encrypted; Sluice reads plain PKCS#8 only)' : '';
    throw invalid(`${file} is no private key in PKCS#8 PEM${encrypted}`, error);
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw invalid(`${file} holds a key of type ${key.asymmetricKeyType}, not Ed25519`);
  return fromPrivate(key, name);
}

/** Reads a private key. Throws KEY_INVALID, INPUT_NOT_FOUND. */
export function readPrivateKey(file: string, name = ''): PrivateKey {
  return parsePrivateKey(readSmall(file, `\`sluice keys new ${file}\` makes one`), file, name);
}

/** Whether others than the owner may read the file. */
export function isExposed(file: string): boolean {
  return process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0;
}

/** Writes the private key to a new file, mode 0600. Throws KEY_INVALID where the file exists or cannot be written. */
export function writePrivateKey(file: string, key: PrivateKey): void {
  try {
    const handle = openSync(file, 'wx', 0o600);
    try {
      writeSync(handle, privateKeyPem(key));
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'it exists already, and a key is never overwritten' : message;
    throw invalid(`cannot write ${file}: ${reason}`, error);
  }
}

/** `help`: what to do where it is missing. */
function readSmall(file: string, help: string): string {
  try {
    if (statSync(file).size > MAX_FILE) throw invalid(`${file} is too large to be a file of keys`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new SluiceError(
      'INPUT_NOT_FOUND',
      `${file}: ${code === 'ENOENT' ? `there is no such file; ${help}` : message}`,
      {
        cause: error,
      },
    );
  }
}

/** The trusted key of these 32 bytes, or null. */
export function findKey(trusted: readonly PublicKey[], bytes: Uint8Array): PublicKey | null {
  const hex = Buffer.from(bytes).toString('hex');
  return trusted.find((key) => key.hex === hex) ?? null;
}

/** 64 bytes over `bytes`. Deterministic: the same key and bytes, the same signature. */
export function signBytes(bytes: Uint8Array, key: PrivateKey): Uint8Array {
  return sign(null, bytes, key.key);
}

export function isSignedBy(bytes: Uint8Array, signature: Uint8Array, key: PublicKey): boolean {
  return signature.byteLength === SIGNATURE_BYTES && verify(null, bytes, key.key, signature);
}

/** `sluice`'s name for a signer: `ed25519:<base64>`, without the name a person gave. */
export function signerText(bytes: Uint8Array): string {
  return `ed25519:${Buffer.from(bytes).toString('base64')}`;
}
