import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Watermark } from '../../src/io/kafka/watermark.ts';

describe('the watermark of a partition', () => {
  it('never lies beyond the first message that is not done, whatever the order of settling', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3_000 }),
        fc.infiniteStream(fc.tuple(fc.nat(), fc.boolean())),
        (gaps, choices) => {
          const mark = new Watermark('t', 0);
          const open = new Map<number, number>();
          let offset = 0;
          for (const gap of gaps) {
            open.set(mark.admit(offset), offset);
            offset += gap;
            const [pick, settle] = choices.next().value;
            if (settle && open.size > 0) {
              const entry = [...open.keys()][pick % open.size];
              mark.settle(entry, 'done');
              open.delete(entry);
            }
            const lowest = open.size > 0 ? Math.min(...open.values()) : offset - gap + 1;
            expect(mark.offset).toBe(lowest);
          }
        },
      ),
      { numRuns: 50, seed: 7 },
    );
  });

  it('hands out again only what is to be retried, once', () => {
    const mark = new Watermark('t', 0);
    const entries = [10, 11, 12, 13].map((offset) => mark.admit(offset));
    mark.settle(entries[0], 'done');
    mark.settle(entries[1], 'retry');
    mark.settle(entries[2], 'done');
    expect(mark.firstRetry()).toBe(11);
    expect([11, 12, 13, 14].map((offset) => mark.wants(offset))).toEqual([true, false, false, true]);
    const again = mark.admit(11);
    expect(again).toBe(entries[1]);
    expect(mark.wants(11)).toBe(false);
    expect(mark.offset).toBe(11);
    mark.settle(again, 'done');
    expect(mark.offset).toBe(13);
  });

  it('waits longer after each failed retry, and no longer once one succeeded', () => {
    const mark = new Watermark('t', 0);
    const waits = Array.from({ length: 12 }, () => mark.backOff());
    expect(waits[3]).toBeGreaterThan(waits[0]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000 * 1.25);
    mark.settle(mark.admit(0), 'done');
    expect(mark.backOff()).toBeLessThanOrEqual(125);
  });

  it('ignores a second settling of the same message', () => {
    const mark = new Watermark('t', 0);
    const entry = mark.admit(5);
    mark.admit(6);
    expect(mark.settle(entry, 'done')).toBe(true);
    expect(mark.settle(entry, 'done')).toBe(false);
    expect(mark.settle(entry, 'retry')).toBe(false);
    expect(mark.offset).toBe(6);
    expect(mark.firstRetry()).toBe(-1);
  });
});
