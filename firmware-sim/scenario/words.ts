/** The small values that several sections of a scenario share. */
import { z } from 'zod';
import { duration } from '../../src/units.ts';

export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'use letters, digits, - and _, at most 64, beginning with a letter or digit',
  );
/** A place in time or a length of time: a year at most, so that sums stay exact. */
export const span = duration.pipe(z.number().max(31_536_000_000, 'must be at most 365d'));
export const share = z.number().min(0).max(1);
export const positive = (text: string) =>
  duration.pipe(z.number().min(1, 'must be more than 0').max(31_536_000_000)).describe(text);
