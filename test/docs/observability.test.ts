/** The Grafana dashboard and the alert rules name only metrics and labels that the table of signals has. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { signals } from '../../src/telemetry.ts';

const docs = path.resolve(import.meta.dirname, '..', '..', 'docs');
const read = (name: string) => readFileSync(path.join(docs, name), 'utf8');

/** By the name Prometheus has: the labels. */
const metrics = new Map<string, readonly string[]>(
  Object.entries(signals).map(([name, row]) => [
    row.metric === 'counter' ? `sluice_${name}_total` : `sluice_${name}`,
    row.labels,
  ]),
);
/** Labels that Prometheus adds. */
const ADDED = ['instance', 'job'];

/** Every string of a tree under one of the keys. */
function strings(tree: unknown, keys: readonly string[]): string[] {
  if (Array.isArray(tree)) return tree.flatMap((part) => strings(part, keys));
  if (tree === null || typeof tree !== 'object') return [];
  return Object.entries(tree).flatMap(([key, value]) =>
    keys.includes(key) && typeof value === 'string' ? [value] : strings(value, keys),
  );
}

/** What is wrong with an expression: names and labels that nobody has. */
function unknown(expression: string): string[] {
  const wrong: string[] = [];
  const used: string[] = [];
  for (const [, name, selector = ''] of expression.matchAll(/\b(sluice_\w+)(?:\{([^}]*)\})?/g)) {
    const labels = metrics.get(name);
    if (!labels) wrong.push(name);
    used.push(...(labels ?? []));
    for (const [, label] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      if (!labels?.includes(label)) wrong.push(`${name}{${label}}`);
  }
  for (const [, list] of expression.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of list.split(',').map((text) => text.trim()))
      if (![...used, ...ADDED].includes(label)) wrong.push(`by (${label})`);
  return wrong;
}

describe('the Grafana dashboard', () => {
  interface Panel {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly description?: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string }[];
  }
  const dashboard = JSON.parse(read('grafana/sluice-dashboard.json')) as {
    readonly panels: readonly Panel[];
  };
  const expressions = strings(dashboard, ['expr', 'query', 'definition']).filter(
    (text) => text !== 'prometheus',
  );

  it('asks only for metrics and labels that there are', () => {
    expect(expressions.length).toBeGreaterThan(25);
    expect(expressions.flatMap(unknown)).toEqual([]);
  });

  it('has panels that each say what they show, with places of their own', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { type, title, description, targets } of panels) {
      expect(title).not.toBe('');
      if (type === 'row') continue;
      expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)]);
      expect(targets?.length).toBeGreaterThan(0);
    }
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('the alert rules', () => {
  interface Rule {
    readonly alert: string;
    readonly expr: string;
    readonly for?: string;
    readonly labels: { readonly severity: string };
    readonly annotations: { readonly summary: string; readonly description: string };
  }
  const { groups } = parse(read('prometheus/alerts.yaml')) as {
    readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);

  it('ask only for metrics and labels that there are', () => {
    expect(rules.length).toBeGreaterThan(10);
    expect(rules.flatMap(({ expr }) => unknown(expr))).toEqual([]);
  });

  it('each say how urgent it is, what is wrong and what to do', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, for: wait, labels, annotations } of rules) {
      expect([alert, labels.severity]).toEqual([alert, expect.stringMatching(/^(page|ticket)$/)]);
      expect(wait ?? '0m').toMatch(/^\d+[smh]$/);
      expect([alert, annotations.summary, annotations.description]).toEqual([
        alert,
        expect.stringMatching(/\.$/),
        expect.stringMatching(/\.$/),
      ]);
    }
  });

  it('name only labels in their words that the expression keeps', () => {
    for (const { alert, expr, annotations } of rules) {
      const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list.split(/,\s*/));
      const own = [...expr.matchAll(/\bsluice_\w+/g)].flatMap(([name]) => metrics.get(name) ?? []);
      const known = kept.length > 0 ? kept : [...own, ...ADDED];
      const named = [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map((match) => match[1]);
      expect([alert, named.filter((label) => !known.includes(label))]).toEqual([alert, []]);
    }
  });
});

it('a metric or a label that nobody has is found', () => {
  expect(unknown('rate(sluice_nonsense_total[5m])')).toEqual(['sluice_nonsense_total']);
  expect(unknown('sluice_ready{task="a"}')).toEqual(['sluice_ready{task}']);
  expect(unknown('sum by (site) (sluice_drift_open)')).toEqual(['by (site)']);
  expect(unknown('sum by (task, instance) (sluice_drift_open{task=~"$task"})')).toEqual([]);
});
