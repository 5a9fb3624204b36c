/**
 * `sluice docs`, for this repository only: writes docs/config.md, docs/metrics.md and docs/errors.md from the
 * tables, or with `--check` exits 1 naming the files that are out of date. The same tables give the same bytes.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configPage, errorsPage, metricsPage } from '../config/reference.ts';
import { configJsonSchema } from '../config.ts';
import { errorTable, SluiceError } from '../errors.ts';
import { signals } from '../telemetry.ts';
import { type DefineVerb, print, type Terminal } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  command
    .option('--check', 'write nothing; exit 1 where a file is out of date')
    .option('--into <folder>', 'the folder of the documentation', 'docs')
    .action((options: { check?: true; into: string }) => docs(options, terminal));
};

function docs({ check, into }: { check?: true; into: string }, terminal: Terminal): void {
  if (!existsSync(into)) throw new SluiceError('INPUT_NOT_FOUND', `there is no folder ${into}`);
  const pages = {
    'config.md': configPage(configJsonSchema()),
    'metrics.md': metricsPage(signals),
    'errors.md': errorsPage(errorTable),
  };
  for (const [name, text] of Object.entries(pages)) {
    const path = join(into, name);
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    if (check) {
      print(terminal, `${path} is out of date; run \`sluice docs\` and commit it`);
      terminal.exitCode = 1;
    } else {
      writeFileSync(path, text);
      print(terminal, `${path} written`);
    }
  }
}
