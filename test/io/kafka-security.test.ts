import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KafkaServer, startKafka, whyNoKafka, withAdmin } from '../servers/kafka.ts';
import { consume, openSink, openSource, silent, unique, until } from './kafka-kit.ts';

function whyNoOpenssl(): string | null {
  try {
    execFileSync('openssl', ['version']);
    return null;
  } catch {
    if (process.env.CI) throw new Error('CI needs openssl: apt-get install -y openssl');
    console.error('SKIPPED (no openssl): apt-get install -y openssl');
    return 'openssl is missing';
  }
}

const missing = (await whyNoKafka()) ?? whyNoOpenssl();

describe.skipIf(missing)('Kafka with TLS and SASL', () => {
  let folder: string;
  let server: KafkaServer;
  const file = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });

  /** A key and a certificate signed by `ca`; the authority signs itself. */
  function certificate(name: string, ca: string | null): void {
    const own = ca === null ? ['-x509', '-days', '2'] : [];
    const subject = [
      '-subj',
      `/CN=${name}`,
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
    ];
    openssl(
      'req',
      ...own,
      ...subject,
      '-keyout',
      `${name}.key`,
      '-out',
      ca === null ? `${name}.pem` : `${name}.csr`,
    );
    if (ca === null) return;
    writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost');
    const signed = [
      '-CA',
      `${ca}.pem`,
      '-CAkey',
      `${ca}.key`,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      'names',
    ];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`);
  }

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-tls-'));
    for (const authority of ['ca', 'stranger']) certificate(authority, null);
    for (const name of ['broker', 'client', 'renewed']) certificate(name, 'ca');
    certificate('intruder', 'stranger');
    writeFileSync(
      file('keystore.pem'),
      readFileSync(file('broker.key'), 'utf8') + readFileSync(file('broker.pem'), 'utf8'),
    );
    server = await startKafka({
      users: { alice: 'alice-secret' },
      tls: { keystore: file('keystore.pem'), truststore: file('ca.pem') },
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
        'allow.everyone.if.no.acl.found': 'true',
      },
    });
  });
  afterAll(async () => {
    await server?.stop();
    if (folder) rmSync(folder, { recursive: true });
  });

  async function roundTrip(brokers: readonly string[], options: object): Promise<void> {
    const topic = unique('secure');
    const output = openSink(brokers, { ...options });
    await output.publish([{ topic, key: null, payload: 'hello' }]);
    const input = openSource(brokers, topic, { ...options });
    const reading = consume(input, (delivery) => delivery.settle('done'));
    await until('it came', () => reading.seen.length === 1);
    await reading.close();
    await output.close();
  }

  it('publishes and reads with each SASL mechanism', async () => {
    for (const mechanism of ['plain', 'scram-sha-256']) {
      const sasl = { mechanism, username: 'alice', password: 'alice-secret' };
      await roundTrip(server.saslBrokers, { sasl });
    }
  });

  it('says BROKER_AUTH for a wrong password, and shows it nowhere', async () => {
    const sasl = { mechanism: 'plain', username: 'alice', password: 'wrong-secret' };
    const output = openSink(server.saslBrokers, { sasl, publishTimeout: '5s' });
    const failure = await output.publish([{ topic: 't', key: null, payload: 'x' }]).then(
      () => null,
      (error) => error,
    );
    expect(failure).toMatchObject({ code: 'BROKER_AUTH', retry: true });
    const health = output.health();
    expect(health.ok).toBe(false);
    expect(JSON.stringify([health, String(failure)])).not.toContain('wrong-secret');
    await output.close();
  });

  it('refuses what goes to a topic that this user may not write to, at once, and publishes to the others', async () => {
    const [locked, free] = [unique('locked'), unique('free')];
    await withAdmin(server.brokers, async (admin) => {
      await admin.createTopics({ topics: [{ topic: locked }], waitForLeaders: true });
      await admin.createAcls({
        acl: [
          {
            resourceType: kafkajs.AclResourceTypes.TOPIC,
            resourceName: locked,
            resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
            principal: 'User:alice',
            host: '*',
            operation: kafkajs.AclOperationTypes.READ,
            permissionType: kafkajs.AclPermissionTypes.ALLOW,
          },
        ],
      });
    });
    const sasl = { mechanism: 'plain', username: 'alice', password: 'alice-secret' };
    const output = openSink(server.saslBrokers, { sasl, publishTimeout: '10s' });
    const to = (topic: string) => output.publish([{ topic, key: null, payload: 'x' }]);
    const [refused, taken] = await Promise.allSettled([to(locked), to(free)]);
    expect(refused).toMatchObject({ reason: { code: 'BROKER_REFUSED', retry: false } });
    expect(taken.status).toBe('fulfilled');
    await expect(to(locked)).rejects.toMatchObject({ code: 'BROKER_REFUSED' });
    await output.close();
  });

  it('publishes and reads over TLS with a client certificate', async () => {
    await roundTrip(server.tlsBrokers, {
      tls: { ca: file('ca.pem'), cert: file('client.pem'), key: file('client.key') },
    });
  });

  it('refuses a broker it has no reason to trust, and is refused with a certificate of a stranger', async () => {
    const pairs = [
      { ca: file('stranger.pem'), cert: file('client.pem'), key: file('client.key') },
      { ca: file('ca.pem'), cert: file('intruder.pem'), key: file('intruder.key') },
    ];
    for (const tls of pairs) {
      const output = openSink(server.tlsBrokers, { tls, publishTimeout: '4s' });
      await expect(output.publish([{ topic: 't', key: null, payload: 'x' }])).rejects.toMatchObject({
        retry: true,
      });
      expect(output.health().ok).toBe(false);
      await output.close();
    }
  });

  it('refuses certificate files that cannot be read or do not fit together', () => {
    expect(() => openSource(['b:1'], 't', { tls: { ca: file('absent.pem') } })).toThrow(/absent.pem/);
    const tls = { cert: file('client.pem'), key: file('renewed.key') };
    expect(() => openSink(['b:1'], { tls })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('takes renewed certificates without a restart, and never a half written one', async () => {
    const tls = { ca: file('ca.pem'), cert: file('live.pem'), key: file('live.key') };
    copyFileSync(file('client.pem'), tls.cert);
    copyFileSync(file('client.key'), tls.key);
    const telemetry = silent();
    const topic = unique('renewed');
    const output = openSink(server.tlsBrokers, { tls });
    await output.publish([{ topic, key: null, payload: '1' }]);
    const input = openSource(server.tlsBrokers, topic, { tls }, { telemetry });
    const reading = consume(input, (delivery) => delivery.settle('done'));
    await until('the first', () => reading.seen.length === 1);

    copyFileSync(file('renewed.pem'), tls.cert);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await telemetry.value('certificates_reloaded')).toBe(0);
    expect(input.health().ok).toBe(true);
    copyFileSync(file('renewed.key'), tls.key);
    await until('both are there', async () => (await telemetry.value('certificates_reloaded')) === 1);
    await until('healthy again', () => input.health().ok);
    await output.publish([{ topic, key: null, payload: '2' }]);
    await until('the second', () => reading.seen.length === 2);
    await reading.close();
    await output.close();
  });
});
