/** What docs/spec.md asks of every source and every sink, of every row of the table of transports. */
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Delivery, IoContext, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { type TransportName, transports } from '../../src/io/index.ts';
import { fresh, healthy, type Rig, rigs, type SinkRig } from './rigs.ts';

const names = Object.keys(transports) as TransportName[];
const sending = names.filter((name) => transports[name].sink !== null);
/** Valid for any decoder and any kind of file; long enough that the order of arrival shows. */
const mails = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `Subject: number ${String(i).padStart(3, '0')}\r\n\r\nbody\r\n`);

let rig: Rig;

async function until(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 15_000; !condition(); ) {
    if (Date.now() > deadline) throw new Error(`it never came about that ${what}`);
    await systemClock.sleep(5);
  }
}

interface Reading {
  readonly source: Source;
  readonly deliveries: Delivery[];
  readonly texts: () => string[];
  /** Ends `read`; resolves when it has ended. */
  stop(): Promise<void>;
}

/** Opens a source, reads it in the background, and feeds it when it can take what comes. */
async function read(
  name: string,
  payloads: readonly string[],
  each: (delivery: Delivery) => void,
  context?: Partial<IoContext>,
): Promise<Reading> {
  if (rig.fedFirst && payloads.length > 0) await rig.feed(payloads);
  const source = rig.source(name, context);
  const abort = new AbortController();
  const deliveries: Delivery[] = [];
  const ended = (async () => {
    for await (const batch of source.read(abort.signal))
      for (const delivery of batch) {
        deliveries.push(delivery);
        each(delivery);
      }
  })();
  const stop = () => {
    abort.abort();
    return ended;
  };
  onTestFinished(async () => {
    await stop();
    await source.close();
  });
  await healthy(source);
  if (!rig.fedFirst && payloads.length > 0) await rig.feed(payloads);
  const texts = () => deliveries.map(({ message }) => Buffer.from(message.payload).toString());
  return { source, deliveries, texts, stop };
}

const done = (delivery: Delivery) => delivery.settle('done');

describe.each(names)('a %s source', (name) => {
  const { missing, make } = rigs[name];
  beforeEach(async () => {
    if (!missing) rig = await make();
  });
  afterEach(() => (missing ? undefined : rig.close()));

  test.skipIf(missing)('hands out every message as it came, in order, once each', async () => {
    const payloads = mails(300);
    const { texts, deliveries } = await read('reader', payloads, done);
    await until('all came', () => deliveries.length >= 300);
    expect(texts()).toEqual(payloads);
    for (const { message } of deliveries) {
      expect(message.source).toBe('reader');
      expect(Number.isFinite(message.at)).toBe(true);
      expect(Object.keys(message.headers).every((header) => header === header.toLowerCase())).toBe(true);
    }
    const positions = deliveries.map(({ message }) => message.position).filter((position) => position !== '');
    expect(new Set(positions).size).toBe(positions.length);
  });

  test.skipIf(missing)('holds no more unsettled than it may, and goes on where room comes', async () => {
    const { deliveries } = await read('reader', mails(20), () => {}, { maxInFlight: 4 });
    await until('the first came', () => deliveries.length >= 4);
    await systemClock.sleep(100);
    expect(deliveries).toHaveLength(4);
    for (let settled = 0; settled < 20; settled++) {
      await until(`number ${settled} came`, () => deliveries.length > settled);
      deliveries[settled].settle('done');
      expect(deliveries.length - settled).toBeLessThanOrEqual(4);
    }
  });

  test.skipIf(missing)('gives again what is to be retried, and nothing that is done', async () => {
    const payloads = mails(6);
    const counts = new Map<string, number>();
    const { texts } = await read('reader', payloads, (delivery) => {
      const text = Buffer.from(delivery.message.payload).toString();
      counts.set(text, (counts.get(text) ?? 0) + 1);
      delivery.settle(text === payloads[2] && counts.get(text) === 1 ? 'retry' : 'done');
    });
    await until('it came again', () => counts.get(payloads[2]) === 2 && texts().length >= 7);
    await systemClock.sleep(50);
    expect([...counts.values()].sort()).toEqual([1, 1, 1, 1, 1, 2]);
  });

  test.skipIf(missing)('takes settlements in any order until close; the next one gets the rest', async () => {
    const payloads = mails(6);
    const first = await read('reader', payloads, () => {});
    await until('all came', () => first.deliveries.length === 6);
    await first.stop();
    for (const i of [5, 0, 4, 2, 1]) first.deliveries[i].settle('done');
    await first.source.close();
    first.deliveries[3].settle('retry');
    const second = await read('reader', [], done);
    await until('the unsettled came again', () => second.texts().includes(payloads[3]));
    if (rig.remembers)
      for (const settled of payloads.slice(0, 3)) expect(second.texts()).not.toContain(settled);
  });

  test.skipIf(missing)(
    'ends its reading when told, is closed as often as one likes, and then says so',
    async () => {
      const { source, stop } = await read('reader', mails(3), done);
      await stop();
      await source.close();
      await source.close();
      expect(source.health()).toMatchObject({ ok: false, reason: expect.stringMatching(/\w/) });
      const unread = rig.source('another');
      await unread.close();
      expect(unread.health().ok).toBe(false);
      for await (const batch of unread.read(AbortSignal.abort())) expect(batch).toEqual([]);
    },
  );
});

describe.each(sending)('a %s sink', (name) => {
  const { missing, make } = rigs[name];
  let sinks: SinkRig;
  const open = (how: (name: string) => import('../../src/contract.ts').Sink) => {
    const sink = how(fresh('sink'));
    onTestFinished(() => sink.close());
    return sink;
  };
  const failure = (promise: Promise<unknown>): Promise<SluiceError> =>
    promise.then(
      () => expect.fail('it was published'),
      (error) => error,
    );
  beforeEach(async () => {
    if (missing) return;
    rig = await make();
    sinks = rig.sink as SinkRig;
  });
  afterEach(() => (missing ? undefined : rig.close()));

  test.skipIf(missing)('has delivered, in order, what it says it has', async () => {
    const { topic, texts } = await sinks.watch();
    const sink = open(sinks.open);
    const messages = (from: number) =>
      Array.from({ length: 100 }, (_, i) => ({ topic, key: 'k', payload: `${from + i}` }));
    await Promise.all([sink.publish(messages(0)), sink.publish(messages(100)), sink.publish([])]);
    await sink.publish(
      messages(200).map((message) => ({ ...message, payload: Buffer.from(message.payload) })),
    );
    await until('all arrived', () => texts().length >= 300);
    expect(texts()).toEqual(Array.from({ length: 300 }, (_, i) => `${i}`));
    expect(sink.health()).toEqual({ ok: true });
  });

  test.skipIf(missing)('rejects in bounded time, as worth a retry, while its broker is away', async () => {
    const sink = open(sinks.away);
    const error = await failure(sink.publish([{ topic: 't', key: null, payload: 'x' }]));
    expect(error).toBeInstanceOf(SluiceError);
    expect({ code: error.code, retry: error.retry }).toMatchObject({ retry: true });
    expect(sink.health()).toMatchObject({ ok: false, reason: expect.stringMatching(/\w/) });
  });

  test.skipIf(missing)('refuses what is too large for good, without harm to the others', async () => {
    const { topic, texts } = await sinks.watch();
    const sink = open(sinks.limited ?? sinks.open);
    const publish = (payload: string) => sink.publish([{ topic, key: null, payload }]);
    const huge = 'x'.repeat(5_000);
    const [large] = await Promise.allSettled([publish(huge), publish('one'), publish('two')]);
    if (sinks.limited) expect(large).toMatchObject({ reason: { code: 'MESSAGE_TOO_LARGE', retry: false } });
    await until('the others arrived', () => texts().length >= 2);
    expect(texts()).toEqual(sinks.limited ? ['one', 'two'] : [huge, 'one', 'two']);
  });

  test.skipIf(missing)('is closed as often as one likes, and then refuses and says so', async () => {
    const sink = open(sinks.open);
    await sink.publish([{ topic: fresh('out'), key: null, payload: 'x' }]);
    await sink.close();
    await sink.close();
    expect(sink.health()).toMatchObject({ ok: false, reason: expect.stringMatching(/\w/) });
    expect(await failure(sink.publish([{ topic: 't', key: null, payload: 'x' }]))).toBeInstanceOf(
      SluiceError,
    );
  });

  test('names a topic for each task and kind, and no two alike', () => {
    const { topic } = transports[name].sink as { topic(site: string, task: string, what: string): string };
    const all = ['spam', 'machine'].flatMap((task) =>
      ['verdict', 'dead', 'feedback'].map((w) => topic('s', task, w)),
    );
    expect(new Set(all).size).toBe(6);
  });

  test.skipIf(missing)('has a feedback source that gets what was sent while it was away', async () => {
    const topic = fresh('labels');
    const reader = fresh('labels-reader');
    const open = () => {
      const source = sinks.feedback(reader, topic);
      const texts: string[] = [];
      const abort = new AbortController();
      const ended = (async () => {
        for await (const batch of source.read(abort.signal))
          for (const delivery of batch) {
            texts.push(Buffer.from(delivery.message.payload).toString());
            delivery.settle('done');
          }
      })();
      const close = async () => {
        abort.abort();
        await ended;
        await source.close();
      };
      return { source, texts, close };
    };
    const first = open();
    // Where the topic is not there before its first label, there is nothing to be healthy about.
    await Promise.race([healthy(first.source), systemClock.sleep(1_000)]);
    await first.close();
    await sinks.label(topic, 'a label');
    const second = open();
    await until('the label came', () => second.texts.length > 0);
    await second.close();
    expect([...first.texts, ...second.texts]).toEqual(['a label']);
  });
});
