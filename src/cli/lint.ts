/** `sluice lint -c FILE`: every problem of a configuration with its place; exit 78 where one is an error. */
import { lintConfig, type Problem, showProblem } from '../config.ts';
import { type DefineVerb, print, printJson, type Terminal, withConfig } from './terminal.ts';

const REFUSED = 78;

interface LintOptions {
  readonly config: string;
  readonly set: readonly string[];
  readonly json?: string | true;
}

export const define: DefineVerb = (command, terminal) => {
  withConfig(command)
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .addHelpText(
      'after',
      '\nPrints one line for each problem: FILE:LINE:COLUMN path: what is wrong and what is allowed.\nExits 0 when the file can be used (warnings included), 78 when it cannot.',
    )
    .action((options: LintOptions) => lint(options, terminal));
};

async function lint(options: LintOptions, terminal: Terminal): Promise<void> {
  const { value, problems } = lintConfig(options.config, { set: options.set, env: terminal.env });
  if (value === null) terminal.exitCode = REFUSED;
  if (options.json !== undefined)
    return printJson(terminal, options.json, {
      file: options.config,
      ok: value !== null,
      problems: problems.map(plain),
    });
  for (const problem of problems) print(terminal, showProblem(problem));
  if (value !== null) print(terminal, `${options.config}: ok: ${counted(value)}`);
  else
    print(
      terminal,
      `${options.config}: refused: ${problems.filter((p) => p.severity === 'error').length} to mend`,
    );
}

/** Line and column are 0 where the problem is in an override; `where` names it. */
function plain({ severity, place, path, message }: Problem) {
  return { severity, where: place.shown, line: place.line, column: place.column, path, message };
}

function counted(config: { sources: object; tasks: object; sinks: object }): string {
  const count = (all: object, noun: string) => {
    const n = Object.keys(all).length;
    return `${n} ${noun}${n === 1 ? '' : 's'}`;
  };
  return `${count(config.sources, 'source')}, ${count(config.tasks, 'task')}, ${count(config.sinks, 'sink')}`;
}
