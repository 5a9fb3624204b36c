/**
 * Sparkplug B 3.0 (Eclipse Foundation, ISO/IEC 20237) to events: what edge nodes and their devices report. Promises: a
 * field is the metric of its name (the tokens of its `pointer` joined by `/`), read by the alias that the node's birth
 * gave it; the device is `<group>/<node>` or `<group>/<node>/<device>`; values come right or missing. All current metrics
 * of a message are one reading at the newest of their times; metrics marked historical are a reading for each time, and so
 * is a field that comes twice. Nodes report by exception: a reading has what changed, and the features know how to fill the
 * rest. Births are readings too, unless `births` is off. A message that touches no declared field gives no events.
 *
 * Refuses: DECODE_WIRE (not a payload), DECODE_TOO_LARGE, DECODE_EMPTY, DECODE_SHAPE and DECODE_TYPE as with JSON,
 * DECODE_ALIAS (see sparkplug/memory.ts), DECODE_UNBORN where it may not wait.
 */
import { z } from 'zod';
import type { Decoded, Decoder, DecoderMemory, Event, Message } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { byteSize } from '../units.ts';
import { deviceOf, deviceOptions, identify } from './identity.ts';
import { fieldsOptions, type GrowingReading, ReadingShape } from './reading.ts';
import { SparkplugMemory, type Value } from './sparkplug/memory.ts';
import { keyOf } from './sparkplug/nodes.ts';
import { isDateTime, metricValue, type Payload } from './sparkplug/payload.ts';
import type { Topic } from './sparkplug/topic.ts';

export const sparkplugOptions = z.strictObject({
  fields: fieldsOptions,
  device: deviceOptions
    .optional()
    .describe('default `<group>/<node>` or `<group>/<node>/<device>` of the topic; `pointer` has no meaning'),
  births: z
    .boolean()
    .default(true)
    .describe('whether the values that a birth brings are readings, or only what comes after it'),
  gaps: z
    .enum(['wait', 'trust'])
    .default('wait')
    .describe(
      'after a gap in `seq`: `wait` for the rebirth, since a birth may be what was lost, or `trust` the births that are known',
    ),
  maxBytes: byteSize.default(1024 ** 2).describe('largest payload; above it DECODE_TOO_LARGE'),
  maxMetrics: z.int().min(1).default(20_000).describe('metrics in one message; above it DECODE_TOO_LARGE'),
  maxNodes: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe('edge nodes that are remembered; the least recently heard is asked for its births again'),
  maxAliases: z
    .int()
    .min(1)
    .max(100_000_000)
    .default(200_000)
    .describe('aliases of all nodes that are remembered, about 60 bytes each'),
});

export type SparkplugOptions = z.infer<typeof sparkplugOptions>;

/** Opens the decoder of Sparkplug B. */
export function openSparkplug(options: SparkplugOptions): Decoder {
  return new SparkplugDecoder(options);
}

class SparkplugDecoder implements Decoder {
  readonly kind = 'reading';
  readonly #options: SparkplugOptions;
  readonly #shape: ReadingShape;
  readonly #names: ReturnType<ReadingShape['names']>;
  #own: DecoderMemory | null = null;

  constructor(options: SparkplugOptions) {
    this.#options = options;
    this.#shape = new ReadingShape(options.fields);
    this.#names = this.#shape.names();
  }

  decode(message: Message): readonly Event[] {
    this.#own ??= this.remember(null);
    const { events, refusal, waitsFor } = this.#own.take(message, message.at, false);
    if (refusal) throw refusal;
    if (waitsFor !== null)
      throw new SluiceError(
        'DECODE_UNBORN',
        `the birth of ${waitsFor} is not known, or may not be the last one`,
      );
    return events;
  }

  remember(saved: Uint8Array | null): DecoderMemory {
    const make = (message: Message, topic: Topic, payload: Payload, values: readonly Value[]) =>
      this.#events(message, topic, payload, values);
    const memory = new SparkplugMemory(this.#options, this.#names, Object.keys(this.#options.fields), make);
    if (saved) memory.nodes.restore(saved);
    return memory;
  }

  #events(message: Message, topic: Topic, payload: Payload, values: readonly Value[]): Decoded['events'] {
    const readings = this.#readings(payload, values).filter(({ reading }) => !isNull(reading));
    if (readings.length === 0) return [];
    const identity = identify(message);
    const { device: options } = this.#options;
    const device =
      options === undefined ? keyOf(topic.group, topic.node, topic.device) : deviceOf(message, options);
    const isOne = readings.length === 1;
    // Written out: objects made of spread parts are slow ones.
    return readings.map(({ at, reading }, i) => ({
      id: isOne ? identity.id : `${identity.id}#${i}`,
      weak: identity.weak,
      device,
      at,
      aliases: NO_ALIASES,
      body: this.#shape.finish(reading, isOne ? '' : ` #${i}`),
    }));
  }

  /** The values by time: a historical one belongs to its own, the others together until a field comes again. */
  #readings(payload: Payload, values: readonly Value[]): Timed[] {
    const past = new Map<number, Timed>();
    const now: Timed[] = [];
    let seen = new Set<number>();
    for (const { metric, field, type } of values) {
      const at = Number.isNaN(metric.at) || metric.at > LAST_TIME ? payload.at : metric.at;
      let timed: Timed | undefined;
      if (metric.historical) timed = past.get(at);
      else if (!seen.has(field)) timed = now.at(-1);
      if (!timed) {
        timed = { at, reading: this.#shape.blank() };
        if (metric.historical) past.set(at, timed);
        else {
          now.push(timed);
          seen = new Set();
        }
      }
      if (!metric.historical) {
        seen.add(field);
        if (at > timed.at) timed.at = at;
      }
      this.#shape.put(timed.reading, field, jsonOf(metricValue(metric, type), type));
    }
    return [...past.values(), ...now];
  }
}

interface Timed {
  at: number;
  readonly reading: GrowingReading;
}

const NO_ALIASES: readonly string[] = [];
/** What Date can hold (ECMA-262 21.4.1.1). */
const LAST_TIME = 8.64e15;
/** Numbers of times below this would be taken for seconds. */
const MS_FROM = 1e11;

/** A time of before 1973 as text, so that nobody takes its milliseconds for seconds. */
function jsonOf(value: ReturnType<typeof metricValue>, type: number): ReturnType<typeof metricValue> {
  const isEarly = isDateTime(type) && typeof value === 'number' && value < MS_FROM;
  return isEarly ? new Date(value).toISOString() : value;
}

/** Whether the sender said of all that it named that it has no value: then there is nothing to judge, and nothing wrong. */
function isNull({ found, given }: GrowingReading): boolean {
  return !found && given !== null && [...given.values()].every((raw) => raw === null);
}
