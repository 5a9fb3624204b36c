/**
 * A real mosquitto for tests, on a free loopback port, with queue limits that lose nothing (its
 * defaults drop QoS 1 messages silently). Promises that `start` returns when it answers, that a restart
 * keeps port and persistent sessions, and that `stop` leaves no process and no file behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureMosquitto } from '#servers/mosquitto.mjs';

export interface MosquittoOptions {
  /** Server certificate; `ca` also decides which client certificates are taken. */
  readonly tls?: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly client: boolean;
  };
  /** User names and passwords; without them anyone may connect. */
  readonly users?: Readonly<Record<string, string>>;
  /** Further lines of the configuration, e.g. `message_size_limit 1000`. */
  readonly config?: readonly string[];
}

const found = await ensureMosquitto();

/** Why there is no mosquitto here; null where there is. With CI=true its absence is an error. */
export const mosquittoMissing: string | null = 'missing' in found ? found.missing : null;
if (mosquittoMissing && process.env.CI === 'true') throw new Error(mosquittoMissing);
if (mosquittoMissing) process.stderr.write(`SKIPPED, no mosquitto: ${mosquittoMissing}\n`);

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL'); // a test run that was broken off
});

export class Mosquitto {
  readonly port: number;
  readonly #folder: string;
  readonly #options: MosquittoOptions;
  #process: ChildProcess | null = null;
  #log = '';

  private constructor(port: number, folder: string, options: MosquittoOptions) {
    this.port = port;
    this.#folder = folder;
    this.#options = options;
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-mosquitto-'));
    const server = new Mosquitto(await freePort(), folder, options);
    await server.start();
    return server;
  }

  get url(): string {
    return `${this.#options.tls ? 'mqtts' : 'mqtt'}://localhost:${this.port}`;
  }

  /** What it wrote so far. */
  get log(): string {
    return this.#log;
  }

  /** Starts it (again) on the same port, with what it had saved. */
  async start(): Promise<void> {
    if ('missing' in found) throw new Error(found.missing);
    const file = join(this.#folder, 'mosquitto.conf');
    await this.#writeConfig(file, found);
    const child = spawn(found.path, ['-c', file], { env: { ...process.env, ...found.env } });
    this.#process = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    const note = (chunk: Buffer) => {
      this.#log += chunk.toString();
    };
    child.stdout?.on('data', note);
    child.stderr?.on('data', note);
    await this.#answers(child);
  }

  /** Ends it: SIGTERM saves its sessions, SIGKILL loses them, SIGSTOP only freezes it. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT' || signal === 'SIGHUP') return;
    await exited;
    this.#process = null;
  }

  async stop(): Promise<void> {
    this.#process?.kill('SIGCONT');
    await this.kill('SIGTERM');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #writeConfig(file: string, program: { path: string; env: Record<string, string> }): Promise<void> {
    const { tls, users, config = [] } = this.#options;
    const data = join(this.#folder, 'data');
    mkdirSync(data, { recursive: true });
    const lines = [
      ...(process.getuid?.() === 0 ? ['user root'] : []), // root would become a user who cannot read the folder
      `listener ${this.port} 127.0.0.1`,
      ...(tls ? [`cafile ${tls.ca}`, `certfile ${tls.cert}`, `keyfile ${tls.key}`] : []),
      ...(tls?.client ? ['require_certificate true'] : []),
      `allow_anonymous ${users === undefined}`,
      ...(users ? [`password_file ${await this.#writeUsers(users, program)}`] : []),
      'persistence true',
      `persistence_location ${data}/`,
      'max_queued_messages 0',
      'max_queued_bytes 0',
      'max_inflight_messages 1000',
      'set_tcp_nodelay true',
      ...config,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
  }

  /** mosquitto_passwd stands beside the broker, or on the PATH. */
  async #writeUsers(
    users: Readonly<Record<string, string>>,
    program: { path: string; env: Record<string, string> },
  ): Promise<string> {
    const file = join(this.#folder, 'users');
    writeFileSync(
      file,
      Object.entries(users)
        .map(([name, password]) => `${name}:${password}\n`)
        .join(''),
      { mode: 0o600 },
    );
    const tool = program.path.replace(/sbin\/mosquitto$/, 'bin/mosquitto_passwd');
    const child = spawn(tool, ['-U', file], { env: { ...process.env, ...program.env } });
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`mosquitto_passwd ended with ${code}`);
    return file;
  }

  async #answers(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline) {
      if (child.exitCode !== null) throw new Error(`mosquitto ended at once:\n${this.#log}`);
      if (await reachable(this.port)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill('SIGKILL');
    throw new Error(`mosquitto does not answer:\n${this.#log}`);
  }
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
