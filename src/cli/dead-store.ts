/**
 * The dead letters of a store, opened beside a running gateway. Refuses a folder that holds no store: a mistyped
 * path must not quietly become an empty store.
 */
import { existsSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import type { DeadLetters } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type StoreOptions, storeOptions } from '../state/options.ts';
import { openStore } from '../state.ts';
import { Telemetry } from '../telemetry.ts';

export interface OpenedLetters {
  readonly letters: DeadLetters;
  close(): Promise<void>;
}

/** `key` opens encrypted letters. Throws INPUT_NOT_FOUND and the store's own errors. */
export async function openDeadLetters(
  options: Partial<StoreOptions> & { readonly path: string },
  key?: string,
): Promise<OpenedLetters> {
  if (!existsSync(options.path))
    throw new SluiceError(
      'INPUT_NOT_FOUND',
      `there is no store in ${options.path}; the gateway makes one when it first runs`,
    );
  const { path, ...limits } = storeOptions.parse(options);
  const telemetry = new Telemetry({ level: 'silent' });
  const store = await openStore({ path, limits, clock: systemClock, telemetry, key, mode: 'tool' });
  return { letters: store.dead, close: () => store.close() };
}
