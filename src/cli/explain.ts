/**
 * `sluice explain -c FILE …`: why one verdict came out, and what is known of its event. Looks into the store beside a
 * running gateway, loads the model that is closest to the one that ran, and says plainly where it is another. With
 * --raw the features have readable names; without it hashed ones are buckets. Changes nothing.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { taskSpec } from '../app/spec.ts';
import { systemClock } from '../clock.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Event, Store } from '../contract.ts';
import { timeOf } from '../decode/reading.ts';
import { SluiceError } from '../errors.ts';
import { type Found, findAmong, findIncident, type IncidentQuery } from '../fleet/incident.ts';
import { openTask, type Task } from '../task/task.ts';
import { chooseTask, readAll, toMessage } from './decode.ts';
import { type Explained, explainFound, explainMessage } from './explain/explained.ts';
import { linesOf, masked } from './explain/lines.ts';
import { collect, type DefineVerb, print, printJson, type Terminal, withConfig } from './terminal.ts';
import { openToolStore } from './tool-store.ts';

export interface ExplainOptions {
  readonly config: string;
  readonly set: readonly string[];
  readonly task?: string;
  readonly event?: string;
  readonly messageId?: string;
  readonly device?: string;
  readonly at?: string;
  readonly raw?: string;
  readonly label?: string;
  readonly limit: string;
  readonly topic: string;
  readonly key?: string;
  readonly header: readonly string[];
  readonly show?: true;
  readonly json?: string | true;
}

export const define: DefineVerb = (command, terminal) => {
  withConfig(command)
    .argument('[words...]', 'an event, a Message-ID, or a device and a time: what it is is guessed')
    .option('--event <id>', 'the event, as its verdict names it')
    .option('--message-id <id>', 'Message-ID of a mail')
    .option('--device <name>', 'the device: its newest event, or with --at the one closest to that time')
    .option('--at <time>', 'RFC 3339, Unix time, or 14:05 (UTC, the last 24 hours)')
    .option('--raw <file>', 'the message itself, - for standard input: names the features')
    .option('--task <name>', 'look only there (needed with --raw where there are several)')
    .option('--label <label>', 'explain the score of this label instead of the one given')
    .option('--limit <n>', 'features shown, at most; of a mail reasons on each side', '12')
    .option('--topic <topic>', 'with --raw: the topic it came from', '')
    .option('--key <key>', 'with --raw: its Kafka key')
    .option('--header <name=value>', 'with --raw: a header of its transport (repeatable)', collect, [])
    .option('--show', 'do not mask addresses')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action((words: string[], options: ExplainOptions) => explain(words, options, terminal));
};

const EXAMPLES = `
Examples:
  sluice explain -c sluice.yaml press-07 14:05
  sluice explain -c sluice.yaml --message-id '<a1@example.org>'
  sluice explain -c sluice.yaml --task spam --raw mail.eml`;

async function explain(words: readonly string[], options: ExplainOptions, terminal: Terminal): Promise<void> {
  const config = loadConfig(options.config, { set: options.set, env: terminal.env });
  const ask = asked(words, options);
  const limit = featuresShown(options.limit);
  const store = await openToolStore(config.store, config.privacy.key);
  try {
    const explained =
      options.raw === undefined
        ? await explainFound(lookIn(store, config, options, ask), {
            store,
            config,
            label: options.label,
            limit,
          })
        : await explainRaw(store, config, options, terminal, limit);
    const show = options.show === true || config.privacy.show;
    if (options.json !== undefined)
      return await printJson(terminal, options.json, show ? explained : explained.map(masked));
    for (const one of explained) for (const line of linesOf(one, show)) print(terminal, line);
  } finally {
    await store.close();
  }
}

function featuresShown(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new SluiceError('USAGE', `--limit ${text}: write a whole number from 1 to 9999`);
}

/** Exactly one way of naming the event. Throws USAGE. */
function asked(words: readonly string[], options: ExplainOptions): IncidentQuery {
  const { event, messageId, device, raw, at } = options;
  const text = words.length > 0 ? words.join(' ') : undefined;
  const ways = [event, messageId, device, raw, text].filter((way) => way !== undefined);
  if (ways.length !== 1 || (at !== undefined && device === undefined))
    throw new SluiceError(
      'USAGE',
      'name the event in one way: words, --event, --message-id, --device (with --at), or --raw',
    );
  if (device === undefined) return { event, messageId, text };
  // The search box reads 14:05 too.
  if (at !== undefined && Number.isNaN(timeOf(at)) && !/^\d+$/.test(at)) return { text: `${device} ${at}` };
  return { device, at: at === undefined ? undefined : timeOf(/^\d+$/.test(at) ? Number(at) : at) };
}

/** Where it is found first, in the order of the configuration. Throws EVENT_UNKNOWN. */
function lookIn(
  store: Store,
  config: Config,
  options: ExplainOptions,
  query: IncidentQuery,
): { task: Task; found: Found } {
  const names = options.task === undefined ? Object.keys(config.tasks) : [chooseTask(config, options.task)];
  const tasks = names.map((name) => openTask(taskSpec(config, name)));
  const { task, ...found } = findAmong(store, tasks, query, systemClock.now());
  if (task) return { task, found };
  throw new SluiceError('EVENT_UNKNOWN', `not found in ${names.join(', ')}: ${found.hint}`);
}

/** Events of one message that are explained, at most. */
const MOST_EVENTS = 10;

async function explainRaw(
  store: Store,
  config: Config,
  options: ExplainOptions,
  terminal: Terminal,
  limit: number,
): Promise<Explained[]> {
  const name = chooseTask(config, options.task);
  const task = openTask(taskSpec(config, name));
  const payload = options.raw === '-' ? await readAll(terminal.stdin) : await readRaw(options.raw!);
  const events = task.decode(toMessage(payload, config.tasks[name].from[0], options));
  if (events.length > MOST_EVENTS)
    terminal.stderr.write(
      `sluice: the message holds ${events.length} readings; the first ${MOST_EVENTS} follow\n`,
    );
  const context = { store, config, label: options.label, limit };
  const all: Explained[] = [];
  for (const event of events.slice(0, MOST_EVENTS))
    all.push(...(await explainMessage(task, event, known(store, task, event, payload), context)));
  return all;
}

/**
 * What the store knows of it: by identity; of a mail by all its bytes, or else by its Message-ID, because on its way into a
 * mailbox a mail gets further headers.
 */
function known(store: Store, task: Task, event: Event, payload: Uint8Array): Found | null {
  const raw = createHash('sha256').update(payload).digest('hex');
  const mid = event.aliases.find((alias) => alias.startsWith('mid:'))?.slice('mid:'.length);
  const byMid = mid === undefined ? [] : [{ messageId: mid }];
  const queries: IncidentQuery[] =
    event.body.kind === 'mail' ? [{ raw }, { event: event.id }, ...byMid] : [{ event: event.id }];
  for (const query of queries) {
    const found = findIncident(store, task, query, systemClock.now());
    if (found.incidents.length > 0) return found;
  }
  return null;
}

/** A message from a file. Throws INPUT_NOT_FOUND. */
export async function readRaw(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new SluiceError('INPUT_NOT_FOUND', `${path}: ${(error as Error).message}`);
  }
}
