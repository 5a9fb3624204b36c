/** Stopping, starting again, two on one folder, and a folder that was damaged meanwhile. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import {
  collect,
  freshSite,
  missing,
  Operated,
  plainTask,
  reading,
  SOON_MS,
  sluice,
  untilSeen,
} from './ops-kit.ts';
import { sleep, until } from './scale.ts';

const site = freshSite();

const config = () => `
site: south
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["south/+"] } }
sinks: { floor: { type: mqtt, url: "${site.broker.url}" } }
${plainTask('plant')}`;

test.skipIf(mosquittoMissing)(
  'SIGTERM drains: what was acknowledged has its verdict, exit code 0, and a second start at once works',
  async () => {
    await site.operate(config());
    const seen = await collect(site.bus, 'sluice/south/machine/verdict');
    await site.gateway.start();
    const ids = Array.from({ length: 1_000 }, (_, n) => `/press/${n}`);
    const sent = Promise.all(ids.map((_, n) => site.bus.publish('south/press', reading('press', n))));
    await site.gateway.untilMetric('settled', {}, 1);
    expect(await site.gateway.stop('SIGTERM')).toBe(0);
    await sent;
    // Only what was not acknowledged comes again: had more been acknowledged than judged, it would be missing.
    await site.gateway.start();
    await untilSeen(ids, seen, site.gateway);
    expect(missing(ids, seen)).toEqual([]);
    const repeated = seen.length - new Set(seen.map(({ event }) => event)).size;
    expect(repeated, 'a clean stop leaves nothing half done').toBe(0);
    expect(await site.gateway.stop('SIGTERM')).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'SIGINT ends with 130 after a clean stop, also in the middle of a start',
  async () => {
    await site.operate(config());
    await site.gateway.start();
    expect(await site.gateway.stop('SIGINT')).toBe(130);
    await site.broker.kill();
    site.gateway.launch();
    while ((await site.gateway.ready()).status === 0) await sleep(20);
    expect(await site.gateway.ping()).toBe(200);
    expect(await site.gateway.stop('SIGINT')).toBe(130);
    site.gateway.launch();
    while ((await site.gateway.ready()).status === 0) await sleep(20);
    expect(await site.gateway.stop('SIGTERM')).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a second gateway on the same state folder is refused with STORE_LOCKED and exit 1, and the first does not notice',
  async () => {
    await site.operate(config());
    const seen = await collect(site.bus, 'sluice/south/machine/verdict');
    await site.gateway.start();
    const same = await sluice(['run', '-c', site.gateway.file]);
    expect(same.stderr).toContain('STORE_LOCKED');
    expect(same.code).toBe(1);
    const elsewhere = await sluice(['run', '-c', site.gateway.file, '--set', 'http.listen=127.0.0.1:0']);
    expect(elsewhere.stderr).toContain('STORE_LOCKED');
    expect(elsewhere.code).toBe(1);
    await site.bus.publish('south/press', reading('press', 1));
    await untilSeen(['/press/1'], seen, site.gateway);
    expect((await site.gateway.ready()).status).toBe(200);
    await site.gateway.stop('SIGKILL');
    await site.gateway.start(); // nothing is left of a lock whose holder was killed
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'an address that is in use ends the start with LISTEN_FAILED and exit 1, and leaves the store free',
  async () => {
    await site.operate(config());
    await site.gateway.start();
    const other = await Operated.make(config().replaceAll('south', 'other'));
    try {
      const refused = await sluice([
        'run',
        '-c',
        other.file,
        '--set',
        `http.listen=127.0.0.1:${site.gateway.port}`,
      ]);
      expect(refused.stderr).toContain('LISTEN_FAILED');
      expect(refused.code).toBe(1);
      await other.start();
    } finally {
      await other.remove();
    }
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a store damaged while the gateway was away is set aside, loudly, and the gateway works on a fresh one',
  async () => {
    await site.operate(config());
    const seen = await collect(site.bus, 'sluice/south/machine/verdict');
    await site.gateway.start();
    await site.bus.publish('south/press', reading('press', 1));
    await untilSeen(['/press/1'], seen, site.gateway);
    expect(await site.gateway.stop()).toBe(0);
    const data = path.join(site.gateway.state, 'data.mdb');
    const bytes = readFileSync(data);
    for (let at = 0; at < bytes.length; at += 7) bytes[at] ^= 0x5a;
    writeFileSync(data, bytes);
    await site.gateway.start();
    await site.bus.publish('south/press', reading('press', 2));
    await untilSeen(['/press/2'], seen, site.gateway);
    const aside = readdirSync(site.gateway.folder).filter((name) => name.startsWith('state.damaged-'));
    expect(aside).toHaveLength(1);
    expect(readFileSync(path.join(site.gateway.folder, aside[0], 'data.mdb')).equals(bytes)).toBe(true);
    expect(site.gateway.signals('store_set_aside')).toHaveLength(1);
    expect(await site.gateway.metric('store_set_aside')).toBe(1);
    expect(await site.gateway.stop()).toBe(0);
  },
  60_000,
);

// A disk of its own that can be filled: only root may mount one.
const mayMount = process.platform === 'linux' && process.getuid?.() === 0;
if (!mayMount) console.error('SKIPPED (not root): the full disk needs a small file system of its own');

test.skipIf(mosquittoMissing || !mayMount)(
  'a disk that is full stops the flow: unready with the reason, nothing acknowledged; with room again everything has its verdict',
  async () => {
    const disk = mkdtempSync(path.join(os.tmpdir(), 'sluice-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', disk]);
    try {
      const whole = config().replace('topics:', 'retryAfter: 100ms, topics:');
      // Names its place in a comment too, so that no other store is added.
      await site.operate(`${whole}\nstore: { path: ${disk}/state } # not $STATE\n`);
      const seen = await collect(site.bus, 'sluice/south/machine/verdict');
      await site.gateway.start();
      await site.bus.publish('south/press', reading('press', 0));
      await untilSeen(['/press/0'], seen, site.gateway);
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(path.join(disk, 'ballast'), Buffer.alloc(bavail * bsize - 2 * 1024 * 1024));
      const ids = Array.from({ length: 2_000 }, (_, n) => `/press/${n}`);
      for (let n = 1; n < 2_000; n++) void site.bus.publish('south/press', reading('press', n));
      await until(
        async () =>
          (await site.gateway.ready()).reasons.some((reason) => reason.includes('store: STORE_FULL')),
        SOON_MS,
        () => `/ready to name the store\n${site.gateway.log}`,
      );
      expect(await site.gateway.ping()).toBe(200);
      expect(await site.gateway.metric('settled')).toBeLessThan(2_000);
      expect(await site.gateway.metric('store_failed')).toBeGreaterThan(0);
      rmSync(path.join(disk, 'ballast'));
      await untilSeen(ids, seen, site.gateway);
      await site.gateway.untilMetric('settled', {}, 2_000);
      await site.gateway.untilReady(200);
      expect(await site.gateway.stop()).toBe(0);
      await site.gateway.start(); // and what was written is sound
      expect(site.gateway.signals('store_set_aside')).toEqual([]);
      await site.gateway.stop();
    } finally {
      await site.gateway.remove();
      execFileSync('umount', ['-l', disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  },
  60_000,
);
