/**
 * `sluice dead list|show|replay|drop`: the messages that could not be used, as the store keeps them. It works
 * beside a running gateway, which takes up what is marked for replay. What people wrote is masked unless
 * `--show` or `privacy.show`; `--raw` gives the original, byte for byte.
 */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import { loadConfig } from '../config.ts';
import type { DeadLetter, DeadLetters } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { openDeadLetters } from './dead-store.ts';
import { preview, safeText } from './preview.ts';
import { collectSetting, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

interface Where {
  readonly config?: string;
  readonly set: readonly string[];
  readonly store?: string;
}

interface ShowOptions extends Where {
  readonly json?: string | true;
  readonly raw?: string;
  readonly show?: true;
  readonly bytes: string;
}

interface ListOptions extends Where {
  readonly task?: string;
  readonly limit: string;
  readonly json?: string | true;
}

interface ManyOptions extends Where {
  readonly all?: true;
  readonly task?: string;
}

export const define: DefineVerb = (command, terminal) => {
  command.addHelpText('after', '\nExample: sluice dead list -c sluice.yaml --task spam');
  where(command, 'list', 'the newest dead letters, one a line')
    .option('--task <name>', 'only those of this task')
    .option('--limit <n>', 'at most so many', '50')
    .option('--json [file]', 'as JSON, to standard output or a file')
    .action((options: ListOptions) => list(options, terminal));
  where(command, 'show', 'one dead letter: why it died, its headers, the begin of its payload')
    .argument('<id>', 'as `list` prints it')
    .option('--show', 'do not mask what people wrote')
    .option('--bytes <n>', 'how much of the payload to print', '512')
    .option(
      '--raw <file>',
      'write the original payload to a file, or - for standard output, and print nothing else',
    )
    .option(
      '--json [file]',
      'as JSON with the payload in base64 (never masked), to standard output or a file',
    )
    .action((id: string, options: ShowOptions) => show(id, options, terminal));
  for (const [verb, summary] of [
    ['replay', 'put dead letters through the flow again; the running or the next gateway does it'],
    ['drop', 'erase dead letters for good'],
  ] as const)
    where(command, verb, summary)
      .argument('[ids...]', 'as `list` prints them')
      .option('--all', 'every one (of the task, with --task)')
      .option('--task <name>', 'with --all: only those of this task')
      .action((ids: string[], options: ManyOptions) => many(verb, ids, options, terminal));
};

function where(command: Command, name: string, summary: string): Command {
  return command
    .command(name)
    .description(summary)
    .option('-c, --config <file>', 'configuration file (YAML); its store is opened')
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--store <folder>', 'the folder of the store, instead of a configuration');
}

/** Opens the store, hands its letters and whether to show plainly to `work`, and closes it again. */
async function withLetters<T>(
  options: Where,
  terminal: Terminal,
  work: (letters: DeadLetters, plainly: boolean) => Promise<T>,
): Promise<T> {
  if ((options.config === undefined) === (options.store === undefined))
    throw new SluiceError('USAGE', 'name the store: either -c FILE or --store FOLDER');
  const config = options.config ? loadConfig(options.config, { set: options.set, env: terminal.env }) : null;
  const opened = await openDeadLetters(config?.store ?? { path: options.store! }, config?.privacy.key);
  try {
    return await work(opened.letters, config?.privacy.show ?? false);
  } finally {
    await opened.close();
  }
}

function list(options: ListOptions, terminal: Terminal): Promise<void> {
  return withLetters(options, terminal, async (letters) => {
    const found = letters.list({ task: options.task, limit: wholeNumber('--limit', options.limit) });
    if (options.json !== undefined) return printJson(terminal, options.json, found.map(summary));
    for (const letter of found) {
      const { id, at, task, code, bytes, source, topic } = summary(letter);
      const from = topic === '' ? source : `${source} ${topic}`;
      print(
        terminal,
        `${id}  ${at}  ${task || '-'}  ${code}  ${bytes} bytes  ${safeText(from)}  ${safeText(letter.message)}`,
      );
    }
    if (found.length === 0) terminal.stderr.write('no dead letters\n');
  });
}

function summary({ id, task, code, message, receivedAt, original }: DeadLetter) {
  const { source, topic, key, payload } = original;
  return {
    id,
    at: new Date(receivedAt).toISOString(),
    task,
    code,
    message,
    source,
    topic,
    key,
    bytes: payload.byteLength,
  };
}

function show(id: string, options: ShowOptions, terminal: Terminal): Promise<void> {
  return withLetters(options, terminal, async (letters, plainly) => {
    const letter = letters.get(id);
    if (!letter)
      throw new SluiceError(
        'DEAD_UNKNOWN',
        `there is no dead letter ${id}: never was, was replayed, dropped or outlived its time`,
      );
    const { original } = letter;
    if (options.raw !== undefined) return writeRaw(options.raw, original.payload, terminal);
    if (options.json !== undefined) {
      const payload = Buffer.from(original.payload).toString('base64');
      return printJson(terminal, options.json, { ...summary(letter), headers: original.headers, payload });
    }
    const shown = { plainly: plainly || options.show === true, bytes: wholeNumber('--bytes', options.bytes) };
    for (const line of describe(letter, shown)) print(terminal, line);
  });
}

function describe(letter: DeadLetter, { plainly, bytes }: { plainly: boolean; bytes: number }): string[] {
  const { at, task, source, topic, key } = summary(letter);
  const { original, code, message, id } = letter;
  const headers = Object.entries(original.headers).map(
    ([name, value]) =>
      `header    ${safeText(name)}: ${plainly ? safeText(value) : `‹${value.length} characters›`}`,
  );
  const hint = plainly
    ? []
    : ['masked    letters are •, digits are 0; --show prints them, --raw writes the original'];
  return [
    `id        ${id}`,
    `received  ${at}`,
    `task      ${task || '-'}`,
    `reason    ${code}: ${safeText(message)}`,
    `source    ${safeText(source)}`,
    `topic     ${safeText(topic)}`,
    ...(key === null ? [] : [`key       ${plainly ? safeText(key) : `‹${key.length} characters›`}`]),
    ...(original.position === '' ? [] : [`position  ${safeText(original.position)}`]),
    ...headers,
    `payload   ${original.payload.byteLength} bytes`,
    ...preview(original.payload, { plainly, bytes }).map((line) => `  ${line}`),
    ...hint,
  ];
}

async function writeRaw(where: string, payload: Uint8Array, terminal: Terminal): Promise<void> {
  if (where === '-') {
    terminal.stdout.write(payload);
    return;
  }
  // `wx`: an original is never written over something that is there.
  const stream = createWriteStream(where, { flags: 'wx', mode: 0o600 });
  stream.end(payload);
  await finished(stream).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EEXIST' ? 'it exists already' : error.message;
    throw new SluiceError('INPUT_INVALID', `cannot write ${where}: ${reason}`, { cause: error });
  });
}

function many(
  verb: 'replay' | 'drop',
  ids: readonly string[],
  options: ManyOptions,
  terminal: Terminal,
): Promise<void> {
  if (ids.length > 0 === (options.all === true))
    throw new SluiceError('USAGE', `name the dead letters to ${verb}, or --all`);
  if (options.task !== undefined && !options.all) throw new SluiceError('USAGE', '--task goes with --all');
  return withLetters(options, terminal, async (letters) => {
    const chosen = options.all
      ? letters.list({ task: options.task, limit: Number.MAX_SAFE_INTEGER }).map((l) => l.id)
      : ids;
    const done = verb === 'drop' ? await letters.drop(chosen) : await letters.markReplay(chosen);
    const noun = done === 1 ? 'dead letter' : 'dead letters';
    print(
      terminal,
      verb === 'drop'
        ? `${done} ${noun} dropped`
        : `${done} ${noun} marked; the running or the next gateway replays them`,
    );
    if (done < chosen.length) {
      terminal.stderr.write(`sluice: ${chosen.length - done} of ${chosen.length} were not found\n`);
      terminal.exitCode = 1;
    }
  });
}

function wholeNumber(option: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new SluiceError('USAGE', `${option} ${text}: write a whole number`);
}
