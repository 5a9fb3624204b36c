/**
 * What an operator does to a gateway, for tests: start the built `sluice run` without waiting, look at `/ready`,
 * change its file, send signals, run other verbs beside it. Configuration and state lie in a temporary folder
 * that `remove` takes away together with a process that still runs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach } from 'vitest';
import { freePort, Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { until } from './scale.ts';

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
/** Room for two busy cores; nothing here asserts on speed. */
export const SOON_MS = 25_000;
/** A stop may wait 10 s for what is in flight and some more for brokers that do not answer. */
const STOP_MS = 40_000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Status {
  readonly site: string;
  readonly inFlight: { readonly events: number; readonly bytes: number };
  readonly outbox: Readonly<Record<string, { readonly messages: number; readonly bytes: number }>>;
  readonly tasks: Readonly<
    Record<string, { readonly state: string; readonly learned: number; readonly dead: number }>
  >;
}

/** One verb of the built command line, run to its end. */
export function sluice(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** A gateway in the hands of an operator. */
export class Operated {
  readonly folder: string;
  readonly port: number;
  #child: ChildProcess | null = null;
  #exited: Promise<number | null> = Promise.resolve(null);
  #log = '';

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  /** `config` is YAML without `http`; without `store` too unless it says `$STATE` somewhere. */
  static async make(config: string): Promise<Operated> {
    if (!existsSync(MAIN))
      throw new Error('dist/src/main.js is missing: run `npm test`, or `node_modules/.bin/tsc -p .`');
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-operated-'));
    const gateway = new Operated(folder, await freePort());
    await gateway.write(config);
    return gateway;
  }

  get file(): string {
    return path.join(this.folder, 'sluice.yaml');
  }

  get state(): string {
    return path.join(this.folder, 'state');
  }

  get http(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it wrote to standard error so far. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves to the exit code, null after a signal. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  /** Writes the configuration, as an editor would while the gateway runs. */
  write(config: string): Promise<void> {
    const store = config.includes('$STATE') ? '' : 'store: { path: $STATE }\n';
    const http = /^http:/m.test(config) ? '' : `http: { listen: "127.0.0.1:${this.port}" }\n`;
    return writeFile(
      this.file,
      `${config}\n${store}${http}`.replaceAll('$STATE', JSON.stringify(this.state)),
    );
  }

  /** Starts it and waits for nothing. */
  launch(args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): void {
    const stdio = ['ignore', 'ignore', 'pipe'] as const;
    const child = spawn(process.execPath, [MAIN, 'run', '-c', this.file, ...args], {
      env,
      stdio: [...stdio],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-500_000);
    });
  }

  /** Starts it and waits until `/ready` says yes. */
  async start(args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<void> {
    this.launch(args, env);
    await this.untilReady(200);
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Sends the signal and resolves to the exit code; throws where the gateway does not end. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.signal(name);
    await until(
      () => !this.running,
      STOP_MS,
      () => `the end after ${name}, \n${this.#log.slice(-3_000)}`,
    );
    return this.#exited;
  }

  /** HTTP status and reasons of `/ready`; status 0 where nobody listens. */
  async ready(): Promise<{ readonly status: number; readonly reasons: readonly string[] }> {
    try {
      const response = await fetch(`${this.http}/ready`);
      const { reasons } = (await response.json()) as { reasons: string[] };
      return { status: response.status, reasons };
    } catch {
      return { status: 0, reasons: [] };
    }
  }

  untilReady(status: number): Promise<void> {
    return until(
      async () => {
        if (!this.running) throw new Error(`the gateway has ended: ${this.#log}`);
        return (await this.ready()).status === status;
      },
      SOON_MS,
      () => `/ready to say ${status}\n${this.#log.slice(-3_000)}`,
    );
  }

  async ping(): Promise<number> {
    return (await fetch(`${this.http}/ping`)).status;
  }

  async status(): Promise<Status> {
    return (await fetch(`${this.http}/api/status`)).json() as Promise<Status>;
  }

  metrics(): Promise<string> {
    return fetch(`${this.http}/metrics`).then((response) => response.text());
  }

  /** The sum of a metric over all label sets that contain `labels`, e.g. `{ result: 'learned' }`. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    let sum = 0;
    for (const line of (await this.metrics()).split('\n')) {
      const match = /^sluice_(\w+?)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!match || match[1].replace(/_total$/, '') !== name) continue;
      const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
      if (wanted.every((each) => (match[2] ?? '').split(',').includes(each))) sum += Number(match[3]);
    }
    return sum;
  }

  untilMetric(name: string, labels: Readonly<Record<string, string>>, atLeast: number): Promise<void> {
    let last = Number.NaN;
    return until(
      async () => {
        last = await this.metric(name, labels).catch(() => Number.NaN); // not listening yet
        return last >= atLeast;
      },
      SOON_MS,
      () => `${name} ${JSON.stringify(labels)} is ${last}, want ${atLeast}\n${this.#log.slice(-3_000)}`,
    );
  }

  /** Every line of the log that tells this signal. */
  signals(name: string): Record<string, unknown>[] {
    return this.#log
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(`"signal":"${name}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async remove(): Promise<void> {
    if (this.running) await this.stop('SIGKILL');
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What each test of a file has of its own. */
export interface Site {
  readonly broker: Mosquitto;
  /** The users' side of the broker. */
  readonly bus: Bus;
  /** The one that `operate` made last. */
  readonly gateway: Operated;
  /** A gateway that is not started yet, as `Operated.make`. */
  operate(config: string): Promise<Operated>;
}

/** Called once in a file: before each test there is a new broker and its bus, after it they go, and the gateway first. */
export function freshSite(): Site {
  let broker: Mosquitto | undefined;
  let bus: Bus | undefined;
  let gateway: Operated | undefined;
  beforeEach(async () => {
    if (mosquittoMissing) return;
    broker = await Mosquitto.start();
    bus = await mqttBus(broker.url);
  });
  afterEach(async () => {
    await gateway?.remove();
    await bus?.close();
    await broker?.stop();
    [gateway, bus, broker] = [undefined, undefined, undefined];
  });
  const there = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('there is none: the test has not begun, or made none');
    return part;
  };
  return {
    get broker() {
      return there(broker);
    },
    get bus() {
      return there(bus);
    },
    get gateway() {
      return there(gateway);
    },
    async operate(config) {
      await gateway?.remove();
      gateway = await Operated.make(config);
      return gateway;
    },
  };
}

/** The task most of these tests run: one number, judged from the first event on. */
export const plainTask = (from: string, more = ''): string => `
tasks:
  machine:
    from: [${from}]
    event: sensor
    fields: { x: { type: number, range: [0, 100] } }
    labels: [ok, fault]
    minLabels: 0
    minPerLabel: 0
    ${more}`;

/** A reading as a CloudEvent with the identity `/<device>/<n>`. */
export function reading(device: string, n: number, x = n % 100): string {
  const event = { specversion: '1.0', type: 'reading', source: `/${device}`, id: String(n), subject: device };
  return JSON.stringify({
    ...event,
    time: new Date(1_700_000_000_000 + n * 1_000).toISOString(),
    data: { x },
  });
}

export interface SeenVerdict {
  readonly event: string;
  readonly device: string;
  readonly label: string | null;
  readonly anomaly?: number;
}

/** Collects every verdict of a topic, in order of arrival, repetitions included. */
export async function collect(bus: Bus, topic: string): Promise<SeenVerdict[]> {
  const seen: SeenVerdict[] = [];
  await bus.subscribe(topic, (payload) => {
    const message = JSON.parse(payload.toString());
    for (const one of [message].flat()) seen.push(one.data ?? one);
  });
  return seen;
}

/** Which of `expected` are not among the verdicts. */
export function missing(expected: readonly string[], seen: readonly SeenVerdict[]): string[] {
  const there = new Set(seen.map(({ event }) => event));
  return expected.filter((event) => !there.has(event));
}

export function untilSeen(
  expected: readonly string[],
  seen: readonly SeenVerdict[],
  gateway: Operated,
): Promise<void> {
  return until(
    () => missing(expected, seen).length === 0,
    SOON_MS,
    () => {
      const gone = missing(expected, seen);
      return `${gone.length} of ${expected.length} verdicts, e.g. ${gone[0]}\n${gateway.log.slice(-3_000)}`;
    },
  );
}

/** The numbers of a device's events in the order of their first verdict. */
export function order(device: string, seen: readonly SeenVerdict[]): number[] {
  const events = seen.map(({ event }) => event).filter((event) => event.startsWith(`/${device}/`));
  return [...new Set(events)].map((event) => Number(event.split('/').at(-1)));
}
