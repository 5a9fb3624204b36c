import { Writable } from 'node:stream';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maskData, readHappenings, usualPlace } from '../../src/cli/tap/happening.ts';
import { lineOf } from '../../src/cli/tap/lines.ts';
import { define } from '../../src/cli/tap.ts';
import { systemClock } from '../../src/clock.ts';
import type { Message, Sink } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { type Broker, startBroker } from '../../src/io/broker.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { configuration, temporaryFolder } from './run.ts';

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

/** Runs the verb; publishes again and again until it ends by its --limit, since a tap sees only what comes later. */
async function tap(
  words: readonly string[],
  publish: readonly (readonly [topic: string, data: unknown])[] = [],
  screen: { isTTY?: boolean; env?: Record<string, string> } = {},
) {
  let out = '';
  const stdout = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        out += String(chunk);
        done();
      },
    }),
    { isTTY: screen.isTTY ?? false },
  );
  const terminal = { stdin: process.stdin, stdout, stderr: stdout, env: screen.env ?? {}, exitCode: 0 };
  const command = new Command('tap').exitOverride();
  define(command, terminal);
  let running = true;
  const ended = command.parseAsync([...words], { from: 'user' }).finally(() => {
    running = false;
  });
  const batch = publish.map(([topic, data]) => ({
    topic,
    key: null,
    payload:
      typeof data === 'string'
        ? data
        : JSON.stringify({ specversion: '1.0', time: '2026-01-02T14:07:12.345Z', data }),
  }));
  const feeding = (async () => {
    while (running && batch.length > 0) {
      await sink.publish(batch);
      await systemClock.sleep(20);
    }
  })();
  await ended;
  await feeding;
  return { out, lines: out.trimEnd().split('\n'), code: terminal.exitCode };
}

const verdict = {
  event: 'sha256:0123456789abcdef0123456789abcdef',
  device: 'press-07',
  label: 'fault',
  score: 0.93,
  model: '0123456789abcdef0123456789abcdef+1204',
  tookMs: 2.1,
};
const usual = () => ['--url', broker.url, '--mqtt-version', '4'];

describe('sluice tap', () => {
  it('prints what passes on the broker, one aligned line each', async () => {
    const { lines, code } = await tap(
      [...usual(), '--limit', '5'],
      [
        ['sluice/north/machine/verdict', verdict],
        [
          'sluice/north/spam/feedback',
          { event: 'sha256:0123456789abcdef0123456789abcdef', label: 'ham', origin: 'desk' },
        ],
        [
          'sluice/north/machine/dead',
          { code: 'DECODE_JSON', topic: 'plant/press-07/telemetry', size: 213, message: 'cut short' },
        ],
        [
          'sluice/north/machine/drift',
          { stream: 'vibration', state: 'alarm', detector: 'adwin', statistic: 3, threshold: 2 },
        ],
        ['sluice/north/machine/state', { unseen: true }],
        [
          'sluice/north/machine/metrics',
          {
            rate: 5012,
            latencyMs: { p50: 1, p99: 4 },
            dead: 2,
            model: { labels: 90, sufficient: true },
            quality: { window: { accuracy: 0.971 }, total: { accuracy: null } },
          },
        ],
      ],
    );
    expect(code).toBe(0);
    expect(lines).toHaveLength(5);
    const line = (kind: string) => lines.find((l) => l.includes(`  ${kind} `));
    expect(line('verdict')).toMatch(
      /^14:07:12\.345 {2}verdict {3}machine {3}press-07 +fault +0\.930 +01234567…\+1204 +2\.1 ms$/,
    );
    expect(line('feedback')).toMatch(/ spam {6}01234567… +ham +by desk$/);
    expect(line('dead')).toMatch(/plant\/press-07\/teleme… +DECODE_JSON {2}213 bytes {2}cut short$/);
    expect(line('drift')).toMatch(/vibration +alarm +adwin {2}3 over 2$/);
    expect(line('metrics')).toMatch(
      /5,012\/s +p50 1 {2}p99 4 ms {2}accuracy 97\.1 % \(all –\) {2}90 labels {2}2 dead$/,
    );
    expect(lines.join('')).not.toContain('\u001b');
  });

  it('shows only the kinds and the task that were asked for', async () => {
    const { lines } = await tap(
      [...usual(), '--limit', '3', '--what', 'verdict', '--task', 'spam', '--json'],
      [
        ['sluice/north/machine/verdict', verdict],
        ['sluice/north/spam/dead', { code: 'DECODE_MAIL' }],
        ['sluice/north/spam/verdict', [{ ...verdict, label: null }]],
      ],
    );
    const seen = lines.map((text) => JSON.parse(text) as { kind: string; task: string });
    expect(seen.map(({ kind, task }) => `${kind} ${task}`)).toEqual(Array(3).fill('verdict spam'));
  });

  it('masks addresses and payloads unless told to show them', async () => {
    const letter = {
      code: 'DECODE_MAIL',
      topic: 'mail/inbound/ann@corp.example',
      payload: 'c2VjcmV0',
      key: 'bob@corp.example',
    };
    const masked = await tap([...usual(), '--limit', '1', '--json'], [['sluice/n/spam/dead', letter]]);
    expect(masked.out).not.toMatch(/corp\.example|c2VjcmV0/);
    expect(masked.out).toContain('‹masked›');
    const plain = await tap(
      [...usual(), '--limit', '1', '--json', '--show'],
      [['sluice/n/spam/dead', letter]],
    );
    expect(plain.out).toMatch(/ann@corp\.example.*c2VjcmV0|c2VjcmV0.*ann@corp\.example/);
  });

  it('listens on the topics of a configuration, renamed ones too', async () => {
    const text = configuration(folder.path).replace(
      /core: \{[^\n]*/,
      `core: { type: mqtt, url: "${broker.url}", version: 4, topics: { verdict: "hall/{site}/{task}/says" } }`,
    );
    const file = folder.file('tap.yaml', text);
    const { lines } = await tap(
      ['-c', file, '--limit', '2', '--json'],
      [
        ['hall/north-gate/machine/says', verdict],
        ['sluice/elsewhere/machine/dead', { code: 'X' }],
      ],
    );
    expect(lines.map((l) => JSON.parse(l))).toMatchObject(
      Array(2).fill({ kind: 'verdict', site: 'north-gate', task: 'machine' }),
    );
    await expect(tap(['-c', file, '--task', 'nope'])).rejects.toThrow(
      'there is no task nope; there are spam, machine',
    );
  });

  it('says what it cannot read, and goes on', async () => {
    const { lines } = await tap(
      [...usual(), '--limit', '4'],
      [
        ['sluice/n/machine/verdict', '{broken'],
        ['sluice/n/machine/verdict', '[1,null]'],
        ['sluice/n/machine/verdict', verdict],
      ],
    );
    expect(lines.filter((l) => l.endsWith('not readable'))).toHaveLength(3);
  });

  it('is coloured on a terminal, unless NO_COLOR is set', async () => {
    const some = [['sluice/n/machine/verdict', verdict]] as const;
    const once = [...usual(), '--limit', '1'];
    expect((await tap(once, some, { isTTY: true })).out).toContain('\u001b[');
    expect((await tap(once, some, { isTTY: true, env: { NO_COLOR: '1' } })).out).not.toContain('\u001b[');
  });

  it('leaves no session behind and ends after its time', async () => {
    const before = broker.connected;
    const { code, out } = await tap([...usual(), '--for', '100ms']);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    while (broker.connected > before) await systemClock.sleep(10);
  });

  it.each([
    [[], 'either -c FILE or --url URL'],
    [['--url', 'mqtt://h', '-c', 'x'], 'either -c FILE or --url URL'],
    [['--url', 'http://h'], 'not an MQTT address'],
    [['--url', 'mqtt://h', '--what', 'verdicts'], 'not "verdicts"'],
    [['--url', 'mqtt://h', '--limit', '0'], 'a whole number from 1'],
    [['--url', 'mqtt://h', '--for', 'long'], 'not a duration'],
    [['--url', 'mqtt://h', '--mqtt-version', '3'], '4 or 5'],
  ])('refuses %j', async (words, reason) => {
    const error = await tap(words).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SluiceError);
    expect(error).toMatchObject({ code: 'USAGE', message: expect.stringContaining(reason) });
  });
});

describe('a line of the tap', () => {
  const place = { kind: 'verdict', site: 's', task: 'machine' } as const;
  const message = (payload: string): Message => ({
    ...{ source: 't', topic: 'x', key: null, headers: {}, at: 0, position: '' },
    payload: Buffer.from(payload),
  });

  it('is coloured where that is wanted, with the same text', () => {
    const [happening] = readHappenings(message(JSON.stringify(verdict)), place);
    const plain = lineOf(happening, { colour: false, taskWidth: 8 });
    const coloured = lineOf(happening, { colour: true, taskWidth: 8 });
    expect(coloured).toContain('\u001b[1mfault');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken out
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(plain);
  });

  it('lets no control character of the sender through', () => {
    const [happening] = readHappenings(
      message(JSON.stringify({ ...verdict, device: 'a\u001b[2Jb', label: '\u202eok' })),
      place,
    );
    const line = lineOf(happening, { colour: false, taskWidth: 8 });
    expect(line).toContain('\\x1b[2Jb');
    expect(line).not.toMatch(/\p{Cc}|\p{Cf}/u);
  });

  it('survives data of any form', () => {
    for (const data of [{}, { label: {} }, { score: 'x', model: 3, latencyMs: 4, quality: [] }])
      for (const kind of ['verdict', 'feedback', 'drift', 'dead', 'metrics'] as const)
        expect(lineOf({ ...place, kind, at: Number.NaN, data }, { colour: false, taskWidth: 8 })).toContain(
          kind,
        );
  });

  it('belongs to the task that its topic names', () => {
    expect(usualPlace('sluice/a/b/verdict')).toEqual({ kind: 'verdict', site: 'a', task: 'b' });
    for (const other of ['sluice/a/b/models', 'x/a/b/verdict', 'sluice/a/b/verdict/c', ''])
      expect(usualPlace(other)).toBeNull();
  });

  it('has no address left after masking, wherever it stood', () => {
    const masked = JSON.stringify(
      maskData({ a: ['x <u@v.example>'], 'k@v.example': { b: 'mailto:w@v.example' }, n: 3, z: null }),
    );
    expect(masked).not.toContain('v.example');
    expect(masked).toContain('"n":3');
  });
});
