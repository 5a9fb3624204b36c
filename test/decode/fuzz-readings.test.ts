import { describe, expect, test } from 'vitest';
import { fuzz, openFormat } from '../../bench/decode/fuzz.ts';
import { type Format, seeds } from '../../bench/decode/seeds.ts';
import type { Decoder, Event, ReadingBody } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { messageOf } from './corpus.ts';

/** The long run is `node scripts/fuzz-decoders.mjs`; with SLUICE_SCALE=full it is done here. */
const full = process.env.SLUICE_SCALE === 'full';
const formats: readonly Format[] = ['json', 'senml', 'sparkplug'];

describe.each(formats)('mutated messages of %s', (format) => {
  test(
    'are decoded, refused by a code, or wait, in bounded time and memory',
    () => {
      const started = Date.now();
      const report = fuzz({
        ...{ format, seed: 20_260_101, inputs: full ? 10_000_000 : 400_000 },
        onProgress: () => full || Date.now() - started < 2_000,
      });
      expect(report.failure).toBeNull();
      expect(report.inputs).toBeGreaterThan(5_000);
      expect(report.codes.none).toBeGreaterThan(report.inputs / 20);
      expect(report.events).toBeGreaterThan(report.inputs / 100);
      expect(Object.keys(report.codes).length).toBeGreaterThan(3);
    },
    full ? 3_600_000 : 30_000,
  );
});

describe('the fuzzer finds', () => {
  const faulty = (fault: (bytes: Uint8Array, events: readonly Event[]) => readonly Event[]) => {
    const inner = openFormat('json');
    const decoder: Decoder = { kind: 'reading', decode: (m) => fault(m.payload, inner.decode(m)) };
    return fuzz({ format: 'json', seed: 1, inputs: 20_000, decoder }).failure;
  };

  test('what is thrown without a code, and gives the input', () => {
    const failure = faulty((bytes, events) => {
      if (Buffer.from(bytes).includes('hand')) throw new TypeError('oh');
      return events;
    });
    expect(failure?.why).toMatch(/^threw TypeError: oh/);
    expect(Buffer.from(failure!.input, 'base64').toString()).toContain('hand');
  });

  test('a code that is not the decoder\u2019s', () => {
    const failure = faulty(() => {
      throw new SluiceError('INTERNAL', 'x');
    });
    expect(failure?.why).toBe('INTERNAL');
  });

  test('a value out of range, and a reading of nothing', () => {
    const with0 = (value: number) =>
      faulty((_, events) =>
        events.map((event) => ({
          ...event,
          body: {
            ...event.body,
            values: event.body.kind === 'reading' ? event.body.values.map(() => value) : [],
          } as ReadingBody,
        })),
      );
    expect(with0(500)?.why).toBe('a value out of range');
    expect(faulty((_, events) => events.map((event) => ({ ...event, at: Number.NaN })))?.why).toBe(
      'a time that is none',
    );
  });

  test('what takes too long', () => {
    const failure = faulty((bytes, events) => {
      const end = performance.now() + (bytes.length > 110 ? 3 : 0);
      while (performance.now() < end);
      return events;
    });
    expect(failure?.why).toBe('slow');
  });
});

test.each(['json', 'senml'] as const)('every seed is a good message of %s', (format) => {
  const decoder = openFormat(format);
  for (const seed of seeds[format]) expect(decoder.decode(messageOf(seed)).length).toBeGreaterThan(0);
});
