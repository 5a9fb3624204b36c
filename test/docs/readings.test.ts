/** The configuration in docs/readings.md is one, and makes the row that the page tells of. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { taskSpec } from '../../src/app/spec.ts';
import { parseConfig } from '../../src/config.ts';
import { openTask } from '../../src/task/task.ts';
import { messageOf } from '../decode/corpus.ts';

const page = readFileSync(path.resolve(import.meta.dirname, '..', '..', 'docs', 'readings.md'), 'utf8');
const yaml = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? '';

it('the example is accepted, and its fields become what it says', () => {
  const task = openTask(taskSpec(parseConfig(yaml, 'readings.md', { env: {} }), 'machine'));
  const read = (value: object) =>
    task.decode(messageOf(JSON.stringify(value), { topic: 'plant/m1/telemetry' }));
  const [event] = read({
    t: 70,
    tUnit: 'degF',
    v: 1,
    i: 2,
    deg: 90,
    mode: 'run',
    serial: 's',
    ts: 1_700_000_000,
  });
  expect(event.device).toBe('m1');
  expect(task.fields?.flagsOf(event)).toEqual({ temperature: ['unit'] });
  const cells = new Map(task.describe(event).map(({ name, value }) => [name, value]));
  expect([cells.get('temperature missing'), cells.get('angle sin'), cells.get('mode=run')]).toEqual([
    1, 1, 1,
  ]);
  expect(cells.has('vibration departure 10m')).toBe(true);
  expect(read({ t: 20, v: 1, ts: 1_700_000_000 })).toEqual([]); // no serial
  expect(task.shape.rules?.some(({ impute, scale }) => impute === 'median' && scale === 'robust')).toBe(true);
});
