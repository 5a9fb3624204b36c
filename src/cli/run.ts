/** `sluice run -c FILE`: a gateway until it is told to stop. Logs go to standard error, one JSON line each. */
import { App } from '../app/app.ts';
import { loadConfig } from '../config.ts';
import { openEngine } from '../model/engine.ts';
import { Telemetry } from '../telemetry.ts';
import type { DefineVerb, Terminal } from './terminal.ts';
import { withConfig } from './terminal.ts';
import { version } from './version.ts';

interface RunOptions {
  readonly config: string;
  readonly set: string[];
  readonly backend: 'auto' | 'cpu' | 'cuda';
  readonly threads?: string;
  readonly untilEnd?: boolean;
}

export const define: DefineVerb = (command, terminal) => {
  withConfig(command)
    .option('--backend <name>', 'auto, cpu or cuda', 'auto')
    .option('--threads <n>', 'threads for scoring (default: one per core)')
    .option('--until-end', 'stop when every source has ended (files), instead of waiting for more')
    .addHelpText(
      'after',
      '\nSIGTERM and Ctrl-C finish and acknowledge what is in flight, then stop. SIGHUP, or a change of the\nfile, reloads it: a bad file is refused and the old one runs on.',
    )
    .action((options: RunOptions) => run(options, terminal));
};

async function run(options: RunOptions, terminal: Terminal): Promise<void> {
  const read = () => loadConfig(options.config, { set: options.set, env: terminal.env });
  const config = read();
  const telemetry = new Telemetry();
  const threads = options.threads === undefined ? undefined : Number(options.threads);
  const engine = openEngine({ backend: options.backend, threads });
  let app: App | null = null;
  // Before the start, so that a stop during it is a clean one too.
  const told = untilSignal(() => void app?.reload());
  app = await App.start({ config, reload: read, file: options.config, engine, telemetry, version });
  // A person wants one line to click on; a service manager reads the log.
  if (terminal.stderr.isTTY)
    terminal.stderr.write(
      `sluice: ${config.site} runs on ${engine.backend}; status page ${app.address ?? 'off'}; Ctrl-C stops it\n`,
    );
  const ended = options.untilEnd ? app.finished().then(() => 'end' as const) : new Promise<never>(() => {});
  try {
    terminal.exitCode = (await Promise.race([told, ended])) === 'SIGINT' ? 130 : 0;
  } finally {
    const { clean } = await app.stop();
    if (!clean)
      terminal.stderr.write('sluice: stopped with events in flight; their sources deliver them again\n');
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function untilSignal(onHangup: () => void): Promise<'SIGINT' | 'SIGTERM'> {
  process.on('SIGHUP', onHangup);
  return new Promise((resolve) => {
    const stop = (signal: 'SIGINT' | 'SIGTERM') => {
      process.once(signal, () => process.exit(130));
      resolve(signal);
    };
    process.once('SIGINT', () => stop('SIGINT'));
    process.once('SIGTERM', () => stop('SIGTERM'));
  });
}
