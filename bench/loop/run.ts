/**
 * The whole loop in virtual time: simulated machines, real gateways, real hub, real learning and training, over channels
 * of this process and under a clock that the run drives. A run is one seed: minutes of a plant's life pass in
 * seconds, and the same seed gives the same readings and labels. What is measured is what the senders know: accuracy by
 * second against the truth of the world.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type FaultRates, noFaults } from '../../firmware-sim/faults.ts';
import { type Parcel, readingFeed } from '../../firmware-sim/feeds.ts';
import { identityOf } from '../../firmware-sim/identity.ts';
import { Random } from '../../firmware-sim/random.ts';
import type { Drift } from '../../firmware-sim/world.ts';
import { Gateway } from '../../src/app/gateway.ts';
import { HubProcess } from '../../src/app/hub.ts';
import { parseConfig } from '../../src/config.ts';
import type { Alarm, Engine } from '../../src/contract.ts';
import type { HubEvent } from '../../src/fleet/hub.ts';
import { dropMemoryChannel, type MemoryChannel, memoryChannel } from '../../src/io/memory.ts';
import { formatPublicKey, newKey, writePrivateKey } from '../../src/model/signing.ts';
import { inProcessTrainer } from '../../src/task/experiments.ts';
import { Telemetry } from '../../src/telemetry.ts';
import { turns, VirtualClock } from './clock.ts';

export interface LoopOptions {
  readonly engine: Engine;
  readonly seed: number;
  readonly sites: number;
  /** Machines, readings a second and share of them that gets a label, per site. */
  readonly devices: number;
  readonly rate: number;
  readonly labels: { readonly fraction: number; readonly wrong: number; readonly delaySeconds: number };
  readonly seconds: number;
  readonly learning: 'online' | 'frozen';
  readonly drift: readonly Drift[];
  readonly faults?: FaultRates;
  /** From the moment that a model is live labels are flipped with this probability, before they are sent. */
  readonly flipped?: number;
  /** YAML of the hub's options beside its places. */
  readonly hub: string;
}

export interface Second {
  tested: number;
  correct: number;
}

export interface LoopRun {
  readonly seconds: readonly Second[];
  /** `second` counted from the start. */
  readonly events: readonly (HubEvent & { readonly second: number })[];
  readonly alarms: readonly (Alarm & { readonly site: string; readonly second: number })[];
  readonly lost: number;
}

const START = Date.parse('2026-01-05T06:00:00Z');
/** The plant begins at a whole second, however long the start took: blocks of time begin alike in each run of a seed. */
const BEGIN = START + 1_000;
/** Real time that a virtual second may take before the run counts as stuck. */
const STUCK_MS = 30_000;
/** Real time after which what is awaited is taken to sleep; work on a disk, which never sleeps, has longer. */
const PATIENCE_MS = 40;
const DISK_MS = 2_000;

interface Label {
  readonly site: string;
  readonly event: string;
  readonly label: string;
  readonly at: number;
}

/**
 * A reading that waits for its verdict, and what chance has in store for its label. Drawn when it is sent: the order of
 * verdicts hangs on how busy the machine is, and a run must not.
 */
interface Waiting {
  readonly site: string;
  readonly truth: number;
  /** Label given at this time, ms; null: never. */
  readonly at: number | null;
  /** Below the probability of a wrong label it is wrong, and then this label. */
  readonly wrong: number;
  readonly other: number;
}

/** Accuracy over the seconds [from, to), null where nothing was tested. */
export function accuracy(run: LoopRun, from: number, to: number): number | null {
  const some = run.seconds.slice(Math.max(0, from), Math.max(0, to));
  const tested = some.reduce((sum, second) => sum + second.tested, 0);
  return tested === 0 ? null : some.reduce((sum, second) => sum + second.correct, 0) / tested;
}

export async function runLoop(options: LoopOptions): Promise<LoopRun> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-loop-'));
  const name = `loop-${options.seed}-${Math.random().toString(36).slice(2)}`;
  const channel = memoryChannel(name);
  channel.loops = true;
  try {
    return await new Life(options, folder, name, channel).live();
  } finally {
    dropMemoryChannel(name);
    rmSync(folder, { recursive: true, force: true });
  }
}

class Life {
  readonly #options: LoopOptions;
  readonly #folder: string;
  readonly #name: string;
  readonly #channel: MemoryChannel;
  readonly #clock = new VirtualClock(START);
  readonly #telemetry = new Telemetry({ level: process.env.LOOP_LOG ? 'info' : 'silent' });
  readonly #feeds: { readonly site: string; readonly feed: ReturnType<typeof readingFeed> }[];
  readonly #random: Random;
  readonly #open = new Map<string, Waiting>();
  readonly #seconds: Second[] = [];
  readonly #events: (HubEvent & { second: number })[] = [];
  readonly #alarms: (Alarm & { site: string; second: number })[] = [];
  #labels: Label[] = [];
  #seen = 0;

  constructor(options: LoopOptions, folder: string, name: string, channel: MemoryChannel) {
    this.#options = options;
    this.#folder = folder;
    this.#name = name;
    this.#channel = channel;
    this.#random = new Random(options.seed).fork('labels');
    this.#feeds = Array.from({ length: options.sites }, (_, i) => ({
      site: `site-${i + 1}`,
      feed: readingFeed({
        seed: options.seed * 1_000 + i,
        devices: options.devices,
        drift: options.drift,
        faults: options.faults ?? noFaults,
      }),
    }));
  }

  get #second(): number {
    return Math.max(0, Math.floor((this.#clock.now() - BEGIN) / 1_000));
  }

  async live(): Promise<LoopRun> {
    const { engine } = this.#options;
    const key = newKey('loop');
    writePrivateKey(path.join(this.#folder, 'hub.key'), key);
    const trust = formatPublicKey(key.public);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(path.join(this.#folder, 'trusted'), `${trust}\n`);
    const context = { engine, clock: this.#clock, telemetry: this.#telemetry };
    const configs = this.#feeds.map(({ site }, i) => parseConfig(this.#config(site, i === 0), site));
    const hub = await HubProcess.start(configs[0], { ...context, trainer: inProcessTrainer(engine) });
    hub.onEvent((event) => this.#events.push({ ...event, second: this.#second }));
    const gateways: Gateway[] = [];
    for (const [i, config] of configs.entries()) {
      const { site } = this.#feeds[i];
      const onAlarm = (alarm: Alarm) => {
        // Latency is measured in real time, which says nothing here; and a stop is no fall of the volume.
        if (alarm.stream !== 'latency' && this.#second < this.#options.seconds)
          this.#alarms.push({ ...alarm, site, second: this.#second });
      };
      const started = Gateway.start(config, { ...context, events: { onAlarm } });
      gateways.push(await this.#while(started));
    }
    await this.#clock.advance(Math.max(0, BEGIN - this.#clock.now()));
    for (let second = 0; second < this.#options.seconds; second++) await this.#pass(second, hub, gateways);
    for (const gateway of gateways) await this.#while(gateway.stop());
    await this.#while(hub.stop());
    return {
      seconds: this.#seconds,
      events: this.#events,
      alarms: this.#alarms,
      lost: this.#open.size,
    };
  }

  /**
   * Awaits what may sleep: time goes on, but only when nothing has happened for a while, so that a slow machine does not
   * make the plant's seconds longer.
   */
  async #while<T>(work: Promise<T>, patience = PATIENCE_MS): Promise<T> {
    let done = false;
    const over = work.finally(() => {
      done = true;
    });
    over.catch(() => undefined);
    for (let since = performance.now(); !done; ) {
      await turns(1);
      if (performance.now() - since < patience) continue;
      await this.#clock.advance(1);
      since = performance.now();
    }
    return over;
  }

  /** One second of the plant: readings, verdicts, labels that are due, then windows, alarms, decisions. */
  async #pass(second: number, hub: HubProcess, gateways: readonly Gateway[]): Promise<void> {
    this.#seconds.push({ tested: 0, correct: 0 });
    this.#send();
    await this.#answered();
    this.#giveLabels();
    await this.#learned(gateways);
    // What was waited for has taken some of the second already.
    await this.#clock.advance(Math.max(1, BEGIN + (second + 1) * 1_000 - this.#clock.now()));
    await this.#quiet();
    // Training works in real time and never sleeps: what was begun in this second ends in it, however slow the machine.
    await hub.hub.tick();
    await hub.hub.settled();
    await hub.hub.tick();
    await this.#quiet();
  }

  /** Waits (in real time) until nothing is pushed or settled any more: rows have reached the hub, words the gateways. */
  async #quiet(): Promise<void> {
    for (let before = -1, same = 0; same < 3; ) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const now = this.#channel.pushed.length + this.#channel.settled.length + this.#channel.published.length;
      same = now === before ? same + 1 : 0;
      before = now;
    }
  }

  #send(): void {
    const { rate } = this.#options;
    const now = this.#clock.now();
    for (const { site, feed } of this.#feeds) {
      const topic = `plant/${site}`;
      for (let n = 0; n < rate; n++) {
        for (const { payload, truth } of feed.next(now) as readonly Parcel[]) {
          const id = identityOf({ topic, key: null, payload });
          this.#open.set(id, this.#waiting(site, truth, now));
          this.#channel.push({ topic, payload });
        }
      }
    }
  }

  #waiting(site: string, truth: number, now: number): Waiting {
    const { fraction, delaySeconds } = this.#options.labels;
    const random = this.#random;
    const given = random.chance(fraction);
    const at = now + delaySeconds * 1_000 * (0.5 + random.next());
    const wrong = random.next();
    const labels = this.#feeds[0].feed.labels.length;
    const other = (truth + 1 + random.below(labels - 1)) % labels;
    return { site, truth, at: given && truth >= 0 ? at : null, wrong, other };
  }

  async #answered(): Promise<void> {
    const began = performance.now();
    for (;;) {
      this.#collect();
      if (this.#open.size === 0) return;
      if (performance.now() - began > STUCK_MS)
        throw new Error(`second ${this.#second}: ${this.#open.size} readings have no verdict`);
      await turns(1);
    }
  }

  #collect(): void {
    const { published } = this.#channel;
    const { labels } = this.#feeds[0].feed;
    for (; this.#seen < published.length; this.#seen++) {
      const { topic, payload } = published[this.#seen];
      if (!topic.endsWith('/verdict')) continue;
      const { event, label } = JSON.parse(String(payload)).data as { event: string; label: string | null };
      const open = this.#open.get(event);
      if (!open) continue;
      this.#open.delete(event);
      const second = this.#seconds[this.#seconds.length - 1];
      if (label !== null && open.truth >= 0) {
        second.tested += 1;
        if (label === labels[open.truth]) second.correct += 1;
      }
      if (open.at === null) continue;
      this.#labels.push({ site: open.site, event, label: this.#said(open), at: open.at });
    }
    // The channel keeps everything; what was looked at is not needed again.
    if (this.#seen > 50_000) {
      published.splice(0, this.#seen);
      this.#seen = 0;
    }
  }

  /** What the person says: wrong now and then, or by someone's will. */
  #said({ truth, wrong, other }: Waiting): string {
    const { labels: plan, flipped = 0 } = this.#options;
    const { labels } = this.#feeds[0].feed;
    const isLive = this.#events.some(({ kind }) => kind === 'live');
    return labels[wrong < (isLive ? Math.max(plan.wrong, flipped) : plan.wrong) ? other : truth];
  }

  #giveLabels(): void {
    const now = this.#clock.now();
    const due = this.#labels.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
    this.#labels = this.#labels.filter(({ at }) => at > now);
    for (const { site, event, label } of due) {
      const payload = JSON.stringify({ event, label, origin: 'plant', at: now });
      this.#channel.push({ topic: `sluice/${site}/machine/feedback`, payload });
    }
  }

  async #learned(gateways: readonly Gateway[]): Promise<void> {
    await turns(4);
    for (const gateway of gateways) await this.#while(gateway.learned(), DISK_MS);
    await turns(10);
  }

  #config(site: string, first: boolean): string {
    const { learning, seed, hub } = this.#options;
    const { labels } = this.#feeds[0].feed;
    const at = (part: string) => JSON.stringify(path.join(this.#folder, part));
    const channel = JSON.stringify(this.#name);
    return `
site: ${site}
seed: ${seed}
sources: { plant-${site}: { type: memory, channel: ${channel}, topics: ["plant/${site}"] } }
tasks:
  machine:
    from: [plant-${site}]
    event: sensor
    learning: ${learning}
    device: { pointer: /device }
    time: /ts
    fields:
      temperature: { type: number, range: [-40, 200] }
      vibration: { type: number, range: [0, 60] }
      current: { type: number, range: [0, 120] }
      pressure: { type: number, range: [0, 16] }
      rpm: { type: number, range: [0, 6000] }
      mode: { type: category }
    labels: [${labels.join(', ')}]
    # The loop is measured, not the model: thousands of virtual hours.
    features: { preset: fast }
sinks: { bus-${site}: { type: memory, channel: ${channel} } }
models: { trust: ${at('trusted')} }
store: { path: ${at(site)} }
monitor: { window: 2s }
${first ? `hub:\n  store: ${at('hub')}\n  key: ${at('hub.key')}\n${hub.replace(/^/gm, '  ')}` : ''}
`;
  }
}
