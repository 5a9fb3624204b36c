/** What decisions ask for outside the record, and what they leave behind in it: small makers, no decisions. */
import type { Desired } from '../../contract.ts';
import type { Deed, Finished, Rollout } from './record.ts';

export const move = (
  digest: string,
  stage: Extract<Deed, { do: 'move' }>['stage'],
  reason: string,
  by = 'hub',
): Deed => ({ do: 'move', digest, stage, reason, by });

export const audit = (what: string, digest: string, reason: string, by = 'hub'): Deed => ({
  do: 'audit',
  what,
  digest,
  reason,
  by,
});

/** Whether a word makes any gateway fetch this model. */
export const names = (word: Desired | null, digest: string): boolean =>
  word !== null && [word.digest, word.candidate?.digest, word.compare?.digest].includes(digest);

/** Whether it makes any give verdicts with it. */
export const isRunBySome = (word: Desired | null, digest: string): boolean =>
  word?.digest === digest || (word?.candidate?.digest === digest && word.candidate.mode === 'canary');

export function finished(
  task: string,
  { candidate, begun, before, after, cause, passed }: Rollout,
  outcome: Finished['outcome'],
  reason: string,
  at: number,
): Finished {
  const { digest: model, version } = candidate;
  const tallies = { before: { ...before }, after: { ...after } };
  const { incident } = cause;
  return { task, model, version, outcome, reason, begun, at, ...tallies, incident, passed: passed !== null };
}
