/**
 * A Sparkplug node on a network that loses, repeats and reorders, at a gateway that restarts: nothing is ever read by another
 * birth than its own. The values say which metric they are of, so a wrong reading shows.
 */
import { expect, test } from 'vitest';
import type { DecoderMemory, Message, ReadingBody } from '../../src/contract.ts';
import { openSparkplug, sparkplugOptions } from '../../src/decode/sparkplug.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';
import { mulberry } from './random.ts';
import { bdSeq, payload, T } from './sparkplug-writer.ts';

/** Metric k has values from 1,000 k to 1,000 k + 999. */
const METRICS = [0, 1, 2, 3, 4, 5, 6, 7];
const NAMES = METRICS.map((k) => `m${k}`);
const fields = Object.fromEntries(NAMES.slice(0, 7).map((name) => [name, {}]));
const decoder = openSparkplug(sparkplugOptions.parse({ fields, births: true }));

/** A node with one device that deals its aliases anew at every session, and now and then in between. */
class Sender {
  readonly #random: () => number;
  #at = Date.UTC(2026, 0, 1);
  #seq = 0;
  #session = 0;
  #aliases = [...METRICS];

  constructor(random: () => number) {
    this.#random = random;
  }

  #message(type: string, metrics: Parameters<typeof payload>[0]['metrics'], seq = true): Message {
    this.#at += 1 + Math.floor(this.#random() * 50);
    const topic = `spBv1.0/g/${type}/n${type.startsWith('D') ? '/d' : ''}`;
    const bytes = payload({ at: this.#at, metrics, ...(seq && { seq: this.#seq }) });
    if (seq) this.#seq = (this.#seq + 1) & 255;
    return messageOf(bytes, { topic, at: this.#at });
  }

  #value(k: number): { double: number } {
    return { double: 1_000 * k + Math.floor(this.#random() * 1_000) };
  }

  deal(): void {
    this.#aliases = this.#aliases
      .map((alias) => ({ alias, by: this.#random() }))
      .sort((a, b) => a.by - b.by)
      .map(({ alias }) => alias);
  }

  deviceBirth(): Message {
    const metrics = METRICS.map((k) => ({
      ...{ name: NAMES[k], alias: this.#aliases[k], type: T.double },
      ...this.#value(k),
    }));
    return this.#message('DBIRTH', metrics);
  }

  births(): Message[] {
    this.#seq = 0;
    return [this.#message('NBIRTH', [bdSeq(this.#session)]), this.deviceBirth()];
  }

  death(): Message {
    const will = this.#message('NDEATH', [bdSeq(this.#session)], false);
    this.#session += 1;
    return will;
  }

  data(): Message {
    const k = Math.floor(this.#random() * METRICS.length);
    return this.#message('DDATA', [{ alias: this.#aliases[k], ...this.#value(k) }]);
  }
}

interface Taken {
  /** Values of declared fields, and those of them that are of another metric. */
  readonly read: number;
  readonly misread: number;
  readonly waits: string | null;
  readonly frees: string | null;
  readonly asks: boolean;
  readonly refused?: true;
}

function take(memory: DecoderMemory, message: Message, again: boolean, kept = false): Taken {
  try {
    const { events, waitsFor, frees, requests } = memory.take(message, message.at, again, kept);
    let [read, misread] = [0, 0];
    for (const { body } of events)
      for (const [k, value] of (body as ReadingBody).values.entries()) {
        if (Number.isNaN(value)) continue;
        read += 1;
        if (Math.floor(value / 1_000) !== k) misread += 1;
      }
    return { read, misread, waits: waitsFor, frees, asks: requests.length > 0 };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return { read: 0, misread: 0, waits: null, frees: null, asks: false, refused: true };
  }
}

test.each([0.002, 0.02, 0.2])(
  'where a share of %d is lost, no value is ever taken for one of another metric',
  (loss) => {
    let [misread, read, restarts, sessions] = [0, 0, 0, 0];
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = mulberry(seed);
      const sender = new Sender(random);
      let memory = decoder.remember!(null);
      let parked: { message: Message; name: string }[] = [];
      const recent: Message[] = [];
      let isAsked = false;
      const arrive = (message: Message, again = false): boolean => {
        const result = take(memory, message, again);
        misread += result.misread;
        read += result.read;
        if (result.waits !== null) parked.push({ message, name: result.waits });
        if (result.frees !== null) {
          const waiting = parked.filter(({ name }) => name === result.frees);
          parked = parked.filter(({ name }) => name !== result.frees);
          for (const one of waiting) arrive(one.message, true);
        }
        return result.asks || memory.asks(message.at).length > 0;
      };
      const send = (message: Message): void => {
        if (random() < loss) return;
        recent.push(message);
        if (recent.length > 60) recent.shift();
        if (arrive(message)) isAsked = true;
      };
      const sendAll = (births: readonly Message[]) => births.forEach(send);
      sendAll(sender.births());
      for (let i = 0; i < 1_500; i += 1) {
        // A node that is asked answers, and the answer may be lost too.
        if (isAsked) {
          isAsked = false;
          sendAll(sender.births());
        }
        const dice = random();
        if (dice < 0.005) {
          sessions += 1;
          arrive(sender.death()); // a will has QoS 1
          sender.deal();
          sendAll(sender.births());
        } else if (dice < 0.01) {
          sender.deal();
          send(sender.deviceBirth());
        } else if (dice < 0.015) {
          restarts += 1;
          memory = decoder.remember!(memory.save());
          parked = [];
          for (let k = random() * 10; k > 0; k -= 1) sender.data(); // nobody hears them
          // What was not settled comes again, in order.
          for (const message of recent.slice(-Math.floor(random() * 40))) arrive(message);
        } else if (dice < 0.02 && recent.length > 0) arrive(recent[Math.floor(random() * recent.length)]);
        else if (dice < 0.025 && recent.length > 0)
          arrive(recent[Math.floor(random() * recent.length)], true);
        else send(sender.data());
      }
    }
    expect(misread).toBe(0);
    expect(restarts).toBeGreaterThan(50);
    expect(sessions).toBeGreaterThan(50);
    expect(read).toBeGreaterThan(loss < 0.1 ? 15_000 : 3_000);
  },
);

test('where the transport keeps what is not settled, kills cost nothing: all is read, nothing waits', () => {
  let [kills, read] = [0, 0];
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = mulberry(seed);
    const sender = new Sender(random);
    let memory = decoder.remember!(null);
    let saved = memory.save();
    // Acknowledged in order, and only when what the message taught is saved.
    const unsettled: Message[] = [];
    const arrive = (message: Message): void => {
      const taken = take(memory, message, false, true);
      expect([taken.misread, taken.waits, taken.refused]).toEqual([0, null, undefined]);
      if (memory.urgent) saved = memory.save();
      read += taken.read;
    };
    const send = (message: Message): void => {
      unsettled.push(message);
      arrive(message);
      while (unsettled.length > random() * 30) unsettled.shift();
    };
    sender.births().forEach(send);
    for (let i = 0; i < 1_000; i += 1) {
      const dice = random();
      if (dice < 0.005) {
        send(sender.death());
        sender.deal();
        sender.births().forEach(send);
      } else if (dice < 0.01) {
        sender.deal();
        send(sender.deviceBirth());
      } else if (dice < 0.02) {
        kills += 1;
        memory = decoder.remember!(saved);
        for (const message of unsettled) arrive(message);
      } else send(sender.data());
    }
  }
  expect(kills).toBeGreaterThan(100);
  expect(read).toBeGreaterThan(15_000);
});
