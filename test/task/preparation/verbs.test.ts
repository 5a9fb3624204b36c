/** The verbs that read files of mail: the number of threads beside the main one changes nothing but the time. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBundle } from '../../../src/model/bundle.ts';
import { compiled } from '../../compiled.ts';
import { mails } from './kit.ts';

const run = promisify(execFile);
let folder: string;
let index: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sluice-workers-'));
  index = path.join(folder, 'index.tsv');
  const lines = mails(160).map(({ payload, label }, n) => {
    writeFileSync(path.join(folder, `${n}.eml`), payload);
    return `${n}.eml\t${label}\n`;
  });
  writeFileSync(index, lines.join(''));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function sluice(...args: string[]): Promise<string> {
  const main = await compiled('src/main.ts');
  return (await run(process.execPath, [main, ...args])).stdout;
}

test('evaluate says the same with two threads as with none', async () => {
  const evaluate = async (workers: string) => {
    const all = JSON.parse(
      await sluice('evaluate', 'spam', '--input', index, '--workers', workers, '--json', '-'),
    );
    const { seconds, cpuSeconds, eventsPerSecond, peakRssMiB, ...same } = all;
    return same;
  };
  const inline = await evaluate('0');
  expect(inline.n).toBeGreaterThan(140);
  expect(Object.keys(inline.dead).length).toBeGreaterThan(1);
  expect(await evaluate('2')).toEqual(inline);
});

test('train makes the same model with two threads as with none', async () => {
  const train = async (workers: string) => {
    const out = path.join(folder, `${workers}.bundle`);
    await sluice('train', 'spam', '--input', index, '--out', out, '--workers', workers);
    return Buffer.from(readBundle(readFileSync(out)).weights).toString('base64');
  };
  expect(await train('2')).toBe(await train('0'));
});

test('a number of threads that makes no sense is refused', async () => {
  const asked = sluice('evaluate', 'spam', '--input', index, '--workers', '65');
  await expect(asked).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('--workers 65') });
});
