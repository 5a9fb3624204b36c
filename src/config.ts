/**
 * The configuration: one schema made of the tables of parts, and one way in. Promises: what `loadConfig` returns
 * is complete and parsed (defaults filled in, durations in ms, sizes in bytes), or it throws one error
 * that names every problem with its place. Nothing is ignored silently: unknown options are errors.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Linted, lintText, type Overrides } from './config/lint.ts';
import { showProblem } from './config/problems.ts';
import { buildSchema } from './config/schema.ts';
import { hide } from './config/secrets.ts';
import { decoders } from './decode/index.ts';
import { SluiceError } from './errors.ts';
import { featurizers } from './features/index.ts';
import { transports } from './io/index.ts';
import { modelKinds } from './model/kinds.ts';
import { storeOptions } from './state/options.ts';

export type { Linted, Overrides } from './config/lint.ts';
export { type Problem, showProblem } from './config/problems.ts';

export const configSchema = buildSchema({ transports, decoders, featurizers, modelKinds, storeOptions });

/** A whole configuration, parsed. */
export type Config = z.output<typeof configSchema>;

/** Every problem of a file, in its order; `value` is null where one is an error. Throws CONFIG_UNREADABLE. */
export function lintConfig(path: string, overrides: Overrides = {}): Linted<Config> {
  return lintText(configSchema, readText(path), path, overrides);
}

/** The configuration of a file. Throws CONFIG_UNREADABLE, or CONFIG_INVALID with one line for each problem. */
export function loadConfig(path: string, overrides: Overrides = {}): Config {
  const { value, problems } = lintConfig(path, overrides);
  return accept(value, problems, path);
}

/** The same for text that is no file (the demo's own configuration); `name` is how messages call it. */
export function parseConfig(text: string, name: string, overrides: Overrides = {}): Config {
  const { value, problems } = lintText(configSchema, text, name, overrides);
  return accept(value, problems, name);
}

function accept(value: Config | null, problems: Linted<Config>['problems'], name: string): Config {
  if (value !== null) return value;
  const errors = problems.filter((problem) => problem.severity === 'error').map(showProblem);
  const noun = errors.length === 1 ? 'problem' : 'problems';
  throw new SluiceError('CONFIG_INVALID', `${name} has ${errors.length} ${noun}\n${errors.join('\n')}`);
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = {
      ENOENT: 'there is no such file',
      EACCES: 'this user may not read it',
      EISDIR: 'it is a folder',
    }[code ?? ''];
    throw new SluiceError('CONFIG_UNREADABLE', `${path}: ${reason ?? (error as Error).message}`, {
      cause: error,
    });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SluiceError('CONFIG_UNREADABLE', `${path}: it is not UTF-8 text`, { cause: error });
  }
}

/** JSON Schema 2020-12 of the values a user writes; for editors add `withReferences`. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    // A default of a transformed value is of its output, which for durations and sizes is good input too.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema instanceof z.ZodDefault && jsonSchema.default === undefined)
        jsonSchema.default = zodSchema.def.defaultValue as typeof jsonSchema.default;
    },
  });
  return { ...schema, title: 'Sluice configuration' };
}

/** A copy that may be shown: secret options and user and password inside URLs are hidden. */
export function hideSecrets(config: Config): unknown {
  return hide(configSchema, config);
}
