import { describe, expect, it } from 'vitest';
import * as format from '../../src/web/client/format.ts';

describe('numbers as people read them', () => {
  it.each([
    [format.count(12_400), '12,400'],
    [format.short(5.24), '5.2'],
    [format.short(412), '412'],
    [format.short(9_994), '9,994'],
    [format.short(52_120), '52.1k'],
    [format.short(999_600), '1.0M'],
    [format.rate(5_212), '5,212/s'],
    [format.percent(0.971), '97.1 %'],
    [format.percent(0.99996), '99.99 %'],
    [format.percent(1), '100.0 %'],
    [format.small(0.000241561), '0.024 %'],
    [format.small(0.0123), '1.2 %'],
    [format.small(0.123), '12 %'],
    [format.small(0), '0 %'],
    [format.points(0.9, 0.3), '+0.9 ± 0.3 points'],
    [format.points(-1.24, 0.3), '−1.2 ± 0.3 points'],
    [format.ms(0.42), '0.42 ms'],
    [format.ms(4.04), '4.0 ms'],
    [format.ms(123.4), '123 ms'],
    [format.ms(1_340), '1.3 s'],
    [format.ms(61_000), '61 s'],
    [format.bytes(214), '214 B'],
    [format.bytes(3 * 1024 ** 2), '3.0 MiB'],
    [format.level(0.112), '0.112'],
    [format.level(12_345), '12,345'],
    [format.level(0), '0'],
    [format.span(12_300), '12 s'],
    [format.span(240_000), '4 min'],
    [format.span(3 * 3_600_000), '3 h'],
    [format.span(3 * 86_400_000), '3 d'],
    [format.plural(1, 'gateway'), '1 gateway'],
    [format.plural(2_000, 'label'), '2,000 labels'],
  ])('%s is %s', (told, expected) => {
    expect(told).toBe(expected);
  });

  it('that are none are a dash', () => {
    for (const show of [
      format.count,
      format.short,
      format.rate,
      format.percent,
      format.ms,
      format.bytes,
      format.level,
      format.span,
    ])
      for (const none of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY])
        expect(show(none)).toBe('–');
  });
});
