/** Files through the whole gateway: `run --until-end` plays them and ends when every verdict is out. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, SOON_MS } from './ops-kit.ts';
import { until } from './scale.ts';

const ROWS = 700;
const MAILS = 40;
const site = freshSite();

/** A table and a mail stream in the gateway's folder, and the configuration that plays them. */
async function played(): Promise<void> {
  await site.operate('site: none');
  const { folder } = site.gateway;
  const rows = Array.from({ length: ROWS }, (_, n) => `${n % 100},d${n % 7},${n % 2 ? 'ok' : 'fault'}`);
  writeFileSync(path.join(folder, 'readings.csv'), `x,name,label\n${rows.join('\n')}\n`);
  mkdirSync(path.join(folder, 'mails'));
  const index = ['path\tlabel'];
  for (let n = 0; n < MAILS; n++) {
    const text = `From: a@example.org\r\nMessage-ID: <${n}@example.org>\r\nSubject: ${n}\r\n\r\nMail ${n}\r\n`;
    writeFileSync(path.join(folder, 'mails', `${n}.eml`), text);
    index.push(`mails/${n}.eml\t${n % 2 ? 'ham' : 'spam'}`);
  }
  writeFileSync(path.join(folder, 'index.tsv'), `${index.join('\n')}\n`);
  await site.gateway.write(`
site: files
sources:
  table: { type: files, path: ${JSON.stringify(path.join(folder, 'readings.csv'))} }
  post: { type: files, path: ${JSON.stringify(path.join(folder, 'index.tsv'))} }
sinks: { floor: { type: mqtt, url: "${site.broker.url}", reconnect: { max: 500ms } } }
tasks:
  machine: { from: [table], event: sensor, fields: { x: { type: number } }, device: { pointer: /name }, labels: [ok, fault] }
  spam: { from: [post], event: email, labels: [ham, spam] }`);
}

test.skipIf(mosquittoMissing)(
  'played to their end: one verdict a row and a mail, exit 0, and the same identities when played again',
  async () => {
    await played();
    const readings = await collect(site.bus, 'sluice/files/machine/verdict');
    const mails = await collect(site.bus, 'sluice/files/spam/verdict');
    for (const times of [1, 2]) {
      site.gateway.launch(['--until-end']);
      expect(await site.gateway.exited, site.gateway.log).toBe(0);
      await until(
        () => readings.length >= times * ROWS && mails.length >= times * MAILS,
        SOON_MS,
        () => `${readings.length} and ${mails.length} verdicts\n${site.gateway.log}`,
      );
      expect(readings).toHaveLength(times * ROWS);
      expect(mails).toHaveLength(times * MAILS);
      expect(new Set(readings.map(({ event }) => event)).size).toBe(ROWS);
      expect(new Set(mails.map(({ event }) => event)).size).toBe(MAILS);
    }
    expect(new Set(readings.map(({ device }) => device)).size).toBe(7);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'with the sink away at the end it waits: exit 0 means that every verdict is out',
  async () => {
    await played();
    const readings = await collect(site.bus, 'sluice/files/machine/verdict');
    await site.broker.kill();
    site.gateway.launch(['--until-end']);
    await site.gateway.untilMetric('settled', {}, ROWS + MAILS);
    expect((await site.gateway.status()).outbox.floor.messages).toBeGreaterThanOrEqual(ROWS + MAILS);
    expect(site.gateway.running).toBe(true);
    await site.broker.start();
    expect(await site.gateway.exited, site.gateway.log).toBe(0);
    await until(
      () => new Set(readings.map(({ event }) => event)).size === ROWS,
      SOON_MS,
      () => `${readings.length} verdicts`,
    );
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a file that is missing or breaks off is an exit 1 that names the place; nothing before the break is judged twice',
  async () => {
    await played();
    const readings = await collect(site.bus, 'sluice/files/machine/verdict');
    const table = path.join(site.gateway.folder, 'readings.csv');
    const rows = Array.from({ length: 300 }, (_, n) => (n === 200 ? '3' : `${n},d1,ok`));
    writeFileSync(table, `x,name,label\n${rows.join('\n')}\n`);
    site.gateway.launch(['--until-end']);
    expect(await site.gateway.exited).toBe(1);
    expect(site.gateway.log).toContain('INPUT_INVALID');
    expect(site.gateway.log).toContain('readings.csv:202');
    await until(
      () => readings.length > 0,
      SOON_MS,
      () => 'a verdict',
    );
    expect(new Set(readings.map(({ event }) => event)).size).toBe(readings.length);
    rmSync(table);
    site.gateway.launch(['--until-end']);
    expect(await site.gateway.exited).toBe(1);
    expect(site.gateway.log).toContain('INPUT_NOT_FOUND');
    // Without --until-end the gateway stays for its other sources, and says so.
    site.gateway.launch();
    await until(
      async () => (await site.gateway.ready()).reasons.some((reason) => reason.includes('readings.csv')),
      SOON_MS,
      () => `/ready to name the file\n${site.gateway.log}`,
    );
    expect(await site.gateway.stop()).toBe(0);
  },
  60_000,
);
