/**
 * Burying: a message that cannot be used becomes a dead letter, whole and durable in the store, and is told
 * on the `dead` topic of every sink of its task. Only then is it settled. Letters marked for replay go through
 * their lane again; the old letter is dropped when the message has ended, well or as a new letter.
 */
import { createHash } from 'node:crypto';
import type { Bury, DeadLetter, Delivery, Outcome, Store } from '../contract.ts';
import { deadData, type Envelope } from '../envelope.ts';
import { asSluiceError } from '../errors.ts';
import type { Telemetry } from '../telemetry.ts';
import type { Publisher } from './publisher.ts';

export interface DeadOutput {
  readonly publisher: Publisher;
  readonly topic: string;
  readonly envelope: Envelope;
  readonly maxMessageBytes: number;
}

export interface DeadContext {
  readonly store: Store;
  /** By task. */
  readonly outputs: ReadonlyMap<string, readonly DeadOutput[]>;
  /** False where the configuration keeps raw events only encrypted, or not at all: then nothing of them is published. */
  readonly withPayload: boolean;
  readonly telemetry: Telemetry;
}

export function makeBury(context: DeadContext): Bury {
  return async (task, original, error, receivedAt) => {
    const letter = { task, code: error.code, message: error.message, receivedAt, original };
    const [id] = await context.store.dead.put([letter]);
    const told = (context.outputs.get(task) ?? []).map(async (output) => {
      const data = deadData(original, error, receivedAt, output.maxMessageBytes, sha256, context.withPayload);
      const payload = output.envelope.dead(data, id, receivedAt);
      const key = context.withPayload ? original.key : null;
      await output.publisher.submit([{ topic: output.topic, key, payload }]);
      context.telemetry.count('published', { sink: output.publisher.name, what: 'dead' });
    });
    await Promise.all(told);
  };
}

/** Feeds marked dead letters back into their lanes. */
const AT_ONCE = 100;
const MAX_UNTAKEN = 10_000;

export class Replayer {
  readonly #store: Store;
  readonly #telemetry: Telemetry;
  readonly #inject: (letter: DeadLetter, delivery: Delivery) => Promise<void>;
  readonly #underWay = new Set<string>();
  /** Given back: their task or sink is not in this configuration. A few at most are looked past. */
  readonly #untaken = new Set<string>();

  constructor(
    store: Store,
    telemetry: Telemetry,
    inject: (letter: DeadLetter, delivery: Delivery) => Promise<void>,
  ) {
    this.#store = store;
    this.#telemetry = telemetry;
    this.#inject = inject;
  }

  /** Called every second or so. Never throws. */
  async tick(): Promise<void> {
    try {
      // Those that are under way, or that nobody here takes, must not stand before the others.
      const letters = this.#store.dead.replays(AT_ONCE + this.#underWay.size + this.#untaken.size);
      for (const letter of letters) {
        if (this.#underWay.has(letter.id) || this.#untaken.has(letter.id)) continue;
        this.#underWay.add(letter.id);
        await this.#inject(letter, this.#delivery(letter));
      }
    } catch (thrown) {
      this.#telemetry.error(asSluiceError(thrown, 'STORE_FAILED'));
    }
  }

  #delivery(letter: DeadLetter): Delivery {
    const settle = (outcome: Outcome) => {
      if (outcome === 'retry' && this.#untaken.size < MAX_UNTAKEN) this.#untaken.add(letter.id);
      const dropped = outcome === 'done' ? this.#store.dead.drop([letter.id]) : Promise.resolve(0);
      dropped
        .catch((thrown) => this.#telemetry.error(asSluiceError(thrown, 'STORE_FAILED')))
        .finally(() => this.#underWay.delete(letter.id));
    };
    return { message: letter.original, settle };
  }
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
