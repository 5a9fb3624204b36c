/** The examples of docs/mail/ under Debian's own rspamd, Postfix and Dovecot: a verdict where there is one, and mail in any case. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { App } from '../../src/app/app.ts';
import { systemClock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config.ts';
import { openEngine } from '../../src/model/engine.ts';
import { Telemetry } from '../../src/telemetry.ts';
import {
  freePort,
  type Program,
  startDovecot,
  startMilter,
  startPostfix,
  startRspamd,
  type Target,
  whyNoDovecot,
  whyNoPostfix,
  whyNoRspamd,
} from '../servers/mail.ts';
import { Mailbox, receiveMail, sendMail } from './mail-wire.ts';

const TOKEN = 'correct-horse-battery-staple';
const engine = openEngine({ threads: 1 });
const telemetry = () => gateway!.telemetry;
const SPAM = 'cheap pills, buy now, best price';
const HAM = 'minutes of the meeting on Tuesday';

interface Running extends Target {
  readonly app: App;
  readonly telemetry: Telemetry;
  readonly folder: string;
}
let gateway: Running | null = null;

async function startGateway(): Promise<Running> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-mail-'));
  const url = `http://127.0.0.1:${await freePort()}`;
  const text = `
site: mx
sources: { mx: { type: http } }
tasks: { spam: { from: [mx], event: email, labels: [ham, spam], minLabels: 6, minPerLabel: 2 } }
store: { path: ${JSON.stringify(folder)} }
http: { listen: "${new URL(url).host}", token: ${TOKEN} }
`;
  const told = new Telemetry({ level: 'silent' });
  const app = await App.start({ config: parseConfig(text, 'test', { env: {} }), engine, telemetry: told });
  gateway = { app, url, token: TOKEN, telemetry: told, folder };
  return gateway;
}
async function stopGateway(): Promise<void> {
  await gateway?.app.stop();
  if (gateway) rmSync(gateway.folder, { recursive: true, force: true });
  gateway = null;
}
afterEach(stopGateway);

const post = (query: string, body: string) =>
  fetch(`${gateway!.url}/api/${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}` },
    body,
  });

const mail = (n: number | string, words: string, more = '') =>
  `From: bob@example.org\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nTo: ann@example.net\r\nSubject: number ${n}\r\nMessage-ID: <w${n}@example.org>\r\n${more}\r\n${words} ${n}\r\n`;

/** Until verdicts carry labels. */
async function teach(): Promise<void> {
  for (let n = 0; n < 8; n++) {
    const text = mail(`t${n}`, n % 2 ? SPAM : HAM);
    await post('classify', text);
    await post(`feedback?label=${n % 2 ? 'spam' : 'ham'}`, text);
  }
  await gateway!.app.gateway!.learned();
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 15_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`it never came about that ${what}`);
    await systemClock.sleep(20);
  }
}
const kept = (program: Program) => {
  onTestFinished(() => program.stop());
  return program;
};

const noRspamd = whyNoRspamd();

describe.skipIf(noRspamd)('rspamd', () => {
  interface Scan {
    symbols: Record<string, { score: number; options?: string[] }>;
    milter?: { add_headers?: Record<string, { value: string }>; remove_headers?: Record<string, number> };
  }
  const scan = async (port: number, text: string): Promise<Scan> =>
    (await fetch(`http://127.0.0.1:${port}/checkv2`, { method: 'POST', body: text })).json() as never;

  it('gets a symbol from the verdict, none while Sluice learns or is away, and mail is never held', async () => {
    const { url } = await startGateway();
    const { port } = kept(await startRspamd({ url, token: TOKEN }));
    const symbols = async (text: string) => Object.keys((await scan(port, text)).symbols);
    expect(await symbols(mail(1, SPAM))).not.toContain('SLUICE_SPAM');
    await teach();
    const spam = await scan(port, mail(2, SPAM, 'X-Sluice: ham; score=0.000001\r\n'));
    expect(spam.symbols.SLUICE_SPAM.score).toBeGreaterThan(1);
    expect(spam.milter!.remove_headers).toMatchObject({ 'X-Sluice': 0 });
    expect(spam.milter!.add_headers!['X-Sluice'].value).toMatch(/^spam; score=0\.\d+; .*event=sha256:/);
    const ham = await scan(port, mail(3, HAM));
    expect(ham.symbols.SLUICE_HAM.score).toBeLessThan(0);
    expect(ham.symbols.SLUICE_SPAM).toBeUndefined();
    await stopGateway();
    const began = performance.now();
    const away = await scan(port, mail(4, SPAM, 'X-Sluice: ham\r\n'));
    expect(Object.keys(away.symbols).filter((name) => name.startsWith('SLUICE_'))).toEqual([]);
    expect(away.milter).toMatchObject({ remove_headers: { 'X-Sluice': 0 } });
    expect(away.milter!.add_headers).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});

const noPostfix = whyNoPostfix();

describe.skipIf(noPostfix)('Postfix', () => {
  const linesOf = (text: string) =>
    text
      .split('\r\n\r\n')[0]
      .split('\r\n')
      .filter((line) => /^x-sluice/i.test(line));

  it('writes the verdict into the mail, takes foreign ones out, and passes every mail on whatever fails', async () => {
    const { url } = await startGateway();
    const receiver = await receiveMail();
    onTestFinished(() => receiver.close());
    const milterPort = await freePort();
    let milter = await startMilter({ url, token: TOKEN }, milterPort);
    onTestFinished(() => milter.stop());
    const postfix = await startPostfix(milterPort, receiver.port);
    const { port } = kept(postfix);
    const deliver = async (text: string) => {
      const before = receiver.mails.length;
      expect(await sendMail(port, text)).toMatch(/^250 /);
      await until('it was passed on', () => receiver.mails.length > before);
      return receiver.mails[before];
    };
    const FOREIGN = 'X-Sluice: ham; score=0.000001\r\nX-SLUICE: ham;\r\n folded\r\nX-Sluice-Event: e\r\n';

    expect(linesOf(await deliver(mail(1, SPAM)))).toEqual([
      expect.stringMatching(/^X-Sluice: learning; .*event=sha256:/),
    ]);
    await teach();
    const spam = await deliver(mail(2, `.${SPAM}\r\n.\r\nJürgen`, `${FOREIGN}X-Folded: a\r\n b\r\n`));
    expect(linesOf(spam)).toEqual([
      expect.stringMatching(/^X-Sluice: spam; score=0\.\d{6}; .*event=sha256:[0-9a-f]{32}; model=/),
    ]);
    expect(spam).toContain('X-Folded: a\r\n b\r\n');
    expect(spam.endsWith(`.${SPAM}\r\n.\r\n${Buffer.from('Jürgen').toString('latin1')} 2\r\n`)).toBe(true);
    expect(linesOf(await deliver(mail(3, HAM)))).toEqual([expect.stringMatching(/^X-Sluice: ham;/)]);
    // A label finds the event of the mail as it was delivered.
    expect((await post('feedback?label=spam', spam)).status).toBe(200);

    // The very bytes reached the gateway, as if they had been sent there.
    const [, event] = /event=(sha256:[0-9a-f]+)/.exec(linesOf(await deliver(mail(4, SPAM)))[0])!;
    const direct = (await (await post('classify', mail(4, SPAM))).json()) as { event: string };
    expect(event).toBe(direct.event);

    await stopGateway();
    const body = (text: string) => text.slice(text.indexOf('\r\n\r\n'));
    const away = await deliver(mail(5, SPAM, FOREIGN));
    expect([linesOf(away), body(away)]).toEqual([[], body(mail(5, SPAM))]);
    await milter.stop();
    postfix.guard();
    expect(linesOf(await deliver(mail(6, SPAM, FOREIGN)))).toEqual([]);
    milter = await startMilter({ url, token: 'not-the-token-at-all' }, milterPort);
    expect(linesOf(await deliver(mail(7, SPAM, FOREIGN)))).toEqual([]);
  });
});

describe.skipIf(noRspamd ?? noPostfix)('Postfix with rspamd', () => {
  it('has the line of the verdict in the mail, and foreign ones out of it', async () => {
    const { url } = await startGateway();
    await teach();
    const receiver = await receiveMail();
    onTestFinished(() => receiver.close());
    const rspamd = await startRspamd({ url, token: TOKEN });
    kept(rspamd);
    const { port } = kept(await startPostfix(rspamd.milter, receiver.port));
    const deliver = async (text: string) => {
      const before = receiver.mails.length;
      expect(await sendMail(port, text)).toMatch(/^250 /);
      await until('it was passed on', () => receiver.mails.length > before);
      return receiver.mails[before].split('\r\n').filter((line) => /^x-sluice/i.test(line));
    };
    const FOREIGN = 'X-Sluice: ham; score=0.000001\r\nX-Sluice: ham; again\r\n';
    expect(await deliver(mail(1, SPAM, FOREIGN))).toEqual([
      expect.stringMatching(/^X-Sluice: spam; score=0\.\d{6}; .*event=sha256:[0-9a-f]{32}; model=/),
    ]);
    expect(await deliver(mail(2, HAM))).toEqual([expect.stringMatching(/^X-Sluice: ham;/)]);
    await stopGateway();
    expect(await deliver(mail(3, SPAM, FOREIGN))).toEqual([]);
  });
});

describe.skipIf(whyNoDovecot())('Dovecot', () => {
  const results = async () => ({
    learned: await telemetry().value('feedback_received', { result: 'learned' }),
    corrected: await telemetry().value('feedback_received', { result: 'corrected' }),
  });

  it('learns spam from Junk and ham from out of it; the trash means nothing; what was never seen is shown', async () => {
    const { url } = await startGateway();
    const dovecot = kept(await startDovecot({ url, token: TOKEN }));
    const box = await Mailbox.open(dovecot.port);
    onTestFinished(() => box.close());
    const arrive = async (n: number, folder = 'INBOX') => {
      const verdict = (await (await post('classify', mail(n, SPAM))).json()) as { event: string };
      // As the milter leaves it, and with the line that its delivery adds.
      await box.append(
        folder,
        `Received: from here\r\n${mail(n, SPAM, `X-Sluice: learning; event=${verdict.event}\r\n`)}`,
      );
    };
    await box.say('CREATE Work');

    await arrive(1);
    await box.move('INBOX', 'Junk');
    await until('moving to Junk was learned', async () => (await results()).learned === 1);
    await box.move('Junk', 'INBOX');
    await until('moving out of it was learned', async () => (await results()).corrected === 1);

    // Nothing of this means anything.
    await box.move('INBOX', 'Trash');
    await box.move('Trash', 'INBOX');
    await box.move('INBOX', 'Work');
    await box.move('Work', 'Junk');
    await until('Junk again', async () => (await results()).corrected === 2);
    await box.move('Junk', 'Trash');
    await box.move('Trash', 'Junk');
    await box.move('Junk', 'Papierkorb');
    expect(await results()).toEqual({ learned: 1, corrected: 2 });

    // A mail from a time when Sluice was away.
    await box.append('INBOX', mail(2, SPAM));
    await box.move('INBOX', 'Junk');
    await until('the unseen was learned', async () => (await results()).learned === 2);

    // A gateway that is away keeps nobody from moving mail.
    await stopGateway();
    await box.move('Junk', 'INBOX');
    expect((await box.say('SELECT INBOX')).join('\n')).toContain('* 1 EXISTS');
    expect(dovecot.log()).not.toMatch(/(?:Error|Fatal|Panic)/);
  });
});
