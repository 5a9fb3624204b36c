/**
 * The store of a gateway, opened by a tool: beside the running gateway or without one. Refuses a folder that holds no
 * store: a mistyped path must not quietly become an empty store.
 */
import { existsSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import type { Store } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { type StoreOptions, storeOptions } from '../state/options.ts';
import { openStore } from '../state.ts';
import { Telemetry } from '../telemetry.ts';

/** `key` opens encrypted dead letters. Throws INPUT_NOT_FOUND and the store's own errors. */
export async function openToolStore(
  options: Partial<StoreOptions> & { readonly path: string },
  key?: string,
): Promise<Store> {
  if (!existsSync(options.path))
    throw new SluiceError(
      'INPUT_NOT_FOUND',
      `there is no store in ${options.path}; the gateway makes one when it first runs`,
    );
  const { path, ...limits } = storeOptions.parse(options);
  const telemetry = new Telemetry({ level: 'silent' });
  return openStore({ path, limits, clock: systemClock, telemetry, key, mode: 'tool' });
}
