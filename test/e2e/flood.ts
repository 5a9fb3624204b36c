/**
 * A sender that never rests, and the account of what came of it: every event has a verdict, every verdict names one of
 * the announced models, an event sent later is never judged by an older document, and scores are those of the model
 * that the verdict names.
 */
import { expect } from 'vitest';
import type { Bus } from './bus.ts';
import { type MiniHub, sent } from './mini-hub.ts';
import { full, until } from './scale.ts';

/** Enough that a gateway never waits for us. */
const MOST_BEHIND = full ? 20_000 : 1_000;

export interface SeenVerdict {
  readonly event: string;
  readonly model: string;
  readonly scores: Readonly<Record<string, number>>;
  readonly receivedAt: string;
  readonly tookMs: number;
}

export class Flood {
  readonly verdicts = new Map<string, SeenVerdict>();
  readonly #bus: Bus;
  readonly #input: string;
  readonly #payloads = new Map<string, string>();
  readonly #open: number;
  #n = 0;
  #going = true;
  #repeated = 0;
  #running: Promise<void> = Promise.resolve();

  /** `open` events at most wait for the broker's word. */
  constructor(bus: Bus, input: string, open = 400) {
    this.#bus = bus;
    this.#input = input;
    this.#open = open;
  }

  get sent(): number {
    return this.#n;
  }

  get repeated(): number {
    return this.#repeated;
  }

  async start(verdictTopic: string): Promise<void> {
    await this.#bus.subscribe(verdictTopic, (payload) => {
      const verdict = JSON.parse(payload.toString()).data as SeenVerdict;
      const known = this.verdicts.get(verdict.event);
      if (known) this.#repeated += 1;
      else this.verdicts.set(verdict.event, verdict);
    });
    this.#running = this.#pour();
  }

  async #pour(): Promise<void> {
    const waiting = new Set<Promise<void>>();
    while (this.#going) {
      const { id, payload } = sent(this.#n);
      this.#payloads.set(id, payload);
      const one = this.#bus.publish(this.#input, payload, `press-${this.#n % 8}`);
      this.#n += 1;
      waiting.add(one);
      one.then(() => waiting.delete(one));
      // A gateway that is far behind would only be waited for at the end.
      while (waiting.size >= this.#open || this.#n - this.verdicts.size > MOST_BEHIND)
        await (waiting.size > 0 ? Promise.race(waiting) : new Promise((resolve) => setTimeout(resolve, 5)));
    }
    await Promise.all(waiting);
  }

  /** Resolves when `more` further events have their verdict: what happens in between happens under load. */
  async flows(more: number, log: () => string): Promise<void> {
    const wanted = this.verdicts.size + more;
    await until(
      () => this.verdicts.size >= wanted,
      60_000,
      () => `${this.verdicts.size} of ${wanted} verdicts\n${log().slice(-2_000)}`,
    );
  }

  async stop(log: () => string): Promise<void> {
    this.#going = false;
    await this.#running;
    await until(
      () => this.verdicts.size >= this.#n,
      90_000,
      () => `${this.verdicts.size} of ${this.#n} events have a verdict\n${log().slice(-2_000)}`,
    );
  }

  /** `documents`: the digests in the order of their documents, a rollback included; before the first is a blank model. */
  expectOneModelEach(documents: readonly string[], blank: RegExp = /^blank-[0-9a-f]{12}\+\d+$/): void {
    expect([...this.#payloads.keys()].filter((id) => !this.verdicts.has(id))).toEqual([]);
    expect([...this.verdicts.keys()].filter((id) => !this.#payloads.has(id))).toEqual([]);
    const byDevice = new Map<string, { base: string; first: string }[]>();
    for (const id of this.#payloads.keys()) {
      const { model } = this.verdicts.get(id)!;
      const base = blank.test(model) ? 'blank' : /^([0-9a-f]{64})\+\d+$/.exec(model)?.[1];
      expect(base, `${id} was judged by ${model}`).toBeDefined();
      const device = id.split('/')[2];
      const seen = byDevice.get(device) ?? [];
      if (seen.at(-1)?.base !== base) seen.push({ base: base!, first: id });
      byDevice.set(device, seen);
    }
    // In the order in which they were sent, each device's events saw the models in the order of the documents.
    for (const seen of byDevice.values()) {
      const bases = seen.map(({ base }) => base);
      const wanted = ['blank', ...documents];
      const at = JSON.stringify(seen.map(({ first }) => this.verdicts.get(first)));
      expect(bases, `models in the order of their documents: ${at}`).toEqual(
        wanted.slice(wanted.indexOf(bases[0])),
      );
    }
  }

  /** For a task that does not learn: each score is that of the model that the verdict names. */
  async expectScoresOfTheModelNamed(hub: MiniHub): Promise<number> {
    let compared = 0;
    for (const [digest, made] of hub.announced) {
      const own = [...this.verdicts.values()].filter(({ model }) => model.startsWith(digest));
      const scores = await hub.scores(
        made,
        own.map(({ event }) => this.#payloads.get(event)!),
      );
      own.forEach(({ event, model, scores: given }, i) => {
        expect(model).toBe(`${digest}+0`);
        if (Math.abs(given.fault - scores[i]) > 1e-6)
          expect.fail(`${event} under ${model}: ${given.fault}, offline ${scores[i]}`);
      });
      compared += own.length;
    }
    return compared;
  }
}
