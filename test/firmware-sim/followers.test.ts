import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { Followers, type FollowersOptions } from '../../firmware-sim/followers.ts';
import { readScenario } from '../../firmware-sim/scenario/read.ts';
import { Simulation } from '../../firmware-sim/scenario/run.ts';
import { resultLines } from '../../firmware-sim/status.ts';
import { contextOf, fineClock } from '../../firmware-sim/wire.ts';
import type { Actual, Board, Desired } from '../../src/contract.ts';
import { startBroker } from '../../src/io/broker.ts';
import { kafka } from '../../src/io/kafka.ts';
import { mqtt } from '../../src/io/mqtt.ts';
import { encodeBundle } from '../../src/model/bundle.ts';
import { bundleRef, chunksOf, decodeActual, encodeDesired } from '../../src/model/desired.ts';
import { formatPublicKey, newKey } from '../../src/model/signing.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { DAY, manifestOf, weightsOf } from '../model/bundles.ts';
import { sharedKafka, whyNoKafka } from '../servers/kafka.ts';
import { Mosquitto, mosquittoMissing } from '../servers/mosquitto.ts';

const telemetry = new Telemetry({ level: 'silent' });
const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

const noKafka = await whyNoKafka();
const KEY = newKey('hub');
const PLAN = { boot: '20ms', apply: { from: '0ms', to: '100ms' }, every: '10s', fetch: '5s' };

function planOf(change: object): FollowersOptions['plan'] {
  const text = JSON.stringify({
    where: { type: 'mqtt', url: 'mqtt://h' },
    followers: { ...PLAN, count: 50, trust: ['k'], ...change },
  });
  const { scenario, problems } = readScenario(text, 'f');
  if (!scenario?.followers) throw new Error(JSON.stringify(problems));
  return scenario.followers;
}

const bundleOf = (version: number, change: object = {}, bytes = 600_000): Uint8Array => {
  const created = Date.now();
  const manifest = manifestOf({ version, created, expires: created + 90 * DAY, ...change });
  return encodeBundle(manifest, weightsOf(bytes, version, true), KEY);
};

/** A hub that is nothing but its board. */
class Hub {
  readonly board: Board;
  readonly actual = new Map<string, Actual>();
  /** Every word of every site, in order. */
  readonly words: Actual[] = [];
  serial = 0;

  readonly task: string;

  constructor(board: Board, task = 'machine') {
    this.board = board;
    this.task = task;
    board.watch(`+/models/${task}/actual`, (_name, payload) => {
      const word = decodeActual(payload);
      this.words.push(word);
      this.actual.set(word.site, word);
    });
  }

  async offer(bytes: Uint8Array): Promise<string> {
    const { digest } = bundleRef(bytes, 1);
    for (const [n, piece] of chunksOf(bytes).entries())
      await this.board.put(`default/models/${this.task}/blob/${digest}/${n}`, piece);
    return digest;
  }

  async desire(bytes: Uint8Array | null, change: Partial<Desired> = {}, key = KEY): Promise<void> {
    this.serial += 1;
    const ref = bytes ? bundleRef(bytes, 3) : { digest: null, version: null, size: null, chunks: null };
    const desired: Desired = {
      ...{ group: 'default', task: this.task, serial: this.serial, ...ref },
      ...{ candidate: null, compare: null, at: Date.now(), ...change },
    };
    await this.board.put(`default/models/${this.task}/desired`, encodeDesired(desired, key));
  }

  running(digest: string): number {
    return [...this.actual.values()].filter((word) => word.digest === digest && word.state === 'running')
      .length;
  }
}

function boardAt(url: string, name: string, version: 4 | 5): Board {
  const options = mqtt.sink.options.parse({ url, version });
  const board = mqtt.sink.openBoard(name, options, contextOf({ site: name, telemetry }));
  ending.push(() => board.close());
  return board;
}

function follow(url: string, change: object, version: 4 | 5 = 4): Followers {
  const followers = new Followers({
    plan: planOf(change),
    trusted: [KEY.public],
    board: boardAt(url, 'followers', version),
    ...{ seed: 5, clock: fineClock, telemetry },
  });
  ending.push(() => followers.stop());
  return followers;
}

const until = async (met: () => boolean, what: () => unknown): Promise<void> => {
  for (const end = Date.now() + 15_000; !met(); ) {
    if (Date.now() > end) throw new Error(`did not come about: ${JSON.stringify(what())}`);
    await fineClock.sleep(20);
  }
};

async function embedded(): Promise<string> {
  const broker = await startBroker();
  ending.push(() => broker.close());
  return broker.url;
}

describe('simulated gateways that follow models', () => {
  const walk = async (url: string, version: 4 | 5, count: number) => {
    const hub = new Hub(boardAt(url, 'hub', version));
    const followers = follow(url, { count }, version);
    await until(
      () => hub.actual.size === count,
      () => followers.counts(),
    );
    expect([...hub.actual.values()].every(({ digest, serial }) => digest === null && serial === -1)).toBe(
      true,
    );
    const first = bundleOf(3);
    const second = bundleOf(4);
    const one = await hub.offer(first);
    await hub.desire(first);
    await until(
      () => hub.running(one) === count,
      () => followers.counts(),
    );
    const two = await hub.offer(second);
    await hub.desire(second);
    await until(
      () => hub.running(two) === count,
      () => followers.counts(),
    );
    await hub.desire(first);
    await until(
      () => hub.running(one) === count,
      () => followers.counts(),
    );
    expect(followers.counts()).toMatchObject({
      ...{ count, updates: 3 * count, refusals: {}, restarts: 0, untold: 0, running: { [one]: count } },
      states: { run: count, download: 0, verify: 0, apply: 0, refused: 0 },
    });
    expect(
      [...hub.actual.values()].every(
        ({ serial, group, labels }) => serial === 3 && group === 'default' && labels === 0,
      ),
    ).toBe(true);
    expect(hub.words.some(({ state }) => state === 'fetching')).toBe(true);
  };

  it('fetch, verify, apply and confirm, again for a new model, and go back (embedded broker)', async () => {
    await walk(await embedded(), 4, 300);
  });

  it.skipIf(mosquittoMissing)('and the same over mosquitto', async () => {
    const broker = await Mosquitto.start();
    ending.push(() => broker.stop());
    await walk(broker.url, 5, 300);
  });

  it('run what the document says for each: a canary on the named sites, its companion beside it', async () => {
    const url = await embedded();
    const hub = new Hub(boardAt(url, 'hub', 4));
    const followers = follow(url, { count: 10 });
    const [live, canary] = [bundleOf(3), bundleOf(4)];
    await hub.offer(live);
    const digest = await hub.offer(canary);
    const sites = ['sim-00002', 'sim-00009', 'elsewhere'];
    await hub.desire(live, { candidate: { ...bundleRef(canary, 4), mode: 'canary', sites } });
    const all = bundleRef(live, 3).digest;
    await until(
      () => hub.running(digest) === 2 && hub.running(all) === 8,
      () => followers.counts(),
    );
    expect(hub.actual.get('sim-00002')).toMatchObject({ digest, companion: all });
    expect(hub.actual.get('sim-00001')).toMatchObject({ digest: all, companion: null });
  });

  it('refuse, with the reason, what is unsigned, foreign, for another task, expired or not there', async () => {
    const url = await embedded();
    const hub = new Hub(boardAt(url, 'hub', 4));
    const followers = follow(url, { count: 5, fetch: '300ms' });
    const refused = (code: string) =>
      until(
        () =>
          [...hub.actual.values()].filter(
            ({ state, reason }) => state === 'refused' && reason.startsWith(code),
          ).length === 5,
        () => [...hub.actual.values()],
      );
    await until(
      () => hub.actual.size === 5,
      () => followers.counts(),
    );
    await hub.desire(bundleOf(3), {}, newKey('stranger'));
    await refused('DESIRED_UNTRUSTED');
    const missing = bundleOf(4);
    await hub.desire(missing);
    await refused('BUNDLE_MISSING');
    for (const [code, bytes] of [
      ['BUNDLE_UNSIGNED', encodeBundle(manifestOf({ version: 5 }), weightsOf(1_000), null)],
      ['BUNDLE_MISMATCH', bundleOf(6, { task: 'other' })],
      ['BUNDLE_EXPIRED', bundleOf(7, { created: Date.now() - 9 * DAY, expires: Date.now() - DAY })],
    ] as const) {
      await hub.offer(bytes);
      await hub.desire(bytes);
      await refused(code);
    }
    expect(followers.counts()).toMatchObject({ updates: 0, running: { none: 5 } });
  });

  it('whose downloads are damaged refuse every time; those who restart in the midst begin again', async () => {
    const url = await embedded();
    const hub = new Hub(boardAt(url, 'hub', 4));
    const followers = follow(url, { count: 200, faults: { corrupt: 0.2, reboot: 0.3 } });
    const [first, second] = [bundleOf(3, {}, 50_000), bundleOf(4, {}, 50_000)];
    for (const bytes of [first, second]) {
      const digest = await hub.offer(bytes);
      await hub.desire(bytes);
      await until(
        () => {
          const { states } = followers.counts();
          return states.run + states.refused === 200 && hub.running(digest) === states.run;
        },
        () => followers.counts(),
      );
    }
    const counts = followers.counts();
    expect(counts.states.refused).toBeGreaterThan(20);
    expect(counts.states.refused).toBeLessThan(60);
    expect(counts).toMatchObject({
      corruptInstalled: 0,
      corruptDownloads: 2 * counts.states.refused,
      updates: 2 * counts.states.run,
      refusals: { BUNDLE_ALTERED: 2 * counts.states.refused },
      running: { none: counts.states.refused },
    });
    expect(counts.restarts).toBeGreaterThan(50);
    const altered = [...hub.actual.values()].filter(({ state }) => state === 'refused');
    expect(
      altered.every(({ reason, digest }) => reason.startsWith('BUNDLE_ALTERED: ') && digest === null),
    ).toBe(true);
  });

  it('that are silent say once that they are there; wrong clocks show, and only a plausible one judges expiry', async () => {
    const url = await embedded();
    const hub = new Hub(boardAt(url, 'hub', 4));
    const silent = follow(url, { count: 20, prefix: 'mute', faults: { silent: 1 } });
    await until(
      () => hub.actual.size === 20,
      () => silent.counts(),
    );
    await silent.stop();
    const past = follow(url, { count: 5, prefix: 'past', faults: { clock: 1 } });
    const future = follow(url, { count: 5, prefix: 'future', faults: { clock: 1, clockOff: '400d' } });
    const mute = follow(url, { count: 5, prefix: 'still', faults: { silent: 1 } });
    await until(
      () => hub.actual.size === 35,
      () => [past.counts(), future.counts()],
    );
    const bytes = bundleOf(3, {}, 5_000);
    const digest = await hub.offer(bytes);
    await hub.desire(bytes);
    await until(
      () => hub.running(digest) === 5 && future.counts().states.refused === 5,
      () => future.counts(),
    );
    await until(
      () => hub.actual.get('future-00005')?.state === 'refused',
      () => hub.actual.get('future-00005'),
    );
    expect(hub.actual.get('past-00001')!.at).toBeLessThan(Date.now() - 19_000 * DAY);
    expect(hub.actual.get('future-00001')).toMatchObject({
      reason: expect.stringMatching(/^BUNDLE_EXPIRED/),
    });
    expect(mute.counts()).toMatchObject({ silent: 5, told: 5, updates: 0 });
    expect(hub.words.filter(({ site }) => site === 'still-00001')).toHaveLength(1);
  });
});

describe('a scenario of followers alone', () => {
  it.skipIf(noKafka)(
    'runs over Kafka too, and its result says who runs what',
    { timeout: 60_000 },
    async () => {
      const brokers = await sharedKafka();
      const task = `machine-${randomUUID().slice(0, 8)}`;
      const options = kafka.sink!.options.parse({ brokers, createTopics: true });
      const board = kafka.sink!.openBoard('hub', options, contextOf({ site: 'hub', telemetry }));
      ending.push(() => board.close());
      const hub = new Hub(board, task);
      const text = JSON.stringify({
        where: { type: 'kafka', brokers },
        readings: { rate: 0 },
        followers: {
          ...PLAN,
          count: 20,
          task,
          trust: [formatPublicKey(KEY.public)],
          faults: { corrupt: 0.2 },
        },
      });
      const simulation = new Simulation({ scenario: readScenario(text, 'f').scenario!, telemetry });
      await simulation.start();
      const bytes = bundleOf(3, { task }, 300_000);
      const digest = await hub.offer(bytes);
      await hub.desire(bytes);
      const states = () => simulation.progress().followers!.states;
      for (const end = Date.now() + 40_000; Date.now() < end; await fineClock.sleep(50))
        if (
          states().refused > 0 &&
          states().run + states().refused === 20 &&
          hub.running(digest) === states().run
        )
          break;
      const result = await simulation.drain(100);
      await simulation.stop();
      expect(result).toMatchObject({ lost: 0, tasks: [], startedAt: null, drift: [] });
      const { refused, run } = result.followers!.states;
      expect(refused).toBeGreaterThan(0);
      expect(result.followers).toMatchObject({
        running: { [digest]: run, none: refused },
        corruptInstalled: 0,
      });
      expect(resultLines(result).join('\n')).toContain(`${run} run ${digest.slice(0, 12)}`);
    },
  );
});
