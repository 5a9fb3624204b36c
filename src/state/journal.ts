/**
 * The labels of every task in the order in which they are learned, each with its row: the truth that a model
 * is the fold of. Entries lie under [task, seq]; seq rises over all tasks. `labels` finds the newest entry of
 * an event: under a 64-bit hash of task and event stands the list of newest seqs of the events with that hash
 * (nearly always one), and the entry's own names decide.
 *
 * What a model learned as its own label (OWN_LABEL) is an entry too, below the label of its event: it stays effective
 * beside the first label, and goes with it when that is replaced or withdrawn. On disk such a label names it as
 * what it supersedes, negative.
 *
 * Pruning never takes what the newest snapshot of the task does not hold; older snapshots that lie before the
 * pruned part are dropped with it, since nothing could be replayed onto them.
 */
import type { JoinedRow, JournalEntry, Journal as JournalPart } from '../contract.ts';
import { OWN_LABEL } from '../model/kinds.ts';
import { ByteReader, ByteWriter, readJoined, wellFormed, writeJoined } from './codec.ts';
import { costOf, glance, LAST, nameKey, numberKey, numberOf, type Op } from './database.ts';
import { halves, hash, scoped } from './hash.ts';
import { demandGateway, metaOp, type Rooms, readMeta, SLICE, tellDamage } from './room.ts';
import type { SnapshotRoom } from './snapshots.ts';

const STATE = 'journal';

interface Newest {
  readonly seq: number;
  readonly label: number;
}

/** What pruning knows of a task. `pruned` is the last seq removed, 0 while the journal is whole. */
interface TaskState {
  pruned: number;
}

export class Journal implements JournalPart {
  readonly #rooms: Rooms;
  readonly #snapshots: SnapshotRoom;
  readonly #writer = new ByteWriter();
  readonly #tasks = new Map<string, TaskState>();
  #next = 1;
  #bytes = 0;
  /** Of events whose newest entry is not on disk yet; and the lists under their hashes. */
  readonly #newest = new Map<string, Newest>();
  /** Of events whose own label is not on disk yet: its seq. */
  readonly #own = new Map<string, number>();
  readonly #lists = new Map<string, readonly number[]>();

  constructor(rooms: Rooms, snapshots: SnapshotRoom) {
    this.#rooms = rooms;
    this.#snapshots = snapshots;
    rooms.lmdb.onFailure(() => this.#load());
    this.#load();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing of this task was ever pruned. */
  isWhole(task: string): boolean {
    return (this.#tasks.get(task)?.pruned ?? 0) === 0;
  }

  async append(
    entries: readonly Omit<JournalEntry, 'seq' | 'supersedes'>[],
    entered?: (entries: readonly JournalEntry[]) => void,
  ): Promise<JournalEntry[]> {
    demandGateway(this.#rooms);
    const ops: Op[] = [];
    const done = entries.map((entry) => this.#enter(entry, ops)).filter((entry) => entry !== null);
    if (done.length === 0) return [];
    const written = this.#write(ops);
    entered?.(done);
    await written;
    for (const { task, event, seq } of done) {
      const name = `${task}\0${wellFormed(event)}`;
      if (this.#newest.get(name)?.seq === seq) this.#newest.delete(name);
      if (this.#own.get(name) === seq) this.#own.delete(name);
    }
    return done;
  }

  #enter(entry: Omit<JournalEntry, 'seq' | 'supersedes'>, ops: Op[]): JournalEntry | null {
    const event = wellFormed(entry.event);
    const { task, label } = entry;
    const old = this.#newestOf(task, event)?.seq ?? 0;
    const own = this.ownOf(task, event);
    if (label === OWN_LABEL && (old > 0 || own > 0)) return null;
    const seq = this.#next++;
    const full: JournalEntry = { ...entry, seq, supersedes: old };
    const value = encodeEntry(this.#writer, { ...full, supersedes: old || -own }, this.#rooms.clock.now());
    this.#bytes += costOf(value.length);
    if (!this.#tasks.has(task)) this.#tasks.set(task, { pruned: 0 });
    ops.push({ table: this.#rooms.tables.journal, key: nameKey(task, seq), value });
    // The first label of an event is learned on top of the model's own.
    this.#relist(task, event, old === 0 && label >= 0 ? [] : [old, own], seq, ops);
    const name = `${task}\0${event}`;
    if (label === OWN_LABEL) this.#own.set(name, seq);
    else this.#newest.set(name, { seq, label });
    return full;
  }

  /** In the list of an event's hash, puts `seq` (0: nothing) in the place of `gone`. */
  #relist(task: string, event: string, gone: readonly number[], seq: number, ops: Op[]): void {
    const key = this.#labelKey(task, event);
    const list = this.#listOf(key).filter((other) => !gone.includes(other));
    if (seq > 0) list.push(seq);
    ops.push({ table: this.#rooms.tables.labels, key, value: list.length > 0 ? numberKey(...list) : null });
    this.#lists.set(key.toString('latin1'), list);
  }

  /** Writes ops together with the counters; afterwards the lists they set need no memory. */
  async #write(ops: Op[]): Promise<void> {
    const { labels } = this.#rooms.tables;
    const set = ops.filter(({ table }) => table === labels).map(({ key }) => key.toString('latin1'));
    const lists = set.map((key) => [key, this.#lists.get(key)] as const);
    ops.push(this.#stateOp());
    await this.#rooms.lmdb.write(ops);
    for (const [key, list] of lists) if (this.#lists.get(key) === list) this.#lists.delete(key);
  }

  #labelKey(task: string, event: string): Buffer {
    hash(scoped(this.#rooms.seed, `label ${task}`), event);
    return numberKey(halves.high * 0x20_0000 + (halves.low >>> 11));
  }

  #listOf(key: Buffer): readonly number[] {
    const fresh = this.#lists.get(key.toString('latin1'));
    if (fresh) return fresh;
    const value = glance(this.#rooms.tables.labels, key);
    const list: number[] = [];
    for (let end = 8; value && end <= value.length; end += 8) list.push(numberOf(value, end));
    return list;
  }

  labelOf(task: string, event: string): Newest | null {
    return this.#newestOf(task, wellFormed(event));
  }

  #newestOf(task: string, event: string): Newest | null {
    const underWay = this.#newest.get(`${task}\0${event}`);
    return underWay ?? this.#listed(task, event, (label) => label !== OWN_LABEL);
  }

  ownOf(task: string, event: string): number {
    const named = wellFormed(event);
    const underWay = this.#own.get(`${task}\0${named}`);
    const listed = () => this.#listed(task, named, (label) => label === OWN_LABEL)?.seq ?? 0;
    // Under way it may have been taken out of the list already.
    if (underWay === undefined) return listed();
    return this.#listOf(this.#labelKey(task, named)).includes(underWay) ? underWay : 0;
  }

  /** What the list of an event's hash has of the event. */
  #listed(task: string, event: string, wanted: (label: number) => boolean): Newest | null {
    for (const seq of this.#listOf(this.#labelKey(task, event))) {
      const head = this.#headAt(task, seq);
      if (head && head.event === event && wanted(head.label)) return { seq, label: head.label };
    }
    return null;
  }

  async erase(task: string, events: readonly string[]): Promise<readonly string[]> {
    demandGateway(this.#rooms);
    const ops: Op[] = [];
    const labelled: string[] = [];
    for (const event of events) {
      const newest = this.#newestOf(task, wellFormed(event));
      if (newest && newest.label >= 0) labelled.push(event);
      else if (newest) this.#eraseFrom(task, newest.seq, ops);
    }
    if (ops.length > 0) await this.#write(ops);
    return labelled;
  }

  /** Empties the row of a withdrawal and removes what it superseded: nothing of that is effective. */
  #eraseFrom(task: string, seq: number, ops: Op[]): void {
    const { journal } = this.#rooms.tables;
    const value = glance(journal, nameKey(task, seq));
    if (!value) return;
    try {
      const before = value.length;
      const from = new ByteReader(Buffer.from(value));
      const { storedAt, ...head } = readHead(from);
      const joined = emptied(readJoined(from));
      const entry = encodeEntry(this.#writer, { seq, ...head, joined }, storedAt);
      this.#bytes += costOf(entry.length) - costOf(before);
      ops.push({ table: journal, key: nameKey(task, seq), value: entry });
      for (let older = Math.abs(head.supersedes); older > 0; ) {
        const next: number = Math.abs(this.#headAt(task, older)?.supersedes ?? 0);
        this.#bytes -= costOf(glance(journal, nameKey(task, older))?.length ?? 0);
        ops.push({ table: journal, key: nameKey(task, older), value: null });
        older = next;
      }
    } catch (error) {
      tellDamage(this.#rooms, error, 'journal');
    }
  }

  #headAt(task: string, seq: number): EntryHead | null {
    const value = glance(this.#rooms.tables.journal, nameKey(task, seq));
    if (!value) return null;
    try {
      return readHead(new ByteReader(value));
    } catch (error) {
      tellDamage(this.#rooms, error, 'journal');
      return null;
    }
  }

  read(task: string, after: number, limit: number, { own = false } = {}): Page {
    const wanted: Wanted = (name, seq, head) =>
      (own || head.label !== OWN_LABEL) && this.#isEffective(name, seq, head);
    return this.#pages(task, after, limit, wanted);
  }

  tail(task: string, after: number, limit: number): Page {
    return this.#pages(task, after, limit, (_task, _seq, { label }) => label !== OWN_LABEL);
  }

  before(task: string, newest: number): number {
    const range = { start: nameKey(task, LAST), end: nameKey(task, 0), reverse: true, limit: newest + 1 };
    const keys = this.#rooms.tables.journal.keys(range);
    return keys.length > newest ? numberOf(keys[newest]) : 0;
  }

  #pages(task: string, after: number, limit: number, wanted: Wanted): Page {
    const { journal } = this.#rooms.tables;
    const entries: JournalEntry[] = [];
    let through = after;
    const range = { start: nameKey(task, after + 1), end: nameKey(task, LAST) };
    for (const key of journal.keys({ ...range, limit: Math.max(1, limit) })) {
      through = numberOf(key);
      const entry = this.#entryAt(task, through, wanted);
      if (entry) entries.push(entry);
    }
    return { entries, through };
  }

  /** Unless it withdraws or another has taken its place. */
  #isEffective(task: string, seq: number, head: EntryHead): boolean {
    return head.label !== -1 && this.#listOf(this.#labelKey(task, head.event)).includes(seq);
  }

  #entryAt(task: string, seq: number, wanted: Wanted): JournalEntry | null {
    const value = glance(this.#rooms.tables.journal, nameKey(task, seq));
    if (!value) return null;
    try {
      const from = new ByteReader(Buffer.from(value));
      const head = readHead(from);
      if (!wanted(task, seq, head)) return null;
      const { storedAt: _, ...rest } = head;
      return { seq, ...rest, supersedes: Math.max(0, head.supersedes), joined: readJoined(from) };
    } catch (error) {
      tellDamage(this.#rooms, error, 'journal');
      return null;
    }
  }

  // ---- pruning

  /** Removes the oldest entries that are over the limits and that a snapshot holds. */
  async sweep(): Promise<void> {
    const { limits, clock } = this.#rooms;
    const before = clock.now() - limits.journal.age;
    for (const task of [...this.#tasks.keys()])
      while (await this.#prune(task, SLICE, (head) => head.storedAt < before));
    while (this.#bytes > limits.journal.bytes) {
      const task = this.#oldestHeld();
      if (task === null || !(await this.#prune(task, 64, () => this.#bytes > limits.journal.bytes))) return;
    }
  }

  /** The task whose oldest entry is the oldest of all that a snapshot holds. */
  #oldestHeld(): string | null {
    let oldest = LAST;
    let found: string | null = null;
    for (const task of this.#tasks.keys()) {
      const [key] = this.#rooms.tables.journal.keys(this.#heldRange(task, 1));
      if (key && numberOf(key) < oldest) [oldest, found] = [numberOf(key), task];
    }
    return found;
  }

  #heldRange(task: string, limit: number) {
    return { start: nameKey(task, 0), end: nameKey(task, this.#snapshots.newestPosition(task) + 1), limit };
  }

  /** Removes a task's oldest entries while `wanted`; false where there was nothing to remove. */
  async #prune(task: string, limit: number, wanted: (head: EntryHead) => boolean): Promise<boolean> {
    const { journal } = this.#rooms.tables;
    const ops: Op[] = [];
    let pruned = 0;
    for (const key of journal.keys(this.#heldRange(task, limit))) {
      const seq = numberOf(key);
      const head = this.#headAt(task, seq);
      if (head && !wanted(head)) break;
      this.#bytes -= costOf(glance(journal, nameKey(task, seq))?.length ?? 0);
      ops.push({ table: journal, key: nameKey(task, seq), value: null });
      if (head) this.#relist(task, head.event, [seq], 0, ops);
      pruned = seq;
    }
    if (pruned === 0) return false;
    this.#tasks.set(task, { pruned });
    ops.push(...this.#snapshots.dropBefore(task, pruned));
    await this.#write(ops);
    return true;
  }

  // ---- state

  #stateOp(): Op {
    const out = new ByteWriter().f64(this.#next).f64(this.#bytes).u32(this.#tasks.size);
    for (const [task, { pruned }] of this.#tasks) out.text(task).f64(pruned);
    return metaOp(this.#rooms, STATE, out.seal());
  }

  #load(): void {
    this.#newest.clear();
    this.#own.clear();
    this.#lists.clear();
    this.#tasks.clear();
    this.#next = 1;
    this.#bytes = 0;
    const value = readMeta(this.#rooms, STATE);
    if (!value) return;
    const from = new ByteReader(Buffer.from(value));
    this.#next = from.f64();
    this.#bytes = from.f64();
    for (let left = from.u32(); left > 0; left--) {
      const task = from.text();
      this.#tasks.set(task, { pruned: from.f64() });
    }
  }
}

type EntryHead = Omit<JournalEntry, 'seq' | 'joined'> & { readonly storedAt: number };
type Wanted = (task: string, seq: number, head: EntryHead) => boolean;

interface Page {
  readonly entries: JournalEntry[];
  readonly through: number;
}

/** The row with nothing in it, of the same shape. */
function emptied(row: JoinedRow): JoinedRow {
  const { denseDims } = row.rows;
  const none = new Uint32Array(0);
  const dense = new Float32Array(denseDims).fill(Number.NaN);
  const rows = {
    count: 1,
    indptr: Uint32Array.of(0, 0),
    indices: none,
    values: new Float32Array(0),
    denseDims,
    dense,
  };
  return { ...row, device: '', at: 0, rows, scores: row.scores.map(() => 0), predicted: -1 };
}

function encodeEntry(out: ByteWriter, entry: JournalEntry, storedAt: number): Buffer {
  out.text(entry.task).text(entry.event).text(entry.device).i32(entry.label).f64(entry.weight);
  out.text(entry.origin).f64(entry.at).f64(entry.supersedes).f64(storedAt);
  writeJoined(out, entry.joined);
  return out.seal();
}

function readHead(from: ByteReader): EntryHead {
  const names = { task: from.text(), event: from.text(), device: from.text() };
  const label = { label: from.i32(), weight: from.f64(), origin: from.text(), at: from.f64() };
  return { ...names, ...label, supersedes: from.f64(), storedAt: from.f64() };
}
