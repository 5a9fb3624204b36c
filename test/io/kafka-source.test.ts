import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Delivery, Sink, Source } from '../../src/contract.ts';
import { Intake } from '../../src/io/kafka/intake.ts';
import { Membership } from '../../src/io/kafka/membership.ts';
import { kafka } from '../../src/io/kafka.ts';
import { sharedKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import {
  consume,
  context,
  openSink,
  openSource,
  publishNumbers,
  silent,
  text,
  unique,
  until,
  wallClock,
} from './kafka-kit.ts';

const missing = await whyNoKafka();

describe.skipIf(missing)('a Kafka source', () => {
  let brokers: readonly string[];
  const open: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(thing: T): T => {
    open.push(thing);
    return thing;
  };

  beforeAll(async () => {
    brokers = await sharedKafka();
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await Promise.all(open.splice(0).map((thing) => thing.close()));
  });

  const sink = (): Sink => keep(openSink(brokers));
  const source = (topic: string, options = {}, more = {}): Source =>
    keep(openSource(brokers, topic, options, more));

  async function topicOf(name: string, partitions = 1): Promise<string> {
    const topic = unique(name);
    await withAdmin(brokers, (admin) =>
      admin.createTopics({ topics: [{ topic, numPartitions: partitions }], waitForLeaders: true }),
    );
    return topic;
  }

  async function committed(topic: string): Promise<number> {
    const [{ partitions }] = await withAdmin(
      brokers,
      (admin) => admin.fetchOffsets({ groupId: `group-${topic}`, topics: [topic] }),
      // The broker makes its topic of offsets with the first group.
    ).catch(() => [{ partitions: [] }]);
    return partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
  }

  it('gives each message with topic, key, headers in lower case, time and a position for ever', async () => {
    const topic = await topicOf('shape');
    const before = Date.now();
    await sink().publish([
      { topic, key: 'gerät', payload: new Uint8Array([0, 255, 1]), headers: { Ce_Id: 'a', __proto__x: 'ü' } },
      { topic, key: null, payload: '' },
    ]);
    const reading = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('both came', () => reading.seen.length === 2);
    const [first, second] = reading.seen;
    expect(first).toMatchObject({ source: 'in', topic, key: 'gerät', position: `${topic}/0/0` });
    expect([...first.payload]).toEqual([0, 255, 1]);
    expect({ ...first.headers }).toEqual({ ce_id: 'a', __proto__x: 'ü' });
    expect(first.at).toBeGreaterThanOrEqual(before - 1_000);
    expect(second).toMatchObject({ key: null, position: `${topic}/0/1` });
    expect(second.payload.byteLength).toBe(0);
    await reading.stop();
  });

  it('delivers every partition in the order it was published', async () => {
    const topic = await topicOf('order', 3);
    await publishNumbers(sink(), topic, 3_000, 11);
    const reading = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('all came', () => reading.seen.length >= 3_000);
    await reading.stop();
    expect(new Set(reading.seen.map(text)).size).toBe(3_000);
    const last = new Map<string, number>();
    for (const message of reading.seen) {
      const key = message.key as string;
      expect(Number(text(message))).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, Number(text(message)));
    }
  });

  it('never commits beyond a message that is not settled', async () => {
    const topic = await topicOf('hole');
    await publishNumbers(sink(), topic, 100);
    const held: Delivery[] = [];
    const reading = consume(source(topic), (delivery) => {
      const n = Number(text(delivery.message));
      if (n === 0 || n === 40) held.push(delivery);
      else delivery.settle('done');
    });
    await until('all came', () => reading.seen.length === 100);
    await wallClock.sleep(300);
    expect(await committed(topic)).toBe(0);
    held[0].settle('done');
    await until('up to the hole', async () => (await committed(topic)) === 40);
    held[1].settle('done');
    await until('to the end', async () => (await committed(topic)) === 100);
  });

  it('commits what was settled when it closes, and a successor goes on exactly there', async () => {
    const topic = await topicOf('handover');
    await publishNumbers(sink(), topic, 100);
    const first = consume(source(topic, { commitInterval: '1h' }), (delivery) => {
      if (Number(text(delivery.message)) < 60) delivery.settle('done');
    });
    await until('all came', () => first.seen.length === 100);
    await first.close();
    expect(await committed(topic)).toBe(60);
    const second = consume(source(topic), (delivery) => delivery.settle('done'));
    await until('the rest came', () => second.seen.length >= 40);
    await second.stop();
    expect(second.seen.map(text)).toEqual(Array.from({ length: 40 }, (_, i) => String(60 + i)));
  });

  it('still takes settling after reading was aborted, until it is closed', async () => {
    const topic = await topicOf('late');
    await publishNumbers(sink(), topic, 10);
    const held: Delivery[] = [];
    const input = source(topic);
    const reading = consume(input, (delivery) => void held.push(delivery));
    await until('all came', () => held.length === 10);
    await reading.stop();
    for (const delivery of held) delivery.settle('done');
    await input.close();
    expect(await committed(topic)).toBe(10);
    // Too late, and harmless.
    held[0].settle('retry');
  });

  it('delivers again what is to be retried, and nothing else', async () => {
    const topic = await topicOf('retry');
    await publishNumbers(sink(), topic, 200);
    const tries = new Map<string, number>();
    const reading = consume(source(topic), (delivery) => {
      const n = text(delivery.message);
      const before = tries.get(n) ?? 0;
      tries.set(n, before + 1);
      delivery.settle(Number(n) % 50 === 7 && before < 2 ? 'retry' : 'done');
    });
    await until('committed', async () => (await committed(topic)) === 200);
    await reading.stop();
    const again = [...tries].filter(([, count]) => count > 1);
    expect(again.map(([n]) => n).sort()).toEqual(['107', '157', '57', '7']);
    expect(again.map(([, count]) => count)).toEqual([3, 3, 3, 3]);
  });

  it('bounds the retries of a message that never succeeds', async () => {
    const topic = await topicOf('stubborn');
    await publishNumbers(sink(), topic, 1);
    const reading = consume(source(topic), (delivery) => delivery.settle('retry'));
    await until('tried', () => reading.seen.length >= 2);
    await wallClock.sleep(1_500);
    await reading.stop();
    expect(reading.seen.length).toBeLessThanOrEqual(8);
    expect(await committed(topic)).toBe(0);
  });

  it('holds at most maxInFlight messages unsettled', async () => {
    const topic = await topicOf('bound', 2);
    await publishNumbers(sink(), topic, 2_000);
    let open = 0;
    let most = 0;
    const waiting: Delivery[] = [];
    const reading = consume(source(topic, {}, { maxInFlight: 50 }), (delivery) => {
      open += 1;
      most = Math.max(most, open);
      waiting.push(delivery);
      if (waiting.length < 50 && reading.seen.length < 2_000) return;
      for (const one of waiting.splice(0).reverse()) {
        one.settle('done');
        open -= 1;
      }
    });
    await until('all came', () => reading.seen.length === 2_000);
    await reading.stop();
    expect(most).toBe(50);
  });

  it('lets one message larger than maxInFlightBytes pass alone', async () => {
    const topic = await topicOf('large');
    const output = keep(openSink(brokers));
    for (const size of [10, 600_000, 20, 30])
      await output.publish([{ topic, key: 'k', payload: new Uint8Array(size) }]);
    const held: Delivery[] = [];
    const input = source(topic, {}, { maxInFlightBytes: 100_000 });
    const reading = consume(input, (delivery) => void held.push(delivery));
    await until('the first', () => held.length === 1);
    await wallClock.sleep(400);
    expect(held.length).toBe(1);
    held[0].settle('done');
    await until('the large one', () => held.length === 2);
    await wallClock.sleep(400);
    expect(held.length).toBe(2);
    held[1].settle('done');
    await until('the rest', () => held.length === 4);
    expect(held.map(({ message }) => message.payload.byteLength)).toEqual([10, 600_000, 20, 30]);
    await reading.stop();
  });

  it('keeps its membership while work takes longer than the session timeout', async () => {
    const topic = await topicOf('slow');
    await publishNumbers(sink(), topic, 40);
    const telemetry = silent();
    const input = source(topic, { sessionTimeout: '1500ms' }, { maxInFlight: 10, telemetry });
    const reading = consume(input, async (delivery) => {
      // Ten in flight and one of them slow: the consumer waits for room three session timeouts long.
      if (Number(text(delivery.message)) === 5) await wallClock.sleep(4_500);
      delivery.settle('done');
    });
    await until('the slow one', () => reading.seen.length >= 6);
    await wallClock.sleep(3_000);
    expect(input.health()).toEqual({ ok: true });
    await until('all came', () => reading.seen.length >= 40);
    await until('committed', async () => (await committed(topic)) === 40);
    expect(reading.seen.length).toBe(40);
    expect(await telemetry.value('source_rebuilt')).toBe(0);
    await reading.stop();
  });

  it('shares partitions with a second member and loses nothing when it comes and goes', async () => {
    const topic = await topicOf('share', 4);
    const output = sink();
    const done = new Set<string>();
    const late: Delivery[] = [];
    const each = (delivery: Delivery) => {
      const n = text(delivery.message);
      // Some are settled late: their partition may have gone to the other member by then.
      if (Number(n) % 97 === 0) late.push(delivery);
      else {
        done.add(n);
        delivery.settle('done');
      }
    };
    const settleLate = () => {
      for (const delivery of late.splice(0)) {
        done.add(text(delivery.message));
        delivery.settle('done');
      }
    };
    const timer = setInterval(settleLate, 150);
    const first = consume(source(topic), each);
    await publishNumbers(output, topic, 3_000, 40);
    const second = consume(source(topic), each);
    let sent = 3_000;
    while (second.seen.length < 500) {
      await publishNumbers(output, topic, 500, 40, sent);
      sent += 500;
      await wallClock.sleep(50);
    }
    expect(first.seen.length).toBeGreaterThan(0);
    await second.close();
    await publishNumbers(output, topic, 1_000, 40, sent);
    await until('all are done', () => done.size === sent + 1_000);
    clearInterval(timer);
    settleLate();
    await until('all are committed', async () => (await committed(topic)) === sent + 1_000);
    await first.stop();
  });

  it('survives a failure in its own handler: the consumer is replaced and nothing is lost', async () => {
    const topic = await topicOf('poison');
    await publishNumbers(sink(), topic, 100);
    const telemetry = silent();
    const input = source(topic, {}, { telemetry });
    // A TypeError inside eachBatch stops kafkajs for good.
    const poison = vi.spyOn(Intake.prototype, 'charge').mockImplementationOnce(() => {
      throw new TypeError('poison');
    });
    const reading = consume(input, (delivery) => delivery.settle('done'));
    await until('committed', async () => (await committed(topic)) === 100);
    expect(poison).toHaveBeenCalled();
    expect(new Set(reading.seen.map(text)).size).toBe(100);
    expect(await telemetry.value('source_rebuilt')).toBe(1);
    await until('healthy', () => input.health().ok);
    await reading.stop();
  });

  it('replaces a consumer that crashed or fell silent, and goes on without repeating what is in flight', async () => {
    const topic = await topicOf('crash');
    const output = sink();
    await publishNumbers(output, topic, 50);
    const lives: Membership[] = [];
    const start = Membership.prototype.start;
    vi.spyOn(Membership.prototype, 'start').mockImplementation(function (this: Membership) {
      lives.push(this);
      return start.call(this);
    });
    const telemetry = silent();
    const held: Delivery[] = [];
    const reading = consume(source(topic, {}, { telemetry }), (delivery) => void held.push(delivery));
    await until('the first came', () => held.length === 50);
    // The socket under the consumer goes away and its loop ends: what a crash with restart=false looks like from here.
    await (lives[0] as unknown as { stop(): Promise<void> }).stop();
    await until('a second life', () => lives.length === 2);
    await publishNumbers(output, topic, 50, 8, 50);
    await until('the others came', () => held.length >= 100);
    for (const delivery of held) delivery.settle('done');
    await until('committed', async () => (await committed(topic)) === 100);
    expect(held.length).toBe(100);
    expect(await telemetry.value('source_rebuilt')).toBe(1);

    vi.spyOn(lives[1], 'silentFor', 'get').mockReturnValue(3_600_000);
    await until('a third life', () => lives.length === 3);
    await publishNumbers(output, topic, 50, 8, 100);
    await until('it reads', () => held.length >= 150);
    expect(await telemetry.value('source_rebuilt')).toBe(2);
    await reading.stop();
  });

  it('is healthy only once it has joined its group and while it hears from it', async () => {
    const topic = await topicOf('health');
    const input = source(topic);
    expect(input.health()).toEqual({ ok: false, reason: 'not started' });
    const reading = consume(input, (delivery) => delivery.settle('done'));
    expect(input.health()).toMatchObject({ ok: false, reason: expect.stringContaining('connecting') });
    await until('healthy', () => input.health().ok);
    await reading.stop();
    await input.close();
    expect(input.health()).toEqual({ ok: false, reason: 'closed' });
  });

  it('waits for a topic that is not there yet and says so', async () => {
    const topic = unique('absent');
    const input = source(topic);
    const reading = consume(input, (delivery) => delivery.settle('done'));
    await until('the reason', () => {
      const health = input.health();
      return !health.ok && /does not host|topic/i.test(health.reason);
    });
    await publishNumbers(sink(), topic, 5);
    await until('it reads', () => reading.seen.length === 5);
    await reading.stop();
  });

  it('says why when it cannot reach any broker', async () => {
    const topic = await topicOf('unreachable');
    const input = source(topic, { brokers: ['127.0.0.1:1'] });
    const reading = consume(input, () => undefined);
    await until('the reason', () => {
      const health = input.health();
      return !health.ok && /ECONNREFUSED/.test(health.reason);
    });
    await reading.stop();
    await input.close();
  });

  it('starts a new group at the newest message where configured, and later never skips', async () => {
    const topic = await topicOf('newest');
    const output = sink();
    await publishNumbers(output, topic, 20);
    const input = source(topic, { fromBeginning: false });
    const reading = consume(input, () => undefined);
    await until('healthy', () => input.health().ok);
    // Nothing was committed by this reader, yet what comes while nobody reads must not be skipped.
    await reading.close();
    await publishNumbers(output, topic, 5, 8, 20);
    const second = consume(source(topic, { fromBeginning: false }), (delivery) => delivery.settle('done'));
    await until('the five', () => second.seen.length === 5);
    expect(second.seen.map(text)).toEqual(['20', '21', '22', '23', '24']);
    await second.stop();
  });

  it('reads feedback of its own from the beginning, whoever else reads it', async () => {
    const topics = [`sluice.${unique('t')}.feedback`];
    const output = sink();
    await output.publish([{ topic: topics[0], key: null, payload: 'label' }]);
    for (const site of [unique('north'), unique('south')]) {
      const options = kafka.sink.options.parse({ brokers });
      const input = keep(kafka.sink.openFeedback('feedback', options, topics, context({ site })));
      const reading = consume(input, (delivery) => delivery.settle('done'));
      await until('the label', () => reading.seen.length === 1);
      await reading.stop();
    }
  });

  it('refuses options that cannot work', () => {
    const parse = (more: object) =>
      kafka.source.options.safeParse({ brokers: ['b:9092'], topics: ['t'], ...more }).success;
    expect(parse({})).toBe(true);
    expect(parse({ brokers: [] })).toBe(false);
    expect(parse({ brokers: ['kafka://b:9092'] })).toBe(false);
    expect(parse({ topics: [] })).toBe(false);
    expect(parse({ topcis: ['t'] })).toBe(false);
    expect(parse({ sessionTimeout: '100ms' })).toBe(false);
    expect(parse({ tls: { cert: 'a.pem' } })).toBe(false);
    expect(parse({ sasl: { mechanism: 'plain', username: 'u' } })).toBe(false);
    expect(parse({ tls: { ca: 'ca.pem', verify: false } })).toBe(true);
  });
});
