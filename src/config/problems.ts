/**
 * A complaint about a configuration, and how the schema's findings become complaints that a person
 * can act on: the place, the path, what is wrong, what is allowed, and the nearest word where it
 * looks like a slip. Values are never repeated where they may be secret.
 */
import type { z } from 'zod';
import { allowedKeys } from './shape.ts';
import { didYouMean } from './suggest.ts';
import { keyPlace, type Node, nodeAt, type Path, type Place, placeOf, showPath } from './tree.ts';

export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly place: Place;
  readonly path: string;
  readonly message: string;
}

/** `FILE:LINE:COL path: message`; warnings say so. */
export function showProblem(problem: Problem): string {
  const level = problem.severity === 'warning' ? 'warning: ' : '';
  return `${problem.place.shown} ${level}${problem.path}: ${problem.message}`;
}

/** In the order of the file, one for each path and sentence. */
export function tidy(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems
    .filter((p) => {
      const key = `${p.place.shown} ${p.path} ${p.message}`;
      return !seen.has(key) && seen.add(key);
    })
    .sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
}

type Issue = z.core.$ZodIssue;

/** The complaints of one schema finding; a list of unknown keys gives one each. */
export function fromIssue(issue: Issue, root: Node, schema: z.ZodType): Problem[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const error = (at: Path, place: Place, message: string): Problem => ({
    severity: 'error',
    place,
    path: showPath(at),
    message,
  });
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const full = [...path, key];
      const allowed = allowedKeys(schema, root, path);
      return error(full, keyPlace(root, full), unknownKey(key, allowed));
    });
  if (issue.code === 'invalid_union' && DEFAULT_WORDING.test(issue.message)) {
    const branch = bestBranch(issue.errors, nodeAt(root, path));
    if (branch)
      return branch.flatMap((inner) =>
        fromIssue({ ...inner, path: [...issue.path, ...inner.path] }, root, schema),
      );
  }
  if (issue.code === 'invalid_key') {
    const inner = issue.issues[0]?.message ?? issue.message;
    return [error(path, keyPlace(root, path), `is not a usable name: ${inner}`)];
  }
  return [error(path, placeOf(root, path), sentence(issue, nodeAt(root, path)))];
}

function unknownKey(key: string, allowed: readonly string[]): string {
  const near = didYouMean(key, allowed);
  return `unknown option${near}${allowed.length > 0 ? ` (known here: ${allowed.join(', ')})` : ''}`;
}

/** Of a union's branches the one that got furthest: its complaint is about what the user meant. */
function bestBranch(
  branches: readonly (readonly Issue[])[],
  node: Node | undefined,
): readonly Issue[] | null {
  const scalar = node?.kind === 'scalar';
  const misfit = (i: Issue) =>
    i.path.length === 0 && (i.code === 'invalid_type' || (i.code === 'invalid_value' && !scalar));
  const fitting = branches.filter((issues) => !issues.some(misfit));
  const depth = (issues: readonly Issue[]) => Math.max(...issues.map((i) => i.path.length));
  // All are at the value itself: one sentence about all of them is better than about the first.
  if (fitting.length !== 1 && fitting.every((issues) => depth(issues) === 0)) return null;
  return fitting.reduce((best, issues) => (depth(issues) > depth(best) ? issues : best));
}

function sentence(issue: Issue, node: Node | undefined): string {
  if (
    node === undefined &&
    (issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union')
  )
    return `is missing${wanted(issue)}`;
  if (node?.kind === 'scalar' && node.value === null) return `has no value${wanted(issue)}`;
  if (!DEFAULT_WORDING.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}, not ${found(node)}${quoteHint(issue.expected, node)}`;
    case 'invalid_value':
      return oneOf(issue.values.map(String), node);
    case 'invalid_union':
      return issue.discriminator ? oneOf(discriminatorValues(issue), node) : union(issue, node);
    case 'too_small':
    case 'too_big':
      return bound(issue);
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    default:
      return issue.message;
  }
}

/** How the library words what a schema gave no words for. */
const DEFAULT_WORDING =
  /^(Invalid (input|option|key|element|discriminator|string|number|[A-Z]*$)|Too (small|big))/;

function wanted(issue: Issue): string {
  if (issue.code === 'invalid_type') return ` (${article(issue.expected)})`;
  if (issue.code === 'invalid_value') return ` (${listed(issue.values.map(String))})`;
  if (issue.code === 'invalid_union' && issue.discriminator) {
    const options = discriminatorValues(issue);
    return options.length > 0 ? ` (${listed(options)})` : '';
  }
  if (issue.code === 'invalid_union') return ` (${expectedTypes(issue)})`;
  return '';
}

function discriminatorValues(issue: Issue): string[] {
  const options = (issue as { options?: readonly unknown[] }).options;
  return options?.map(String) ?? [];
}

function oneOf(allowed: readonly string[], node: Node | undefined): string {
  const text = node?.kind === 'scalar' ? String(node.value) : null;
  if (text === null) return `must be ${listed(allowed)}, not ${found(node)}`;
  return `must be ${listed(allowed)}${allowed.length > 1 ? didYouMean(text, allowed) : ''}`;
}

function listed(words: readonly string[]): string {
  if (words.length === 1) return words[0];
  return `one of ${words.join(', ')}`;
}

function expectedTypes(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  const types = issue.errors.flatMap((e) =>
    e.filter((i) => i.code === 'invalid_type').map((i) => i.expected),
  );
  return [...new Set(types)].map(article).join(' or ');
}

function union(issue: Extract<Issue, { code: 'invalid_union' }>, node: Node | undefined): string {
  const values = issue.errors.flatMap((e) =>
    e.flatMap((i) => (i.code === 'invalid_value' ? i.values.map(String) : [])),
  );
  if (values.length > 0 && node?.kind === 'scalar') return oneOf(values, node);
  const types = expectedTypes(issue);
  return types ? `must be ${types}, not ${found(node)}` : issue.message;
}

function bound(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const small = issue.code === 'too_small';
  const limit = Number(small ? issue.minimum : issue.maximum);
  const units: Readonly<Record<string, string>> = { string: 'characters', array: 'entries', set: 'entries' };
  const unit = units[issue.origin];
  if (unit) {
    const noun = limit === 1 ? unit.replace(/ies$/, 'y').replace(/s$/, '') : unit;
    return `must have at ${small ? 'least' : 'most'} ${limit} ${noun}`;
  }
  const edge =
    issue.inclusive === false ? (small ? 'greater than' : 'less than') : small ? 'at least' : 'at most';
  return `must be ${edge} ${limit}`;
}

const ARTICLES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section of options',
  record: 'a section of names',
};
const article = (expected: string): string => ARTICLES[expected] ?? `a ${expected}`;

function found(node: Node | undefined): string {
  if (!node) return 'nothing';
  if (node.kind === 'map') return 'a section';
  if (node.kind === 'list') return 'a list';
  if (typeof node.value === 'string') return 'text';
  if (typeof node.value === 'number') return 'a number';
  return node.value === null ? 'nothing' : String(node.value);
}

function quoteHint(expected: string, node: Node | undefined): string {
  const bare = node?.kind === 'scalar' && typeof node.value !== 'string' && node.value !== null;
  return expected === 'string' && bare ? '; put it in quotes' : '';
}
