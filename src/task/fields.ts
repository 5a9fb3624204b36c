/**
 * Watches what the declared fields of a task bring: passes over readings that lack a field whose absence drops them,
 * counts values that are wrong, and notices fields that never come, or come no more. Promises: nothing is allocated for
 * a reading with nothing wrong in it; a field is silent once it was missing in SILENT readings in a row of all devices
 * together (one device without it is no news), and is told once until it comes again.
 */
import type { Event, FieldFlag, ReadingBody } from '../contract.ts';
import type { DeclaredFields } from '../features/sensor.ts';

/** Readings in a row without a field, after which it is silent. */
const SILENT = 200;

/** What happened to a field since it was last asked for. */
export interface FieldNews {
  readonly field: string;
  /** Values by what was wrong with them; readings passed over for want of the field. */
  readonly counts: ReadonlyMap<FieldFlag['what'] | 'dropped', number>;
  /** True: it has just become silent; false: it is heard again; null: neither. */
  readonly silent: boolean | null;
}

export class FieldWatch {
  /** In declared order. */
  readonly names: readonly string[];
  readonly #category: readonly boolean[];
  /** Places of the fields that a reading must have to be used. */
  readonly #dropping: readonly number[];
  /** Readings in a row without a field. */
  readonly #absent: Int32Array;
  readonly #silent: Uint8Array;
  readonly #counts: Map<FieldFlag['what'] | 'dropped', number>[];
  readonly #turned = new Map<number, boolean>();

  constructor(fields: DeclaredFields) {
    const declared = Object.entries(fields);
    this.names = declared.map(([name]) => name);
    this.#category = declared.map(([, { type }]) => type === 'category');
    this.#dropping = declared.flatMap(([, { missing }], i) => (missing === 'drop' ? [i] : []));
    this.#absent = new Int32Array(declared.length);
    this.#silent = new Uint8Array(declared.length);
    this.#counts = declared.map(() => new Map());
  }

  /** The events to be used. `again`: they were seen before, and are not counted. */
  use(events: readonly Event[], again = false): readonly Event[] {
    if (this.#dropping.length === 0) return events;
    return events.filter(({ body }) => {
      if (body.kind !== 'reading') return true;
      const lacking = this.#dropping.find((i) => this.#isMissing(body, i));
      if (lacking === undefined || again) return lacking === undefined;
      this.#count(lacking, 'dropped');
      this.#look(body);
      return false;
    });
  }

  /** A reading became a row. */
  see({ body }: Event): void {
    if (body.kind === 'reading') this.#look(body);
  }

  #look(body: ReadingBody): void {
    const absent = this.#absent;
    for (let i = 0; i < absent.length; i += 1) {
      if (this.#isMissing(body, i)) {
        absent[i] += 1;
        if (absent[i] === SILENT) this.#turn(i, 1);
      } else if (absent[i] > 0) {
        absent[i] = 0;
        this.#turn(i, 0);
      }
    }
    if (body.flags) for (const { field, what } of body.flags) this.#count(field, what);
  }

  #isMissing(body: ReadingBody, i: number): boolean {
    const value = body.values[i];
    return this.#category[i] ? body.categories[i] === null : Number.isNaN(value);
  }

  #turn(i: number, silent: 0 | 1): void {
    if (this.#silent[i] === silent) return;
    this.#silent[i] = silent;
    this.#turned.set(i, silent === 1);
  }

  #count(i: number, what: FieldFlag['what'] | 'dropped'): void {
    this.#counts[i].set(what, (this.#counts[i].get(what) ?? 0) + 1);
  }

  /** Fields with news since the last call. */
  take(): FieldNews[] {
    const news: FieldNews[] = [];
    for (const [i, field] of this.names.entries()) {
      const silent = this.#turned.get(i) ?? null;
      if (silent === null && this.#counts[i].size === 0) continue;
      news.push({ field, counts: this.#counts[i], silent });
      this.#counts[i] = new Map();
    }
    this.#turned.clear();
    return news;
  }

  /** What is wrong with a reading, by field; undefined where nothing is. */
  flagsOf({ body }: Event): Readonly<Record<string, readonly string[]>> | undefined {
    if (body.kind !== 'reading' || !body.flags) return undefined;
    const flags: Record<string, string[]> = Object.create(null);
    for (const { field, what } of body.flags) {
      const name = this.names[field];
      flags[name] = [...(flags[name] ?? []), what];
    }
    return flags;
  }
}
