import { expect, it } from 'vitest';
import { windowOfFleet, windowOfGateway } from '../../src/web/windows.ts';

const told = {
  from: '2026-05-12T12:00:00.000Z',
  to: '2026-05-12T12:00:10.000Z',
  events: 100,
  verdicts: { ham: 60, spam: 30 },
  learning: 10,
  dead: 2,
  latencyMs: { p50: 1, p95: 2, p99: 3 },
  model: { labels: 50, sufficient: true },
  quality: {
    window: { tested: 8, accuracy: 0.75 },
    total: {
      confusion: [
        [90, 1],
        [4, 80],
      ],
    },
  },
  estimatedAccuracy: 0.9,
};
const [from, to] = [Date.parse(told.from), Date.parse(told.to)];
const common = {
  from,
  to,
  events: 100,
  verdicts: { ham: 60, spam: 30 },
  learning: 10,
  dead: 2,
  latencyMs: { p50: 1, p95: 2, p99: 3 },
  labels: 175,
  sufficient: true,
  quality: { tested: 8, accuracy: 0.75 },
  estimated: 0.9,
};

it('a window of this process is taken whole; good mail is counted from its confusion', () => {
  expect(windowOfGateway(told, { unsettled: 3, outbox: 4, good: 0 })).toEqual({
    ...common,
    unsettled: 3,
    outbox: 4,
    good: { confirmed: 91, lost: 1 },
  });
  expect(windowOfGateway(told).good).toBeNull();
});

it('a window of the fleet is the same by its numbers, and what it does not tell is not invented', () => {
  const numbers = {
    events: 100,
    'verdicts.ham': 60,
    'verdicts.spam': 30,
    learning: 10,
    dead: 2,
    'latencyMs.p50': 1,
    'latencyMs.p95': 2,
    'latencyMs.p99': 3,
    'model.labels': 50,
    'quality.total.tested': 175,
    'model.sufficient': 1,
    'quality.window.tested': 8,
    'quality.window.accuracy': 0.75,
    estimatedAccuracy: 0.9,
  };
  expect(windowOfFleet(from, to, numbers, ['ham', 'spam'])).toEqual({
    ...common,
    unsettled: null,
    outbox: null,
  });
  expect(windowOfFleet(from, to, {}, ['constructor'])).toMatchObject({
    events: 0,
    verdicts: { constructor: 0 },
    latencyMs: null,
    estimated: null,
    quality: { tested: 0, accuracy: null },
  });
});
