/**
 * Several connections as one sink: every topic and key keeps to one of them, so that the order of a device's
 * messages is kept. A batch is confirmed when all its parts are; where one part fails the whole is sent again by
 * whoever insists (at least once).
 */
import type { Outgoing, Sink } from '../src/contract.ts';

/** `sinks` has at least one. */
export function spread(sinks: readonly Sink[]): Sink {
  const [first] = sinks;
  if (sinks.length === 1) return first;
  return {
    name: first.name,
    async publish(batch) {
      const parts: Outgoing[][] = sinks.map(() => []);
      for (const message of batch) parts[placeOf(message, sinks.length)].push(message);
      const ended = await Promise.allSettled(
        parts.map((part, i) => (part.length > 0 ? sinks[i].publish(part) : undefined)),
      );
      // All parts have ended: nothing of this batch can arrive after it was told to have failed.
      for (const end of ended) if (end.status === 'rejected') throw end.reason;
    },
    health: () => sinks.map((sink) => sink.health()).find((health) => !health.ok) ?? { ok: true },
    close: async () => {
      await Promise.all(sinks.map((sink) => sink.close()));
    },
  };
}

function placeOf({ topic, key }: Outgoing, places: number): number {
  let hash = 0;
  for (const text of key === null ? [topic] : [topic, key])
    for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return (hash >>> 0) % places;
}
