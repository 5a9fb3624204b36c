import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
const cert = join(folder.path, 'cert.pem');
const key = join(folder.path, 'key.pem');
let server: Server;
let port: number;
let config: string;

beforeAll(async () => {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const pair = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
  ];
  execFileSync('openssl', ['req', '-x509', '-days', '10', ...pair, ...subject], { stdio: 'ignore' });
  server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) =>
    socket.on('error', () => undefined),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as { port: number }).port;
  config = folder.file('sluice.yaml', configuration(join(folder.path, 'state')));
});
afterAll(() => {
  server.close();
  folder.remove();
});

const doctor = async (...set: string[]) => {
  const url = `sources.plant.url=mqtts://127.0.0.1:${port}`;
  const { out } = await sluice([
    'doctor',
    '-c',
    config,
    '--json',
    ...[url, ...set].flatMap((s) => ['--set', s]),
  ]);
  const { findings } = JSON.parse(out) as { findings: { name: string; state: string; detail: string }[] };
  return (name: string) => findings.find((finding) => finding.name === name);
};

describe('doctor on TLS', () => {
  it('says that a certificate is not trusted, and when it ends', async () => {
    const find = await doctor();
    expect(find(`broker 127.0.0.1:${port}`)).toMatchObject({
      state: 'bad',
      detail: expect.stringMatching(
        /^sources\.plant: reached in \d+ ms, but its certificate is not trusted: DEPTH_ZERO_SELF_SIGNED_CERT$/,
      ),
    });
    expect(find(`broker 127.0.0.1:${port} certificate`)).toMatchObject({
      state: 'warn',
      detail: expect.stringMatching(/^valid until \d{4}-\d\d-\d\d \((9|10) days\)$/),
    });
  });

  it('is content where the authority is configured, and looks at the files too', async () => {
    const find = await doctor(`sources.plant.tls.ca=${cert}`);
    expect(find(`broker 127.0.0.1:${port}`)).toMatchObject({
      state: 'ok',
      detail: expect.stringContaining('is trusted'),
    });
    expect(find(`certificate ${cert}`)).toMatchObject({ state: 'warn' });
  });

  it('names a certificate file that cannot be read', async () => {
    const find = await doctor('sources.plant.tls.ca=/nowhere/ca.pem');
    expect(find(`broker 127.0.0.1:${port}`)).toMatchObject({
      state: 'bad',
      detail: expect.stringContaining('cannot use the certificate files'),
    });
    expect(find('certificate /nowhere/ca.pem')).toMatchObject({ state: 'bad' });
  });

  it('names TLS against a port that does not speak it', async () => {
    const plain = (await import('node:net')).createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('hello\n');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const other = (plain.address() as { port: number }).port;
    const find = await doctor(`sources.mail.url=mqtts://127.0.0.1:${other}`);
    plain.close();
    expect(find(`broker 127.0.0.1:${other}`)).toMatchObject({ state: 'bad' });
  });
});
