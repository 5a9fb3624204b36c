import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { cases } from '../../bench/cases/index.ts';
import { compiled } from '../compiled.ts';

async function run(
  main: string,
  ...args: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [main, 'bench', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

test('bench runs the benchmarks of the checkout with the arguments it was given', async () => {
  const main = await compiled('src/main.ts');
  const listed = await run(main, '--list');
  expect(listed).toMatchObject({ code: 0, err: '' });
  expect(
    listed.out
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  ).toEqual(cases.map(({ name }) => name));
  expect((await run(main, '--', '--help')).out).toContain('Usage: bench');
  expect(await run(main, '--case', 'no-such-case')).toMatchObject({
    code: 2,
    err: expect.stringContaining('bench: no case no-such-case'),
  });
  expect(await run(main, '--no-such-option')).toMatchObject({
    code: 2,
    err: expect.stringContaining("unknown option '--no-such-option'"),
  });
});

test('bench says where the benchmarks are, where it is not in a checkout', async () => {
  const root = path.resolve(path.dirname(await compiled('src/main.ts')), '..');
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-installed-'));
  try {
    cpSync(path.join(root, 'src'), path.join(folder, 'dist', 'src'), { recursive: true });
    cpSync(path.resolve(root, '../../package.json'), path.join(folder, 'package.json'));
    const modules = path.resolve(root, '../../node_modules');
    symlinkSync(modules, path.join(folder, 'node_modules'));
    const { code, err } = await run(path.join(folder, 'dist', 'src', 'main.js'), '--list');
    expect(code).toBe(1);
    expect(err).toContain('TOOL_MISSING: there are no benchmarks here: they come with a checkout');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
