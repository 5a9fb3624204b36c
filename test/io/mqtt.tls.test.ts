/** MQTT over TLS with client certificates, their renewal, and refusals that say they are refusals. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import {
  contextOf,
  fresh,
  numbered,
  openSink,
  openSource,
  pause,
  Reader,
  range,
  ready,
  settleDone,
  until,
} from './mqtt.kit.ts';

/** A folder of certificates, made with openssl: one authority, a server, clients `a` and `b`, and a stranger. */
class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));

  constructor() {
    this.#root('ca');
    this.#root('stranger');
    this.#signed('server', 'ca', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
    this.#signed('a', 'ca');
    this.#signed('b', 'ca');
    this.#signed('c', 'stranger');
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: 'pipe' });
  }

  #key(name: string): void {
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
  }

  #root(name: string): void {
    this.#key(name);
    this.#openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      `${name}.key`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
      '-out',
      `${name}.pem`,
    );
  }

  #signed(name: string, by: string, extension = 'basicConstraints=CA:FALSE'): void {
    this.#key(name);
    writeFileSync(this.file(`${name}.ext`), `${extension}\n`);
    this.#openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    const signer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial'];
    this.#openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...signer,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
  }
}

const patient = { reconnect: { min: 20, max: 100 } };

describe.skipIf(mosquittoMissing)('MQTT over TLS', () => {
  let authority: Authority;
  let broker: Mosquitto;
  beforeAll(async () => {
    authority = new Authority();
    const [ca, cert, key] = ['ca.pem', 'server.pem', 'server.key'].map((name) => authority.file(name));
    broker = await Mosquitto.start({
      tls: { ca, cert, key, client: true },
      config: ['use_identity_as_username true'],
    });
  });
  afterAll(async () => {
    await broker?.stop();
    if (authority) rmSync(authority.folder, { recursive: true, force: true });
  });

  const tls = (client: string, more: object = {}) => ({
    ca: authority.file('ca.pem'),
    cert: authority.file(`${client}.pem`),
    key: authority.file(`${client}.key`),
    ...more,
  });

  it('delivers with a client certificate', async () => {
    const topic = fresh('t');
    const source = openSource({ url: broker.url, topics: [topic], tls: tls('a') });
    const sink = openSink({ url: broker.url, tls: tls('b') });
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    await sink.publish(numbered(topic, 1_000, 300));
    await reader.has(1_000);
  });

  it('reports BROKER_AUTH where the broker does not take our certificate, or we have none', async () => {
    for (const options of [tls('c'), { ca: authority.file('ca.pem') }]) {
      const source = openSource({ url: broker.url, topics: ['x'], tls: options, ...patient });
      const sink = openSink({ url: broker.url, tls: options, ...patient });
      await expect(sink.publish(numbered('x', 1))).rejects.toMatchObject({
        code: 'BROKER_AUTH',
        retry: true,
      });
      await until('the source says so', () => JSON.stringify(source.health()).includes('BROKER_AUTH'));
    }
  });

  it('reports BROKER_AUTH where we do not trust the certificate of the broker, unless told not to care', async () => {
    const wrong = tls('a', { ca: authority.file('stranger.pem') });
    const source = openSource({ url: broker.url, topics: ['x'], tls: wrong, ...patient });
    await until('the source says so', () => JSON.stringify(source.health()).includes('BROKER_AUTH'));
    const name = openSource({
      url: broker.url,
      topics: ['x'],
      tls: tls('a', { serverName: 'other' }),
      ...patient,
    });
    await until('the name is refused', () => JSON.stringify(name.health()).includes('BROKER_AUTH'));
    await ready(openSource({ url: broker.url, topics: ['x'], tls: { ...wrong, rejectUnauthorized: false } }));
  });

  it('refuses at once files that cannot be read or do not fit together', () => {
    const options = { url: broker.url, topics: ['x'] };
    const missing = tls('a', { cert: authority.file('none.pem') });
    expect(() => openSource({ ...options, tls: missing })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    const unfit = tls('a', { key: authority.file('b.key') });
    expect(() => openSource({ ...options, tls: unfit })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    expect(() => openSink({ url: broker.url, tls: unfit })).toThrow(/tls of sink/);
  });

  it('takes up renewed certificates without losing a message, and ignores half-written ones', async () => {
    const context = contextOf();
    const topic = fresh('t');
    const [cert, key] = [authority.file('live.pem'), authority.file('live.key')];
    copyFileSync(authority.file('a.pem'), cert);
    copyFileSync(authority.file('a.key'), key);
    const live = tls('a', { cert, key, reloadEvery: 20 });
    const source = openSource({ url: broker.url, topics: [topic], tls: live, ...patient }, context);
    const sink = openSink({ url: broker.url, tls: live, ...patient }, context);
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    let sent = 0;
    let streaming = true;
    const stream = (async () => {
      while (streaming) {
        const next = numbered(topic, sent + 10).slice(sent);
        // A batch cut off by the renewal comes again, as the flow would do.
        if (
          await sink.publish(next).then(
            () => true,
            () => false,
          )
        )
          sent += 10;
        await pause(1);
      }
    })();
    await reader.has(50);
    const before = (broker.log.match(/u'a'/g) ?? []).length;
    copyFileSync(authority.file('b.pem'), cert); // the key is still that of a
    await pause(100);
    expect(await context.telemetry.value('certificates_reloaded')).toBe(0);
    expect((broker.log.match(/u'a'/g) ?? []).length).toBe(before);
    copyFileSync(authority.file('b.key'), key);
    await until('both came back as b', () => (broker.log.match(/u'b'/g) ?? []).length >= 2);
    await ready(source, sink);
    const so = reader.deliveries.length;
    await reader.has(so + 50);
    streaming = false;
    await stream;
    await until('all have come', () => new Set(reader.texts).size === sent);
    expect([...new Set(reader.texts)].sort((x, y) => Number(x) - Number(y))).toEqual(range(sent));
    expect(await context.telemetry.value('certificates_reloaded', { name: source.name })).toBe(1);
    expect(await context.telemetry.value('source_lost')).toBe(0); // it was planned
  });
});

describe.skipIf(mosquittoMissing)('MQTT with user and password', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    broker = await Mosquitto.start({ users: { plant: 'sesame' } });
  });
  afterAll(() => broker?.stop());

  it.each([5, 4])('version %i: lets the right one in', async (version) => {
    const topic = fresh('t');
    const login = { url: broker.url, version, user: 'plant', password: 'sesame' };
    const source = openSource({ ...login, topics: [topic] });
    const sink = openSink(login);
    await ready(source, sink);
    const reader = new Reader(source, settleDone);
    await sink.publish(numbered(topic, 10));
    await reader.has(10);
  });

  it.each([5, 4])(
    'version %i: says BROKER_AUTH to a wrong one, without the password, and tries again',
    async (version) => {
      const context = contextOf();
      const login = { url: broker.url, version, user: 'plant', password: 'hunter2-secret', ...patient };
      const source = openSource({ ...login, topics: ['x'] }, context);
      const sink = openSink(login, context);
      const refused = sink.publish(numbered('x', 1));
      await expect(refused).rejects.toMatchObject({ code: 'BROKER_AUTH', retry: true });
      await until('the source says so', () => JSON.stringify(source.health()).includes('BROKER_AUTH'));
      expect(JSON.stringify([source.health(), sink.health()])).not.toContain('hunter2');
      const seen = (broker.log.match(/not authorised/g) ?? []).length;
      await until('it tries again', () => (broker.log.match(/not authorised/g) ?? []).length > seen);
    },
  );

  it('does not show a password that stands in the address', async () => {
    const url = broker.url.replace('://', '://plant:hunter2-secret@');
    const source = openSource({ url, topics: ['x'], ...patient });
    await until('the source says so', () => JSON.stringify(source.health()).includes('BROKER_AUTH'));
    expect(JSON.stringify(source.health())).not.toContain('hunter2');
  });
});

describe.skipIf(mosquittoMissing)('MQTT with access rules', () => {
  it('names the topic that is not allowed, and goes on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-acl-'));
    writeFileSync(join(folder, 'acl'), 'topic readwrite open/#\n');
    const broker = await Mosquitto.start({ config: [`acl_file ${join(folder, 'acl')}`] });
    try {
      const sink = openSink({ url: broker.url, ...patient });
      await ready(sink);
      await sink.publish(numbered('open/t', 1));
      await expect(sink.publish(numbered('closed/t', 1))).rejects.toMatchObject({
        code: 'BROKER_REFUSED',
        message: expect.stringContaining('closed/t'),
      });
      // mosquitto 2.0.11 also hangs up after it has refused a message.
      const again = () =>
        sink.publish(numbered('open/t', 1)).then(
          () => true,
          () => false,
        );
      await until('the next message is taken', again);
    } finally {
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
