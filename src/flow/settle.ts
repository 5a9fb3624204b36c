/**
 * A slot is one message in flight: it is settled exactly once, when every task that reads it has said done,
 * and then gives its credit back. One `retry` from any task makes the whole message come again.
 */
import type { Delivery, Message, Outcome } from '../contract.ts';
import { type Verdict, verdictData } from '../envelope.ts';
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

  /** Why a task has no verdict, to a sender who waits for it. */
  tell(
    task: string,
    kind: 'refused' | 'failed',
    why: { readonly code: string; readonly message: string },
  ): void {
    this.delivery.answer?.({ kind, task, code: why.code, message: why.message });
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

/** Tells the verdicts of a task to the senders who wait for them; verdicts[i] is for an event of owners[i]. */
export function tellVerdicts(task: string, owners: readonly Slot[], verdicts: readonly Verdict[]): void {
  for (let i = 0; i < verdicts.length; i++) {
    const { delivery } = owners[i];
    delivery.answer?.({ kind: 'verdict', task, data: verdictData(verdicts[i]) });
  }
}
