/**
 * From a scenario file to a scenario, or to every complaint at once, each with line, path and what is allowed: the
 * reader of configurations with another schema. A scenario with a single error is not used at all. `${VAR}` comes from
 * the environment; nothing else of the environment changes a scenario.
 */
import { readFileSync, statSync } from 'node:fs';
import { parseLoosely } from '../../src/config/loosely.ts';
import { applyOverrides } from '../../src/config/overrides.ts';
import { type Problem, showProblem, tidy } from '../../src/config/problems.ts';
import { hideUrlUser } from '../../src/config/secrets.ts';
import type { Environment } from '../../src/config/substitute.ts';
import { readYaml } from '../../src/config/yaml.ts';
import { SluiceError } from '../../src/errors.ts';
import { type Scenario, type ScenarioInput, scenarioSchema } from './schema.ts';

const MAX_FILE = 1024 * 1024;

export interface Overrides {
  /** `a.b=c`, in the order of the command line. */
  readonly set?: readonly string[];
  /** For `${VAR}`; default the process's own. */
  readonly env?: Environment;
}

export interface Read {
  readonly problems: readonly Problem[];
  /** null where there is a problem. */
  readonly scenario: Scenario | null;
}

/** `file` is how the text is called in messages. */
export function readScenario(
  text: string,
  file: string,
  { set = [], env = process.env }: Overrides = {},
): Read {
  const { root, problems } = readYaml(text, file, env);
  const found: Problem[] = [...problems];
  if (root.kind !== 'map' || (found.length > 0 && root.entries.size === 0))
    return { problems: tidy(found), scenario: null };
  found.push(...applyOverrides(root, scenarioSchema, set, {}));
  const parsed = parseLoosely(scenarioSchema, root);
  const said = new Set(found.map(({ path }) => path));
  found.push(...parsed.problems.filter(({ path }) => !said.has(path)));
  const clean = tidy(found).map((problem) => ({ ...problem, message: hideUrlUser(problem.message) }));
  return { problems: clean, scenario: clean.length > 0 ? null : (parsed.value as Scenario) };
}

/** Throws SluiceError CONFIG_UNREADABLE, or CONFIG_INVALID with one complaint a line. */
export function loadScenario(file: string, overrides: Overrides = {}): Scenario {
  let text: string;
  try {
    if (statSync(file).size > MAX_FILE)
      throw new Error('it is larger than 1 MiB; a scenario is a short text');
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : message;
    throw new SluiceError('CONFIG_UNREADABLE', `${file}: ${reason}`, { cause: error });
  }
  const { problems, scenario } = readScenario(text, file, overrides);
  if (scenario) return scenario;
  throw new SluiceError(
    'CONFIG_INVALID',
    `the scenario is refused:\n${problems.map(showProblem).join('\n')}`,
  );
}

/** A scenario of plain values, as the command line makes it. Throws SluiceError USAGE. */
export function scenarioOf(input: ScenarioInput): Scenario {
  const parsed = scenarioSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new SluiceError('USAGE', lines.join('; '));
}
