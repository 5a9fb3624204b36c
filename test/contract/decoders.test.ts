/** What docs/spec.md asks of every decoder, of every row of the table. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Event, Message } from '../../src/contract.ts';
import { type DecoderName, decoders } from '../../src/decode/index.ts';
import { SluiceError } from '../../src/errors.ts';
import { eventsOf, openDecoder, samples, toDecoder } from './samples.ts';

const names = Object.keys(decoders) as DecoderName[];

/** What is left of a message when it has been decoded: events, or the code of the refusal. */
function decode(name: DecoderName, message: Message): readonly Event[] | string {
  try {
    return openDecoder(name).decode(message);
  } catch (error) {
    if (error instanceof SluiceError && /^DECODE_/.test(error.code)) return error.code;
    throw error;
  }
}

/** Good messages with bytes changed, cut out, repeated; and bytes out of nowhere. */
function bad(name: DecoderName): fc.Arbitrary<Uint8Array> {
  const good = fc
    .constantFrom<string | Uint8Array>(...samples[name].payloads)
    .map((good) => Buffer.from(good));
  const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc
      .constantFrom(
        ...[
          '"__proto__":{"polluted":1},',
          '"constructor":{"prototype":{"polluted":1}},',
          '1e400',
          '\ud800',
          'NaN',
        ],
        ...[
          '\0',
          '[[[[',
          '--b\r\n',
          'Content-Type: multipart/mixed; boundary=b\r\n',
          '=?utf-8?b?',
          '\r\n\r\n',
        ],
        ...['Content-Type: message/rfc822\r\n\r\n', '__proto__: x\r\n', '{"', '\u202e', '9'.repeat(400)],
      )
      .map((text) => Buffer.from(text)),
  );
  const spliced = fc.tuple(good, fc.array(fc.tuple(place, place, piece), { minLength: 1, maxLength: 5 }));
  return fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    spliced.map(([bytes, splices]) =>
      splices.reduce((all, [at, length, put]) => {
        const from = Math.floor(at * all.length);
        const to = from + Math.floor(length * length * 20);
        return Buffer.concat([all.subarray(0, from), put, all.subarray(to)]);
      }, bytes),
    ),
  );
}

describe.each(names)('the %s decoder', (name) => {
  test('reads what is good, as events of its kind with all that an event has', () => {
    const events = eventsOf(name);
    expect(events.length).toBeGreaterThanOrEqual(samples[name].payloads.length);
    for (const event of events) {
      expect(event.body.kind).toBe(openDecoder(name).kind);
      expect(event.id).not.toBe('');
      expect(event.device).not.toBe('');
      expect(Number.isFinite(event.at)).toBe(true);
    }
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  });

  test('gives events or a DECODE_ code, whatever the bytes, and leaves no trace in any prototype', () => {
    const before = Reflect.ownKeys(Object.prototype);
    fc.assert(
      fc.property(bad(name), (payload) => {
        const result = decode(name, toDecoder(name, payload));
        if (typeof result !== 'string') expect(result.every(({ id }) => id !== '')).toBe(true);
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      }),
      { seed: 11, numRuns: 1_500 },
    );
    expect(Reflect.ownKeys(Object.prototype)).toEqual(before);
  });

  test('gives the same events under the same identities each time, by another decoder, at another time', () => {
    fc.assert(
      fc.property(bad(name), (payload) => {
        const first = decode(name, toDecoder(name, payload, { at: 1 }));
        const again = decode(name, toDecoder(name, Buffer.from(payload), { at: 2, source: 'another' }));
        const ids = (result: readonly Event[] | string) =>
          typeof result === 'string'
            ? result
            : result.map(({ id, aliases, weak }) => ({ id, aliases, weak }));
        expect(ids(again)).toEqual(ids(first));
      }),
      { seed: 12, numRuns: 300 },
    );
  });

  test('tells messages apart by position, by key and by the names they were given', () => {
    const id = (more: Partial<Message>) => {
      const [event] = decode(name, toDecoder(name, samples[name].payloads[0], more)) as readonly Event[];
      return event.id;
    };
    const ids = [
      id({}),
      id({ key: 'k' }),
      id({ topic: samples[name].topics?.[1] ?? 'other' }),
      id({ position: 't/0/1' }),
      id({ headers: { ce_id: '1', ce_source: '/a' } }),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('does not look at the label that a file gives beside the event', () => {
    const message = toDecoder(name, samples[name].payloads[0]);
    expect(decode(name, { ...message, label: 'spam' })).toEqual(decode(name, message));
  });

  test('leaves the payload as it was', () => {
    const payload = Buffer.from(samples[name].payloads[0]);
    const copy = Buffer.from(payload);
    decode(name, toDecoder(name, payload));
    expect(payload.equals(copy)).toBe(true);
  });

  test('refuses the empty message and the endless one by name', () => {
    expect(decode(name, toDecoder(name, ''))).toBe('DECODE_EMPTY');
    expect(decode(name, toDecoder(name, Buffer.alloc(60 * 1024 ** 2, 0x20)))).toBe('DECODE_TOO_LARGE');
  });
});

const remembering = names.filter((name) => openDecoder(name).remember);

describe.each(remembering)('the memory of the %s decoder', (name) => {
  const open = (saved: Uint8Array | null) => openDecoder(name).remember!(saved);

  test('survives a restart: what is saved and restored takes the next message as the first one would have', () => {
    fc.assert(
      fc.property(fc.array(bad(name), { maxLength: 8 }), bad(name), (earlier, next) => {
        const first = open(null);
        const take = (memory: typeof first, payload: Uint8Array) => {
          try {
            return memory.take(toDecoder(name, payload), 5, false);
          } catch (error) {
            if (error instanceof SluiceError && /^DECODE_/.test(error.code)) return error.code;
            throw error;
          }
        };
        for (const payload of [...samples[name].payloads.map((one) => Buffer.from(one)), ...earlier])
          take(first, payload);
        const second = open(first.save());
        const [a, b] = [take(first, next), take(second, next)];
        // Who was asked when is not saved: asking once more is safe.
        const told = (result: typeof a) =>
          typeof result === 'string' ? result : { ...result, requests: [] };
        expect(told(b)).toEqual(told(a));
      }),
      { seed: 13, numRuns: 300 },
    );
  });

  test('refuses what it did not save', () => {
    for (const saved of ['', '{', '[]', '{"version":2}', 'null'])
      expect(() => open(Buffer.from(saved))).toThrow(expect.objectContaining({ code: 'DECODER_STATE' }));
  });
});
