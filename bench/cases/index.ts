/** The table of cases. A part that wants to be measured adds its case here. */
import type { BenchCase } from '../case.ts';
import { driftCases } from './drift.ts';
import { flowCases } from './flow.ts';
import { loopCases } from './loop.ts';
import { mailCases } from './mail.ts';
import { microCases } from './micro.ts';
import { swapCases } from './swap.ts';

export const cases: readonly BenchCase[] = [
  ...microCases,
  ...mailCases,
  ...driftCases,
  ...loopCases,
  ...flowCases,
  ...swapCases,
];
