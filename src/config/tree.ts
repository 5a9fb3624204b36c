/**
 * A configuration as a tree that remembers where each value was written, so that every complaint
 * names file, line and column. Promises: keys are plain (no `__proto__`), the tree is finite and its
 * depth bounded. It refuses nothing by type: that is the schema's part.
 */

/** Where a value stands: in a file, or in an override (then line and column are 0). */
export interface Place {
  /** As shown to the user: `sluice.yaml:3:7`, `--set http.listen` or `environment SLUICE__SITE`. */
  readonly shown: string;
  readonly line: number;
  readonly column: number;
}

export interface MapNode {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: Map<string, { readonly key: Place; node: Node }>;
}

export interface ListNode {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: Node[];
}

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly place: Place;
  value: string | number | boolean | null;
  /**
   * Text from the environment or the command line, which cannot say its own type: where the schema
   * refuses it as text, it is read once more as a number or as true or false.
   */
  readonly loose: boolean;
}

export type Node = MapNode | ListNode | ScalarNode;
export type Path = readonly (string | number)[];

/** The plain value, for the schema. Maps have no prototype surprises: keys are own properties always. */
export function toValue(node: Node): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(toValue);
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, toValue(entry.node)]));
}

/** The child under a key or an index; undefined where there is none. */
export function child(node: Node | undefined, key: string | number): Node | undefined {
  if (node?.kind === 'map') return node.entries.get(String(key))?.node;
  if (node?.kind === 'list') return node.items[Number(key)];
  return undefined;
}

/** The node at a path; undefined where the path leaves the tree. */
export function nodeAt(root: Node, path: Path): Node | undefined {
  return path.reduce<Node | undefined>(child, root);
}

/**
 * Where to point for a path: the value itself; for a section or where there is no value, its key; where
 * that is missing too, the key of the nearest section that exists.
 */
export function placeOf(root: Node, path: Path): Place {
  const found = nodeAt(root, path);
  const shown = found?.kind === 'list' || (found?.kind === 'scalar' && found.value !== null);
  if (found && path.length > 0) return shown ? found.place : keyPlace(root, path);
  for (let length = path.length - 1; length > 0; length -= 1)
    if (nodeAt(root, path.slice(0, length))) return keyPlace(root, path.slice(0, length));
  return root.place;
}

/** The place of the key that a path ends in (of the item itself, in a list). */
export function keyPlace(root: Node, path: Path): Place {
  const parent = nodeAt(root, path.slice(0, -1));
  const last = path[path.length - 1];
  if (parent?.kind === 'map') return parent.entries.get(String(last))?.key ?? parent.place;
  return nodeAt(root, path)?.place ?? root.place;
}

/** `tasks.spam.labels[1]`; names with other characters are quoted. The root is `configuration`. */
export function showPath(path: Path): string {
  if (path.length === 0) return 'configuration';
  return path
    .map((part, i) => {
      if (typeof part === 'number') return `[${part}]`;
      const name = /^[\w-]+$/.test(part) ? part : JSON.stringify(part);
      return i === 0 ? name : `.${name}`;
    })
    .join('');
}
