/** Mail over HTTP without a broker: what an operator asks and says about a mail goes to the gateway itself. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { App } from '../../src/app/app.ts';
import { parseConfig } from '../../src/config.ts';
import { openEngine } from '../../src/model/engine.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { freePort } from '../servers/mosquitto.ts';
import { sluice, temporaryFolder } from './run.ts';

const TOKEN = 'correct-horse-battery-staple';
const folder = temporaryFolder();
const telemetry = new Telemetry({ level: 'silent' });
let app: App;
let file: string;
let url: string;

const mail = (n: number, words: string) =>
  `Message-ID: <m${n}@corp.example>\r\nFrom: a@corp.example\r\nSubject: number ${n}\r\n\r\n${words} ${n}\r\n`;
const post = async (path: string, body: string) => {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  return (await response.json()) as { event: string };
};
const say = (verb: string, ...words: string[]) => sluice([verb, '-c', file, ...words]);
const results = (result: string) => telemetry.value('feedback_received', { result });

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const text = `
site: mx
sources: { mx: { type: http } }
tasks: { spam: { from: [mx], event: email, labels: [ham, spam], minLabels: 4, minPerLabel: 1 } }
store: { path: ${JSON.stringify(folder.path)} }
http: { listen: "127.0.0.1:${port}", token: ${TOKEN} }
`;
  file = folder.file('sluice.yaml', text);
  const config = parseConfig(text, 'test', { env: {} });
  app = await App.start({ config, engine: openEngine({ threads: 1 }), telemetry });
  for (let n = 0; n < 12; n++) {
    await post('/api/classify', mail(n, n % 2 ? 'cheap pills buy now' : 'lunch on friday at noon'));
    await post(
      `/api/feedback?label=${n % 2 ? 'spam' : 'ham'}`,
      mail(n, n % 2 ? 'cheap pills buy now' : 'lunch on friday at noon'),
    );
  }
});
afterAll(async () => {
  await app?.stop();
  folder.remove();
});

test('a mail is explained by its id without a word of it, and with its words by what lies in the mailbox', async () => {
  const { event } = await post('/api/classify', mail(100, 'cheap pills buy now'));
  const byId = await say('explain', '--event', event);
  expect(byId.out).toContain('verdict  spam');
  expect(byId.out).toMatch(/\n {2}by [\d,]+ features, the strongest of which gives [+-]\d/);
  expect(byId.out).toContain('sluice explain … --task spam --raw FILE');
  expect(byId.out).not.toContain('bucket');
  const delivered = `X-Sluice: spam; score=0.9\r\nDelivered-To: b@corp.example\r\n${mail(100, 'cheap pills buy now')}`;
  const raw = await say('explain', '--raw', folder.file('delivered.eml', delivered));
  expect(raw.out).toContain(`event    ${event}\n`);
  expect(raw.out).toContain('found by its Message-ID: it was judged with other headers');
  expect(raw.out).toMatch(/text "(cheap|pills|buy|now)"/);
  expect(raw.out).not.toMatch(/(header|text)Form:/);
});

test('feedback and forget reach a gateway that has no broker', async () => {
  const given = await say('feedback', '--message-id', '<m1@corp.example>', '--label', 'ham');
  expect(given).toMatchObject({ code: 0, err: '' });
  expect(given.out).toBe(`sent 1 of 1 (1 ham) to ${url}/api/feedback over http, confirmed by the gateway\n`);
  expect(await results('corrected')).toBe(1);
  const gone = await say('forget', '--message-id', '<m1@corp.example>');
  expect(gone.out).toContain('sent 1 of 1 (1 to forget) to ');
  expect(await results('forgotten')).toBe(1);
  expect(await say('explain', '--message-id', '<m1@corp.example>')).toMatchObject({ code: 1 });
});

test('many labels go in as many requests as they need', async () => {
  const lines = Array.from({ length: 900 }, (_, n) => JSON.stringify({ event: `later/${n}`, label: 'ham' }));
  const { code, out } = await say('feedback', '--file', folder.file('labels.jsonl', lines.join('\n')));
  expect([code, out]).toEqual([0, expect.stringContaining('sent 900 of 900')]);
  expect(await results('waiting')).toBe(900);
});

test('what keeps it from coming is told', async () => {
  const label = ['--message-id', '<m2@corp.example>', '--label', 'spam'];
  for (const [set, code, words] of [
    ['http.token=another-secret-altogether', 'BROKER_AUTH', 'answers 401'],
    ['http.listen=127.0.0.1:1', 'BROKER_UNREACHABLE', 'does the gateway run?'],
    ['http.listen=127.0.0.1:0', 'USAGE', 'needs `http.token` and a port'],
  ]) {
    const { err } = await say('feedback', ...label, '--set', set);
    expect(err).toContain(code);
    expect(err).toContain(words);
  }
  expect(await results('corrected')).toBe(1);
});
