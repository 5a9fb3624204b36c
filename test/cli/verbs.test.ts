import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verbs } from '../../src/cli/index.ts';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
let good: string;
let bad: string;

beforeAll(() => {
  good = folder.file('good.yaml', configuration(join(folder.path, 'state')));
  bad = folder.file(
    'bad.yaml',
    configuration('x').replace('[ham, spam]', '[ham]').replace('site:', 'sight:'),
  );
});
afterAll(() => folder.remove());

describe('sluice', () => {
  it('explains itself on --help and exits 0', async () => {
    const { code, out, err } = await sluice(['--help']);
    expect(code).toBe(0);
    expect(err).toBe('');
    for (const [name, verb] of Object.entries(verbs)) if (!verb.hidden) expect(out).toContain(`  ${name} `);
    expect(out).not.toContain('  docs ');
    expect(out.includes('Not yet:')).toBe(Object.values(verbs).some(({ later }) => later !== undefined));
  });

  it('prints its version and exits 0', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await sluice(['--version'])).toMatchObject({ code: 0, out: `${version}\n` });
  });

  it.each([
    [[], 'Usage: sluice'],
    [['lnt'], "sluice: USAGE: unknown command 'lnt'\n(Did you mean lint?)"],
    [['lint'], "sluice: USAGE: required option '-c, --config <file>' not specified"],
    [['lint', '-c', 'x', '--jsn'], "sluice: USAGE: unknown option '--jsn'\n(Did you mean --json?)"],
    [['lint', '-c', 'x', 'y'], 'sluice: USAGE: too many arguments'],
    [['bogus', '--help'], "sluice: USAGE: unknown command 'bogus'"],
    [['--help', 'bogus'], "sluice: USAGE: unknown command 'bogus'"],
    [['help', 'bogus'], "sluice: USAGE: unknown command 'bogus'"],
    [['lint', '-c', 'x', '--set', 'nonsense'], 'sluice: USAGE: --set nonsense: write PATH=VALUE'],
    [['tap', '-c', 'x', '--set', 'nonsense'], 'sluice: USAGE: --set nonsense: write PATH=VALUE'],
    [['--frobnicate'], "sluice: USAGE: unknown option '--frobnicate'"],
    [['dead'], 'Usage: sluice dead'],
  ])('%j is a usage error: exit 2, said on standard error', async (argv, message) => {
    const { code, out, err } = await sluice(argv);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
  });

  it('does not pretend: a verb that is not built yet says so and exits 2', async () => {
    for (const [name, verb] of Object.entries(verbs)) {
      if (!verb.later) continue;
      const { code, out, err } = await sluice([name, 'some', '--option', 'x']);
      expect({ name, code, out }).toEqual({ name, code: 2, out: '' });
      expect(err).toBe(`sluice: ${name}: not yet: comes with ${verb.later}\n`);
    }
  });

  it('has help on every verb', async () => {
    for (const name of Object.keys(verbs)) {
      const { code, out } = await sluice([name, '--help']);
      expect({ name, code }).toEqual({ name, code: 0 });
      expect(out).toContain(`Usage: sluice ${name}`);
      const { later } = verbs[name];
      expect(out.includes('not yet: comes with')).toBe(later !== undefined);
      if (later !== undefined) expect(out).toContain(`not yet: comes with ${later}`);
    }
    expect((await sluice(['help', 'lint'])).out).toContain('-c, --config <file>');
  });
});

describe('lint', () => {
  it('accepts a good file', async () => {
    expect(await sluice(['lint', '-c', good])).toEqual(
      expect.objectContaining({ code: 0, err: '', out: `${good}: ok: 2 sources, 2 tasks, 1 sink\n` }),
    );
  });

  it('names every problem of a bad one and exits 78', async () => {
    const { code, out } = await sluice(['lint', '-c', bad]);
    expect(code).toBe(78);
    expect(out.split('\n').map((line) => line.replace(bad, 'F').split(': ')[0])).toEqual([
      'F:1:1 site',
      'F:1:1 sight',
      'F:6:47 tasks.spam.labels',
      'F',
      '',
    ]);
  });

  it('gives the same as JSON', async () => {
    const { code, out } = await sluice(['lint', '-c', bad, '--json', '-']);
    expect(code).toBe(78);
    const result = JSON.parse(out);
    expect(result).toMatchObject({ file: bad, ok: false });
    expect(result.problems[2]).toMatchObject({
      severity: 'error',
      line: 6,
      column: 47,
      path: 'tasks.spam.labels',
    });
  });

  it('sees --set and the environment', async () => {
    expect((await sluice(['lint', '-c', good, '--set', 'seed=x'])).code).toBe(78);
    expect((await sluice(['lint', '-c', good], { env: { SLUICE__SEED: 'x' } })).code).toBe(78);
    expect((await sluice(['lint', '-c', good, '--set', 'seed=2'], { env: { SLUICE__SEED: 'x' } })).code).toBe(
      0,
    );
  });

  it.each([
    ['nowhere.yaml', 'there is no such file'],
    ['.', 'it is a folder'],
    ['latin1.yaml', 'it is not UTF-8 text'],
  ])('%s cannot be read: exit 78 with the reason', async (name, reason) => {
    writeFileSync(join(folder.path, 'latin1.yaml'), Buffer.from('site: caf\xe9\n', 'latin1'));
    const { code, err } = await sluice(['lint', '-c', join(folder.path, name)]);
    expect(code).toBe(78);
    expect(err).toContain(`sluice: CONFIG_UNREADABLE: ${join(folder.path, name)}: ${reason}`);
  });

  it('never prints a secret, however wrong the file is', async () => {
    const text = readFileSync(good, 'utf8')
      .replace('topics: [mail/in]', 'topics: 5')
      .replace('core: {', 'core: { qos: 9,');
    const { out } = await sluice(['lint', '-c', folder.file('secret.yaml', text)]);
    expect(out).toContain('to mend');
    expect(out).not.toMatch(/hunter|correct-horse|fleet-key/);
  });
});

describe('schema', () => {
  it('is JSON Schema 2020-12 in which unknown keys are refused', async () => {
    const { code, out } = await sluice(['schema']);
    expect(code).toBe(0);
    const schema = JSON.parse(out);
    expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
    expect(schema.additionalProperties).toBe(false);
    expect(schema.required).toEqual(['site', 'tasks']);
    expect(Object.keys(schema.properties)).toContain('maxInFlightBytes');
  });
});

describe('docs', () => {
  it('are committed as the tables say; else run `sluice docs`', async () => {
    const into = fileURLToPath(new URL('../../docs', import.meta.url));
    expect(await sluice(['docs', '--into', into, '--check'])).toMatchObject({ code: 0, out: '' });
  });

  it('writes the same bytes twice, and --check names a file that differs and exits 1', async () => {
    const into = join(folder.path, 'docs');
    mkdirSync(into);
    expect((await sluice(['docs', '--into', into, '--check'])).code).toBe(1);
    expect((await sluice(['docs', '--into', into])).code).toBe(0);
    expect(await sluice(['docs', '--into', into, '--check'])).toMatchObject({ code: 0, out: '' });
    writeFileSync(join(into, 'errors.md'), 'old');
    const checked = await sluice(['docs', '--into', into, '--check']);
    expect(checked).toMatchObject({ code: 1 });
    expect(checked.out).toBe(
      `${join(into, 'errors.md')} is out of date; run \`sluice docs\` and commit it\n`,
    );
  });

  it('documents every option, signal and error code', async () => {
    const into = join(folder.path, 'docs2');
    mkdirSync(into);
    await sluice(['docs', '--into', into]);
    const config = readFileSync(join(into, 'config.md'), 'utf8');
    const rows = config.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows.length).toBeGreaterThan(100);
    for (const row of rows) expect(row).toMatch(/^\| `[^`]+` \| .+ \| .* \| .+ \|$/);
    const { errorTable } = await import('../../src/errors.ts');
    for (const code of Object.keys(errorTable))
      expect(readFileSync(join(into, 'errors.md'), 'utf8')).toContain(`\`${code}\``);
    const { signals } = await import('../../src/telemetry.ts');
    for (const name of Object.keys(signals))
      expect(readFileSync(join(into, 'metrics.md'), 'utf8')).toContain(`sluice_${name}`);
  });
});

describe('decode', () => {
  it('prints a reading and its row with the names of its fields', async () => {
    const { code, out } = await sluice(
      ['decode', '-c', good, '--task', 'machine', '--topic', 'plant/7', '--json'],
      {
        stdin: '{"t": 21.5, "state": "idle"}',
      },
    );
    expect(code).toBe(0);
    const { events } = JSON.parse(out);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ device: 'plant/7', weak: true, body: { kind: 'reading' } });
    expect(events[0].row.map((cell: { name: string }) => cell.name).join(' ')).toMatch(/\bt\b.*state/);
  });

  it('prints a mail for people', async () => {
    const { code, out } = await sluice(['decode', '-c', good, '--task', 'spam'], {
      stdin: 'From: a@example.org\r\nSubject: hello there\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n',
    });
    expect(code).toBe(0);
    expect(out).toContain('subject: hello there');
    expect(out).toContain('mid:');
    expect(out).toMatch(/row\s+\d+ cells/);
  });

  it('refuses what would be a dead letter, with its code', async () => {
    expect(await sluice(['decode', '-c', good, '--task', 'machine'], { stdin: '{"t":' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('sluice: DECODE_JSON:'),
    });
  });

  it('asks which task where there are several', async () => {
    expect(await sluice(['decode', '-c', good])).toMatchObject({
      code: 2,
      err: expect.stringContaining('add --task with one of: spam, machine'),
    });
    expect(await sluice(['decode', '-c', good, '--task', 'ghost'])).toMatchObject({ code: 2 });
  });
});

describe('doctor', () => {
  it('connects to each broker, names the one that is away, and hides every secret', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const args = ['doctor', '-c', good, '--set', `sources.plant.url=mqtt://127.0.0.1:${port}`];
    const text = await sluice(args);
    const json = await sluice([...args, '--json']);
    server.close();
    expect(text.code).toBe(1);
    expect(text.out).toMatch(new RegExp(`ok\\s+broker 127\\.0\\.0\\.1:${port}\\s+sources\\.plant: reached`));
    expect(text.out).toMatch(/BAD\s+broker 127\.0\.0\.1:1\s+sources\.mail: refused: nothing listens there/);
    expect(text.out).toMatch(/store\s+.*is not there yet/);
    for (const shown of [text.out, text.err, json.out])
      expect(shown).not.toMatch(/hunter|correct-horse|fleet-key/);
    const result = JSON.parse(json.out);
    expect(result.ok).toBe(false);
    expect(result.config.sources.mail.url).toEqual(['mqtt://***@127.0.0.1:1']);
    expect(result.config.http.token).toBe('***');
  });

  it('works without a configuration', async () => {
    const { out } = await sluice(['doctor', '--json']);
    const names = JSON.parse(out).findings.map((finding: { name: string }) => finding.name);
    expect(names).toEqual(expect.arrayContaining(['sluice', 'node', 'cpu', 'memory', 'clock', 'addon']));
  });
});
