/** Batches that kafkajs fetched before a seek and hands over after it, in the order in which only timing makes them. */
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Delivery } from '../../src/contract.ts';
import { sourceOptions } from '../../src/io/kafka/options.ts';
import { KafkaSource } from '../../src/io/kafka/source.ts';
import { context, until } from './kafka-kit.ts';

/** The one thing that cannot be provoked at will with a real broker: the order of fetches, seeks and batches. */
const consumer = vi.hoisted(() => ({
  on: (_event: string, _listener: (event: object) => void): void => {},
  each: async (_payload: object): Promise<void> => {},
  seeks: [] as string[],
  committed: [] as string[],
}));

vi.mock('../../src/io/kafka/client.ts', async (original) => {
  class KafkaClient {
    connected = true;
    lastError = '';
    kafka = {
      consumer: () => ({
        events: new Proxy({}, { get: (_, name) => name }),
        on: (event: string, listener: (event: object) => void) => consumer.on(event, listener),
        connect: async () => {},
        subscribe: async () => {},
        run: async ({ eachBatch }: { eachBatch: typeof consumer.each }) => {
          consumer.each = eachBatch;
        },
        seek: ({ offset }: { offset: string }) => consumer.seeks.push(offset),
        commitOffsets: async (offsets: { offset: string }[]) => {
          consumer.committed.push(...offsets.map(({ offset }) => offset));
        },
        disconnect: async () => {},
      }),
    };
    async within(_ms: number, work: Promise<unknown>): Promise<void> {
      await work;
    }
  }
  return { ...(await original<object>()), KafkaClient };
});

describe('a Kafka source that sought back for a retry', () => {
  let events: EventEmitter;
  let source: KafkaSource;
  let got: Delivery[];
  let resolved: string[];
  let stop: AbortController;
  let reading: Promise<void>;

  beforeEach(async () => {
    events = new EventEmitter();
    consumer.on = (event, listener) => void events.on(event, listener);
    consumer.seeks = [];
    consumer.committed = [];
    got = [];
    resolved = [];
    stop = new AbortController();
    const options = sourceOptions.parse({ brokers: ['h:1'], topics: ['t'], commitInterval: '20ms' });
    source = new KafkaSource('in', options, context());
    reading = (async () => {
      for await (const deliveries of source.read(stop.signal)) got.push(...deliveries);
    })();
    await until('it runs', () => events.listenerCount('GROUP_JOIN') > 0);
    events.emit('GROUP_JOIN', { payload: { memberAssignment: { t: [0] } } });
    events.emit('FETCH', {});
  });
  afterEach(async () => {
    stop.abort();
    await source.close();
    await reading;
  });

  /** Offsets `from` to `to` - 1, as kafkajs hands them over. */
  function batch(from: number, to: number, stale = false): Promise<void> {
    const messages = Array.from({ length: to - from }, (_, i) => ({
      offset: String(from + i),
      value: Buffer.from('v'),
      timestamp: '1',
      key: null,
    }));
    return consumer.each({
      batch: { topic: 't', partition: 0, messages, lastOffset: () => String(to - 1) },
      resolveOffset: (offset: string) => resolved.push(offset),
      heartbeat: async () => {},
      isStale: () => stale,
    });
  }
  const at = (offset: number) => got.filter(({ message }) => message.position === `t/0/${offset}`);
  const come = (count: number) => until(`${count} deliveries`, () => got.length >= count);
  const sought = (offset: string) => until(`sought ${offset}`, () => consumer.seeks.at(-1) === offset);
  const last = () => Number(consumer.committed.at(-1) ?? -1);

  /** 0 to 9 were handed out: 1 is still in work, 3 is to be retried, the others are done. */
  async function retryOfThree(): Promise<void> {
    await batch(0, 10);
    await come(10);
    for (const offset of [0, 2, 4, 5, 6, 7, 8, 9]) at(offset)[0].settle('done');
    at(3)[0].settle('retry');
    await sought('3');
    resolved = [];
  }

  it.each([
    ['the seek has not been carried out', true],
    ['another fetch has carried out the seek', false],
  ])('leaves a batch from before the seek, where %s', async (_, stale) => {
    await retryOfThree();
    await batch(10, 20, stale);
    expect(resolved).toEqual([]);
    expect(got).toHaveLength(10);
    await batch(3, 20);
    await come(21);
    expect(at(3)).toHaveLength(2);
    expect(at(4)).toHaveLength(1);
    for (let offset = 10; offset < 20; offset++) expect(at(offset)).toHaveLength(1);
    for (const delivery of got.slice(10)) delivery.settle('done');
    at(1)[0].settle('retry');
    await sought('1');
    await until('what is done before 1 is committed', () => last() === 1);
    await batch(1, 20);
    await until('1 comes again', () => at(1).length === 2);
    expect(got).toHaveLength(22);
    at(1)[1].settle('done');
    await until('all is committed', () => last() === 20);
    expect(Math.max(...consumer.committed.slice(0, -1).map(Number))).toBeLessThanOrEqual(1);
  });

  it('commits nothing unfinished where a batch begins before what was read, and reads that again', async () => {
    await batch(0, 10);
    await come(10);
    for (const offset of [0, 2, 3, 4, 5, 6, 7, 8, 9]) at(offset)[0].settle('done');
    await batch(5, 12);
    await sought('1');
    expect(got).toHaveLength(10);
    await batch(1, 12);
    await come(21);
    for (const delivery of got.slice(11)) delivery.settle('done');
    await until('what is done was looked at', () => consumer.committed.length > 0);
    expect(Math.max(...consumer.committed.map(Number))).toBeLessThanOrEqual(1);
    got[10].settle('done');
    await until('all is committed', () => last() === 12);
  });

  it('takes a log that begins anew as it is', async () => {
    await batch(100, 110);
    await come(10);
    got[0].settle('done');
    await batch(0, 5);
    await come(15);
    expect(consumer.seeks).toEqual([]);
    for (const delivery of got) delivery.settle('done');
    await until('the new log is committed', () => last() === 5);
  });

  it('goes on when what it wants to retry has left the log', async () => {
    await retryOfThree();
    for (let i = 0; i < 5; i++) await batch(6, 20);
    await come(20);
    for (const delivery of got) delivery.settle('done');
    await until('all is committed', () => last() === 20);
    expect(at(3)).toHaveLength(1);
  });
});
