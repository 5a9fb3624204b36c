/**
 * Sealing of what must not be read without the configuration: AES-256-GCM (NIST SP 800-38D) under a key derived by
 * HKDF-SHA256 (RFC 5869) from `privacy.key` and a salt of the store. What is sealed is bound to its context: bytes
 * moved to another place, or standing under an altered head, do not open.
 *
 *     | key name 8 | nonce 12 | tag 16 | ciphertext …
 *
 * The key name is derived beside the key; it tells a wrong key from altered bytes and says nothing of the key.
 * Nonces are random: after 2^32 letters of one store, two might be equal with probability 2^-33.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { SluiceError } from '../errors.ts';

const CIPHER = 'aes-256-gcm';
const [NAME, NONCE, TAG] = [8, 12, 16];
const HEAD = NAME + NONCE + TAG;

export class Seal {
  readonly #key: Buffer;
  readonly #name: Buffer;

  constructor(secret: string, salt: Uint8Array) {
    const derive = (info: string, bytes: number) =>
      Buffer.from(hkdfSync('sha256', secret, salt, `sluice dead letters ${info}`, bytes));
    this.#key = derive('key', 32);
    this.#name = derive('name', NAME);
  }

  close(plain: Uint8Array, context: string): Buffer {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(Buffer.from(context));
    const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([this.#name, nonce, cipher.getAuthTag(), ciphertext]);
  }

  /** `what` is how errors call it. Throws DEAD_LOCKED where another key closed it, DEAD_ALTERED where bytes or context are not what was closed. */
  open(sealed: Uint8Array, context: string, what: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    if (bytes.length < HEAD) throw new SluiceError('DEAD_ALTERED', `${what} is cut off`);
    if (!bytes.subarray(0, NAME).equals(this.#name))
      throw new SluiceError('DEAD_LOCKED', `${what} was encrypted under another key`);
    const nonce = bytes.subarray(NAME, NAME + NONCE);
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG });
    decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(NAME + NONCE, HEAD));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(HEAD)), decipher.final()]);
    } catch (cause) {
      throw new SluiceError('DEAD_ALTERED', `${what} is not what was stored`, { cause });
    }
  }
}
