/**
 * The live stream of the dashboard: server-sent events (WHATWG HTML, 9.2). Each client gets the whole overview first,
 * then each second what changed in its series beside everything else. Promises: a bounded number of clients, each
 * with a bounded buffer; one that does not read is left out and then dropped (its browser comes again by itself);
 * nothing is computed while nobody looks; `close` ends every stream at once.
 */
import type { ServerResponse } from 'node:http';
import type { Overview, Selection } from './view.ts';

const MAX_CLIENTS = 32;
const TICK_MS = 1_000;
/** Ticks that a client may stand still before it is dropped. */
const PATIENCE = 10;
/** Buckets before the newest that are told again each time. */
const AGAIN = 2;
/** Asked of the browser: come again after so many ms. */
const RETRY_MS = 2_000;

export interface LiveOptions {
  /** The overview for a selection, with the points from `from` on (null: all). */
  readonly overview: (selection: Selection, from: number | null) => Overview;
  readonly maxClients?: number;
  readonly tickMs?: number;
}

interface Client {
  readonly response: ServerResponse;
  readonly selection: Selection;
  /** Ticks since it last took everything. */
  behind: number;
  /** It has the points before this time; null: it needs everything. */
  told: number | null;
}

/** One message, and up to when its points are final. */
interface Words {
  readonly text: string;
  readonly newest: number | null;
}

export class LiveStream {
  readonly #options: Required<LiveOptions>;
  readonly #clients = new Set<Client>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: LiveOptions) {
    this.#options = { maxClients: MAX_CLIENTS, tickMs: TICK_MS, ...options };
  }

  get clients(): number {
    return this.#clients.size;
  }

  get full(): boolean {
    return this.#closed || this.#clients.size >= this.#options.maxClients;
  }

  /** Takes over a response whose head is not yet written. The caller has looked whether it is `full`. */
  add(response: ServerResponse, selection: Selection, headers: Readonly<Record<string, string>>): void {
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      // A proxy in front must not collect what is meant for now.
      'x-accel-buffering': 'no',
    });
    const client: Client = { response, selection, behind: 0, told: null };
    this.#clients.add(client);
    response.once('close', () => this.#remove(client));
    response.once('error', () => this.#remove(client));
    response.write(`retry: ${RETRY_MS}\n\n`);
    this.#tell(client, new Map());
    this.#timer ??= setInterval(() => this.#tick(), this.#options.tickMs);
  }

  /** Ends every stream; none is taken any more. */
  close(): void {
    this.#closed = true;
    for (const { response } of this.#clients) response.destroy();
    this.#clients.clear();
    this.#rest();
  }

  #tick(): void {
    // Pages that look at the same have the same words: each is made once.
    const made = new Map<string, Words>();
    for (const client of this.#clients) {
      if (client.response.writableLength === 0) {
        client.behind = 0;
        this.#tell(client, made);
        continue;
      }
      client.behind += 1;
      // What it missed in between it gets as a whole later.
      client.told = null;
      if (client.behind >= PATIENCE) client.response.destroy();
    }
  }

  #tell(client: Client, made: Map<string, Words>): void {
    const { selection, told, response } = client;
    const key = JSON.stringify([selection, told]);
    const words = made.get(key) ?? this.#make(selection, told);
    // null: the application cannot tell at this moment (it reloads); the page says that it is stale.
    if (!words) return;
    made.set(key, words);
    client.told = words.newest;
    response.write(words.text);
  }

  #make(selection: Selection, told: number | null): Words | null {
    try {
      const overview = this.#options.overview(selection, told);
      const event = told === null ? 'overview' : 'delta';
      const { series } = overview;
      return {
        text: `event: ${event}\ndata: ${JSON.stringify(overview)}\n\n`,
        // The newest buckets may still grow, and sites are late: they are told again.
        newest: series && series.at.length > 0 ? series.at.at(-1)! - AGAIN * series.resolutionMs : told,
      };
    } catch {
      return null;
    }
  }

  #remove(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size === 0) this.#rest();
  }

  #rest(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }
}
