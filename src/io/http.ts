/**
 * The `http` transport: messages that a sender hands over in a request, and waits for what becomes of them. Promises:
 * whoever enters is answered, by the deadline at the latest; a verdict is told only when it is as safe as that of any
 * other source; what could not be kept safe is answered with "no opinion", and sending it again is the sender's, who
 * still has it. Bounded by `maxInFlight` and `maxInFlightBytes`, counted from the first byte of a request on; beyond,
 * nobody enters. It opens no port: the gateway's web server stands before it. There is no sink.
 */
import { z } from 'zod';
import type { Answer, Clock, Delivery, Health, IoContext, Message, Source, Transport } from '../contract.ts';
import { duration } from '../units.ts';

/** Deliveries handed out at once. */
const BATCH = 256;
/** No request may wait longer. */
export const MOST_DEADLINE_MS = 30_000;

const options = z.strictObject({
  deadline: duration
    .refine((ms) => ms > 0 && ms <= MOST_DEADLINE_MS, { message: 'must be above 0 and at most 30s' })
    .prefault('2s')
    .describe(
      'how long a request waits for its verdict where it names no deadline of its own; then it is answered 503, no opinion',
    ),
});

type HttpOptions = z.infer<typeof options>;

export type NoOpinion = 'deadline' | 'busy' | 'failed' | 'stopped';

/** What the sender is told. */
export type Reply =
  /** JSON texts, one for each event of the message. */
  | { readonly kind: 'verdicts'; readonly data: readonly string[] }
  /** The message cannot be used; it is kept as a dead letter. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'none'; readonly why: NoOpinion; readonly text: string };

export interface Sent {
  readonly payload: Uint8Array;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** One request on its way through. Every entrance ends by `send` or `leave`. */
export interface Entrance {
  /** Resolves once, also while the message is still being received. Never rejects. */
  readonly reply: Promise<Reply>;
  /** Claims room for so many more bytes; false where there is none: then it has been answered. */
  claim(bytes: number): boolean;
  send(sent: Sent): void;
  /** The sender went away, or sent too much: what is not under way yet is dropped. */
  leave(why?: 'gone' | 'refused'): void;
}

interface Ground {
  readonly source: string;
  readonly clock: Clock;
  claim(bytes: number): boolean;
  enqueue(visit: Visit): void;
  /** Gives back the room; called once. */
  gone(visit: Visit): void;
  ended(result: string): void;
}

/** receiving -> queued -> lent (the flow has it) -> gone. What is answered and what is held end each on its own. */
class Visit implements Entrance, Delivery {
  readonly task: string;
  readonly reply: Promise<Reply>;
  bytes = 0;
  state: 'receiving' | 'queued' | 'lent' | 'gone' = 'receiving';
  #message: Message | null = null;
  readonly #ground: Ground;
  readonly #timer = new AbortController();
  #resolve: ((reply: Reply) => void) | null;
  readonly #verdicts: string[] = [];

  constructor(task: string, deadlineMs: number, ground: Ground) {
    this.task = task;
    this.#ground = ground;
    let resolve: (reply: Reply) => void = () => undefined;
    this.reply = new Promise((taken) => {
      resolve = taken;
    });
    this.#resolve = resolve;
    void ground.clock.sleep(deadlineMs, this.#timer.signal).then(() => {
      this.refuse('deadline', `There was no verdict within ${deadlineMs} ms.`);
    });
  }

  get message(): Message {
    return this.#message!;
  }

  claim(bytes: number): boolean {
    if (this.#resolve === null) return false;
    if (!this.#ground.claim(bytes)) {
      this.refuse('busy', 'Too many bytes are in flight.');
      return false;
    }
    this.bytes += bytes;
    return true;
  }

  send({ payload, key, headers }: Sent): void {
    if (this.state !== 'receiving' || this.#resolve === null) return;
    const { source, clock } = this.#ground;
    const at = clock.now();
    this.#message = { source, topic: source, key, payload, headers, at, position: '' };
    this.state = 'queued';
    this.#ground.enqueue(this);
  }

  leave(why: 'gone' | 'refused' = 'gone'): void {
    this.#end(why, { kind: 'none', why: 'stopped', text: '' });
  }

  refuse(why: NoOpinion, text: string): void {
    this.#end(why, { kind: 'none', why, text });
  }

  answer(answer: Answer): void {
    if (answer.kind === 'failed') this.refuse('failed', answer.message);
    else if (answer.task !== this.task) return;
    else if (answer.kind === 'verdict') this.#verdicts.push(answer.data);
    else this.#end('refused', { kind: 'refused', code: answer.code, message: answer.message });
  }

  settle(outcome: 'done' | 'retry'): void {
    if (this.state !== 'lent') return;
    this.#release();
    if (outcome === 'done') this.#end('verdict', { kind: 'verdicts', data: this.#verdicts });
    else this.refuse('failed', 'The verdict could not be kept safe.');
  }

  /** Whatever the flow still has of it stays with the flow until it settles. */
  #end(result: string, reply: Reply): void {
    if (this.#resolve === null) return;
    this.#resolve(reply);
    this.#resolve = null;
    this.#timer.abort();
    this.#ground.ended(result);
    if (this.state !== 'lent') this.#release();
  }

  #release(): void {
    if (this.state === 'gone') return;
    this.#ground.gone(this);
    this.state = 'gone';
  }
}

export class HttpSource implements Source {
  readonly name: string;
  readonly #options: HttpOptions;
  readonly #context: IoContext;
  readonly #ground: Ground;
  readonly #visits = new Set<Visit>();
  #queue: Visit[] = [];
  #wake: (() => void) | null = null;
  #bytes = 0;
  #reading = false;
  #closed = false;

  constructor(name: string, given: HttpOptions, context: IoContext) {
    this.name = name;
    this.#options = given;
    this.#context = context;
    this.#ground = {
      source: name,
      clock: context.clock,
      claim: (bytes) => this.#claim(bytes),
      enqueue: (visit) => {
        this.#queue.push(visit);
        this.#wake?.();
      },
      gone: (visit) => this.#gone(visit),
      ended: (result) => context.telemetry.count('asked', { source: name, result }),
    };
  }

  /** One request for the verdict of `task`. The deadline (ms) runs from now on; null is that of the source. */
  enter(task: string, deadlineMs: number | null): Entrance {
    const visit = new Visit(task, deadlineMs ?? this.#options.deadline, this.#ground);
    this.#visits.add(visit);
    if (!this.#reading) visit.refuse('stopped', 'The gateway is starting or stopping.');
    else if (this.#visits.size > this.#context.maxInFlight) visit.refuse('busy', 'Too many are in flight.');
    return visit;
  }

  async *read(signal: AbortSignal): AsyncGenerator<readonly Delivery[]> {
    const over = () => signal.aborted || this.#closed;
    if (over()) return;
    // At once, not when the reader comes round again: who waits is told quickly.
    const stop = () => this.#stopReading();
    signal.addEventListener('abort', stop, { once: true });
    this.#reading = true;
    try {
      while (!over()) {
        if (this.#queue.length === 0) await this.#queued();
        else yield this.#lend();
      }
    } finally {
      signal.removeEventListener('abort', stop);
      this.#stopReading();
    }
  }

  health(): Health {
    if (this.#closed) return { ok: false, reason: 'closed' };
    return this.#reading ? { ok: true } : { ok: false, reason: 'not reading' };
  }

  /** Whoever still waits is told. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopReading();
    for (const visit of [...this.#visits]) visit.refuse('stopped', 'The gateway is stopping.');
  }

  #claim(bytes: number): boolean {
    if (this.#visits.size > 1 && this.#bytes + bytes > this.#context.maxInFlightBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  #gone(visit: Visit): void {
    this.#visits.delete(visit);
    this.#bytes -= visit.bytes;
    if (visit.state === 'queued') this.#queue.splice(this.#queue.indexOf(visit), 1);
  }

  #queued(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #lend(): readonly Delivery[] {
    const visits = this.#queue.splice(0, BATCH);
    for (const visit of visits) visit.state = 'lent';
    return visits;
  }

  /** What is not lent yet will not be: it is answered. What is lent goes on to its end. */
  #stopReading(): void {
    this.#reading = false;
    for (const visit of [...this.#visits])
      if (visit.state !== 'lent') visit.refuse('stopped', 'The gateway is stopping.');
    this.#wake?.();
  }
}

export const http: Transport<HttpOptions, never> = {
  summary:
    "messages handed to `POST /api/classify` of the gateway's own HTTP server, which answers with the verdict",
  source: { options, open: (name, given, context) => new HttpSource(name, given, context) },
  sink: null,
};
