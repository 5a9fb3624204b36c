/**
 * Every type that crosses a folder line. No code lives here, so importing it costs nothing and
 * can never close a circle.
 *
 * The flow in types: Message -> Delivery -> Event -> Rows -> scores -> Verdict -> Outgoing.
 */

/** Wall clock and sleep come in by argument, so that every test can run in virtual time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms`, or at once (without an error) when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// ---------------------------------------------------------------- transport

/** One message as the transport gave it. The payload is never changed by anyone. */
export interface Message {
  /** The configured name of the source that read it. */
  readonly source: string;
  readonly topic: string;
  /** Kafka key as UTF-8; null where the transport has none. */
  readonly key: string | null;
  readonly payload: Uint8Array;
  /** Kafka headers or MQTT 5 user properties, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The broker's or the arrival time, ms since the epoch. */
  readonly at: number;
  /** A position that names this message for ever (Kafka `topic/partition/offset`, file `path#n`); '' where the transport has none. */
  readonly position: string;
  /** The label a file carries beside the event (files only). Never a feature. */
  readonly label?: string;
  /** True: handled before, by this gateway or another, and read back: to be remembered, not to be judged. Settling it does nothing. */
  readonly replay?: true;
}

/**
 * done: the verdict or the dead letter is safe, acknowledge.
 * retry: it is not; do not acknowledge, let the transport deliver it again.
 */
export type Outcome = 'done' | 'retry';

/** What becomes of a message at one task, for a sender who waits for it. */
export type Answer =
  /** JSON text of what the verdict says, as the topic carries it; of a message of several events one each. */
  | { readonly kind: 'verdict'; readonly task: string; readonly data: string }
  /** It became a dead letter. */
  | { readonly kind: 'refused'; readonly task: string; readonly code: string; readonly message: string }
  /** It could not be kept safe and will be settled `retry`. */
  | { readonly kind: 'failed'; readonly task: string; readonly code: string; readonly message: string };

/** A message on loan from its source. `settle` is called exactly once, in any order between deliveries. */
export interface Delivery {
  readonly message: Message;
  settle(outcome: Outcome): void;
  /** False where the transport cannot deliver it again (MQTT QoS 0). Default true. */
  readonly comesAgain?: boolean;
  /** Only where the sender waits. Called before `settle`; what it says holds when `done` follows. Must not throw. */
  answer?(answer: Answer): void;
}

export type Health = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * Reads from one place. Deliveries come in arrival order in small arrays; pulling is the back-pressure:
 * while nobody pulls, a source holds at most its own bounded prefetch.
 * When `signal` aborts, `read` ends soon; acknowledgements of what was already handed out still
 * work until `close`, which flushes them. Unsettled deliveries are redelivered by the transport later.
 */
export interface Source {
  readonly name: string;
  read(signal: AbortSignal): AsyncIterable<readonly Delivery[]>;
  /** ok only while connected and really consuming: a silently dead consumer is not ok. */
  health(): Health;
  close(): Promise<void>;
}

/** A message to publish. */
export interface Outgoing {
  readonly topic: string;
  /** Kafka key; ignored by MQTT. */
  readonly key: string | null;
  readonly payload: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** MQTT retained flag; on Kafka the topic's own policy rules. */
  readonly retain?: boolean;
  /** MQTT only, where a standard wants less than the sink gives: then nobody confirms it. */
  readonly qos?: 0;
}

/** Writes to one place. */
export interface Sink {
  readonly name: string;
  /**
   * Resolves when the broker has confirmed every message of the batch. Rejects with a SluiceError
   * whose `retry` says whether trying again can help; after a rejection any part of the batch
   * may or may not have arrived (at least once).
   */
  publish(batch: readonly Outgoing[]): Promise<void>;
  health(): Health;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- events

/** What a decoder makes of a message. */
export interface Event {
  /** Identity as interface.md defines it; the same for every redelivery. */
  readonly id: string;
  /** True where the identity is a digest, which cannot tell equal messages apart. */
  readonly weak: boolean;
  readonly device: string;
  /** The event's own time, ms since the epoch (the message's where it has none). */
  readonly at: number;
  /** Other names feedback may use: `mid:<message-id>` and `raw:<sha256 hex of the payload>` for mail. */
  readonly aliases: readonly string[];
  readonly body: MailBody | ReadingBody;
}

/** One text of a mail, decoded; HTML text that a reader does not see is left out. */
export interface MailText {
  readonly text: string;
  readonly type: 'plain' | 'html';
}

/** A decoded mail. Everything is derived from the raw bytes; broken mail yields what is readable. */
export interface MailBody {
  readonly kind: 'mail';
  readonly raw: Uint8Array;
  /** In order of appearance: lower-case name, value unfolded and RFC 2047 decoded. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Visible texts of the text parts, in order. */
  readonly texts: readonly MailText[];
  /** Texts of HTML parts that their own markup hides from the reader, in order; together at most 64 Ki UTF-16 units. */
  readonly hidden: readonly string[];
  readonly links: readonly { readonly shown: string; readonly target: string }[];
  /**
   * Size in decoded bytes; digest is the SHA-256 (64 hex digits) of the decoded bytes, of which the first 8 MiB count,
   * '' from the 101st attachment on.
   */
  readonly attachments: readonly {
    readonly type: string;
    readonly name: string;
    readonly size: number;
    readonly digest: string;
  }[];
}

/** One reading of declared fields. */
export interface ReadingBody {
  readonly kind: 'reading';
  /** By declared order; NaN where missing or invalid. Categories are in `categories`. */
  readonly values: Float64Array;
  /** By declared order; null where missing or the field is not a category. */
  readonly categories: readonly (string | null)[];
  /** What is wrong with values that were given; left out where nothing is. Decoder and features add to it. */
  flags?: FieldFlag[];
}

/**
 * A value that was given and is not used as it is. `invalid`: of another type, out of range, or no declared category;
 * `unit`: it names another unit than the declared one; `spike`, `stuck`: against what its device sent before.
 */
export interface FieldFlag {
  /** By declared order. */
  readonly field: number;
  readonly what: 'invalid' | 'unit' | 'spike' | 'stuck';
}

// ---------------------------------------------------------------- rows

/**
 * A batch of feature rows: sparse part in CSR form, dense part row-major beside it. The arrays may be longer than used.
 * `indptr` has count + 1 entries; row i owns indices/values [indptr[i], indptr[i+1]);
 * its dense part is dense[i * denseDims, (i + 1) * denseDims).
 * Sparse indices are < the feature space's `dims`; values are finite. Dense values may be NaN: missing.
 */
export interface Rows {
  readonly count: number;
  readonly indptr: Uint32Array;
  readonly indices: Uint32Array;
  readonly values: Float32Array;
  readonly denseDims: number;
  readonly dense: Float32Array;
}

// ---------------------------------------------------------------- models

/** What a model must know about its input and output, fixed for its life. */
export interface ModelShape {
  /** Number of sparse buckets (a power of two, 0 where there are none). */
  readonly dims: number;
  readonly denseDims: number;
  /** >= 2 */
  readonly classes: number;
  /** What is done to dense columns by statistics that the model learns with its rows; none where left out. */
  readonly rules?: readonly ColumnRule[];
}

/** What happens to one dense column between the row and the model; every statistic is of rows learned, none of rows scored. */
export interface ColumnRule {
  /** Position in the row. */
  readonly column: number;
  /** What stands for a missing value. */
  readonly impute: 'none' | 'mean' | 'median';
  /** Interquartile ranges around the median that are not cut off; 0: nothing is. */
  readonly clip: number;
  readonly scale: 'none' | 'zscore' | 'minmax' | 'robust';
  /** The column holds the code of a category; the model sees how often each label came with it, smoothed. */
  readonly target: boolean;
}

/**
 * A model in the native core. Calls run strictly in the order made (one strand a model). Arrays on shared memory
 * are read where they lie and must not be changed until the promise settles; others are copied at the call.
 */
export interface Model {
  readonly kind: string;
  readonly shape: ModelShape;
  readonly backend: string;
  /** Bytes held by weights and state, as of the last call that was settled: some kinds grow. */
  readonly bytes: number;
  /**
   * Probabilities, row-major count x classes. Does not change the model. Where one rounds to 1 the others still tell
   * rows apart: ln(p1 / p0) of two labels is exact to six digits up to +-87.
   */
  score(rows: Rows): Promise<Float32Array>;
  /**
   * Learns the rows one after the other. labels[i] in [0, classes); -1: skip; -2 (OWN_LABEL of model/kinds.ts): no label
   * is known, learn what the model itself says of the row, where it is sure (kinds with `teachesItself`; others skip).
   * weights default 1.
   */
  learn(rows: Rows, labels: Int32Array, weights?: Float32Array): Promise<void>;
  /**
   * Runs a schedule over the rows in one call: an entry e >= 0 scores row e, an entry e < 0 learns row ~e
   * (with labels[~e] as in `learn`). Returns count x classes; rows never scored are NaN.
   * Without a schedule: score 0, learn 0, score 1, learn 1, … (prequential).
   */
  step(rows: Rows, labels: Int32Array, weights?: Float32Array, schedule?: Int32Array): Promise<Float32Array>;
  /** Versioned, little-endian, checksummed bytes; loading them gives the same bits. */
  save(): Promise<Uint8Array>;
  close(): void;
}

export interface BackendInfo {
  readonly name: string;
  readonly ok: boolean;
  /** In words: the instruction set that was chosen, or why it cannot be used. */
  readonly detail: string;
}

export interface Engine {
  /** The one `auto` chose. */
  readonly backend: string;
  readonly backends: readonly BackendInfo[];
  create(kind: string, shape: ModelShape, options: Readonly<Record<string, number>>, seed: number): Model;
  /** Throws SluiceError MODEL_CORRUPT | MODEL_VERSION. */
  load(bytes: Uint8Array): Model;
}

// ---------------------------------------------------------------- state

/** One scored event as the join store keeps it until its label comes. */
export interface JoinedRow {
  readonly id: string;
  readonly device: string;
  readonly at: number;
  readonly features: string;
  /** Exactly one row, standing alone (safe to keep). */
  readonly rows: Rows;
  /** Probabilities given at verdict time. */
  readonly scores: Float32Array;
  /** Label index of the verdict, -1 while the task was still learning. */
  readonly predicted: number;
  readonly model: string;
}

/** A batch handed to the join store. The store copies what it needs before `put` returns. */
export interface JoinBatch {
  readonly task: string;
  readonly features: string;
  readonly model: string;
  readonly rows: Rows;
  readonly events: readonly Event[];
  readonly scores: Float32Array;
  readonly classes: number;
  readonly predicted: Int32Array;
}

/** One label as it was learned: the truth that a model is the fold of. */
export interface JournalEntry {
  /** Rising, unique in the store; given by the store. */
  readonly seq: number;
  readonly task: string;
  readonly event: string;
  readonly device: string;
  /**
   * Label index; -1 records a withdrawal (label: null); -2 (OWN_LABEL of model/kinds.ts) that nobody had labelled the
   * event when the model was asked to learn it as what it says of it itself.
   */
  readonly label: number;
  readonly weight: number;
  readonly origin: string;
  /** When the label was given, ms. */
  readonly at: number;
  /** The seq of the entry for the same event that this one replaces, 0 for none; its own label is not counted as one. */
  readonly supersedes: number;
  readonly joined: JoinedRow;
}

export interface DeadLetter {
  readonly id: string;
  readonly task: string;
  readonly code: string;
  readonly message: string;
  readonly receivedAt: number;
  /** The original, whole. */
  readonly original: Message;
}

// ---------------------------------------------------------------- components

/** What every source and sink gets from the process that opens it. */
export interface IoContext {
  readonly site: string;
  readonly clock: Clock;
  readonly telemetry: import('./telemetry.ts').Telemetry;
  /** Bounds of what a source may hold unsettled (prefetch included). */
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
}

/** One transport, declared once: options (zod, with descriptions), and how to open each side. */
export interface Transport<SourceOptions, SinkOptions> {
  readonly summary: string;
  readonly source: {
    readonly options: import('zod').ZodType<SourceOptions>;
    open(name: string, options: SourceOptions, context: IoContext): Source;
  };
  /** null where nothing can be published (files). */
  readonly sink: {
    readonly options: import('zod').ZodType<SinkOptions>;
    open(name: string, options: SinkOptions, context: IoContext): Sink;
    /**
     * The topic of `what` (verdict, dead, feedback, metrics, …) of a task by this transport's naming, or by
     * `templates`, which name other topics by `what` and may contain {site}, {task} and {what}.
     */
    topic(site: string, task: string, what: string, templates?: Readonly<Record<string, string>>): string;
    /** A source on these topics of the same broker, in a session or group of this gateway's own, reading from the start of what the broker kept for it. */
    openFeedback(name: string, options: SinkOptions, topics: readonly string[], context: IoContext): Source;
    /** Values that stay on the same broker: what shall run, and what runs. */
    openBoard(name: string, options: SinkOptions, context: IoContext): import('./contract/loop.ts').Board;
    /**
     * A source of `whats` of a task from every site of a fleet, in a session or group named for `reader`, from the start of
     * what the broker kept for it.
     */
    openFleet(
      reader: string,
      options: SinkOptions,
      task: string,
      whats: readonly string[],
      context: IoContext,
    ): Source;
  } | null;
}

// ---------------------------------------------------------------- the store

/** Keeps scored events until their label comes. Oldest out by age and bytes; evictions are counted. */
export interface JoinStore {
  /** Copies the batch before it returns; `find` sees it at once; resolves when it is durable. */
  put(batch: JoinBatch): Promise<void>;
  /** By event id or by an alias (`mid:…`, `raw:…`); the newest where one was delivered twice. */
  find(task: string, name: string): JoinedRow | null;
  /** Every event of a device with from <= at <= to, oldest first, at most `limit`. */
  span(task: string, device: string, from: number, to: number, limit: number): JoinedRow[];
  /**
   * Events of any device with from <= at <= to, by time: at most `limit`, and only as far as a bounded look at what
   * arrived since `from` goes. For people who know the time alone.
   */
  during(task: string, from: number, to: number, limit: number): JoinedRow[];
  /** Erases all rows of these events: numbers, identity, device and aliases. Durable when it resolves. */
  erase(task: string, events: readonly string[]): Promise<void>;
}

/** The labels of a task in the order in which they are learned. */
export interface Journal {
  /**
   * Appends durably and in order; gives seq, and fills `supersedes` from the event's newest entry. `entered` is
   * called before this returns, with entries that will be durable when the promise resolves; where it rejects
   * none of them is, and their seqs are given again.
   *
   * An own label (OWN_LABEL) is entered only where its event has no entry at all. It stays effective below the first
   * label of the event, and is no more where that is replaced, or where anything is withdrawn.
   */
  append(
    entries: readonly Omit<JournalEntry, 'seq' | 'supersedes'>[],
    entered?: (entries: readonly JournalEntry[]) => void,
  ): Promise<JournalEntry[]>;
  /** The newest entry of an event, withdrawals included, own labels not. */
  labelOf(task: string, event: string): { readonly seq: number; readonly label: number } | null;
  /** The seq of the effective own label of an event, 0 for none. */
  ownOf(task: string, event: string): number;
  /**
   * Erases the rows of events whose label was withdrawn: of their entries one stays, the withdrawal, with nothing in its
   * row. Durable when it resolves; to the events that are still labelled, of which nothing is erased.
   */
  erase(task: string, events: readonly string[]): Promise<readonly string[]>;
  /**
   * Effective entries (not superseded, not withdrawals) with seq > after, in order; `through` is the last seq
   * looked at (read again from there), equal to `after` at the end. Own labels are among them only with `own`: they
   * belong to the model, and are nothing that anyone has said.
   */
  read(
    task: string,
    after: number,
    limit: number,
    options?: { readonly own?: boolean },
  ): { readonly entries: JournalEntry[]; readonly through: number };
  /**
   * Every entry of a task with seq > after that is on disk, in order: superseded ones and withdrawals too, own labels
   * not (a withdrawal that supersedes nothing has withdrawn one).
   * `through` as in `read`. What was pruned before it was read is not among them.
   */
  tail(
    task: string,
    after: number,
    limit: number,
  ): { readonly entries: JournalEntry[]; readonly through: number };
  /**
   * The seq of a task after which `tail` gives at most `newest` entries: 0 where there are no more in all, the last
   * seq on disk for `newest` 0.
   */
  before(task: string, newest: number): number;
}

/** How far something has come, by name: numbers that survive a kill. */
export interface Cursors {
  /** 0 where it was never set. */
  get(name: string): number;
  /** Durable when it resolves; of two calls the later one stays. Rejects with STORE_*. */
  set(name: string, position: number): Promise<void>;
}

/** A model and what belongs to it, as of a journal position. */
export interface Snapshot {
  readonly task: string;
  /** Every effective entry with seq <= journal is in it. */
  readonly journal: number;
  /** Labels learned in all. */
  readonly labels: number;
  readonly at: number;
  /** By name: model, quality, … */
  readonly parts: Readonly<Record<string, Uint8Array>>;
}

export interface Snapshots {
  /**
   * One transaction. Keeps a few older ones, geometrically spaced, so that recent labels can be taken back; with
   * `alone` none: they stood on another base.
   */
  save(snapshot: Snapshot, options?: { readonly alone?: boolean }): Promise<void>;
  /** The newest on disk with journal <= atMost (default: the newest of all); null where there is none. */
  newest(task: string, atMost?: number): Snapshot | null;
  /**
   * Removes those with journal > seq, one whose save is under way too; they are not found from the call on. Rejects
   * with FEEDBACK_TOO_OLD, removing nothing, where seq is before `oldest`: what was pruned lies in them alone.
   */
  dropAfter(task: string, seq: number): Promise<void>;
  /** The journal position of the oldest kept snapshot: labels at or before it cannot be taken back. 0 where the journal is whole. */
  oldest(task: string): number;
}

/** Feedback that came before its event. Bounded by count and age. */
export interface WaitingFeedback {
  put(task: string, names: readonly string[], feedback: string, at: number): Promise<void>;
  /** All that waits under any of the names; cheap when nothing waits. It stays until it is removed, once its label is durable. */
  find(task: string, names: readonly string[]): { readonly key: string; readonly feedback: string }[];
  /**
   * A page of what waits for a task, in order of arrival, after the key `after` (default: from the start), those
   * under way to disk included. Fewer than `limit` only at the end; keys may be removed between two pages.
   */
  entries(
    task: string,
    limit: number,
    after?: string,
  ): { readonly key: string; readonly names: readonly string[]; readonly feedback: string }[];
  remove(keys: readonly string[]): Promise<void>;
  /** Removes what is older than `before`; resolves to how many by task. */
  expire(before: number): Promise<ReadonlyMap<string, number>>;
  readonly size: number;
}

/** Messages on their way to a sink that is away. First in, first out per sink. */
export interface Outbox {
  /** Durable when it resolves. Rejects with STORE_FULL where `whenFull` is block. */
  append(sink: string, messages: readonly Outgoing[]): Promise<void>;
  /**
   * The oldest that are on disk, at most so many and so large (at least one, if any); `through` names the last for
   * `remove`. It may be empty while `size` is not: who waits for more waits for an `append` to resolve.
   */
  peek(
    sink: string,
    maxMessages: number,
    maxBytes: number,
  ): { readonly messages: Outgoing[]; readonly through: number };
  remove(sink: string, through: number): Promise<void>;
  /** Everything that waits, counted from the call of `append`: what is still on its way to disk too. */
  size(sink: string): { readonly messages: number; readonly bytes: number };
}

export interface DeadLetters {
  /** Durable when it resolves to the letter's id (rising). */
  put(letters: readonly Omit<DeadLetter, 'id'>[]): Promise<string[]>;
  /** Newest first. */
  list(options?: { task?: string; limit?: number }): DeadLetter[];
  get(id: string): DeadLetter | null;
  drop(ids: readonly string[]): Promise<number>;
  /** Marks letters to be put through the flow again by the (running or next) gateway. */
  markReplay(ids: readonly string[]): Promise<number>;
  /** What is marked, oldest first; it stays until it is dropped, so a kill during a replay loses nothing. */
  replays(limit: number): DeadLetter[];
}

export interface Store {
  readonly join: JoinStore;
  readonly journal: Journal;
  readonly snapshots: Snapshots;
  readonly waiting: WaitingFeedback;
  readonly outbox: Outbox;
  readonly dead: DeadLetters;
  readonly cursors: Cursors;
  /** Drops what is over its limits in age and bytes; called every minute or so. */
  sweep(): Promise<void>;
  health(): Health;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- decoding and features

/** Turns one message into its events. Throws SluiceError DECODE_* for what cannot be used. */
export interface Decoder {
  /** What kind of body its events carry. */
  readonly kind: Event['body']['kind'];
  /** Where the format needs a memory, one of the decoder's own, and what would have to wait is refused. */
  decode(message: Message): readonly Event[];
  /**
   * Only of formats in which messages say something about later ones: a memory for one task of one gateway, as `save`
   * gave it or new. Throws DECODER_STATE for what `save` did not write.
   */
  remember?(saved: Uint8Array | null): DecoderMemory;
}

/** What a decoder knows of its senders: keyed by sender, bounded, saved. */
export interface DecoderMemory {
  /**
   * Decodes in order of arrival; `now` is the clock's. `again`: the message was taken before, or comes from the dead
   * letters, and says nothing about order. `kept`: its transport keeps messages until they are settled, so that none is
   * missing after a restart. Throws DECODE_*; what it learned from the message stays.
   */
  take(message: Message, now: number, again: boolean, kept?: boolean): Decoded;
  /** What is to be asked for now; called every second or so. */
  asks(now: number): readonly Outgoing[];
  /** Whether something has changed that a restart should not lose; what `save` leaves out after a kill is asked for again. */
  readonly urgent: boolean;
  save(): Uint8Array;
}

/** What became of a message at a decoder with a memory. */
export interface Decoded {
  readonly events: readonly Event[];
  /** Why there are none although it was understood; what it says about other messages holds all the same. Null otherwise. */
  readonly refusal: import('./errors.ts').SluiceError | null;
  /** It cannot be decoded before another message has come that frees this name. It stays unsettled, and there are no events. */
  readonly waitsFor: string | null;
  /** What waits for this name can be taken again, in its order. */
  readonly frees: string | null;
  /** To be published on the broker that the message came from. */
  readonly requests: readonly Outgoing[];
  /** Messages before it that never came, by the sender's own numbering. */
  readonly lost: number;
  /** 1 where it came after a later one, or again. */
  readonly late: number;
}

/** Where a featurizer writes. One arena serves many batches; nothing is allocated per event once it has grown. */
export interface RowWriter {
  /** Adds to a sparse bucket of the open row. Equal buckets within a row are merged by `endRow` (values summed). */
  sparse(index: number, value: number): void;
  /** Adds the first `count` cells at once; the caller answers for it that no bucket stands among them twice. */
  block(indices: Uint32Array, values: Float32Array, count: number): void;
  /** Sets a dense position of the open row (NaN: missing). */
  dense(position: number, value: number): void;
}

/** Turns events into feature rows. The same code serves evaluate, training and the gateway. */
export interface Featurizer {
  /** Changes whenever the same event would give another row (options included). */
  readonly version: string;
  /** Sparse buckets (a power of two, or 0) and dense columns. */
  readonly dims: number;
  readonly denseDims: number;
  /** Equal regions of the buckets, each a view of the event that a model may have a learner for; 1 where there is but one. */
  readonly views: number;
  /** Whether a small and fast model is meant to learn its rows, not the most accurate one; left out where it is not said. */
  readonly lean?: boolean;
  /**
   * The dense columns in order, each with the declared field that it tells of (values, their absence, parts of a time,
   * windows: these are derived from values that stand in other columns, and nobody need watch them).
   */
  readonly columns: readonly { readonly name: string; readonly field: string; readonly derived?: true }[];
  /** What a model has to do with dense columns by what it learns; left out where nothing. */
  readonly rules?: readonly ColumnRule[];
  /** What it remembers of devices; left out where a row depends on its event alone. */
  readonly memory?: FeatureMemory;
  /** Writes one row's cells and remembers the reading; the caller opens and closes the row. */
  write(event: Event, row: RowWriter): void;
  /** For `sluice decode` and `explain`: the readable names of what write() would produce now, in order. Remembers nothing. */
  describe(event: Event): readonly {
    readonly name: string;
    readonly index: number;
    readonly value: number;
    readonly part: 'sparse' | 'dense';
  }[];
}

/** The last readings of each device, from which windows are computed. Bounded; redelivery changes nothing. */
export interface FeatureMemory {
  /** Devices remembered now, and the bytes that is all. */
  readonly devices: number;
  readonly bytes: number;
  /** What happened to readings since the last call. */
  take(): {
    readonly late: number;
    readonly duplicates: number;
    readonly evicted: number;
    readonly restarted: number;
  };
  /**
   * What is written from now on came in this message; a position `topic/partition/offset` names a stream of its own, in which
   * a device is not the one of that name elsewhere. `replay`: it is read back.
   */
  enter(source: string, position: string, replay?: boolean): void;
  /** The message that was entered has been applied. */
  applied(): void;
  /** The offset applied last of a partition (`topic/partition`), -1 for none. */
  position(source: string, partition: string): number;
  /**
   * Where the rows of a device lie that were made since these bytes were saved: called once a device, when it is first
   * heard after the start, for rows from `after` (ms) on, oldest first.
   */
  recall(find: (device: string, after: number, limit: number) => readonly JoinedRow[]): void;
  /**
   * Versioned and checksummed bytes; restoring them gives the same rows. It lets others work in between: what they bring
   * meanwhile is in the bytes or is not, device by device, and comes again harmlessly.
   */
  save(): Promise<Uint8Array>;
  /** Replaces what is remembered. Throws SluiceError WINDOWS_STATE, remembering nothing, for bytes of other features or damaged ones. */
  restore(bytes: Uint8Array): void;
}

// ---------------------------------------------------------------- what app hands from one side to the other

/**
 * What should become of a judged event; nothing is ever deleted. `reason`, where there is one: `none` although it has
 * the positive label, because its sender is `allowed` or a known `correspondent`; `unsure` because there is too little
 * `evidence` for a threshold yet, or because the score is not above the `threshold`.
 */
export interface Decided {
  readonly action: 'none' | 'unsure' | 'tag' | 'hold';
  readonly reason?: 'allowed' | 'correspondent' | 'evidence' | 'threshold';
}

/** The running model of a task, as the flow sees it. */
export interface Scorer {
  readonly backend: string;
  /**
   * Scores with the model that runs now; later swaps do not touch a call already made. `model` names base and
   * labels learned, `sufficient` is false while no label may be given.
   */
  score(rows: Rows): {
    readonly probabilities: Promise<Float32Array>;
    readonly model: string;
    readonly sufficient: boolean;
  };
}

/** Buries a message that cannot be used. Resolves when the letter is durable and on its way to the `dead` topics. */
export type Bury = (
  task: string,
  message: Message,
  error: { readonly code: string; readonly message: string },
  receivedAt: number,
) => Promise<void>;

export type * from './contract/loop.ts';
