/** `train` and `sweep` as a user runs them, on tables that the tests make. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBundle, verifyBundle } from '../../src/model/bundle.ts';
import { newKey, writePrivateKey } from '../../src/model/signing.ts';
import { compiled } from '../compiled.ts';
import { seeded } from '../model/fixtures.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

type Rule = (x: number, y: number, i: number) => boolean;

/** A table of two columns, one that gives the label away from row `leakFrom` on, a time, and a label. */
function table(name: string, rows: number, rule: Rule, leakFrom = rows, from = 0): string {
  const random = seeded(7);
  const lines = ['time,x,y,leak,label'];
  for (let i = 0; i < rows; i += 1) {
    const [x, y, noise] = [random() * 2 - 1, random() * 2 - 1, random()];
    const label = rule(x, y, i);
    const leak = i >= leakFrom ? Number(label) : Math.round(noise);
    if (i >= from)
      lines.push(
        `${1_700_000_000 + i * 60},${x.toFixed(5)},${y.toFixed(5)},${leak},${label ? 'fault' : 'ok'}`,
      );
  }
  return folder.file(name, `${lines.join('\n')}\n`);
}

const simple: Rule = (x, y) => x + y > 0;
const noisy: Rule = (x, y, i) => x + y + ((i * 7_919) % 100) / 80 - 0.6 > 0;
const out = (name: string): string => join(folder.path, name);
const bundleOf = (path: string) => readBundle(readFileSync(path));
// Rows that stand for themselves: a file that is tested alone lacks what came before it.
const plain = ['--model', 'linear', '--set', 'features.windows.on=false'];
const common = ['--time', 'time', '--created', '2026-01-01T00:00:00Z', ...plain];

describe('train', () => {
  test('writes a bundle whose manifest tells what happened, tested once on the newest events', async () => {
    const data = table('plain.csv', 2_000, simple);
    const argv = ['train', 'sensor', '--input', data, '--out', out('plain.bundle'), '--json', ...common];
    const { code, out: text } = await sluice(argv);
    expect(code).toBe(0);
    const result = JSON.parse(text);
    expect(result.rows).toEqual({ train: 1_200, validation: 400, test: 400 });
    expect(result.leaderboard).toHaveLength(1);
    expect(result.leaderboard[0]).toMatchObject({ rank: 1, trainedRows: 1_200, tested: 400 });
    expect(result.leaderboard[0].configuration.words).toBe('as configured');
    expect(result.test.accuracy).toBeGreaterThan(0.95);
    const { manifest, digest, signer } = bundleOf(out('plain.bundle'));
    expect(digest).toBe(result.bundle.digest);
    expect(signer).toBeNull();
    expect(manifest).toMatchObject({
      task: 'sensor',
      version: 1,
      labels: ['fault', 'ok'],
      kind: 'linear',
      event: 'sensor',
    });
    expect(manifest.training).toMatchObject({ rows: 1_600, passes: 1, seed: 1, through: {} });
    expect(manifest.training.until).toBe((1_700_000_000 + 1_599 * 60) * 1_000);
    expect(manifest.training.counts.reduce((sum, n) => sum + n)).toBe(1_600);
    expect(manifest.quality?.tested).toBe(400);
    expect(manifest.quality?.accuracy).toBeCloseTo(result.test.accuracy, 10);
    expect(manifest.created).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(manifest.featureOptions).not.toHaveProperty('key');
    expect(readdirSync(folder.path).filter((name) => name.includes('.bundle.'))).toEqual([]);
  });

  test('makes the same bytes again, and others of other events', async () => {
    const [one, other] = [table('one.csv', 600, simple), table('other.csv', 600, (x, y) => x - y > 0)];
    const bytes = [];
    for (const [i, data] of [one, one, other].entries()) {
      const path = out(`same-${i}.bundle`);
      const env = { SOURCE_DATE_EPOCH: '1760000000' };
      const { code } = await sluice(['train', 'sensor', '--input', data, '--time', 'time', '--out', path], {
        env,
      });
      expect(code).toBe(0);
      bytes.push(readFileSync(path));
    }
    expect(bytes[1].equals(bytes[0])).toBe(true);
    const [first, last] = [readBundle(bytes[0]), readBundle(bytes[2])];
    expect(first.manifest.created).toBe(1_760_000_000_000);
    expect(last.manifest.training.digest).not.toBe(first.manifest.training.digest);
  });

  test('signs with a key, counts the version on from the parent, and says so', async () => {
    const key = newKey('hub');
    writePrivateKey(out('hub.key'), key);
    const data = table('signed.csv', 600, simple);
    const train = (name: string, ...more: string[]) =>
      sluice(['train', 'sensor', '--input', data, '--out', out(name), ...common, ...more]);
    const plain = await train('v1.bundle');
    expect(plain.out).toContain('not signed');
    const { out: text, code } = await train(
      'v2.bundle',
      '--key',
      out('hub.key'),
      '--parent',
      out('v1.bundle'),
    );
    expect(code).toBe(0);
    expect(text).toContain(`signed with key ${key.public.id}`);
    const { manifest } = bundleOf(out('v2.bundle'));
    expect(manifest).toMatchObject({ version: 2, parent: bundleOf(out('v1.bundle')).digest });
    const expected = { ...manifest, trusted: [key.public], now: manifest.created, maxBytes: 1e6 };
    expect(verifyBundle(readFileSync(out('v2.bundle')), expected).manifest).toEqual(manifest);
  });

  test('what it tested, `evaluate --bundle` finds again, without learning', async () => {
    const whole = table('whole.csv', 1_000, noisy);
    const newest = table('newest.csv', 1_000, noisy, 1_000, 800);
    const made = await sluice([
      'train',
      'sensor',
      '--input',
      whole,
      '--out',
      out('w.bundle'),
      '--json',
      ...common,
    ]);
    const evaluate = (...more: string[]) =>
      sluice([
        'evaluate',
        'sensor',
        '--input',
        newest,
        '--time',
        'time',
        '--bundle',
        out('w.bundle'),
        ...more,
      ]);
    const { out: text, code } = await evaluate('--json');
    expect(code).toBe(0);
    const [tested, found] = [JSON.parse(made.out).test, JSON.parse(text)];
    expect(found).toMatchObject({
      tested: 200,
      accuracy: tested.accuracy,
      confusion: tested.confusion,
      labels: 0,
    });
    expect(found.logLoss).toBeCloseTo(tested.logLoss, 10);
    const idle = await evaluate('--set', 'rate=1');
    expect(idle).toMatchObject({ code: 2, err: expect.stringContaining('learns nothing') });
    const damaged = readFileSync(out('w.bundle'));
    damaged[damaged.length - 3] ^= 1;
    writeFileSync(out('w.bundle'), damaged);
    expect((await evaluate()).err).toContain('BUNDLE_');
  });

  test('tests on other files where they are named, and on none where that is asked', async () => {
    const [train, apart] = [table('may.csv', 500, simple), table('june.csv', 900, simple, 900, 500)];
    const given = ['train', 'sensor', '--input', train, '--out', out('apart.bundle'), '--json', ...common];
    const named = JSON.parse((await sluice([...given, '--test-input', apart])).out);
    expect(named.rows).toEqual({ train: 400, validation: 100, test: 400 });
    expect(named.bundle.manifest.training.rows).toBe(500);
    const none = JSON.parse((await sluice([...given, '--test', '0'])).out);
    expect(none).toMatchObject({ test: null, rows: { test: 0 }, bundle: { manifest: { quality: null } } });
  });

  test.each([
    [['--test', '1'], '--test 1'],
    [['--validation', '0'], '--validation 0'],
    [['--validation', '0.6', '--test', '0.5'], 'leave nothing'],
    [['--test', '0.1', '--test-input', 'x'], 'give one of them'],
    [['--passes', '0'], '--passes 0'],
    [['--out', 'DIR'], 'is a folder'],
    [['--out', 'DIR/none/x'], 'ENOENT'],
    [['--created', 'soon'], '--created soon'],
    [['--expires', 'never'], 'not a duration'],
    [['--budget', '3'], 'unknown option'],
    [['--set', 'rate=-1'], 'rate'],
    [['--label', 'none'], 'no column'],
  ])('refuses %j with the reason, and leaves nothing behind', async (more, reason) => {
    const data = table('refused.csv', 50, simple);
    const argv = ['train', 'sensor', '--input', data, '--out', out('refused.bundle'), ...more];
    const ran = await sluice(argv.map((word) => word.replace('DIR', folder.path)));
    expect(ran.err).toContain(reason);
    expect(ran.code).toBeGreaterThan(0);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('refused.bundle'))).toEqual([]);
  });

  test('says that there is too little to learn from', async () => {
    const ran = await sluice([
      'train',
      'sensor',
      '--input',
      table('few.csv', 6, simple),
      '--out',
      out('few.bundle'),
    ]);
    expect(ran.err).toContain('6 labelled events are too few');
  });
});

describe('sweep', () => {
  let main: string;
  beforeAll(async () => {
    main = await compiled('src/main.ts');
  }, 60_000);

  interface Swept {
    code: number;
    json: { leaderboard: { configuration: object; trainedRows: number }[]; [key: string]: unknown };
    err: string;
  }
  const words = (data: string, name: string, more: readonly string[]) => [
    main,
    'sweep',
    'sensor',
    '--input',
    data,
    '--out',
    out(name),
    '--json',
    ...common,
    ...more,
  ];
  const sweep = (data: string, name: string, ...more: string[]): Promise<Swept> =>
    new Promise((resolve) => {
      execFile(process.execPath, words(data, name, more), { maxBuffer: 1e8 }, (error, stdout, stderr) => {
        const code = error ? Number(error.code) : 0;
        resolve({ code, json: code === 0 ? JSON.parse(stdout) : {}, err: stderr });
      });
    });
  /** What must be the same however it was run. */
  const settled = ({ json }: Swept) =>
    json.leaderboard.map(({ ...trial }: Record<string, unknown>) => ({ ...trial, rowsPerSecond: 0 }));

  test('finds the same winner and makes the same bundle with one worker and with two; budget 1 is train', async () => {
    const data = table('workers.csv', 3_000, noisy);
    const one = await sweep(data, 'one.bundle', '--budget', '8', '--workers', '1');
    const two = await sweep(data, 'two.bundle', '--budget', '8', '--workers', '2');
    expect([one.code, two.code, one.err]).toEqual([0, 0, '']);
    expect(settled(two)).toEqual(settled(one));
    expect(one.json.leaderboard).toHaveLength(8);
    expect(readFileSync(out('two.bundle')).equals(readFileSync(out('one.bundle')))).toBe(true);
    expect(readdirSync(folder.path).filter((name) => name.endsWith('.sweep'))).toEqual([]);
    await sweep(data, 'single.bundle', '--budget', '1');
    await sluice(['train', 'sensor', '--input', data, '--out', out('trained.bundle'), ...common]);
    expect(readFileSync(out('single.bundle')).equals(readFileSync(out('trained.bundle')))).toBe(true);
  });

  test('neither learns nor chooses by what comes later: another test part changes only the test', async () => {
    // From row 1,600 on a column gives the label away; the rows before say nothing about it.
    const random: Rule = (x) => Math.round(x * 99_991) % 2 === 0;
    const [a, b] = [table('leak.csv', 2_000, random, 1_600), table('flat.csv', 2_000, random)];
    const [leak, flat] = [
      await sweep(a, 'leak.bundle', '--budget', '6'),
      await sweep(b, 'flat.bundle', '--budget', '6'),
    ];
    expect(settled(leak)).toEqual(settled(flat));
    const [one, two] = [bundleOf(out('leak.bundle')), bundleOf(out('flat.bundle'))];
    expect(Buffer.from(one.weights).equals(Buffer.from(two.weights))).toBe(true);
    expect(one.manifest.training).toEqual(two.manifest.training);
    expect(one.manifest.quality?.accuracy).toBeLessThan(0.65);
  });

  const childrenOf = (pid: number): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  const isThere = (pid: number): boolean => {
    try {
      return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  /** Starts a sweep, gives it a signal once it has finished `least` trials, and resolves to its end. */
  function interrupted(
    argv: readonly string[],
    journal: string,
    least: number,
    signal: 'SIGKILL' | 'SIGINT',
  ) {
    return new Promise<{ code: number | null; err: string; workers: number[] }>((resolve) => {
      let workers: number[] = [];
      const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
      let err = '';
      child.stderr.on('data', (text: Buffer) => {
        err += text.toString();
      });
      const watch = setInterval(() => {
        const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length - 2 : 0;
        if (lines < least) return;
        clearInterval(watch);
        workers = childrenOf(child.pid as number);
        child.kill(signal);
      }, 2);
      child.on('close', (code) => {
        clearInterval(watch);
        resolve({ code, err, workers });
      });
    });
  }

  test('killed in the middle and run again gives the same winner and repeats no finished trial', async () => {
    const data = table('killed.csv', 12_000, noisy);
    const settings = ['--budget', '40', '--workers', '1'];
    const whole = await sweep(data, 'whole.bundle', ...settings);
    const journal = out('killed.bundle.sweep/trials');
    const end = await interrupted(words(data, 'killed.bundle', settings), journal, 5, 'SIGKILL');
    expect(end.code).toBeNull();
    expect(end.workers).toHaveLength(1);
    await expect.poll(() => end.workers.filter(isThere)).toEqual([]);
    expect(existsSync(out('killed.bundle'))).toBe(false);
    const kept = readFileSync(journal, 'utf8').split('\n').length - 2;
    writeFileSync(journal, `${readFileSync(journal, 'utf8')}{"job":"half a li`);
    const again = await sweep(data, 'killed.bundle', ...settings);
    expect(again.err).toContain(`${kept} trials are known`);
    expect(again.json.recalled).toBe(kept);
    expect(again.json.trials).toBe((whole.json.trials as number) - kept);
    expect(settled(again)).toEqual(settled(whole));
    expect(readFileSync(out('killed.bundle')).equals(readFileSync(out('whole.bundle')))).toBe(true);
    expect(existsSync(out('killed.bundle.sweep'))).toBe(false);
  });

  test('stops cleanly at Ctrl-C; with another seed it starts anew and says so', async () => {
    const data = table('stopped.csv', 12_000, noisy);
    const journal = out('stopped.bundle.sweep/trials');
    const argv = words(data, 'stopped.bundle', ['--budget', '60']);
    const end = await interrupted(argv, journal, 2, 'SIGINT');
    expect(end).toMatchObject({ code: 130, err: expect.stringContaining('goes on') });
    expect(existsSync(out('stopped.bundle'))).toBe(false);
    expect(readdirSync(out('stopped.bundle.sweep')).filter((name) => name !== 'trials')).toEqual([]);
    const other = await sweep(data, 'stopped.bundle', '--budget', '4', '--seed', '2');
    expect(other.err).toContain('starts anew');
    expect(other.json.recalled).toBe(0);
  });
});
