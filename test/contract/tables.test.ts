/** Every error code, every signal and every verb: told, documented, and as the tables say. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { verbs } from '../../src/cli/index.ts';
import { configPage, errorsPage, metricsPage } from '../../src/config/reference.ts';
import { NAMED_LIKE_A_SECRET } from '../../src/config/secrets.ts';
import { configJsonSchema } from '../../src/config.ts';
import { type ErrorCode, errorTable, SluiceError } from '../../src/errors.ts';
import { type SignalName, signals, Telemetry } from '../../src/telemetry.ts';
import { sluice } from '../cli/run.ts';

const docs = (name: string): string =>
  readFileSync(path.join(import.meta.dirname, '../../docs', name), 'utf8');
/** The row of a table in Markdown that begins with this, as code. */
const rowOf = (page: string, name: string): string | undefined =>
  page.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));

describe.each(Object.keys(errorTable) as ErrorCode[])('the error %s', (code) => {
  test('says what to do, and stands in docs/errors.md as it is', () => {
    const error = new SluiceError(code, 'it happened');
    expect(error.help).toMatch(/^[A-Z].{10,}\.$/s);
    expect([1, 2, 78]).toContain(error.exit);
    const row = rowOf(docs('errors.md'), code);
    expect(row).toContain(error.retry ? '| yes |' : '| no |');
    expect(row).toContain(`| ${error.exit} |`);
  });
});

describe.each(Object.keys(signals) as SignalName[])('the signal %s', (name) => {
  const { metric, labels, help } = signals[name];

  test('is a registered metric of its kind and labels, and stands in docs/metrics.md', async () => {
    const telemetry = new Telemetry({ level: 'silent' });
    const full = `sluice_${name}${metric === 'counter' ? '_total' : ''}`;
    const given = Object.fromEntries(labels.map((label) => [label, 'x']));
    if (metric === 'counter') telemetry.count(name, given as never);
    else telemetry.set(name, given as never, 1);
    const text = await telemetry.registry.metrics();
    expect(text).toContain(`# TYPE ${full} ${metric}`);
    expect(text).toMatch(new RegExp(`^${full}(\\{.*\\})? 1$`, 'm'));
    const row = rowOf(docs('metrics.md'), full);
    expect(row).toContain(help.split('|')[0]);
    for (const label of labels) expect(row).toContain(`\`${label}\``);
  });

  test('has a sentence of help, and labels in lower case', () => {
    expect(help).toMatch(/^\S.*\.$/s);
    for (const label of labels) expect(label).toMatch(/^[a-z]+$/);
  });
});

test('the generated pages are current', () => {
  expect(docs('errors.md')).toBe(errorsPage(errorTable));
  expect(docs('metrics.md')).toBe(metricsPage(signals));
  expect(docs('config.md')).toBe(configPage(configJsonSchema()));
});

interface Json {
  readonly [key: string]: unknown;
}
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

/** Every option of the configuration under its path, whatever choice it stands in. */
function optionsIn(schema: unknown, at = ''): [string, Json][] {
  if (!isObject(schema)) return [];
  const own = isObject(schema.properties) ? Object.entries(schema.properties) : [];
  const inner = ['oneOf', 'anyOf', 'items', 'additionalProperties'].flatMap((key) => [schema[key]].flat());
  return [
    ...own.flatMap(([name, option]): [string, Json][] => [
      [`${at}.${name}`, option as Json],
      ...optionsIn(option, `${at}.${name}`),
    ]),
    ...inner.flatMap((option) => optionsIn(option, at)),
  ];
}

test('every option that is named like a secret is marked as one, so that it is never shown', () => {
  const secrets = optionsIn(configJsonSchema()).filter(([, option]) => option.secret === true);
  const named = optionsIn(configJsonSchema()).filter(([name]) =>
    NAMED_LIKE_A_SECRET.test(name.split('.').at(-1)!),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter(([, option]) => option.secret !== true).map(([name]) => name)).toEqual([]);
  const names = secrets.map(([name]) => name.split('.').at(-1));
  for (const secret of ['password', 'passphrase', 'token', 'key']) expect(names).toContain(secret);
});

test('every option says what it means', () => {
  const mute = optionsIn(configJsonSchema()).filter(
    ([, option]) => !option.description && !isObject(option.properties),
  );
  expect(mute.map(([name]) => name)).toEqual([]);
});

/** Hands its arguments to a process of its own: test/cli/bench.test.ts. */
const passesOn = new Set(['bench']);

describe.each(Object.keys(verbs))('the verb %s', (name) => {
  test('explains itself on --help, with its summary, and exits 0', async () => {
    const { code, out, err } = await sluice([name, '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`Usage: sluice ${name}`);
    expect(out.replace(/\s+/g, ' ')).toContain(verbs[name].summary.replace(/\s+/g, ' '));
  });
});

test.each(Object.keys(verbs).filter((name) => !passesOn.has(name)))(
  'the verb %s exits 2 on an option that it does not know, and prints no result',
  async (name) => {
    const { code, out, err } = await sluice([name, '--no-such-option']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^sluice: (USAGE: .*|.*not yet)/);
  },
);
