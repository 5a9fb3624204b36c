/**
 * What one change of a pool will be when it is on disk: operations, and the counters that go with them. A draft
 * sees its own changes, so that two rows of one event in one batch meet. Nothing of it counts until `commit`
 * resolves; a draft that was refused is thrown away and the pool is what it was.
 */
import type { LabelledRow } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { ByteReader, ByteWriter, wellFormed } from '../codec.ts';
import { costOf, glance, nameKey, numberKey, numberOf, type Op, type PoolTable } from '../database.ts';
import { halves, hash, scoped } from '../hash.ts';
import { type Ground, metaOp, readMeta } from '../room.ts';
import { headAt } from './gather.ts';
import { encodeCells, encodeHead, type PoolHead } from './record.ts';

const STATE = 'pool';
/** Sites of one task; rows of further ones are refused: names cost memory. */
const MAX_SITES = 10_000;
/** What the fixed part of a head takes. */
const HEAD_BYTES = 110;

/** Of one task. */
export interface TaskCounts {
  /** Labelled rows held. */
  readonly rows: number;
  /** Rows ever taken, corrections included: only rises. */
  readonly arrived: number;
}

/** The counters of a pool; all that is kept in memory. */
export interface PoolState {
  readonly next: number;
  readonly bytes: number;
  /** Records held, withdrawals included. */
  readonly records: number;
  readonly tasks: ReadonlyMap<string, TaskCounts>;
  /** By task and site the highest seq ever put; moves together with the rest. */
  readonly sites: ReadonlyMap<string, Map<string, number>>;
}

export function readState(ground: Ground<PoolTable>): PoolState {
  const value = readMeta(ground, STATE);
  if (!value) return { next: 1, bytes: 0, records: 0, tasks: new Map(), sites: new Map() };
  const from = new ByteReader(Buffer.from(value));
  const head = { next: from.f64(), bytes: from.f64(), records: from.f64() };
  const tasks = new Map<string, TaskCounts>();
  for (let left = from.u32(); left > 0; left--)
    tasks.set(from.text(), { rows: from.f64(), arrived: from.f64() });
  const sites = new Map([...tasks.keys()].map((task) => [task, readSites(ground, task)]));
  return { ...head, tasks, sites };
}

/** Where the last seq of a site stands. */
const siteKey = (task: string, site: string): Buffer => Buffer.concat([nameKey(task), nameKey(site)]);

function readSites(ground: Ground<PoolTable>, task: string): Map<string, number> {
  const { sites } = ground.tables;
  const found = new Map<string, number>();
  const range = { start: nameKey(task), end: Buffer.concat([nameKey(task), Buffer.alloc(17, 0xff)]) };
  for (const key of sites.keys(range)) {
    const value = glance(sites, key);
    if (!value) continue;
    const from = new ByteReader(Buffer.from(value));
    found.set(from.text(), from.f64());
  }
  return found;
}

export type Put = 'added' | 'duplicates' | 'corrected' | 'withdrawn' | 'refused';

export class Draft {
  readonly #ground: Ground<PoolTable>;
  readonly #writer = new ByteWriter();
  readonly #ops: Op[] = [];
  readonly #heads = new Map<number, PoolHead | null>();
  readonly #lists = new Map<string, readonly number[]>();
  readonly #sites = new Map<string, Map<string, number>>();
  readonly #state: PoolState;
  readonly #tasks: Map<string, TaskCounts>;
  #next: number;
  #bytes: number;
  #records: number;

  constructor(ground: Ground<PoolTable>, state: PoolState) {
    this.#ground = ground;
    this.#state = state;
    this.#next = state.next;
    this.#bytes = state.bytes;
    this.#records = state.records;
    this.#tasks = new Map(state.tasks);
  }

  get changed(): boolean {
    return this.#ops.length > 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get records(): number {
    return this.#records;
  }

  put(row: LabelledRow): Put {
    const task = wellFormed(row.task);
    const [site, event] = [wellFormed(row.site), wellFormed(row.event)];
    const siteSeq = this.#admit(task, site);
    const cells = row.label < 0 ? null : this.#cells(row);
    if (siteSeq === null || (row.label >= 0 && cells === null)) return 'refused';
    const old = this.find(task, event).find((head) => head.site === site);
    if (old && old.seq >= row.seq) return 'duplicates';
    if (old) this.remove(old);
    const { rows: _, scores: __, ...given } = row;
    const names = site.length + task.length + event.length + row.device.length + row.model.length;
    const headBytes = HEAD_BYTES + names + row.features.length + row.origin.length;
    const size = cells
      ? { cells: row.rows.indptr[1] - row.rows.indptr[0], denseDims: row.rows.denseDims }
      : { cells: 0, denseDims: 0 };
    const bytes = costOf(headBytes) + (cells ? costOf(cells.length) : 0);
    const storedAt = this.#ground.clock.now();
    const time = Math.min(row.labelledAt, storedAt);
    const first = old === undefined;
    this.#enter(
      { ...given, site, task, event, ...size, bytes, storedAt, time, first, position: this.#next++ },
      cells,
    );
    if (row.seq > siteSeq) this.#setSite(task, site, row.seq);
    if (row.label < 0) return 'withdrawn';
    return old ? 'corrected' : 'added';
  }

  #cells(row: LabelledRow): Buffer | null {
    try {
      return encodeCells(this.#writer, row);
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'ROWS_INVALID') return null;
      throw error;
    }
  }

  #enter(head: PoolHead, cells: Buffer | null): void {
    const { task, event, position } = head;
    this.#setHead(head);
    if (cells) this.#ops.push({ table: this.#ground.tables.cells, key: numberKey(position), value: cells });
    const key = this.#nameKey(task, event);
    this.#setList(key, [...this.#list(key), position]);
    this.#bytes += head.bytes;
    this.#records += 1;
    this.#count(task, cells ? 1 : 0, cells ? 1 : 0);
  }

  /** Takes a record out, with all that leads to it. */
  remove(head: PoolHead): void {
    const { task, event, position } = head;
    const { rows, cells } = this.#ground.tables;
    this.#ops.push({ table: rows, key: nameKey(task, position), value: null });
    this.#ops.push({ table: cells, key: numberKey(position), value: null });
    this.#heads.set(position, null);
    const key = this.#nameKey(task, event);
    this.#setList(
      key,
      this.#list(key).filter((other) => other !== position),
    );
    this.#bytes -= head.bytes;
    this.#records -= 1;
    if (head.label >= 0) this.#count(task, -1, 0);
  }

  /** Takes out a damaged record, of which only the key is known. */
  drop(task: string, position: number): void {
    const { rows, cells } = this.#ground.tables;
    this.#ops.push({ table: rows, key: nameKey(task, position), value: null });
    this.#ops.push({ table: cells, key: numberKey(position), value: null });
    this.#records -= 1;
  }

  /** Leaves of a record only what keeps the same label from coming back: site, event, seq. False where no more was there. */
  erase(head: PoolHead): boolean {
    if (head.label < 0 && head.device === '' && head.origin === '') return false;
    const nothing = { label: -1, device: '', origin: '', model: '', at: 0, weight: 1, predicted: -1 };
    const bytes = costOf(HEAD_BYTES + head.site.length + head.task.length + head.event.length);
    this.#setHead({ ...head, ...nothing, features: '', paired: null, cells: 0, denseDims: 0, bytes });
    this.#ops.push({ table: this.#ground.tables.cells, key: numberKey(head.position), value: null });
    this.#bytes += bytes - head.bytes;
    if (head.label >= 0) this.#count(head.task, -1, 0);
    return true;
  }

  /** The records of an event, one a site. */
  find(task: string, event: string): PoolHead[] {
    const named = this.#list(this.#nameKey(task, event)).map((position) => {
      const fresh = this.#heads.get(position);
      return fresh === undefined ? headAt(this.#ground, task, position) : fresh;
    });
    return named.filter((head) => head !== null).filter((head) => head.event === event);
  }

  /** Writes it all, together; resolves to what the pool is from then on. */
  async commit(): Promise<PoolState> {
    const tasks = this.#tasks;
    const counters = { next: this.#next, bytes: Math.max(0, this.#bytes), records: this.#records };
    const out = this.#writer.f64(counters.next).f64(counters.bytes).f64(counters.records).u32(tasks.size);
    for (const [task, { rows, arrived }] of tasks) out.text(task).f64(rows).f64(arrived);
    await this.#ground.lmdb.write([...this.#ops, metaOp(this.#ground, STATE, out.seal())]);
    return { ...counters, tasks, sites: this.#joinedSites() };
  }

  #setHead(head: PoolHead): void {
    this.#heads.set(head.position, head);
    const value = encodeHead(this.#writer, head);
    this.#ops.push({ table: this.#ground.tables.rows, key: nameKey(head.task, head.position), value });
  }

  #count(task: string, rows: number, arrived: number): void {
    const old = this.#tasks.get(task) ?? { rows: 0, arrived: 0 };
    this.#tasks.set(task, { rows: Math.max(0, old.rows + rows), arrived: old.arrived + arrived });
  }

  // ---- names

  #nameKey(task: string, event: string): Buffer {
    hash(scoped(this.#ground.seed, `pool ${task}`), event);
    return Buffer.concat([nameKey(task), numberKey(halves.high * 0x20_0000 + (halves.low >>> 11))]);
  }

  #list(key: Buffer): readonly number[] {
    const fresh = this.#lists.get(key.toString('latin1'));
    if (fresh) return fresh;
    const value = glance(this.#ground.tables.names, key);
    const list: number[] = [];
    for (let end = 8; value && end <= value.length; end += 8) list.push(numberOf(value, end));
    return list;
  }

  #setList(key: Buffer, list: readonly number[]): void {
    this.#lists.set(key.toString('latin1'), list);
    const value = list.length > 0 ? numberKey(...list) : null;
    this.#ops.push({ table: this.#ground.tables.names, key, value });
  }

  // ---- sites

  /** The last seq of a site, 0 for a new one; null where there are too many. */
  #admit(task: string, site: string): number | null {
    const known = this.#state.sites.get(task);
    const fresh = this.#sites.get(task);
    const seq = fresh?.get(site) ?? known?.get(site);
    if (seq !== undefined) return seq;
    return (known?.size ?? 0) + (fresh?.size ?? 0) < MAX_SITES ? 0 : null;
  }

  #setSite(task: string, site: string, seq: number): void {
    const fresh = this.#sites.get(task) ?? new Map<string, number>();
    this.#sites.set(task, fresh.set(site, seq));
    const value = this.#writer.text(site).f64(seq).seal();
    this.#ops.push({ table: this.#ground.tables.sites, key: siteKey(task, site), value });
  }

  /** What is known of the sites, and what this draft adds; the older map goes out of use with its state. */
  #joinedSites(): PoolState['sites'] {
    if (this.#sites.size === 0) return this.#state.sites;
    const sites = new Map(this.#state.sites);
    for (const [task, fresh] of this.#sites) {
      const all = sites.get(task) ?? new Map<string, number>();
      for (const [site, seq] of fresh) all.set(site, seq);
      sites.set(task, all);
    }
    return sites;
  }
}
