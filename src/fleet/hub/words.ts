/** Figures and progress of a roll-out in a sentence, for the audit log and for people. */
import type { Measured } from '../../contract.ts';
import type { PairedFigures } from './paired.ts';
import type { Progress } from './sites.ts';

export function sayFigures(figures: PairedFigures | null): string {
  if (!figures || figures.rows === 0) return 'no labelled rows to compare on';
  const { rows, devices, difference, interval, baseLoss, better, worse, needed } = figures;
  const range = interval.map((bound) => bound.toFixed(3)).join(' to ');
  const odds = better >= worse ? `${better.toFixed(1)} for better` : `${worse.toFixed(1)} for worse`;
  return (
    `log-loss ${baseLoss.toFixed(3)} → ${(baseLoss - difference).toFixed(3)} on ${rows} rows of ${devices} devices ` +
    `(lower by ${range}, 95 %; evidence 10^${odds}, 10^${needed.toFixed(1)} needed)`
  );
}

export function sayProgress({ confirmed, refused, underWay, waiting }: Progress): string {
  const others = [
    [underWay.length, 'under way'],
    [refused.length, 'refused'],
    [waiting.length, 'not heard of'],
  ] as const;
  const told = others.filter(([n]) => n > 0).map(([n, what]) => `, ${n} ${what}`);
  return `${confirmed.length} ${confirmed.length === 1 ? 'gateway' : 'gateways'} confirmed${told.join('')}`;
}

export function sayMeasured({ tested, accuracy, logLoss }: Measured): string {
  return `accuracy ${(100 * accuracy).toFixed(2)} %, log-loss ${logLoss.toFixed(4)} on ${tested} validation rows`;
}
