/**
 * `sluice doctor`: what was found here, one finding a line, and with `-c FILE` also brokers, certificates and store.
 * Secrets are hidden. Exit 1 where something keeps Sluice from its work; a warning does not.
 */
import { hideSecrets, loadConfig } from '../config.ts';
import { examineBrokers } from './doctor/brokers.ts';
import { examineFleet } from './doctor/fleet.ts';
import { examineMachine, type Finding } from './doctor/machine.ts';
import { examineStore } from './doctor/store.ts';
import { collectSetting, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';
import { version } from './version.ts';

interface DoctorOptions {
  readonly config?: string;
  readonly set: readonly string[];
  readonly json?: string | true;
}

export const define: DefineVerb = (command, terminal) => {
  command
    .option(
      '-c, --config <file>',
      'configuration file: its brokers, certificates, keys and store are looked at too',
    )
    .option('--set <path=value>', 'override one option of it (repeatable)', collectSetting, [])
    .option('--json [file]', 'the result as JSON (secrets hidden), to standard output or a file')
    .addHelpText('after', '\nBrokers are connected to but not logged in to; nothing is changed anywhere.')
    .action((options: DoctorOptions) => doctor(options, terminal));
};

async function doctor(options: DoctorOptions, terminal: Terminal): Promise<void> {
  const now = Date.now();
  const config =
    options.config === undefined ? null : loadConfig(options.config, { set: options.set, env: terminal.env });
  const findings: Finding[] = [
    { name: 'sluice', state: 'ok', detail: version },
    ...(await examineMachine(now)),
  ];
  if (config)
    findings.push(
      ...(await examineStore(config.store.path)),
      ...examineFleet(config),
      ...(await examineBrokers(config, now)),
    );
  const bad = findings.filter((finding) => finding.state === 'bad');
  if (bad.length > 0) terminal.exitCode = 1;
  if (options.json !== undefined)
    return printJson(terminal, options.json, {
      ok: bad.length === 0,
      findings,
      ...(config ? { config: hideSecrets(config) } : {}),
    });
  const width = Math.max(...findings.map((finding) => finding.name.length));
  for (const { name, state, detail } of findings)
    print(terminal, `${MARKS[state]}  ${name.padEnd(width)}  ${detail}`);
  print(
    terminal,
    bad.length === 0
      ? 'nothing here keeps Sluice from its work'
      : `${bad.length} to mend: ${[...new Set(bad.map((f) => f.name))].join(', ')}`,
  );
}

const MARKS = { ok: 'ok  ', warn: 'note', bad: 'BAD ' } as const;
