import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { usualFaults } from '../../firmware-sim/faults.ts';
import { type Feed, mailFeed, readingFeed, replayFeed } from '../../firmware-sim/feeds.ts';
import { type Fleet, type StreamOptions, startFleet } from '../../firmware-sim/fleet.ts';
import { fineClock, overMqtt, type Wire } from '../../firmware-sim/wire.ts';
import type { Clock, Delivery, Message, Outgoing, Sink, Source } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';

const quiet = new Telemetry({ level: 'silent' });
const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

/** The identity as a gateway would give it, worked out independently of the simulator. */
const identify = (message: Pick<Message, 'topic' | 'payload'>): string => {
  const hash = createHash('sha256').update(`${message.topic}\0\0`).update(message.payload).digest('hex');
  return `sha256:${hash.slice(0, 32)}`;
};

const taskOf = (topic: string): string => (topic.startsWith('plant/') ? 'machine' : 'spam');
const verdictOf = (message: Message, label: string | null): Outgoing => {
  const data = { event: identify(message), device: message.topic, label };
  const payload = JSON.stringify({ specversion: '1.0', type: 'dev.sluice.verdict.v1', data });
  return { topic: `sluice/north/${taskOf(message.topic)}/verdict`, key: null, payload };
};
const deadOf = (message: Message): Outgoing => {
  const { topic, key, headers } = message;
  const data = {
    code: 'DECODE_JSON',
    topic,
    key,
    headers,
    payload: Buffer.from(message.payload).toString('base64'),
  };
  return {
    topic: `sluice/north/${taskOf(topic)}/dead`,
    key: null,
    payload: JSON.stringify({ specversion: '1.0', data }),
  };
};

/** A gateway that does as it is told: `answer` says what to publish for the n-th message. */
async function respond(
  url: string,
  answer: (message: Message, n: number) => Outgoing[],
  feedback: Message[] = [],
) {
  const context = {
    site: 'north',
    clock: fineClock,
    telemetry: quiet,
    maxInFlight: 10_000,
    maxInFlightBytes: 1e8,
  };
  const topics = ['plant/+/telemetry', 'mail/inbound/+', 'sluice/north/+/feedback'];
  const source = mqtt.source.open('gateway', mqtt.source.options.parse({ url, version: 4, topics }), context);
  const sink = mqtt.sink.open('gateway-out', mqtt.sink.options.parse({ url, version: 4 }), context);
  const stop = new AbortController();
  let n = 0;
  const work = (async () => {
    for await (const deliveries of source.read(stop.signal)) {
      const out: Outgoing[] = [];
      for (const { message } of deliveries) {
        if (message.topic.endsWith('/feedback')) feedback.push(message);
        else out.push(...answer(message, n++));
      }
      await sink.publish(out);
      for (const delivery of deliveries) delivery.settle('done');
    }
  })();
  while (!source.health().ok) await fineClock.sleep(10);
  ending.push(async () => {
    stop.abort();
    await work;
    await source.close();
    await sink.close();
  });
}

async function startOn(url: string, streams: readonly StreamOptions[], signal?: AbortSignal): Promise<Fleet> {
  const wire = overMqtt(url, { site: 'north', tasks: ['machine', 'spam'], version: 4, telemetry: quiet });
  const fleet = startFleet({ wire, streams, seed: 7, telemetry: quiet, signal });
  ending.push(() => fleet.stop());
  return fleet;
}

async function brokerUrl(): Promise<string> {
  const broker = await startBroker();
  ending.push(() => broker.close());
  return broker.url;
}

const until = async (met: () => boolean): Promise<void> => {
  while (!met()) await fineClock.sleep(10);
};

const readable = (message: Message): boolean => {
  try {
    JSON.parse(Buffer.from(message.payload).toString());
    return true;
  } catch {
    return false;
  }
};

describe('the fleet on a real broker', () => {
  it('counts nothing lost where every message gets its verdict or its dead letter', async () => {
    const url = await brokerUrl();
    const feedback: Message[] = [];
    await respond(
      url,
      (message) => {
        if (taskOf(message.topic) === 'spam') return [verdictOf(message, 'ham')];
        return [readable(message) ? verdictOf(message, 'ok') : deadOf(message)];
      },
      feedback,
    );
    const faults = { ...usualFaults, invalid: 0.01, truncated: 0.01, empty: 0.01, duplicate: 0.02 };
    const fleet = await startOn(url, [
      {
        task: 'machine',
        feed: readingFeed({ seed: 1, devices: 10, faults }),
        rate: 2_000,
        labels: { delay: 20, fraction: 0.5, wrong: 0 },
      },
      {
        task: 'spam',
        feed: mailFeed({ seed: 1, garbage: 0.02 }),
        rate: 100,
        labels: { delay: 0, fraction: 1 },
      },
    ]);
    await until(() => fleet.counts().tasks[0].verdicts > 2_000 && fleet.counts().tasks[1].verdicts > 80);
    const summary = await fleet.drain(10_000);
    expect(summary).toMatchObject({ lost: 0, resent: 0, refused: 0, unreadableAnswers: 0 });
    const [machine, spam] = summary.tasks;
    expect(machine).toMatchObject({
      duplicates: 0,
      foreign: 0,
      deadUnexpected: 0,
      outstanding: 0,
      ended: false,
    });
    expect(machine.sent).toBe(machine.verdicts + machine.deadLetters);
    expect(machine.deadLetters).toBeGreaterThan(20);
    expect(machine.accuracy).toBeGreaterThan(0.6);
    expect(machine.accuracy).toBeLessThan(0.95);
    expect(machine.latencyMs.p50).toBeGreaterThan(0);
    expect(spam).toMatchObject({ duplicates: 0, foreign: 0 });
    expect(spam.sent).toBe(spam.verdicts);
    await until(() => feedback.length >= fleet.counts().tasks[0].labelled + fleet.counts().tasks[1].labelled);
    const labels = feedback.map(({ topic, payload }) => ({
      topic,
      ...(JSON.parse(Buffer.from(payload).toString()) as object),
    }));
    expect(labels.length).toBeGreaterThan(100);
    for (const label of labels) {
      expect(label).toMatchObject({
        topic: expect.stringMatching(/^sluice\/north\/(machine|spam)\/feedback$/),
        event: expect.stringMatching(/^sha256:[0-9a-f]{32}$/),
        label: expect.stringMatching(/^(ok|fault|ham|spam)$/),
        origin: 'simulator',
        at: expect.stringMatching(/^\d{4}-.*Z$/),
      });
    }
  });

  it('counts exactly what a gateway drops, and what it says twice', async () => {
    const url = await brokerUrl();
    let dropped = 0;
    let doubled = 0;
    await respond(url, (message, n) => {
      const verdict = verdictOf(message, null);
      if (n % 10 === 3) {
        dropped += 1;
        return [];
      }
      if (n % 10 === 7) {
        doubled += 1;
        return [verdict, verdict];
      }
      return [verdict];
    });
    const stop = new AbortController();
    const feed = readingFeed({ seed: 2, devices: 5, faults: { ...usualFaults, duplicate: 0, empty: 0 } });
    const fleet = await startOn(url, [{ task: 'machine', feed, rate: 1_000 }], stop.signal);
    const books = () => fleet.counts().tasks[0];
    await until(() => books().verdicts > 500);
    stop.abort();
    await until(() => books().verdicts + dropped === books().sent && books().duplicates === doubled);
    const summary = await fleet.drain(50);
    expect(dropped).toBeGreaterThan(40);
    expect(summary.lost).toBe(dropped);
    expect(summary.tasks[0]).toMatchObject({
      duplicates: doubled,
      learning: summary.tasks[0].verdicts,
      tested: 0,
      labelled: expect.any(Number),
    });
    expect(summary.tasks[0].sent).toBe(summary.tasks[0].verdicts + dropped);
  });

  it('replays mail from files in order, at most so many unanswered, and ends by itself', async () => {
    const url = await brokerUrl();
    const seen: string[] = [];
    let open = 0;
    let most = 0;
    await respond(url, (message) => {
      seen.push(Buffer.from(message.payload).toString());
      open = seen.length;
      most = Math.max(most, open - answered());
      return [verdictOf(message, 'spam')];
    });
    const texts = Array.from({ length: 60 }, (_, i) => `Subject: mail ${i}\r\n\r\nbody ${i}\r\n`);
    const feed: Feed = listFeed(texts);
    const fleet = await startOn(url, [
      {
        task: 'spam',
        feed,
        rate: Number.POSITIVE_INFINITY,
        maxOpen: 4,
        labels: { delay: 0, fraction: 1, wrong: 0 },
      },
    ]);
    const answered = () => fleet.counts().tasks[0].verdicts;
    await fleet.finished;
    const [counts] = fleet.counts().tasks;
    expect(counts).toMatchObject({
      sent: 60,
      verdicts: 60,
      outstanding: 0,
      ended: true,
      tested: 60,
      accuracy: 1,
    });
    expect(seen).toEqual(texts);
    expect(most).toBeLessThanOrEqual(4);
  });

  it('ends its sending with an error, not with a crash, where the mail to replay is not there', async () => {
    const url = await brokerUrl();
    const fleet = await startOn(url, [{ task: 'spam', feed: replayFeed(['/nowhere/mail.mbox']), rate: 10 }]);
    await fleet.finished;
    expect(fleet.counts().tasks[0]).toMatchObject({ sent: 0, ended: true });
  });
});

function listFeed(texts: readonly string[]): Feed {
  let next = 0;
  return {
    kind: 'mail',
    labels: ['ham', 'spam'],
    next: () =>
      next === texts.length ? null : [{ name: 'inbox', payload: texts[next++], truth: 1, readable: true }],
  };
}

// ---------------------------------------------------------------- virtual time

/** A clock that jumps: everyone who sleeps wakes in order of due time. */
class JumpingClock implements Clock {
  #now = 1_000_000;
  #sleepers: { due: number; wake: () => void }[] = [];
  now(): number {
    return this.#now;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#sleepers.push({ due: this.#now + ms, wake });
      signal?.addEventListener('abort', wake);
    });
  }
  async advance(ms: number, step = 1): Promise<void> {
    for (const end = this.#now + ms; this.#now < end; ) {
      this.#now += step;
      const due = this.#sleepers.filter((s) => s.due <= this.#now);
      this.#sleepers = this.#sleepers.filter((s) => s.due > this.#now);
      for (const { wake } of due) wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** A wire without a broker: `publish` decides; answers are pushed by hand. */
class FakeWire implements Wire {
  readonly headers = false;
  readonly batches: (readonly Outgoing[])[] = [];
  readonly #answer: (batch: readonly Outgoing[]) => Promise<void>;
  constructor(answer: (batch: readonly Outgoing[]) => Promise<void> = () => Promise.resolve()) {
    this.#answer = answer;
  }
  readonly sink: Sink = {
    name: 'fake',
    publish: (batch) => {
      this.batches.push(batch);
      return this.#answer(batch);
    },
    health: () => ({ ok: true }),
    close: () => Promise.resolve(),
  };
  readonly answers: Source = {
    name: 'fake-answers',
    async *read(signal): AsyncIterable<readonly Delivery[]> {
      yield [];
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    health: () => ({ ok: true }),
    close: () => Promise.resolve(),
  };
  topic(task: string, what: string): string {
    return `${task}/${what}`;
  }
  address(_kind: string, name: string) {
    return { topic: name, key: null };
  }
}

describe('the pace of the fleet', () => {
  const streams = (rate: number): StreamOptions[] => [
    { task: 'machine', feed: listFeed(Array.from({ length: 100_000 }, (_, i) => `x: ${i}`)), rate },
  ];

  it('holds the rate, without bursts', async () => {
    const clock = new JumpingClock();
    const wire = new FakeWire();
    const fleet = startFleet({ wire, streams: streams(1_000), seed: 1, clock, telemetry: quiet });
    await clock.advance(3_000);
    expect(Math.abs(fleet.counts().tasks[0].sent - 3_000)).toBeLessThan(30);
    expect(Math.max(...wire.batches.map((batch) => batch.length))).toBeLessThanOrEqual(20);
    await fleet.stop();
  });

  it('sends slow streams too', async () => {
    const clock = new JumpingClock();
    const fleet = startFleet({ wire: new FakeWire(), streams: streams(2), seed: 1, clock, telemetry: quiet });
    await clock.advance(5_000, 5);
    expect(fleet.counts().tasks[0].sent).toBeGreaterThanOrEqual(9);
    expect(fleet.counts().tasks[0].sent).toBeLessThanOrEqual(10);
    await fleet.stop();
  });

  it('skips and counts arrears when the broker stands still, and keeps its memory bounded', async () => {
    const clock = new JumpingClock();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const wire = new FakeWire(() => gate);
    const fleet = startFleet({ wire, streams: streams(5_000), seed: 1, clock, telemetry: quiet });
    await clock.advance(10_000, 5);
    const stuck = fleet.counts().tasks[0];
    expect(stuck.sent).toBeLessThanOrEqual(8_192);
    expect(stuck.sent + stuck.skipped).toBeGreaterThan(40_000);
    expect(stuck.confirmed).toBe(0);
    release();
    await clock.advance(2_000, 5);
    const after = fleet.counts().tasks[0];
    expect(after.sent - stuck.sent).toBeGreaterThan(9_000);
    expect(after.sent - stuck.sent).toBeLessThan(13_500);
    await fleet.stop();
  });

  it('sends again what was not confirmed, and counts no message lost that was refused', async () => {
    const clock = new JumpingClock();
    let calls = 0;
    const wire = new FakeWire(() => {
      calls += 1;
      if (calls === 1) return Promise.reject(new SluiceError('PUBLISH_FAILED', 'no answer'));
      if (calls === 2) return Promise.reject(new SluiceError('BROKER_REFUSED', 'no right'));
      return Promise.resolve();
    });
    const fleet = startFleet({ wire, streams: streams(100), seed: 1, clock, telemetry: quiet });
    await clock.advance(500);
    const draining = fleet.drain(1_000);
    await clock.advance(1_500);
    const summary = await draining;
    expect(summary).toMatchObject({ resent: 1, refused: 1 });
    expect(summary.tasks[0].confirmed).toBe(summary.tasks[0].sent - 1);
    expect(summary.lost).toBe(summary.tasks[0].confirmed);
    await fleet.stop();
  });
});

describe('answers of several sites on one topic', () => {
  it('count only where they are of the own site, or do not say', async () => {
    const clock = new JumpingClock();
    const wire = new FakeWire();
    const queue: Message[] = [];
    const own: Source = {
      ...wire.answers,
      async *read(signal): AsyncIterable<readonly Delivery[]> {
        while (!signal.aborted) {
          yield queue.splice(0).map((message) => ({ message, settle: () => {} }));
          await clock.sleep(5, signal);
        }
      },
    };
    const feed = listFeed(['a: 1', 'a: 2', 'a: 3']);
    const fleet = startFleet({
      wire: {
        ...{ headers: false, sink: wire.sink, answers: own },
        topic: wire.topic,
        address: wire.address,
      },
      streams: [{ task: 'spam', feed, rate: 1_000 }],
      ...{ seed: 1, site: 'north', clock, telemetry: quiet },
    });
    await clock.advance(100);
    const say = (payload: string, source: string | undefined) => {
      const event = identify({ topic: 'inbox', payload: Buffer.from(payload) });
      const data = { event, label: 'spam' };
      const envelope = source ? { specversion: '1.0', source, data } : data;
      const bytes = Buffer.from(JSON.stringify(envelope));
      const message = { topic: 'spam/verdict', payload: bytes, headers: {}, source: 'x', key: null };
      queue.push({ ...message, at: 0, position: '' });
    };
    say('a: 1', '/sluice/south/spam');
    say('a: 1', '/sluice/north/spam');
    say('a: 2', undefined);
    say('a: 3', '/sluice/south/spam');
    await clock.advance(100);
    const [counts] = fleet.counts().tasks;
    expect(counts).toMatchObject({
      sent: 3,
      verdicts: 2,
      foreign: 0,
      duplicates: 0,
      outstanding: 1,
      accuracy: 1,
    });
    expect(fleet.phases()).toMatchObject([
      { task: 'spam', phases: [{ name: 'all', sent: 3, tested: 2, correct: 2 }] },
    ]);
    await fleet.stop();
  });
});
