/** What every row of the table of drift detectors promises. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DetectorName, detectors, findDetector } from '../../src/drift/index.ts';
import { SluiceError } from '../../src/errors.ts';
import { alarms, errors } from '../drift/streams.ts';

const names = Object.keys(detectors) as DetectorName[];

const codeOf = (call: () => unknown): string => {
  try {
    call();
    return 'none';
  } catch (thrown) {
    return thrown instanceof SluiceError ? thrown.code : `not a SluiceError: ${thrown}`;
  }
};

/** Small windows, so that short streams reach every phase. */
const small: Readonly<Partial<Record<DetectorName, Record<string, unknown>>>> = {
  adwin: { every: 3 },
  kswin: { window: 40, recent: 12, alpha: 0.2 },
  psi: { reference: 60, window: 25, alpha: 0.2 },
  sequential: { arl: 30, least: 20, side: 'both' },
  'page-hinkley': { threshold: 2, side: 'both' },
};

test('a name from a file finds its row or none', () => {
  expect(findDetector('adwin')).toBe(detectors.adwin);
  expect(findDetector('toString')).toBeNull();
});

describe.each(names)('the detector %s', (name) => {
  const kind = findDetector(name)!;
  const create = () => kind.create({ ...small[name] });

  test('describes itself and each of its options, and has a default for all', () => {
    expect(kind.summary).toMatch(/^[A-Z].{30,}\.$/s);
    const shape = kind.options.shape as Record<string, { description?: string }>;
    expect(Object.keys(shape).length).toBeGreaterThan(0);
    for (const [option, schema] of Object.entries(shape))
      expect(schema.description, option).toMatch(/^\S.{10,}\.$/s);
    expect(() => kind.create({})).not.toThrow();
  });

  test('refuses unknown options and values out of range', () => {
    expect(codeOf(() => kind.create({ sensitivity: 3 }))).toBe('CONFIG_INVALID');
    for (const option of Object.keys(kind.options.shape))
      expect(
        codeOf(() => kind.create({ [option]: -1e300 })),
        option,
      ).toBe('CONFIG_INVALID');
  });

  test('goes on after save and restore as if nothing had been, wherever it is cut', () => {
    const stream = fc.array(fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })), {
      minLength: 1,
      maxLength: 400,
    });
    fc.assert(
      fc.property(stream, fc.nat(400), (values, at) => {
        const whole = create();
        let cut = create();
        values.forEach((value, i) => {
          if (i === at) cut = kind.restore(cut.save()) as typeof cut;
          expect(cut.update(value)).toBe(whole.update(value));
        });
        expect(cut.save()).toBe(whole.save());
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test('begins anew after reset: the future is that of a new one', () => {
    const stream = errors(3, 0.1, 600, 0.7, 600);
    const [used, other] = [create(), create()];
    for (const value of errors(4, 0.3, 777)) used.update(value);
    used.reset();
    // A detector that draws goes on drawing: the rest of its state is new.
    if (name === 'kswin') expect(JSON.parse(used.save()).state.values).toEqual([]);
    else expect(alarms(used, stream)).toEqual(alarms(other, stream));
  });

  test('passes over what is no number and survives absurd ones', () => {
    const detector = create();
    const before = detector.save();
    for (const value of [Number.NaN, Infinity, -Infinity, 1e300]) expect(detector.update(value)).toBe(false);
    expect(detector.save()).toBe(before);
    for (let i = 0; i < 500; i++) detector.update(i % 2 === 0 ? 1e100 : -1e100);
    const again = kind.restore(detector.save());
    expect(again.save()).toBe(detector.save());
  });

  test('finds a plain change of errors', () => {
    const stream = errors(11, 0.05, 4_000, 0.9, 1_000);
    const found = alarms(name === 'kswin' ? kind.create({ alpha: 0.01 }) : kind.create({}), stream);
    expect(found.some((at) => at >= 4_000 && at < 4_500)).toBe(true);
  });

  test('refuses saved text that is hostile, altered or of another', () => {
    const detector = create();
    for (const value of errors(5, 0.2, 100)) detector.update(value);
    const text = detector.save();
    const other = names.find((one) => one !== name)!;
    const altered = [
      '',
      'null',
      '[]',
      '{}',
      text.slice(0, -3),
      findDetector(other)!.create({}).save(),
      text.replace('"state":{', '"state":{"more":1,'),
      text.replace(/"options":\{/, '"options":{"more":1,'),
      text.replace(/:(\d+)(?=[,}\]])/, ':"$1"'),
      `${text.slice(0, -1)},"x":"${'y'.repeat(17 * 1024 * 1024)}"}`,
    ];
    for (const one of altered)
      expect(
        codeOf(() => kind.restore(one)),
        one.slice(0, 80),
      ).toBe('DETECTOR_STATE');
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(codeOf(() => kind.restore(JSON.stringify(value)))).toBe('DETECTOR_STATE');
      }),
      { numRuns: 50, seed: 3 },
    );
  });
});
