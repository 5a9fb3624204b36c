/**
 * `sluice init URL [TOPIC…]`: listens to a broker for a minute and writes a commented configuration from what it sends:
 * topics, fields with types, units and ranges, the device, the time. Promises: nothing is published; secrets of the
 * address are left to the environment; the file passes `sluice lint`. Ctrl-C writes what was learned so far.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { systemClock } from '../clock.ts';
import { lintText } from '../config/lint.ts';
import { name as plainName } from '../config/words.ts';
import { configSchema, showProblem } from '../config.ts';
import { SluiceError } from '../errors.ts';
import { duration } from '../units.ts';
import { type Address, parseAddress } from './init/address.ts';
import type { Heard } from './init/heard.ts';
import { listen } from './init/listen.ts';
import { type Stream, streamsOf, type Unused } from './init/streams.ts';
import { configText } from './init/write.ts';
import { safeText } from './preview.ts';
import type { DefineVerb, Terminal } from './terminal.ts';

interface InitOptions {
  readonly for: string;
  readonly out: string;
  readonly event?: string;
  readonly site: string;
  readonly mqttVersion?: string;
  readonly ca?: string;
  readonly sasl: string;
  readonly force?: true;
}

export const define: DefineVerb = (command, terminal) => {
  command
    .argument('<url>', 'mqtt://HOST, mqtts://HOST, ws://HOST/PATH, kafka://HOST:9092 or kafkas://HOST:9093')
    .argument('[topics...]', 'what to listen to (MQTT: filters; default everything)')
    .option('--for <time>', 'how long, at most: it ends earlier when it has heard enough', '60s')
    .option('--out <file>', 'where the configuration goes, - for standard output', 'sluice.yaml')
    .option('--force', 'write over a file that is there')
    .option('--event <kind>', 'only sensor readings (sensor) or only mail (email)')
    .option('--site <name>', 'name of this gateway', 'my-site')
    .option('--mqtt-version <n>', '5, or 4 for MQTT 3.1.1 (default: found out)')
    .option('--ca <file>', 'certificate authorities to trust, PEM')
    .option('--sasl <mechanism>', 'Kafka: plain, scram-sha-256 or scram-sha-512', 'plain')
    .addHelpText('after', EXAMPLES)
    .action((url: string, topics: string[], options: InitOptions) => init(url, topics, options, terminal));
};

const EXAMPLES = `
Examples:
  sluice init mqtt://127.0.0.1:1883
  sluice init mqtts://user:password@broker.example:8883 'plant/+/telemetry' --for 30s
  sluice init kafka://127.0.0.1:9092 mail.inbound --event email

User and password of the address are never written down: the file takes them from the environment.`;

async function init(
  url: string,
  topics: readonly string[],
  options: InitOptions,
  terminal: Terminal,
): Promise<void> {
  const address = parseAddress(url);
  const ms = checked(options);
  const { out } = options;
  if (out !== '-' && existsSync(out) && !options.force)
    throw new SluiceError('USAGE', `${out} is there already; choose another with --out, or --force`);
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const listened = await listen(
      {
        address,
        topics,
        version: options.mqttVersion === undefined ? null : options.mqttVersion === '4' ? 4 : 5,
        ca: options.ca,
        sasl: options.sasl,
        ms,
        progress: progress(terminal),
      },
      stop.signal,
    );
    await conclude(address, topics, listened, options, terminal);
    if (stop.signal.aborted) terminal.exitCode = 130;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** How long to listen, ms. Throws USAGE for any word that is none. */
function checked(options: InitOptions): number {
  const time = duration.safeParse(options.for);
  if (!time.success || time.data === 0)
    throw new SluiceError('USAGE', `--for ${options.for}: write a time such as 30s or 5m`);
  if (options.event !== undefined && !['sensor', 'email'].includes(options.event))
    throw new SluiceError('USAGE', `--event ${options.event}: sensor or email`);
  if (options.mqttVersion !== undefined && !['4', '5'].includes(options.mqttVersion))
    throw new SluiceError('USAGE', '--mqtt-version: 4 or 5');
  if (!['plain', 'scram-sha-256', 'scram-sha-512'].includes(options.sasl))
    throw new SluiceError('USAGE', `--sasl ${options.sasl}: plain, scram-sha-256 or scram-sha-512`);
  const site = plainName.safeParse(options.site);
  if (!site.success) throw new SluiceError('USAGE', `--site: ${site.error.issues[0].message}`);
  return time.data;
}

function progress({ stderr }: Terminal) {
  let shown = 0;
  return (heard: Heard, seconds: number): void => {
    if (!stderr.isTTY || (seconds - shown < 0.2 && shown > 0)) return;
    shown = seconds;
    stderr.write(
      `\r\x1b[K${seconds.toFixed(0)} s: ${heard.messages} messages on ${heard.topics.size} topics; Ctrl-C is enough`,
    );
  };
}

async function conclude(
  address: Address,
  topics: readonly string[],
  { heard, version, seconds }: { heard: Heard; version: 4 | 5; seconds: number },
  options: InitOptions,
  terminal: Terminal,
): Promise<void> {
  if (terminal.stderr.isTTY) terminal.stderr.write('\r\x1b[K');
  const found = streamsOf(heard, topics, address.kind);
  const wanted = options.event === 'email' ? 'mail' : options.event === 'sensor' ? 'readings' : null;
  const streams = found.streams.filter(usable).filter(({ kind }) => wanted === null || kind === wanted);
  if (streams.length === 0) throw nothing(address, heard, found.unused, seconds, options.event);
  const { site, ca, sasl, out } = options;
  const file = out === '-' ? 'sluice.yaml' : out;
  const written = {
    site,
    address,
    version,
    ca,
    sasl,
    streams,
    unused: found.unused,
    messages: heard.messages,
    seconds,
  };
  const text = configText({ ...written, at: systemClock.now(), file });
  const sound = lint(text, file, address, terminal);
  if (out === '-') terminal.stdout.write(text);
  else await writeFile(out, text, { flag: options.force ? 'w' : 'wx' });
  const say = (line: string) => (out === '-' ? terminal.stderr : terminal.stdout).write(`${line}\n`);
  for (const line of account(streams, found.unused, heard, seconds)) say(line);
  const variables = Object.keys(address.secrets).map((name) => `${name}=… `);
  if (out !== '-') say(`written to ${out}`);
  if (sound) say(`next: choose the labels (marked <-), then ${variables.join('')}sluice run -c ${file}`);
}

/** A reading needs a field. */
const usable = ({ kind, judged }: Stream): boolean => kind === 'mail' || judged.fields.length > 0;

function nothing(
  address: Address,
  heard: Heard,
  unused: readonly Unused[],
  seconds: number,
  event: string | undefined,
): SluiceError {
  if (heard.messages === 0)
    return new SluiceError(
      'NOTHING_HEARD',
      `no message came from ${address.shown} in ${Math.round(seconds)} s`,
    );
  const why = unused.slice(0, 5).map(({ topic, reason }) => `${safeText(topic).slice(0, 80)}: ${reason}`);
  const what = event === undefined ? 'readings or mail' : event === 'email' ? 'mail' : 'readings';
  return new SluiceError(
    'NOTHING_HEARD',
    `none of ${heard.messages} messages were ${what}${why.length > 0 ? ` (${why.join('; ')})` : ''}`,
  );
}

/** Whether our own lint takes it; problems go to standard error. */
function lint(text: string, file: string, address: Address, terminal: Terminal): boolean {
  const { problems, value } = lintText(configSchema, text, file, {
    env: { ...terminal.env, ...address.secrets },
  });
  for (const problem of problems) terminal.stderr.write(`${showProblem(problem)}\n`);
  if (value === null) terminal.exitCode = 1;
  return value !== null;
}

function account(
  streams: readonly Stream[],
  unused: readonly Unused[],
  heard: Heard,
  seconds: number,
): string[] {
  const lines = [
    `heard ${heard.messages} messages on ${heard.topics.size} topics in ${seconds.toFixed(0)} s`,
  ];
  for (const { name, kind, filters, judged, messages, level } of streams) {
    const devices = level && level.names > 1 ? `, ${level.names} devices` : '';
    const what =
      kind === 'mail'
        ? 'mail'
        : `${judged.fields.length} fields (${judged.fields
            .slice(0, 6)
            .map((field) => field.name)
            .join(', ')}${judged.fields.length > 6 ? ', …' : ''})`;
    lines.push(
      safeText(`  ${name}: ${filters.slice(0, 3).join(' ')}: ${messages} messages${devices}; ${what}`),
    );
  }
  if (unused.length > 0) lines.push(`  not used: ${unused.length} topics; the file says why`);
  return lines;
}
