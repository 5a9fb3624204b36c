/**
 * The hub: it gathers the labelled rows and alarms of many gateways, retrains when there is a reason, tests the
 * candidate on rows that nobody had learned, and rolls it out in stages. Promises: facts come by call and are cheap;
 * decisions fall in `tick` alone, task by task, and a training runs beside it; the clock is an argument, so a year
 * passes in a test as it would outside; state is bounded and survives a kill at any point. It reads no topic
 * and opens no file itself. What is hostile is refused where it is read; here names, numbers and sizes are still bounded.
 */
import type { Actual, Alarm, Clock, Desired, LabelledRow, Order } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { HubEvent } from './hub/events.ts';
import { TaskLoop } from './hub/loop.ts';
import { Memory } from './hub/memory.ts';
import type { HubLoopOptions } from './hub/options.ts';
import type { OrderResult } from './hub/orders.ts';
import type { HubParts, HubTask } from './hub/seams.ts';
import { Sites, type SiteWindow } from './hub/sites.ts';
import { type HubStatus, summaries, taskStatus } from './hub/status.ts';

export type { HubEvent } from './hub/events.ts';
export { type HubLoopOptions, hubLoopOptions } from './hub/options.ts';
export type { HubStatus, TaskLoopStatus } from './hub/status.ts';

export interface HubContext {
  /** Whose models these are: one hub, one group. */
  readonly group: string;
  readonly tasks: readonly HubTask[];
  readonly options: HubLoopOptions;
  readonly parts: HubParts;
  readonly clock: Clock;
  /** A decision that could not be carried out; it is tried again with the next tick. */
  readonly failed: (error: SluiceError, task: string) => void;
}

export class Hub {
  readonly #context: HubContext;
  readonly #sites: Sites;
  readonly #loops = new Map<string, TaskLoop>();
  readonly #listeners = new Set<(event: HubEvent) => void>();
  /** Orders given by call, and whom their result is owed to. */
  #orders: { order: Order; settle: (result: OrderResult) => void }[] = [];
  readonly #busy = new Map<string, Promise<void>>();
  #closed = false;

  /** Goes on from what was saved. Throws what the state's `load` throws. */
  constructor(context: HubContext) {
    this.#context = context;
    const { group, tasks, options, parts, clock } = context;
    this.#sites = new Sites(options.rollout.silent);
    for (const task of tasks) {
      const emit = (event: HubEvent) => this.#emit(event);
      const memory = new Memory({ group, task: task.name, parts, clock, emit });
      const loop = new TaskLoop({ group, task, options, parts, clock, sites: this.#sites, memory });
      this.#loops.set(task.name, loop);
    }
  }

  /** Called with each moment once it is durable. A listener must not throw. Returns how to stop it. */
  onEvent(listener: (event: HubEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #emit(event: HubEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  // ---- facts

  /** Resolves when they are durable; rejects with STORE_* where they are not, and then nothing was counted. Again is no error. */
  async rows(rows: readonly LabelledRow[]): Promise<void> {
    const ours = rows.filter((row) => this.#loops.has(row.task));
    if (ours.length === 0) return;
    await this.#context.parts.pool.add(ours);
    const now = this.#context.clock.now();
    for (const row of ours) {
      this.#sites.heard(row.site, now);
      this.#loops.get(row.task)?.row(row);
    }
  }

  window(site: string, task: string, window: SiteWindow): void {
    if (this.#loops.has(task)) this.#sites.window(site, task, window, this.#context.clock.now());
  }

  /** Resolves when it is durable, where a training follows from it; rejects with STORE_*. */
  async alarm(site: string, alarm: Alarm): Promise<void> {
    const now = this.#context.clock.now();
    const loop = this.#loops.get(alarm.task);
    if (loop && this.#sites.heard(site, now)) await loop.alarm(site, alarm, now);
  }

  presence(site: string, online: boolean): void {
    this.#sites.presence(site, online, this.#context.clock.now());
  }

  actual(actual: Actual): void {
    this.#loops.get(actual.task)?.actual(actual, this.#context.clock.now());
  }

  /** Followed or refused with the next tick; those in the registry's folder are found by themselves. */
  order(order: Order): Promise<OrderResult> {
    if (this.#closed) return Promise.resolve({ followed: false, reason: 'the hub has stopped' });
    return new Promise((settle) => this.#orders.push({ order, settle }));
  }

  // ---- decisions

  /** One look at every task; a task that is still busy with the last one is left to it. Never rejects. */
  async tick(): Promise<void> {
    if (this.#closed) return;
    const orders = await this.#gatherOrders();
    const work = [...this.#loops].map(([name, loop]) => {
      const mine = orders.filter(({ order }) => order.task === name);
      const running = this.#busy.get(name);
      if (running) {
        // They wait for their turn; those of the registry are found again.
        this.#orders.push(...mine.filter(({ given }) => given));
        return running;
      }
      const done = this.#guard(name, () => this.#step(loop, mine)).finally(() => this.#busy.delete(name));
      this.#busy.set(name, done);
      return done;
    });
    await Promise.all(work);
  }

  async #step(loop: TaskLoop, orders: readonly { order: Order; settle: (result: OrderResult) => void }[]) {
    const waiting = [...orders];
    try {
      await loop.memory.settle();
      for (let next = waiting[0]; next; next = waiting[0]) {
        const result = await loop.order(next.order);
        waiting.shift();
        next.settle(result);
      }
    } finally {
      this.#orders.push(...waiting);
    }
    await loop.step();
  }

  async #gatherOrders() {
    const given = this.#orders.map((each) => ({ ...each, given: true }));
    this.#orders = [];
    const found = await this.#context.parts.registry.orders().catch((error: unknown) => {
      this.#context.failed(asSluiceError(error), '');
      return [];
    });
    const ids = new Set(given.map(({ order }) => order.id));
    const fresh = found.filter(({ id }) => !ids.has(id));
    const all = [...given, ...fresh.map((order) => ({ order, settle: () => undefined, given: false }))];
    const strangers = all.filter(({ order }) => !this.#loops.has(order.task));
    for (const { order, settle } of strangers) {
      await this.#guard('', () => this.#context.parts.registry.done(order.id));
      settle({ followed: false, reason: `this hub has no task ${order.task}` });
    }
    return all.filter(({ order }) => this.#loops.has(order.task));
  }

  async #guard(task: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#context.failed(asSluiceError(error), task);
    }
  }

  /** Resolves when no training runs in this process; the next tick takes up what came of it. */
  async settled(): Promise<void> {
    for (const loop of this.#loops.values()) await loop.settled();
  }

  status(): HubStatus {
    const { options, clock, group } = this.#context;
    const now = clock.now();
    const tasks = [...this.#loops.values()].map((loop) => taskStatus(loop, options, now));
    return { group, sites: this.#sites.facts(now), tasks, ...summaries(tasks) };
  }

  /** The last word of each task, where one was given and the broker had it: what must lie there. */
  words(): Desired[] {
    const records = [...this.#loops.values()].map(({ memory }) => memory.record);
    return records.flatMap(({ word, told }) => (word && told ? [word] : []));
  }

  /** Saves what is known. A training under way is given up and begun again at the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#busy.values());
    for (const { settle } of this.#orders.splice(0))
      settle({ followed: false, reason: 'the hub has stopped' });
    for (const [name, loop] of this.#loops) await this.#guard(name, () => loop.close());
  }
}
