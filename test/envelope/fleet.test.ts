import { describe, expect, test } from 'vitest';
import type { Alarm } from '../../src/contract.ts';
import { driftPayload, readAlarm, readMetricsWindow } from '../../src/envelope/fleet.ts';
import { Envelope } from '../../src/envelope.ts';

const alarm: Alarm = {
  task: 'spam',
  stream: 'logLoss',
  detector: 'cusum',
  state: 'drift',
  statistic: 12.5,
  threshold: 9,
  window: 400,
  model: 'blank+3',
  at: 1_700_000_000_000,
  since: 1_699_999_990_000,
  before: 0.2,
  now: 0.6,
  features: ['temperature'],
  devices: ['press-7'],
};
const invalid = expect.objectContaining({ code: 'PAYLOAD_INVALID' });

describe('a drift alarm', () => {
  test.each(['cloudevents', 'none'] as const)('comes back with its site (%s)', (kind) => {
    const payload = Buffer.from(driftPayload(new Envelope(kind, 'north', 'spam'), alarm));
    expect(readAlarm(payload)).toEqual({ ...alarm, site: 'north' });
    expect(readAlarm(payload, 'north').site).toBe('north');
    expect(() => readAlarm(payload, 'south')).toThrow(invalid);
  });

  test('without a level is still an alarm', () => {
    const payload = driftPayload(new Envelope('none', 'north', 'spam'), { ...alarm, before: Number.NaN });
    expect(readAlarm(Buffer.from(payload)).before).toBeNaN();
  });

  test.each([
    ['no JSON', 'x'],
    ['no object', '3'],
    ['two in one message', '[{},{}]'],
    ['nothing in it', '{}'],
    [
      'an unknown state',
      JSON.stringify({
        site: 'n',
        ...alarm,
        at: '2026-01-01T00:00:00Z',
        since: '2026-01-01T00:00:00Z',
        state: 'maybe',
      }),
    ],
    ['no site', JSON.stringify({ ...alarm, at: '2026-01-01T00:00:00Z', since: '2026-01-01T00:00:00Z' })],
  ])('with %s is PAYLOAD_INVALID', (_, text) => {
    expect(() => readAlarm(Buffer.from(text))).toThrow(invalid);
  });
});

describe('a metrics window', () => {
  const base = { task: 'spam', from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:00:10Z' };
  const read = (more: object, site?: string) =>
    readMetricsWindow(Buffer.from(JSON.stringify({ ...base, ...more })), site);

  test('gives every number under its path, those it has never heard of too', () => {
    const window = {
      events: 5,
      latencyMs: { p99: 2.5 },
      quality: { total: { accuracy: 0.9, kappa: null } },
      model: { sufficient: true },
      newer: { thing: 1 },
      list: [1],
      word: 'x',
    };
    const payload = new Envelope('cloudevents', 'north', 'spam').metrics({ ...base, ...window }, 1);
    expect(readMetricsWindow(Buffer.from(payload))).toEqual({
      site: 'north',
      task: 'spam',
      from: Date.parse(base.from),
      to: Date.parse(base.to),
      numbers: {
        events: 5,
        'latencyMs.p99': 2.5,
        'quality.total.accuracy': 0.9,
        'model.sufficient': 1,
        'newer.thing': 1,
      },
    });
  });

  test('takes its site from the topic where the payload of an older gateway names none', () => {
    expect(read({}, 'north').site).toBe('north');
    expect(() => read({})).toThrow(invalid);
    expect(() => read({ site: 'south' }, 'north')).toThrow(invalid);
  });

  test('is bounded in numbers, names and depth', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`n${i}`, i]));
    expect(Object.keys(read(many, 'n').numbers).length).toBeLessThanOrEqual(1_000);
    expect(read({ ['x'.repeat(300)]: 1 }, 'n').numbers).toEqual({});
    let deep: object = { leaf: 1 };
    for (let i = 0; i < 50; i++) deep = { d: deep };
    expect(read(deep, 'n').numbers).toEqual({});
    expect(() => readMetricsWindow(Buffer.alloc(2 * 1024 ** 2, 32), 'n')).toThrow(invalid);
  });

  test('cannot reach the prototype of anything', () => {
    const payload = Buffer.from(JSON.stringify(base).replace('{', '{"__proto__":{"polluted":1},'));
    readMetricsWindow(payload, 'n');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});
