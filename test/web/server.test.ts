import { request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Telemetry } from '../../src/telemetry.ts';
import { isLoopback, parseListen, showListen } from '../../src/web/listen.ts';
import { startWeb, type Web, type WebOptions } from '../../src/web/server.ts';

const TOKEN = 'correct-horse-battery-staple';
const open: Web[] = [];

async function start(options: Partial<WebOptions> = {}): Promise<Web & { url: (path: string) => string }> {
  const web = await startWeb({
    listen: '127.0.0.1:0',
    telemetry: new Telemetry({ level: 'silent' }),
    ready: () => ({ ok: true, reasons: [] }),
    status: () => ({ site: 'north-gate' }),
    ...options,
  });
  open.push(web);
  return { ...web, url: (path) => `${web.address}${path}` };
}
afterEach(async () => {
  for (const web of open.splice(0)) await web.close();
});

/** fetch sets Host itself; this does not. */
function ask(
  address: string,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(`${address}${path}`, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('reading', () => {
  it('answers /ping always, /ready by what is ready, with the reasons', async () => {
    let ok = true;
    const web = await start({ ready: () => ({ ok, reasons: ok ? [] : ['source mail: not connected'] }) });
    expect((await fetch(web.url('/ready'))).status).toBe(200);
    ok = false;
    const notReady = await fetch(web.url('/ready'));
    expect(notReady.status).toBe(503);
    expect(await notReady.json()).toEqual({ ok: false, reasons: ['source mail: not connected'] });
    expect((await fetch(web.url('/ping'))).status).toBe(200);
    expect((await fetch(web.url('/ping'), { method: 'HEAD' })).status).toBe(200);
  });

  it('gives metrics as Prometheus text, with readiness as a gauge', async () => {
    const telemetry = new Telemetry({ level: 'silent' });
    telemetry.count('verdicts', { task: 'spam', label: 'ham' }, 3);
    const web = await start({ telemetry, ready: () => ({ ok: false, reasons: ['x'] }) });
    const response = await fetch(web.url('/metrics'));
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    expect(text).toContain('sluice_verdicts_total{task="spam",label="ham"} 3');
    expect(text).toContain('sluice_ready 0');
  });

  it('gives the status as JSON, with readiness', async () => {
    const web = await start({ status: async () => ({ site: 's', tasks: { spam: { verdicts: 7 } } }) });
    expect(await (await fetch(web.url('/api/status'))).json()).toEqual({
      ready: { ok: true, reasons: [] },
      site: 's',
      tasks: { spam: { verdicts: 7 } },
    });
  });

  it('says in JSON that there is nothing under an unknown path, and shows no inside of a failure', async () => {
    const web = await start({
      status: () => {
        throw new Error('password hunter2 in /etc/secret');
      },
    });
    const missing = await fetch(web.url('/etc/passwd'));
    expect([missing.status, await missing.json()]).toEqual([
      404,
      { error: 'There is nothing under this path.' },
    ]);
    const failed = await fetch(web.url('/api/status'));
    expect(failed.status).toBe(500);
    expect(await failed.text()).not.toContain('hunter2');
  });
});

describe('the page of a process without a dashboard', () => {
  it('names where the figures are, and runs no script', async () => {
    const response = await fetch((await start()).url('/'));
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await response.text();
    expect(html).toContain('href="/api/status"');
    expect(html).not.toContain('<script');
  });

  it('cannot be framed, sniffed or cached', async () => {
    const { headers } = await fetch((await start()).url('/'));
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
  });
});

describe('changing', () => {
  const seen: string[] = [];
  const routes: WebOptions['routes'] = [
    {
      method: 'POST',
      path: '/api/tasks/:task',
      bodyLimit: 100,
      handle: ({ params, query, body }) => {
        seen.push(params.task);
        return { status: 201, body: { task: params.task, a: query.a, bytes: body.length } };
      },
    },
    {
      method: 'GET',
      path: '/api/bytes',
      handle: () => ({ type: 'application/x-test', body: new Uint8Array([1, 2]) }),
    },
  ];
  const post = (url: string, headers: Record<string, string> = {}, body = 'abc') =>
    fetch(url, { method: 'POST', headers, body });

  it('needs the token, whatever the path and the body', async () => {
    seen.length = 0;
    const web = await start({ token: TOKEN, routes });
    const wrong = [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(0, -1)}`,
      TOKEN,
      `Basic ${TOKEN}`,
    ];
    for (const authorization of wrong)
      for (const path of ['/api/tasks/spam', '/nowhere']) {
        const response = await post(web.url(path), authorization === undefined ? {} : { authorization });
        expect({ authorization, status: response.status }).toEqual({ authorization, status: 401 });
        expect(response.headers.get('www-authenticate')).toContain('Bearer');
      }
    expect(seen).toEqual([]);
    for (const method of ['PUT', 'DELETE', 'PATCH'])
      expect((await fetch(web.url('/'), { method })).status).toBe(401);
  });

  it('reaches the route with the token; its body is bytes of any type', async () => {
    const web = await start({ token: TOKEN, routes });
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'message/rfc822' };
    const response = await post(web.url('/api/tasks/spam?a=1&a=2'), headers);
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ task: 'spam', a: '1', bytes: 3 });
    const bytes = await fetch(web.url('/api/bytes'));
    expect(bytes.headers.get('content-type')).toBe('application/x-test');
    expect(new Uint8Array(await bytes.arrayBuffer())).toEqual(new Uint8Array([1, 2]));
  });

  it('is off where no token is configured', async () => {
    const web = await start({ routes });
    const response = await post(web.url('/api/tasks/spam'), { authorization: 'Bearer ' });
    expect(response.status).toBe(403);
    expect(await response.json()).toEqual({
      error: 'Changing anything over HTTP is off; set http.token in the configuration.',
    });
  });

  it('refuses a body above the limit of its route', async () => {
    const web = await start({ token: TOKEN, routes });
    const response = await post(
      web.url('/api/tasks/spam'),
      { authorization: `Bearer ${TOKEN}` },
      'x'.repeat(101),
    );
    expect(response.status).toBe(413);
  });
});

describe('the address', () => {
  it('on loopback answers only to names of this machine', async () => {
    const web = await start();
    const { port } = new URL(web.address);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'localhost', `[::1]:${port}`, 'LOCALHOST'])
      expect([host, (await ask(web.address, '/ping', { host })).status]).toEqual([host, 200]);
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
    ])
      expect([host, (await ask(web.address, '/metrics', { host })).status]).toEqual([host, 421]);
  });

  it('elsewhere answers to any name', async () => {
    const web = await start({ listen: { host: '0.0.0.0', port: 0 } });
    const local = web.address.replace('0.0.0.0', '127.0.0.1');
    expect((await ask(local, '/ping', { host: 'gate.example.org' })).status).toBe(200);
  });

  it('that is taken is refused in words', async () => {
    const web = await start();
    const { host } = new URL(web.address);
    await expect(start({ listen: host })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `cannot listen on ${host}: another process uses this port`,
    });
    await expect(start({ listen: 'nonsense' })).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  });

  it('is free again after close, also with connections open', async () => {
    const web = await start();
    await fetch(web.url('/ping'));
    await web.close();
    await expect(fetch(web.url('/ping'))).rejects.toThrow();
  });

  it.each([
    ['127.0.0.1:8088', { host: '127.0.0.1', port: 8088 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    [':80', { host: '0.0.0.0', port: 80 }],
    ['*:80', { host: '0.0.0.0', port: 80 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['[::]:80', { host: '::', port: 80 }],
    ['', null],
    ['127.0.0.1', null],
    ['8088', null],
    ['a:99999', null],
    ['::1:80', null],
    ['[nonsense]:80', null],
    ['http://a:80', null],
    ['a b:80', null],
  ])('%j is read as %j', (text, expected) => {
    expect(parseListen(text)).toEqual(expected);
    if (expected && !['', '*'].includes(text.split(':')[0])) expect(showListen(expected)).toBe(text);
  });

  it('is loopback only where it is', () => {
    for (const host of ['127.0.0.1', '127.9.9.9', 'localhost', '::1']) expect(isLoopback(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'localhost.example', '1127.0.0.1'])
      expect(isLoopback(host)).toBe(false);
  });
});
