/**
 * From a tree to what a schema makes of it, or to complaints with their places. Text from the environment and the
 * command line cannot say its own type: it is tried as text first, and then as what it looks like.
 */
import type { z } from 'zod';
import { fromIssue, type Problem } from './problems.ts';
import { type Node, nodeAt, toValue } from './tree.ts';

/**
 * Parses; where the schema refuses text from the environment or the command line, that text is read
 * as a number, true or false, and all is parsed once more.
 */
export function parseLoosely(schema: z.ZodType, root: Node): { problems: Problem[]; value: unknown } {
  let result = schema.safeParse(toValue(root), { reportInput: false });
  if (!result.success) {
    const retyped = result.error.issues.filter((issue) =>
      issuePaths(issue).some((path) => retype(nodeAt(root, path))),
    );
    if (retyped.length > 0) result = schema.safeParse(toValue(root));
  }
  if (result.success) return { problems: [], value: result.data };
  return { problems: result.error.issues.flatMap((issue) => fromIssue(issue, root, schema)), value: null };
}

/** The path of an issue and of those inside its union branches. */
function issuePaths(issue: z.core.$ZodIssue): (string | number)[][] {
  const own = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const inner = issue.code === 'invalid_union' ? issue.errors.flat().flatMap(issuePaths) : [];
  return [own, ...inner.map((path) => [...own, ...path])];
}

function retype(node: Node | undefined): boolean {
  if (node?.kind !== 'scalar' || !node.loose || typeof node.value !== 'string') return false;
  const text = node.value.trim();
  if (text === 'true' || text === 'false') node.value = text === 'true';
  else if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) && Number.isFinite(Number(text)))
    node.value = Number(text);
  return typeof node.value !== 'string';
}
