import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Message } from '../../src/contract.ts';
import { driftPayload } from '../../src/envelope/fleet.ts';
import { rowPayload } from '../../src/envelope/rows.ts';
import { deadData, Envelope } from '../../src/envelope.ts';
import { type Lane, LaneStats } from '../../src/flow/lane.ts';
import type { Publisher } from '../../src/flow/publisher.ts';
import { Windows } from '../../src/flow/windows.ts';
import { Metrics, QualityWindow } from '../../src/task/metrics.ts';
import type { Task } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';

const page = readFileSync(new URL('../../docs/payloads.md', import.meta.url), 'utf8');
const labels = ['ham', 'spam'];

/** The names of all fields at any depth; below `byName` stand names of labels. */
function fieldsOf(value: unknown, byName: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    key,
    ...(byName.includes(key) ? [] : fieldsOf(inner, byName)),
  ]);
}

/** The part of the page under a heading. */
const part = (heading: string): string => page.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';

function unnamed(value: unknown, text: string, byName: readonly string[] = []): string[] {
  return fieldsOf(value, byName).filter((name) => !text.includes(`\`${name}\``));
}

const message: Message = {
  source: 'in',
  topic: 't',
  key: 'k',
  payload: Buffer.from('{}'),
  headers: { a: 'b' },
  at: 1,
  position: '',
};

test.each([0, -1])('docs/payloads.md names every field of a verdict (label %i)', (label) => {
  const event = {
    id: 'e',
    device: 'd',
    weak: true,
    at: 1,
    aliases: [],
    body: { kind: 'reading', values: new Float64Array(), categories: [] },
  } as const;
  const given = { event, labels, label, score: 0.5, scores: Float32Array.of(0.5, 0.5), offset: 0 };
  const decided = { action: 'unsure', reason: 'evidence' } as const;
  const rest = { model: 'blank+1', backend: 'cpu', decided, receivedAt: 1, decidedAt: 2 };
  const { data, ...envelope } = JSON.parse(
    new Envelope('cloudevents', 's', 'spam').verdict({ ...given, ...rest }),
  );
  expect(fieldsOf(data, ['scores']).length).toBeGreaterThan(11);
  expect(unnamed(data, part('Verdict'), ['scores'])).toEqual([]);
  expect(unnamed(envelope, part('Envelope'))).toEqual([]);
});

test.each([
  ['whole', 1e6, true],
  ['cut', 100, true],
  ['without its payload', 1e6, false],
])('docs/payloads.md names every field of a dead letter, %s', (_, most, withPayload) => {
  const error = { code: 'DECODE_JSON', message: 'm' };
  const letter = deadData(message, error, 1, most, () => 'digest', withPayload);
  const text = new Envelope('none', 's', 'spam').dead(letter, 'id', 1);
  expect(unnamed(JSON.parse(text), part('Dead letter'), ['headers'])).toEqual([]);
});

test('docs/payloads.md names every field of a metrics window', () => {
  const sent: string[] = [];
  const publisher = {
    submit: async (batch: { payload: string }[]) => void sent.push(...batch.map(({ payload }) => payload)),
  } as unknown as Publisher;
  const windows = new Windows(
    { now: () => 1_000, sleep: async () => {} },
    new Telemetry({ level: 'silent' }),
  );
  windows.add({
    task: { name: 'spam', labels } as unknown as Task,
    lane: { stats: new LaneStats(2) } as unknown as Lane,
    learner: {
      ...{ labels: 1, sufficient: true, quality: new QualityWindow(labels), bytes: 1 },
      ...{ base: { name: 'abc', version: 1 }, name: 'abc+1' },
    },
    outputs: [{ publisher, topic: 't', envelope: new Envelope('none', 's', 'spam') }],
  });
  windows.publish();
  expect(sent).toHaveLength(1);
  expect(fieldsOf(JSON.parse(sent[0]), ['verdicts']).length).toBeGreaterThan(20);
  expect(unnamed(JSON.parse(sent[0]), part('Metrics'), ['verdicts'])).toEqual([]);
});

test('docs/payloads.md names every field of a labelled row', () => {
  const one = {
    count: 1,
    indptr: Uint32Array.of(0, 1),
    indices: Uint32Array.of(3),
    values: Float32Array.of(1),
  };
  const row = { site: 's', task: 'spam', seq: 1, event: 'e', device: 'd', at: 1, labelledAt: 2, label: 1 };
  const rest = {
    weight: 1,
    origin: 'o',
    features: 'f',
    model: 'm',
    predicted: 0,
    scores: Float32Array.of(1, 0),
  };
  const rows = { ...one, denseDims: 0, dense: new Float32Array() };
  const paired = { live: 'a', liveLoss: 1, other: 'b', otherLoss: 2 };
  const text = rowPayload(new Envelope('none', 's', 'spam'), { ...row, ...rest, rows, paired }, labels);
  expect(fieldsOf(JSON.parse(text), ['scores']).length).toBe(20);
  expect(unnamed(JSON.parse(text), part('Rows'), ['scores'])).toEqual([]);
});

test('docs/payloads.md names every field of a drift alarm', () => {
  const alarm = {
    task: 'spam',
    stream: 'logLoss',
    detector: 'd',
    state: 'drift',
    statistic: 1,
    threshold: 1,
  };
  const rest = { window: 1, model: 'm', at: 1, since: 1, before: 1, now: 1, features: [], devices: [] };
  const text = driftPayload(new Envelope('none', 's', 'spam'), { ...alarm, ...rest, state: 'drift' });
  expect(fieldsOf(JSON.parse(text), []).length).toBe(15);
  expect(unnamed(JSON.parse(text), part('Drift'))).toEqual([]);
});

test('docs/payloads.md names every measure of evaluate', () => {
  const metrics = new Metrics({ labels, positive: 1, seed: 1, mail: true });
  metrics.add(0, 0, Float32Array.of(0.9, 0.1), 0);
  metrics.add(1, 1, Float32Array.of(0.2, 0.8), 0);
  const names = unnamed(metrics.report(), part('Result') + part('Metrics'), ['precision', 'recall', 'f1']);
  expect(names).toEqual([]);
});
