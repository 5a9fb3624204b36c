/** Requests that wait for their verdict, in virtual time and without a server: each is answered once, and room comes back. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock, Delivery } from '../../src/contract.ts';
import { type Entrance, HttpSource, http } from '../../src/io/http.ts';
import { contextOf } from '../contract/rigs.ts';

/** Time passes only when told. */
class Hand implements Clock {
  #now = 1_000;
  #sleepers = new Set<{ at: number; wake: () => void }>();
  now = () => this.#now;
  sleep = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        resolve();
      });
    });
  async pass(ms: number): Promise<void> {
    this.#now += ms;
    for (const sleeper of [...this.#sleepers])
      if (sleeper.at <= this.#now) {
        this.#sleepers.delete(sleeper);
        sleeper.wake();
      }
    await turns();
  }
  get sleepers(): number {
    return this.#sleepers.size;
  }
}
const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

let clock: Hand;
let source: HttpSource;
let lent: Delivery[];
let stop: AbortController;
let ended: Promise<void>;

function open(bounds: { maxInFlight?: number; maxInFlightBytes?: number } = {}): void {
  clock = new Hand();
  source = new HttpSource('mx', http.source.options.parse({}), contextOf({ ...bounds, clock }));
  lent = [];
  stop = new AbortController();
  ended = (async () => {
    for await (const batch of source.read(stop.signal)) lent.push(...batch);
  })();
}
beforeEach(() => open());

function send(text = 'x', task = 'spam', deadlineMs: number | null = null): Entrance {
  const entrance = source.enter(task, deadlineMs);
  if (entrance.claim(text.length)) entrance.send({ payload: Buffer.from(text), key: null, headers: {} });
  return entrance;
}
const verdict = (task: string, data = '{}') => ({ kind: 'verdict', task, data }) as const;

describe('an answer', () => {
  it('is that of the task which was asked, once all tasks are done', async () => {
    const entrance = send();
    await turns();
    let told = false;
    void entrance.reply.then(() => {
      told = true;
    });
    lent[0].answer!(verdict('other', '{"no":1}'));
    lent[0].answer!(verdict('spam', '{"yes":1}'));
    await turns();
    expect(told).toBe(false);
    lent[0].settle('done');
    expect(await entrance.reply).toEqual({ kind: 'verdicts', data: ['{"yes":1}'] });
  });

  it('comes at once where it is a dead letter, or can no longer be kept safe by any task', async () => {
    const [dead, failed] = [send(), send()];
    await turns();
    lent[0].answer!({ kind: 'refused', task: 'other', code: 'DECODE_MAIL', message: 'another task' });
    lent[0].answer!({ kind: 'refused', task: 'spam', code: 'DECODE_MAIL', message: 'no mail' });
    lent[1].answer!({ kind: 'failed', task: 'other', code: 'STORE_FULL', message: 'full' });
    expect(await dead.reply).toEqual({ kind: 'refused', code: 'DECODE_MAIL', message: 'no mail' });
    expect(await failed.reply).toMatchObject({ kind: 'none', why: 'failed' });
  });

  it('is no opinion where a verdict was made and then not kept', async () => {
    const entrance = send();
    await turns();
    lent[0].answer!(verdict('spam'));
    lent[0].settle('retry');
    expect(await entrance.reply).toMatchObject({ kind: 'none', why: 'failed' });
  });

  it('is no opinion at the deadline; what waits is dropped, what is under way goes on and holds its room', async () => {
    open({ maxInFlight: 1 });
    const first = send('x', 'spam', 100);
    await turns();
    await clock.pass(99);
    expect(lent).toHaveLength(1);
    await clock.pass(1);
    expect(await first.reply).toMatchObject({ kind: 'none', why: 'deadline' });
    expect(await send().reply).toMatchObject({ kind: 'none', why: 'busy' });
    lent[0].settle('done');
    lent[0].settle('done');
    send();
    await turns();
    expect(lent).toHaveLength(2);
  });

  it('is no opinion before reading began, after it ended, and for what was not lent by then', async () => {
    const unread = new HttpSource('mx', http.source.options.parse({}), contextOf({ clock }));
    expect(await unread.enter('spam', null).reply).toMatchObject({ why: 'stopped' });
    const under = send();
    await turns();
    const receiving = source.enter('spam', null);
    stop.abort();
    expect(await receiving.reply).toMatchObject({ why: 'stopped' });
    expect(receiving.claim(1)).toBe(false);
    await ended;
    expect(await send().reply).toMatchObject({ why: 'stopped' });
    lent[0].answer!(verdict('spam'));
    lent[0].settle('done');
    expect(await under.reply).toMatchObject({ kind: 'verdicts' });
    expect(clock.sleepers).toBe(0);
  });

  it('comes at close for what the flow never settled', async () => {
    const entrance = send();
    await turns();
    stop.abort();
    await source.close();
    expect(await entrance.reply).toMatchObject({ why: 'stopped' });
    expect(source.health()).toEqual({ ok: false, reason: 'closed' });
  });
});

it('never lets in more than it may, answers everyone once, and ends empty, whatever happens in which order', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('enter' as const), bytes: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ do: fc.constantFrom('done' as const, 'retry' as const, 'leave' as const, 'time' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      open({ maxInFlight: 4, maxInFlightBytes: 100 });
      await turns();
      const entrances: Entrance[] = [];
      let settled = 0;
      let answered = 0;
      for (const one of steps) {
        if (one.do === 'enter') {
          const entrance = send('x'.repeat(one.bytes), 'spam', 50);
          void entrance.reply.then(() => {
            answered += 1;
          });
          entrances.push(entrance);
        } else if (one.do === 'time') await clock.pass(30);
        else if (one.do === 'leave') entrances.at(-1)?.leave();
        else if (settled < lent.length) lent[settled++].settle(one.do);
        await turns();
        const held = lent.slice(settled);
        expect(held.length).toBeLessThanOrEqual(4);
        const bytes = held.reduce((sum, { message }) => sum + message.payload.length, 0);
        expect(bytes <= 100 || held.length === 1).toBe(true);
      }
      while (settled < lent.length) lent[settled++].settle('done');
      await clock.pass(1_000);
      expect(answered).toBe(entrances.length);
      expect(clock.sleepers).toBe(0);
      // All the room is back.
      const last = [send('x'.repeat(40)), send('x'.repeat(40)), send('x'), send('x')];
      await turns();
      expect(lent.slice(settled)).toHaveLength(last.length);
      stop.abort();
      await source.close();
      await ended;
    }),
    { numRuns: 150 },
  );
});
