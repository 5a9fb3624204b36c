/** Between lanes and a sink: order, the outbox, and messages that a broker refuses. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Outbox, Outgoing, Sink, Store } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { Publisher } from '../../src/flow/publisher.ts';
import { Telemetry } from '../../src/telemetry.ts';

const COMMIT_MS = 5;
const message = (n: number): Outgoing => ({ topic: 't', key: null, payload: String(n) });

/** The outbox of the contract on a slow disk: its size counts what is on its way there, `peek` sees what has arrived. */
function slowOutbox(): Outbox {
  const stored: { n: number; message: Outgoing }[] = [];
  let count = 0;
  let next = 1;
  return {
    async append(_sink, messages) {
      count += messages.length;
      const numbered = messages.map((one) => ({ n: next++, message: one }));
      await systemClock.sleep(COMMIT_MS);
      stored.push(...numbered);
    },
    peek(_sink, most) {
      const part = stored.slice(0, most);
      return { messages: part.map((one) => one.message), through: part.at(-1)?.n ?? 0 };
    },
    async remove(_sink, through) {
      const gone = stored.filter(({ n }) => n <= through).length;
      stored.splice(0, gone);
      count -= gone;
    },
    size: () => ({ messages: count, bytes: count }),
  };
}

class FakeSink implements Sink {
  readonly name = 's';
  readonly seen: string[] = [];
  down = false;
  refuses = new Set<string>();

  async publish(batch: readonly Outgoing[]): Promise<void> {
    await null;
    if (this.down) throw new SluiceError('PUBLISH_FAILED', 'the broker is away');
    if (batch.some(({ payload }) => this.refuses.has(String(payload))))
      throw new SluiceError('BROKER_REFUSED', 'not this one');
    this.seen.push(...batch.map(({ payload }) => String(payload)));
  }

  health = () => (this.down ? ({ ok: false, reason: 'away' } as const) : ({ ok: true } as const));
  close = async () => undefined;
}

function make(sink: FakeSink, refused: string[] = []): Publisher {
  const store = { outbox: slowOutbox() } as Store;
  return new Publisher(sink, {
    store,
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
    refused: async (_sink, one) => {
      refused.push(String(one.payload));
    },
  });
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n));

test('a sink that goes and comes back under load gets everything once, in order, and other work goes on meanwhile', async () => {
  const sink = new FakeSink();
  const publisher = make(sink);
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const sent: Promise<void>[] = [];
  for (let n = 0; n < 600; n++) {
    if (n % 150 === 50) sink.down = true;
    if (n % 150 === 100) sink.down = false;
    sent.push(publisher.submit([message(n)]));
    if (n % 3 === 0) await systemClock.sleep(1);
  }
  await Promise.all(sent);
  await expect.poll(() => sink.seen.length, { timeout: 20_000 }).toBe(600);
  clearInterval(timer);
  await publisher.stop();
  expect(sink.seen).toEqual(numbers(600));
  expect(turns).toBeGreaterThan(50);
}, 30_000);

test('a message that the broker refuses for good is kept elsewhere and does not hold up those behind it', async () => {
  const sink = new FakeSink();
  sink.refuses = new Set(['3', '8']);
  const refused: string[] = [];
  const publisher = make(sink, refused);
  await Promise.all(Array.from({ length: 12 }, (_, n) => publisher.submit([message(n)])));
  await publisher.stop();
  expect(refused).toEqual(['3', '8']);
  expect(sink.seen).toEqual(numbers(12).filter((n) => n !== '3' && n !== '8'));
});

test('what is submitted is safe when it resolves: with the sink away it is in the outbox', async () => {
  const sink = new FakeSink();
  sink.down = true;
  const publisher = make(sink);
  await publisher.submit([message(0), message(1)]);
  expect(sink.seen).toEqual([]);
  await publisher.stop();
});
