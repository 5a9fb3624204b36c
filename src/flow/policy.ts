/**
 * Which verdicts a sink gets: all, those that change the label of their device, or one a device per
 * interval. The memory of devices is bounded; a forgotten device is published again.
 */
import type { Verdict } from '../envelope.ts';

export type PublishPolicy =
  | { readonly kind: 'all' }
  | { readonly kind: 'changes' }
  | { readonly kind: 'every'; readonly ms: number };

const MAX_DEVICES = 100_000;

export class PublishFilter {
  readonly #policy: PublishPolicy;
  readonly #last = new Map<string, { label: number; at: number }>();

  constructor(policy: PublishPolicy) {
    this.#policy = policy;
  }

  wants(verdict: Verdict): boolean {
    if (this.#policy.kind === 'all') return true;
    const { device } = verdict.event;
    const last = this.#last.get(device);
    const due =
      last === undefined ||
      (this.#policy.kind === 'changes'
        ? last.label !== verdict.label
        : verdict.decidedAt - last.at >= this.#policy.ms);
    if (!due) return false;
    // Delete first, so that the map's order is the order of use and the oldest goes out.
    this.#last.delete(device);
    if (this.#last.size >= MAX_DEVICES) this.#last.delete(this.#last.keys().next().value!);
    this.#last.set(device, { label: verdict.label, at: verdict.decidedAt });
    return true;
  }
}
