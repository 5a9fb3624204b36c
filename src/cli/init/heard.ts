/**
 * What was heard, by topic: how many messages of which kind, and the shape of readings. Promises: bounded whatever is
 * sent; no payload is kept. Says of what cannot be used why not.
 */
import type { Message } from '../../contract.ts';
import { MOST_PLACES, Shape } from './shape.ts';

const MOST_TOPICS = 2_000;
const MAX_PAYLOAD = 1024 ** 2;
const MAX_READINGS = 100;
const MAX_KEYS = 100;

export type Content = 'readings' | 'mail' | 'left out';

export class Topic {
  readonly name: string;
  messages = 0;
  mails = 0;
  readonly shape = new Shape();
  /** Most readings in one message. */
  most = 0;
  /** Messages that were CloudEvents in structured mode, and those with CloudEvents headers. */
  events = 0;
  binary = 0;
  /** Why messages cannot be used, and how many. */
  readonly unusable = new Map<string, number>();
  readonly keys = new Set<string>();
  /** When the first and the newest came, ms. */
  first = Number.POSITIVE_INFINITY;
  last = Number.NEGATIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
  }

  get content(): Content {
    const bad = [...this.unusable.values()].reduce((a, b) => a + b, 0);
    if (this.mails > this.messages / 2) return 'mail';
    return this.shape.readings > 0 && bad <= this.messages / 2 ? 'readings' : 'left out';
  }

  /** The usual reason why its messages cannot be used; '' where most can. */
  get reason(): string {
    const [worst] = [...this.unusable].sort((a, b) => b[1] - a[1]);
    return worst?.[0] ?? '';
  }

  /** `room`: places that may still be remembered. Returns how many were. */
  add(message: Message, room: number): number {
    this.messages += 1;
    this.first = Math.min(this.first, message.at);
    this.last = Math.max(this.last, message.at);
    if (message.key !== null && this.keys.size < MAX_KEYS) this.keys.add(message.key);
    if (message.headers.ce_id ?? message.headers['ce-id']) this.binary += 1;
    const { payload } = message;
    if (payload.length === 0) return this.#refuse('empty');
    if (payload.length > MAX_PAYLOAD) return this.#refuse('larger than 1 MiB');
    const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
    let parsed: unknown;
    try {
      parsed = JSON.parse(text.replace(/^\ufeff/, ''));
    } catch {
      if (!looksLikeMail(text))
        return this.#refuse(/^spBv1\.0\//.test(message.topic) ? 'Sparkplug B' : 'neither JSON nor mail');
      this.mails += 1;
      return 0;
    }
    return this.#readings(parsed, message.at, room);
  }

  #readings(parsed: unknown, arrival: number, room: number): number {
    const all = (Array.isArray(parsed) ? parsed : [parsed]).flatMap((item: unknown) => this.#unwrap(item));
    if (all.length === 0) return this.#refuse('an empty array');
    const objects = all.slice(0, MAX_READINGS).filter(isObject);
    if (objects.length < Math.min(all.length, MAX_READINGS)) return this.#refuse(scalar(all[0]));
    if (
      objects.every((one) => 'n' in one || 'bn' in one) &&
      objects.some((one) => 'v' in one || 'vs' in one || 'vb' in one)
    )
      return this.#refuse('SenML (RFC 8428)');
    this.most = Math.max(this.most, all.length);
    let placed = 0;
    for (const one of objects) placed += this.shape.add(one, arrival, room - placed);
    return placed;
  }

  #unwrap(item: unknown): unknown[] {
    if (!isObject(item) || typeof item.specversion !== 'string' || typeof item.id !== 'string') return [item];
    this.events += 1;
    return Array.isArray(item.data) ? item.data : [item.data];
  }

  #refuse(reason: string): number {
    this.unusable.set(reason, (this.unusable.get(reason) ?? 0) + 1);
    return 0;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const scalar = (value: unknown): string =>
  typeof value === 'number' ? 'a bare number, where a reading is a JSON object' : 'JSON, but no object';

const HEADER =
  /^(?:from|to|subject|date|received|message-id|mime-version|return-path|delivered-to|content-type):/gim;

/** RFC 5322: begins with header lines, two well-known ones among them. */
function looksLikeMail(text: string): boolean {
  const head = text.slice(0, 8_192).replace(/^From .*\r?\n/, '');
  return (
    /^[!-9;-~]+:/.test(head) &&
    new Set((head.match(HEADER) ?? []).map((name) => name.toLowerCase())).size >= 2
  );
}

/** Everything heard. */
export class Heard {
  readonly topics = new Map<string, Topic>();
  messages = 0;
  /** Messages on topics beyond those that are looked at. */
  beyond = 0;
  /** When the newest topic appeared, by the clock that is handed in. */
  newestTopicAt = 0;
  #places = 0;

  add(message: Message, now: number): void {
    this.messages += 1;
    let topic = this.topics.get(message.topic);
    if (!topic) {
      if (this.topics.size >= MOST_TOPICS) {
        this.beyond += 1;
        return;
      }
      topic = new Topic(message.topic);
      this.topics.set(message.topic, topic);
      this.newestTopicAt = now;
    }
    this.#places += topic.add(message, MOST_PLACES - this.#places);
  }
}
