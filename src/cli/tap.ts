/**
 * `sluice tap`: verdicts, feedback, drift, dead letters and metrics as they pass on the broker, one line each.
 * An onlooker only: it confirms nothing, keeps nothing and may be started and stopped at any time; on
 * MQTT it misses what passes faster than the terminal takes it. Addresses are masked unless --show.
 */
import { systemClock } from '../clock.ts';
import { loadConfig } from '../config.ts';
import type { IoContext } from '../contract.ts';
import { isoTime } from '../envelope.ts';
import { SluiceError } from '../errors.ts';
import { Telemetry } from '../telemetry.ts';
import { duration } from '../units.ts';
import { type Happening, type Kind, kinds, maskData, readHappenings } from './tap/happening.ts';
import { lineOf } from './tap/lines.ts';
import { listenConfig, listenUrl } from './tap/listen.ts';
import type { Hear, Listener } from './tap/listener.ts';
import { collectSetting, type DefineVerb, type Terminal } from './terminal.ts';

interface TapOptions {
  readonly config?: string;
  readonly set: readonly string[];
  readonly url?: string;
  readonly mqttVersion: string;
  readonly task?: string;
  readonly what: string;
  readonly json?: true;
  readonly show?: true;
  readonly limit?: string;
  readonly for?: string;
}

export const define: DefineVerb = (command, terminal) => {
  command
    .option('-c, --config <file>', 'listen on the brokers of this configuration')
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--url <url>', 'or listen on this MQTT broker, for every site')
    .option('--mqtt-version <n>', 'with --url: 5, or 4 for MQTT 3.1.1', '5')
    .option('--task <name>', 'only this task')
    .option('--what <kinds>', `any of ${kinds.join(',')}`, kinds.join(','))
    .option('--json', 'one JSON object a line instead of text')
    .option('--show', 'do not mask addresses and payloads')
    .option('--limit <n>', 'stop after so many')
    .option('--for <time>', 'stop after this time, such as 30s')
    .addHelpText(
      'after',
      '\nExamples:\n  sluice tap -c sluice.yaml --what drift,dead\n  sluice tap --url mqtt://127.0.0.1:1883 --task spam --json\n\nTimes are UTC. Ctrl-C stops. NO_COLOR switches colours off.',
    )
    .action((options: TapOptions) => tap(options, terminal));
};

/** How long the brokers may take to be there, */
const CONNECT_MS = 10_000;
/** and how long those that are there wait for the others. */
const OTHERS_MS = 3_000;
const POLL_MS = 20;

async function tap(options: TapOptions, terminal: Terminal): Promise<void> {
  const what = kindsOf(options.what);
  const limit = options.limit === undefined ? Number.POSITIVE_INFINITY : countOf(options.limit);
  const time = options.for === undefined ? null : timeOf(options.for);
  const { listeners, show } = open(options, what, terminal);
  const stop = new AbortController();
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    stop.abort();
  };
  // `sluice tap | head` ends when head does.
  const closed = () => stop.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  terminal.stdout.on('error', closed);
  const tell = (text: string): void => void terminal.stderr.write(`sluice: tap: ${text}\n`);
  let reading: Promise<unknown> = Promise.resolve();
  try {
    const write = writer(options, show, terminal, stop, limit);
    const hear: Hear = async (message, place) => {
      for (const happening of readHappenings(message, place)) await write(happening);
    };
    reading = Promise.all(listeners.map((one) => one.run(hear, tell, stop.signal)));
    await Promise.race([connected(listeners, tell, stop.signal), reading]);
    if (time !== null) void systemClock.sleep(time, stop.signal).then(() => stop.abort());
    await reading;
  } finally {
    stop.abort();
    await reading.catch(() => undefined); // said already, or what ends this ends it too
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    terminal.stdout.off('error', closed);
  }
  terminal.exitCode = interrupted ? 130 : 0;
}

function open(
  options: TapOptions,
  what: readonly Kind[],
  terminal: Terminal,
): { listeners: Listener[]; show: boolean } {
  if ((options.config === undefined) === (options.url === undefined))
    throw new SluiceError('USAGE', 'name the broker: either -c FILE or --url URL');
  if (!['4', '5'].includes(options.mqttVersion)) throw new SluiceError('USAGE', '--mqtt-version: 4 or 5');
  const io = context();
  if (options.url !== undefined) {
    const version = options.mqttVersion === '4' ? 4 : 5;
    return {
      listeners: [listenUrl(options.url, what, options.task, version, io)],
      show: options.show === true,
    };
  }
  const config = loadConfig(options.config!, { set: options.set, env: terminal.env });
  return {
    listeners: listenConfig(config, what, options.task, io),
    show: options.show === true || config.privacy.show,
  };
}

/** An onlooker holds little: what it cannot print waits at the broker, or is dropped there. */
function context(): IoContext {
  const telemetry = new Telemetry({ level: 'silent' });
  return {
    site: 'tap',
    clock: systemClock,
    telemetry,
    maxInFlight: 1_000,
    maxInFlightBytes: 16 * 1024 * 1024,
  };
}

/**
 * Resolves when every listener hears, or, after a while, when some do: of the others it is told why. Throws
 * BROKER_UNREACHABLE where none does.
 */
async function connected(
  listeners: readonly Listener[],
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const since = systemClock.now();
  for (;;) {
    const down = listeners.flatMap((listener) => {
      const health = listener.health();
      return health.ok ? [] : [{ name: listener.name, reason: health.reason.replace(/^[A-Z_]+: /, '') }];
    });
    if (down.length === 0 || signal.aborted) return;
    const all = down.length === listeners.length;
    if (systemClock.now() - since > (all ? CONNECT_MS : OTHERS_MS)) {
      if (all) throw new SluiceError('BROKER_UNREACHABLE', down[0].reason);
      for (const { name, reason } of down) tell(`${name}: not heard (tried again): ${reason}`);
      return;
    }
    await systemClock.sleep(POLL_MS, signal);
  }
}

type Write = (happening: Happening) => Promise<void>;

/** Prints, at the pace of whoever reads, until the limit is reached. */
function writer(
  options: TapOptions,
  show: boolean,
  terminal: Terminal,
  stop: AbortController,
  limit: number,
): Write {
  const { stdout, env } = terminal;
  const colour = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  let taskWidth = 8;
  let printed = 0;
  return async (happening) => {
    if (printed >= limit || stop.signal.aborted) return;
    const shown = show ? happening : { ...happening, data: maskData(happening.data) as Happening['data'] };
    taskWidth = Math.min(20, Math.max(taskWidth, happening.task.length));
    const line = options.json ? JSON.stringify(jsonOf(shown)) : lineOf(shown, { colour, taskWidth });
    printed += 1;
    if (!stdout.write(`${line}\n`)) await drained(stdout, stop.signal);
    if (printed >= limit) stop.abort();
  };
}

const jsonOf = ({ kind, site, task, at, data }: Happening) => ({
  kind,
  site,
  task,
  at: isoTime(at),
  data,
});

function drained(stream: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    stream.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function kindsOf(given: string): Kind[] {
  return given.split(',').map((word) => {
    const kind = kinds.find((name) => name === word.trim());
    if (!kind) throw new SluiceError('USAGE', `--what: there are ${kinds.join(', ')}, not "${word.trim()}"`);
    return kind;
  });
}

function countOf(given: string): number {
  if (/^[1-9]\d{0,8}$/.test(given)) return Number(given);
  throw new SluiceError('USAGE', `--limit ${given}: write a whole number from 1`);
}

function timeOf(given: string): number {
  const parsed = duration.safeParse(given);
  if (!parsed.success) throw new SluiceError('USAGE', `--for: ${parsed.error.issues[0].message}`);
  return parsed.data;
}
