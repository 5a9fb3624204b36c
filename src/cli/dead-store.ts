/** The dead letters of a store, opened beside a running gateway; see tool-store.ts. */
import type { DeadLetters } from '../contract.ts';
import type { StoreOptions } from '../state/options.ts';
import { openToolStore } from './tool-store.ts';

export interface OpenedLetters {
  readonly letters: DeadLetters;
  close(): Promise<void>;
}

/** `key` opens encrypted letters. Throws INPUT_NOT_FOUND and the store's own errors. */
export async function openDeadLetters(
  options: Partial<StoreOptions> & { readonly path: string },
  key?: string,
): Promise<OpenedLetters> {
  const store = await openToolStore(options, key);
  return { letters: store.dead, close: () => store.close() };
}
