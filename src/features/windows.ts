/**
 * The last readings of each device, in order of event time. Promises: what is remembered does not depend on the order in
 * which readings came (within `latenessMs` and the room of a ring); a reading that is there already changes nothing, so
 * redelivery does not count twice; memory is bounded by `devices`, and who was not heard longest gives way (second
 * chance). A window that is no longer held whole is `unknown`, never half: a row is a function of the readings before
 * it, or says that it cannot be.
 *
 * Clocks of devices lie. A reading from far in the future would make everything after it late for ever, so a device
 * whose readings come too late RESTART times in a row has set its clock back and begins anew.
 *
 * Readings without any time (`at` 0) are in the order in which they come.
 */
import type { Event } from '../contract.ts';
import { Rings } from './rings.ts';

const RESTART = 16;
/** Room beside the window, for readings that come late. */
const SLACK = 16;
const FIRST = 64;
/** Beside its ring: a name, its place, a few numbers. */
const DEVICE_BYTES = 256;

export interface WindowBounds {
  /** Readings before the current one, at most. */
  readonly count: number;
  /** ms before the current one, at most; 0: no bound. */
  readonly spanMs: number;
  /** ms behind the newest reading of its device after which a reading is not remembered any more. */
  readonly latenessMs: number;
  readonly devices: number;
}

/** A reading that was remembered once. */
export interface Recalled {
  readonly id: string;
  readonly at: number;
  /** By field. */
  readonly values: Float64Array;
}

/** What is remembered of one device. */
export interface Ring {
  /** The stream that it is known by. */
  readonly stream: string;
  readonly device: string;
  /** The newest time let go of, -Infinity for none. */
  readonly gone: number;
  /** Too late in a row. */
  readonly lates: number;
  /** Since the hand came by last. */
  readonly heard: boolean;
  /** Time, identity and values of each reading, in order. */
  readonly numbers: Float64Array;
}

const capacityOf = (count: number): number => 2 ** Math.ceil(Math.log2(count + SLACK));

export class DeviceWindows {
  readonly bounds: WindowBounds;
  readonly #rings: Rings;
  /** Slots of devices, by stream. */
  readonly #streams = new Map<string, Map<string, number>>();
  /** Those of the stream that is being read. */
  #slots: Map<string, number>;
  #stream = '';
  #used = 0;
  readonly #free: number[] = [];
  // By slot.
  readonly #names: string[] = [];
  /** The stream of each; null: the slot is free. */
  readonly #homes: (string | null)[] = [];
  #lates = new Int32Array(FIRST);
  #heard = new Uint8Array(FIRST);
  /** The newest time that a ring has let go of; -Infinity: none. */
  #gone = new Float64Array(FIRST);
  /** Not heard since it was restored. */
  #stale = new Uint8Array(FIRST);
  /** Who is looked at first where somebody has to give way. */
  #hand = 0;
  #recall: ((device: string, after: number) => readonly Recalled[]) | null = null;
  /** Devices that are not known here may be known elsewhere: so many are still looked for there. 0 once any was restored. */
  #cold: number;
  #told = { late: 0, duplicates: 0, evicted: 0, restarted: 0 };
  // Of the last `seek`: the reading, its place among those remembered, and its window.
  #slot = -1;
  #id = 0;
  #time = 0;
  #found = -1;
  #tooLate = false;
  #from = 0;
  #to = 0;
  /** The ring has let go of a part of the window. */
  unknown = false;

  constructor(fields: number, bounds: WindowBounds) {
    this.bounds = bounds;
    this.#cold = bounds.devices;
    this.#slots = this.#streamOf('');
    this.#rings = new Rings(fields, capacityOf(bounds.count));
  }

  /** Bytes that one device takes. */
  static bytesOf(fields: number, count: number): number {
    return 8 * (2 + fields) * capacityOf(count) + DEVICE_BYTES;
  }

  /** Readings of a device, at most. */
  get capacity(): number {
    return this.#rings.capacity;
  }

  get devices(): number {
    return this.#used - this.#free.length;
  }

  get bytes(): number {
    return this.#rings.bytes + this.#used * DEVICE_BYTES;
  }

  /** What happened since the last call. */
  take(): { late: number; duplicates: number; evicted: number; restarted: number } {
    const told = this.#told;
    this.#told = { late: 0, duplicates: 0, evicted: 0, restarted: 0 };
    return told;
  }

  /**
   * What comes from now on is of this stream (a source and its partition): the same device in another one is another. Who
   * reads which partition changes; what a window holds must not depend on which of them were read together.
   */
  enter(stream: string): void {
    this.#slots = this.#streamOf(stream);
  }

  #streamOf(stream: string): Map<string, number> {
    let slots = this.#streams.get(stream);
    if (!slots) {
      slots = new Map();
      this.#streams.set(stream, slots);
    }
    this.#stream = stream;
    return slots;
  }

  /** Finds the window of a reading: those of its device with an earlier time. Does not remember it. */
  seek({ device, id, weak, at }: Event): void {
    this.#slot = this.#slots.get(device) ?? -1;
    if (this.#recall !== null && at !== 0 && this.#isBehind()) this.#catchUp(device);
    this.#locate(identityOf(id), weak, at);
    this.#cut();
  }

  /** Where the reading stands, or would stand. A name of its own makes it the same one at whatever time its transport says. */
  #locate(id: number, weak: boolean, at: number): void {
    const [slot, rings] = [this.#slot, this.#rings];
    this.#id = id;
    this.#found = -1;
    this.#tooLate = false;
    this.#to = 0;
    this.#time = at === 0 ? 1 : at;
    const count = slot < 0 ? 0 : rings.count(slot);
    if (count === 0) return;
    const newest = rings.time(slot, count - 1);
    if (!weak || at !== 0) this.#found = rings.find(slot, id, weak ? at : null);
    if (this.#found >= 0) this.#time = rings.time(slot, this.#found);
    else if (at === 0) this.#time = newest + 1;
    this.#to = rings.before(slot, this.#time);
    if (this.#found >= 0) return;
    const noRoom = count === rings.capacity && this.#to === 0;
    this.#tooLate = newest - this.#time > this.bounds.latenessMs || this.#time <= this.#gone[slot] || noRoom;
  }

  /** The part of the ring that is the window. */
  #cut(): void {
    const { count, spanMs } = this.bounds;
    const to = this.#to;
    this.unknown = false;
    this.#from = Math.max(0, to - count);
    if (this.#slot < 0) return;
    const gone = this.#gone[this.#slot];
    const oldest = this.#time - spanMs;
    if (spanMs > 0)
      while (this.#from < to && this.#rings.time(this.#slot, this.#from) < oldest) this.#from += 1;
    if (to >= count || gone === Number.NEGATIVE_INFINITY || (spanMs > 0 && gone < oldest)) return;
    this.unknown = true;
    this.#from = to;
  }

  /** Copies the known values of a field in the window into `values`, and their times where wanted; how many there are. */
  gather(field: number, values: Float64Array, times: Float64Array | null): number {
    if (this.#slot < 0) return 0;
    return this.#rings.gather(this.#slot, field, this.#from, this.#to, values, times);
  }

  /** Remembers the reading that `seek` was last asked for, unless it is there or too late; `values` by field. */
  keep(device: string, values: Float64Array): void {
    if (this.#slot >= 0) this.#heard[this.#slot] = 1;
    if (this.#found >= 0) {
      this.#told.duplicates += 1;
      return;
    }
    if (this.#tooLate) {
      this.#told.late += 1;
      this.#lates[this.#slot] += 1;
      if (this.#lates[this.#slot] < RESTART) return;
      this.#told.restarted += 1;
      this.#clear(this.#slot);
      this.#to = 0;
    }
    if (this.#slot < 0) this.#slot = this.#open(device);
    this.#lates[this.#slot] = 0;
    this.#insert(values);
  }

  #insert(values: Float64Array): void {
    const [slot, rings, time] = [this.#slot, this.#rings, this.#time];
    const count = rings.count(slot);
    let at = this.#to;
    // Those of the same moment stand by their identity: the order in which they came leaves no trace.
    while (at < count && rings.time(slot, at) === time && rings.id(slot, at) < this.#id) at += 1;
    if (count === rings.capacity) this.#gone[slot] = rings.time(slot, 0);
    rings.insert(slot, at, time, this.#id, values);
  }

  // ------------------------------------------------------------ devices

  #open(device: string): number {
    const slot = this.#free.pop() ?? (this.#used < this.bounds.devices ? this.#grow() : this.#evict());
    this.#clear(slot);
    this.#slots.set(device, slot);
    this.#names[slot] = device;
    this.#homes[slot] = this.#stream;
    // Who was heard once alone gives way before who is heard again and again.
    this.#heard[slot] = 0;
    return slot;
  }

  #clear(slot: number): void {
    this.#rings.clear(slot);
    this.#lates[slot] = 0;
    this.#stale[slot] = 0;
    this.#gone[slot] = Number.NEGATIVE_INFINITY;
  }

  #grow(): number {
    const slot = this.#used;
    this.#used += 1;
    this.#rings.reach(slot + 1);
    if (slot < this.#lates.length) return slot;
    const size = this.#lates.length * 2;
    this.#lates = grown(this.#lates, new Int32Array(size));
    this.#heard = grown(this.#heard, new Uint8Array(size));
    this.#stale = grown(this.#stale, new Uint8Array(size));
    this.#gone = grown(this.#gone, new Float64Array(size));
    return slot;
  }

  /** The hand passes over who was heard since it came by last. */
  #evict(): number {
    const { devices } = this.bounds;
    while (this.#heard[this.#hand] === 1) {
      this.#heard[this.#hand] = 0;
      this.#hand = (this.#hand + 1) % devices;
    }
    const slot = this.#hand;
    this.#hand = (slot + 1) % devices;
    this.#streams.get(this.#homes[slot] ?? '')?.delete(this.#names[slot]);
    this.#told.evicted += 1;
    return slot;
  }

  // ------------------------------------------------------------ saved and restored

  /** Readings of a device that were made after what is restored was saved; asked for once a device. */
  recall(find: (device: string, after: number) => readonly Recalled[]): void {
    this.#recall = find;
  }

  #isBehind(): boolean {
    return this.#slot < 0 ? this.#cold > 0 : this.#stale[this.#slot] === 1;
  }

  #catchUp(device: string): void {
    const count = this.#slot < 0 ? 0 : this.#rings.count(this.#slot);
    const after = count > 0 ? this.#rings.time(this.#slot, count - 1) : Number.MIN_SAFE_INTEGER;
    const told = { ...this.#told };
    if (this.#slot >= 0) this.#stale[this.#slot] = 0;
    else this.#cold -= 1;
    for (const { id, at, values } of this.#recall!(device, after)) {
      this.#locate(identityOf(id), true, at);
      this.keep(device, values);
    }
    this.#told = told;
  }

  /** The devices of the stream that is being read. */
  forgetStream(): void {
    for (const slot of this.#slots.values()) {
      this.#free.push(slot);
      this.#homes[slot] = null;
    }
    this.#slots.clear();
  }

  /** All devices of all streams. */
  forget(): void {
    this.#streams.clear();
    this.#free.length = 0;
    this.#used = 0;
    this.enter('');
    this.#hand = 0;
    this.#heard.fill(0);
    this.#cold = this.bounds.devices;
  }

  /** Everything remembered, one device after the other; readings may come in between. */
  *rings(): Generator<Ring> {
    for (let slot = 0; slot < this.#used; slot += 1) {
      const stream = this.#homes[slot];
      if (stream === null) continue;
      const heard = this.#heard[slot] === 1;
      const [device, gone, lates] = [this.#names[slot], this.#gone[slot], this.#lates[slot]];
      yield { stream, device, gone, lates, heard, numbers: this.#rings.read(slot) };
    }
  }

  /** Adds one of `rings`, as long as there is room. */
  addRing({ stream, device, gone, lates, heard, numbers }: Ring): void {
    this.enter(stream);
    if (this.#slots.has(device) || this.#used >= this.bounds.devices) return;
    const slot = this.#open(device);
    this.#rings.write(slot, numbers);
    this.#gone[slot] = gone;
    this.#lates[slot] = lates;
    this.#heard[slot] = heard ? 1 : 0;
    this.#stale[slot] = 1;
    this.#cold = 0;
  }

  get hand(): number {
    return this.#hand;
  }

  set hand(slot: number) {
    this.#hand = Math.max(0, Math.trunc(slot) || 0) % this.bounds.devices;
  }
}

function grown<T extends Int32Array | Uint8Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** 52 bits of an identity: two FNV-1a hashes side by side. */
function identityOf(id: string): number {
  let a = 0x811c9dc5;
  let b = 0x2f0b4c27;
  for (let i = 0; i < id.length; i += 1) {
    const unit = id.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x01000193) ^ (b >>> 15);
  }
  return (a >>> 0) * 2 ** 20 + (b >>> 12);
}
