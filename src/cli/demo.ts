/**
 * `sluice demo`, what `npm start` runs: the whole loop in one process on embedded defaults. A broker, a simulated
 * fleet and mail flow, a gateway that learns from delayed labels, metrics and status page. Nothing is kept: the
 * state folder is temporary. Losses are counted by the sender's own numbering, not by the gateway's.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import { usualFaults } from '../../firmware-sim/faults.ts';
import { type Feed, mailFeed, readingFeed, replayFeed } from '../../firmware-sim/feeds.ts';
import { type Fleet, type FleetSummary, startFleet } from '../../firmware-sim/fleet.ts';
import { overMqtt } from '../../firmware-sim/wire.ts';
import { App } from '../app/app.ts';
import { systemClock } from '../clock.ts';
import { parseConfig } from '../config.ts';
import type { Engine } from '../contract.ts';
import { startBroker } from '../io/broker.ts';
import { openEngine } from '../model/engine.ts';
import { Telemetry } from '../telemetry.ts';
import { duration } from '../units.ts';
import { DEMO_SITE, demoConfig } from './demo/config.ts';
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
    .option('--listen <host:port>', `status page (default: 127.0.0.1:${DEFAULT_PORT}, or a free port)`)
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
  const readings = readingFeed({ seed: options.seed, devices: options.devices, faults: usualFaults });
  const listen = options.listen ?? `127.0.0.1:${(await isFree(DEFAULT_PORT)) ? DEFAULT_PORT : 0}`;
  const config = parseConfig(
    demoConfig({ url: broker.url, listen, folder, labels: readings.labels }),
    'demo',
  );
  const app = await App.start({ config, engine, telemetry });
  const mail = options.mail.length > 0 ? replayFeed(options.mail) : mailFeed({ seed: options.seed });
  const fleet = startFleet({
    wire: overMqtt(broker.url, { site: DEMO_SITE, tasks: ['machine', 'spam'], version: 4, telemetry }),
    streams: streams(options, readings, mail),
    seed: options.seed,
    telemetry,
  });
  const screen = new Screen(terminal, app, fleet);
  screen.head([
    ['', `sluice ${version} · node ${process.versions.node}`],
    ['backend', backendLine(engine)],
    [
      'demo',
      `embedded broker · ${options.devices} devices · ${mailLine(options)} · 1 gateway · seed ${options.seed}`,
    ],
    ['open', app.address ?? 'no status page'],
  ]);
  const started = performance.now();
  const ended = await untilDone(options, stopped, fleet, screen);
  screen.note(
    ended === 'time' ? 'time is up, finishing what is under way' : 'stopping, finishing what is under way',
  );
  const summary = await fleet.drain(DRAIN_MS);
  const seconds = (performance.now() - started) / 1000;
  await app.gateway?.learned();
  const status = app.gateway!.status();
  await app.stop();
  await fleet.stop();
  await broker.close();
  await rm(folder, { recursive: true, force: true });
  const result = resultOf(summary, seconds, status.tasks, engine.backend);
  screen.summary(summary, result.feedbackLearned);
  if (options.json === '-') terminal.stdout.write(`${JSON.stringify(result)}\n`);
  else if (options.json) await printJson(terminal, options.json, result);
  terminal.exitCode = summary.lost > 0 ? 1 : ended === 'SIGINT' ? 130 : 0;
}

function streams(options: DemoOptions, readings: Feed, mail: Feed) {
  return [
    {
      task: 'machine',
      feed: readings,
      rate: options.rate,
      labels: { delay: 2_000, fraction: 0.1, wrong: 0.01 },
    },
    {
      task: 'spam',
      feed: mail,
      rate: options.mailRate,
      labels: { delay: 3_000, fraction: 0.5, wrong: 0.01 },
    },
  ].filter((stream) => stream.rate > 0);
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
  fleet: Fleet,
  screen: Screen,
): Promise<'SIGINT' | 'SIGTERM' | 'time' | 'end'> {
  const ticking = new AbortController();
  const ticks = screen.run(ticking.signal);
  const done = await Promise.race([
    stopped,
    options.for === undefined
      ? new Promise<never>(() => undefined)
      : systemClock.sleep(options.for).then(() => 'time' as const),
    fleet.finished.then(() => 'end' as const),
  ]);
  ticking.abort();
  await ticks;
  return done;
}

/** The summary as documented; hub and drift fields are filled by later versions. */
function resultOf(
  summary: FleetSummary,
  seconds: number,
  status: Readonly<Record<string, { readonly learned: number }>>,
  backend: string,
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
    feedbackLearned: Object.values(status).reduce((total, { learned }) => total + learned, 0),
    eventsPerSecond: Math.round(eventsIn / seconds),
    latencyMs: summary.tasks.length > 0 ? worst(summary) : { p50: 0, p95: 0, p99: 0 },
    tasks: Object.fromEntries(
      summary.tasks.map(({ task, verdicts, tested, accuracy, recentAccuracy, latencyMs }) => [
        task,
        { verdicts, tested, accuracy, recentAccuracy, latencyMs },
      ]),
    ),
    driftAlarms: [],
    rollouts: [],
    backend,
  };
}

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
