/**
 * `sluice demo`, what `npm start` runs: the whole loop in one process on embedded defaults. A broker, two simulated
 * sites with machines and mail, two gateways, the hub that trains and rolls out, metrics and dashboard. The machines
 * change their ways after a while: one sees drift alarmed, a candidate trained, tested, signed, rolled out. Nothing is
 * kept: the state folder is temporary. Losses are counted by the senders' own numbering, not by the gateways'.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import type { FleetSummary } from '../../firmware-sim/fleet.ts';
import { App } from '../app/app.ts';
import { systemClock } from '../clock.ts';
import { parseConfig } from '../config.ts';
import type { Engine } from '../contract.ts';
import type { HubEvent, HubStatus } from '../fleet/hub.ts';
import { startBroker } from '../io/broker.ts';
import { openEngine } from '../model/engine.ts';
import { formatPublicKey, newKey, writePrivateKey } from '../model/signing.ts';
import { Telemetry } from '../telemetry.ts';
import { duration } from '../units.ts';
import { DEMO_SITES, demoConfig } from './demo/config.ts';
import { type LoopMoment, Teller } from './demo/loop.ts';
import { Plant, plantLabels } from './demo/plant.ts';
import { Screen } from './demo/screen.ts';
import { untilSignal } from './run.ts';
import { type DefineVerb, printJson, type Terminal } from './terminal.ts';
import { version } from './version.ts';

interface DemoOptions {
  readonly for?: number;
  readonly json?: string;
  readonly seed: number;
  readonly devices: number;
  readonly rate: number;
  readonly mailRate: number;
  readonly mail: string[];
  readonly driftAt: number;
  readonly listen?: string;
  readonly backend: 'auto' | 'cpu' | 'cuda';
}

/** What is still under way when the time is up gets this long to be answered. */
const DRAIN_MS = 20_000;
const DEFAULT_PORT = 8088;

const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('must be a number, 0 or more');
  return value;
};

const time = (text: string): number => {
  const parsed = duration.safeParse(/^\d+$/.test(text) ? `${text}s` : text);
  if (!parsed.success) throw new InvalidArgumentError('must be a duration: 500ms, 60s, 5m or 1h');
  return parsed.data;
};

export const define: DefineVerb = (command, terminal) => {
  command
    .option('--for <duration>', 'stop cleanly after this time (default: at Ctrl-C)', time)
    .option('--json <file>', 'the summary as one JSON object; - is the last line of standard output')
    .option('--seed <n>', 'seed of devices, mail and labels', number, 7)
    .option('--devices <n>', 'simulated devices', number, 40)
    .option('--rate <n>', 'readings a second, all devices together', number, 1_500)
    .option('--mail-rate <n>', 'mails a second', number, 25)
    .option(
      '--mail <path>',
      'replay real mail instead: index.tsv, mbox, maildir or LABEL=PATH (repeatable)',
      collectPath,
      [],
    )
    .addOption(
      new Option('--drift-at <duration>', 'when the machines begin to change; 0 for never')
        .argParser(time)
        .default(75_000, '75s'),
    )
    .option('--listen <host:port>', `dashboard (default: 127.0.0.1:${DEFAULT_PORT}, or a free port)`)
    .option('--backend <name>', 'auto, cpu or cuda', 'auto')
    .action((options: DemoOptions) => demo(options, terminal));
};

const collectPath = (value: string, before: string[]): string[] => [...before, value];

async function demo(options: DemoOptions, terminal: Terminal): Promise<void> {
  const stopped = untilSignal(() => undefined);
  const engine = openEngine({ backend: options.backend });
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sluice-demo-'));
  const broker = await startBroker();
  const telemetry = new Telemetry({ level: 'error' });
  const { apps, token } = await startGateways(options, engine, folder, broker.url, telemetry);
  const { seed, devices, rate, mailRate, mail } = options;
  const driftAt = options.driftAt > 0 ? options.driftAt : null;
  const plant = new Plant({ url: broker.url, seed, devices, rate, mailRate, mail, driftAt, telemetry });
  const [first] = apps;
  const screen = new Screen(
    terminal,
    () => first.gateway?.status().tasks ?? {},
    () => plant.counts(),
  );
  screen.head([
    ['', `sluice ${version} · node ${process.versions.node}`],
    ['backend', backendLine(engine)],
    [
      'demo',
      `embedded broker · ${devices} devices · ${mailLine(options)} · ${apps.length} gateways · hub · seed ${seed}`,
    ],
    ['open', first.address === null ? 'no status page' : `${first.address}/#token=${token}`],
  ]);
  const started = performance.now();
  const moments: LoopMoment[] = [];
  const teller = new Teller();
  first.hub?.onEvent((event) => tell(event, teller, moments, plant, screen));
  const ended = await untilDone(options, stopped, plant, screen);
  screen.note(
    ended === 'time' ? 'time is up, finishing what is under way' : 'stopping, finishing what is under way',
  );
  const summary = await plant.drain(DRAIN_MS);
  const seconds = (performance.now() - started) / 1000;
  for (const app of apps) await app.gateway?.learned();
  const learned = await telemetry.value('feedback_received', { result: 'learned' });
  const loop = first.hub?.status() ?? null;
  for (const app of [...apps].reverse()) await app.stop();
  await plant.stop();
  await broker.close();
  await rm(folder, { recursive: true, force: true });
  const result = resultOf(summary, seconds, learned, engine.backend, loop, moments);
  screen.summary(summary, learned);
  if (options.json === '-') terminal.stdout.write(`${JSON.stringify(result)}\n`);
  else if (options.json) await printJson(terminal, options.json, result);
  terminal.exitCode = summary.lost > 0 ? 1 : ended === 'SIGINT' ? 130 : 0;
}

/** Keys as an operator makes them, then the gateways; the first one is the hub too. */
async function startGateways(
  options: DemoOptions,
  engine: Engine,
  folder: string,
  url: string,
  telemetry: Telemetry,
): Promise<{ readonly apps: App[]; readonly token: string }> {
  const key = path.join(folder, 'hub.key');
  const trust = path.join(folder, 'trusted-keys');
  const pair = newKey('demo-hub');
  writePrivateKey(key, pair);
  await writeFile(trust, `${formatPublicKey(pair.public)}\n`);
  const token = randomBytes(24).toString('hex');
  const listen = options.listen ?? `127.0.0.1:${(await isFree(DEFAULT_PORT)) ? DEFAULT_PORT : 0}`;
  const places = { url, listen, folder, key, trust, token, labels: plantLabels(options.seed) };
  const apps: App[] = [];
  for (const site of DEMO_SITES) {
    const config = parseConfig(demoConfig(site, places), `demo ${site}`);
    apps.push(await App.start({ config, engine, telemetry, version }));
  }
  return { apps, token };
}

function tell(event: HubEvent, teller: Teller, moments: LoopMoment[], plant: Plant, screen: Screen): void {
  const { seconds, tasks } = plant.counts();
  const text = teller.line(event, tasks.find(({ task }) => task === event.task)?.recentAccuracy ?? null);
  if (text === null) return;
  const second = Math.round(seconds * 10) / 10;
  moments.push({ second, task: event.task, what: event.kind, text: text.replace(/\s+/g, ' ') });
  screen.note(text);
}

const mailLine = (options: DemoOptions): string =>
  options.mail.length > 0 ? 'real mail replayed' : `${options.mailRate} mails/s`;

/** The chosen one first, then why not the others. */
const backendLine = (engine: Engine): string =>
  [...engine.backends]
    .sort((a, b) => Number(b.name === engine.backend) - Number(a.name === engine.backend))
    .map(({ name, ok, detail }) => (ok ? `${name} ${detail}` : `${name}: ${detail}`))
    .join(' · ');

async function untilDone(
  options: DemoOptions,
  stopped: Promise<'SIGINT' | 'SIGTERM'>,
  plant: Plant,
  screen: Screen,
): Promise<'SIGINT' | 'SIGTERM' | 'time' | 'end'> {
  const ticking = new AbortController();
  const ticks = screen.run(ticking.signal);
  const done = await Promise.race([
    stopped,
    options.for === undefined
      ? new Promise<never>(() => undefined)
      : systemClock.sleep(options.for).then(() => 'time' as const),
    plant.finished.then(() => 'end' as const),
  ]);
  ticking.abort();
  await ticks;
  return done;
}

/** The summary as documented. */
function resultOf(
  summary: FleetSummary,
  seconds: number,
  feedbackLearned: number,
  backend: string,
  loop: HubStatus | null,
  moments: readonly LoopMoment[],
) {
  const sum = (pick: (task: FleetSummary['tasks'][number]) => number) =>
    summary.tasks.reduce((total, task) => total + pick(task), 0);
  const eventsIn = sum((task) => task.confirmed);
  return {
    seconds: Math.round(seconds * 10) / 10,
    eventsIn,
    verdicts: sum((task) => task.verdicts),
    deadLetters: sum((task) => task.deadLetters),
    lost: summary.lost,
    feedbackLearned,
    eventsPerSecond: Math.round(eventsIn / seconds),
    latencyMs: summary.tasks.length > 0 ? worst(summary) : { p50: 0, p95: 0, p99: 0 },
    tasks: Object.fromEntries(
      summary.tasks.map(({ task, verdicts, tested, accuracy, recentAccuracy, latencyMs }) => [
        task,
        { verdicts, tested, accuracy, recentAccuracy, latencyMs },
      ]),
    ),
    driftAlarms: loop?.driftAlarms.map((alarm) => ({ ...alarm, at: iso(alarm.at) })) ?? [],
    rollouts: loop?.rollouts.map((rollout) => ({ ...rollout, at: iso(rollout.at) })) ?? [],
    moments,
    backend,
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** Of the busiest stream: percentiles of different streams cannot be added. */
function worst(summary: FleetSummary) {
  return [...summary.tasks].sort((a, b) => b.verdicts - a.verdicts)[0].latencyMs;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
