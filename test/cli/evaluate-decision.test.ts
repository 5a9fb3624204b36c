import { afterAll, expect, it } from 'vitest';
import { seededRandom } from '../../src/task/random.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

/** 600 short mails of which the words tell the label. */
function mails(): string {
  const random = seededRandom(1, 'mails');
  const lines = Array.from({ length: 600 }, (_, i) => {
    const spam = random() < 0.4;
    const words = spam ? 'cheap pills buy now' : 'lunch on friday at noon';
    return `${spam ? 'spam' : 'ham'}\t${words} ${i} ${Math.floor(1e6 * random())}`;
  });
  return folder.file('sms.tsv', `${lines.join('\n')}\n`);
}

const data = ['--format', 'tsv', '--columns', 'label,text', '--text', 'text', '--json', '-'];

it('tells what a gateway would have decided about mail, by the budget that --set names', async () => {
  const path = mails();
  const run = async (...more: string[]) => {
    const { code, out, err } = await sluice(['evaluate', 'spam', '--input', path, ...data, ...more]);
    expect(code, err).toBe(0);
    return (
      JSON.parse(out) as { decision?: { from: number | null; spam: { tagged: number; unsure: number } } }
    ).decision;
  };
  const usual = await run();
  expect(usual).toMatchObject({ tag: 0.001, hold: null, from: null, spam: { tagged: 0 } });
  expect(usual!.spam.unsure).toBeGreaterThan(100);
  const wide = await run('--set', 'decision.tag=0.05');
  expect(wide!.from).toBeGreaterThan(100);
  expect(wide!.spam.tagged).toBeGreaterThan(100);
  expect(await run('--set', 'decision.tag=off')).toBe(undefined);
});

it('refuses a decision that makes no sense in the words of lint', async () => {
  const given = ['evaluate', 'spam', '--input', mails(), ...data];
  for (const [setting, complaint] of [
    ['decision.tag=3', 'decision.tag'],
    ['decision.correspondents=true', 'needs `authserv`'],
    ['decision.tagg=0.1', 'tagg'],
  ]) {
    const { code, err } = await sluice([...given, '--set', setting]);
    expect(code).toBe(2);
    expect(err).toContain(complaint);
  }
});
