/**
 * The TLS material of one connection, read from files and read again when they change, so that a renewed
 * certificate needs no restart. A new set that does not work (half written, key of another certificate) is
 * not taken: the old one serves on until a good one is there.
 */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type ConnectionOptions as TlsOptions } from 'node:tls';
import { SluiceError } from '../../errors.ts';
import type { ConnectionOptions } from './options.ts';

type TlsFiles = Exclude<ConnectionOptions['tls'], boolean>;

export class Certificates {
  readonly #files: TlsFiles;
  #stamp: string;
  #current: TlsOptions;

  /** Throws CONFIG_INVALID where the files cannot be used now. */
  constructor(tls: true | TlsFiles) {
    this.#files = tls === true ? { verify: true } : tls;
    this.#stamp = this.#look();
    this.#current = this.#load();
  }

  /** What `tls.connect` takes. */
  get current(): TlsOptions {
    return this.#current;
  }

  /** Loads changed files; true when a new, working set was taken. Cheap: a stat a file. */
  refresh(): boolean {
    const stamp = this.#look();
    if (stamp === this.#stamp) return false;
    try {
      this.#current = this.#load();
    } catch {
      return false;
    }
    this.#stamp = stamp;
    return true;
  }

  #look(): string {
    const { ca, cert, key } = this.#files;
    return [ca, cert, key]
      .map((file) => {
        const stat = file && statSync(file, { throwIfNoEntry: false });
        return stat ? `${stat.mtimeMs}:${stat.size}:${stat.ino}` : '';
      })
      .join(' ');
  }

  #load(): TlsOptions {
    const { ca, cert, key, servername, verify } = this.#files;
    const material = { ca: read(ca), cert: read(cert), key: read(key) };
    try {
      createSecureContext(material);
    } catch (cause) {
      throw new SluiceError('CONFIG_INVALID', `TLS files do not fit: ${(cause as Error).message}`, { cause });
    }
    return { ...material, rejectUnauthorized: verify, ...(servername ? { servername } : {}) };
  }
}

function read(file: string | undefined): Buffer | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new SluiceError('CONFIG_INVALID', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
