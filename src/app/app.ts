/**
 * The process around a gateway: web server, signals, reload. A changed file or SIGHUP reloads without loss:
 * the new configuration is checked first; a bad one is refused and the old one runs on; a good one
 * takes over after the old gateway has settled what it held.
 */
import { unwatchFile, watchFile } from 'node:fs';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Engine } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { startWeb } from '../web/server.ts';
import { Gateway } from './gateway.ts';

const WATCH_MS = 1_000;

export interface AppOptions {
  readonly config: Config;
  /** Reads the configuration again; absent where there is no file. */
  readonly reload?: () => Config;
  /** Watched for changes. */
  readonly file?: string;
  readonly engine: Engine;
  readonly telemetry: Telemetry;
}

export class App {
  readonly #options: AppOptions;
  #config: Config;
  #gateway: Gateway | null = null;
  #web: Awaited<ReturnType<typeof startWeb>> | null = null;
  #turn: Promise<void> = Promise.resolve();
  #failure: SluiceError | null = null;

  private constructor(options: AppOptions) {
    this.#options = options;
    this.#config = options.config;
  }

  static async start(options: AppOptions): Promise<App> {
    const app = new App(options);
    app.#gateway = await app.#open(options.config);
    try {
      await app.#openWeb();
    } catch (thrown) {
      await app.#gateway.stop();
      throw thrown;
    }
    if (options.file) watchFile(options.file, { interval: WATCH_MS }, () => void app.reload());
    options.telemetry.count('backend_chosen', { backend: options.engine.backend });
    return app;
  }

  get gateway(): Gateway | null {
    return this.#gateway;
  }

  /** Where the web server listens, as `http://…`; null where it is off. */
  get address(): string | null {
    return this.#web?.address ?? null;
  }

  /** Reads the configuration again. Never throws: a refusal is a signal, and the old configuration runs on. */
  reload(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#reload());
    return this.#turn;
  }

  /** Stops as cleanly as the deadline allows; `clean` says whether everything was settled. */
  async stop(): Promise<{ readonly clean: boolean }> {
    if (this.#options.file) unwatchFile(this.#options.file);
    await this.#turn;
    const stopped = (await this.#gateway?.stop()) ?? { clean: true };
    this.#gateway = null;
    await this.#web?.close();
    this.#web = null;
    return stopped;
  }

  async #reload(): Promise<void> {
    const { reload, telemetry } = this.#options;
    if (!reload) return;
    let next: Config;
    try {
      next = reload();
    } catch (thrown) {
      telemetry.count('config_refused', {}, 1, { reason: asSluiceError(thrown).message });
      return;
    }
    if (JSON.stringify(next) === JSON.stringify(this.#config)) return;
    await this.#gateway?.stop();
    this.#gateway = null;
    try {
      this.#gateway = await this.#open(next);
      this.#config = next;
      this.#failure = null;
      telemetry.count('config_reloaded', {});
    } catch (thrown) {
      telemetry.count('config_refused', {}, 1, { reason: asSluiceError(thrown).message });
      await this.#back(asSluiceError(thrown));
      return;
    }
    await this.#web?.close();
    await this.#openWeb();
  }

  /** The new configuration could not be opened: the old one again. */
  async #back(error: SluiceError): Promise<void> {
    this.#failure = error;
    try {
      this.#gateway = await this.#open(this.#config);
      this.#failure = null;
    } catch (thrown) {
      this.#options.telemetry.error(asSluiceError(thrown));
    }
  }

  #open(config: Config): Promise<Gateway> {
    const { engine, telemetry } = this.#options;
    return Gateway.start(config, { engine, telemetry, clock: systemClock });
  }

  async #openWeb(): Promise<void> {
    const { listen, token } = this.#config.http;
    this.#web = await startWeb({
      listen,
      token,
      telemetry: this.#options.telemetry,
      ready: () =>
        this.#gateway?.health() ?? {
          ok: false,
          reasons: [this.#failure?.message ?? 'the gateway is not running'],
        },
      status: () => ({ ...(this.#gateway?.status() ?? { site: this.#config.site }) }),
    });
  }
}
