/**
 * Finding an incident: what is known of an event that was classified here, by whatever a person has at hand: its
 * identity, a Message-ID, the device and the time, or one line of text of which this guesses what it is. Promises:
 * reads only, so it may run beside a gateway; a bounded list; a labelled event is found in the journal
 * even when its join record has gone. Where nothing is found `hint` says what is missing.
 */
import type { JoinedRow, Store } from '../contract.ts';
import { timeOf } from '../decode/reading.ts';

/** What this needs to know of a task. */
export interface IncidentTask {
  readonly name: string;
  readonly labels: readonly string[];
  readonly positive: number;
}

export interface IncidentQuery {
  readonly event?: string;
  readonly messageId?: string;
  /** SHA-256 of a whole message, 64 hex digits. */
  readonly raw?: string;
  readonly device?: string;
  /** ms since the epoch: the events of the device closest to it, */
  readonly at?: number;
  /** or all from … to, ends included; without a device those of all devices, as far as the store keeps them. */
  readonly from?: number;
  readonly to?: number;
  /** A search box: any of these in words. */
  readonly text?: string;
  /** Found at most; 1 to 1,000, default 20. */
  readonly limit?: number;
}

export interface Incident {
  readonly task: string;
  readonly event: string;
  readonly device: string;
  /** The event's own time, ms. */
  readonly at: number;
  /** The label given, null while the task was learning. */
  readonly verdict: string | null;
  /** With two labels the probability of the positive one, else of the given (or most probable) label. */
  readonly score: number;
  /** As given at verdict time. */
  readonly scores: Readonly<Record<string, number>>;
  readonly model: string;
  /** What was learned for it; `label` null: withdrawn. `origin`, `at` and `weight` of a withdrawal are not kept at hand. */
  readonly label: {
    readonly label: string | null;
    readonly origin?: string;
    readonly at?: number;
    readonly weight?: number;
  } | null;
  /** Whether it comes from the join store or, that being gone, from the journal. */
  readonly from: 'events' | 'labels';
}

export interface Found {
  readonly incidents: readonly Incident[];
  /** The rows of `incidents`, at the same places. */
  readonly rows: readonly JoinedRow[];
  /** In words, what the query was taken for. */
  readonly how: string;
  /** True where there are more than were asked for. */
  readonly more: boolean;
  /** What to try, where nothing was found; else ''. */
  readonly hint: string;
}

const LIMIT = 20;
const MOST = 1_000;
/** Rows read at once while the newest ones of a device are looked for. */
const PAGE = 2_048;
/** Around a time, the spans looked into, one after the other: 1 s to an hour to each side. */
const AROUND = [1_000, 60_000, 3_600_000];
const SECOND = 1_000;
/** Pages looked at for the newest of a device. */
const MOST_PROBES = 200;

type Rows = readonly JoinedRow[];

/** What is known of the events that a query names; see the types. `now` is the time on the wall, ms. */
export function findIncident(store: Store, task: IncidentTask, query: IncidentQuery, now: number): Found {
  const limit = Math.min(MOST, Math.max(1, Math.floor(query.limit ?? LIMIT)));
  const finder = new Finder(store, task, limit, now);
  return finder.find(query);
}

/** Found in the first of several tasks that knows it; `hint` says for each why not, where none does. */
export interface FoundAmong<T extends IncidentTask> extends Found {
  /** null where nothing was found. */
  readonly task: T | null;
}

/** `findIncident` over the tasks of a gateway, in their order: what a search box asks. */
export function findAmong<T extends IncidentTask>(
  store: Store,
  tasks: Iterable<T>,
  query: IncidentQuery,
  now: number,
): FoundAmong<T> {
  const hints = new Set<string>();
  let how = '';
  for (const task of tasks) {
    const found = findIncident(store, task, query, now);
    if (found.incidents.length > 0) return { ...found, task };
    how = found.how;
    hints.add(`${found.how}: ${found.hint}`);
  }
  return { incidents: [], rows: [], how, more: false, hint: [...hints].join('; '), task: null };
}

interface Guess {
  readonly how: string;
  readonly rows: Rows;
  readonly hint?: string;
}

class Finder {
  readonly #store: Store;
  readonly #task: IncidentTask;
  readonly #limit: number;
  readonly #now: number;
  /** Events that only the journal still has. */
  readonly #kept = new Set<string>();

  constructor(store: Store, task: IncidentTask, limit: number, now: number) {
    this.#store = store;
    this.#task = task;
    this.#limit = limit;
    this.#now = now;
  }

  find(query: IncidentQuery): Found {
    const guess = this.#guess(query);
    const rows = guess.rows.slice(0, this.#limit);
    return {
      incidents: rows.map((row) => this.#incident(row)),
      rows,
      how: guess.how,
      more: guess.rows.length > rows.length,
      hint:
        rows.length > 0 ? '' : (guess.hint ?? 'it never came, or the store keeps it no longer (store.join)'),
    };
  }

  #guess(query: IncidentQuery): Guess {
    const { event, messageId, raw, device, at, text } = query;
    if (event !== undefined) return { how: `event ${event}`, rows: this.#named(event) };
    if (messageId !== undefined) return this.#messageId(messageId);
    if (raw !== undefined) return { how: 'the whole message', rows: this.#named(`raw:${raw}`) };
    if (device !== undefined && at !== undefined) return this.#near(device, at);
    if (query.from !== undefined || query.to !== undefined)
      return this.#between(device, query.from ?? 0, query.to ?? this.#now);
    if (device !== undefined) return this.#newest(device);
    if (at !== undefined) return this.#between(undefined, at, at);
    return this.#text((text ?? '').trim());
  }

  // ---- by name

  #named(name: string): Rows {
    const row = this.#store.join.find(this.#task.name, name);
    if (row) return [row];
    const kept = this.#labelled(name)?.joined;
    if (kept === undefined) return [];
    this.#kept.add(kept.id);
    return [kept];
  }

  #messageId(id: string): Guess {
    const bare = id.replace(/^\s*<|>\s*$/g, '');
    return { how: `Message-ID <${bare}>`, rows: this.#named(`mid:${bare}`) };
  }

  /** The journal's entry that holds for an event; null also where its label was withdrawn. */
  #labelled(event: string) {
    const known = this.#store.journal.labelOf(this.#task.name, event);
    if (!known) return null;
    return this.#store.journal.read(this.#task.name, known.seq - 1, 1).entries[0] ?? null;
  }

  // ---- by device and time

  /** The closest first. */
  #near(device: string, at: number): Guess {
    const how = `device ${device} at ${iso(at)}`;
    for (const reach of AROUND) {
      const rows = this.#span(device, at - reach, at + reach, PAGE);
      if (rows.length > 0)
        return { how, rows: [...rows].sort((a, b) => Math.abs(a.at - at) - Math.abs(b.at - at)) };
    }
    const [last] = this.#newest(device).rows;
    const hint = last
      ? `nothing of ${device} within an hour of it; its newest event is of ${iso(last.at)}`
      : `no event of ${device} is kept`;
    return { how, rows: [], hint };
  }

  #between(device: string | undefined, from: number, to: number): Guess {
    const span = from === to ? `at ${iso(from)}` : `from ${iso(from)} to ${iso(to)}`;
    if (device !== undefined)
      return { how: `device ${device} ${span}`, rows: this.#span(device, from, to, this.#limit + 1) };
    // A time in words is of a second, seldom of a millisecond.
    const end = to === from ? to + SECOND - 1 : to;
    const rows = this.#store.join.during(this.#task.name, from, end, this.#limit + 1);
    const hint = 'nothing of that time was found; name the device too: then every kept event is looked at';
    return { how: `all devices ${span}`, rows, hint };
  }

  /** Newest first: pages from the oldest on, in strides that grow until they reach beyond the newest. */
  #newest(device: string): Guess {
    let rows = this.#span(device, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, PAGE);
    let stride = SECOND;
    for (let probe = 0; rows.length === PAGE && probe < MOST_PROBES && stride >= 1; probe += 1) {
      const next = this.#span(device, rows[PAGE - 1].at + stride, Number.POSITIVE_INFINITY, PAGE);
      if (next.length > this.#limit) rows = next;
      stride = Math.floor(next.length > this.#limit ? stride * 4 : stride / 4);
    }
    const how = `the newest of device ${device}`;
    return { how, rows: [...rows].reverse(), hint: `no event of a device ${device} is kept` };
  }

  #span(device: string, from: number, to: number, limit: number): Rows {
    return this.#store.join.span(this.#task.name, device, from, to, limit);
  }

  // ---- by words

  /** What is found decides what the text was; what it looks like decides what is said where nothing is. */
  #text(text: string): Guess {
    if (text === '')
      return { how: 'nothing', rows: [], hint: 'write an event, a Message-ID, or a device and a time' };
    const tries: (() => Guess | null)[] = [
      () => ({ how: `event ${text}`, rows: this.#named(text) }),
      () => (/^<?[^\s<>]+@[^\s<>]+>?$/.test(text) ? this.#messageId(text) : null),
      () => this.#deviceAndTime(text),
      () => this.#newest(text),
      () => this.#timeAlone(text),
    ];
    let last: Guess | null = null;
    for (const attempt of tries) {
      const guess = attempt();
      if (guess && guess.rows.length > 0) return guess;
      if (guess?.hint && !guess.how.startsWith('the newest')) last = guess;
    }
    const hint =
      last?.hint ??
      'it is no event, Message-ID or device that is kept; a device and a time are written `press-07 14:05`';
    return { how: last?.how ?? `"${text.slice(0, 100)}"`, rows: [], hint };
  }

  /** `press-07 2026-01-02 14:05`, `press-07 14:05:30`. */
  #deviceAndTime(text: string): Guess | null {
    const words = text.split(/\s+/);
    for (const n of [2, 1]) {
      if (words.length <= n) continue;
      const at = this.#time(words.slice(-n).join(' '));
      if (at !== null) return this.#near(words.slice(0, -n).join(' '), at);
    }
    return null;
  }

  #timeAlone(text: string): Guess | null {
    const at = this.#time(text);
    if (at === null) return null;
    // Without seconds the whole minute is meant.
    const seconds = /\d\d?:\d\d(?!:\d\d)Z?$/.test(text) && !/:\d\d:\d\d/.test(text) ? 60 : 1;
    return this.#between(undefined, at, at + seconds * SECOND - 1);
  }

  /** RFC 3339, Unix time, or a time of the last 24 hours (UTC); null where it is none. */
  #time(text: string): number | null {
    const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?Z?$/.exec(text);
    if (clock) {
      const [hours, minutes, seconds] = clock.slice(1).map((part) => Number(part ?? 0));
      const day = Math.floor(this.#now / 86_400_000) * 86_400_000;
      const at = day + ((hours * 60 + minutes) * 60 + seconds) * SECOND;
      return at > this.#now ? at - 86_400_000 : at;
    }
    const at = timeOf(/^\d{9,14}$/.test(text) ? Number(text) : text);
    return Number.isNaN(at) ? null : at;
  }

  // ---- what is known

  #incident(row: JoinedRow): Incident {
    const { name, labels, positive } = this.#task;
    const best = row.scores.indexOf(Math.max(...row.scores));
    const given = row.predicted >= 0 ? row.predicted : best;
    return {
      task: name,
      event: row.id,
      device: row.device,
      at: row.at,
      verdict: labels[row.predicted] ?? null,
      score: row.scores[labels.length === 2 ? positive : given],
      scores: Object.fromEntries(labels.map((label, i) => [label, row.scores[i]])),
      model: row.model,
      label: this.#labelOf(row.id),
      from: this.#kept.has(row.id) ? 'labels' : 'events',
    };
  }

  #labelOf(event: string): Incident['label'] {
    const known = this.#store.journal.labelOf(this.#task.name, event);
    if (!known) return null;
    if (known.label < 0) return { label: null };
    const label = this.#task.labels[known.label] ?? String(known.label);
    const entry = this.#labelled(event);
    return entry ? { label, origin: entry.origin, at: entry.at, weight: entry.weight } : { label };
  }
}

const iso = (ms: number): string =>
  Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'any time';
