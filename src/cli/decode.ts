/**
 * `sluice decode -c FILE`: what the model sees. A message from standard input goes through the very decoder and
 * features of a task; its events and their rows are printed with readable names: of a mail its texts, hidden words, where links
 * really lead, and attachments. Nothing is masked: the
 * message is the caller's own. A message that would become a dead letter is refused with the same code.
 */
import { taskSpec } from '../app/spec.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Event, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { openTask, type Task } from '../task/task.ts';
import { cellCounts, mailLines } from './decode/mail.ts';
import { safeText } from './preview.ts';
import { collect, type DefineVerb, print, printJson, type Terminal, withConfig } from './terminal.ts';

const MAX_INPUT = 256 * 1024 ** 2;

interface DecodeOptions {
  readonly config: string;
  readonly set: readonly string[];
  readonly task?: string;
  readonly topic: string;
  readonly key?: string;
  readonly header: readonly string[];
  readonly json?: string | true;
}

export const define: DefineVerb = (command, terminal) => {
  withConfig(command)
    .option('--task <name>', 'the task whose decoder and features are used (needed where there are several)')
    .option('--topic <topic>', 'the topic it came from', '')
    .option('--key <key>', 'its Kafka key')
    .option('--header <name=value>', 'a header of its transport (repeatable)', collect, [])
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText('after', '\nExample: sluice decode -c sluice.yaml --task spam < message.eml')
    .action((options: DecodeOptions) => decode(options, terminal));
};

async function decode(options: DecodeOptions, terminal: Terminal): Promise<void> {
  const config = loadConfig(options.config, { set: options.set, env: terminal.env });
  const name = chooseTask(config, options.task);
  const task = openTask(taskSpec(config, name));
  if (terminal.stdin.isTTY) terminal.stderr.write('Type or paste the message; end it with Ctrl-D.\n');
  const message = toMessage(await readAll(terminal.stdin), config.tasks[name].from[0], options);
  const events = task.decode(message).map((event) => toPlain(task, event));
  if (options.json !== undefined)
    return printJson(terminal, options.json, { task: name, features: task.features, events });
  for (const event of events) show(event, terminal);
}

/** The only task, or the named one. Throws USAGE. */
export function chooseTask(config: Config, wanted: string | undefined): string {
  const names = Object.keys(config.tasks);
  if (wanted !== undefined && names.includes(wanted)) return wanted;
  if (wanted !== undefined)
    throw new SluiceError('USAGE', `there is no task "${wanted}"; there are: ${names.join(', ')}`);
  if (names.length === 1) return names[0];
  throw new SluiceError(
    'USAGE',
    `the configuration has several tasks; add --task with one of: ${names.join(', ')}`,
  );
}

/** Everything of a stream, up to 256 MiB. Throws INPUT_INVALID. */
export async function readAll(stream: Terminal['stdin']): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > MAX_INPUT) throw new SluiceError('INPUT_INVALID', 'the message is larger than 256 MiB');
  }
  return Buffer.concat(chunks);
}

/** A message as the options of the command line describe it. Throws USAGE. */
export function toMessage(
  payload: Uint8Array,
  source: string,
  options: Pick<DecodeOptions, 'header' | 'topic' | 'key'>,
): Message {
  const headers = options.header.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new SluiceError('USAGE', `--header ${text}: write NAME=VALUE`);
    return [text.slice(0, at).toLowerCase(), text.slice(at + 1)];
  });
  const { topic, key = null } = options;
  return { source, topic, key, payload, headers: Object.fromEntries(headers), at: Date.now(), position: '' };
}

function toPlain(task: Task, event: Event) {
  const { id, weak, device, at, aliases } = event;
  const row = [...task.describe(event)];
  const flags = task.fields?.flagsOf(event) ?? {};
  return { id, weak, device, at: new Date(at).toISOString(), aliases, flags, body: plainBody(event), row };
}

function plainBody({ body }: Event) {
  if (body.kind === 'reading')
    // NaN, which means missing, is null in JSON.
    return {
      kind: body.kind,
      values: [...body.values].map((v) => (Number.isNaN(v) ? null : v)),
      categories: body.categories,
    };
  const { raw, ...mail } = body;
  return { ...mail, bytes: raw.length };
}

function show(event: ReturnType<typeof toPlain>, terminal: Terminal): void {
  print(terminal, `event   ${event.id}${event.weak ? ' (a digest: equal messages share it)' : ''}`);
  print(terminal, `device  ${event.device}`);
  print(terminal, `at      ${event.at}`);
  for (const alias of event.aliases) print(terminal, `alias   ${alias}`);
  if ('headers' in event.body) for (const line of mailLines(event.body, event.row)) print(terminal, line);
  for (const [field, flags] of Object.entries(event.flags))
    print(terminal, `wrong   ${safeText(field)}: ${flags.join(', ')}`);
  const spaces = 'headers' in event.body ? `: ${cellCounts(event.row)}` : '';
  print(terminal, `row     ${event.row.length} cells${spaces}`);
  const width = Math.min(48, Math.max(0, ...event.row.map((cell) => cell.name.length)));
  for (const { name, part, index, value } of event.row) {
    const shown = Number.isNaN(value) ? 'missing' : String(Number(value.toPrecision(6)));
    print(
      terminal,
      `        ${safeText(name).padEnd(width)}  ${part} ${String(index).padStart(8)}  ${shown}`,
    );
  }
  print(terminal);
}
