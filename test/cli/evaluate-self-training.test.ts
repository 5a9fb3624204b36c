import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { MAIL_LABELS, mailOf, truthOf } from '../task/mail-kit.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

/** 700 short mails, labels for the first half of which are all that the model gets. */
function mails(): string {
  const line = (_: unknown, n: number) => {
    const [, text] = Buffer.from(mailOf(n).payload).toString().split('\r\n\r\n');
    return `${MAIL_LABELS[truthOf(n)]}\t${text.trim()}`;
  };
  return folder.file('sms.tsv', `${Array.from({ length: 700 }, line).join('\n')}\n`);
}

const data = ['--format', 'tsv', '--columns', 'label,text', '--text', 'text', '--set', 'features.bits=12'];
const evaluate = (path: string, ...more: string[]) =>
  sluice(['evaluate', 'spam', '--input', path, ...data, '--feedback', 'delayed:350', ...more]);

it('says how many events the model learned by itself, in the result, the report and its page', async () => {
  const path = mails();
  const page = `${folder.path}/report.html`;
  const { code, out, err } = await evaluate(path, '--json', `${folder.path}/r.json`, '--html', page);
  expect(code, err).toBe(0);
  const { selfTrained, labels } = JSON.parse(readFileSync(`${folder.path}/r.json`, 'utf8'));
  expect(labels).toBe(350);
  expect(selfTrained).toBeGreaterThan(20);
  expect(out).toContain(`${selfTrained} self-trained`);
  expect(readFileSync(page, 'utf8')).toContain(`<dd>${selfTrained} events</dd>`);
});

it('learns nothing by itself where --set turns that off, and refuses other words', async () => {
  const path = mails();
  const { code, out, err } = await evaluate(path, '--set', 'selfTraining=off', '--json', '-');
  expect(code, err).toBe(0);
  expect(JSON.parse(out).selfTrained).toBe(0);
  const refused = await evaluate(path, '--set', 'selfTraining=maybe');
  expect(refused.code).toBe(2);
  expect(refused.err).toContain('maybe: is not one of auto, off');
});
