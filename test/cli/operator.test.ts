/** The operator's tools against a gateway that runs: labels sent, events found, verdicts explained. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gateway } from '../../src/app/gateway.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import type { Message, Sink, Source } from '../../src/contract.ts';
import { decodeFeedback } from '../../src/envelope.ts';
import { type Broker, startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { openEngine } from '../../src/model/engine.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
const telemetry = new Telemetry({ level: 'silent' });
const context = { site: 'x', clock: systemClock, telemetry, maxInFlight: 1_000, maxInFlightBytes: 1e7 };
let broker: Broker;
let sink: Sink;
let watch: Source;
let gateway: Gateway;
let file = '';
const stop = new AbortController();
/** What passed on the feedback and verdict topics. */
const passed: Message[] = [];

const START = Date.UTC(2026, 0, 2, 14, 0, 0);
const at = (n: number) => new Date(START + n * 1_000).toISOString();
/** Vibration says it all. */
const reading = (n: number) => ({
  ts: at(n),
  vibration: n % 2 ? 9 + (n % 5) / 5 : 2 + (n % 5) / 5,
  mode: n % 2 ? 'jammed' : 'run',
});
const mail = (n: number, words: string) =>
  `From: ann@corp.example\r\nTo: bob@corp.example\r\nSubject: note ${n}\r\nMessage-ID: <m${n}@corp.example>\r\nDate: Fri, 02 Jan 2026 14:00:00 +0000\r\n\r\n${words}\r\n`;
const spamWords = 'cheap pills buy now';
const hamWords = 'the meeting moved to friday';

const configuration = (url: string, state: string): string => `site: hall
sources:
  plant: { type: mqtt, url: "${url}", version: 4, topics: ["plant/+"] }
  mail: { type: mqtt, url: "${url}", version: 4, topics: ["mail/+"] }
tasks:
  machine:
    from: [plant]
    event: sensor
    device: { topicLevel: 1 }
    time: /ts
    fields: { vibration: { unit: mm/s }, mode: { type: category } }
    labels: [ok, fault]
    minLabels: 10
  spam: { from: [mail], event: email, labels: [ham, spam], minLabels: 10 }
sinks:
  core: { type: mqtt, url: "${url}", version: 4 }
store: { path: ${JSON.stringify(state)} }
`;

async function until(what: string, done: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !done(); ) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await systemClock.sleep(10);
  }
}

const verdictsOf = (task: string) =>
  passed
    .filter(({ topic }) => topic === `sluice/hall/${task}/verdict`)
    .map(
      ({ payload }) =>
        JSON.parse(Buffer.from(payload).toString('utf8')).data as {
          event: string;
          device: string;
          at: string;
          label: string | null;
          score: number;
        },
    );
const feedbackOf = (task: string) => passed.filter(({ topic }) => topic === `sluice/hall/${task}/feedback`);
const labelsLearned = (task: string) => gateway.status().tasks[task]?.learned ?? 0;

const publish = (all: readonly (readonly [topic: string, payload: string])[]) =>
  sink.publish(all.map(([topic, payload]) => ({ topic, key: null, payload })));

beforeAll(async () => {
  broker = await startBroker();
  sink = mqtt.sink.open('out', mqtt.sink.options.parse({ url: broker.url, version: 4 }), context);
  const topics = ['sluice/hall/+/feedback', 'sluice/hall/+/verdict'];
  watch = mqtt.source.open(
    'watch',
    mqtt.source.options.parse({ url: broker.url, version: 4, topics, session: 'watch' }),
    context,
  );
  void (async () => {
    for await (const deliveries of watch.read(stop.signal))
      for (const delivery of deliveries) {
        passed.push(delivery.message);
        delivery.settle('done');
      }
  })();
  await until('watching', () => watch.health().ok);
  const text = configuration(broker.url, join(folder.path, 'state'));
  file = folder.file('sluice.yaml', text);
  gateway = await Gateway.start(parseConfig(text, file), {
    engine: openEngine(),
    clock: systemClock,
    telemetry,
  });
  await until('ready', () => gateway.health().ok);
  await publish([
    ...Array.from({ length: 60 }, (_, n) => [`plant/press-0${n % 2}`, JSON.stringify(reading(n))] as const),
    ...Array.from({ length: 30 }, (_, n) => ['mail/box', mail(n, n % 2 ? spamWords : hamWords)] as const),
  ]);
  await until('verdicts', () => verdictsOf('machine').length === 60 && verdictsOf('spam').length === 30);
});

afterAll(async () => {
  stop.abort();
  await gateway?.stop();
  await watch?.close();
  await sink?.close();
  await broker?.close();
  folder.remove();
});

const machine = (...words: string[]) => ['feedback', '-c', file, '--task', 'machine', ...words];

describe('sluice feedback', () => {
  it('sends the label of a span, confirmed, and the gateway learns it', async () => {
    const before = broker.connected;
    const ran = await sluice(
      machine(
        '--device',
        'press-01',
        '--from',
        at(0),
        '--to',
        at(59),
        '--label',
        'fault',
        '--origin',
        'desk',
      ),
    );
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(ran.out).toBe(
      'sent 1 of 1 (1 fault) to sluice/hall/machine/feedback over core, confirmed by the broker\n',
    );
    await until('learned', () => labelsLearned('machine') === 30);
    expect(
      (await sluice(machine('--device', 'press-00', '--from', at(0), '--to', at(59), '--label', 'ok'))).code,
    ).toBe(0);
    await until('learned', () => labelsLearned('machine') === 60);
    // Neither the gateway's session was taken, nor one left behind.
    await until('gone', () => broker.connected === before);
    expect(gateway.health().ok).toBe(true);
  });

  it('sends a whole file, JSON lines or CSV', async () => {
    const lines = Array.from({ length: 15 }, (_, n) =>
      JSON.stringify({ messageId: `<m${2 * n}@corp.example>`, label: 'ham', weight: 2 }),
    );
    const jsonl = folder.file('ham.jsonl', `${lines.join('\n')}\n\n`);
    const rows = Array.from(
      { length: 14 },
      (_, n) => `m${2 * n + 1}@corp.example,spam,"the ""desk"", upstairs"`,
    );
    const csv = folder.file('spam.csv', `\ufeffmessageId,label,origin\r\n${rows.join('\r\n')}\r\n`);
    expect((await sluice(['feedback', '-c', file, '--task', 'spam', '--file', jsonl])).out).toContain(
      'sent 15 of 15 (15 ham)',
    );
    const ran = await sluice(['feedback', '-c', file, '--task', 'spam', '--file', csv, '--json', '-']);
    expect(JSON.parse(ran.out)).toEqual({
      task: 'spam',
      sink: 'core',
      by: 'broker',
      topic: 'sluice/hall/spam/feedback',
      labels: 14,
      byLabel: { spam: 14 },
      sent: 14,
    });
    await until('learned', () => labelsLearned('spam') === 29);
    const [last] = decodeFeedback(feedbackOf('spam').at(-1)!.payload, 0, () => '');
    expect(last).toMatchObject({ label: 'spam', origin: 'the "desk", upstairs', weight: 1 });
  });

  it('names a mail by its digest: what was written does not travel', async () => {
    const raw = folder.file('mail.eml', mail(29, spamWords));
    expect(
      (await sluice(['feedback', '-c', file, '--task', 'spam', '--raw', raw, '--label', 'spam'])).code,
    ).toBe(0);
    await until('learned', () => labelsLearned('spam') === 30);
    const sent = Buffer.from(feedbackOf('spam').at(-1)!.payload).toString('utf8');
    expect(sent).toContain(`raw:${createHash('sha256').update(mail(29, spamWords)).digest('hex')}`);
    expect(sent).not.toContain('corp.example');
  });

  it('takes a label back', async () => {
    const { event } = verdictsOf('machine')[7];
    expect((await sluice(machine('--event', event, '--withdraw'))).out).toContain('(1 withdrawn)');
    await until('withdrawn', () => labelsLearned('machine') === 59);
    expect((await sluice(machine('--event', event, '--label', 'fault'))).code).toBe(0);
    await until('learned', () => labelsLearned('machine') === 60);
  });

  it('shows what it would send, and sends nothing', async () => {
    const before = feedbackOf('machine').length;
    const ran = await sluice(machine('--event', 'x', '--label', 'ok', '--weight', '3', '--dry-run'));
    const [line, said] = ran.out.trimEnd().split('\n');
    expect(JSON.parse(line)).toMatchObject({ event: 'x', label: 'ok', weight: 3, origin: 'operator' });
    expect(said).toBe('would send 1 ok to sluice/hall/machine/feedback over core');
    await systemClock.sleep(50);
    expect(feedbackOf('machine')).toHaveLength(before);
  });

  it('refuses a file with a bad line as a whole, and names the lines', async () => {
    const before = feedbackOf('machine').length;
    const bad = folder.file(
      'bad.jsonl',
      [
        '{"event":"a","label":"ok"}',
        '{"event":"b","label":"broken"}',
        'not json',
        '[1]',
        '{"event":"c"}',
        '{"event":"d","label":"ok","colour":1}',
      ].join('\n'),
    );
    const ran = await sluice(machine('--file', bad));
    expect(ran.code).toBe(1);
    for (const line of [
      'line 2: "broken" is not one of ok, fault',
      'line 3: it is not JSON',
      'line 4: it is no object',
      'line 5: the feedback needs label',
      'line 6: "colour" is no field',
    ])
      expect(ran.err).toContain(line);
    const csv = folder.file('bad.csv', 'event,label\na,\n"b,ok\nc,ok,more\n');
    const table = await sluice(machine('--file', csv));
    for (const line of ['line 2: the label is empty', 'line 3: a quote', 'line 4: it has 3 cells'])
      expect(table.err).toContain(line);
    expect(feedbackOf('machine')).toHaveLength(before);
  });

  it.each([
    [[], 'in one way'],
    [['--event', 'a', '--message-id', 'b', '--label', 'ok'], 'in one way'],
    [['--event', 'a'], '--label LABEL, or --withdraw'],
    [['--event', 'a', '--label', 'ok', '--withdraw'], '--label LABEL, or --withdraw'],
    [['--event', 'a', '--label', 'jammed'], '"jammed" is not one of ok, fault'],
    [['--device', 'd', '--from', 'yesterday', '--to', '5', '--label', 'ok'], '--from yesterday'],
    [['--device', 'd', '--label', 'ok'], 'belong together'],
    [
      ['--device', 'd', '--from', '2026-01-03', '--to', '2026-01-02', '--label', 'ok'],
      'ends before it begins',
    ],
    [['--event', 'a', '--label', 'ok', '--weight', '0'], '--weight 0'],
    [['--event', 'a', '--label', 'ok', '--sink', 'other'], 'heard on core'],
    [['--raw', 'x', '--label', 'ok'], '--raw names mails'],
    [['--file', 'nowhere.jsonl'], 'nowhere.jsonl'],
    [['--file', 'x', '--label', 'ok'], 'every line brings its own label'],
    [['--event', 'a', '--label', 'ok', '--origin', 'x'.repeat(257)], 'at most 256'],
  ])('refuses %j', async (words, reason) => {
    const ran = await sluice(machine(...words));
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toContain(reason);
  });

  it('says so where the broker is away', async () => {
    const away = folder.file(
      'away.yaml',
      configuration('mqtt://127.0.0.1:1', join(folder.path, 'state')).replace(
        'core: {',
        'core: { publishTimeout: 200ms,',
      ),
    );
    const ran = await sluice(['feedback', '-c', away, '--task', 'machine', '--event', 'a', '--label', 'ok']);
    expect(ran).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/BROKER_UNREACHABLE|PUBLISH_FAILED/),
    });
  });
});

describe('sluice forget', () => {
  it('takes an event out of the model and its row out of the store', async () => {
    const { event } = verdictsOf('machine')[3];
    const before = labelsLearned('machine');
    expect((await sluice(['explain', '-c', file, '--event', event])).code).toBe(0);
    const ran = await sluice(['forget', '-c', file, '--task', 'machine', '--event', event]);
    expect(ran).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('sent 1 of 1 (1 to forget)'),
    });
    await until('forgotten', () => labelsLearned('machine') === before - 1);
    let gone = await sluice(['explain', '-c', file, '--event', event]);
    for (let n = 0; n < 100 && gone.code === 0; n += 1) {
      await systemClock.sleep(20);
      gone = await sluice(['explain', '-c', file, '--event', event]);
    }
    expect(gone).toMatchObject({ code: 1, err: expect.stringContaining('EVENT_UNKNOWN') });
  });
});

describe('sluice explain', () => {
  const explain = (...words: string[]) => sluice(['explain', '-c', file, ...words]);

  beforeAll(async () => {
    const before = verdictsOf('machine').length;
    await publish([
      ['plant/press-07', JSON.stringify({ ts: at(600), vibration: 9.25, mode: 'jammed' })],
      ['mail/box', mail(100, `${spamWords} and much more`)],
    ]);
    await until('verdicts', () => verdictsOf('machine').length > before && verdictsOf('spam').length > 30);
  });

  it('tells what is known of a reading and what decided it, by device and time in plain words', async () => {
    const { event } = verdictsOf('machine').at(-1)!;
    const ran = await explain('press-07', at(600));
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(ran.out).toContain(
      `event    ${event}\ndevice   press-07\ntime     ${at(600)}\ntask     machine\nverdict  fault (fault `,
    );
    expect(ran.out).toMatch(/model {4}blank-[0-9a-f]{12}\+\d+\nlabel {4}none was learned\n/);
    expect(ran.out).toMatch(/vibration 9\.25 mm\/s \(\+\d+\.\d towards fault\)/);
    expect(ran.out).toMatch(/bucket \d+ \(\+\d+\.\d towards fault\)/);
    expect(ran.out).toContain('sluice explain … --task machine --raw FILE');
  });

  it('explains with the very model of the verdict, and says when labels were corrected since', async () => {
    const [{ model, incident, explanation }] = JSON.parse(
      (await explain('--device', 'press-07', '--json', '-')).out,
    );
    expect(model.name).toBe(incident.model);
    expect(explanation.probability).toBeGreaterThan(0.5);
    expect(model.note).toMatch(
      /^(the model of the verdict; its score is that of the verdict|labels were corrected since; it gives fault 0\.\d{3} where the verdict had 0\.\d{3})$/,
    );
  });

  it('names the features of a mail that is given', async () => {
    const raw = folder.file('hundred.eml', mail(100, `${spamWords} and much more`));
    const ran = await explain('--task', 'spam', '--raw', raw, '--limit', '40');
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('verdict  spam');
    expect(ran.out).toMatch(/towards spam\n( +\+\d.*\n)* +\+\d\.\d+ {2}text "(cheap|pills|buy|now)", with /);
    expect(ran.out).toMatch(/all of {3}.*body \+\d/);
    expect(ran.out).not.toContain('bucket');
    expect(ran.out).not.toMatch(/\w@\w/);
    const shown = await explain('--task', 'spam', '--raw', raw, '--limit', '40', '--show');
    expect(shown.out).toMatch(/header from ".*@/);
    for (const [words, there] of [
      [[], false],
      [['--show'], true],
    ] as const) {
      const { out } = await explain('--raw', raw, '--task', 'spam', '--limit', '99', '--json', '-', ...words);
      expect(/\w@\w/.test(JSON.stringify(JSON.parse(out)[0].explanation))).toBe(there);
    }
  });

  it('scores a mail that it does not know just now', async () => {
    const raw = folder.file('new.eml', mail(7777, 'the meeting moved to monday'));
    const ran = await explain('--task', 'spam', '--raw', raw);
    expect(ran.out).toContain('verdict  not in the store; scored just now');
    expect(ran.out).toMatch(/ham 0\.\d{3}: log-odds \+/);
  });

  it('finds a mail by its Message-ID, with its label and who gave it', async () => {
    const ran = await explain('<m1@corp.example>');
    expect(ran.out).toContain('task     spam');
    expect(ran.out).toMatch(/label {4}spam, by the "desk", upstairs at 20/);
    expect((await explain('--message-id', 'm1@corp.example')).out).toBe(ran.out);
  });

  it('explains another label when asked to, and names other events that were meant', async () => {
    const ran = await explain('press-01', '--label', 'ok', '--json', '-');
    const [{ explanation, others }] = JSON.parse(ran.out);
    expect(explanation.label).toBe('ok');
    expect(others.length).toBe(19);
    expect((await explain('press-01')).out.match(/^also /gm)).toHaveLength(8);
  });

  it.each([
    [['nothing-like-this'], 'EVENT_UNKNOWN: not found in machine, spam'],
    [[], 'in one way'],
    [['--event', 'a', '--device', 'b'], 'in one way'],
    [['--event', 'a', '--at', '14:05'], 'in one way'],
    [['--device', 'press-07', '--at', 'noon'], 'EVENT_UNKNOWN'],
    [['press-07', '--label', 'nope'], '"nope" is not one of ok, fault'],
    [['press-07', '--limit', '0'], '--limit 0'],
    [['--raw', 'nowhere.eml', '--task', 'spam'], 'nowhere.eml'],
    [['--raw', 'x'], 'several tasks'],
    [['press-07', '--task', 'none'], 'there is no task "none"'],
  ])('refuses %j', async (words, reason) => {
    const ran = await explain(...words);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toContain(reason);
  });
});
