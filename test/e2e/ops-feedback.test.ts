/** Every way to give a label over the wire, and what becomes of it; the counters and `learned` are the referees. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, kafkaBus, mqttBus } from './bus.ts';
import { collect, Operated, plainTask, reading, SOON_MS, untilSeen } from './ops-kit.ts';
import { until } from './scale.ts';

const kafkaMissing = await whyNoKafka();
let gateway: Operated;
let bus: Bus;
let broker: Mosquitto | undefined;

beforeEach(async () => {
  if (!mosquittoMissing) broker = await Mosquitto.start();
});

afterEach(async () => {
  await gateway?.remove();
  await bus?.close();
  await broker?.stop();
});

const result = (task: string, name: string) => gateway.metric('feedback_received', { task, result: name });
const untilResult = (task: string, name: string, n: number) =>
  gateway.untilMetric('feedback_received', { task, result: name }, n);

/** Waits until the task has exactly this many labels in its model, once what was sent has been counted. */
async function expectLearned(task: string, labels: number): Promise<void> {
  let last = Number.NaN;
  await until(
    async () => {
      last = (await gateway.status()).tasks[task].learned;
      return last === labels;
    },
    SOON_MS,
    () => `${task} to have learned ${labels}, it has ${last}\n${gateway.log.slice(-3_000)}`,
  );
}

const mail = (n: number) =>
  Buffer.from(
    `From: a@example.org\r\nMessage-ID: <m${n}@example.org>\r\nSubject: number ${n}\r\n\r\nBody of ${n}\r\n`,
  );

test.skipIf(mosquittoMissing)(
  'a label finds its event by event, Message-ID, raw mail, device and span, wrapped in CloudEvents and in an array; null withdraws, another label corrects, the same one counts once',
  async () => {
    bus = await mqttBus(broker!.url);
    gateway = await Operated.make(`
site: teach
sources:
  plant: { type: mqtt, url: "${broker!.url}", topics: ["teach/+"] }
  post: { type: mqtt, url: "${broker!.url}", topics: ["mail/+"] }
sinks: { floor: { type: mqtt, url: "${broker!.url}" } }
${plainTask('plant')}
  spam: { from: [post], event: email, labels: [ham, spam] }`);
    const readings = await collect(bus, 'sluice/teach/machine/verdict');
    const mails = await collect(bus, 'sluice/teach/spam/verdict');
    await gateway.start();
    const give = (task: string, feedback: object) =>
      bus.publish(`sluice/teach/${task}/feedback`, JSON.stringify(feedback));

    const ids = Array.from({ length: 10 }, (_, n) => `/press/${n}`);
    for (let n = 0; n < 10; n++) await bus.publish('teach/press', reading('press', n));
    for (let n = 0; n < 3; n++) await bus.publish(`mail/${n}`, mail(n));
    await untilSeen(ids, readings, gateway);
    await until(
      () => mails.length >= 3,
      SOON_MS,
      () => 'verdicts of the mails',
    );

    await give('machine', { event: ids[0], label: 'fault', origin: 'test' });
    await expectLearned('machine', 1);
    const time = (n: number) => new Date(1_700_000_000_000 + n * 1_000).toISOString();
    await give('machine', { device: 'teach/press', from: time(1), to: time(3), label: 'ok' });
    await expectLearned('machine', 4);
    const wrapped = { specversion: '1.0', id: 'f', source: '/hmi', type: 'label' };
    await give('machine', { ...wrapped, data: { event: ids[4], label: 'ok', weight: 2 } });
    await give('machine', [
      { event: ids[5], label: 'ok' },
      { ...wrapped, data: { event: ids[6], label: 'fault' } },
    ]);
    await expectLearned('machine', 7);
    await give('spam', { messageId: '<m0@example.org>', label: 'spam' });
    await give('spam', { messageId: 'm1@example.org', label: 'ham' });
    await give('spam', { raw: mail(2).toString('base64'), label: 'ham' });
    await expectLearned('spam', 3);
    await untilResult('machine', 'learned', 7);
    await untilResult('spam', 'learned', 3);

    await give('machine', { event: ids[0], label: 'fault' });
    await give('spam', { messageId: '<m0@example.org>', label: 'spam' });
    await untilResult('machine', 'duplicate', 1);
    await untilResult('spam', 'duplicate', 1);
    await give('machine', { event: ids[5], label: 'fault' });
    await untilResult('machine', 'corrected', 1);
    await expectLearned('machine', 7);
    await give('machine', { event: ids[0], label: null });
    await give('spam', { raw: mail(0).toString('base64'), label: null });
    await untilResult('machine', 'withdrawn', 1);
    await untilResult('spam', 'withdrawn', 1);
    await expectLearned('machine', 6);
    await expectLearned('spam', 2);

    // All of it is in the journal: a gateway that was killed has learned the same.
    await gateway.stop('SIGKILL');
    await gateway.start();
    await expectLearned('machine', 6);
    await expectLearned('spam', 2);
    await give('machine', { event: ids[0], label: 'ok' }); // a withdrawn label can be given anew
    await expectLearned('machine', 7);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'feedback before its event waits for it; an unknown label and nonsense become dead letters; nothing of it is learned',
  async () => {
    bus = await mqttBus(broker!.url);
    gateway = await Operated.make(`
site: early
sources: { plant: { type: mqtt, url: "${broker!.url}", topics: ["early/+"] } }
sinks: { floor: { type: mqtt, url: "${broker!.url}" } }
${plainTask('plant')}`);
    const seen = await collect(bus, 'sluice/early/machine/verdict');
    const dead: string[] = [];
    await bus.subscribe('sluice/early/machine/dead', (payload) => {
      dead.push(JSON.parse(payload.toString()).data.code);
    });
    await gateway.start();
    const give = (text: string) => bus.publish('sluice/early/machine/feedback', text);
    await give('{"event":"/press/1","label":"fault"}');
    await untilResult('machine', 'waiting', 1);
    // It waits on disk.
    await gateway.stop('SIGKILL');
    await gateway.start();
    await bus.publish('early/press', reading('press', 1));
    await untilSeen(['/press/1'], seen, gateway);
    await expectLearned('machine', 1);

    await give('{"event":"/press/1","label":"on fire"}');
    await give('{"event":"/press/1"}');
    await give('no JSON at all');
    await until(
      () => dead.length >= 3,
      SOON_MS,
      () => `three dead letters, have ${dead.join()}`,
    );
    expect(dead).toEqual(['FEEDBACK_LABEL', 'FEEDBACK_INVALID', 'FEEDBACK_INVALID']);
    expect(await result('machine', 'invalid')).toBe(3);
    await expectLearned('machine', 1);
    expect(await gateway.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(kafkaMissing)(
  'over Kafka: labels reach every gateway in a group of its own, and one that does not hold the event learns nothing of it',
  async () => {
    const brokers = await sharedKafka();
    const run = `labels-${Date.now()}`;
    const feedback = `${run}-feedback`;
    const verdict = (site: string) => `${run}-${site}`;
    const inputs = ['one', 'two'].map((site) => `${run}-${site}-in`);
    bus = await kafkaBus(brokers, [...inputs, verdict('one'), verdict('two'), feedback, `${run}-dead`], 1);
    const config = (site: string) => `
site: ${site}
sources: { plant: { type: kafka, brokers: ["${brokers[0]}"], topics: [${run}-${site}-in], group: ${run}-${site} } }
sinks:
  core: { type: kafka, brokers: ["${brokers[0]}"], topics: { verdict: ${verdict(site)}, feedback: ${feedback}, dead: ${run}-dead, metrics: ${run}-dead } }
${plainTask('plant')}`;
    gateway = await Operated.make(config('one'));
    const two = await Operated.make(config('two'));
    try {
      const seen = await collect(bus, verdict('one'));
      const other = await collect(bus, verdict('two'));
      await Promise.all([gateway.start(), two.start()]);
      await bus.publish(inputs[0], reading('press', 1), 'press');
      await bus.publish(inputs[1], reading('lathe', 1), 'lathe');
      await untilSeen(['/press/1'], seen, gateway);
      await untilSeen(['/lathe/1'], other, two);
      await bus.publish(feedback, '{"event":"/press/1","label":"fault"}', 'press');
      await bus.publish(feedback, '{"event":"/press/1","label":"fault"}', 'press');
      await expectLearned('machine', 1);
      await untilResult('machine', 'duplicate', 1);
      await two.untilMetric('feedback_received', { task: 'machine', result: 'waiting' }, 2);
      expect((await two.status()).tasks.machine.learned).toBe(0);
    } finally {
      await two.remove();
    }
  },
  60_000,
);
