/**
 * Elements out of plain values, and bringing what stands on the page up to date with as few changes as possible, so
 * that focus, selection and screen readers keep their place. Text becomes text nodes, never HTML; handlers are not
 * set on elements but found by `data-do` (main.ts), so nothing that comes from outside can become code.
 */

export type Child = Node | string | number | null | false;

export interface Props {
  readonly class?: string;
  /** Keeps its element over updates and moves. */
  readonly key?: string;
  /** What a click asks for, and its argument. */
  readonly do?: string;
  readonly arg?: unknown;
  readonly attributes?: Readonly<Record<string, string | boolean | null>>;
}

/** An element with text and elements in it. */
export function h(
  tag: string,
  props: Props | null,
  ...children: readonly (Child | readonly Child[])[]
): HTMLElement {
  const node = document.createElement(tag);
  if (props?.class) node.className = props.class;
  if (props?.key !== undefined) node.dataset.key = props.key;
  if (props?.do !== undefined) node.dataset.do = props.do;
  if (props?.arg !== undefined)
    node.dataset.arg = typeof props.arg === 'string' ? props.arg : JSON.stringify(props.arg);
  for (const [name, value] of Object.entries(props?.attributes ?? {}))
    if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  node.append(...nodesOf(children));
  return node;
}

function nodesOf(children: readonly (Child | readonly Child[])[]): (Node | string)[] {
  return (children.flat() as readonly Child[])
    .filter((child): child is Node | string | number => child !== null && child !== false && child !== '')
    .map((child) => (typeof child === 'number' ? String(child) : child));
}

/** The element with this id; the document has them all. */
export function get<E extends HTMLElement = HTMLElement>(id: string): E {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node as E;
}

/** Makes these the children of `parent`. */
export function fill(parent: Element, ...children: readonly (Child | readonly Child[])[]): void {
  const wanted = nodesOf(children).map((child) =>
    typeof child === 'string' ? document.createTextNode(child) : child,
  );
  patchChildren(parent, wanted);
}

export function text(node: Element, value: string): void {
  if (node.textContent !== value) node.textContent = value;
}

export function show(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) node.hidden = !visible;
}

const keyOf = (node: Node): string | undefined =>
  node instanceof HTMLElement ? node.dataset.key : undefined;

function patchChildren(parent: Element, wanted: readonly Node[]): void {
  const keyed = new Map<string, Node>();
  for (const child of parent.childNodes) {
    const key = keyOf(child);
    if (key !== undefined) keyed.set(key, child);
  }
  const stays = new Set(wanted.map(keyOf));
  let cursor: Node | null = parent.firstChild;
  for (const next of wanted) {
    // What is no longer wanted gives way, so that the rest need not move.
    while (cursor && keyOf(cursor) !== undefined && !stays.has(keyOf(cursor)))
      cursor = removed(parent, cursor);
    const key = keyOf(next);
    const old = key === undefined ? sameKind(cursor, next) : (keyed.get(key) ?? null);
    if (!old || old.nodeName !== next.nodeName) {
      parent.insertBefore(next, cursor);
      continue;
    }
    if (old === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(old, cursor);
    patch(old, next);
  }
  while (cursor) cursor = removed(parent, cursor);
}

function removed(parent: Element, node: Node): Node | null {
  const after = node.nextSibling;
  parent.removeChild(node);
  return after;
}

function sameKind(old: Node | null, next: Node): Node | null {
  return old && keyOf(old) === undefined && old.nodeName === next.nodeName ? old : null;
}

function patch(old: Node, next: Node): void {
  if (!(old instanceof Element) || !(next instanceof Element)) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name, value } of [...next.attributes])
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  patchChildren(old, [...next.childNodes]);
}
