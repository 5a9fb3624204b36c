/** The order and the number of PUBACKs, whatever the order of settling. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldAcks } from '../../src/io/mqtt/acks.ts';
import { Credit } from '../../src/io/mqtt/credit.ts';

function recorder() {
  const writes: Buffer[] = [];
  const stream = {
    write: (bytes: Uint8Array) => {
      writes.push(Buffer.from(bytes));
      return true;
    },
  };
  /** The packet ids acknowledged so far; fails where something else than PUBACKs was written. */
  const acked = (): number[] => {
    const bytes = Buffer.concat(writes);
    const ids: number[] = [];
    for (let i = 0; i < bytes.length; i += 4) {
      expect(bytes.readUInt16BE(i)).toBe(0x4002);
      ids.push(bytes.readUInt16BE(i + 2));
    }
    return ids;
  };
  return { stream, acked, writes };
}

describe('held acknowledgements', () => {
  it('acknowledge exactly the settled prefix, in order of receipt, for any order of settling', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ take: fc.integer({ min: 0, max: 9 }), pick: fc.nat() }), { maxLength: 60 }),
        (steps) => {
          const { stream, acked } = recorder();
          const acks = new HeldAcks(stream, 4);
          const order: number[] = [];
          const open: number[] = [];
          const finished = new Set<number>();
          for (const { take, pick } of steps) {
            for (let i = 0; i < take; i++) {
              const id = ((order.length * 7) % 65_535) + 1;
              open.push(acks.hold(id));
              order.push(id);
            }
            if (open.length > 0) {
              const [seq] = open.splice(pick % open.length, 1);
              acks.done(seq);
              finished.add(seq);
            }
            acks.flush();
            let prefix = 0;
            while (finished.has(prefix)) prefix += 1;
            expect(acked()).toEqual(order.slice(0, prefix));
            expect(acks.size).toBe(order.length - prefix);
          }
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it('go out with one write for all that fell due in a tick', async () => {
    const { stream, acked, writes } = recorder();
    const acks = new HeldAcks(stream, 1_000);
    const seqs = Array.from({ length: 1_000 }, (_, i) => acks.hold(i + 1));
    for (const seq of seqs.reverse()) acks.done(seq);
    expect(writes.length).toBe(0);
    await Promise.resolve();
    expect(writes.length).toBe(1);
    expect(acked()).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
  });

  it('are not held up by a message that is tried again, whose own follows late', () => {
    const { stream, acked } = recorder();
    const acks = new HeldAcks(stream, 10);
    const [a, b, c] = [acks.hold(11), acks.hold(12), acks.hold(13)];
    acks.done(c);
    acks.skip(b);
    acks.done(a);
    acks.flush();
    expect(acked()).toEqual([11, 13]);
    acks.late(12);
    acks.flush();
    expect(acked()).toEqual([11, 13, 12]);
  });

  it('send nothing once the connection is over, not even what was due', async () => {
    const { stream, acked } = recorder();
    const acks = new HeldAcks(stream, 10);
    const [a, b] = [acks.hold(1), acks.hold(2)];
    acks.done(a);
    acks.forget();
    acks.done(b);
    acks.late(2);
    acks.flush();
    await Promise.resolve();
    expect(acked()).toEqual([]);
    expect(acks.alive).toBe(false);
  });
});

describe('credit', () => {
  it('holds both limits, and lets one larger message pass alone', () => {
    const credit = new Credit(3, 100);
    expect(credit.fits(1_000)).toBe(true);
    credit.take(1_000);
    expect(credit.fits(0)).toBe(false);
    credit.give(1_000);
    credit.take(60);
    expect(credit.fits(41)).toBe(false);
    expect(credit.fits(40)).toBe(true);
    credit.take(40);
    credit.take(0);
    expect(credit.fits(0)).toBe(false);
    expect([credit.count, credit.bytes]).toEqual([3, 100]);
  });
});
