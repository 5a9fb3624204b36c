/**
 * What each device does now beside what it usually does, so that an alarm can name where it shows most. Promises: at most
 * `MOST` devices are kept apart, the others share one account; a device that was silent for long makes room. A short
 * and a long running mean of each quantity, nothing else: this names, it does not test.
 */
import { z } from 'zod';
import { count } from '../kind.ts';
import { pack, packed, unpack } from './packed.ts';

const MOST = 1_000;
/** The account of all that have none of their own; no device is called so. */
const POOLED = 0;
/** Values that the short and the long mean remember, about. */
const SHORT = 32;
const LONG = 1_000;
/** Blocks of silence after which a device makes room. */
const SILENT = 1_000;
/** Named with an alarm. */
const NAMED = 5;
/** Longest device name kept: longer ones share the pooled account. */
const MAX_NAME = 512;

export const devicesState = z.strictObject({
  names: z.array(z.string().max(MAX_NAME)).max(MOST),
  seen: z.array(count).max(MOST + 1),
  events: z.array(count).max(MOST + 1),
  blocks: count,
  short: packed,
  long: packed,
});

export class Devices {
  /** Quantities of a device; the last one is its number of events a block. */
  readonly #quantities: number;
  readonly #slots = new Map<string, number>();
  #free: number[] = [];
  #names: (string | null)[] = [null];
  /** By slot: the last block in which it was seen, and its events in the open block. */
  #seen: number[] = [0];
  #events: Float64Array;
  /** By slot and quantity; NaN: unknown. */
  #short: Float32Array;
  #long: Float32Array;
  #blocks = 0;

  constructor(quantities: number) {
    this.#quantities = quantities + 1;
    this.#short = new Float32Array(this.#quantities).fill(NaN);
    this.#long = new Float32Array(this.#quantities).fill(NaN);
    this.#events = new Float64Array(1);
  }

  get size(): number {
    return this.#slots.size;
  }

  /** The account of a device, opened where there is room. */
  slot(device: string): number {
    const known = this.#slots.get(device);
    return known ?? this.#open(device);
  }

  /** An event of the device came. */
  event(slot: number): void {
    this.#events[slot] += 1;
    this.#seen[slot] = this.#blocks;
  }

  /** A value of a quantity; NaN is passed over. */
  add(slot: number, quantity: number, value: number): void {
    if (value - value !== 0) return;
    const at = slot * this.#quantities + quantity;
    const long = this.#long[at];
    if (Number.isNaN(long)) {
      this.#long[at] = value;
      this.#short[at] = value;
      return;
    }
    this.#short[at] += (value - this.#short[at]) / SHORT;
    this.#long[at] += (value - long) / LONG;
  }

  /** Ends a block: activity is folded, devices that fell silent make room. */
  close(): void {
    this.#blocks += 1;
    for (let slot = 1; slot < this.#names.length; slot++) {
      const name = this.#names[slot];
      if (name === null) continue;
      const at = slot * this.#quantities + this.#quantities - 1;
      const events = this.#events[slot];
      this.#events[slot] = 0;
      if (Number.isNaN(this.#long[at])) {
        this.#short[at] = events;
        this.#long[at] = events;
      }
      // A block is many events: activity is smoothed over fewer of them.
      this.#short[at] += ((events - this.#short[at]) * 4) / SHORT;
      this.#long[at] += ((events - this.#long[at]) * 4) / LONG;
      if (this.#blocks - this.#seen[slot] > SILENT) this.#close(slot, name);
    }
    this.#events[POOLED] = 0;
  }

  /** Devices whose quantity moved most in this direction (1, -1; 0 either), strongest first: none far behind the first. */
  moved(quantity: number, direction: number): string[] {
    const shifts: { readonly name: string; readonly by: number }[] = [];
    for (const [name, slot] of this.#slots) {
      const at = slot * this.#quantities + quantity;
      const by = this.#short[at] - this.#long[at];
      const along = direction === 0 ? Math.abs(by) : by * direction;
      if (along > 0) shifts.push({ name, by: along });
    }
    shifts.sort((a, b) => b.by - a.by || (a.name < b.name ? -1 : 1));
    return shifts
      .slice(0, NAMED)
      .filter(({ by }) => by >= shifts[0].by / 2)
      .map(({ name }) => name);
  }

  /** Index of the number of events a block. */
  get activity(): number {
    return this.#quantities - 1;
  }

  /** Forgets what is usual in a quantity: another model scores. */
  forget(quantity: number): void {
    for (let at = quantity; at < this.#long.length; at += this.#quantities) {
      this.#long[at] = NaN;
      this.#short[at] = NaN;
    }
  }

  save(): z.output<typeof devicesState> {
    const used = [POOLED, ...[...this.#slots.values()]];
    const rows = (numbers: Float32Array) => {
      const kept = new Float32Array(used.length * this.#quantities);
      used.forEach((slot, i) => {
        kept.set(
          numbers.subarray(slot * this.#quantities, (slot + 1) * this.#quantities),
          i * this.#quantities,
        );
      });
      return pack(kept);
    };
    return {
      names: [...this.#slots.keys()],
      seen: used.map((slot) => this.#seen[slot]),
      events: used.map((slot) => this.#events[slot]),
      blocks: this.#blocks,
      short: rows(this.#short),
      long: rows(this.#long),
    };
  }

  restore(state: z.output<typeof devicesState>): void {
    const size = state.names.length + 1;
    const short = new Float32Array(size * this.#quantities);
    const long = new Float32Array(size * this.#quantities);
    unpack(state.short, short);
    unpack(state.long, long);
    this.#slots.clear();
    this.#names = [null, ...state.names];
    state.names.forEach((name, i) => {
      this.#slots.set(name, i + 1);
    });
    this.#free = [];
    this.#seen = Array.from({ length: size }, (_, i) => state.seen[i] ?? 0);
    this.#events = Float64Array.from({ length: size }, (_, i) => state.events[i] ?? 0);
    this.#short = short;
    this.#long = long;
    this.#blocks = state.blocks;
  }

  #open(device: string): number {
    if (this.#slots.size >= MOST || device.length > MAX_NAME) return POOLED;
    const slot = this.#free.pop() ?? this.#names.length;
    if (slot === this.#names.length) this.#names.push(device);
    else this.#names[slot] = device;
    if (slot >= this.#events.length) this.#grow();
    this.#seen[slot] = this.#blocks;
    this.#slots.set(device, slot);
    return slot;
  }

  #close(slot: number, name: string): void {
    this.#slots.delete(name);
    this.#names[slot] = null;
    this.#free.push(slot);
    const at = slot * this.#quantities;
    this.#short.fill(NaN, at, at + this.#quantities);
    this.#long.fill(NaN, at, at + this.#quantities);
  }

  #grow(): void {
    const slots = Math.min(MOST + 1, this.#events.length * 2 + 15);
    const wider = (numbers: Float32Array) => {
      const grown = new Float32Array(slots * this.#quantities).fill(NaN);
      grown.set(numbers);
      return grown;
    };
    const events = new Float64Array(slots);
    events.set(this.#events);
    this.#events = events;
    this.#short = wider(this.#short);
    this.#long = wider(this.#long);
  }
}
