/** What was explained, as lines for people: every text from outside made safe to print, addresses masked unless shown. */
import type { Incident } from '../../fleet/incident.ts';
import { contributionText, signed } from '../../task/explanation.ts';
import { safeText } from '../preview.ts';
import { maskAddresses } from '../tap/happening.ts';
import type { Explained } from './explained.ts';

const OTHERS = 8;
const NAME = 120;

/** Ends with an empty line. */
export function linesOf(explained: Explained, show: boolean): string[] {
  const { incident, task, how, others } = explained;
  const clean = (text: string) => safeText(show ? text : maskAddresses(text));
  const lines = incident
    ? incidentLines(incident, clean)
    : [`looked for ${clean(how)}`, `task     ${task}`, 'verdict  not in the store; scored just now'];
  lines.push(...whyLines(explained));
  for (const other of others.slice(0, OTHERS))
    lines.push(
      `also     ${clean(other.event)}  ${clean(other.device)}  ${time(other.at)}  ${verdictOf(other)}`,
    );
  return [...lines, ''];
}

function incidentLines(incident: Incident, clean: (text: string) => string): string[] {
  const { event, device, at, task, model, label } = incident;
  // The identity is what one copies: it stays as it is.
  return [
    `event    ${safeText(event)}`,
    `device   ${clean(device)}`,
    `time     ${time(at)}`,
    `task     ${task}`,
    `verdict  ${verdictOf(incident)}`,
    `model    ${safeText(model)}`,
    `label    ${label === null ? 'none was learned' : learned(label, clean)}`,
    ...(incident.from === 'labels' ? ['         the event itself is no longer kept, its label is'] : []),
  ];
}

function learned(label: NonNullable<Incident['label']>, clean: (text: string) => string): string {
  if (label.label === null) return 'withdrawn';
  const by = label.origin === undefined ? '' : `, by ${clean(label.origin)}`;
  const when = label.at === undefined ? '' : ` at ${time(label.at)}`;
  const weight = label.weight === undefined || label.weight === 1 ? '' : `, weight ${label.weight}`;
  return `${label.label}${by}${when}${weight}`;
}

function verdictOf({ verdict, scores }: Incident): string {
  const all = Object.entries(scores).sort((a, b) => b[1] - a[1]);
  const shown = all.slice(0, 5).map(([label, score]) => `${label} ${score.toFixed(3)}`);
  return `${verdict ?? 'learning'} (${shown.join(', ')})`;
}

function whyLines({ model, explanation, reason, units, task }: Explained): string[] {
  if (!explanation || !model) return [`why      not explained: ${reason}`];
  const { label, probability, logOdds, emptyLogOdds, contributions, together, features, looked } =
    explanation;
  const lines = [
    `by       ${safeText(model.name)}: ${model.note}`,
    '',
    `${label} ${probability.toFixed(3)}: log-odds ${signed(logOdds)}, of which ${signed(emptyLogOdds)} without any feature`,
  ];
  for (const each of contributions) {
    const feature = safeText(each.feature).slice(0, NAME);
    lines.push(`  ${contributionText({ ...each, feature }, label, units[each.feature])}`);
  }
  if (contributions.length === 0) lines.push('  no feature changes it');
  if (features > contributions.length)
    lines.push(`  … ${features - contributions.length} features less or nothing`);
  if (looked < features) lines.push(`  (${looked} of ${features} looked at one by one, the strongest)`);
  if (together.length > 0) {
    const groups = together.map(({ name, logOdds: gives, cells }) => `${name} ${signed(gives)} (${cells})`);
    lines.push(`all of   ${groups.join(', ')}`);
  }
  if (contributions.some(({ feature }) => /^bucket \d+$/.test(feature)))
    lines.push(`buckets have names where the message is given: sluice explain … --task ${task} --raw FILE`);
  return lines;
}

function time(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'unknown';
}
