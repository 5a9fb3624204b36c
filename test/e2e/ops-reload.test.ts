/** A changed configuration is taken up without loss, or refused while the old one runs on. */
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';
import { type Bus, mqttBus } from './bus.ts';
import { collect, Operated, order, plainTask, reading, SOON_MS, untilSeen } from './ops-kit.ts';
import { sleep, until } from './scale.ts';

let broker: Mosquitto;
let bus: Bus;
let gateway: Operated;

beforeEach(async () => {
  if (mosquittoMissing) return;
  broker = await Mosquitto.start();
  bus = await mqttBus(broker.url);
});

afterEach(async () => {
  await gateway?.remove();
  await bus?.close();
  await broker?.stop();
});

const config = (more = '', sinks = '') => `
site: east
sources: { plant: { type: mqtt, url: "${broker.url}", topics: ["east/+"] } }
sinks:
  floor: { type: mqtt, url: "${broker.url}" }
  ${sinks}
${plainTask('plant')}
${more}`;

const refusals = () => gateway.signals('config_refused');

/** Numbers go out until `stop` is called; resolves to the identities sent. */
function endless(): { stop(): Promise<string[]> } {
  let going = true;
  const ids: string[] = [];
  const sending = (async () => {
    for (let n = 0; going; n++) {
      await bus.publish('east/press', reading('press', n));
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
    gateway = await Operated.make(config());
    const seen = await collect(bus, 'sluice/east/machine/verdict');
    const second = await collect(bus, 'second/verdict');
    await gateway.start();
    const stream = endless();
    await gateway.untilMetric('settled', {}, 50);
    await gateway.write(config('batch: { size: 7 }'));
    await gateway.untilMetric('config_reloaded', {}, 1);
    await gateway.write(
      config(
        'batch: { size: 7 }',
        `second: { type: mqtt, url: "${broker.url}", topics: { verdict: second/verdict } }`,
      ),
    );
    gateway.signal('SIGHUP');
    await gateway.untilMetric('config_reloaded', {}, 2);
    await until(
      () => second.length > 50,
      SOON_MS,
      () => `verdicts at the second sink\n${gateway.log}`,
    );
    const ids = await stream.stop();
    await untilSeen(ids, seen, gateway);
    const numbers = order('press', seen);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    await gateway.untilReady(200);
    expect(await gateway.metric('config_refused')).toBe(0);
    expect(await gateway.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a bad file is refused with the reason in the log, by change and by SIGHUP, and the old one runs on',
  async () => {
    gateway = await Operated.make(config());
    const seen = await collect(bus, 'sluice/east/machine/verdict');
    await gateway.start();
    await gateway.write(config('batch: { size: many }'));
    await gateway.untilMetric('config_refused', {}, 1);
    expect(String(refusals()[0].reason)).toContain('batch.size');
    await gateway.write('nonsense: [');
    gateway.signal('SIGHUP');
    await gateway.untilMetric('config_refused', {}, 2);
    await bus.publish('east/press', reading('press', 1));
    await untilSeen(['/press/1'], seen, gateway);
    expect(await gateway.metric('config_reloaded')).toBe(0);
    expect((await gateway.ready()).status).toBe(200);
    // A good file after bad ones is taken up.
    await gateway.write(config('batch: { size: 9 }'));
    await gateway.untilMetric('config_reloaded', {}, 1);
    await bus.publish('east/press', reading('press', 2));
    await untilSeen(['/press/2'], seen, gateway);
  },
  60_000,
);

test.skipIf(mosquittoMissing)(
  'a valid file that cannot be opened (port taken, store in use) is refused, and the old one runs on without loss',
  async () => {
    const busy: Server = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const { port } = busy.address() as { port: number };
    gateway = await Operated.make(config());
    const other = await Operated.make(config().replaceAll('east', 'west'));
    try {
      const seen = await collect(bus, 'sluice/east/machine/verdict');
      await gateway.start();
      await other.start();
      const stream = endless();
      await gateway.write(config(`http: { listen: "127.0.0.1:${port}" }`));
      await gateway.untilMetric('config_refused', {}, 1);
      expect(String(refusals()[0].reason)).toContain('another process uses this port');
      await gateway.write(config(`store: { path: ${JSON.stringify(other.state)} } # not $STATE`));
      await gateway.untilMetric('config_refused', {}, 2);
      const ids = await stream.stop();
      await untilSeen(ids, seen, gateway);
      await gateway.untilReady(200);
      // The address may change too, where it is free.
      busy.close();
      await gateway.write(config(`http: { listen: "127.0.0.1:${port}" }`));
      await until(
        async () =>
          (await fetch(`http://127.0.0.1:${port}/ready`).then(
            ({ status }) => status,
            () => 0,
          )) === 200,
        SOON_MS,
        () => `the new address to answer\n${gateway.log}`,
      );
      expect((await gateway.ready()).status, 'the old address is given up').toBe(0);
      expect(await gateway.stop()).toBe(0);
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
    gateway = await Operated.make(labels('[ok, fault, worn]'));
    const seen = await collect(bus, 'sluice/east/machine/verdict');
    await gateway.start();
    const truth = (x: number) => (x < 30 ? 'ok' : x < 60 ? 'fault' : 'worn');
    const ids = Array.from({ length: 100 }, (_, n) => `/press/${n}`);
    for (let n = 0; n < 100; n++) await bus.publish('east/press', reading('press', n));
    await untilSeen(ids, seen, gateway);
    const taught = ids.map((event, n) => ({ event, label: truth(n) }));
    await bus.publish('sluice/east/machine/feedback', JSON.stringify(taught));
    await gateway.untilMetric('model_labels', {}, 100);

    for (const [times, names] of [
      [1, '[fault, ok, worn]'],
      [2, '[fault, ok]'],
    ] as const) {
      await gateway.write(labels(names));
      await gateway.untilMetric('config_reloaded', {}, times);
      expect((await gateway.status()).tasks.machine.learned, names).toBe(0);
      expect(gateway.log).toContain('MODEL_MISMATCH');
      await bus.publish('east/press', reading('press', 1000 + times));
      await untilSeen([`/press/${1000 + times}`], seen, gateway);
    }
    // Back again: the journal still knows.
    await gateway.write(labels('[ok, fault, worn]'));
    await gateway.untilMetric('config_reloaded', {}, 3);
    expect((await gateway.status()).tasks.machine.learned).toBe(100);
    expect(await gateway.stop()).toBe(0);
  },
  60_000,
);
