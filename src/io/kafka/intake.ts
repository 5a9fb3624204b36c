/**
 * Between the consumer and whoever pulls: deliveries wait here, in order, until they are read, and count
 * against the bounds until they are settled. Holds at most `maxInFlight` messages and the bytes given; one
 * message larger than that passes alone.
 */
import type { Delivery, Message, Outcome } from '../../contract.ts';
import type { Watermark } from './watermark.ts';

/** Told when a delivery of a partition that is still ours was settled. */
export type OnSettled = (mark: Watermark, entry: number, outcome: Outcome) => void;

interface Chunk {
  readonly mark: Watermark;
  readonly deliveries: KafkaDelivery[];
}

const READ_AT_ONCE = 256;

export class Intake {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #onSettled: OnSettled;
  #chunks: Chunk[] = [];
  #messages = 0;
  #bytes = 0;
  #reader: (() => void) | null = null;
  #writer: (() => void) | null = null;

  constructor(maxMessages: number, maxBytes: number, onSettled: OnSettled) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
    this.#onSettled = onSettled;
  }

  /** Unsettled messages, waiting ones included. */
  get messages(): number {
    return this.#messages;
  }

  fits(bytes: number): boolean {
    if (this.#messages === 0) return true;
    return this.#messages < this.#maxMessages && this.#bytes + bytes <= this.#maxBytes;
  }

  /** Makes a delivery and takes its room. It is not readable before `push`. */
  charge(mark: Watermark, entry: number, message: Message): KafkaDelivery {
    this.#messages += 1;
    this.#bytes += message.payload.byteLength;
    return new KafkaDelivery(this, mark, entry, message);
  }

  push(mark: Watermark, deliveries: KafkaDelivery[]): void {
    if (deliveries.length === 0) return;
    this.#chunks.push({ mark, deliveries });
    this.wakeReader();
  }

  /** Called by the delivery, once. */
  release(delivery: KafkaDelivery, mark: Watermark, entry: number, outcome: Outcome): void {
    this.#messages -= 1;
    this.#bytes -= delivery.message.payload.byteLength;
    // Waking for every single message would make the consumer take steps of one.
    if (this.#writer && this.#messages <= this.#maxMessages * 0.75) this.wakeWriter();
    if (!mark.lost) this.#onSettled(mark, entry, outcome);
  }

  /** The next deliveries in order; null when `signal` aborted. */
  async next(signal: AbortSignal): Promise<readonly Delivery[] | null> {
    for (;;) {
      if (signal.aborted) return null;
      const deliveries = this.#takeWaiting();
      if (deliveries.length > 0) return deliveries;
      await new Promise<void>((resolve) => {
        this.#reader = resolve;
      });
    }
  }

  /** What waits, up to about READ_AT_ONCE: a reader that is slow must not be slowed by many small fetches. */
  #takeWaiting(): readonly Delivery[] {
    const taken: KafkaDelivery[] = [];
    while (this.#chunks.length > 0 && taken.length < READ_AT_ONCE) {
      const { mark, deliveries } = this.#chunks.shift()!;
      if (mark.lost) for (const delivery of deliveries) delivery.settle('retry');
      else if (taken.length === 0 && deliveries.length >= READ_AT_ONCE) return deliveries;
      else taken.push(...deliveries);
    }
    return taken;
  }

  /** Resolves when there may be room, on `wakeWriter`, or after `ms`. */
  async room(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#writer = resolve;
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#writer = null;
  }

  wakeReader(): void {
    this.#reader?.();
    this.#reader = null;
  }

  wakeWriter(): void {
    this.#writer?.();
    this.#writer = null;
  }

  /** Drops what waits unread of partitions that are lost, and gives its room back. */
  dropLost(): void {
    const lost = this.#chunks.filter(({ mark }) => mark.lost);
    this.#chunks = this.#chunks.filter(({ mark }) => !mark.lost);
    for (const { deliveries } of lost) for (const delivery of deliveries) delivery.settle('retry');
  }
}

/** One message on loan. A class, so that nothing but the object itself is allocated per message. */
export class KafkaDelivery implements Delivery {
  readonly message: Message;
  readonly #intake: Intake;
  readonly #mark: Watermark;
  readonly #entry: number;
  #settled = false;

  constructor(intake: Intake, mark: Watermark, entry: number, message: Message) {
    this.#intake = intake;
    this.#mark = mark;
    this.#entry = entry;
    this.message = message;
  }

  settle(outcome: Outcome): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#intake.release(this, this.#mark, this.#entry, outcome);
  }
}
