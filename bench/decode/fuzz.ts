/**
 * Mutated messages through the decoders of readings. Promises: what is thrown must be one of their codes, what comes out
 * must keep the promises of an event, time must stay within a bound by byte (the least of several runs, so that a busy
 * machine accuses nobody), memory must not grow. A decoder with a memory keeps it for the whole run, is saved and restored
 * on the way, and must come back the same. The first failure ends the run with the input that shows it.
 */
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Decoder, DecoderMemory, Event, Message } from '../../src/contract.ts';
import { decoders } from '../../src/decode/index.ts';
import { SluiceError } from '../../src/errors.ts';
import { Mutator } from '../mail/mutate.ts';
import { FIELDS, type Format, seeds, tokens, topics } from './seeds.ts';

export interface FuzzOptions {
  readonly format: Format;
  readonly seed: number;
  readonly inputs: number;
  /** What is fuzzed, where nothing else is given the decoder of the table. */
  readonly decoder?: Decoder;
  /** Called a few times a second; false ends the run. */
  onProgress?(inputs: number): boolean;
  /** Called with each input before it is decoded, for a watchdog on another thread. */
  onInput?(input: Uint8Array): void;
}

export interface FuzzReport {
  readonly format: Format;
  readonly inputs: number;
  readonly bytes: number;
  readonly events: number;
  readonly seconds: number;
  readonly memory: number;
  /** How often each code was answered; `none` for what was read, `waits` for what waits. */
  readonly codes: Readonly<Record<string, number>>;
  readonly failure: { readonly why: string; readonly input: string; readonly topic: string } | null;
}

/** Longest input. */
const ROOM = 512;
const BATCH = 1_000;
/** A memory is saved, restored and compared so seldom. */
const RESTART_EVERY = 100_000;
/** Growth beyond this between the first tenth and the end is a leak. */
const MAX_GROWTH = 16 * 1024 ** 2;
/** What an input may cost: room for slow machines and for the clock. */
const LIMIT_MS = (bytes: number): number => 0.5 + bytes * 0.0005;
const CODES = /^DECODE_(EMPTY|TOO_LARGE|JSON|DEPTH|SHAPE|TYPE|WIRE|VERSION|ALIAS)$/;
const NOW = Date.UTC(2026, 0, 5, 10);

/** The decoder of a format, with fields for all that it reads. */
export function openFormat(format: Format): Decoder {
  const { options, open } = decoders[format] as unknown as {
    options: { parse(given: unknown): unknown };
    open(options: unknown): Decoder;
  };
  const few = { maxDepth: 16, maxEvents: 50 };
  const more = {
    json: { ...few, columns: true, time: '/time', device: { pointer: '/device' } },
    senml: few,
    sparkplug: { maxNodes: 50, maxAliases: 500 },
  } as const;
  return open(options.parse({ fields: FIELDS, ...more[format] }));
}

export function fuzz(settings: FuzzOptions): FuzzReport {
  return new Fuzzer(settings).run();
}

class Fuzzer {
  readonly #settings: FuzzOptions;
  readonly #decoder: Decoder;
  readonly #mutator: Mutator;
  readonly #topics: readonly string[];
  readonly #codes: Record<string, number> = {};
  #memory: DecoderMemory | null;
  #inputs = 0;
  #bytes = 0;
  #events = 0;
  #topic = 0;
  #failure: FuzzReport['failure'] = null;

  constructor(settings: FuzzOptions) {
    const { format, seed } = settings;
    this.#settings = settings;
    this.#decoder = settings.decoder ?? openFormat(format);
    this.#mutator = new Mutator([...seeds[format]], seed, ROOM, tokens[format]);
    this.#topics = topics[format];
    this.#memory = this.#decoder.remember?.(null) ?? null;
  }

  run(): FuzzReport {
    const { format, inputs, onProgress } = this.#settings;
    const started = performance.now();
    let early = 0;
    let told = started;
    while (this.#inputs < inputs && this.#failure === null) {
      for (let i = 0; i < BATCH && this.#failure === null; i += 1) this.#take(this.#next());
      if (this.#inputs % RESTART_EVERY === 0) this.#restart();
      if (early === 0 && this.#inputs >= inputs / 10) early = liveMemory();
      if (performance.now() - told < 400) continue;
      told = performance.now();
      if (onProgress?.(this.#inputs) === false) break;
    }
    const memory = liveMemory();
    if (early > 0 && memory > early + MAX_GROWTH)
      this.#fail(`memory grew from ${early} to ${memory} bytes`, null);
    return {
      ...{ format, inputs: this.#inputs, bytes: this.#bytes, events: this.#events, memory },
      seconds: (performance.now() - started) / 1_000,
      codes: this.#codes,
      failure: this.#failure,
    };
  }

  /** Where a memory goes wrong only good messages show it: every other one is, at a topic that may not be its own. */
  #next(): Buffer {
    const good = seeds[this.#settings.format];
    const isGood = this.#memory !== null && this.#inputs % 2 === 0;
    return isGood ? good[(this.#inputs * 5 + this.#topic) % good.length] : this.#mutator.next();
  }

  #take(input: Buffer): void {
    this.#settings.onInput?.(input);
    this.#inputs += 1;
    this.#bytes += input.length;
    this.#topic = (this.#topic * 7 + this.#inputs + input.length) % this.#topics.length;
    const message = this.#message(input);
    const start = performance.now();
    const code = this.#outcome(message);
    const took = performance.now() - start;
    this.#codes[code] = (this.#codes[code] ?? 0) + 1;
    if (code !== 'none' && code !== 'waits' && !CODES.test(code)) this.#fail(code, message);
    else if (took > LIMIT_MS(input.length) && this.#least(message) > LIMIT_MS(input.length))
      this.#fail('slow', message);
  }

  #message(payload: Buffer): Message {
    const topic = this.#topics[this.#topic];
    return { source: 'fuzz', topic, key: null, payload, headers: {}, at: NOW, position: '' };
  }

  /** `none`, `waits`, a code, or in words what was broken. */
  #outcome(message: Message): string {
    try {
      if (!this.#memory) return this.#broken(this.#decoder.decode(message)) ?? 'none';
      const isAgain = this.#inputs % 5 === 0;
      const { events, refusal, waitsFor, requests } = this.#memory.take(message, NOW + this.#inputs, isAgain);
      if (requests.length > 2) return 'too many requests';
      if (waitsFor !== null) return events.length > 0 ? 'waits with events' : 'waits';
      return refusal?.code ?? this.#broken(events) ?? 'none';
    } catch (error) {
      return error instanceof SluiceError
        ? error.code
        : `threw ${error instanceof Error ? error.stack : error}`;
    }
  }

  /** The promise that an event breaks, null where all are kept. */
  #broken(events: readonly Event[]): string | null {
    if (events.length > 600) return 'too many events';
    this.#events += events.length;
    for (const { id, device, at, body } of events) {
      if (id === '' || device === '' || device.length > 2_000) return 'an event without a name';
      if (!Number.isFinite(at) || Math.abs(at) > 8.64e15) return 'a time that is none';
      if (body.kind !== 'reading' || body.values.length !== 6) return 'a body that is no reading';
      if (!body.values.some((value) => !Number.isNaN(value)) && body.categories.every((one) => one === null))
        return 'a reading of nothing';
      if (body.values[0] < -40 || body.values[0] > 200 || !isCategory(body.categories[1]))
        return 'a value out of range';
    }
    return null;
  }

  /** The least of some runs, ms. */
  #least(message: Message): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 10; i += 1) {
      const start = performance.now();
      this.#outcome(message);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  }

  #restart(): void {
    if (!this.#memory) return;
    const saved = this.#memory.save();
    const memory = this.#decoder.remember!(saved);
    if (!Buffer.from(memory.save()).equals(saved))
      this.#fail('a memory that was restored is another one', null);
    if (saved.length > 1_000_000) this.#fail(`a memory of ${saved.length} bytes`, null);
    this.#memory = memory;
  }

  #fail(why: string, message: Message | null): void {
    const input = Buffer.from(message?.payload ?? []).toString('base64');
    this.#failure ??= { why, input, topic: message?.topic ?? '' };
  }
}

const isCategory = (text: string | null): boolean => text === null || text === 'auto' || text === 'hand';

/** Bytes in use by this thread after a collection. */
function liveMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
