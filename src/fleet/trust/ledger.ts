/**
 * Who is trusted, over time. Promises: a device is trusted until an assessment suspects it, with since when and why;
 * it is trusted again when one finds it plainly among the others; one that was not judged stays what it was. Kept
 * as JSON; what cannot be read is no state, so everybody starts trusted. Bounded: of devices beyond MAX_DEVICES
 * those that have been what they are for longest are forgotten.
 */
import { z } from 'zod';
import type { Assessment } from '../trust.ts';

const MAX_DEVICES = 10_000;
/** A suspected device must not be near the line when it is let in again. */
const CLEAR = 0.2;

const entry = z.strictObject({
  state: z.enum(['suspicious', 'different']),
  since: z.number(),
  reason: z.string().max(500),
});
const entries = z.record(z.string(), entry);

export type TrustEntry = Readonly<z.infer<typeof entry>>;
/** By device; who is not named is trusted. */
export type TrustState = ReadonlyMap<string, TrustEntry>;

/** Whether rows of the device may teach. */
export const isTrusted = (state: TrustState, device: string): boolean =>
  state.get(device)?.state !== 'suspicious';

/** The state after an assessment at `now` (ms). */
export function follow(state: TrustState, assessment: Assessment, now: number): TrustState {
  const next = new Map(state);
  for (const [device, { verdict, reason, p }] of assessment.devices) {
    const old = state.get(device);
    if (verdict === 'agrees') {
      if (old?.state !== 'suspicious' || p >= CLEAR) next.delete(device);
    } else if (old?.state !== verdict)
      next.set(device, { state: verdict, since: now, reason: reason.slice(0, 500) });
  }
  const oldest = [...next].sort(([, a], [, b]) => a.since - b.since);
  for (const [device] of oldest.slice(0, Math.max(0, next.size - MAX_DEVICES))) next.delete(device);
  return next;
}

export const writeTrust = (state: TrustState): string => JSON.stringify(Object.fromEntries(state));

/** Everybody trusted where the text is null or not understood. */
export function readTrust(text: string | null): TrustState {
  try {
    const parsed = entries.safeParse(JSON.parse(text ?? '{}'));
    return new Map(parsed.success ? Object.entries(parsed.data) : []);
  } catch {
    return new Map();
  }
}
