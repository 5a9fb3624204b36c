/**
 * Readings of many devices in order of time, a ring each, as plain numbers in slabs of SLAB rings. Promises: nothing is
 * allocated once a slab is there; a reading is put in its place wherever that is, and where the ring is full the oldest
 * gives way. Knows nothing of devices, lateness or windows: windows.ts does.
 */

const SLAB = 64;

interface Slab {
  /** ms, by slot and place in its ring. */
  readonly times: Float64Array;
  readonly ids: Float64Array;
  /** By slot, field and place in its ring; NaN: missing. */
  readonly values: Float64Array;
}

export class Rings {
  readonly fields: number;
  /** Readings in a ring, at most; a power of two. */
  readonly capacity: number;
  readonly #mask: number;
  readonly #slabs: Slab[] = [];
  #heads = new Int32Array(SLAB);
  #counts = new Int32Array(SLAB);

  constructor(fields: number, capacity: number) {
    this.fields = fields;
    this.capacity = capacity;
    this.#mask = capacity - 1;
  }

  get bytes(): number {
    return this.#slabs.length * SLAB * this.capacity * (2 + this.fields) * 8 + this.#heads.length * 8;
  }

  /** Makes room for slots below `slots`. */
  reach(slots: number): void {
    while (slots > this.#slabs.length * SLAB) {
      const numbers = SLAB * this.capacity;
      this.#slabs.push({
        times: new Float64Array(numbers),
        ids: new Float64Array(numbers),
        values: new Float64Array(numbers * this.fields),
      });
    }
    if (slots <= this.#heads.length) return;
    const [heads, counts] = [new Int32Array(slots * 2), new Int32Array(slots * 2)];
    heads.set(this.#heads);
    counts.set(this.#counts);
    [this.#heads, this.#counts] = [heads, counts];
  }

  clear(slot: number): void {
    this.#heads[slot] = 0;
    this.#counts[slot] = 0;
  }

  count(slot: number): number {
    return this.#counts[slot];
  }

  #place(slot: number, i: number): number {
    return (slot & (SLAB - 1)) * this.capacity + ((this.#heads[slot] + i) & this.#mask);
  }

  /** ms of reading `i`, 0 the oldest. */
  time(slot: number, i: number): number {
    return this.#slabs[(slot / SLAB) | 0].times[this.#place(slot, i)];
  }

  id(slot: number, i: number): number {
    return this.#slabs[(slot / SLAB) | 0].ids[this.#place(slot, i)];
  }

  /** Which reading has this identity, -1 for none; with `at` that time too. */
  find(slot: number, id: number, at: number | null): number {
    const { times, ids } = this.#slabs[(slot / SLAB) | 0];
    for (let i = this.#counts[slot] - 1; i >= 0; i -= 1) {
      const place = this.#place(slot, i);
      if (ids[place] === id && (at === null || times[place] === at)) return i;
      if (at !== null && times[place] < at) return -1;
    }
    return -1;
  }

  /** How many readings are before `time`. */
  before(slot: number, time: number): number {
    const { times } = this.#slabs[(slot / SLAB) | 0];
    let i = this.#counts[slot];
    while (i > 0 && times[this.#place(slot, i - 1)] >= time) i -= 1;
    return i;
  }

  /** Copies the known values of a field of readings [from, to), and their times where wanted; how many there are. */
  gather(
    slot: number,
    field: number,
    from: number,
    to: number,
    values: Float64Array,
    times: Float64Array | null,
  ): number {
    const slab = this.#slabs[(slot / SLAB) | 0];
    const base = (slot & (SLAB - 1)) * this.capacity;
    const start = base * this.fields + field * this.capacity;
    const first = (this.#heads[slot] + from) & this.#mask;
    let n = 0;
    // From `first` to the end of the ring, then from its begin.
    for (let left = to - from, place = first; left > 0; place = 0) {
      const end = Math.min(this.capacity, place + left);
      left -= end - place;
      for (; place < end; place += 1) {
        const value = slab.values[start + place];
        if (Number.isNaN(value)) continue;
        values[n] = value;
        if (times !== null) times[n] = slab.times[base + place];
        n += 1;
      }
    }
    return n;
  }

  /** Puts a reading before the i-th. Where the ring is full the oldest goes, which must not be this one (i > 0). */
  insert(slot: number, i: number, time: number, id: number, values: Float64Array): void {
    const { capacity, fields } = this;
    const mask = this.#mask;
    const slab = this.#slabs[(slot / SLAB) | 0];
    let [count, at] = [this.#counts[slot], i];
    if (count === capacity) {
      this.#heads[slot] = (this.#heads[slot] + 1) & mask;
      count -= 1;
      at -= 1;
    }
    const head = this.#heads[slot];
    const base = (slot & (SLAB - 1)) * capacity;
    for (let k = count; k > at; k -= 1) {
      const [to, from] = [(head + k) & mask, (head + k - 1) & mask];
      slab.times[base + to] = slab.times[base + from];
      slab.ids[base + to] = slab.ids[base + from];
      for (let f = 0; f < fields; f += 1) {
        const start = base * fields + f * capacity;
        slab.values[start + to] = slab.values[start + from];
      }
    }
    const place = (head + at) & mask;
    slab.times[base + place] = time;
    slab.ids[base + place] = id;
    for (let f = 0; f < fields; f += 1) slab.values[base * fields + f * capacity + place] = values[f];
    this.#counts[slot] = count + 1;
  }

  /** Time, identity and values of each reading, in order. */
  read(slot: number): Float64Array {
    const width = 2 + this.fields;
    const out = new Float64Array(this.#counts[slot] * width);
    const { values } = this.#slabs[(slot / SLAB) | 0];
    const base = (slot & (SLAB - 1)) * this.capacity;
    for (let i = 0; i < this.#counts[slot]; i += 1) {
      out[i * width] = this.time(slot, i);
      out[i * width + 1] = this.id(slot, i);
      const place = base * this.fields + ((this.#heads[slot] + i) & this.#mask);
      for (let f = 0; f < this.fields; f += 1) out[i * width + 2 + f] = values[place + f * this.capacity];
    }
    return out;
  }

  /** Fills an empty ring with what `read` gave, as far as it takes that. */
  write(slot: number, numbers: Float64Array): void {
    const width = 2 + this.fields;
    const count = Math.min(this.capacity, Math.floor(numbers.length / width));
    for (let i = 0; i < count; i += 1) {
      const row = numbers.subarray(i * width, (i + 1) * width);
      this.insert(slot, i, row[0], row[1], row.subarray(2));
    }
  }
}
