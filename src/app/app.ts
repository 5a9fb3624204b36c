/**
 * The process around a gateway: web server, signals, reload. A changed file or SIGHUP reloads without loss:
 * the new configuration is checked first; a bad one is refused and the old one runs on; a good one
 * takes over after the old gateway has settled what it held.
 */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { Engine } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { startWeb, type Web } from '../web/server.ts';
import { Dashboard } from './dashboard.ts';
import { Gateway } from './gateway.ts';
import { HubProcess } from './hub.ts';
import { trustFile } from './trust.ts';

const WATCH_MS = 1_000;
const STARTING = { status: 503, error: 'The gateway is starting or stopping.', why: 'stopped' } as const;

export interface AppOptions {
  readonly config: Config;
  /** Reads the configuration again; absent where there is no file. */
  readonly reload?: () => Config;
  /** Watched for changes. */
  readonly file?: string;
  readonly engine: Engine;
  readonly telemetry: Telemetry;
  /** Shown on the dashboard. */
  readonly version?: string;
}

interface Parts {
  readonly gateway: Gateway;
  readonly hub: HubProcess | null;
}

export class App {
  readonly #options: AppOptions;
  #config: Config;
  /** The file of trusted keys as it was read: who is trusted may change while the configuration does not. */
  #trusted: string;
  #gateway: Gateway | null = null;
  #hub: HubProcess | null = null;
  #web: Web | null = null;
  #turn: Promise<void> = Promise.resolve();
  #failure: SluiceError | null = null;

  readonly #dashboard: Dashboard;

  private constructor(options: AppOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#trusted = trustText(options.config);
    this.#dashboard = new Dashboard({
      config: () => this.#config,
      gateway: () => this.#gateway,
      hub: () => this.#hub,
      ready: () => this.#readiness(),
      backend: options.engine.backend,
      version: options.version ?? '',
      clock: systemClock,
    });
  }

  /** `/ping` and `/ready` answer from the beginning; a store that is in use is told before an address that is. */
  static async start(options: AppOptions): Promise<App> {
    const app = new App(options);
    const [gateway, web] = await Promise.allSettled([app.#open(options.config), app.#listen(options.config)]);
    if (gateway.status === 'fulfilled') app.#take(gateway.value);
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

  /** Where the configuration has a `hub:`. */
  get hub(): HubProcess | null {
    return this.#hub;
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
    const stopped = await this.#close();
    await this.#web?.close();
    this.#web = null;
    return stopped;
  }

  async #reload(): Promise<void> {
    const { reload, telemetry } = this.#options;
    if (!reload) return;
    try {
      const next = reload();
      const trusted = trustText(next);
      if (this.#gateway && same(next, this.#config) && trusted === this.#trusted) return;
      await this.#change(next);
      this.#trusted = trusted;
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
      await this.#close();
      this.#take(await this.#open(next));
    } catch (thrown) {
      await moved?.close();
      this.#failure = asSluiceError(thrown);
      await this.#back();
      throw thrown;
    }
    this.#config = next;
    this.#dashboard.configure();
    this.#failure = null;
    const sameDesk = next.http.token === before.http.token && !next.hub === !before.hub;
    if (!moved && this.#web && sameDesk) return;
    await this.#web?.close();
    this.#web = null;
    this.#web = moved ?? (await this.#listen(next));
  }

  /** The new configuration could not be opened: the old one again. */
  async #back(): Promise<void> {
    try {
      this.#take(await this.#open(this.#config));
      this.#failure = null;
    } catch (thrown) {
      this.#options.telemetry.error(asSluiceError(thrown));
    }
  }

  /** The hub, where there is one, is heard before its own gateway speaks. */
  async #open(config: Config): Promise<Parts> {
    const { engine, telemetry } = this.#options;
    const context = { engine, telemetry, clock: systemClock };
    const board = this.#dashboard;
    const onWindow: typeof board.fleetWindow = (...told) => board.fleetWindow(...told);
    const onAlarm: typeof board.fleetAlarm = (...told) => board.fleetAlarm(...told);
    const hub = config.hub ? await HubProcess.start(config, { ...context, onWindow, onAlarm }) : null;
    try {
      return { hub, gateway: await Gateway.start(config, { ...context, events: board.events }) };
    } catch (thrown) {
      await hub?.stop();
      throw thrown;
    }
  }

  #take({ gateway, hub }: Parts): void {
    this.#gateway = gateway;
    this.#hub = hub;
  }

  async #close(): Promise<{ readonly clean: boolean }> {
    const [gateway, hub] = [this.#gateway, this.#hub];
    this.#gateway = null;
    this.#hub = null;
    const stopped = (await gateway?.stop()) ?? { clean: true };
    await hub?.stop();
    return stopped;
  }

  #listen({ http }: Config): Promise<Web> {
    return startWeb({
      listen: http.listen,
      token: http.token,
      telemetry: this.#options.telemetry,
      ready: () => this.#readiness(),
      status: () => ({ ...(this.#gateway?.status() ?? { site: this.#config.site }) }),
      dashboard: { state: this.#dashboard.state, actions: this.#dashboard.actions },
      classify: { enter: (asked) => this.#gateway?.door.enter(asked) ?? STARTING },
    });
  }

  #readiness(): { readonly ok: boolean; readonly reasons: readonly string[] } {
    const parts = [this.#gateway?.health(), this.#hub?.health()].filter((part) => part !== undefined);
    if (parts.length === 0)
      return { ok: false, reasons: [this.#failure?.message ?? 'the gateway is starting'] };
    return { ok: parts.every(({ ok }) => ok), reasons: parts.flatMap(({ reasons }) => reasons) };
  }
}

/** '' where there is none, or it cannot be read: whoever opens it says why. */
function trustText(config: Config): string {
  try {
    return config.models || config.hub ? readFileSync(trustFile(config), 'utf8') : '';
  } catch {
    return '';
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
