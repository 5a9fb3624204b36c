/**
 * Options from the command line (`--set a.b=c`) and the environment (`SLUICE__A__B=c`), laid over the
 * file's tree before the schema sees it; the environment first, the command line last. A value is text
 * whose type the schema decides; one that opens with `[`, `{` or a quote is read as YAML. Names of the
 * environment match options without regard to case, `-` and `_`. Refuses paths through a value.
 */
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import type { Problem } from './problems.ts';
import { allowedKeys } from './shape.ts';
import type { Environment } from './substitute.ts';
import { type MapNode, type Node, nodeAt, type Path, type Place, showPath } from './tree.ts';

const PREFIX = 'SLUICE__';

interface Override {
  readonly place: Place;
  readonly path: Path;
  readonly text: string;
}

/** Applies all overrides to `root` in place; returns what could not be applied. */
export function applyOverrides(
  root: MapNode,
  schema: z.ZodType,
  set: readonly string[],
  env: Environment,
): Problem[] {
  const problems: Problem[] = [];
  const apply = (override: Override | Problem) => {
    const problem = 'message' in override ? override : put(root, override);
    if (problem) problems.push(problem);
  };
  for (const name of Object.keys(env).sort())
    if (name.startsWith(PREFIX) && env[name] !== undefined)
      apply(fromEnvironment(root, schema, name, env[name]));
  for (const argument of set) apply(fromArgument(argument));
  return problems;
}

const placeIn = (shown: string): Place => ({ shown, line: 0, column: 0 });
const refuse = (place: Place, path: string, message: string): Problem => ({
  severity: 'error',
  place,
  path,
  message,
});

/** `a.b.0="x"`: parts are split at dots; a part with a dot in it stands in double quotes. */
function fromArgument(argument: string): Override | Problem {
  const match = /^((?:"[^"]*"|[^"=])+)=(.*)$/s.exec(argument);
  if (!match)
    return refuse(
      placeIn(`--set ${argument.split('=')[0]}`),
      'configuration',
      'is not PATH=VALUE, as in --set http.listen=127.0.0.1:9000',
    );
  const [, left, text] = match;
  const place = placeIn(`--set ${left}`);
  const parts = [...left.matchAll(/"([^"]*)"|([^".]+)|(\.\.|^\.|\.$)/g)];
  if (parts.some((p) => p[3] !== undefined))
    return refuse(place, left, 'has an empty part; write a.b.c=value');
  return { place, path: parts.map((p) => (p[1] ?? p[2]).trim()), text };
}

function fromEnvironment(root: MapNode, schema: z.ZodType, name: string, text: string): Override | Problem {
  const place = placeIn(`environment ${name}`);
  const path: string[] = [];
  for (const segment of name.slice(PREFIX.length).split('__')) {
    if (segment === '')
      return refuse(place, path.join('.') || 'configuration', 'has an empty part; write SLUICE__A__B=value');
    const here = nodeAt(root, path);
    const written = here?.kind === 'map' ? [...here.entries.keys()] : [];
    const matches = new Set(
      [...written, ...allowedKeys(schema, root, path)].filter((key) => bare(key) === bare(segment)),
    );
    if (matches.size > 1 && !matches.has(segment))
      return refuse(place, [...path, segment].join('.'), `may mean ${[...matches].join(' or ')}; use --set`);
    path.push(matches.has(segment) ? segment : ([...matches][0] ?? segment.toLowerCase()));
  }
  return { place, path, text };
}

const bare = (word: string): string => word.toLowerCase().replace(/[-_]/g, '');

/** Puts the value at its path, making sections on the way; returns why not. */
function put(root: MapNode, { place, path, text }: Override): Problem | null {
  if (path.includes('__proto__')) return refuse(place, showPath(path), '__proto__ is not allowed as a name');
  const value = read(text, place);
  if (value === null)
    return refuse(
      place,
      showPath(path),
      'the value opens like YAML but is not valid; put it in quotes if it is text',
    );
  let at: Node = root;
  for (const [i, part] of path.entries()) {
    const next: Node = i === path.length - 1 ? value : { kind: 'map', place, entries: new Map() };
    const step: Node | string = enter(at, part, next, i === path.length - 1, place);
    if (typeof step === 'string') return refuse(place, showPath(path.slice(0, i)), step);
    at = step;
  }
  return null;
}

/** The child under `part`, made or replaced by `next` where needed; a sentence where it cannot be. */
function enter(at: Node, part: string | number, next: Node, last: boolean, place: Place): Node | string {
  if (at.kind === 'scalar') return 'is a value, not a section; nothing can be set below it';
  if (at.kind === 'list') {
    const index = Number(part);
    if (!/^\d+$/.test(String(part)) || index > at.items.length)
      return `is a list of ${at.items.length}; name an entry by its number from 0 (${at.items.length} appends)`;
    if (last || index === at.items.length || isNothing(at.items[index])) at.items[index] = next;
    return at.items[index];
  }
  const entry = at.entries.get(String(part));
  if (!entry || last || isNothing(entry.node)) at.entries.set(String(part), { key: place, node: next });
  return at.entries.get(String(part))!.node;
}

const isNothing = (node: Node): boolean => node.kind === 'scalar' && node.value === null;

/** Text as a node; null where it opens like YAML and is not. */
function read(text: string, place: Place): Node | null {
  if (text.includes('__proto__')) return null;
  if (!/^\s*[[{"']/.test(text)) return { kind: 'scalar', place, value: text, loose: true };
  const document = parseDocument(text, { logLevel: 'error' });
  if (document.errors.length > 0 || document.warnings.length > 0) return null;
  return fromPlain(document.toJS({ maxAliasCount: 0 }), place);
}

/** A parsed value as a tree; every node stands at `place`. */
export function fromPlain(value: unknown, place: Place): Node {
  if (Array.isArray(value))
    return { kind: 'list', place, items: value.map((item) => fromPlain(item, place)) };
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, { key: place, node: fromPlain(item, place) }] as const,
    );
    return { kind: 'map', place, entries: new Map(entries) };
  }
  const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return { kind: 'scalar', place, value: known ? value : null, loose: false };
}
