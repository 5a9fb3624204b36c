/**
 * The last readings of each device, in order of event time: a ring for each, in slabs of numbers. Promises: what a ring
 * holds does not depend on the order in which readings came (within `latenessMs` and its room); a reading that is there
 * already changes nothing, so redelivery does not count twice; nothing is allocated per reading once a device is known;
 * memory is bounded by `devices`, and who was not heard longest gives way (second chance). A window that the ring no longer
 * holds whole is `unknown`, never half: a row is a function of the readings before it, or says that it cannot be.
 *
 * Clocks of devices lie. A reading from far in the future would make everything after it late for ever, so a device
 * whose readings come too late RESTART times in a row has set its clock back and begins anew.
 *
 * Readings without any time (`at` 0) are in the order in which they come.
 */
import type { Event } from '../contract.ts';

const SLAB = 64;
const RESTART = 16;
/** Room beside the window, for readings that come late. */
const SLACK = 16;

export interface WindowBounds {
  /** Readings before the current one, at most. */
  readonly count: number;
  /** ms before the current one, at most; 0: no bound. */
  readonly spanMs: number;
  /** ms behind the newest reading of its device after which a reading is not remembered any more. */
  readonly latenessMs: number;
  readonly devices: number;
}

interface Slab {
  /** ms, by slot and place in its ring. */
  readonly times: Float64Array;
  readonly ids: Float64Array;
  /** By slot, field and place in its ring; NaN: missing. */
  readonly values: Float64Array;
}

/** What became of a reading that was to be remembered. */
export type Kept = 'kept' | 'duplicate' | 'late';

export class DeviceWindows {
  readonly fields: number;
  readonly bounds: WindowBounds;
  /** Readings a ring holds; a power of two. */
  readonly capacity: number;
  readonly #mask: number;
  readonly #slots = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #slabs: Slab[] = [];
  // By slot.
  #heads = new Int32Array(SLAB);
  #counts = new Int32Array(SLAB);
  /** Times in a row that a reading came too late. */
  #lates = new Int32Array(SLAB);
  #heard = new Uint8Array(SLAB);
  /** The newest time that a ring has let go of; -Infinity: none. */
  #gone = new Float64Array(SLAB);
  #hand = 0;
  // Of the last `seek`.
  #slot = -1;
  #id = 0;
  #found = -1;
  #tooLate = false;
  /** Time of the reading. */
  time = 0;
  /** Its window is the readings [from, to) of the ring, in order of time. */
  from = 0;
  to = 0;
  /** The ring has let go of a part of the window. */
  unknown = false;
  // Since the last `take`.
  #told = { late: 0, duplicates: 0, evicted: 0, restarted: 0 };

  constructor(fields: number, bounds: WindowBounds) {
    this.fields = fields;
    this.bounds = bounds;
    this.capacity = 2 ** Math.ceil(Math.log2(bounds.count + SLACK));
    this.#mask = this.capacity - 1;
  }

  /** Bytes that one device takes. */
  static bytesOf(fields: number, count: number): number {
    return 8 * (2 + fields) * 2 ** Math.ceil(Math.log2(count + SLACK)) + 256;
  }

  get devices(): number {
    return this.#slots.size;
  }

  get bytes(): number {
    const numbers = this.#slabs.length * SLAB * this.capacity * (2 + this.fields) * 8;
    return numbers + this.#heads.length * 21 + this.#slots.size * 200;
  }

  take(): { late: number; duplicates: number; evicted: number; restarted: number } {
    const told = this.#told;
    this.#told = { late: 0, duplicates: 0, evicted: 0, restarted: 0 };
    return told;
  }

  /** Finds the window of a reading: those of its device with an earlier time. Remembers nothing. */
  seek({ device, id, weak, at }: Event): void {
    this.#id = identityOf(id);
    this.#found = -1;
    this.#tooLate = false;
    this.unknown = false;
    this.from = 0;
    this.to = 0;
    this.#slot = this.#slots.get(device) ?? -1;
    if (this.#slot < 0) {
      this.time = at === 0 ? 1 : at;
      return;
    }
    this.#locate(weak, at);
    this.#cut();
  }

  /** Where the reading stands, or would stand. */
  #locate(weak: boolean, at: number): void {
    const slot = this.#slot;
    const { times, ids } = this.#slabs[slot >> 6];
    const base = (slot & 63) * this.capacity;
    const [count, head, mask, id] = [this.#counts[slot], this.#heads[slot], this.#mask, this.#id];
    const newest = count > 0 ? times[base + ((head + count - 1) & mask)] : Number.NEGATIVE_INFINITY;
    // A name of its own makes a reading the same one whatever time its transport gives it; a digest, at the same time only.
    for (let i = count - 1; i >= 0; i -= 1) {
      const place = base + ((head + i) & mask);
      if (ids[place] === id && (!weak || times[place] === at)) {
        this.#found = i;
        break;
      }
      if (weak && times[place] < at) break;
    }
    if (this.#found >= 0) this.time = times[base + ((head + this.#found) & mask)];
    else this.time = at !== 0 ? at : count > 0 ? newest + 1 : 1;
    let to = count;
    while (to > 0 && times[base + ((head + to - 1) & mask)] >= this.time) to -= 1;
    this.to = to;
    if (this.#found < 0)
      this.#tooLate =
        newest - this.time > this.bounds.latenessMs ||
        this.time <= this.#gone[slot] ||
        (count === this.capacity && to === 0);
  }

  /** The part of the ring that is the window. */
  #cut(): void {
    const { count, spanMs } = this.bounds;
    const gone = this.#gone[this.#slot];
    let from = Math.max(0, this.to - count);
    const oldest = this.time - spanMs;
    if (spanMs > 0) while (from < this.to && this.timeAt(from) < oldest) from += 1;
    this.from = from;
    const whole = this.to >= count || gone === Number.NEGATIVE_INFINITY || (spanMs > 0 && gone < oldest);
    if (whole) return;
    this.unknown = true;
    this.from = this.to;
  }

  /** ms of reading `i` of the ring that `seek` found. */
  timeAt(i: number): number {
    const slot = this.#slot;
    return this.#slabs[slot >> 6].times[(slot & 63) * this.capacity + ((this.#heads[slot] + i) & this.#mask)];
  }

  /** Copies the known values of a field in the window into `values` and their times into `times`; how many there are. */
  gather(field: number, values: Float64Array, times: Float64Array): number {
    const slot = this.#slot;
    if (slot < 0) return 0;
    const slab = this.#slabs[slot >> 6];
    const [head, mask, to] = [this.#heads[slot], this.#mask, this.to];
    const base = (slot & 63) * this.capacity;
    const start = base * this.fields + field * this.capacity;
    let n = 0;
    for (let i = this.from; i < to; i += 1) {
      const place = (head + i) & mask;
      const value = slab.values[start + place];
      if (Number.isNaN(value)) continue;
      values[n] = value;
      times[n] = slab.times[base + place];
      n += 1;
    }
    return n;
  }

  /** Remembers the reading that `seek` was last asked for; `values` by field. */
  keep(device: string, values: Float64Array): Kept {
    if (this.#slot >= 0) this.#heard[this.#slot] = 1;
    if (this.#found >= 0) {
      this.#told.duplicates += 1;
      return 'duplicate';
    }
    if (this.#tooLate) {
      this.#told.late += 1;
      this.#lates[this.#slot] += 1;
      if (this.#lates[this.#slot] < RESTART) return 'late';
      this.#told.restarted += 1;
      this.#clear(this.#slot);
      this.to = 0;
    }
    if (this.#slot < 0) this.#slot = this.#open(device);
    this.#lates[this.#slot] = 0;
    this.#insert(values);
    return 'kept';
  }

  #insert(values: Float64Array): void {
    const slot = this.#slot;
    const { times, ids, values: all } = this.#slabs[slot >> 6];
    const [mask, capacity, fields] = [this.#mask, this.capacity, this.fields];
    const base = (slot & 63) * capacity;
    let count = this.#counts[slot];
    let at = this.to;
    // Those of the same moment stand by their identity: the order in which they came leaves no trace.
    while (
      at < count &&
      this.timeAt(at) === this.time &&
      ids[base + ((this.#heads[slot] + at) & mask)] < this.#id
    )
      at += 1;
    if (count === capacity) {
      this.#gone[slot] = times[base + this.#heads[slot]];
      this.#heads[slot] = (this.#heads[slot] + 1) & mask;
      count -= 1;
      at -= 1;
    }
    const head = this.#heads[slot];
    for (let i = count; i > at; i -= 1) {
      const [to, from] = [(head + i) & mask, (head + i - 1) & mask];
      times[base + to] = times[base + from];
      ids[base + to] = ids[base + from];
      for (let f = 0; f < fields; f += 1) {
        const start = base * fields + f * capacity;
        all[start + to] = all[start + from];
      }
    }
    const place = (head + at) & mask;
    times[base + place] = this.time;
    ids[base + place] = this.#id;
    for (let f = 0; f < fields; f += 1) all[base * fields + f * capacity + place] = values[f];
    this.#counts[slot] = count + 1;
  }

  #open(device: string): number {
    const slot = this.#slots.size < this.bounds.devices ? this.#grow() : this.#evict();
    this.#clear(slot);
    this.#slots.set(device, slot);
    this.#names[slot] = device;
    this.#heard[slot] = 1;
    return slot;
  }

  #clear(slot: number): void {
    this.#heads[slot] = 0;
    this.#counts[slot] = 0;
    this.#lates[slot] = 0;
    this.#gone[slot] = Number.NEGATIVE_INFINITY;
  }

  #grow(): number {
    const slot = this.#slots.size;
    if (slot >= this.#slabs.length * SLAB) {
      const numbers = SLAB * this.capacity;
      this.#slabs.push({
        times: new Float64Array(numbers),
        ids: new Float64Array(numbers),
        values: new Float64Array(numbers * this.fields),
      });
    }
    if (slot >= this.#heads.length) {
      const size = this.#heads.length * 2;
      this.#heads = grown(this.#heads, new Int32Array(size));
      this.#counts = grown(this.#counts, new Int32Array(size));
      this.#lates = grown(this.#lates, new Int32Array(size));
      this.#heard = grown(this.#heard, new Uint8Array(size));
      this.#gone = grown(this.#gone, new Float64Array(size));
    }
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
    this.#slots.delete(this.#names[slot]);
    this.#told.evicted += 1;
    return slot;
  }

  /** All devices. */
  forget(): void {
    this.#slots.clear();
    this.#hand = 0;
    this.#heard.fill(0);
  }

  /** Everything remembered, one device after the other, oldest slot first. */
  *rings(): Generator<Ring> {
    for (let slot = 0; slot < this.#slots.size; slot += 1) {
      const count = this.#counts[slot];
      const { times, ids, values } = this.#slabs[slot >> 6];
      const base = (slot & 63) * this.capacity;
      const numbers = new Float64Array(count * (2 + this.fields));
      for (let i = 0; i < count; i += 1) {
        const place = (this.#heads[slot] + i) & this.#mask;
        const row = i * (2 + this.fields);
        numbers[row] = times[base + place];
        numbers[row + 1] = ids[base + place];
        for (let f = 0; f < this.fields; f += 1)
          numbers[row + 2 + f] = values[base * this.fields + f * this.capacity + place];
      }
      const heard = this.#heard[slot] === 1;
      yield { device: this.#names[slot], gone: this.#gone[slot], lates: this.#lates[slot], heard, numbers };
    }
  }

  /** Adds one of `rings`, as long as there is room. */
  addRing({ device, gone, lates, heard, numbers }: Ring): void {
    if (this.#slots.has(device) || this.#slots.size >= this.bounds.devices) return;
    const slot = this.#open(device);
    const width = 2 + this.fields;
    const count = Math.min(this.capacity, Math.floor(numbers.length / width));
    const { times, ids, values } = this.#slabs[slot >> 6];
    const base = (slot & 63) * this.capacity;
    for (let i = 0; i < count; i += 1) {
      times[base + i] = numbers[i * width];
      ids[base + i] = numbers[i * width + 1];
      for (let f = 0; f < this.fields; f += 1)
        values[base * this.fields + f * this.capacity + i] = numbers[i * width + 2 + f];
    }
    this.#counts[slot] = count;
    this.#gone[slot] = gone;
    this.#lates[slot] = lates;
    this.#heard[slot] = heard ? 1 : 0;
  }

  /** Who is looked at first where somebody has to give way. */
  get hand(): number {
    return this.#hand;
  }

  set hand(slot: number) {
    this.#hand = Math.max(0, Math.trunc(slot) || 0) % this.bounds.devices;
  }
}

/** What is remembered of one device. */
export interface Ring {
  readonly device: string;
  /** The newest time let go of, -Infinity for none. */
  readonly gone: number;
  readonly lates: number;
  /** Since the hand came by last. */
  readonly heard: boolean;
  /** Time, identity and values of each reading, in order. */
  readonly numbers: Float64Array;
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
