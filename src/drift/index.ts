/**
 * The table of drift detectors: one row each. Documentation, the contract tests and the benchmark derive from it; adding
 * a detector is one file and one line here.
 */
import { adwin } from './adwin.ts';
import { ddm } from './ddm.ts';
import type { DetectorKind } from './kind.ts';
import { kswin } from './kswin.ts';
import { pageHinkley } from './page-hinkley.ts';
import { psi } from './psi.ts';
import { sequential } from './sequential.ts';

export const detectors = {
  sequential,
  adwin,
  ddm,
  kswin,
  'page-hinkley': pageHinkley,
  psi,
} as const;

export type DetectorName = keyof typeof detectors;

/** The row of a detector, or null: names come from files. */
export function findDetector(name: string): DetectorKind<Readonly<Record<string, unknown>>> | null {
  return Object.hasOwn(detectors, name)
    ? (detectors[name as DetectorName] as DetectorKind<Readonly<Record<string, unknown>>>)
    : null;
}
