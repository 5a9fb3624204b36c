/** The first model. Before it only the number of labels counts: a training on too few would fail and put the count back to nothing. */
import { expect, test } from 'vitest';
import { blankRecord } from '../../src/fleet/hub/record.ts';
import { stageOf } from '../../src/fleet/hub/sites.ts';
import { dueCause } from '../../src/fleet/hub/triggers.ts';
import { hubLoopOptions } from '../../src/fleet/hub.ts';

const START = Date.parse('2026-01-05T06:00:00Z');
const DAY = 86_400_000;
const options = hubLoopOptions.parse({ retrain: { minRows: 1_000, volume: 700, every: '1d' } });

test('neither volume nor time begins the first training', () => {
  const record = { ...blankRecord(START), fresh: 999 };
  expect(dueCause(record, options, START)).toBeNull();
  expect(dueCause(record, options, START + 30 * DAY)).toBeNull();
  expect(dueCause({ ...record, fresh: 1_000 }, options, START)).toMatchObject({ kind: 'first' });
});

test('once one was trained they do, whether it came to run or not', () => {
  const record = { ...blankRecord(START), trainedAt: START, fresh: 700 };
  expect(dueCause(record, options, START + DAY / 2)).toMatchObject({ kind: 'volume' });
  expect(dueCause({ ...record, fresh: 1 }, options, START + DAY)).toMatchObject({ kind: 'time' });
});

test('it goes to all at once where nothing ran; where gateways learn by themselves it must beat that in their shadow', () => {
  const stagesOf = (learning: 'online' | 'frozen', stages?: readonly string[]) => {
    const options = hubLoopOptions.parse({ rollout: stages ? { stages } : {} });
    return [0, 1].map((stage) => stageOf({ base: null, stage }, { task: { learning }, options }));
  };
  expect(stagesOf('frozen')).toEqual(['fleet', 'fleet']);
  expect(stagesOf('online')).toEqual(['shadow', 'fleet']);
  expect(stagesOf('online', ['canary', 'fleet'])).toEqual(['fleet', 'fleet']);
});
