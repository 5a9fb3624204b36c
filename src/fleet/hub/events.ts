/** The moments of the loop that people are told of, in the order in which they became durable. */
import type { Measured } from '../../contract.ts';
import type { PairedFigures } from './paired.ts';
import type { Step } from './record.ts';

type Moment =
  | {
      readonly kind: 'drift';
      readonly stream: string;
      readonly sites: readonly string[];
      readonly since: number;
      readonly reason: string;
    }
  | { readonly kind: 'training'; readonly reason: string }
  | {
      readonly kind: 'trained';
      readonly digest: string;
      readonly version: number;
      readonly rows: number;
      readonly tried: number;
      readonly quality: Measured;
    }
  | { readonly kind: 'signed'; readonly digest: string; readonly version: number; readonly signer: string }
  | { readonly kind: 'trainingFailed'; readonly reason: string }
  | {
      readonly kind: 'gate';
      readonly digest: string;
      readonly passed: boolean;
      readonly reason: string;
      readonly figures: PairedFigures | null;
    }
  | { readonly kind: 'approval'; readonly digest: string }
  | {
      readonly kind: 'stage';
      readonly digest: string;
      readonly stage: Step;
      readonly serial: number;
      readonly sites: readonly string[];
    }
  | { readonly kind: 'live'; readonly digest: string; readonly version: number; readonly serial: number }
  | { readonly kind: 'rejected' | 'rolledBack'; readonly digest: string; readonly reason: string }
  | { readonly kind: 'order'; readonly what: string; readonly followed: boolean; readonly reason: string };

export type HubMoment = Moment;
export type HubEvent = Moment & { readonly task: string; readonly at: number };
