/** Complaints about options that stand in no file (on a command line), in the words that `lint` uses. */
import type { z } from 'zod';
import { fromPlain } from './overrides.ts';
import { fromIssue, tidy } from './problems.ts';

/** What the schema refuses of `value`, each as `path: sentence`; empty where nothing. */
export function explain(schema: z.ZodType, value: unknown): string[] {
  const parsed = schema.safeParse(value);
  if (parsed.success) return [];
  const root = fromPlain(value, { shown: '', line: 0, column: 0 });
  const problems = tidy(parsed.error.issues.flatMap((issue) => fromIssue(issue, root, schema)));
  return problems.map(({ path, message }) => `${path}: ${message}`);
}
