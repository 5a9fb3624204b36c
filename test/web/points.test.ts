import { describe, expect, it } from 'vitest';
import { merge, withGaps } from '../../src/web/client/points.ts';
import type { Column, SeriesView } from '../../src/web/view.ts';

const NAMES: readonly Column[] = [
  'measured',
  'estimated',
  'rate',
  'p50',
  'p95',
  'p99',
  'unsettled',
  'outbox',
];
/** Each value is its time, so that nothing can get into a wrong place unseen. */
const series = (at: number[], from = 0, changes: Partial<SeriesView> = {}): SeriesView => ({
  task: 't',
  site: '',
  range: 'hour',
  resolutionMs: 10,
  from,
  at,
  columns: Object.fromEntries(NAMES.map((name) => [name, at])) as unknown as SeriesView['columns'],
  marks: [],
  ...changes,
});
const whole = (at: number[]) => ({ at, columns: series(at).columns });

describe('a delta', () => {
  it('replaces the points from its beginning on and keeps those before', () => {
    expect(merge(series([0, 10, 20, 30]), series([20, 30, 40], 20))).toMatchObject(
      whole([0, 10, 20, 30, 40]),
    );
    expect(merge(series([0, 10]), series([], 20))).toMatchObject(whole([0, 10]));
  });

  it('that is a whole picture, or comes before any, stands alone', () => {
    expect(merge(series([0, 10]), series([50]))).toMatchObject(whole([50]));
    expect(merge(null, series([20], 20))).toMatchObject(whole([20]));
    expect(merge(series([0]), null)).toBeNull();
  });

  it('pushes out what is older than the range', () => {
    const hour = 3_600_000;
    expect(merge(series([0, 10, 20]), series([hour + 10], hour + 10))).toMatchObject(
      whole([10, 20, hour + 10]),
    );
    expect(merge(series([0, 10]), series([9 * hour], 9 * hour))).toMatchObject(whole([9 * hour]));
  });
});

describe('a gap', () => {
  it('gets a point without values, so that no line is drawn over it', () => {
    const drawn = withGaps(series([0, 10, 20, 200, 210]));
    expect(drawn.at).toEqual([0, 10, 20, 30, 200, 210]);
    for (const name of NAMES) expect(drawn.columns[name]).toEqual([0, 10, 20, null, 200, 210]);
  });

  it('is measured by the usual step: rare windows are none', () => {
    for (const at of [[], [0], [0, 100, 200, 300], [0, 10, 20, 50]])
      expect(withGaps(series(at)).at).toEqual(at);
  });
});
