/**
 * An onlooker on the Kafka topics of a sink: in consumer groups made up for this run, from the newest message on. Promises
 * to hear the topics that exist, to say which do not, and to hear those too from their first message as soon as
 * they appear; it creates none. A broker that is away is asked again.
 */
import type { Health, IoContext, Source } from '../../contract.ts';
import { asSluiceError } from '../../errors.ts';
import { listTopics } from '../../io/kafka/topics.ts';
import { type KafkaSinkOptions, kafka } from '../../io/kafka.ts';
import type { Place } from './happening.ts';
import { follow, type Hear, type Listener } from './listener.ts';

/** How often it looks for topics that were not there yet. */
const LOOK_EVERY_MS = 2_000;

export class KafkaListener implements Listener {
  readonly name: string;
  readonly #options: KafkaSinkOptions;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #group: () => string;
  readonly #io: IoContext;
  readonly #sources: Source[] = [];
  #reason = 'not started';
  #looked = false;

  /** `places` by topic; `group` gives a new name each time. */
  constructor(
    name: string,
    options: KafkaSinkOptions,
    places: ReadonlyMap<string, Place>,
    group: () => string,
    io: IoContext,
  ) {
    this.name = name;
    this.#options = options;
    this.#places = places;
    this.#group = group;
    this.#io = io;
  }

  health(): Health {
    if (!this.#looked) return { ok: false, reason: this.#reason };
    return this.#sources.map((source) => source.health()).find((health) => !health.ok) ?? { ok: true };
  }

  async run(hear: Hear, tell: (text: string) => void, signal: AbortSignal): Promise<void> {
    const waiting = new Set(this.#places.keys());
    const reading: Promise<void>[] = [];
    try {
      while (waiting.size > 0 && !signal.aborted) {
        const found = await this.#look(waiting);
        if (signal.aborted) break;
        if (found && found.length > 0) {
          const source = this.#open(found, this.#looked);
          this.#sources.push(source);
          const place = (topic: string): Place | null => this.#places.get(topic) ?? null;
          reading.push(follow(source, place, hear, signal));
          for (const topic of found) waiting.delete(topic);
        }
        if (found && !this.#looked && waiting.size > 0)
          tell(`${this.name}: not there yet, heard as soon as they are: ${[...waiting].join(', ')}`);
        this.#looked ||= found !== null;
        await this.#io.clock.sleep(LOOK_EVERY_MS, signal);
      }
      await Promise.all(reading);
    } finally {
      await Promise.all(this.#sources.map((source) => source.close()));
    }
  }

  /** Which of `waiting` exist now; null where the broker does not say. */
  async #look(waiting: ReadonlySet<string>): Promise<string[] | null> {
    try {
      const there = await listTopics(this.#options, 'tap');
      return [...waiting].filter((topic) => there.has(topic));
    } catch (error) {
      this.#reason = asSluiceError(error).message;
      return null;
    }
  }

  /** What appeared while we looked on is new as a whole. */
  #open(topics: readonly string[], fromBeginning: boolean): Source {
    const { brokers, clientId, tls, sasl, connectTimeout, requestTimeout } = this.#options;
    const own = kafka.source.options.parse({ brokers, topics, group: this.#group(), fromBeginning });
    const connection = { brokers, clientId, tls, sasl, connectTimeout, requestTimeout };
    return kafka.source.open(`tap-${this.name}`, { ...own, ...connection }, this.#io);
  }
}
