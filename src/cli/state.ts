/**
 * `sluice state backup|restore|migrate`: a copy of the store, made while the gateway runs, and put back where there is none.
 * What it holds: labels, models, scored events, the outbox, dead letters; as private as the store itself. And a store of an
 * older version carried over to this one.
 */
import type { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { loadConfig } from '../config.ts';
import { SluiceError } from '../errors.ts';
import { type Backup, backUp, restore } from '../state/backup.ts';
import { migrate } from '../state/migrate.ts';
import { collectSetting, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

interface StateOptions {
  readonly config?: string;
  readonly set: readonly string[];
  readonly store?: string;
  readonly json?: string | true;
}

export const define: DefineVerb = (command, terminal) => {
  command.addHelpText('after', EXAMPLES);
  where(command, 'backup', 'copy the store into a new folder; the gateway may run meanwhile')
    .requiredOption('--to <folder>', 'a folder that is not there yet')
    .action((options: StateOptions & { to: string }) =>
      run(options, options.to, (path) => backUp(path, options.to, systemClock.now()), 'backed up', terminal),
    );
  where(command, 'restore', 'put a backup where there is no store; then start the gateway')
    .requiredOption('--from <folder>', 'what `state backup` made')
    .action((options: StateOptions & { from: string }) =>
      run(options, options.from, (path) => restore(options.from, path), 'restored', terminal),
    );
  where(
    command,
    'migrate',
    'carry a store of an older version over to this one, as the next start would; the gateway must not run',
  ).action((options: StateOptions) => carryOver(options, terminal));
};

const EXAMPLES = `
Examples:
  sluice state backup -c sluice.yaml --to /backup/sluice-monday
  sluice state restore -c sluice.yaml --from /backup/sluice-monday
  sluice state migrate -c sluice.yaml

Labels learned after the backup are not in it, and messages that waited in it for their sink go out again.`;

function where(command: Command, name: string, summary: string): Command {
  return command
    .command(name)
    .description(summary)
    .option('-c, --config <file>', 'configuration file (YAML); its store is meant')
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--store <folder>', 'the folder of the store, instead of a configuration')
    .option('--json [file]', 'the result as JSON, to standard output or a file');
}

async function run(
  options: StateOptions,
  other: string,
  work: (path: string) => Promise<Backup>,
  done: string,
  terminal: Terminal,
): Promise<void> {
  const path = storePath(options, terminal);
  const backup = await work(path);
  if (options.json !== undefined)
    return printJson(terminal, options.json, { store: path, folder: other, ...backup });
  const mebibytes = (backup.bytes / 1024 ** 2).toFixed(1);
  print(
    terminal,
    `${done}: ${path}, ${mebibytes} MiB as of ${backup.at}, ${done === 'restored' ? 'from' : 'to'} ${other}`,
  );
}

function storePath({ config: file, set, store }: StateOptions, { env }: Terminal): string {
  if ((file === undefined) === (store === undefined))
    throw new SluiceError('USAGE', 'name the store: either -c FILE or --store FOLDER');
  return file === undefined ? store! : loadConfig(file, { set, env }).store.path;
}

async function carryOver(options: StateOptions, terminal: Terminal): Promise<void> {
  const store = storePath(options, terminal);
  const { from, to } = await migrate(store, systemClock.now());
  if (options.json !== undefined) return printJson(terminal, options.json, { store, from, to });
  print(
    terminal,
    from === to
      ? `${store} has format ${to}, which is this version's: nothing to do`
      : `${store} was carried over from format ${from} to ${to}`,
  );
}
