/**
 * The `files` transport: a source that plays files as a stream, as fast as the flow takes them or at a given
 * rate. What is settled `retry` comes again after the end of the files; the source ends when everything is
 * done. It holds at most `maxInFlight` events and `maxInFlightBytes` unsettled (one larger message passes
 * alone). A file remembers nothing: after a restart it is played from its start, with the same positions and
 * so the same identities. There is no sink.
 */
import { z } from 'zod';
import type { Delivery, Health, IoContext, Message, Outcome, Source, Transport } from '../contract.ts';
import { asSluiceError, type SluiceError } from '../errors.ts';
import { formats } from './files/guess.ts';
import { readInput } from './files/input.ts';

export { type FileFormat, formats } from './files/guess.ts';
export { type InputOptions, type InputSurvey, readInput, surveyInput } from './files/input.ts';

/** Deliveries handed out at once. */
const BATCH = 64;
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 10_000;

const options = z.strictObject({
  path: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe('a file or folder, or several that make one stream; LABEL=PATH labels a mailbox or folder'),
  format: z.enum(formats).optional().describe('default: guessed from name and content'),
  label: z.string().optional().describe('column with the label; default: label, else class'),
  separator: z.string().length(1).optional().describe('CSV: between cells; default: guessed from the header'),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('column names of a table without a header line'),
  text: z.string().optional().describe('column whose text is the whole body of a mail'),
  time: z.string().optional().describe("column with the event's own time"),
  rate: z.number().positive().optional().describe('events per second; default: as fast as they are taken'),
});

type FilesOptions = z.infer<typeof options>;

/** Resolves the promises of all who wait. */
class Bell {
  #waiting: (() => void)[] = [];

  ring(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.push(done);
    });
  }
}

class FilesSource implements Source {
  readonly name: string;
  readonly #options: FilesOptions;
  readonly #context: IoContext;
  readonly #settled = new Bell();
  #failure: SluiceError | null = null;
  #again: Message[] = [];
  #messages = 0;
  #bytes = 0;
  #closed = false;

  constructor(name: string, given: FilesOptions, context: IoContext) {
    this.name = name;
    this.#options = given;
    this.#context = context;
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly Delivery[]> {
    try {
      yield* this.#play(this.#named(), signal);
      for (let pause = RETRY_FIRST_MS; !this.#over(signal); pause = Math.min(pause * 2, RETRY_MOST_MS)) {
        if (this.#again.length === 0) await this.#settled.wait(signal);
        if (this.#again.length === 0) continue;
        await this.#context.clock.sleep(pause, signal);
        yield* this.#play(this.#again.splice(0), signal);
      }
    } catch (error) {
      this.#failure = asSluiceError(error, 'INPUT_INVALID');
      throw this.#failure;
    }
  }

  /** Done, aborted or closed. */
  #over(signal: AbortSignal): boolean {
    return signal.aborted || this.#closed || (this.#messages === 0 && this.#again.length === 0);
  }

  async *#named(): AsyncGenerator<Message> {
    const arrival = this.#options.time === undefined;
    for await (const message of readInput(this.#options)) {
      const at = arrival ? this.#context.clock.now() : message.at;
      yield { ...message, source: this.name, topic: this.name, at };
    }
  }

  async *#play(
    messages: AsyncIterable<Message> | Iterable<Message>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Delivery[]> {
    const { rate } = this.#options;
    const { clock } = this.#context;
    const started = clock.now();
    let played = 0;
    let batch: Delivery[] = [];
    for await (const message of messages) {
      if (signal.aborted || this.#closed) break;
      const early = rate === undefined ? 0 : started + (played * 1_000) / rate - clock.now();
      if (batch.length > 0 && (early > 0 || batch.length === BATCH || this.#full(message))) {
        yield batch;
        batch = [];
      }
      if (early > 0) await clock.sleep(early, signal);
      while (this.#full(message) && !signal.aborted && !this.#closed) await this.#settled.wait(signal);
      if (signal.aborted || this.#closed) break;
      batch.push(this.#lend(message));
      played += 1;
    }
    if (batch.length > 0) yield batch;
  }

  #full(next: Message): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#context;
    if (this.#messages === 0) return false;
    return this.#messages >= maxInFlight || this.#bytes + next.payload.length > maxInFlightBytes;
  }

  #lend(message: Message): Delivery {
    this.#messages += 1;
    this.#bytes += message.payload.length;
    const settle = (outcome: Outcome) => {
      this.#messages -= 1;
      this.#bytes -= message.payload.length;
      if (outcome === 'retry') this.#again.push(message);
      this.#settled.ring();
    };
    return { message, settle };
  }

  health(): Health {
    if (this.#closed) return { ok: false, reason: 'closed' };
    return this.#failure ? { ok: false, reason: this.#failure.message } : { ok: true };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#settled.ring();
  }
}

export const files: Transport<FilesOptions, never> = {
  summary:
    'mbox, maildir, .eml folders, index.tsv, CSV, TSV, JSON lines, ARFF and libsvm files, played as a stream',
  source: { options, open: (name, given, context) => new FilesSource(name, given, context) },
  sink: null,
};
