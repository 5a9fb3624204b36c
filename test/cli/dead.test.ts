import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mask, preview, safeText } from '../../src/cli/preview.ts';
import { systemClock } from '../../src/clock.ts';
import type { Message, Store } from '../../src/contract.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { configuration, sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
const state = join(folder.path, 'state');
const mail = Buffer.from('Subject: Geheim 42\r\n\r\nDear J\u00fcrgen \u001b[31m, call 555-1234\r\n');
const binary = Buffer.from([0, 1, 2, 255, 254, 65, 66, 67, 49, 50, 10, 13, 127, 128, 33, 34, 35]);
let config: string;
let gateway: Store;
let ids: string[];

const message = (payload: Uint8Array): Message => ({
  source: 'mail',
  topic: 'mail/in',
  key: 'jane@example.org',
  payload,
  headers: { 'x-user': 'jane' },
  at: 1_700_000_000_000,
  position: '',
});

beforeAll(async () => {
  config = folder.file('sluice.yaml', configuration(state));
  const { path, ...limits } = storeOptions.parse({ path: state });
  // Held open as a running gateway holds it, so that every test works beside one.
  gateway = await openStore({
    path,
    limits,
    clock: systemClock,
    telemetry: new Telemetry({ level: 'silent' }),
  });
  const letter = { code: 'DECODE_MAIL', message: 'no \u001b[2J header', receivedAt: 1_700_000_000_000 };
  ids = await gateway.dead.put([
    { ...letter, task: 'spam', original: message(mail) },
    { ...letter, task: 'machine', original: message(binary) },
  ]);
});
afterAll(async () => {
  await gateway.close();
  folder.remove();
});

describe('dead', () => {
  it('lists the letters of a store that a gateway holds, newest first', async () => {
    const { code, out } = await sluice(['dead', 'list', '-c', config]);
    expect(code).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual([...ids].reverse());
    expect(lines[1]).toContain(
      `2023-11-14T22:13:20.000Z  spam  DECODE_MAIL  ${mail.length} bytes  mail mail/in  no \\x1b[2J header`,
    );
  });

  it('lists those of one task, at most so many, as JSON', async () => {
    const { out } = await sluice([
      'dead',
      'list',
      '--store',
      state,
      '--task',
      'spam',
      '--limit',
      '1',
      '--json',
    ]);
    expect(JSON.parse(out)).toMatchObject([
      { id: ids[0], task: 'spam', code: 'DECODE_MAIL', bytes: mail.length },
    ]);
  });

  it('shows a letter masked: its form, and no word, name or number that someone wrote', async () => {
    const { code, out } = await sluice(['dead', 'show', ids[0], '-c', config]);
    expect(code).toBe(0);
    expect(out).toContain('•••••••: •••••• 00');
    expect(out).toContain('\\x1b[00•');
    expect(out).not.toMatch(/Geheim|J\u00fcrgen|555|jane/);
    expect(out).not.toContain('\u001b');
  });

  it('shows it plainly with --show, still without terminal escapes', async () => {
    const { out } = await sluice(['dead', 'show', ids[0], '-c', config, '--show']);
    expect(out).toContain('Subject: Geheim 42');
    expect(out).toContain('header    x-user: jane');
    expect(out).toContain('\\x1b[31m');
    expect(out).not.toContain('\u001b');
  });

  it('shows it plainly where privacy.show says so', async () => {
    const { out } = await sluice(['dead', 'show', ids[0], '-c', config, '--set', 'privacy.show=true']);
    expect(out).toContain('Geheim');
  });

  it('shows bytes that are no text as a hex dump', async () => {
    const { out } = await sluice(['dead', 'show', ids[1], '-c', config, '--show']);
    expect(out).toContain('00000000  00 01 02 ff fe 41 42 43 31 32 0a 0d 7f 80 21 22  |.....ABC12....!"|');
    expect(out).toContain('00000010  23 ');
  });

  it('gives the original byte for byte, to standard output or a new file', async () => {
    for (const [id, payload] of [
      [ids[0], mail],
      [ids[1], binary],
    ] as const)
      expect((await sluice(['dead', 'show', id, '-c', config, '--raw', '-'])).bytes).toEqual(payload);
    const file = join(folder.path, 'letter.eml');
    expect((await sluice(['dead', 'show', ids[0], '-c', config, '--raw', file])).code).toBe(0);
    expect(readFileSync(file)).toEqual(mail);
    writeFileSync(file, 'mine');
    const again = await sluice(['dead', 'show', ids[0], '-c', config, '--raw', file]);
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('it exists already') });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('gives everything as JSON with the payload in base64', async () => {
    const { out } = await sluice(['dead', 'show', ids[1], '-c', config, '--json']);
    const letter = JSON.parse(out);
    expect(Buffer.from(letter.payload, 'base64')).toEqual(binary);
    expect(letter).toMatchObject({ headers: { 'x-user': 'jane' }, key: 'jane@example.org' });
  });

  it('marks letters for replay, which the gateway then takes', async () => {
    const { code, out } = await sluice(['dead', 'replay', ids[1], '-c', config]);
    expect({ code, out }).toEqual({
      code: 0,
      out: '1 dead letter marked; the running or the next gateway replays them\n',
    });
    const taken = gateway.dead.replays(10);
    expect(taken.map((letter) => Buffer.from(letter.original.payload))).toEqual([binary]);
  });

  it('drops letters for good, and says which were not there', async () => {
    const partly = await sluice(['dead', 'drop', ids[0], '999999', '-c', config]);
    expect(partly).toMatchObject({
      code: 1,
      out: '1 dead letter dropped\n',
      err: 'sluice: 1 of 2 were not found\n',
    });
    expect(gateway.dead.list().map((letter) => letter.id)).toEqual([ids[1]]);
    expect(await sluice(['dead', 'drop', '--all', '-c', config])).toMatchObject({
      code: 0,
      out: '1 dead letter dropped\n',
    });
    expect(await sluice(['dead', 'list', '-c', config])).toMatchObject({
      code: 0,
      out: '',
      err: 'no dead letters\n',
    });
  });

  it.each([
    [['list'], 'name the store: either -c FILE or --store FOLDER'],
    [['list', '-c', 'x', '--store', 'y'], 'name the store: either -c FILE or --store FOLDER'],
    [['list', '--store', 'STATE', '--limit', 'all'], '--limit all: write a whole number'],
    [['drop', '--store', 'STATE'], 'name the dead letters to drop, or --all'],
    [['drop', '--store', 'STATE', '--all', '1'], 'name the dead letters to drop, or --all'],
    [['replay', '--store', 'STATE', '1', '--task', 'spam'], '--task goes with --all'],
  ])('%j is a usage error', async (argv, message) => {
    const { code, err } = await sluice(['dead', ...argv.map((word) => (word === 'STATE' ? state : word))]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  it('does not make a store out of a mistyped path', async () => {
    const nowhere = join(folder.path, 'nowhere');
    expect(await sluice(['dead', 'list', '--store', nowhere])).toMatchObject({
      code: 1,
      err: expect.stringContaining(`there is no store in ${nowhere}`),
    });
    const empty = join(folder.path, 'empty');
    mkdirSync(empty);
    const { code } = await sluice(['dead', 'list', '--store', empty]);
    expect(code).toBe(1);
    expect(existsSync(join(empty, 'data.mdb'))).toBe(false);
  });

  it('says so where there is no such letter', async () => {
    const { code, err } = await sluice(['dead', 'show', '999999', '-c', config]);
    expect(code).toBe(1);
    expect(err).toContain('DEAD_UNKNOWN: there is no dead letter 999999');
    expect(err).toContain('with `sluice dead list`');
  });
});

describe('encrypted dead letters', () => {
  const key = 'fleet-key-0123456789';
  let id: string;
  let sealed: string;
  let file: string;

  beforeAll(async () => {
    sealed = join(folder.path, 'sealed');
    file = folder.file('sealed.yaml', configuration(sealed));
    const { path, ...limits } = storeOptions.parse({ path: sealed, dead: { keep: 'encrypted' } });
    const telemetry = new Telemetry({ level: 'silent' });
    const store = await openStore({ path, limits, key, clock: systemClock, telemetry });
    const letter = { task: 'spam', code: 'DECODE_MAIL', message: 'no header', receivedAt: 1 };
    [id] = await store.dead.put([{ ...letter, original: message(mail) }]);
    await store.close();
  });

  it('are shown and replayed where the configuration has their key', async () => {
    expect((await sluice(['dead', 'show', id, '-c', file, '--raw', '-'])).bytes).toEqual(mail);
    const { out } = await sluice(['dead', 'show', id, '-c', file, '--show']);
    expect(out).toContain('header    x-user: jane');
    expect((await sluice(['dead', 'replay', id, '-c', file])).out).toContain('1 dead letter marked');
  });

  it.each([
    ['no key', []],
    ['another key', ['-c', 'FILE', '--set', 'privacy.key=another-key-0123456789']],
  ])('with %s they are listed, and refused with a code to whoever asks for more', async (_, given) => {
    const words =
      given.length > 0 ? given.map((word) => (word === 'FILE' ? file : word)) : ['--store', sealed];
    expect((await sluice(['dead', 'list', ...words])).out).toContain(`${id}  1970-01-01T00:00:00.001Z  spam`);
    for (const verb of ['show', 'replay']) {
      const { code, out, err } = await sluice(['dead', verb, id, ...words]);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/^sluice: DEAD_LOCKED: dead letter 1 (is|was) encrypted/);
    }
  });

  it('can be dropped without their key', async () => {
    expect((await sluice(['dead', 'drop', id, '--store', sealed])).out).toBe('1 dead letter dropped\n');
  });
});

describe('what is printed of bytes from outside', () => {
  it('holds no control character and no mark that hides or turns text', () => {
    const hostile = '\u0000\u0007\u001b[2J\u009b\u200b\u202e\u2028\u2066\ufeff\ud800a';
    expect(safeText(hostile)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
    expect(safeText('Grüße, 世界 👍')).toBe('Grüße, 世界 👍');
  });

  it('is masked in every script', () => {
    expect(mask('Grüße 世界 ١٢ e\u0301!')).toBe('••••• •• 00 •!');
  });

  it('is cut where asked, between characters', () => {
    expect(preview(Buffer.from('ab\u00fcd'), { plainly: true, bytes: 3 })).toEqual(['ab', '… 2 bytes more']);
  });
});
