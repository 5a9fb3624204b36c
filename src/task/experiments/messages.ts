/** What a pool and its worker processes say to each other. */
import type { ModelShape } from '../../contract.ts';
import type { EngineOptions } from '../../model/engine.ts';
import type { Job, Outcome, TryJob } from './trial.ts';

/** The first message to a worker. */
export interface Opening {
  readonly variants: readonly { readonly path: string; readonly size: number; readonly shape: ModelShape }[];
  /** File with the bytes of the model to go on from. */
  readonly start: string | null;
  readonly seed: number;
  readonly engine: EngineOptions;
  /** Bytes of memory (resident) that the worker may hold. */
  readonly memory: number;
  /** Removed with everything in it when the parent is gone; null where somebody else does that. */
  readonly folder: string | null;
  readonly lowPriority: boolean;
}

export type Ask =
  | { readonly kind: 'open'; readonly opening: Opening }
  | { readonly kind: 'try'; readonly job: TryJob }
  /** The trained model goes into a file. */
  | { readonly kind: 'train'; readonly job: Job; readonly path: string };

export type Answer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'tried'; readonly outcome: Outcome }
  | { readonly kind: 'trained' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };
