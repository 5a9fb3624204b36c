/** What every listener of `tap` does, and how a source is followed: what is not ours is settled unheard. */
import type { Health, Message, Source } from '../../contract.ts';
import type { Place } from './happening.ts';

export type Hear = (message: Message, place: Place) => Promise<void>;

export interface Listener {
  /** The sink it listens to. */
  readonly name: string;
  /** Ok once it hears; the reason where it does not, or no more. */
  health(): Health;
  /** Hears until the signal; `tell` gets what a person should know. Resolves when all is closed. */
  run(hear: Hear, tell: (text: string) => void, signal: AbortSignal): Promise<void>;
}

/** Reads a source to its end; what is not ours is settled unheard. */
export async function follow(
  source: Source,
  place: (topic: string) => Place | null,
  hear: Hear,
  signal: AbortSignal,
): Promise<void> {
  for await (const deliveries of source.read(signal)) {
    for (const delivery of deliveries) {
      const where = place(delivery.message.topic);
      if (where && !signal.aborted) await hear(delivery.message, where);
      delivery.settle('done');
    }
  }
}
