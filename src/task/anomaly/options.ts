/** Whether verdicts on readings say how unusual the reading is. */
import { z } from 'zod';

export const anomaliesOption = z
  .enum(['auto', 'off'])
  .default('auto')
  .describe(
    'whether verdicts say how unusual a reading is (`anomaly`, the share of earlier ones that were less so), which needs no labels: `auto` where a field is a number, `off` never',
  );

export type AnomaliesGiven = z.output<typeof anomaliesOption>;
