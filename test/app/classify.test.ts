/** Mail over HTTP, against the real server of a real gateway: who asks is answered, quickly, and nothing else is promised. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { App } from '../../src/app/app.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import { SluiceError } from '../../src/errors.ts';
import { dropMemoryChannel, type MemoryChannel, memoryChannel } from '../../src/io/memory.ts';
import { openEngine } from '../../src/model/engine.ts';
import { Join } from '../../src/state/join.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { mulberry } from '../decode/random.ts';

const TOKEN = 'correct-horse-battery-staple';
const CHANNEL = 'classify-test';
const engine = openEngine({ threads: 1 });
const bearer = { authorization: `Bearer ${TOKEN}` };

interface Rig {
  readonly app: App;
  readonly channel: MemoryChannel;
  readonly telemetry: Telemetry;
  readonly url: (path: string) => string;
  ask(body: Uint8Array | string, query?: string, headers?: Record<string, string>): Promise<Answer>;
  label(query: string, body?: string): Promise<Answer>;
}
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the server gives is looked at field by field
  readonly json: any;
}

let rig: Rig | null = null;
let folder = '';
afterEach(async () => {
  memoryChannel(CHANNEL).slowness = null;
  await rig?.app.stop();
  rig = null;
  dropMemoryChannel(CHANNEL);
  rmSync(folder, { recursive: true, force: true });
});

const SINK = `sinks: { out: { type: memory, channel: ${CHANNEL} } }`;
const TASK = 'spam: { from: [mx], event: email, labels: [ham, spam], minLabels: 4, minPerLabel: 1 }';

async function start(more: { sinks?: string; tasks?: string; sources?: string; rest?: string } = {}) {
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-classify-'));
  const text = `
site: mx
sources: { ${more.sources ?? 'mx: { type: http }'} }
${more.sinks ?? SINK}
tasks:
  ${more.tasks ?? TASK}
store: { path: ${JSON.stringify(folder)} }
http: { listen: "127.0.0.1:0", token: ${TOKEN} }
${more.rest ?? ''}
`;
  const telemetry = new Telemetry({ level: 'silent' });
  const app = await App.start({ config: parseConfig(text, 'test', { env: {} }), engine, telemetry });
  const post = async (url: string, body: Uint8Array | string, headers: Record<string, string>) => {
    const response = await fetch(url, { method: 'POST', body: body as string, headers });
    return { status: response.status, headers: response.headers, json: await response.json() };
  };
  const made: Rig = {
    ...{ app, channel: memoryChannel(CHANNEL), telemetry, url: (at) => `${app.address}${at}` },
    ask: (body, query = '', headers = {}) =>
      post(`${app.address}/api/classify${query}`, body, { ...bearer, ...headers }),
    label: (query, body = '') => post(`${app.address}/api/feedback${query}`, body, bearer),
  };
  rig = made;
  return made;
}

const mail = (n: number | string, words = 'hello there') =>
  `Message-ID: <m${n}@example.org>\r\nFrom: a@example.org\r\nSubject: number ${n}\r\n\r\n${words} ${n}\r\n`;
const SPAM = 'cheap pills, buy now';

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error('it never came about');
    await systemClock.sleep(5);
  }
}
const published = ({ channel }: Rig, what: string) =>
  channel.published
    .filter(({ topic }) => topic.endsWith(`/${what}`))
    .map(({ payload }) => JSON.parse(String(payload)).data);
/** Publishing stands still until it is called. */
function hold({ channel }: Rig): () => void {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  channel.slowness = () => held;
  return () => {
    channel.slowness = null;
    release();
  };
}
const nothingInFlight = async ({ app }: Rig) => app.gateway!.status().inFlight.events === 0;

describe('a message and its verdict', () => {
  it('is the very data that is published, and null while the task is learning', async () => {
    const { ask } = await start();
    const { status, headers, json } = await ask(mail(1), '?task=spam');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(json).toMatchObject({ label: null, state: 'learning', identity: 'weak', device: 'mx' });
    expect(published(rig!, 'verdict')).toEqual([json]);
  });

  it('needs no sink and no name where there is one source', async () => {
    const { ask } = await start({ sinks: '' });
    expect(await ask(mail(1))).toMatchObject({ status: 200, json: { event: expect.any(String) } });
  });

  it('may carry its own identity and device', async () => {
    const { ask } = await start();
    const { json } = await ask(mail(1), '', { 'ce-source': 'mx1', 'ce-id': 'Q7', 'sluice-key': 'ann@x.org' });
    expect(json).toMatchObject({ event: 'mx1/Q7', device: 'ann@x.org' });
    expect(json.identity).toBeUndefined();
  });

  it('goes to the task that is named, of several readings one verdict each', async () => {
    const { ask } = await start({
      sources: 'mx: { type: http }, plant: { type: http }',
      tasks: `${TASK}\n  machine: { from: [plant], event: sensor, fields: { t: { type: number } }, labels: [ok, bad] }`,
    });
    expect(await ask(mail(1))).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('spam, machine') },
    });
    expect((await ask(mail(1), '?task=nobody')).status).toBe(400);
    expect((await ask('{"t": 1}', '?task=machine')).json).toMatchObject({ device: 'plant' });
    const two = await ask('[{"t": 1}, {"t": 2}]', '', { 'sluice-task': 'machine' });
    expect(two.json.map(({ event }: { event: string }) => event.slice(-2))).toEqual(['#0', '#1']);
    expect(await ask('[]', '?task=machine')).toMatchObject({ status: 422, json: { code: 'DECODE_SHAPE' } });
  });

  it('comes over one connection after another message, whole or in chunks', async () => {
    const { url } = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const send = (pieces: readonly string[]) =>
      new Promise<number>((resolve, reject) => {
        const asking = request(
          url('/api/classify'),
          { method: 'POST', agent, headers: bearer },
          (response) => {
            response.resume().once('end', () => resolve(response.statusCode!));
          },
        );
        asking.once('socket', (socket) => sockets.add(socket)).once('error', reject);
        for (const piece of pieces) asking.write(piece);
        asking.end();
      });
    for (let n = 0; n < 20; n++) {
      const text = mail(n);
      const at = (n * 7) % text.length;
      expect(await send([text.slice(0, at), text.slice(at)].filter((piece) => piece !== ''))).toBe(200);
    }
    expect(sockets.size).toBe(1);
    agent.destroy();
  });
});

describe('labels over HTTP', () => {
  const learned = async ({ telemetry }: Rig) => telemetry.value('labels_learned', { task: 'spam' });

  it('are learned by event id, Message-ID, the raw message, and a delivered copy of it', async () => {
    const { ask, label } = await start();
    const first = await ask(mail(1));
    for (const n of [2, 3, 4]) await ask(mail(n, SPAM));
    expect(await label(`?label=ham&event=${encodeURIComponent(first.json.event)}`)).toMatchObject({
      status: 200,
      json: { ok: true, text: 'learned as ham' },
    });
    expect((await label(`?label=spam&messageId=${encodeURIComponent('<m2@example.org>')}`)).status).toBe(200);
    expect((await label('?task=spam&label=spam', mail(3, SPAM))).status).toBe(200);
    // As it lies in a mailbox: more header lines, other line ends.
    const delivered = `Received: from b\n${mail(4, SPAM).replaceAll('\r\n', '\n')}`;
    expect((await label('?label=spam&origin=imap', delivered)).status).toBe(200);
    await rig!.app.gateway!.learned();
    await until(async () => (await learned(rig!)) === 4);
    const { json } = await ask(mail(5, SPAM));
    expect(json.label).toBe('spam');
    expect(json.scores.spam).toBeGreaterThan(0.5);
  });

  it('may be given as JSON, corrected and taken back', async () => {
    const { ask, url } = await start();
    await ask(mail(1));
    const give = (label: string | null) =>
      fetch(url('/api/feedback'), {
        method: 'POST',
        headers: { ...bearer, 'content-type': 'application/json' },
        body: JSON.stringify({ task: 'spam', messageId: 'm1@example.org', label }),
      });
    for (const label of ['spam', 'ham', null]) expect((await give(label)).status).toBe(200);
    for (const result of ['learned', 'corrected', 'withdrawn'])
      expect(await rig!.telemetry.value('feedback_received', { result })).toBe(1);
  });

  it('are taken as from a topic: several at once, weighed, withdrawn, forgotten; all or none', async () => {
    const { ask, url } = await start();
    const events: string[] = [];
    for (const n of [1, 2]) events.push((await ask(mail(n))).json.event);
    const take = async (feedback: unknown, task = 'spam') => {
      const body = JSON.stringify({ task, feedback });
      const response = await fetch(url('/api/feedback'), { method: 'POST', headers: bearer, body });
      return { status: response.status, json: await response.json() };
    };
    const both = [
      { event: events[0], label: 'spam', weight: 2, origin: 'desk' },
      { messageId: '<m2@example.org>', label: 'ham' },
    ];
    expect(await take(both)).toMatchObject({ status: 200, json: { ok: true } });
    expect(await rig!.telemetry.value('feedback_received', { result: 'learned' })).toBe(2);
    expect((await take({ event: events[0], label: null, forget: true })).status).toBe(200);
    expect(await rig!.telemetry.value('feedback_received', { result: 'forgotten' })).toBe(1);
    expect(await take({ event: 'nobody/1', label: 'ham' })).toMatchObject({
      status: 202,
      json: { waiting: true, text: '1 taken, 1 of them for events that are not here' },
    });
    const partly = [
      { event: events[1], label: 'spam' },
      { event: events[1], label: 'junk' },
    ];
    for (const wrong of [partly, { label: 'ham' }]) expect((await take(wrong)).status).toBe(422);
    expect((await take(both[0], 'other')).status).toBe(422);
    expect((await take('spam')).status).toBe(400);
    expect((await rig!.telemetry.value('feedback_received', { result: 'corrected' })) ?? 0).toBe(0);
  });

  it('wait for their event, and are learned when it comes', async () => {
    const { ask, label } = await start();
    expect(await label('?label=spam', mail(1))).toMatchObject({ status: 202, json: { waiting: true } });
    await ask(`Received: later\r\n${mail(1)}`);
    await until(async () => (await learned(rig!)) === 1);
  });

  it('are refused where they say nothing, or what the task does not know', async () => {
    const { label, url } = await start();
    for (const query of ['?label=spam', '?event=x', '?label=spam&withdraw=1', '?label=spam&colour=red', ''])
      expect([query, (await label(query)).status]).toEqual([query, 400]);
    expect((await label('?label=junk', mail(1))).status).toBe(422);
    expect((await label('?label=spam&task=other', mail(1))).status).toBe(422);
    expect((await fetch(url('/api/feedback?label=spam'), { method: 'POST', body: mail(1) })).status).toBe(
      401,
    );
  });
});

describe('no opinion', () => {
  it('is given when the deadline passes; the verdict comes out all the same, and can be learned', async () => {
    const { ask, label } = await start();
    const release = hold(rig!);
    const began = performance.now();
    const { status, json } = await ask(mail(1), '?deadline=100');
    expect([status, json.reason]).toEqual([503, 'deadline']);
    expect(performance.now() - began).toBeLessThan(1_500);
    expect((await ask(mail(2), '', { 'sluice-deadline-ms': '50' })).json.reason).toBe('deadline');
    release();
    await until(() => published(rig!, 'verdict').length === 2);
    expect((await label('?label=spam', mail(1))).status).toBe(200);
    await until(() => nothingInFlight(rig!));
  });

  it('is given at once beyond the messages or bytes that may be in flight, and room comes back', async () => {
    const { ask } = await start({ rest: 'maxInFlight: 3\nmaxInFlightBytes: 10kB' });
    const release = hold(rig!);
    const held = [1, 2, 3].map((n) => ask(mail(n), '?deadline=20s'));
    await until(() => rig!.app.gateway!.status().inFlight.events === 3);
    const { status, headers, json } = await ask(mail(4));
    expect([status, headers.get('retry-after'), json.reason]).toEqual([503, '1', 'busy']);
    release();
    expect((await Promise.all(held)).map((one) => one.status)).toEqual([200, 200, 200]);
    await until(() => nothingInFlight(rig!));
    const again = hold(rig!);
    // One larger than all that is allowed passes alone, and lets nobody beside it.
    const large = ask(mail(5, 'x'.repeat(20_000)), '?deadline=20s');
    await until(() => rig!.app.gateway!.status().inFlight.events === 1);
    expect((await ask(mail(6))).json.reason).toBe('busy');
    again();
    expect((await large).status).toBe(200);
    expect((await ask(mail(7))).status).toBe(200);
  });

  it('is given quickly where the store is full; the same message is judged when there is room', async () => {
    const { ask } = await start();
    const full = vi.spyOn(Join.prototype, 'put');
    full.mockRejectedValueOnce(new SluiceError('STORE_FULL', 'the disk is full'));
    const began = performance.now();
    const { status, headers, json } = await ask(mail(1), '?deadline=20s');
    expect([status, headers.get('retry-after'), json.reason]).toEqual([503, '5', 'failed']);
    // Before the flow's own pause after a failure is over.
    expect(performance.now() - began).toBeLessThan(900);
    full.mockRestore();
    await until(() => nothingInFlight(rig!));
    const again = await ask(mail(1));
    expect(again.status).toBe(200);
    // At least once: it may have been published before the store failed.
    const events = published(rig!, 'verdict').map(({ event }) => event);
    expect(new Set(events)).toEqual(new Set([again.json.event]));
  });

  it('is given to a sender that stalls, and nothing of it stays', async () => {
    const { url, ask } = await start({ rest: 'maxInFlight: 1' });
    const { port } = new URL(url('/'));
    const said = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(
          `POST /api/classify?deadline=150 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 1000\r\n\r\nSubject: half`,
        );
      });
      socket.once('data', (bytes) => {
        resolve(bytes.toString());
        socket.destroy();
      });
    });
    expect(said).toMatch(/^HTTP\/1\.1 503 [\s\S]*"reason":"deadline"/);
    expect((await ask(mail(1))).status).toBe(200);
  });

  it('leaves nothing behind where the sender goes away', async () => {
    const { url, ask, telemetry } = await start({ rest: 'maxInFlight: 1' });
    const leaving = new AbortController();
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(Buffer.from('Subject: half\r\n')),
    });
    const asked = fetch(url('/api/classify'), {
      ...{ method: 'POST', headers: bearer, body, duplex: 'half', signal: leaving.signal },
    } as RequestInit);
    asked.catch(() => undefined);
    await systemClock.sleep(50);
    leaving.abort();
    await until(async () => (await telemetry.value('asked', { result: 'gone' })) === 1);
    expect((await ask(mail(1))).status).toBe(200);
  });

  it('is not what a gateway says that reads nothing over HTTP: there nothing is found', async () => {
    const { ask } = await start({
      sources: `mx: { type: memory, channel: ${CHANNEL}, topics: [nothing] }`,
    });
    expect((await ask(mail(1))).status).toBe(404);
  });

  it('answers everyone when it is stopped under load', async () => {
    const { ask, app } = await start();
    rig!.channel.slowness = () => systemClock.sleep(30);
    const statuses: number[] = [];
    let failures = 0;
    const senders = Array.from({ length: 40 }, async (_, sender) => {
      for (let n = 0; n < 50; n++) {
        const sent = await ask(mail(`${sender}-${n}`)).catch(() => null);
        if (sent) statuses.push(sent.status);
        // Once nobody listens any more there is nothing to ask.
        else if ((await fetch(`${app.address}/ping`).catch(() => null)) !== null) failures += 1;
        if (sent?.status !== 200) return;
      }
    });
    await until(() => statuses.length > 60);
    expect(await app.stop()).toEqual({ clean: true });
    rig = null;
    await Promise.all(senders);
    expect(failures).toBe(0);
    const said = new Set(statuses);
    said.delete(200);
    said.delete(503);
    expect([...said]).toEqual([]);
    // Every 200 was a verdict that was safe before.
    const safe = memoryChannel(CHANNEL).published.filter(({ topic }) => topic.endsWith('/verdict'));
    expect(safe.length).toBeGreaterThanOrEqual(statuses.filter((status) => status === 200).length);
  });
});

describe('what is refused', () => {
  it('without the token, before the body is looked at', async () => {
    const { url } = await start();
    for (const headers of [undefined, { authorization: 'Bearer wrong' }]) {
      const response = await fetch(url('/api/classify'), {
        method: 'POST',
        body: mail(1),
        ...(headers ? { headers } : {}),
      });
      expect(response.status).toBe(401);
    }
    expect(rig!.app.gateway!.desk.dead(10)).toEqual([]);
  });

  it('as a dead letter, with its code: nothing, no mail, no JSON', async () => {
    const { ask, app } = await start();
    const binary = Uint8Array.from({ length: 400 }, (_, i) => (i * 37) & 255);
    expect(await ask('')).toMatchObject({ status: 400, json: { code: 'DECODE_EMPTY' } });
    expect(await ask(binary)).toMatchObject({ status: 415, json: { code: 'DECODE_MAIL' } });
    const deep = 'Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n'.repeat(40);
    expect((await ask(deep)).status).toBe(422);
    expect(app.gateway!.desk.dead(10).map(({ code }) => code)).toEqual([
      'DECODE_DEPTH',
      'DECODE_MAIL',
      'DECODE_EMPTY',
    ]);
    // The token that came beside it is in no letter.
    expect(JSON.stringify([app.gateway!.desk.dead(10), rig!.channel.published])).not.toContain(TOKEN);
  });

  it('where the request itself is wrong', async () => {
    const { ask } = await start();
    for (const query of ['?deadline=0', '?deadline=soon', '?deadline=31s', '?deadline=-5'])
      expect([query, (await ask(mail(1), query)).status]).toEqual([query, 400]);
    expect((await ask(mail(1), '?deadline=2s', { 'content-encoding': 'gzip' })).status).toBe(415);
  });

  it('above the limit of the decoder, told or found out; at the limit it is judged', async () => {
    const { ask, url } = await start();
    const limit = 50 * 1024 ** 2;
    const largest = Buffer.alloc(limit, 'x');
    largest.write(mail(1));
    for (let at = 70; at < limit; at += 70) largest[at + 130 < limit ? at + 130 : at] = 10;
    expect((await ask(largest, '?deadline=30s')).status).toBe(200);
    expect(await ask(Buffer.alloc(limit + 1, 'x'))).toMatchObject({
      status: 413,
      json: { code: 'DECODE_TOO_LARGE' },
    });
    const chunk = Buffer.alloc(1024 ** 2, 'x');
    let sent = 0;
    const body = new ReadableStream({
      pull: (controller) => (sent++ <= 50 ? controller.enqueue(chunk) : controller.close()),
    });
    const response = await fetch(url('/api/classify?deadline=30s'), {
      ...{ method: 'POST', headers: bearer, body, duplex: 'half' },
    } as RequestInit);
    expect(response.status).toBe(413);
    await until(() => nothingInFlight(rig!));
  });

  it('or judged, whatever the bytes are; never anything else', async () => {
    const { ask } = await start();
    const random = mulberry(11);
    const asked = Array.from({ length: 150 }, (_, n) => {
      const bytes = Uint8Array.from({ length: Math.floor(random() * 3_000) }, () =>
        random() < 0.1 ? 10 : Math.floor(random() * 256),
      );
      const text = n % 2 ? Buffer.concat([Buffer.from('Subject: x\n'), bytes]) : bytes;
      return ask(text, '', n % 3 ? { 'content-type': 'application/x-anything; a=b' } : {});
    });
    const statuses = new Set((await Promise.all(asked)).map(({ status }) => status));
    for (const known of [200, 400, 413, 415, 422]) statuses.delete(known);
    expect([...statuses]).toEqual([]);
    expect((await ask(mail(1))).status).toBe(200);
  });
});
