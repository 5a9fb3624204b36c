import { describe, expect, it } from 'vitest';
import { spread } from '../../firmware-sim/spread.ts';
import type { Health, Outgoing, Sink } from '../../src/contract.ts';

class Recorder implements Sink {
  readonly name = 'recorder';
  readonly got: Outgoing[] = [];
  fail = false;
  closed = false;
  ill: Health = { ok: true };
  async publish(batch: readonly Outgoing[]): Promise<void> {
    if (this.fail) throw new Error('no answer');
    this.got.push(...batch);
  }
  health(): Health {
    return this.ill;
  }
  async close(): Promise<void> {
    this.closed = true;
  }
}

const messages = Array.from({ length: 600 }, (_, i): Outgoing => {
  return { topic: `plant/press-${i % 60}/telemetry`, key: null, payload: String(i) };
});

describe('several connections as one', () => {
  it('give each device one connection, in its order, and all of them work', async () => {
    const sinks = [new Recorder(), new Recorder(), new Recorder()];
    const sink = spread(sinks);
    for (let i = 0; i < messages.length; i += 50) await sink.publish(messages.slice(i, i + 50));
    for (const { got } of sinks) expect(got.length).toBeGreaterThan(60);
    const homes = sinks.map(({ got }) => new Set(got.map(({ topic }) => topic)));
    expect(homes.reduce((sum, { size }) => sum + size, 0)).toBe(60);
    for (const { got } of sinks)
      for (const topic of new Set(got.map((message) => message.topic))) {
        const own = got.filter((message) => message.topic === topic).map(({ payload }) => Number(payload));
        expect(own).toEqual([...own].sort((a, b) => a - b));
      }
  });

  it('confirm nothing of a batch of which one part failed, and are as ill as the illest', async () => {
    const sinks = [new Recorder(), new Recorder()];
    const sink = spread(sinks);
    sinks[1].fail = true;
    await expect(sink.publish(messages)).rejects.toThrow('no answer');
    sinks[1].ill = { ok: false, reason: 'away' };
    expect(sink.health()).toEqual({ ok: false, reason: 'away' });
    await sink.close();
    expect(sinks.every(({ closed }) => closed)).toBe(true);
  });

  it('are the connection itself where there is one', () => {
    const one = new Recorder();
    expect(spread([one])).toBe(one);
  });
});
