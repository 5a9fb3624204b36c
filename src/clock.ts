/** The real clock (tests bring their own), and waiting that ends. */
import type { Clock } from './contract.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish, { once: true });
    }),
};

/** How long a connection may take to close whose other side does not answer; then the stop goes on without it. */
export const CLOSE_MS = 5_000;

/** Whether `work` ended within `ms`; else it goes on unobserved. Rejects as `work` does in that time. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const timeout = new AbortController();
  work.catch(() => undefined); // a late failure is nobody's
  try {
    const late = clock.sleep(ms, timeout.signal).then(() => false);
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timeout.abort();
  }
}
