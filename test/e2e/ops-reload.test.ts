/** A changed configuration is taken up without loss, or refused while the old one runs on. */
import { createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { mosquittoMissing } from '../servers/mosquitto.ts';
import { collect, freshSite, Operated, order, plainTask, reading, SOON_MS, untilSeen } from './ops-kit.ts';
import { sleep, until } from './scale.ts';

const site = freshSite();

const config = (more = '', sinks = '') => `
site: east
sources: { plant: { type: mqtt, url: "${site.broker.url}", topics: ["east/+"] } }
sinks:
  floor: { type: mqtt, url: "${site.broker.url}" }
  ${sinks}
${plainTask('plant')}
${more}`;

const refusals = () => site.gateway.signals('config_refused');

/** Numbers go out until `stop` is called; resolves to the identities sent. */
function endless(): { stop(): Promise<string[]> } {
  let going = true;
  const ids: string[] = [];
  const sending = (async () => {
    for (let n = 0; going; n++) {
      await site.bus.publish('east/press', reading('press', n));
      ids.push(`/press/${n}`);
      if (n % 10 === 0) await sleep(5);
    }
    return ids;
  })();
  return {
    stop: () => {
      going = false;
      return sending;
    },
  };
}

test.skipIf(mosquittoMissing)(
  'a file changed in the middle of a stream is taken up without loss: another batch size, then by SIGHUP a second sink',
  async () => {
    await site.operate(config());
    const seen = await collect(site.bus, 'sluice/east/machine/verdict');
    const second = await collect(site.bus, 'second/verdict');
    await site.gateway.start();
    const stream = endless();
    await site.gateway.untilMetric('settled', {}, 50);
    await site.gateway.write(config('batch: { size: 7 }'));
    await site.gateway.untilMetric('config_reloaded', {}, 1);
    await site.gateway.write(
      config(
        'batch: { size: 7 }',
        `second: { type: mqtt, url: "${site.broker.url}", topics: { verdict: second/verdict } }`,
      ),
    );
    site.gateway.signal('SIGHUP');
    await site.gateway.untilMetric('config_reloaded', {}, 2);
    await until(
      () => second.length > 50,
      SOON_MS,
      () => `verdicts at the second sink\n${site.gateway.log}`,
    );
    const ids = await stream.stop();
    await untilSeen(ids, seen, site.gateway);
    const numbers = order('press', seen);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    await site.gateway.untilReady(200);
    expect(await site.gateway.metric('config_refused')).toBe(0);
    expect(await site.gateway.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a bad file is refused with the reason in the log, by change and by SIGHUP, and the old one runs on',
  async () => {
    await site.operate(config());
    const seen = await collect(site.bus, 'sluice/east/machine/verdict');
    await site.gateway.start();
    await site.gateway.write(config('batch: { size: many }'));
    await site.gateway.untilMetric('config_refused', {}, 1);
    expect(String(refusals()[0].reason)).toContain('batch.size');
    await site.gateway.write('nonsense: [');
    site.gateway.signal('SIGHUP');
    await site.gateway.untilMetric('config_refused', {}, 2);
    await site.bus.publish('east/press', reading('press', 1));
    await untilSeen(['/press/1'], seen, site.gateway);
    expect(await site.gateway.metric('config_reloaded')).toBe(0);
    expect((await site.gateway.ready()).status).toBe(200);
    // A good file after bad ones is taken up.
    await site.gateway.write(config('batch: { size: 9 }'));
    await site.gateway.untilMetric('config_reloaded', {}, 1);
    await site.bus.publish('east/press', reading('press', 2));
    await untilSeen(['/press/2'], seen, site.gateway);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a valid file that cannot be opened (port taken, store in use) is refused, and the old one runs on without loss',
  async () => {
    const busy: Server = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as { port: number };
    await site.operate(config());
    const other = await Operated.make(config().replaceAll('east', 'west'));
    try {
      const seen = await collect(site.bus, 'sluice/east/machine/verdict');
      await site.gateway.start();
      await other.start();
      const stream = endless();
      await site.gateway.write(config(`http: { listen: "127.0.0.1:${port}" }`));
      await site.gateway.untilMetric('config_refused', {}, 1);
      expect(String(refusals()[0].reason)).toContain('another process uses this port');
      await site.gateway.write(config(`store: { path: ${JSON.stringify(other.state)} } # not $STATE`));
      await site.gateway.untilMetric('config_refused', {}, 2);
      const ids = await stream.stop();
      await untilSeen(ids, seen, site.gateway);
      await site.gateway.untilReady(200);
      // The address may change too, where it is free.
      busy.close();
      await site.gateway.write(config(`http: { listen: "127.0.0.1:${port}" }`));
      await until(
        async () =>
          (await fetch(`http://127.0.0.1:${port}/ready`).then(
            ({ status }) => status,
            () => 0,
          )) === 200,
        SOON_MS,
        () => `the new address to answer\n${site.gateway.log}`,
      );
      expect((await site.gateway.ready()).status, 'the old address is given up').toBe(0);
      expect(await site.gateway.stop()).toBe(0);
    } finally {
      busy.close();
      await other.remove();
    }
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'labels taken away or put in another order: the model starts anew, loudly, and never says a label for another one',
  async () => {
    const labels = (names: string) => config().replace('[ok, fault]', names);
    await site.operate(labels('[ok, fault, worn]'));
    const seen = await collect(site.bus, 'sluice/east/machine/verdict');
    await site.gateway.start();
    const truth = (x: number) => (x < 30 ? 'ok' : x < 60 ? 'fault' : 'worn');
    const ids = Array.from({ length: 100 }, (_, n) => `/press/${n}`);
    for (let n = 0; n < 100; n++) await site.bus.publish('east/press', reading('press', n));
    await untilSeen(ids, seen, site.gateway);
    const taught = ids.map((event, n) => ({ event, label: truth(n) }));
    await site.bus.publish('sluice/east/machine/feedback', JSON.stringify(taught));
    await site.gateway.untilMetric('model_labels', {}, 100);

    for (const [times, names] of [
      [1, '[fault, ok, worn]'],
      [2, '[fault, ok]'],
    ] as const) {
      await site.gateway.write(labels(names));
      await site.gateway.untilMetric('config_reloaded', {}, times);
      expect((await site.gateway.status()).tasks.machine.learned, names).toBe(0);
      expect(site.gateway.log).toContain('MODEL_MISMATCH');
      await site.bus.publish('east/press', reading('press', 1000 + times));
      await untilSeen([`/press/${1000 + times}`], seen, site.gateway);
    }
    // Back again: the journal still knows.
    await site.gateway.write(labels('[ok, fault, worn]'));
    await site.gateway.untilMetric('config_reloaded', {}, 3);
    expect((await site.gateway.status()).tasks.machine.learned).toBe(100);
    expect(await site.gateway.stop()).toBe(0);
  },
  60_000,
);
