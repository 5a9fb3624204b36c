/** Times of day in the zone of the person who looks. */

/** `14:07`, with seconds `14:07:31`. */
export function clock(at: number, seconds: boolean): string {
  const options = { hour: '2-digit', minute: '2-digit', hour12: false } as const;
  return new Date(at).toLocaleTimeString('en-GB', seconds ? { ...options, second: '2-digit' } : options);
}

/** `14:07` of the same day as `now` (with seconds where asked), else `12 May 14:07`. */
export function moment(at: number, now: number, seconds = false): string {
  const [then, today] = [new Date(at), new Date(now)];
  if (then.toDateString() === today.toDateString()) return clock(at, seconds);
  return `${then.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${clock(at, false)}`;
}
