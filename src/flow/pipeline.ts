/**
 * Reads every source and offers its messages to the lanes of the tasks that read it. Pulling stops while the
 * credit (`maxInFlight`, `maxInFlightBytes`) is spent or a lane is full: that is the back-pressure. On
 * stop the readers end first, then the lanes run dry, then the sources flush their acknowledgements.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CLOSE_MS, within } from '../clock.ts';
import type { Clock, Delivery, Source } from '../contract.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import { Credit } from './credit.ts';
import type { Lane } from './lane.ts';
import { Slot } from './settle.ts';
import type { Suspects } from './suspects.ts';

const RESTART_PAUSE_MS = 1_000;
/** Decoding holds the event loop no longer than about this. */
const SLICE_MS = 2;

export interface PipelineContext {
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Tells when messages must go one at a time, because some message ends the process. */
  readonly suspects: Suspects;
}

export interface Route {
  readonly source: Source;
  readonly lanes: readonly Lane[];
}

export class Pipeline {
  readonly #routes: readonly Route[];
  readonly #context: PipelineContext;
  readonly #stop = new AbortController();
  readonly credit: Credit;
  #readers: Promise<void>[] = [];
  /** Why files could not be read to their end. */
  #broken: SluiceError | null = null;
  /** Messages that go alone take turns, over all sources. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Settled and not yet told: a counter a message would cost more than the settling. */
  readonly #settled = new Map<string, number>();
  readonly #onSettled = (slot: Slot): void => {
    const { source } = slot.message;
    this.#settled.set(source, (this.#settled.get(source) ?? 0) + 1);
  };

  constructor(routes: readonly Route[], context: PipelineContext) {
    this.#routes = routes;
    this.#context = context;
    this.credit = new Credit(context.maxInFlight, context.maxInFlightBytes);
  }

  start(): void {
    this.#readers = this.#routes.map((route) => this.#read(route));
  }

  /** Resolves when every source has ended (files do; brokers do not before `stop`) and the lanes are dry. Throws INPUT_* where files could not be read to their end. */
  async finished(): Promise<void> {
    await Promise.all(this.#readers);
    for (const lane of this.#lanes()) lane.end(true);
    await this.drain();
    if (this.#broken) throw this.#broken;
  }

  async drain(): Promise<void> {
    await Promise.all(this.#lanes().map((lane) => lane.idle()));
  }

  /** Readers end, lanes run dry (or `deadline` ms pass), sources flush acknowledgements and disconnect. */
  async stop(deadlineMs: number): Promise<{ readonly clean: boolean }> {
    this.#stop.abort();
    const { clock } = this.#context;
    const dry = Promise.all(this.#readers).then(() => {
      for (const lane of this.#lanes()) lane.end(false);
      return this.drain();
    });
    const clean = await within(clock, deadlineMs, dry);
    await within(clock, CLOSE_MS, Promise.all(this.#routes.map((route) => route.source.close())));
    this.tell();
    return { clean };
  }

  /** Puts one message through one lane, outside any source (replayed dead letters). */
  async inject(lane: Lane, delivery: Delivery): Promise<void> {
    if (!(await this.credit.take(delivery.message.payload.byteLength, this.#stop.signal))) {
      delivery.settle('retry');
      return;
    }
    await lane.room();
    lane.offer(new Slot(delivery, 1, this.credit, this.#context.clock.now(), null), true);
    lane.flush();
  }

  /** Brings the counters up to date; called every second or so, and at the end. */
  tell(): void {
    const { telemetry } = this.#context;
    for (const [source, n] of this.#settled) if (n > 0) telemetry.count('settled', { source }, n);
    this.#settled.clear();
    telemetry.set('in_flight_events', {}, this.credit.events);
    telemetry.set('in_flight_bytes', {}, this.credit.bytes);
  }

  #lanes(): Lane[] {
    return [...new Set(this.#routes.flatMap((route) => route.lanes))];
  }

  /**
   * A source whose iterator throws is read again after a pause: the process survives, `/ready` tells. Files that
   * cannot be read are left: they would be played from their start for ever.
   */
  async #read(route: Route): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for await (const deliveries of route.source.read(this.#stop.signal))
          await this.#take(route, deliveries);
        return;
      } catch (thrown) {
        const error = asSluiceError(thrown);
        this.#context.telemetry.error(error, { source: route.source.name });
        if (error.code.startsWith('INPUT_')) {
          this.#broken ??= error;
          return;
        }
        await this.#context.clock.sleep(RESTART_PAUSE_MS, this.#stop.signal);
      }
    }
  }

  /** Null when every lane took it at once (no promise on the common path); else false where a stop came between. */
  #offer(route: Route, slot: Slot): Promise<boolean> | null {
    if (!route.lanes.every((lane) => lane.hasRoom)) return this.#offerSlowly(route, slot);
    for (const lane of route.lanes) lane.offer(slot);
    return null;
  }

  async #offerSlowly(route: Route, slot: Slot): Promise<boolean> {
    for (const lane of route.lanes) {
      await lane.room();
      if (this.#stop.signal.aborted) return false;
      lane.offer(slot);
    }
    return true;
  }

  /** One message with nothing else in flight, so that an end of the process names the one that caused it. */
  #alone(route: Route, slot: Slot): Promise<boolean> {
    const { suspects } = this.#context;
    const turn = this.#turn.then(async () => {
      await this.drain();
      if (this.#stop.signal.aborted) return false;
      if (suspects.admit(slot.message)) await this.#offer(route, slot);
      else for (const lane of route.lanes) lane.bury(slot, crashed());
      await this.drain();
      suspects.cleared();
      return true;
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #take(route: Route, deliveries: readonly Delivery[]): Promise<void> {
    const { telemetry, clock } = this.#context;
    const source = route.source.name;
    const receivedAt = clock.now();
    let bytes = 0;
    let sliceBegan = performance.now();
    for (const delivery of deliveries) {
      if (performance.now() - sliceBegan > SLICE_MS) {
        // Feedback, acknowledgements and the other sources must not wait for a whole array of long mails.
        for (const lane of route.lanes) lane.flush();
        await nextTurn();
        sliceBegan = performance.now();
      }
      const size = delivery.message.payload.byteLength;
      bytes += size;
      if (!this.credit.tryTake(size)) {
        for (const lane of route.lanes) lane.flush();
        // Without credit at stop the message stays unsettled: its transport delivers it again.
        if (!(await this.credit.take(size, this.#stop.signal))) return;
      }
      const slot = new Slot(delivery, route.lanes.length, this.credit, receivedAt, this.#onSettled);
      const taken = this.#context.suspects.careful ? this.#alone(route, slot) : this.#offer(route, slot);
      if (taken !== null && !(await taken)) return;
    }
    for (const lane of route.lanes) lane.flush();
    telemetry.count('messages_received', { source }, deliveries.length);
    telemetry.count('bytes_received', { source }, bytes);
  }
}

const crashed = (): SluiceError =>
  new SluiceError('DECODE_CRASHED', 'this message was alone in flight when the process ended, twice');
