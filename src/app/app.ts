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
import { startWeb, type Web } from '../web/server.ts';
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
  #web: Web | null = null;
  #turn: Promise<void> = Promise.resolve();
  #failure: SluiceError | null = null;

  private constructor(options: AppOptions) {
    this.#options = options;
    this.#config = options.config;
  }

  /** `/ping` and `/ready` answer from the beginning; a store that is in use is told before an address that is. */
  static async start(options: AppOptions): Promise<App> {
    const app = new App(options);
    const [gateway, web] = await Promise.allSettled([app.#open(options.config), app.#listen(options.config)]);
    if (gateway.status === 'fulfilled') app.#gateway = gateway.value;
    if (web.status === 'fulfilled') app.#web = web.value;
    for (const part of [gateway, web]) {
      if (part.status === 'fulfilled') continue;
      await app.stop();
      throw part.reason;
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

  /** Resolves when every source has ended (files) and its verdicts are out, over all reloads. */
  async finished(): Promise<void> {
    for (;;) {
      const gateway = this.#gateway;
      await gateway?.finished();
      await this.#turn;
      if (gateway === this.#gateway) return;
    }
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
    try {
      const next = reload();
      if (this.#gateway && same(next, this.#config)) return;
      await this.#change(next);
      telemetry.count('config_reloaded', {});
    } catch (thrown) {
      telemetry.count('config_refused', {}, 1, { reason: asSluiceError(thrown).message });
    }
  }

  /** The new configuration runs, or it throws and the old one runs again. */
  async #change(next: Config): Promise<void> {
    const before = this.#config;
    // A new address is taken before anything is given up.
    const moved = same(next.http.listen, before.http.listen) ? null : await this.#listen(next);
    try {
      await this.#gateway?.stop();
      this.#gateway = null;
      this.#gateway = await this.#open(next);
    } catch (thrown) {
      await moved?.close();
      this.#failure = asSluiceError(thrown);
      await this.#back();
      throw thrown;
    }
    this.#config = next;
    this.#failure = null;
    if (!moved && this.#web && next.http.token === before.http.token) return;
    await this.#web?.close();
    this.#web = null;
    this.#web = moved ?? (await this.#listen(next));
  }

  /** The new configuration could not be opened: the old one again. */
  async #back(): Promise<void> {
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

  #listen({ http }: Config): Promise<Web> {
    return startWeb({
      listen: http.listen,
      token: http.token,
      telemetry: this.#options.telemetry,
      ready: () =>
        this.#gateway?.health() ?? {
          ok: false,
          reasons: [this.#failure?.message ?? 'the gateway is starting'],
        },
      status: () => ({ ...(this.#gateway?.status() ?? { site: this.#config.site }) }),
    });
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
