/**
 * From text to a configuration or to a list of complaints, for any schema: the file is read, overrides are
 * laid over it, the schema and the cross-checks look at it, and every complaint is given at once, in the
 * order of the file. A configuration with a single error is not used at all.
 */
import type { z } from 'zod';
import { crossCheck } from './checks.ts';
import { parseLoosely } from './loosely.ts';
import { applyOverrides } from './overrides.ts';
import { type Problem, tidy } from './problems.ts';
import { hideUrlUser } from './secrets.ts';
import type { Environment } from './substitute.ts';
import { readYaml } from './yaml.ts';

export interface Overrides {
  /** `a.b=c`, in the order of the command line. */
  readonly set?: readonly string[];
  /** For `${VAR}` and `SLUICE__A__B`; default the process's own. */
  readonly env?: Environment;
}

export interface Linted<T> {
  readonly problems: readonly Problem[];
  /** null where any problem is an error. */
  readonly value: T | null;
}

/** `file` is how the text is called in messages. */
export function lintText<S extends z.ZodType>(
  schema: S,
  text: string,
  file: string,
  overrides: Overrides = {},
): Linted<z.output<S>> {
  const env = overrides.env ?? process.env;
  const { root, problems } = readYaml(text, file, env);
  const found: Problem[] = [...problems];
  // Without a tree, complaints about what is missing would only hide the cause.
  if (root.kind !== 'map' || (found.length > 0 && root.entries.size === 0))
    return { problems: tidy(found), value: null };
  found.push(...applyOverrides(root, schema, overrides.set ?? [], env));
  const parsed = parseLoosely(schema, root);
  const crossed = crossCheck(root);
  // Where a cross-check speaks about a path, it knows more than the schema does.
  const said = new Set([...found, ...crossed].map((p) => p.path));
  found.push(...crossed, ...parsed.problems.filter((p) => !said.has(p.path)));
  const clean = tidy(found).map((p) => ({ ...p, message: hideUrlUser(p.message) }));
  return {
    problems: clean,
    value: clean.some((p) => p.severity === 'error') ? null : (parsed.value as z.output<S>),
  };
}
