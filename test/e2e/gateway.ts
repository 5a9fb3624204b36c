/**
 * A real gateway for tests: the built `sluice run` as a process of its own, with its configuration and state in a
 * temporary folder. It can be killed and started again on the same state, as a machine would.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const READY_WITHIN_MS = 40_000;
/** To profile a gateway under test: SLUICE_NODE_ARGS='--cpu-prof --cpu-prof-dir=/tmp/profiles'. */
const NODE_ARGS = process.env.SLUICE_NODE_ARGS?.split(' ') ?? [];

export interface GatewayProcess {
  readonly folder: string;
  readonly state: string;
  readonly http: string;
  /** Starts it; resolves when `/ready` says so. */
  start(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number | null>;
  readonly running: boolean;
  status(): Promise<{
    tasks: Record<string, Record<string, number>>;
    inFlight: { events: number; bytes: number };
  }>;
  metrics(): Promise<string>;
  rssMiB(): Promise<number>;
  /** What it wrote to standard error. */
  readonly log: string;
  remove(): Promise<void>;
}

/** `config` is YAML without `store` and `http`, which are added here. */
export async function makeGateway(config: string, more: { store?: string } = {}): Promise<GatewayProcess> {
  if (!existsSync(MAIN))
    throw new Error('dist/src/main.js is missing: run `npm test`, or `node_modules/.bin/tsc -p .`');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-gateway-'));
  const state = path.join(folder, 'state');
  const port = await freePort();
  const file = path.join(folder, 'sluice.yaml');
  const http = `http://127.0.0.1:${port}`;
  await writeFile(
    file,
    `${config}\nstore: { path: ${JSON.stringify(state)}${more.store ?? ''} }\nhttp: { listen: "127.0.0.1:${port}" }\n`,
  );
  let child: ChildProcess | null = null;
  let log = '';
  const exited = () => new Promise<number | null>((resolve) => child!.once('exit', (code) => resolve(code)));
  return {
    folder,
    state,
    http,
    get running() {
      return child !== null && child.exitCode === null && child.signalCode === null;
    },
    get log() {
      return log;
    },
    async start() {
      child = spawn(process.execPath, [...NODE_ARGS, MAIN, 'run', '-c', file], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-200_000);
      });
      await untilReady(
        http,
        () => child!.exitCode,
        () => log,
      );
    },
    async kill() {
      const gone = exited();
      child!.kill('SIGKILL');
      await gone;
    },
    async stop() {
      if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
      const gone = exited();
      child.kill('SIGTERM');
      return gone;
    },
    status: async () => (await fetch(`${http}/api/status`)).json() as never,
    metrics: async () => (await fetch(`${http}/metrics`)).text(),
    async rssMiB() {
      const { readFile } = await import('node:fs/promises');
      const status = await readFile(`/proc/${child!.pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
    },
    async remove() {
      if (child && child.exitCode === null && child.signalCode === null) {
        const gone = exited();
        child.kill('SIGKILL');
        await gone;
      }
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function untilReady(http: string, exitCode: () => number | null, log: () => string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  let last = '';
  while (Date.now() < deadline) {
    if (exitCode() !== null) throw new Error(`the gateway ended with ${exitCode()}: ${log()}`);
    try {
      const response = await fetch(`${http}/ready`);
      last = await response.text();
      if (response.ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the gateway is not ready: ${last}\n${log()}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
