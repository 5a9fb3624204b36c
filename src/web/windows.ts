/**
 * A metrics window as a gateway's `metrics` topic has it, as the page takes it: of this process (the object itself), and
 * of the fleet (its numbers by path, as the hub reads them). What is missing or no number stays out.
 */
import type { WindowInput } from './lanes.ts';

interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** The fields that are read; a window may have others. */
export interface ToldWindow {
  /** ISO 8601. */
  readonly from: string;
  readonly to: string;
  readonly events: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly learning: number;
  readonly dead: number;
  readonly latencyMs: Percentiles;
  readonly model: { readonly labels: number; readonly sufficient: boolean };
  readonly quality: {
    readonly window: { readonly tested: number; readonly accuracy: number | null };
    /** Rows are true labels, columns predicted ones. */
    readonly total: { readonly confusion: readonly (readonly number[])[] };
  };
  readonly estimatedAccuracy: number | null;
}

/** What the window itself does not tell. */
export interface WindowExtras {
  readonly unsettled?: number;
  readonly outbox?: number;
  /** The place of the label that must not be lost; absent: none. */
  readonly good?: number;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

export function windowOfGateway(
  told: ToldWindow,
  { unsettled, outbox, good }: WindowExtras = {},
): WindowInput {
  const { events, verdicts, learning, dead, latencyMs, model, quality, estimatedAccuracy } = told;
  const truths = good === undefined ? undefined : quality.total.confusion[good];
  const confirmed = sum(truths ?? []);
  return {
    from: Date.parse(told.from),
    to: Date.parse(told.to),
    events,
    verdicts,
    learning,
    dead,
    latencyMs,
    // A frozen model learns none of the labels that come; they teach at the hub.
    labels: Math.max(model.labels, sum(quality.total.confusion.flat())),
    sufficient: model.sufficient,
    quality: quality.window,
    estimated: estimatedAccuracy,
    unsettled,
    outbox,
    good: truths ? { confirmed, lost: confirmed - truths[good!] } : null,
  };
}

/** `numbers` by path: `events`, `verdicts.spam`, `latencyMs.p99`, `quality.window.accuracy`; true is 1. */
export function windowOfFleet(
  from: number,
  to: number,
  numbers: Readonly<Record<string, number>>,
  labels: readonly string[],
): WindowInput {
  const at = (path: string): number => (Object.hasOwn(numbers, path) ? numbers[path] : 0);
  const maybe = (path: string): number | null => (Object.hasOwn(numbers, path) ? numbers[path] : null);
  const hasLatency = maybe('latencyMs.p50') !== null;
  return {
    from,
    to,
    events: at('events'),
    verdicts: Object.fromEntries(labels.map((label) => [label, at(`verdicts.${label}`)])),
    learning: at('learning'),
    dead: at('dead'),
    latencyMs: hasLatency
      ? { p50: at('latencyMs.p50'), p95: at('latencyMs.p95'), p99: at('latencyMs.p99') }
      : null,
    labels: Math.max(at('model.labels'), at('quality.total.tested')),
    sufficient: at('model.sufficient') > 0,
    quality: { tested: at('quality.window.tested'), accuracy: maybe('quality.window.accuracy') },
    estimated: maybe('estimatedAccuracy'),
    unsettled: maybe('unsettled'),
    outbox: maybe('outbox'),
  };
}
