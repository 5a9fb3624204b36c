/** A partition that comes to a gateway is read back, so that its windows are as if it had always been there. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Message, Sink, Source } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openTask, type Task } from '../../src/task/task.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { consume, openSink, openSource, text, unique, until } from './kafka-kit.ts';

const missing = await whyNoKafka();
if (missing) console.warn(`skipped: ${missing}`);

describe.skipIf(missing)('reading back', () => {
  let brokers: readonly string[];
  const open: { close(): Promise<void> }[] = [];
  const keep = <T extends Source | Sink>(part: T): T => {
    open.push(part);
    return part;
  };

  beforeAll(async () => {
    brokers = await sharedKafka();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((part) => part.close()));
  });

  const topicOf = async (name: string, numPartitions: number): Promise<string> => {
    const topic = unique(name);
    await withAdmin(brokers, (admin) => admin.createTopics({ topics: [{ topic, numPartitions }] }));
    return topic;
  };
  const source = (topic: string, warmup: number): Source => keep(openSource(brokers, topic, { warmup }));

  const publish = async (sink: Sink, topic: string, from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i += 1)
      await sink.publish([
        { topic, key: `d${i % 6}`, payload: JSON.stringify({ at: 1_700_000_000 + i, x: (i * 7) % 31 }) },
      ]);
  };
  const isReplay = ({ replay }: Message): boolean => replay === true;
  const committed = async (topic: string): Promise<number> => {
    const [found] = await withAdmin(brokers, (admin) =>
      admin.fetchOffsets({ groupId: `group-${topic}`, topics: [topic] }),
    );
    return found.partitions.reduce((all, { offset }) => all + Math.max(0, Number(offset)), 0);
  };

  it('gives what lies before the position again, as handled, in order, and then what is new; positions stay', async () => {
    const topic = await topicOf('back', 1);
    const output = keep(openSink(brokers));
    const first = consume(source(topic, 20), (delivery) => delivery.settle('done'));
    await publish(output, topic, 0, 50);
    await until('all are read', () => first.seen.length === 50);
    expect(first.seen.some(isReplay)).toBe(false); // nothing lay before the first
    await first.close();
    expect(await committed(topic)).toBe(50);
    await publish(output, topic, 50, 60);
    const second = consume(source(topic, 20), (delivery) =>
      delivery.settle(isReplay(delivery.message) ? 'retry' : 'done'),
    );
    await until('all are read', () => second.seen.length === 30);
    expect(second.seen.map(isReplay)).toEqual([...Array(20).fill(true), ...Array(10).fill(false)]);
    expect(second.seen.map(({ position }) => Number(position.split('/')[2]))).toEqual(
      Array.from({ length: 30 }, (_, i) => 30 + i),
    );
    await until('the new ones are committed', async () => (await committed(topic)) === 60);
    await second.close();
    expect(second.seen).toHaveLength(30);
  });

  it('reaches back no further than the log', async () => {
    const topic = await topicOf('trimmed', 1);
    const output = keep(openSink(brokers));
    await publish(output, topic, 0, 30);
    const first = consume(source(topic, 0), (delivery) => delivery.settle('done'));
    await until('all are read', () => first.seen.length === 30);
    await first.close();
    await withAdmin(brokers, async (admin) => {
      await admin.fetchTopicOffsets(topic); // loads what kafkajs wants to know first
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '25' }] });
    });
    await publish(output, topic, 30, 31);
    const second = consume(source(topic, 1_000), (delivery) => delivery.settle('done'));
    await until('the new one is read', () =>
      second.seen.some((message) => text(message).includes('1700000030')),
    );
    expect(second.seen.filter(isReplay)).toHaveLength(5);
    expect(second.seen).toHaveLength(6);
    await second.close();
  });

  const openWindows = (): Task =>
    openTask({
      name: 'plant',
      event: 'sensor',
      labels: ['ok', 'fault'],
      decode: { kind: 'json', options: { fields: { x: {} }, time: '/at' } },
      features: { options: { windows: { on: true, count: 4, stats: ['lag', 'mean', 'slope'] } } },
      seed: 1,
    });

  /** A gateway as far as rows go. */
  function gateway(topic: string, rows: Map<string, number[]>) {
    const task = openWindows();
    return consume(source(topic, 1_000), (delivery) => {
      const { message } = delivery;
      if (isReplay(message)) task.readBack(message);
      else
        for (const event of task.decode(message)) {
          const arena = new RowArena(task.shape.dims, task.shape.denseDims);
          task.fill(event, arena);
          rows.set(event.id, [...arena.view().dense.subarray(0, task.shape.denseDims)]);
        }
      delivery.settle('done');
    });
  }

  it('makes the rows of a gateway that took over those of a single one', async () => {
    const topic = await topicOf('takeover', 4);
    const output = keep(openSink(brokers));
    const rows = new Map<string, number[]>();
    const one = gateway(topic, rows);
    const two = gateway(topic, rows);
    await until('both have joined', async () => {
      const { groups } = await withAdmin(brokers, (admin) => admin.describeGroups([`group-${topic}`]));
      return groups[0].state === 'Stable' && groups[0].members.length === 2;
    });
    await publish(output, topic, 0, 60);
    await until('all are read', () => rows.size === 60);
    expect([one, two].every(({ seen }) => seen.some((message) => !isReplay(message)))).toBe(true);
    await one.close();
    await publish(output, topic, 60, 120);
    await until('all are read', () => rows.size === 120);
    await two.close();

    const task = openWindows();
    const single = new Map<string, number[]>();
    const reader = keep(openSource(brokers, topic, { group: unique('single') }));
    const reading = consume(reader, (delivery) => {
      for (const event of task.decode(delivery.message)) {
        const arena = new RowArena(task.shape.dims, task.shape.denseDims);
        task.fill(event, arena);
        single.set(event.id, [...arena.view().dense.subarray(0, task.shape.denseDims)]);
      }
      delivery.settle('done');
    });
    await until('all are read', () => single.size === 120);
    await reading.stop();
    for (const [id, row] of single) expect(rows.get(id)).toEqual(row);
  });
});
