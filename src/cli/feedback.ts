/**
 * `sluice feedback -c FILE --task T … --label L`: labels for events, one or a whole file of them, sent to the gateways
 * over the broker, or to the one gateway over HTTP where no broker brings feedback. Labels are checked against the task before anything is sent; what is reported as sent was
 * confirmed by the broker. Sending the same labels twice is harmless: gateways take the second for a duplicate.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { loadConfig } from '../config.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { chooseTask, readAll } from './decode.ts';
import { readRaw } from './explain.ts';
import { type Defaults, type Given, giveLabel, readLabels, timeArgument } from './feedback/labels.ts';
import { openWire, type Wire } from './feedback/wire.ts';
import { type DefineVerb, print, printJson, type Terminal, withConfig } from './terminal.ts';

export interface FeedbackOptions {
  readonly config: string;
  readonly set: readonly string[];
  readonly task?: string;
  readonly event?: string;
  readonly messageId?: string;
  readonly raw?: string;
  readonly device?: string;
  readonly from?: string;
  readonly to?: string;
  readonly file?: string;
  readonly format?: string;
  readonly label?: string;
  readonly withdraw?: true;
  readonly origin: string;
  readonly weight?: string;
  readonly sink?: string;
  readonly dryRun?: true;
  readonly json?: string | true;
}

/** Adds `-c FILE` and the ways to name an event, the same for every verb that speaks to a gateway about one. */
export function withTarget(command: Command): Command {
  return withConfig(command)
    .option('--task <name>', 'the task (needed where there are several)')
    .option('--event <id>', 'the event, as its verdict names it')
    .option('--message-id <id>', 'Message-ID of a mail')
    .option('--raw <file>', 'a whole mail, - for standard input: only its digest is sent')
    .option('--device <name>', 'every event of this device, with --from and --to')
    .option('--from <time>', 'RFC 3339 or Unix time')
    .option('--to <time>', 'RFC 3339 or Unix time, included');
}

export const define: DefineVerb = (command, terminal) => {
  withTarget(command)
    .option('--file <file>', 'many labels: JSON lines as in docs/payloads.md, or CSV; - for standard input')
    .option('--format <name>', 'of --file: jsonl or csv (default by its ending, else jsonl)')
    .option('--label <label>', 'the label of the task that is right')
    .option('--withdraw', 'take the label back that was given before')
    .option('--origin <who>', 'who says so', 'operator')
    .option('--weight <w>', 'how much it counts, above 0, up to 1000')
    .option('--sink <name>', 'send over the broker of this sink')
    .option('--dry-run', 'check and show, send nothing')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action((options: FeedbackOptions) => give(options, terminal, false));
};

const EXAMPLES = `
Examples:
  sluice feedback -c sluice.yaml --task spam --message-id '<a1@example.org>' --label ham
  sluice feedback -c sluice.yaml --task machine --device press-07 --from 2026-01-02T14:00:00Z --to 2026-01-02T14:20:00Z --label fault
  sluice feedback -c sluice.yaml --task machine --file labels.csv`;

/** Checks and sends what the options ask for; `forget`: stored rows are to be erased too. */
export async function give(options: FeedbackOptions, terminal: Terminal, forget: boolean): Promise<void> {
  const config = loadConfig(options.config, { set: options.set, env: terminal.env });
  const task = chooseTask(config, options.task);
  const defaults: Defaults = {
    labels: config.tasks[task].labels,
    origin: options.origin,
    weight: options.weight === undefined ? undefined : weightOf(options.weight),
    now: systemClock.now(),
    forget,
  };
  const given = await gather(options, config.tasks[task].event, defaults, terminal);
  if (given.length === 0) throw new SluiceError('INPUT_INVALID', 'there is no label in it');
  const wire = openWire(config, task, options.sink);
  const { name: sink, topic, by } = wire;
  const result = { task, sink, topic, by, labels: given.length, byLabel: counted(given) };
  try {
    if (options.dryRun) return await report(options, { ...result, sent: 0 }, given, terminal, forget);
    const sent = await send(wire, given, terminal);
    await report(options, { ...result, sent }, given, terminal, forget);
  } finally {
    await wire.sink.close();
  }
}

function weightOf(text: string): number {
  const weight = Number(text);
  if (text.trim() !== '' && weight > 0 && weight <= 1_000) return weight;
  throw new SluiceError('USAGE', `--weight ${text}: write a number above 0, up to 1000`);
}

/** What the command line asks for, checked. Throws USAGE. */
async function gather(
  options: FeedbackOptions,
  event: 'email' | 'sensor',
  defaults: Defaults,
  terminal: Terminal,
): Promise<Given[]> {
  const { messageId, raw, device, file } = options;
  const ways = [options.event, messageId, raw, device, file].filter((way) => way !== undefined);
  if (ways.length !== 1)
    throw new SluiceError(
      'USAGE',
      defaults.forget
        ? 'name what is to be forgotten in one way: --event, --message-id, --raw, or --device with --from and --to'
        : 'name what the label is for in one way: --event, --message-id, --raw, --device, or --file',
    );
  if (options.origin.length > 256) throw new SluiceError('USAGE', '--origin: at most 256 characters');
  if (file !== undefined) return gatherFile(file, options, defaults, terminal);
  if ((options.label === undefined) === (options.withdraw === undefined))
    throw new SluiceError('USAGE', 'say what is right: --label LABEL, or --withdraw');
  if (
    (device === undefined) !== (options.from === undefined) ||
    (device === undefined) !== (options.to === undefined)
  )
    throw new SluiceError('USAGE', '--device, --from and --to belong together');
  const label = options.label ?? null;
  if (device !== undefined) {
    const [from, to] = [timeArgument('--from', options.from!), timeArgument('--to', options.to!)];
    return [giveLabel({ device, from, to, label }, defaults)];
  }
  if (raw === undefined) return [giveLabel({ event: options.event, messageId, label }, defaults)];
  if (event !== 'email')
    throw new SluiceError(
      'USAGE',
      '--raw names mails; readings are named by --event, or --device and a span',
    );
  const bytes = raw === '-' ? await readAll(terminal.stdin) : await readRaw(raw);
  // Joining knows a mail by this name too: what people wrote need not travel again.
  const digest = createHash('sha256').update(bytes).digest('hex');
  return [giveLabel({ event: `raw:${digest}`, label }, defaults)];
}

const MAX_FILE = 256 * 1024 ** 2;

async function gatherFile(
  file: string,
  { format, label, withdraw }: FeedbackOptions,
  defaults: Defaults,
  terminal: Terminal,
): Promise<Given[]> {
  if (label !== undefined || withdraw)
    throw new SluiceError('USAGE', 'with --file every line brings its own label');
  if (format !== undefined && !['jsonl', 'csv'].includes(format))
    throw new SluiceError('USAGE', `--format ${format}: jsonl or csv`);
  const bytes = file === '-' ? await readAll(terminal.stdin) : await readFile(file).catch(unreadable(file));
  if (bytes.length > MAX_FILE) throw new SluiceError('INPUT_INVALID', `${file} is larger than 256 MiB`);
  const csv = format === undefined ? /\.csv$/i.test(file) : format === 'csv';
  return readLabels(Buffer.from(bytes).toString('utf8'), csv, defaults);
}

const unreadable = (file: string) => (error: Error) => {
  throw new SluiceError('INPUT_NOT_FOUND', `${file}: ${error.message}`);
};

function counted(given: readonly Given[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { label } of given) {
    const name = label ?? 'withdrawn';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const AT_ONCE = 500;

/** Resolves to how many the broker has confirmed: all, unless it was interrupted. Throws what the sink does. */
async function send(wire: Wire, given: readonly Given[], terminal: Terminal): Promise<number> {
  let sent = 0;
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    while (sent < given.length && !interrupted) {
      const some = given.slice(sent, sent + AT_ONCE);
      await wire.sink.publish(some.map(({ payload, key }) => ({ topic: wire.topic, key, payload })));
      sent += some.length;
      if (given.length > AT_ONCE) bar(terminal, sent, given.length);
    }
  } catch (thrown) {
    const error = asSluiceError(thrown);
    if (sent === 0) throw error;
    const text = `${sent} of ${given.length} were sent, then: ${error.message}; send all again, doubles do no harm`;
    throw new SluiceError(error.code, text, { cause: error });
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    if (given.length > AT_ONCE && terminal.stderr.isTTY) terminal.stderr.write('\r\x1b[K');
  }
  if (sent < given.length) terminal.exitCode = 130;
  return sent;
}

function bar({ stderr }: Terminal, sent: number, all: number): void {
  if (!stderr.isTTY) return;
  const share = sent / all;
  const blocks = '█'.repeat(Math.round(share * 24)).padEnd(24, '░');
  stderr.write(`\r\x1b[K${blocks} ${Math.round(share * 100)} %  ${sent} of ${all} labels confirmed`);
}

interface Result {
  readonly task: string;
  readonly sink: string;
  readonly topic: string;
  readonly by: Wire['by'];
  readonly labels: number;
  readonly sent: number;
  readonly byLabel: Readonly<Record<string, number>>;
}

const SHOWN = 20;

async function report(
  options: FeedbackOptions,
  result: Result,
  given: readonly Given[],
  terminal: Terminal,
  forget: boolean,
): Promise<void> {
  if (options.json !== undefined) return printJson(terminal, options.json, result);
  const { sent, labels, sink, topic, by, byLabel } = result;
  const what = Object.entries(byLabel).map(([label, n]) => `${n} ${forget ? 'to forget' : label}`);
  if (options.dryRun) {
    for (const { payload } of given.slice(0, SHOWN)) print(terminal, payload);
    if (given.length > SHOWN) print(terminal, `… ${given.length - SHOWN} more`);
    return print(terminal, `would send ${what.join(', ')} to ${topic} over ${sink}`);
  }
  const rest = sent < labels ? `, ${labels - sent} not sent` : '';
  print(
    terminal,
    `sent ${sent} of ${labels} (${what.join(', ')}) to ${topic} over ${sink}, confirmed by the ${by}${rest}`,
  );
}
