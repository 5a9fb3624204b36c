/**
 * The live picture: the server's event stream, put together into one overview. Comes again by itself when the
 * connection is lost, asks for single pictures where no stream can be had, rests while the page is hidden, and
 * knows how old its picture is.
 */
import type { Overview, Selection } from '../view.ts';
import { merge } from './points.ts';

const STALE_MS = 5_000;
const AGAIN_MS = 3_000;

export type LiveState = 'connecting' | 'live' | 'stale';

export interface LiveEvents {
  readonly overview: (overview: Overview) => void;
  /** Each second: how it stands, and when the last picture came (by this clock), null before the first. */
  readonly state: (state: LiveState, at: number | null) => void;
}

export class Live {
  readonly #events: LiveEvents;
  #selection: Partial<Selection>;
  #stream: EventSource | null = null;
  #again: number | null = null;
  #overview: Overview | null = null;
  #heard: number | null = null;

  constructor(selection: Partial<Selection>, events: LiveEvents) {
    this.#selection = selection;
    this.#events = events;
    setInterval(() => this.#look(), 1_000);
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#rest() : this.#connect()));
    if (!document.hidden) this.#connect();
  }

  /** Looks at something else from now on. */
  select(selection: Partial<Selection>): void {
    this.#selection = selection;
    this.#overview = null;
    this.#connect();
  }

  #query(): string {
    const { task = '', site = '', range = 'hour' } = this.#selection;
    return new URLSearchParams({ task, site, range }).toString();
  }

  #connect(): void {
    this.#rest();
    const stream = new EventSource(`/api/live?${this.#query()}`);
    this.#stream = stream;
    stream.addEventListener('overview', (event) => this.#take(JSON.parse(event.data) as Overview));
    stream.addEventListener('delta', (event) => {
      const delta = JSON.parse(event.data) as Overview;
      this.#take({ ...delta, series: merge(this.#overview?.series ?? null, delta.series) });
    });
    stream.addEventListener('error', () => {
      // While it is CONNECTING the browser tries again itself; a refusal ends it.
      if (stream.readyState === EventSource.CLOSED && stream === this.#stream) this.#later();
    });
  }

  /** No stream to be had: one picture now, and another try later. */
  #later(): void {
    this.#rest();
    this.#again = setTimeout(() => this.#connect(), AGAIN_MS);
    fetch(`/api/overview?${this.#query()}`, { signal: AbortSignal.timeout(AGAIN_MS) })
      .then(async (response) => {
        if (response.ok) this.#take((await response.json()) as Overview);
      })
      .catch(() => undefined); // the picture grows old, and the page says so
  }

  #rest(): void {
    this.#stream?.close();
    this.#stream = null;
    if (this.#again !== null) clearTimeout(this.#again);
    this.#again = null;
  }

  #take(overview: Overview): void {
    this.#overview = overview;
    this.#heard = Date.now();
    this.#events.overview(overview);
    this.#look();
  }

  #look(): void {
    if (document.hidden) return;
    const age = this.#heard === null ? null : Date.now() - this.#heard;
    this.#events.state(age === null ? 'connecting' : age > STALE_MS ? 'stale' : 'live', this.#heard);
  }
}
