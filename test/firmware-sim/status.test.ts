import { describe, expect, it } from 'vitest';
import type { FleetSummary, StreamCounts } from '../../firmware-sim/fleet.ts';
import { ratesBetween, statusLine, summaryLines } from '../../firmware-sim/status.ts';

const task = (changes: Partial<StreamCounts>): StreamCounts => ({
  task: 'machine',
  sent: 0,
  confirmed: 0,
  verdicts: 0,
  learning: 0,
  deadLetters: 0,
  deadUnexpected: 0,
  duplicates: 0,
  foreign: 0,
  outstanding: 0,
  tested: 0,
  correct: 0,
  accuracy: null,
  recentAccuracy: null,
  latencyMs: { p50: Number.NaN, p95: Number.NaN, p99: Number.NaN },
  labelled: 0,
  skipped: 0,
  ended: false,
  ...changes,
});

const summary = (
  seconds: number,
  tasks: readonly StreamCounts[],
  changes: Partial<FleetSummary> = {},
): FleetSummary => ({
  ...{ seconds, tasks, resent: 0, refused: 0, unreadableAnswers: 0, faults: {}, lost: 0 },
  ...changes,
});

const before = summary(10, [task({ sent: 1_000, verdicts: 900 }), task({ task: 'spam' })]);
const now = summary(12, [
  task({ sent: 3_000, verdicts: 2_500, outstanding: 3, tested: 10, recentAccuracy: 0.971 }),
  task({ task: 'spam', sent: 20, verdicts: 4 }),
]);

describe('what the simulator says of itself', () => {
  it('is one line with the rates since the last one and where each task stands', () => {
    expect(ratesBetween(before, now)).toEqual({ sent: 1_010, verdicts: 802 });
    expect(statusLine(before, now)).toBe(
      '  12 s  1,010/s sent  802/s verdicts  3 open · machine 97.1 % · spam learning',
    );
    expect(statusLine(now, before)).toContain('spam no verdict yet');
  });

  it('ends with a table whose columns stand under each other, and the losses', () => {
    const latencyMs = { p50: 1.2, p95: 3, p99: 4.5 };
    const lines = summaryLines(
      summary(
        60,
        [task({ sent: 12_345, verdicts: 12_300, accuracy: 0.5, latencyMs }), task({ task: 'spam' })],
        { lost: 2 },
      ),
    );
    expect(new Set(lines.slice(0, 3).map((line) => line.length)).size).toBe(1);
    expect(lines[1]).toMatch(/^machine +12,345 +12,300 .* 50\.0 % +1\.2 \/ 3 \/ 4\.5$/);
    expect(lines[2]).toMatch(/ – +–$/);
    expect(lines.at(-1)).toBe('2 lost in 60.0 s');
    expect(lines).toHaveLength(4);
  });

  it('does not hide what went wrong on the way', () => {
    const text = summaryLines(summary(1, [task({ skipped: 5 })], { resent: 6, refused: 7 })).join('\n');
    expect(text).toContain('5 messages were not made');
    expect(text).toContain('6 messages were sent again');
    expect(text).toContain('7 messages were refused');
  });
});
