/**
 * Decoding with a memory (`Decoder.remember`): messages are decoded in order of arrival, and one that only a later message
 * makes readable waits, unsettled, so that nothing is acknowledged before it is safe. Promises: what waits is bounded by
 * number, bytes and time; what is over the bounds becomes a dead letter (DECODE_UNBORN), the oldest first, and can be
 * replayed; a message that was freed follows the one that freed it, in order of arrival. When reading ends, what its
 * transport would not deliver again becomes a dead letter, the rest is left to it.
 *
 * A message that taught the memory something that a restart must not lose is settled only when that is on disk; with a
 * transport that acknowledges in order, neither is what came after it. A restart between parking and freeing: the transport
 * delivers the message again, and the memory that was saved, or the sender who is asked again, makes it readable. A memory belongs to one source: numbering and names of two brokers never mix.
 */
import type { Clock, Decoded, DecoderMemory, Outgoing } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { Task } from '../task/task.ts';
import type { Telemetry } from '../telemetry.ts';
import { fillRows, type Preparer, type Taker } from './preparer.ts';
import type { Slot } from './settle.ts';

export interface ParkingLimits {
  readonly messages: number;
  readonly bytes: number;
  readonly ms: number;
}

/** Of the credit of a gateway at most this share waits: the message that frees the others must get through. */
const SHARE = 4;
/** Long enough for a sender that is asked; short, since a broker that counts acknowledgements in order waits too. */
const PARKED_MS = 10_000;

export function parkingLimits(maxInFlight: number, maxInFlightBytes: number): ParkingLimits {
  return {
    messages: Math.max(1, Math.floor(maxInFlight / SHARE)),
    bytes: Math.floor(maxInFlightBytes / SHARE),
    ms: PARKED_MS,
  };
}

export interface ParkingContext {
  readonly task: Task;
  /** The memory of the messages of a source. */
  readonly memory: (source: string) => DecoderMemory;
  /** Resolves when what the memory of a source knows now is on disk, or cannot be brought there. Must not reject. */
  readonly keep: (source: string) => Promise<void>;
  /** Publishes on the broker of a source. Must not throw. */
  readonly request: (source: string, requests: readonly Outgoing[]) => void;
  readonly limits: ParkingLimits;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

interface Parked {
  readonly slot: Slot;
  readonly since: number;
}

export class ParkingPreparer implements Preparer {
  readonly #context: ParkingContext;
  readonly #taker: Taker;
  /** By source, then by the name that frees, in order of arrival. */
  readonly #parked = new Map<string, Parked[]>();
  readonly #memories = new Map<string, DecoderMemory>();
  #count = 0;
  #bytes = 0;

  constructor(context: ParkingContext, taker: Taker) {
    this.#context = context;
    this.#taker = taker;
  }

  get hasRoom(): boolean {
    return this.#taker.hasRoom();
  }

  offer(slot: Slot, again: boolean): void {
    const freed = this.#take(slot, again);
    if (freed !== null) this.#free(slot.message.source, freed);
  }

  flush(): void {
    this.#taker.rest();
  }

  goOn(): void {}

  tick(): void {
    const { clock, limits, telemetry, task } = this.#context;
    const now = clock.now();
    for (const [source, memory] of this.#memories) this.#request(source, memory.asks(now));
    this.#bury(({ since }) => now - since > limits.ms, 'did not come in time');
    telemetry.set('parked_messages', { task: task.name }, this.#count);
    telemetry.set('parked_bytes', { task: task.name }, this.#bytes);
  }

  end(forGood: boolean): void {
    this.#bury(({ slot }) => forGood || slot.delivery.comesAgain === false, 'did not come before the end');
  }

  /** The name that the message frees, null for none. */
  #take(slot: Slot, again: boolean): string | null {
    const { task, telemetry, clock } = this.#context;
    const { message } = slot;
    const memory = this.#memory(message.source);
    let decoded: Decoded;
    try {
      decoded = memory.take(message, clock.now(), again, slot.delivery.comesAgain !== false);
    } catch (thrown) {
      this.#taker.refuse(slot, asSluiceError(thrown, 'DECODE_UNEXPECTED'));
      return null;
    }
    if (decoded.lost > 0) telemetry.count('sequence_lost', { task: task.name }, decoded.lost);
    if (decoded.late > 0) telemetry.count('sequence_late', { task: task.name }, decoded.late);
    this.#request(message.source, decoded.requests);
    if (decoded.waitsFor !== null) this.#park(slot, decoded.waitsFor);
    else if (memory.urgent) void this.#keep(slot, decoded);
    else this.#use(slot, decoded);
    return decoded.frees;
  }

  /** What the message taught is brought to disk before it can be settled; its lane is not dry until then. */
  async #keep(slot: Slot, decoded: Decoded): Promise<void> {
    await this.#context.keep(slot.message.source);
    this.#use(slot, decoded);
    this.#taker.rest();
  }

  #use(slot: Slot, { events, refusal }: Decoded): void {
    const { task } = this.#context;
    const kept = task.fields ? task.fields.use(events) : events;
    try {
      if (refusal) throw refusal;
      fillRows(task, slot.message, kept, this.#taker.arena());
    } catch (thrown) {
      this.#taker.refuse(slot, asSluiceError(thrown, 'DECODE_UNEXPECTED'));
      return;
    }
    this.#taker.take(slot, kept);
  }

  #memory(source: string): DecoderMemory {
    let memory = this.#memories.get(source);
    if (!memory) {
      memory = this.#context.memory(source);
      this.#memories.set(source, memory);
    }
    return memory;
  }

  #request(source: string, requests: readonly Outgoing[]): void {
    if (requests.length > 0) this.#context.request(source, requests);
  }

  #park(slot: Slot, name: string): void {
    const { limits, clock } = this.#context;
    const key = keyOf(slot.message.source, name);
    const waiting = this.#parked.get(key);
    const parked = { slot, since: clock.now() };
    if (waiting) waiting.push(parked);
    else this.#parked.set(key, [parked]);
    this.#count += 1;
    this.#bytes += slot.message.payload.byteLength;
    this.#taker.setAside(slot);
    if (this.#count > limits.messages || this.#bytes > limits.bytes) this.#relieve();
  }

  /** Down to nine tenths of the bounds, so that a flood does not look through everything for each message. */
  #relieve(): void {
    const { messages, bytes } = this.#context.limits;
    const byAge = [...this.#parked.values()].flat().sort((a, b) => a.since - b.since);
    const over = new Set<Parked>();
    let [count, size] = [this.#count, this.#bytes];
    for (const parked of byAge) {
      if (count <= 0.9 * messages && size <= 0.9 * bytes) break;
      over.add(parked);
      count -= 1;
      size -= parked.slot.message.payload.byteLength;
    }
    this.#bury((parked) => over.has(parked), 'did not come before too many others waited');
  }

  #bury(isOver: (parked: Parked) => boolean, why: string): void {
    for (const [key, waiting] of this.#parked) {
      const rest = waiting.filter((parked) => !isOver(parked));
      if (rest.length === waiting.length) continue;
      if (rest.length > 0) this.#parked.set(key, rest);
      else this.#parked.delete(key);
      const error = new SluiceError('DECODE_UNBORN', `what it waited for, ${nameIn(key)}, ${why}`);
      for (const parked of waiting) {
        if (!isOver(parked)) continue;
        this.#leave(parked);
        this.#taker.refuse(parked.slot, error);
      }
    }
  }

  #free(source: string, name: string): void {
    const key = keyOf(source, name);
    const waiting = this.#parked.get(key);
    if (!waiting) return;
    this.#parked.delete(key);
    for (const parked of waiting) {
      this.#leave(parked);
      this.#take(parked.slot, true);
    }
  }

  #leave({ slot }: Parked): void {
    this.#count -= 1;
    this.#bytes -= slot.message.payload.byteLength;
    this.#taker.takeUp(slot);
  }
}

const keyOf = (source: string, name: string): string => `${source}\0${name}`;
const nameIn = (key: string): string => key.slice(key.indexOf('\0') + 1);
