// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what is written
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { usualFaults } from '../../firmware-sim/faults.ts';
import { mailFeed, readingFeed } from '../../firmware-sim/feeds.ts';
import { taskSpec } from '../../src/app/spec.ts';
import { parseAddress } from '../../src/cli/init/address.ts';
import { judge, widened } from '../../src/cli/init/fields.ts';
import { Heard } from '../../src/cli/init/heard.ts';
import { Shape } from '../../src/cli/init/shape.ts';
import { matches, streamsOf } from '../../src/cli/init/streams.ts';
import { configText } from '../../src/cli/init/write.ts';
import { systemClock } from '../../src/clock.ts';
import { type Config, parseConfig } from '../../src/config.ts';
import type { Outgoing, Sink } from '../../src/contract.ts';
import { type Broker, startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { openTask } from '../../src/task/task.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
let broker: Broker;
let sink: Sink;

beforeAll(async () => {
  broker = await startBroker();
  const telemetry = new Telemetry({ level: 'silent' });
  const context = { site: 'x', clock: systemClock, telemetry, maxInFlight: 10, maxInFlightBytes: 1e6 };
  sink = mqtt.sink.open('out', mqtt.sink.options.parse({ url: broker.url, version: 4 }), context);
});
afterAll(async () => {
  await sink.close();
  await broker.close();
  folder.remove();
});

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** Heard without a broker. */
function hear(messages: readonly (readonly [topic: string, payload: unknown, extra?: object])[]): Heard {
  const heard = new Heard();
  for (const [topic, payload, extra] of messages) {
    const bytes =
      payload instanceof Uint8Array
        ? payload
        : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
    heard.add(
      { source: 's', topic, key: null, payload: bytes, headers: {}, at: NOW, position: '', ...extra },
      NOW,
    );
  }
  return heard;
}

const many = <T>(n: number, each: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => each(i));

/** The text that is written for it, and the configuration that it is. */
function written(
  heard: Heard,
  given: readonly string[] = [],
  url = 'mqtt://h:1883',
): { text: string; config: Config } {
  const address = parseAddress(url);
  const { streams, unused } = streamsOf(heard, given, address.kind);
  const text = configText({
    site: 'my-site',
    address,
    version: 5,
    ca: undefined,
    sasl: 'plain',
    streams,
    unused,
    messages: heard.messages,
    seconds: 60,
    at: NOW,
    file: 'sluice.yaml',
  });
  return { text, config: parseConfig(text, 'sluice.yaml', { env: address.secrets }) };
}

interface FieldOptions {
  pointer?: string;
  type: string;
  unit?: string;
  range?: [number, number];
}
function optionsOf(config: Config, task: string) {
  return config.tasks[task].decode.options as {
    fields: Record<string, FieldOptions>;
    device?: object;
    time?: string;
  };
}

describe('what is inferred', () => {
  it('knows numbers, categories, booleans, units and the time, and what is none of them', () => {
    const heard = hear(
      many(60, (i) => [
        `plant/press-${i % 3}/telemetry`,
        {
          ts: new Date(NOW + i * 1_000).toISOString(),
          temperature: { value: 20 + Math.sin(i) * 5, unit: '°C' },
          vibration: i % 20 === 7 ? -9999 : 2 + Math.cos(i),
          vibration_unit: 'mm/s',
          mode: ['idle', 'run'][i % 2],
          open: i % 2 === 0,
          axis: [i % 5, (i * 3) % 5, -1],
          seq: i,
          rising: i * 2.5,
          id: `r-${i}`,
          label: 'fault',
          text: String(20 + (i % 5)),
          nothing: null,
          deep: { list: [{ a: 1 }] },
        },
      ]),
    );
    const { text, config } = written(heard);
    const { fields, device, time } = optionsOf(config, 'plant');
    expect(Object.keys(fields)).toEqual([
      'temperature',
      'vibration',
      'mode',
      'open',
      'axis.0',
      'axis.1',
      'axis.2',
    ]);
    expect(fields.temperature).toMatchObject({ type: 'number', unit: '°C', pointer: '/temperature/value' });
    expect(fields.temperature.range![0]).toBeLessThan(15);
    expect(fields.temperature.range![1]).toBeGreaterThan(25);
    expect(fields.vibration).toMatchObject({ type: 'number', unit: 'mm/s' });
    expect(fields.vibration.range![0]).toBeGreaterThan(-100);
    expect(text).toMatch(/vibration:.*also -9999, which counts as missing/);
    expect(fields.mode.type).toBe('category');
    expect(fields.open.type).toBe('boolean');
    expect(fields['axis.2']).toMatchObject({ pointer: '/axis/2' });
    expect(fields['axis.2'].range).toBeUndefined();
    expect(text).toMatch(/axis\.2:.*always -1, 60 times/);
    expect({ device, time }).toEqual({ device: { topicLevel: 1 }, time: '/ts' });
    for (const [pointer, reason] of [
      ['/seq', 'numbers messages'],
      ['/rising', 'counts them'],
      ['/label', 'the answer'],
      ['/text', 'numbers written as text'],
      ['/nothing', 'always null'],
      ['/deep/list', 'an array'],
      ['/id', 'names things'],
    ])
      expect(text).toMatch(new RegExp(`# left out ${pointer}: .*${reason}`));
    expect(config.sources.plant).toMatchObject({ topics: ['plant/+/telemetry'] });
  });

  it('says of what was seen once that it was seen once, and invents no range', () => {
    const { text, config } = written(hear([['plant/a', { t: 21.5, state: 'on', ok: true }]]));
    expect(text).toMatch(/t: \{ type: number \} +# seen once: 21\.5/);
    expect(text).toMatch(/state: \{ type: category \} +# seen once: on/);
    expect(text).toMatch(/ok: \{ type: boolean \} +# seen once/);
    expect(text).toContain('# <- Nothing that names the device was seen');
    expect(text).toContain('# No time was seen in the messages');
    expect(optionsOf(config, 'plant').fields.t.range).toBeUndefined();
  });

  it.each([
    [{ ts: NOW / 1_000 }, /time: \/ts +# Unix seconds/],
    [{ timestamp: NOW }, /time: \/timestamp +# Unix milliseconds/],
    [{ when: NOW }, /time: \/when +# Unix milliseconds/],
    [{ time: '2026-01-02 03:04:05' }, /time: \/time +# RFC 3339 text without a zone/],
    [{ ts: NOW * 1_000 }, /# left out \/ts: a time in micro/],
    [{ ts: 12.5 }, /# No time was seen/],
    [{ price: 1_500_000_000 }, /# No time was seen/],
  ])('reads the time %j', (fields, expected) => {
    expect(written(hear(many(3, () => ['a/b', { ...fields, x: 1 }]))).text).toMatch(expected);
  });

  it('takes the device from the topic, from the message, from the key, or says that none was seen', () => {
    const inMessage = hear(many(30, (i) => ['hall/all', { device: `d${i % 4}`, x: i % 7 }]));
    expect(optionsOf(written(inMessage).config, 'hall').device).toEqual({ pointer: '/device' });
    const keyed = hear(many(30, (i) => ['readings', { x: i % 7 }, { key: `d${i % 4}` }]));
    expect(written(keyed, [], 'kafka://h:9092').text).toContain('# The device is the Kafka key.');
    const asked = hear([['hall/one/state', { x: 1 }]]);
    expect(optionsOf(written(asked, ['hall/+/state']).config, 'hall').device).toEqual({ topicLevel: 1 });
  });

  it('keeps kinds of messages apart, and filters that catch nothing else', () => {
    const heard = hear([
      ...many(40, (i) => [`plant/p${i % 4}/telemetry`, { t: i % 7, v: i % 5 }] as const),
      ...many(40, (i) => [`plant/p${i % 4}/power`, { watts: i % 9, volts: 230 }] as const),
      ...many(
        20,
        (i) =>
          [
            `mail/in/box${i % 2}`,
            `From: a@b.example\r\nTo: c@d.example\r\nSubject: n ${i}\r\n\r\nhello`,
          ] as const,
      ),
      ['plant/p0/firmware', Buffer.from([1, 2, 3, 255])],
      ['plant/p0/rssi', '-71'],
      ['sluice/my-site/plant/verdict', { label: 'ok', x: 1 }],
      ['spBv1.0/g/DDATA/e', Buffer.from([8, 1, 255])],
      ['senml', [{ bn: 'urn:1:', n: 'temp', v: 3 }]],
    ]);
    const { text, config } = written(heard);
    expect(Object.values(config.sources).map((source) => 'topics' in source && source.topics)).toEqual([
      ['plant/+/telemetry'],
      ['plant/+/power'],
      ['mail/in/+'],
    ]);
    expect(Object.keys(config.tasks)).toEqual(['plant', 'plant-2', 'spam']);
    expect(config.tasks.spam).toMatchObject({ event: 'email', labels: ['ham', 'spam'], from: ['mail'] });
    for (const line of [
      'plant/p0/firmware: 1 messages, neither JSON nor mail',
      'plant/p0/rssi: 1 messages, a bare number',
      'from Sluice itself',
      'Sparkplug B',
      'SenML',
    ])
      expect(text).toContain(line);
  });

  it('never subscribes to a topic of another kind', () => {
    const heard = hear([
      ...many(30, (i) => [`a/${i % 3}/x`, { t: i % 7 }] as const),
      ...many(30, (i) => [`a/${i % 3}/y`, { t: i % 7 }] as const),
      ['a/0/z', 'junk'],
      ['a/9/x', 'junk'],
    ]);
    const { streams } = streamsOf(heard, [], 'mqtt');
    expect(streams).toHaveLength(1);
    const caught = [...heard.topics.keys()].filter((topic) =>
      streams[0].filters.some((filter) => matches(filter, topic)),
    );
    expect(caught.sort()).toEqual(['a/0/x', 'a/0/y', 'a/1/x', 'a/1/y', 'a/2/x', 'a/2/y']);
  });

  it('reads arrays of readings and CloudEvents', () => {
    const cloud = (i: number) => ({
      specversion: '1.0',
      id: String(i),
      source: '/p',
      type: 't',
      time: new Date(NOW).toISOString(),
      data: { t: i % 7, v: 1 },
    });
    const one = written(hear(many(30, (i) => ['line/a', cloud(i)])));
    expect(one.text).toContain('CloudEvents');
    expect(one.text).toContain('# The time is that of the CloudEvent.');
    expect(Object.keys(optionsOf(one.config, 'line').fields)).toEqual(['t', 'v']);
    const array = written(hear(many(5, (i) => ['line/a', many(12, (j) => ({ t: i + j }))])));
    expect(array.text).toContain('up to 12 readings in one');
    expect(Object.keys(optionsOf(array.config, 'line').fields)).toEqual(['t']);
  });

  it('widens what was seen to each side, rounded outwards', () => {
    expect(widened(20, 25)).toEqual([0, 40]);
    expect(widened(0.012, 0.018)).toEqual([-0.01, 0.04]);
    expect(widened(5, 5)).toBeNull();
    expect(widened(-1e308, 1e308)).toBeNull();
  });

  it('reads every readable message of the simulator with the configuration made of it', async () => {
    const machines = readingFeed({ seed: 5, devices: 6, classes: 2, faults: usualFaults });
    const mails = mailFeed({ seed: 5 });
    const sent: { topic: string; payload: Buffer; name: string; readable: boolean }[] = [];
    for (let i = 0; i < 400; i += 1)
      for (const [feed, topicOf] of [
        [machines, (name: string) => `plant/${name}/telemetry`],
        [mails, (name: string) => `mail/inbound/${name}`],
      ] as const)
        for (const { name, payload, readable } of (await feed.next(NOW + i * 250)) ?? [])
          sent.push({ topic: topicOf(name), payload: Buffer.from(payload), name, readable });
    const { config } = written(hear(sent.map(({ topic, payload }) => [topic, payload] as const)));
    expect(Object.keys(config.tasks).sort()).toEqual(['plant', 'spam']);
    const tasks = { plant: openTask(taskSpec(config, 'plant')), mail: openTask(taskSpec(config, 'spam')) };
    let values = 0;
    for (const { topic, payload, name, readable } of sent.filter((one) => one.readable)) {
      expect(readable).toBe(true);
      const task = topic.startsWith('plant') ? tasks.plant : tasks.mail;
      const [event] = task.decode({
        source: 's',
        topic,
        key: null,
        payload,
        headers: {},
        at: NOW,
        position: '',
      });
      expect(event.device).toBe(name);
      if (event.body.kind === 'reading')
        values += event.body.values.filter((value) => !Number.isNaN(value)).length;
    }
    // Nearly all of what machines say is used: ranges do not throw it away.
    expect(values).toBeGreaterThan(0.9 * 5 * 400);
  });

  it('gives the fields of the simulated machines', async () => {
    const feed = readingFeed({ seed: 3, devices: 4, classes: 2 });
    const shape = new Shape();
    for (let i = 0; i < 400; i += 1) {
      for (const { payload, readable } of (await feed.next(NOW + i * 250)) ?? [])
        if (readable) shape.add(JSON.parse(Buffer.from(payload).toString('utf8')), NOW, 1_000);
    }
    const { fields, time, device } = judge(shape);
    expect(fields.map(({ name, type }) => `${name} ${type}`)).toEqual(
      expect.arrayContaining([
        'temperature number',
        'vibration number',
        'current number',
        'pressure number',
        'rpm number',
        'mode category',
      ]),
    );
    expect(time?.pointer).toBe('/ts');
    expect(device?.pointer).toBe('/device');
  });
});

describe('what is hostile', () => {
  it('cannot become YAML, end a comment, or refer to the environment', () => {
    const evil = 'x\n      evil: { type: number } # ${HOME} "}\u2028\u0007';
    const heard = hear(
      many(30, (i) => [
        'p/${HOME}/"quoted": [',
        {
          [evil]: i % 7,
          '${PATH}': i % 5,
          'a: b # c': i % 3,
          mode: `${evil}${i % 2}`,
          __proto__x: 1,
          ['__proto__']: 2,
          '': 3,
          y: i % 4,
          true: i % 2,
        },
      ]),
    );
    const { text, config } = written(heard);
    const { fields } = optionsOf(config, 'p');
    expect(Object.keys(fields)).toEqual(expect.arrayContaining(['${PATH}', 'a: b # c', 'mode', 'y', 'true']));
    expect(Object.keys(fields)).not.toContain('evil');
    expect(Object.getPrototypeOf(fields)).toBe(Object.prototype);
    expect('topics' in config.sources.p && config.sources.p.topics).toEqual(['p/${HOME}/"quoted": [']);
    for (const unsafe of ['\u2028', '\u0007']) expect(text).not.toContain(unsafe);
  });

  it('is bounded: fields, depth, names, topics, sizes', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 500; i += 1) deep = { d: deep };
    const wide = Object.fromEntries(many(5_000, (i) => [`f${i}`, i % 3]));
    const heard = hear([
      ...many(2_500, (i) => [`t/${i}`, { ['n'.repeat(5_000)]: 1, v: 1 }] as const),
      ['t/wide', wide],
      ['t/deep', { deep, v: 1 }],
      ['t/big', 'x'.repeat(1024 ** 2 + 1)],
    ]);
    expect(heard.topics.size).toBe(2_000);
    expect(heard.beyond).toBe(503);
    const alone = written(hear([...many(30, () => ['t/wide', wide] as const), ['t/deep', { deep, v: 1 }]]));
    expect(Object.keys(optionsOf(alone.config, 't').fields).length).toBeLessThanOrEqual(200);
    expect(alone.text).toContain('There was more than is looked at');
    expect(alone.text.length).toBeLessThan(60_000);
  });
});

describe('an address', () => {
  it('keeps its secrets out of what is written', () => {
    const { text, config } = written(
      hear([['a/b', { x: 1 }]]),
      [],
      'mqtts://ann:p%40ss:w@broker.example:8883',
    );
    expect(text).not.toMatch(/ann|p%40ss|p@ss/);
    expect(text).toContain('user: "${MQTT_USER}"');
    expect(config.sinks.broker).toMatchObject({ user: 'ann', password: 'p@ss:w' });
    const ws = written(hear([['a/b', { x: 1 }]]), [], 'wss://h/mqtt?token=t0ps3cret');
    expect(ws.text).not.toContain('t0ps3cret');
    expect(ws.config.sinks.broker).toMatchObject({ url: ['wss://h/mqtt?token=t0ps3cret'] });
    const kafka = written(hear([['topic', { x: 1 }]]), [], 'kafkas://ann:hunter22@a:9093,b:9094');
    expect(kafka.text).not.toMatch(/ann|hunter22/);
    expect(kafka.config.sinks.broker).toMatchObject({
      brokers: ['a:9093', 'b:9094'],
      tls: true,
      sasl: { mechanism: 'plain', username: 'ann', password: 'hunter22' },
    });
  });

  it.each([
    '',
    'http://h',
    'mqtt://',
    'broker:1883',
    'mqtt://a,b',
    'kafka://h/topic',
    'mqtt://u:secret@h:99999',
    'kafka://h:x',
  ])('refuses %j without repeating it', (url) => {
    try {
      parseAddress(url);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'USAGE' });
      expect(String(error)).not.toContain('secret');
    }
  });
});

describe('sluice init', () => {
  let feeding: Promise<void> = Promise.resolve();
  let running = false;
  afterEach(async () => {
    running = false;
    await feeding;
  });
  const feed = (batch: readonly (readonly [topic: string, payload: string])[]) => {
    running = true;
    const messages: Outgoing[] = batch.map(([topic, payload]) => ({ topic, key: null, payload }));
    feeding = (async () => {
      while (running) {
        await sink.publish(messages);
        await systemClock.sleep(20);
      }
    })();
  };

  it('writes a file that our own lint takes, and tells what it saw and what comes next', async () => {
    feed(
      many(
        12,
        (i) => [`plant/press-${i % 3}/telemetry`, JSON.stringify({ t: 20 + i, mode: 'run' })] as const,
      ),
    );
    const out = join(folder.path, 'made.yaml');
    const url = broker.url.replace('mqtt://', 'mqtt://me:s3cretpass@');
    const ran = await sluice(['init', url, '--for', '300ms', '--out', out, '--site', 'north-gate']);
    expect(ran.err).toBe('');
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(
      /^heard \d+ messages on 3 topics in 0 s\n {2}plant: plant\/\+\/telemetry: \d+ messages, 3 devices; 2 fields \(t, mode\)\n/,
    );
    expect(ran.out).toContain(
      `next: choose the labels (marked <-), then MQTT_USER=… MQTT_PASSWORD=… sluice run -c ${out}`,
    );
    const text = readFileSync(out, 'utf8');
    expect(text + ran.out).not.toContain('s3cretpass');
    expect(text).toContain('site: north-gate');
    expect(text).toContain('version: 4');
    const lint = await sluice(['lint', '-c', out], { env: { MQTT_USER: 'me', MQTT_PASSWORD: 'x' } });
    expect(lint).toMatchObject({ code: 0, out: `${out}: ok: 1 source, 1 task, 1 sink\n` });
  });

  it('does not write over a file unless told to', async () => {
    const out = folder.file('mine.yaml', 'site: mine\n');
    feed([['a/b', '{"x":1}']]);
    const refused = await sluice(['init', broker.url, '--for', '200ms', '--out', out]);
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('is there already') });
    expect(readFileSync(out, 'utf8')).toBe('site: mine\n');
    expect((await sluice(['init', broker.url, '--for', '200ms', '--out', out, '--force'])).code).toBe(0);
    expect(readFileSync(out, 'utf8')).toContain('site: my-site');
  });

  it('writes to standard output, and only the kind that was asked for', async () => {
    feed([
      ['a/b', '{"x":1}'],
      ['m/box', 'From: a@b.example\r\nSubject: x\r\nDate: now\r\n\r\nhi'],
    ]);
    const ran = await sluice(['init', broker.url, '--for', '200ms', '--out', '-', '--event', 'email']);
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^# Written by/);
    expect(ran.out).toContain('event: email');
    expect(ran.out).not.toContain('event: sensor');
    expect(ran.err).toContain('next: choose the labels');
  });

  it('writes what it learned when it is interrupted', async () => {
    feed([['a/b', '{"x":1}']]);
    const out = join(folder.path, 'early.yaml');
    const before = broker.connected;
    const ran = sluice(['init', broker.url, '--for', '60s', '--out', out]);
    while (broker.connected === before) await systemClock.sleep(10);
    await systemClock.sleep(300);
    process.emit('SIGINT');
    expect((await ran).code).toBe(130);
    expect(statSync(out).size).toBeGreaterThan(100);
  });

  it('says why where nothing can be made of it, and leaves no session', async () => {
    const before = broker.connected;
    const silent = await sluice([
      'init',
      broker.url,
      'nobody/+',
      '--for',
      '100ms',
      '--out',
      join(folder.path, 'no.yaml'),
    ]);
    expect(silent).toMatchObject({
      code: 1,
      err: expect.stringContaining('NOTHING_HEARD: no message came from mqtt://127.0.0.1'),
    });
    feed([
      ['junk/1', 'xyz'],
      ['junk/2', '7'],
    ]);
    const junk = await sluice(['init', broker.url, '--for', '200ms', '--out', join(folder.path, 'no.yaml')]);
    expect(junk.err).toMatch(/none of \d+ messages were readings or mail \(junk\/\d: /);
    while (broker.connected > before) await systemClock.sleep(10);
  });

  it.each([
    [['init', 'ftp://x'], 'not the address of a broker'],
    [['init', 'mqtt://h', '--for', 'long'], '--for long'],
    [['init', 'mqtt://h', '--event', 'video'], 'sensor or email'],
    [['init', 'mqtt://h', '--site', 'no spaces'], '--site'],
    [['init', 'mqtt://h', '--mqtt-version', '3'], '--mqtt-version: 4 or 5'],
    [['init', 'kafka://h', '--sasl', 'magic'], '--sasl magic'],
    [['init', 'mqtt://h', 'a/#/b'], 'not a topic filter'],
  ])('refuses %j', async (words, reason) => {
    const ran = await sluice([...words, '--out', join(folder.path, 'none.yaml')]);
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining(reason) });
  });
});
