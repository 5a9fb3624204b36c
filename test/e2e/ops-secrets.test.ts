/** TLS with client certificates and passwords; and nothing that a person may read tells a secret. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { Operated, plainTask, reading, SOON_MS, sluice } from './ops-kit.ts';
import { until } from './scale.ts';

const PASSWORD = 'correct-horse-battery-staple';
const TOKEN = 'token-that-nobody-may-see-0123456789';
const KEY = 'key-of-the-fleet-0123456789';
const PASSPHRASE = 'passphrase-of-the-key-42';
const SECRETS = [PASSWORD, TOKEN, KEY, PASSPHRASE];
const env = { ...process.env, MQTT_PASSWORD: PASSWORD, HTTP_TOKEN: TOKEN, FLEET_KEY: KEY, PASSPHRASE };

let folder: string;
let broker: Mosquitto;
let gateway: Operated;

const file = (name: string) => path.join(folder, name);

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}

/** An authority; a server; a client whose key is encrypted. */
function makeCertificates(): void {
  const key = (name: string) =>
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
  key('ca');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=ca', '-days', '2', '-out', 'ca.pem');
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
  for (const [name, extension] of [
    ['server', 'subjectAltName=DNS:localhost'],
    ['client', 'basicConstraints=CA:FALSE'],
  ]) {
    key(name);
    writeFileSync(file(`${name}.ext`), `${extension}\n`);
    openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...signer,
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
  }
  openssl('ec', '-in', 'client.key', '-aes128', '-passout', `pass:${PASSPHRASE}`, '-out', 'client.enc.key');
}

beforeAll(async () => {
  if (mosquittoMissing) return;
  folder = mkdtempSync(path.join(os.tmpdir(), 'sluice-secrets-'));
  makeCertificates();
  broker = await Mosquitto.start({
    tls: { ca: file('ca.pem'), cert: file('server.pem'), key: file('server.key'), client: true },
    users: { gateway: PASSWORD, person: 'person' },
  });
});

afterEach(async () => {
  await gateway?.remove();
});

afterAll(async () => {
  await broker?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const config = (password: string, more = '') => {
  const tls = `tls: { ca: ${file('ca.pem')}, cert: ${file('client.pem')}, key: ${file('client.enc.key')}, passphrase: "\${PASSPHRASE}" }`;
  const access = `url: "${broker.url}", user: gateway, password: "${password}", ${tls}, reconnect: { max: 500ms }`;
  return `
site: safe
sources: { plant: { type: mqtt, ${access}, topics: ["safe/+"] } }
sinks: { floor: { type: mqtt, ${access} } }
privacy: { key: "\${FLEET_KEY}" }
http: { listen: "127.0.0.1:${gateway.port}", token: "\${HTTP_TOKEN}" }
${plainTask('plant')}
${more}`;
};

function expectNoSecret(text: string, where: string): void {
  for (const secret of SECRETS) expect(text.includes(secret), `${where} tells ${secret}`).toBe(false);
}

/** Everything an operator may see or send on. */
async function expectDiscreet(): Promise<void> {
  expectNoSecret(gateway.log, 'the log');
  for (const place of ['/ready', '/api/status', '/metrics', '/'])
    expectNoSecret(await (await fetch(gateway.http + place)).text(), place);
  for (const args of [['doctor'], ['doctor', '--json', '-'], ['lint'], ['dead', 'list']]) {
    const { stdout, stderr } = await sluice([...args, '-c', gateway.file], env);
    expectNoSecret(stdout + stderr, args.join(' '));
  }
}

function person(): Promise<MqttClient> {
  return connectAsync(broker.url, {
    username: 'person',
    password: 'person',
    ca: readFileSync(file('ca.pem')),
    cert: readFileSync(file('client.pem')),
    key: readFileSync(file('client.key')),
  });
}

test.skipIf(mosquittoMissing)(
  'over TLS with a client certificate, user and password: events get verdicts, and log, status, metrics, doctor and lint tell no secret',
  async () => {
    gateway = await Operated.make('site: none');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Sluice replaces it
    await gateway.write(config('${MQTT_PASSWORD}'));
    await gateway.start([], env);
    const client = await person();
    try {
      const events: string[] = [];
      client.on('message', (_topic, payload) => events.push(JSON.parse(payload.toString()).data.event));
      await client.subscribeAsync('sluice/safe/machine/verdict', { qos: 1 });
      await client.publishAsync('safe/press', reading('press', 1), { qos: 1 });
      await client.publishAsync('safe/press', 'no reading', { qos: 1 });
      await until(
        () => events.includes('/press/1'),
        SOON_MS,
        () => `the verdict\n${gateway.log}`,
      );
      await gateway.untilMetric('dead_letters', {}, 1);
      await expectDiscreet();
      // A refused file says why, and does not repeat what stood beside the mistake.
      await gateway.write(config(PASSWORD, `maxInflight: 1\nsecret: ${KEY}`));
      await gateway.untilMetric('config_refused', {}, 1);
      expectNoSecret(gateway.log, 'the log after a refused file');
      expect(await gateway.stop()).toBe(0);
    } finally {
      await client.endAsync(true);
    }
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a wrong password is a refusal that names the broker and the reason, in log and /ready, and never the password',
  async () => {
    gateway = await Operated.make('site: none');
    await gateway.write(config(`${PASSWORD}-wrong`));
    gateway.launch([], env);
    await until(
      async () => (await gateway.ready()).reasons.join().includes('BROKER_AUTH'),
      SOON_MS,
      () => `BROKER_AUTH in /ready\n${gateway.log}`,
    );
    const { status, reasons } = await gateway.ready();
    expect(status).toBe(503);
    expect(reasons.join('\n')).toContain(`localhost:${broker.port}`);
    expectNoSecret(JSON.stringify(reasons), '/ready');
    await expectDiscreet();
    expect(await gateway.stop()).toBe(0);
  },
  60_000,
);
