/**
 * The namespaces of a mail's features: which view each is of, how many buckets it may have, and its seed. Promises: the same key
 * gives the same seeds everywhere; a namespace's place in the table is its number in `Cells`.
 */
import type { SpaceName } from './email-options.ts';
import { seedOf } from './hash.ts';

/** The view each namespace is of, and the most distinct buckets it may have: more than any ordinary mail needs. */
export const SPACES: Readonly<Record<SpaceName, { readonly view: number; readonly limit: number }>> = {
  raw: { view: 0, limit: 8_192 },
  textForm: { view: 0, limit: 64 },
  header: { view: 1, limit: 8_192 },
  headerPairs: { view: 1, limit: 8_192 },
  structure: { view: 1, limit: 1_024 },
  headerForm: { view: 1, limit: 64 },
  body: { view: 2, limit: 8_192 },
  bodyPairs: { view: 2, limit: 16_384 },
  links: { view: 2, limit: 4_096 },
  attachments: { view: 2, limit: 1_024 },
  disguise: { view: 2, limit: 64 },
  chars: { view: 3, limit: 16_384 },
  subject: { view: 3, limit: 2_048 },
};
export const SPACE_NAMES = Object.keys(SPACES) as SpaceName[];

/** One namespace of the mail at hand. */
export interface Space {
  readonly name: SpaceName;
  /** Its number in `Cells`. */
  readonly at: number;
  readonly seed: number;
  readonly weight: number;
}

/** All of them by name, with the weights that the options give. */
export function openSpaces(
  key: string,
  weights: Readonly<Record<SpaceName, number>>,
): Readonly<Record<SpaceName, Space>> {
  return Object.fromEntries(
    SPACE_NAMES.map((name, at) => [name, { name, at, seed: seedOf(key, name), weight: weights[name] }]),
  ) as Record<SpaceName, Space>;
}
