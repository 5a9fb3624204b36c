/** Figures and progress of a roll-out in a sentence, for the audit log and for people. */
import type { PairedFigures } from './paired.ts';
import type { Progress } from './sites.ts';

export function sayFigures(figures: PairedFigures | null): string {
  if (!figures || figures.rows === 0) return 'no labelled rows';
  const { rows, devices, difference, interval, baseLoss, better, worse, needed } = figures;
  const gain =
    baseLoss > 0 ? ` (${((100 * difference) / baseLoss).toFixed(1)} % of ${baseLoss.toFixed(4)})` : '';
  const range = interval.map((bound) => bound.toFixed(4)).join(' to ');
  return (
    `${rows} rows of ${devices} devices, log-loss lower by ${difference.toFixed(4)}${gain}, 95 % ${range}; ` +
    `evidence 10^${better.toFixed(1)} for better, 10^${worse.toFixed(1)} for worse, 10^${needed.toFixed(1)} needed`
  );
}

export function sayProgress({ confirmed, refused, underWay, waiting }: Progress): string {
  return (
    `${confirmed.length} gateways confirmed, ${underWay.length} under way, ` +
    `${refused.length} refused, ${waiting.length} not heard of`
  );
}
