import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openToolStore } from '../../src/cli/tool-store.ts';
import { systemClock } from '../../src/clock.ts';
import { eventOf, makeRig, type Rig, task } from '../fleet/kit.ts';
import { sluice, temporaryFolder } from './run.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const place = (name: string) => join(folder.path, name);

let rig: Rig;
let store = '';
beforeEach(async () => {
  rig = await makeRig();
  store = join(rig.folder, 'state');
  const events = Array.from({ length: 200 }, (_, i) => eventOf(i));
  await rig.join(events.map(({ event }) => event));
  await rig.give(events.slice(0, 100).map(({ event, label }) => [event.id, label] as const));
});
afterEach(() => rig.close());

describe('sluice state', () => {
  it('copies the store of a running gateway, and what is restored holds the same', async () => {
    const [to, back] = [place('monday'), place('restored')];
    let writing = true;
    const busy = (async () => {
      for (let n = 200; writing; n += 10) {
        await rig.join(Array.from({ length: 10 }, (_, i) => eventOf(n + i).event));
        await systemClock.sleep(5);
      }
    })();
    const made = await sluice(['state', 'backup', '--store', store, '--to', to]);
    writing = false;
    await busy;
    expect(made).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringMatching(/^backed up: .* MiB as of 20/),
    });
    expect(readdirSync(to).sort()).toEqual(['backup.json', 'data.mdb']);
    expect(statSync(to).mode & 0o077).toBe(0);
    const done = await sluice(['state', 'restore', '--store', back, '--from', to, '--json', '-']);
    expect(done.code).toBe(0);
    expect(JSON.parse(done.out)).toMatchObject({ store: back, folder: to, format: 1 });
    const copy = await openToolStore({ path: back });
    expect(copy.journal.read(task.name, 0, 1_000).entries).toEqual(
      rig.store.journal.read(task.name, 0, 1_000).entries,
    );
    expect(copy.join.find(task.name, 't/0/150')).toEqual(rig.store.join.find(task.name, 't/0/150'));
    await copy.close();
    // And the gateway goes on.
    await rig.give([['t/0/150', 'ok']]);
    expect(rig.store.journal.labelOf(task.name, 't/0/150')?.label).toBe(0);
  });

  it('takes installed models and trusted keys along, and leaves locks and half files', async () => {
    mkdirSync(join(store, 'models', 'machine'), { recursive: true });
    writeFileSync(join(store, 'models', 'machine', 'record.json'), '{"a":1}');
    writeFileSync(join(store, 'models', 'machine', 'x.partial'), 'half');
    writeFileSync(join(store, 'trusted-keys'), 'key');
    writeFileSync(join(store, 'running.json'), '{}');
    const [to, back] = [place('models'), place('models-back')];
    expect((await sluice(['state', 'backup', '--store', store, '--to', to])).code).toBe(0);
    expect((await sluice(['state', 'restore', '--store', back, '--from', to])).code).toBe(0);
    expect(readdirSync(back).sort()).toEqual(['data.mdb', 'models', 'trusted-keys']);
    expect(readdirSync(join(back, 'models', 'machine'))).toEqual(['record.json']);
    expect(readFileSync(join(back, 'trusted-keys'), 'utf8')).toBe('key');
    // A path that leads out of the store is no path of a backup.
    const about = JSON.parse(readFileSync(join(to, 'backup.json'), 'utf8'));
    about.files[0].path = '../outside';
    writeFileSync(join(to, 'backup.json'), JSON.stringify(about));
    const out = await sluice(['state', 'restore', '--store', place('out'), '--from', to]);
    expect(out.err).toContain('STORE_CORRUPT: backup.json');
    expect(existsSync(place('outside'))).toBe(false);
  });

  it('writes over nothing', async () => {
    const full = place('full');
    mkdirSync(full);
    writeFileSync(join(full, 'mine'), 'x');
    expect(await sluice(['state', 'backup', '--store', store, '--to', full])).toMatchObject({
      code: 2,
      err: expect.stringContaining('is not empty'),
    });
    expect(readdirSync(full)).toEqual(['mine']);
    const to = place('tuesday');
    await sluice(['state', 'backup', '--store', store, '--to', to]);
    const again = await sluice(['state', 'restore', '--store', store, '--from', to]);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('holds a store already') });
  });

  it('restores nothing that was altered, cut off, or no backup', async () => {
    const to = place('wednesday');
    await sluice(['state', 'backup', '--store', store, '--to', to]);
    const data = readFileSync(join(to, 'data.mdb'));
    const back = place('never');
    for (const [bytes, reason] of [
      [
        Buffer.concat([data.subarray(0, 9_000), Buffer.from([data[9_000] ^ 1]), data.subarray(9_001)]),
        'SHA-256 differs',
      ],
      [data.subarray(0, data.length - 4_096), 'SHA-256 differs'],
    ] as const) {
      writeFileSync(join(to, 'data.mdb'), bytes);
      const ran = await sluice(['state', 'restore', '--store', back, '--from', to]);
      expect(ran).toMatchObject({
        code: 1,
        err: expect.stringMatching(new RegExp(`STORE_CORRUPT.*${reason}`)),
      });
    }
    writeFileSync(join(to, 'backup.json'), '{"format":2}');
    expect((await sluice(['state', 'restore', '--store', back, '--from', to])).err).toContain(
      'backup.json in',
    );
    expect((await sluice(['state', 'restore', '--store', back, '--from', place('nowhere')])).err).toContain(
      'there is no backup',
    );
    expect(existsSync(join(back, 'data.mdb'))).toBe(false);
    expect(existsSync(join(back, 'data.mdb.restoring'))).toBe(false);
  });

  it('migrates a store that no gateway holds, changes nothing of a current one, and refuses a damaged one', async () => {
    const held = await sluice(['state', 'migrate', '--store', store]);
    expect(held).toMatchObject({ code: 1, err: expect.stringContaining('STORE_LOCKED') });
    const [to, back] = [place('thursday'), place('moved')];
    await sluice(['state', 'backup', '--store', store, '--to', to]);
    await sluice(['state', 'restore', '--store', back, '--from', to]);
    const ran = await sluice(['state', 'migrate', '--store', back, '--json', '-']);
    expect(JSON.parse(ran.out)).toEqual({ store: back, from: expect.any(Number), to: expect.any(Number) });
    expect((await sluice(['state', 'migrate', '--store', back])).out).toContain('nothing to do');
    const copy = await openToolStore({ path: back });
    expect(copy.journal.read(task.name, 0, 1_000).entries).toEqual(
      rig.store.journal.read(task.name, 0, 1_000).entries,
    );
    await copy.close();
    const file = join(back, 'data.mdb');
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0x5a, 8_192, 12_288));
    const damaged = await sluice(['state', 'migrate', '--store', back]);
    expect(damaged).toMatchObject({ code: 1, err: expect.stringContaining('STORE_CORRUPT') });
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });

  it.each([
    [['backup', '--to', 'x'], 'either -c FILE or --store'],
    [['backup', '--store', 'nowhere', '--to', 'x'], 'there is no store in nowhere'],
    [['migrate', '--store', 'nowhere'], 'there is no store in nowhere'],
    [['backup', '--store', 'x'], "required option '--to"],
  ])('refuses %j', async (words, reason) => {
    const ran = await sluice(['state', ...words]);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toContain(reason);
  });
});
