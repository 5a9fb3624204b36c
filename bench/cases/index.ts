/** The table of cases. A part that wants to be measured adds its case here. */
import type { BenchCase } from '../case.ts';
import { anomalyCases } from './anomaly.ts';
import { driftCases } from './drift.ts';
import { flowCases } from './flow.ts';
import { forestCases } from './forest.ts';
import { loopCases } from './loop.ts';
import { mailCases } from './mail.ts';
import { mailAttackCases } from './mail-attacks.ts';
import { mailQualityCases } from './mail-quality.ts';
import { mailSpeedCases } from './mail-speed.ts';
import { mailWorkerCases } from './mail-workers.ts';
import { microCases } from './micro.ts';
import { readingCases } from './readings.ts';
import { swapCases } from './swap.ts';
import { textCases } from './text.ts';

export const cases: readonly BenchCase[] = [
  ...microCases,
  ...readingCases,
  ...textCases,
  ...mailCases,
  ...mailAttackCases,
  ...mailQualityCases,
  ...mailSpeedCases,
  ...mailWorkerCases,
  ...driftCases,
  ...forestCases,
  ...anomalyCases,
  ...loopCases,
  ...flowCases,
  ...swapCases,
];
