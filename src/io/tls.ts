/**
 * Certificates for any transport: loads CA, certificate and key files, and watches them, so that a
 * renewed certificate is taken up without a restart.
 *
 * Watching is polling: `fs.watch` misses the symlink swaps by which Kubernetes and certbot renew.
 * A new set is taken only when it loads and the key fits the certificate; until then (the files are
 * written one after the other) the old set stays. Refuses to start with files that cannot be used.
 */
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { z } from 'zod';
import type { Clock } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { duration } from '../units.ts';

export const tlsOptions = z.strictObject({
  ca: z
    .string()
    .optional()
    .describe('File of the certificate authorities to trust, PEM. Default: those of Node.'),
  cert: z.string().optional().describe('File of the client certificate (with its chain), PEM.'),
  key: z.string().optional().describe('File of the private key of the client certificate, PEM.'),
  passphrase: z.string().optional().meta({ secret: true }).describe('Passphrase of the private key.'),
  serverName: z
    .string()
    .optional()
    .describe('Name that the certificate of the broker must carry, where it is not the host of the address.'),
  rejectUnauthorized: z
    .boolean()
    .default(true)
    .describe('Refuse a broker whose certificate cannot be verified. Only turn off for experiments.'),
  reloadEvery: duration
    .default(10_000)
    .describe('How often to look whether the files have changed; they are then loaded again.'),
});

export type TlsOptions = z.output<typeof tlsOptions>;

/** What `tls.connect` takes. */
export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly passphrase?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}

export interface CertificateContext {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

const PARTS = ['ca', 'cert', 'key'] as const;

export class Certificates {
  readonly #name: string;
  readonly #options: TlsOptions;
  readonly #context: CertificateContext;
  readonly #stop = new AbortController();
  #material: TlsMaterial;
  #stamp: string;

  /**
   * `name` is the source or sink they belong to; `changed` is called after each reload.
   * Throws SluiceError CONFIG_INVALID where a file cannot be read or key and certificate do not fit.
   */
  constructor(name: string, options: TlsOptions, context: CertificateContext, changed?: () => void) {
    this.#name = name;
    this.#options = options;
    this.#context = context;
    this.#stamp = stampOf(options);
    try {
      this.#material = load(options);
    } catch (error) {
      throw new SluiceError('CONFIG_INVALID', `tls of ${name}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if (changed && PARTS.some((part) => options[part] !== undefined)) void this.#watch(changed);
  }

  /** The newest set that could be used. */
  get current(): TlsMaterial {
    return this.#material;
  }

  /** Stops watching. */
  close(): void {
    this.#stop.abort();
  }

  async #watch(changed: () => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#context.clock.sleep(this.#options.reloadEvery, signal);
      if (!signal.aborted && this.#reload()) changed();
    }
  }

  #reload(): boolean {
    const stamp = stampOf(this.#options);
    if (stamp === this.#stamp) return false;
    try {
      this.#material = load(this.#options);
    } catch {
      return false; // half written: the stamp stays old, so the next look tries again
    }
    this.#stamp = stamp;
    this.#context.telemetry.count('certificates_reloaded', { name: this.#name });
    return true;
  }
}

function load(options: TlsOptions): TlsMaterial {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  const { passphrase } = options;
  const [ca, cert, key] = PARTS.map((part) => read(options[part]));
  createSecureContext({ ca, cert, key, passphrase }); // throws where key and certificate do not fit
  return {
    ca,
    cert,
    key,
    passphrase,
    ...(options.serverName === undefined ? {} : { servername: options.serverName }),
    rejectUnauthorized: options.rejectUnauthorized,
  };
}

/** Changes whenever a file does; a file that is away for a moment counts as a change. */
function stampOf(options: TlsOptions): string {
  const stamp = (file: string | undefined): string => {
    if (file === undefined) return '';
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : 'away';
  };
  return PARTS.map((part) => stamp(options[part])).join(' / ');
}
