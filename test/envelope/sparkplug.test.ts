/** Verdicts as an edge node tells them, read back by the decoder of edge nodes. */
import { expect, test } from 'vitest';
import type { Event, Outgoing, ReadingBody } from '../../src/contract.ts';
import { openSparkplug, sparkplugOptions } from '../../src/decode/sparkplug.ts';
import { VerdictNode } from '../../src/envelope/sparkplug.ts';
import type { Verdict } from '../../src/envelope.ts';
import { messageOf } from '../decode/corpus.ts';

const AT = Date.UTC(2026, 0, 1);
const fields = {
  score: { pointer: '/Sluice/machine/Score' },
  fault: { pointer: '/Sluice/machine/Scores/fault' },
  label: { pointer: '/Sluice/machine/Label', type: 'category' },
  event: { pointer: '/Sluice/machine/Event', type: 'category' },
};
const open = () => openSparkplug(sparkplugOptions.parse({ fields })).remember!(null);
const verdict = (device: string, n: number, label = 1): Verdict => ({
  event: { id: `e${n}`, device, at: AT + n } as Event,
  labels: ['ok', 'fault'],
  ...{ label, score: 0.75, scores: Float32Array.of(0.25, 0.75), offset: 0, model: 'blank+1', backend: 'cpu' },
  ...{ receivedAt: AT + n, decidedAt: AT + n + 1 },
});
const told = (memory: ReturnType<typeof open>, messages: readonly Outgoing[]) =>
  messages.flatMap(({ topic, payload }) => {
    const { events, lost, late, waitsFor } = memory.take(messageOf(payload, { topic, at: AT }), AT, false);
    expect([lost, late, waitsFor]).toEqual([0, 0, null]);
    return events.map(({ device, at, body }) => {
      const { values, categories } = body as ReadingBody;
      return [device, at - AT, values[0], values[1], categories[2], categories[3]];
    });
  });

test('a verdict comes as metrics of its device, born before its first data, numbered without a gap', () => {
  const memory = open();
  const node = new VerdictNode('sluice', 'north/gate', 0);
  expect(told(memory, node.births(AT))).toEqual([]);
  for (let n = 1; n < 600; n += 1)
    expect(told(memory, node.verdict('machine', verdict('plant/press', n)))).toEqual([
      ['sluice/north_gate/plant_press', n, 0.75, 0.75, 'fault', `e${n}`],
    ]);
  const [birth, ...others] = told(memory, node.births(AT + 1_000));
  expect([birth.at(-1), others]).toEqual(['e599', []]);
});

test('while there is no sufficient model the label is null', () => {
  const memory = open();
  const node = new VerdictNode('sluice', 'north', 0);
  told(memory, node.births(AT));
  expect(told(memory, node.verdict('machine', verdict('press', 1, -1)))[0][4]).toBeNull();
});

test('its will ends its session, and no other', () => {
  const memory = open();
  const first = new VerdictNode('sluice', 'north', 255);
  told(memory, [...first.births(AT), ...first.verdict('machine', verdict('press', 1))]);
  const second = new VerdictNode('sluice', 'north', 256);
  told(memory, second.births(AT + 10));
  const late = first.will(AT);
  const taken = memory.take(messageOf(late.payload, { topic: late.topic, at: AT }), AT, false);
  expect(taken.late).toBe(1);
  expect(told(memory, second.verdict('machine', verdict('press', 20))).length).toBe(1);
});
