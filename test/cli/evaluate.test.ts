import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/task/random.ts';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(folder.remove);

interface Result {
  readonly [key: string]: unknown;
  readonly accuracy: number;
  readonly tested: number;
  readonly confusion: number[][];
}

const ROWS = 1_200;
let csv = '';

beforeAll(() => {
  const random = seededRandom(1, 'rows');
  const rows = Array.from({ length: ROWS }, (_, i) => {
    const fault = random() < 0.3;
    const heat = (fault ? 80 : 60) + 15 * random();
    return `${i + 1},2024-01-01T00:00:${String(i % 60).padStart(2, '0')}Z,${heat.toFixed(2)},${random() < 0.5 ? 'low' : 'high'},${fault ? 'fault' : 'ok'}`;
  });
  csv = folder.file('plant.csv', `no,when,heat,gear,state\n${rows.join('\n')}\n`);
});

async function evaluate(...more: string[]): Promise<Result> {
  const { code, out, err } = await sluice(['evaluate', ...more, '--json', '-']);
  expect(code, err).toBe(0);
  return JSON.parse(out) as Result;
}

const plant = () => ['sensor', '--input', csv, '--label', 'state'];

/** Without what time and machine decide. */
function stable({ seconds, cpuSeconds, eventsPerSecond, peakRssMiB, ...rest }: Result) {
  for (const value of [seconds, cpuSeconds, eventsPerSecond, peakRssMiB]) expect(value).toBeGreaterThan(0);
  return rest;
}

describe('evaluate', () => {
  it('gives the whole result object on standard output and nothing else', async () => {
    const result = await evaluate(...plant());
    expect(result).toMatchObject({
      task: 'sensor',
      protocol: 'prequential',
      feedback: 'immediate',
      n: ROWS,
      tested: ROWS,
      classes: ['fault', 'ok'],
      positive: 'ok',
      labels: ROWS,
      trained: 0,
      dead: {},
      model: { kind: 'stack', bytes: expect.any(Number) },
      backend: expect.stringContaining('cpu'),
      seed: 1,
      drift: [],
    });
    for (const key of [
      'errorRate',
      'macroF1',
      'kappa',
      'kappaTemporal',
      'logLoss',
      'calibrationError',
      'rocAuc',
      'oneMinusAucPercent',
      'prAuc',
    ])
      expect(result[key], key).toEqual(expect.any(Number));
    expect(result.accuracy).toBeGreaterThan(0.95);
    expect(result.confusion.flat().reduce((sum, n) => sum + n, 0)).toBe(ROWS);
    expect(result.hamMisclassifiedPercent).toBeUndefined();
    const page = readFileSync(new URL('../../docs/payloads.md', import.meta.url), 'utf8');
    for (const key of Object.keys(result)) expect(page, key).toContain(`\`${key}\``);
  });

  it('takes windows of each device, and options of fields, and says where these are wrong', async () => {
    const path = join(folder.path, 'devices.csv');
    const rows = Array.from({ length: 600 }, (_, i) => {
      const on = i % 7 < 3;
      // Each device has a level of its own; what counts is whether it rose.
      const x = (i % 5) * 1_000 + (Math.floor(i / 5) % 2 === 0 ? 1 : 0);
      return `unit-${i % 5},${x},${on ? 1 : ''},${Math.floor(i / 5) % 2 === 0 ? 'high' : 'low'}`;
    });
    writeFileSync(path, `name,x,y,label\n${rows.join('\n')}\n`);
    const words = ['sensor', '--input', path, '--device', 'name'];
    const result = await evaluate(
      ...words,
      '--set',
      'fields.x.scale=robust',
      '--set',
      'fields.*.missing=last',
    );
    expect(result.accuracy).toBeGreaterThan(0.9);
    const without = await evaluate(...words, '--set', 'features.windows.on=false');
    expect(without.accuracy).toBeLessThan(0.7);
    for (const [wrong, said] of [
      [['--device', 'nobody'], /no column "nobody"/],
      [['--set', 'fields.z.scale=robust'], /z: is not one of/],
      [['--set', 'fields.x.scale=tiny'], /fields\.x\.scale/],
      [['--set', 'fields.x.encode=onehot'], /is for categories/],
    ] as const) {
      const { code, err } = await sluice(['evaluate', 'sensor', '--input', path, ...wrong]);
      expect(code).not.toBe(0);
      expect(err).toMatch(said);
    }
  });

  it('says on standard error which columns it left out and why', async () => {
    const { err } = await sluice(['evaluate', ...plant()]);
    expect(err).toMatch(/column no is left out: it numbers the rows/);
    expect(err).toMatch(/column when is left out: it tells the time/);
  });

  it('gives the same result for the same seed, data and settings, and whatever the threads', async () => {
    const words = ['--feedback', 'errors:0.7,lag:20,noisy:0.1', '--seed', '5'];
    const first = stable(await evaluate(...plant(), ...words));
    expect(stable(await evaluate(...plant(), ...words, '--threads', '2'))).toEqual(first);
    expect(stable(await evaluate(...plant(), ...words.slice(0, 3), '6')).confusion).not.toEqual(
      first.confusion,
    );
  });

  it('writes one line a tested event that agrees with the result', async () => {
    const path = join(folder.path, 'scores.tsv');
    const result = await evaluate(
      ...plant(),
      '--positive',
      'fault',
      '--feedback',
      'delayed:200',
      '--scores',
      path,
    );
    const lines = readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(lines).toHaveLength(ROWS - 200);
    expect(result.tested).toBe(ROWS - 200);
    expect(lines[0][0]).toBe('plant.csv#201');
    expect(lines.filter(([, label, predicted]) => label === predicted).length / lines.length).toBeCloseTo(
      result.accuracy,
      12,
    );
    for (const [, , predicted, score] of lines) expect(Number(score) > 0.5).toBe(predicted === 'fault');
  });

  it('writes a report with plots that agrees with the result and names no folder of this machine', async () => {
    const path = join(folder.path, 'report.html');
    const result = await evaluate(...plant(), '--html', path);
    const page = readFileSync(path, 'utf8');
    expect(page.startsWith('<!doctype html>')).toBe(true);
    expect(page.endsWith('</html>\n')).toBe(true);
    expect(page.includes(`${(100 * result.accuracy).toFixed(2)} % of 1,200 verdicts were right`)).toBe(true);
    expect(page.includes(folder.path)).toBe(false);
    const { code } = await sluice(['evaluate', ...plant(), '--html', path, '--feedback', 'delayed:5000']);
    expect(code).toBe(1);
    expect(readFileSync(path, 'utf8') === page).toBe(true);
    await sluice(['evaluate', ...plant(), '--html', `${path}.new`, '--feedback', 'delayed:5000']);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('draws a table with the baselines beside the accuracy', async () => {
    const { out, code } = await sluice(['evaluate', ...plant()]);
    expect(code).toBe(0);
    expect(out).toMatch(/accuracy +\d+\.\d\d % +most frequent label +\d+\.\d\d %/);
    expect(out).toMatch(/^fault +\d+ /m);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('tests the last part of the stream under holdout, and shuffles only when told', async () => {
    const split = ['--protocol', 'holdout', '--train-fraction', '0.75'];
    const result = await evaluate(...plant(), ...split);
    expect(result).toMatchObject({ tested: ROWS / 4, labels: (ROWS * 3) / 4, trainFraction: 0.75 });
    const { out } = await sluice(['evaluate', ...plant(), ...split]);
    expect(out).toMatch(/^sensor · holdout, the first 75 % trained · feedback immediate · /);
    const shuffled = await evaluate(...plant(), ...split, '--shuffle');
    expect(shuffled.tested).toBe(ROWS / 4);
    expect(shuffled.confusion).not.toEqual(result.confusion);
  });

  it('learns from every event and counts from the one that --test-from names', async () => {
    const lines = (name: string) => readFileSync(join(folder.path, name), 'utf8').trim().split('\n');
    const late = ['--feedback', 'lag:20'];
    const whole = await evaluate(...plant(), ...late, '--scores', join(folder.path, 'whole.tsv'));
    const later = ['--test-from', '1001', '--scores', join(folder.path, 'later.tsv')];
    const result = await evaluate(...plant(), ...late, ...later);
    expect(result).toMatchObject({ testFrom: 1_001, n: ROWS, tested: ROWS - 1_000, labels: whole.labels });
    expect(lines('later.tsv')).toEqual(lines('whole.tsv').slice(1_000));
    const delayed = ['--feedback', 'delayed:1100', '--test-from', '1001'];
    expect(await evaluate(...plant(), ...delayed)).toMatchObject({ tested: ROWS - 1_100 });
    const { out } = await sluice(['evaluate', ...plant(), ...late, '--test-from', '1001']);
    expect(out).toContain('feedback lag:20 · counted from event 1,001 · ');
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('trains on other files first and tests the input whole', async () => {
    const before = await evaluate(...plant(), '--feedback', 'delayed:0');
    const result = await evaluate(...plant(), '--feedback', 'delayed:0', '--train', csv);
    expect(result).toMatchObject({ trained: ROWS, tested: ROWS, labels: 0 });
    expect(before.accuracy).toBeLessThan(0.8);
    expect(result.accuracy).toBeGreaterThan(0.95);
    expect((await evaluate(...plant(), '--protocol', 'holdout', '--train', csv)).tested).toBe(ROWS);
  });

  it('takes hyper-parameters and feature options with --set', async () => {
    const linear = ['--model', 'linear'];
    const slow = await evaluate(...plant(), ...linear, '--set', 'rate=0.00001');
    expect(slow.logLoss).toBeGreaterThan(0.5);
    const small = await evaluate(...plant(), ...linear, '--set', 'features.bits=10');
    const { bytes } = (await evaluate(...plant(), ...linear)).model as { bytes: number };
    expect((small.model as { bytes: number }).bytes).toBeLessThan(bytes);
  });

  it('runs a task of a configuration on its own fields and labels', async () => {
    const config = folder.file('sluice.yaml', configuration(join(folder.path, 'state')));
    const rows = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({ t: i % 2 ? 5 : 90, state: 'x', label: i % 2 ? 'ok' : 'fault' }),
    );
    const input = folder.file('rows.jsonl', rows.join('\n'));
    const result = await evaluate('machine', '-c', config, '--input', input);
    expect(result).toMatchObject({ task: 'machine', classes: ['ok', 'fault'], n: 60 });
    expect(result.accuracy).toBeGreaterThan(0.9);
  });

  it('reads short texts as mail and gives the measures of mail filtering', async () => {
    const words = [
      ['win cash now', 'spam'],
      ['see you at lunch', 'ham'],
    ];
    const lines = Array.from({ length: 200 }, (_, i) => `${words[i % 2][1]}\t${words[i % 2][0]} ${i % 7}`);
    const input = folder.file('sms', lines.join('\n'));
    const result = await evaluate(
      'spam',
      '--input',
      input,
      '--format',
      'tsv',
      '--columns',
      'label,text',
      '--text',
      'text',
    );
    expect(result.accuracy).toBeGreaterThan(0.95);
    for (const key of [
      'hamMisclassifiedPercent',
      'spamMisclassifiedPercent',
      'lamPercent',
      'spamMissedAtHam0_1Percent',
    ])
      expect(result[key], key).toEqual(expect.any(Number));
  });

  it.each([
    [['weather', '--input', 'CSV'], 2, 'task weather: is not one of spam, sensor'],
    [['sensor', '--input', 'CSV', '--protocol', 'guess'], 2, '--protocol guess'],
    [['sensor', '--input', 'CSV', '--feedback', 'never'], 2, '--feedback never'],
    [['sensor', '--input', 'CSV', '--train-fraction', '0.5'], 2, 'is for --protocol holdout'],
    [['sensor', '--input', 'CSV', '--protocol', 'holdout', '--test-from', '9'], 2, 'has a cut of its own'],
    [['sensor', '--input', 'CSV', '--test-from', '0'], 2, '--test-from 0: the first event is number 1'],
    [['sensor', '--input', 'CSV', '--test-from', 'x'], 2, '--test-from x'],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--test-from', '1201'],
      1,
      'no labelled event was left',
    ],
    [['sensor', '--input', 'CSV', '--shuffle'], 2, '--shuffle is for --protocol holdout'],
    [['sensor', '--input', 'CSV', '--protocol', 'holdout', '--train-fraction', '1'], 2, '--train-fraction 1'],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--positive', 'maybe'],
      2,
      '--positive maybe: is not one of fault, ok',
    ],
    [['sensor', '--input', 'CSV', '--label', 'state', '--model', 'oracle'], 2, 'oracle is not one of'],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--set', 'raet=1'],
      2,
      'did you mean "rate"? (known here: ',
    ],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--set', 'features.bist=9'],
      2,
      '--set features.bist: unknown option; did you mean "bits"?',
    ],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--set', 'rate=fast'],
      2,
      '--set rate: must be a number, not text',
    ],
    [['sensor', '--input', 'CSV', '--label', 'state', '--threads', '0'], 2, 'a whole number from 1'],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--feedback', 'lag:2d'],
      2,
      'a lag in time needs --time COLUMN',
    ],
    [['sensor', '--input', 'CSV', '--label', 'state', '--set', 'rate'], 2, 'needs KEY=VALUE'],
    [['sensor', '--input', 'CSV', '--seed', 'x'], 2, '--seed x'],
    [['sensor', '--input', 'kafka:mail@0..9'], 2, 'not built yet'],
    [['spam', '--input', 'CSV', '--label', 'state'], 2, '--text names the column'],
    [['sensor', '--input', 'CSV', '--label', 'absent'], 1, 'no column "absent"; there are no, when, heat'],
    [['sensor', '--input', 'CSV'], 1, 'the data has no labels'],
    [['sensor', '--input', 'nowhere.csv'], 1, 'INPUT_NOT_FOUND'],
    [['sensor'], 2, '--input PATH is needed'],
    [
      ['sensor', '--input', 'CSV', '--label', 'state', '--html', 'nowhere/x.html'],
      2,
      '--html nowhere/x.html',
    ],
  ])('refuses %j with exit code %d and the reason', async (argv, exit, message) => {
    const { code, err, out } = await sluice([
      'evaluate',
      ...argv.map((word) => (word === 'CSV' ? csv : word)),
    ]);
    expect(err).toContain(message);
    expect(code).toBe(exit);
    expect(out).toBe('');
  });

  it('learns after a lag in time where the data has times, and refuses data without', async () => {
    const timed = await evaluate(...plant(), '--time', 'when', '--feedback', 'lag:10s');
    expect(timed.labels).toBeGreaterThan(0);
    const texts = folder.file('texts.tsv', 'ham\tgood day\nspam\tbuy now\nham\tsee you\n');
    const columns = ['--format', 'tsv', '--columns', 'label,words', '--text', 'words'];
    const file = folder.file('lag.yaml', configuration(folder.path));
    const rows = folder.file('rows.jsonl', '{"t":1,"label":"ok"}\n{"t":2,"label":"fault"}\n');
    for (const words of [
      ['spam', '--input', texts, ...columns],
      ['machine', '-c', file, '--input', rows],
    ]) {
      const { code, err } = await sluice(['evaluate', ...words, '--feedback', 'lag:2d']);
      expect(err).toMatch(/INPUT_INVALID: .* has no time, and a lag in time needs one.*--time COLUMN/);
      expect(code).toBe(1);
    }
  });
});

const data = process.env.SLUICE_DATA ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));
if (!existsSync(data)) console.warn(`skipped: no real data in ${data} (set SLUICE_DATA)`);

describe.skipIf(!existsSync(data))('on real streams, evaluate', () => {
  it('filters the 5,403 mails of SpamAssassin at 98 % or better, each unseen when scored', async () => {
    const result = await evaluate('spam', '--input', join(data, 'spamassassin/index.tsv'));
    expect(result).toMatchObject({ n: 5_403, tested: 5_403, dead: {} });
    expect(result.accuracy).toBeGreaterThanOrEqual(0.98);
  }, 120_000);

  it.each([
    ['sensors/elec2.csv', 45_312, 0.75],
    ['sensors/insects-gradual.csv', 24_150, 0.6],
  ])(
    'runs on %s',
    async (name, n, least) => {
      const result = await evaluate('sensor', '--input', join(data, name), '--label', 'class');
      expect(result).toMatchObject({ n, tested: n });
      expect(result.accuracy).toBeGreaterThan(least);
    },
    120_000,
  );
});
