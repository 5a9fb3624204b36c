// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what this file is about
/**
 * YAML 1.2 text to a tree with places. Promises: one document, keys are plain text and unique,
 * environment references are replaced in scalars only. Refuses tags, merge keys, `__proto__`,
 * and documents larger than 1 MiB, deeper than 32 levels or (through aliases) larger than 100,000 values.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode } from 'yaml';
import type { Problem } from './problems.ts';
import { type Environment, substitute } from './substitute.ts';
import { type ListNode, type MapNode, type Node, type Path, type Place, showPath } from './tree.ts';

const MAX_TEXT = 1024 ** 2;
const MAX_DEPTH = 32;
const MAX_NODES = 100_000;

export interface Reading {
  readonly root: Node;
  readonly problems: readonly Problem[];
}

/** Reads `text`; `file` is how the file is called in messages. */
export function readYaml(text: string, file: string, env: Environment): Reading {
  return new Reader(text, file, env).read();
}

class Reader {
  readonly #text: string;
  readonly #file: string;
  readonly #env: Environment;
  readonly #lines = new LineCounter();
  readonly #problems: Problem[] = [];
  #nodes = 0;

  constructor(text: string, file: string, env: Environment) {
    this.#text = text.replace(/^\uFEFF/, '');
    this.#file = file;
    this.#env = env;
  }

  read(): Reading {
    const empty: Node = { kind: 'map', place: this.#place(0), entries: new Map() };
    if (this.#text.length > MAX_TEXT) {
      this.#complain(0, [], 'is larger than 1 MiB; a configuration is a short text');
      return { root: empty, problems: this.#problems };
    }
    const document = parseDocument(this.#text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      // Not `silent`: that would also silence a second document.
      logLevel: 'error',
    });
    // Warnings are unresolved tags and the like: refused, never guessed. Of several, the later ones are
    // mostly consequences of the first.
    const [first] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
    if (first)
      this.#complain(first.pos[0], [], wording(first.code, first.message) + this.#hint(first.pos[0]));
    if (this.#problems.length > 0) return { root: empty, problems: this.#problems };
    if (!document.contents || (isScalar(document.contents) && document.contents.value === null)) {
      this.#complain(0, [], 'is empty; a smallest example is in docs/config.md');
      return { root: empty, problems: this.#problems };
    }
    if (!isMap(document.contents)) {
      this.#complain(
        document.contents.range?.[0] ?? 0,
        [],
        'must be a map of options such as `site: north-gate`',
      );
      return { root: empty, problems: this.#problems };
    }
    const root = this.#convert(document.contents, [], (alias) => alias.resolve(document));
    return { root, problems: this.#problems };
  }

  #convert(node: YamlNode, path: Path, resolve: Resolve): Node {
    const place = this.#place(node.range?.[0] ?? 0);
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES || path.length > MAX_DEPTH) {
      if (this.#nodes <= MAX_NODES + 1)
        this.#complain(
          node.range?.[0] ?? 0,
          path,
          `is nested deeper than ${MAX_DEPTH} levels or repeats too much through aliases`,
        );
      this.#nodes = MAX_NODES + 2;
      return { kind: 'scalar', place, value: null, loose: false };
    }
    if (isAlias(node)) {
      const target = resolve(node);
      if (target) return this.#convert(target as YamlNode, path, resolve);
      this.#complain(
        node.range?.[0] ?? 0,
        path,
        `*${node.source} refers to nothing; an anchor &${node.source} must stand before it`,
      );
      return { kind: 'scalar', place, value: null, loose: false };
    }
    if (isMap(node)) return this.#convertMap(node, path, resolve);
    if (isSeq(node)) {
      const list: ListNode = { kind: 'list', place, items: [] };
      node.items.forEach((item, i) => {
        list.items.push(this.#convert(item as YamlNode, [...path, i], resolve));
      });
      return list;
    }
    return this.#convertScalar(node, path, place);
  }

  #convertMap(node: import('yaml').YAMLMap, path: Path, resolve: Resolve): MapNode {
    const map: MapNode = { kind: 'map', place: this.#place(node.range?.[0] ?? 0), entries: new Map() };
    for (const pair of node.items) {
      const keyNode = pair.key as YamlNode;
      const offset = keyNode?.range?.[0] ?? node.range?.[0] ?? 0;
      if (!isScalar(keyNode) || keyNode.value === null) {
        this.#complain(offset, path, 'has a key that is not a plain name');
        continue;
      }
      const key =
        typeof keyNode.value === 'string' ? keyNode.value : (keyNode.source ?? String(keyNode.value));
      const problem = refusal(key, map);
      if (problem) {
        this.#complain(offset, [...path, key], problem);
        continue;
      }
      const value = pair.value
        ? this.#convert(pair.value as YamlNode, [...path, key], resolve)
        : ({ kind: 'scalar', place: this.#place(offset), value: null, loose: false } as const);
      map.entries.set(key, { key: this.#place(offset), node: value });
    }
    return map;
  }

  #convertScalar(node: YamlNode, path: Path, place: Place): Node {
    const value: unknown = isScalar(node) ? node.value : null;
    if (typeof value !== 'string') {
      const known = typeof value === 'number' || typeof value === 'boolean' || value === null;
      return { kind: 'scalar', place, value: known ? value : String(value), loose: false };
    }
    const result = substitute(value, this.#env);
    for (const { near, message } of result.problems) this.#complain(this.#find(node, near), path, message);
    // Quoted or not: inside [ ] and { } a reference must be quoted, so quotes say nothing about its type.
    return { kind: 'scalar', place, value: result.text, loose: result.changed };
  }

  /** The offset of `near` inside a scalar's own text, or of the scalar where escapes hide it. */
  #find(node: YamlNode, near: string): number {
    const [start, end] = node.range ?? [0, 0];
    const at = this.#text.slice(start, end).indexOf(near);
    return start + Math.max(0, at);
  }

  /** The commonest cause of a syntax error that its own sentence does not name. */
  #hint(offset: number): string {
    const lineStart = this.#text.lastIndexOf('\n', offset - 1) + 1;
    const line = this.#text.slice(lineStart).split('\n', 1)[0];
    return /[[{,:]\s*\$\{/.test(line) ? '; inside [ ] and { } put ${…} in quotes' : '';
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    // linePos knows nothing before the first newline was counted.
    const [row, column] = line === 0 ? [1, offset + 1] : [line, col];
    return { shown: `${this.#file}:${row}:${column}`, line: row, column };
  }

  #complain(offset: number, path: Path, message: string): void {
    this.#problems.push({ severity: 'error', place: this.#place(offset), path: showPath(path), message });
  }
}

type Resolve = (alias: import('yaml').Alias) => unknown;

function refusal(key: string, map: MapNode): string | null {
  if (key === '__proto__') return 'is not allowed as a name';
  if (key === '<<')
    return 'merge keys are not supported; repeat the options, or use an alias for a whole section';
  if (map.entries.has(key)) return 'is given twice';
  return null;
}

/** The parser's own sentences are good; a few common ones are said in our words. */
function wording(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'the same key is given twice in this section';
  if (code === 'MULTIPLE_DOCS') return 'the file holds several YAML documents (---); only one is read';
  if (code === 'TAG_RESOLVE_FAILED')
    return 'YAML tags (!…) are not supported; if it is text, put it in quotes';
  if (code === 'TAB_AS_INDENT') return 'a tab is used for indentation; YAML wants spaces';
  return `not valid YAML: ${message.replace(/\s+/g, ' ').trim()}`;
}
