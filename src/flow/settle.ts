/**
 * A slot is one message in flight: it is settled exactly once, when every task that reads it has said done,
 * and then gives its credit back. One `retry` from any task makes the whole message come again.
 */
import type { Delivery, Message, Outcome } from '../contract.ts';
import type { Credit } from './credit.ts';

export class Slot {
  readonly delivery: Delivery;
  /** Monotonic and wall-clock arrival, ms. */
  readonly startedAt: number;
  readonly receivedAt: number;
  readonly #credit: Credit;
  readonly #onDone: ((slot: Slot) => void) | null;
  #pending: number;
  #outcome: Outcome = 'done';

  constructor(
    delivery: Delivery,
    tasks: number,
    credit: Credit,
    receivedAt: number,
    onDone: ((slot: Slot) => void) | null,
  ) {
    this.delivery = delivery;
    this.#pending = tasks;
    this.#credit = credit;
    this.receivedAt = receivedAt;
    this.startedAt = performance.now();
    this.#onDone = onDone;
  }

  get message(): Message {
    return this.delivery.message;
  }

  /** One task is finished with this message. */
  finish(outcome: Outcome): void {
    if (this.#pending === 0) return;
    if (outcome === 'retry') this.#outcome = 'retry';
    this.#pending -= 1;
    if (this.#pending > 0) return;
    this.delivery.settle(this.#outcome);
    this.#credit.give(this.message.payload.byteLength);
    if (this.#outcome === 'done') this.#onDone?.(this);
  }
}
