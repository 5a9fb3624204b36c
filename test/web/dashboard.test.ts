/** The routes of the dashboard and its live stream, over real HTTP. */
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import '../servers/global.ts';
import type { WebOptions } from '../../src/web/server.ts';
import type { Overview } from '../../src/web/view.ts';
import { Feed } from './feed.ts';
import { compilePage, type Site, startSite } from './site.ts';

const TOKEN = 'correct-horse-battery-staple';
const MINUTE = 60_000;
let client = '';
const open: Site[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  client = await compilePage(path.join(inject('sluiceRun').folder, `page-${process.pid}`));
});

async function start(options: Partial<WebOptions> & { feed?: Feed } = {}): Promise<Site> {
  const site = await startSite(client, { token: TOKEN, ...options });
  open.push(site);
  return site;
}
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const { web } of open.splice(0)) await web.close();
});

const post = (url: string, body: unknown, token: string | null = TOKEN) =>
  fetch(url, {
    method: 'POST',
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('the page', () => {
  it('and its files come from here alone, with a policy that allows nothing inline and no text as HTML', async () => {
    const { url } = await start();
    const response = await fetch(url);
    const html = await response.text();
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'");
    expect(policy).toContain("require-trusted-types-for 'script'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(html).not.toMatch(/https?:\/\/| style=| on\w+=|<script>|<style/);
    const files = [...html.matchAll(/(?:src|href)="(\/client\/[^"]+)"/g)].map((match) => match[1]);
    expect(files).toEqual(['/client/uplot.css', '/client/style.css', '/client/main.js']);
  });

  it('finds every module it imports, typed, compressed and by its digest only once', async () => {
    const { url } = await start();
    const seen = new Set(['main.js']);
    for (const name of seen) {
      const response = await fetch(`${url}client/${name}`);
      expect([name, response.status]).toEqual([name, 200]);
      expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
      expect(response.headers.get('content-encoding')).toBe('gzip');
      const text = await response.text();
      for (const [, next] of text.matchAll(/from '\.\/([^']+)'/g)) seen.add(next);
      const etag = response.headers.get('etag') ?? '';
      const again = await fetch(`${url}client/${name}`, { headers: { 'if-none-match': etag } });
      expect(again.status).toBe(304);
    }
    expect(seen).toContain('uplot.js');
    expect(seen.size).toBeGreaterThan(8);
  });

  it('gives no other file of the disk', async () => {
    const { url } = await start();
    for (const name of [
      '..%2f..%2fpackage.json',
      'tsconfig.json',
      '%2fetc%2fpasswd',
      'main.js.map',
      '',
      'uplot.js/..',
    ])
      expect([name, (await fetch(`${url}client/${name}`)).status]).toEqual([name, 404]);
  });

  it('that was not built says so, and the figures are there', async () => {
    const feed = new Feed();
    const { url } = await start({ dashboard: { state: feed.state, client: '/nowhere' } });
    expect(await (await fetch(url)).text()).toContain('was not built');
    expect((await fetch(`${url}api/overview`)).status).toBe(200);
  });
});

describe('what can be asked', () => {
  it('is the overview of a selection, without a token', async () => {
    const { url, feed } = await start();
    feed.play(61 * MINUTE);
    const all = (await (await fetch(`${url}api/overview`)).json()) as Overview;
    expect(all.selection).toEqual({ task: 'machine', site: '', range: 'hour' });
    expect(all.can).toEqual({ token: true, feedback: true, dead: true, models: true, find: true });
    expect(all.dead?.letters.map(({ id }) => id)).toEqual(['1042', '1041', '1040']);
    const mail = (await (
      await fetch(`${url}api/overview?task=spam&site=south-yard&range=day`)
    ).json()) as Overview;
    expect(mail.selection).toEqual({ task: 'spam', site: 'south-yard', range: 'day' });
    expect(mail.recent?.every(({ masked, site }) => masked && site === 'south-yard')).toBe(true);
    expect(JSON.stringify(mail)).not.toContain('ann@example.org');
  });

  it('is an event by name and time; what is private stays masked', async () => {
    const { url } = await start();
    const find = async (query: string) => (await fetch(`${url}api/find?${query}`)).json();
    expect(await find('q=press-07&task=machine&at=1778590000000')).toMatchObject({
      found: [{ device: 'press-07', at: 1_778_590_000_000, truth: 'fault' }],
    });
    expect(await find('q=%3Cx@y%3E&task=spam')).toMatchObject({
      found: [{ device: '‹masked›', masked: true }],
    });
    expect(await find('q=nobody&task=machine')).toEqual({
      found: [],
      note: 'Scored events are kept for 7 days.',
    });
    for (const query of ['q=', 'q=a&at=never', `q=${'x'.repeat(600)}`])
      expect(await find(query)).toEqual({
        found: [],
        note: 'Ask for an event, a Message-ID, a device or a time.',
      });
  });

  it('is not there where the application hands nothing in', async () => {
    const feed = new Feed();
    const { url } = await start({ dashboard: { state: feed.state, client } });
    const { can } = (await (await fetch(`${url}api/overview`)).json()) as Overview;
    expect(can).toEqual({ token: true, feedback: false, dead: false, models: false, find: false });
    expect((await fetch(`${url}api/find?q=a`)).status).toBe(404);
    for (const path of ['feedback', 'dead/replay', 'dead/drop', 'models/promote'])
      expect((await post(`${url}api/${path}`, {})).status).toBe(404);
  });
});

describe('what can be done', () => {
  const digest = 'ab'.repeat(32);

  it('needs the token, and is off without one configured', async () => {
    const { url, feed } = await start();
    const body = { task: 'machine', event: 'e', label: 'ok' };
    expect((await post(`${url}api/feedback`, body, null)).status).toBe(401);
    expect((await post(`${url}api/feedback`, body, 'wrong')).status).toBe(401);
    const without = await start({ token: null });
    expect((await post(`${without.url}api/feedback`, body)).status).toBe(403);
    expect(((await (await fetch(`${without.url}api/overview`)).json()) as Overview).can.token).toBe(false);
    expect([...feed.posted, ...without.feed.posted]).toEqual([]);
  });

  it('is feedback on an event or a span, replay, drop and orders about models', async () => {
    const { url, feed } = await start();
    const asked: [string, object][] = [
      ['feedback', { task: 'machine', event: 'e/1', label: 'fault' }],
      ['feedback', { task: 'machine', event: 'e/1', label: null }],
      ['feedback', { task: 'machine', device: 'press-07', from: 1, to: 2, label: 'ok' }],
      ['dead/replay', { ids: ['1'] }],
      ['dead/drop', { ids: ['1', '2'] }],
      ['models/rollback', { task: 'machine', digest: '', reason: 'too many faults' }],
    ];
    for (const [path, body] of asked) {
      const response = await post(`${url}api/${path}`, body);
      expect([path, response.status]).toEqual([path, 200]);
      expect(await response.json()).toMatchObject({ ok: true, text: expect.any(String) });
    }
    expect(feed.posted.map(({ body }) => body)).toEqual(asked.map(([, body]) => body));
  });

  it.each([
    ['feedback', 'no json'],
    ['feedback', '{}'],
    ['feedback', { task: 'm', event: '', label: 'ok' }],
    ['feedback', { task: 'm', event: 'e', label: 3 }],
    ['feedback', { task: 'm', event: 'e', label: 'ok', weight: 9 }],
    ['feedback', { task: 'm', device: 'd', from: 2, to: 1, label: 'ok' }],
    ['feedback', { task: 'm', event: 'x'.repeat(513), label: 'ok' }],
    ['dead/drop', { ids: [] }],
    ['dead/drop', { ids: Array(1_001).fill('1') }],
    ['models/explode', { task: 'm', digest }],
    ['models/promote', { task: 'm', digest: '../../etc' }],
  ])('refuses a body that is not as it must be: %s %j', async (path, body) => {
    const { url, feed } = await start();
    const response = await post(`${url}api/${path}`, body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: expect.any(String) });
    expect(feed.posted).toEqual([]);
  });

  it('that the application refuses is told in its words', async () => {
    const feed = new Feed();
    const actions = { feedback: async () => ({ ok: false, text: 'The event is not known here.' }) };
    const { url } = await start({ dashboard: { state: feed.state, client, actions } });
    const response = await post(`${url}api/feedback`, { task: 'machine', event: 'e', label: 'ok' });
    expect([response.status, await response.json()]).toEqual([
      422,
      { ok: false, text: 'The event is not known here.' },
    ]);
  });
});

interface Told {
  readonly event: string;
  readonly data: Overview;
}

/** Reads a stream until so many events came. */
async function listen(url: string, events: number): Promise<Told[]> {
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const told = [...text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)];
    if (told.length >= events) {
      await reader.cancel();
      return told.map(([, event, data]) => ({ event, data: JSON.parse(data) as Overview }));
    }
    const { value, done } = await reader.read();
    if (done) throw new Error(`the stream ended after ${told.length} events`);
    text += value;
  }
}

/** A client that asks and then reads nothing. */
function deaf(url: string): Socket {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(`GET /api/live HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  sockets.push(socket);
  return socket;
}

const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('in vain waited');
};

/** Whether there is a place for one more (which is given back at once). */
const place = async (url: string): Promise<boolean> => {
  const response = await fetch(`${url}api/live`);
  await response.body?.cancel();
  return response.status === 200;
};

describe('the live stream', () => {
  it('tells everything first, then only the newest points, and carries the headers of every answer', async () => {
    const { url, feed } = await start();
    feed.play(30 * MINUTE);
    const [first, ...later] = await listen(`${url}api/live?task=spam`, 3);
    expect(first.event).toBe('overview');
    expect(first.data.selection.task).toBe('spam');
    expect(first.data.series!.at.length).toBeGreaterThan(100);
    for (const { event, data } of later) {
      expect(event).toBe('delta');
      expect(data.series!.at.length).toBeLessThan(5);
      expect(data.series!.from).toBeGreaterThan(0);
    }
    const response = await fetch(`${url}api/live`);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    await response.body?.cancel();
  });

  it('is for a bounded number of clients; a place that becomes free is given again', async () => {
    const feed = new Feed();
    const { url } = await start({
      dashboard: { state: feed.state, client, live: { maxClients: 2, tickMs: 50 } },
    });
    const first = await fetch(`${url}api/live`);
    const second = await fetch(`${url}api/live`);
    const third = await fetch(`${url}api/live`);
    expect([first.status, second.status, third.status]).toEqual([200, 200, 503]);
    expect(await third.json()).toMatchObject({ error: expect.stringContaining('Too many pages') });
    await first.body?.cancel();
    await until(() => place(url));
    await second.body?.cancel();
  });

  it('drops a client that does not read, and goes on for the others', async () => {
    // Large pictures, so that the buffers of the system are full at once.
    const names = Array.from({ length: 24 }, (_, i) => `${i}-${'x'.repeat(60_000)}`);
    const tasks = names.map((name) => ({ name, kind: 'reading' as const, labels: ['a', 'b'] }));
    const feed = new Feed(undefined, { tasks });
    const live = { maxClients: 1, tickMs: 30 };
    const { url } = await start({ dashboard: { state: feed.state, client, live } });
    const socket = deaf(url);
    await until(async () => !(await place(url)));
    await until(() => place(url));
    socket.resume();
    await until(() => socket.closed);
  });

  it('ends with the server, at once, and leaves nothing that runs', async () => {
    const { url, web } = await start();
    const response = await fetch(`${url}api/live`);
    const reader = response.body!.getReader();
    await reader.read();
    const since = performance.now();
    await web.close();
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })().then(
        () => 'ended',
        () => 'ended',
      ),
    ).resolves.toBe('ended');
    expect(performance.now() - since).toBeLessThan(2_000);
  });

  it('computes nothing while nobody looks', async () => {
    let asked = 0;
    const feed = new Feed();
    const overview = feed.state.overview.bind(feed.state);
    feed.state.overview = (...args) => {
      asked += 1;
      return overview(...args);
    };
    const { url } = await start({ dashboard: { state: feed.state, client, live: { tickMs: 20 } } });
    await listen(`${url}api/live`, 2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(asked).toBe(before);
  });
});
