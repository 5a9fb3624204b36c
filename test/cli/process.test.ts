/** The command line as a process of its own: what only a real process shows. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiled } from '../compiled.ts';
import { temporaryFolder } from './run.ts';

const folder = temporaryFolder();
let main: string;
beforeAll(async () => {
  main = await compiled('src/main.ts');
}, 120_000);
afterAll(() => folder.remove());

function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...argv], { maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

describe('the process', () => {
  it('knows its version wherever it was built', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it('writes a whole result into a pipe before it ends', async () => {
    const { code, out, err } = await run('schema');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.length).toBeGreaterThan(20_000);
    expect(JSON.parse(out).title).toBe('Sluice configuration');
  });

  it('ends with the exit code of the table', async () => {
    expect((await run('lint', '-c', folder.file('bad.yaml', 'site: a\n'))).code).toBe(78);
    expect((await run('lint', '-c', 'nowhere.yaml')).code).toBe(78);
    expect((await run('frobnicate')).code).toBe(2);
    expect((await run('dead', 'list', '--store', `${folder.path}/none`)).code).toBe(1);
  });

  it('ends quietly when the reader of a pipe goes away', async () => {
    const child = spawn(process.execPath, [main, 'schema'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  it('starts quickly: --help loads no broker, no store, no schema and no native core', async () => {
    const url = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
    const hooks = `export async function load(url, context, next) {
      process._rawDebug('LOADED ' + url);
      return next(url, context);
    }`;
    const register = `import { register } from 'node:module'; register(${JSON.stringify(url(hooks))});`;
    const { stderr } = await new Promise<{ stderr: string }>((resolve) => {
      execFile(process.execPath, ['--import', url(register), main, '--help'], (_error, _out, stderr) =>
        resolve({ stderr }),
      );
    });
    const loaded = stderr.split('\n').filter((line) => line.startsWith('LOADED '));
    expect(loaded.join('\n')).toMatch(/commander/);
    expect(
      loaded.filter((line) => /kafkajs|mqtt|lmdb|fastify|aedes|zod|yaml|\.node$|config|engine/.test(line)),
    ).toEqual([]);
  });
});
