/** The in-process transport keeps the same promises as a broker. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Delivery, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { dropMemoryChannel, type MemoryChannel, memory, memoryChannel } from '../../src/io/memory.ts';
import { contextOf, fresh, Reader, settleDone } from './mqtt.kit.ts';

function make(options: { topics?: string[]; maxInFlight?: number; maxInFlightBytes?: number } = {}): {
  channel: MemoryChannel;
  name: string;
  open: (source?: string) => Source;
} {
  const { topics, ...bounds } = options;
  const name = fresh('channel');
  onTestFinished(() => dropMemoryChannel(name));
  const parsed = memory.source.options.parse({ channel: name, topics });
  return {
    name,
    channel: memoryChannel(name),
    open: (source = 'source') => memory.source.open(source, parsed, contextOf(bounds)),
  };
}

async function take(source: Source, count: number): Promise<Delivery[]> {
  const reader = new Reader(source);
  await reader.has(count);
  await reader.stop();
  return reader.deliveries;
}

const text = ({ message }: Delivery): string => Buffer.from(message.payload).toString();

describe('a memory source', () => {
  it('reads what was pushed before and after it opened, in order, with all its fields', async () => {
    const { channel, open } = make();
    channel.push({
      topic: 'a',
      payload: '1',
      key: 'k',
      headers: { h: 'v' },
      at: 7,
      position: 'p',
      label: 'spam',
    });
    const reader = new Reader(open(), settleDone);
    await reader.has(1);
    channel.push({ topic: 'b', payload: new Uint8Array([50]) }, { topic: 'c', payload: '3' });
    await reader.has(3);
    expect(reader.texts).toEqual(['1', '2', '3']);
    expect(reader.deliveries[0].message).toMatchObject({
      ...{ source: 'source', topic: 'a', key: 'k', at: 7, position: 'p', label: 'spam' },
      headers: { h: 'v' },
    });
    expect(reader.deliveries[1].message).toMatchObject({ key: null, position: '', headers: {} });
    expect(channel.doneBy('source')).toBe(3);
    expect(channel.settled.map(({ index, outcome }) => [index, outcome])).toEqual(
      [0, 1, 2].map((i) => [i, 'done']),
    );
  });

  it('holds at most maxInFlight and maxInFlightBytes, but lets a larger message pass alone', async () => {
    const { channel, open } = make({ maxInFlight: 3, maxInFlightBytes: 10 });
    for (const size of [4, 4, 4, 100, 1, 1, 1, 1]) channel.push({ topic: 't', payload: 'x'.repeat(size) });
    const reader = new Reader(open());
    await reader.has(2);
    for (let i = 0; i < 8; i++) {
      await reader.has(i + 1);
      const held = reader.deliveries.slice(i).map(({ message }) => message.payload.length);
      expect(held.length).toBeLessThanOrEqual(3);
      if (held.length > 1) expect(held.reduce((a, b) => a + b)).toBeLessThanOrEqual(10);
      reader.deliveries[i].settle('done');
    }
  });

  it('delivers again what was settled with retry, and after a close what was not settled', async () => {
    const { channel, open } = make();
    for (const payload of ['1', '2', '3']) channel.push({ topic: 't', payload });
    const first = open();
    const [one, two, three] = await take(first, 3);
    two.settle('retry');
    one.settle('done');
    one.settle('retry'); // too late: it is settled
    const [again] = await take(first, 1);
    expect(text(again)).toBe('2');
    await first.close();
    three.settle('done'); // after close: it comes again
    const second = open();
    expect((await take(second, 2)).map(text)).toEqual(['2', '3']);
    expect((await take(open('another'), 3)).map(text)).toEqual(['1', '2', '3']);
  });

  it('reads only the topics it was given, as feedback does', async () => {
    const { channel, name, open } = make({ topics: ['a'] });
    channel.push({ topic: 'a', payload: '1' }, { topic: 'f', payload: '2' }, { topic: 'a', payload: '3' });
    expect((await take(open(), 2)).map(text)).toEqual(['1', '3']);
    const feedback = memory.sink.openFeedback('feedback', { channel: name }, ['f'], contextOf());
    expect((await take(feedback, 1)).map(text)).toEqual(['2']);
  });

  it('ends reading when the signal aborts or the source closes, and is then not healthy', async () => {
    const { open } = make();
    const source = open();
    expect(source.health()).toEqual({ ok: true });
    const reader = new Reader(source);
    await reader.stop();
    const other = new Reader(source);
    await source.close();
    await other.stop();
    expect(source.health()).toEqual({ ok: false, reason: 'closed' });
  });
});

describe('a memory sink', () => {
  it('stores batches, fails and waits as it is told, and then stores nothing', async () => {
    const { channel, name } = make();
    const sink = memory.sink.open('sink', memory.sink.options.parse({ channel: name }), contextOf());
    await sink.publish([{ topic: 't', key: null, payload: '1' }]);
    channel.failWith = new SluiceError('BROKER_UNREACHABLE', 'away');
    await expect(sink.publish([{ topic: 't', key: null, payload: '2' }])).rejects.toBe(channel.failWith);
    expect(sink.health()).toEqual({ ok: false, reason: 'away' });
    channel.failWith = null;
    let release = () => {};
    channel.slowness = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const slow = sink.publish([{ topic: 't', key: null, payload: '3' }]);
    expect(channel.published.length).toBe(1);
    release();
    await slow;
    expect(channel.published.map(({ payload }) => payload)).toEqual(['1', '3']);
    expect(memory.sink.topic('s', 't', 'verdict')).toBe('sluice/s/t/verdict');
  });
});
