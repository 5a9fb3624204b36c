/** A board that nobody has put anything on yet: whoever watches it makes what the broker lacks, and waits for values. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Delivery, IoContext, Sink, Source } from '../../src/contract.ts';
import { TransportBoard } from '../../src/io/board.ts';
import { Telemetry } from '../../src/telemetry.ts';

const context: IoContext = {
  site: 'north',
  clock: systemClock,
  telemetry: new Telemetry({ level: 'silent' }),
  maxInFlight: 10,
  maxInFlightBytes: 1_000,
};

const sink: Sink = {
  name: 'out',
  publish: async () => {},
  health: () => ({ ok: true }),
  close: async () => {},
};

/** Says in `seen` when it is read, and gives nothing until it is stopped. */
const quiet = (seen: string[]): Source => ({
  name: 'quiet',
  async *read(signal: AbortSignal): AsyncIterable<readonly Delivery[]> {
    seen.push('read');
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    yield [];
  },
  health: () => ({ ok: true }),
  close: async () => {},
});

function board(seen: string[], prepare: (name: string) => Promise<void>): TransportBoard {
  const place = (name: string) => ({ topic: name, key: null });
  const open = () => ({ source: quiet(seen) });
  return new TransportBoard({ sink, prepare, place, nameOf: ({ topic }) => topic, open }, context);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('what it lies on is made before it is read', async () => {
  const seen: string[] = [];
  const all = board(seen, async (name) => {
    seen.push(`made for ${name}`);
  });
  all.watch('+/models/spam/actual', () => {});
  await turn();
  expect(seen).toEqual(['made for +/models/spam/actual', 'read']);
  await all.close();
});

test('where it may not be made it is read all the same', async () => {
  const seen: string[] = [];
  const all = board(seen, () => Promise.reject(new Error('not allowed')));
  all.watch('+/models/spam/actual', () => {});
  await turn();
  expect(seen).toEqual(['read']);
  await all.close();
});

test('a broker that does not answer holds up no stop', async () => {
  const all = board([], () => new Promise(() => {}));
  const watch = all.watch('+/models/spam/actual', () => {});
  await watch.stop();
  await all.close();
  expect(all.health().ok).toBe(false);
});
