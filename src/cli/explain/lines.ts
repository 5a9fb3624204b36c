/** What was explained, as lines for people: every text from outside made safe to print, addresses masked unless shown. */
import type { Incident } from '../../fleet/incident.ts';
import { contributionText, type Explanation, signed } from '../../task/explanation.ts';
import type { Reason } from '../../task/reasons.ts';
import { safeText } from '../preview.ts';
import { maskAddresses, maskData } from '../tap/happening.ts';
import type { Explained } from './explained.ts';

const OTHERS = 8;
const NAME = 120;
const REASON = 160;

/** A text from outside, made safe to print and masked where it has to be. */
type Clean = (text: string) => string;

/** Ends with an empty line. */
export function linesOf(explained: Explained, show: boolean): string[] {
  const { incident, task, how, others } = explained;
  const clean = (text: string) => safeText(show ? text : maskAddresses(text));
  const lines = incident
    ? incidentLines(explained, incident, clean)
    : [`looked for ${clean(how)}`, `task     ${task}`, 'verdict  not in the store; scored just now'];
  lines.push(...whyLines(explained, clean));
  for (const other of others.slice(0, OTHERS))
    lines.push(
      `also     ${clean(other.event)}  ${clean(other.device)}  ${time(other.at)}  ${verdictOf(other)}`,
    );
  return [...lines, ''];
}

function incidentLines({ how, given }: Explained, incident: Incident, clean: Clean): string[] {
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
    ...(given && how.startsWith('Message-ID')
      ? ['found by its Message-ID: it was judged with other headers or another text than this file has']
      : []),
    ...(incident.from === 'labels' ? ['         the event itself is no longer kept, its label is'] : []),
  ];
}

function learned(label: NonNullable<Incident['label']>, clean: Clean): string {
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

function whyLines({ model, explanation, reason, units, task, given }: Explained, clean: Clean): string[] {
  if (!explanation || !model) return [`why      not explained: ${reason}`];
  const { label, probability, logOdds, emptyLogOdds, features, looked, together } = explanation;
  const lines = [
    `by       ${safeText(model.name)}: ${model.note}`,
    '',
    `${label} ${probability.toFixed(3)}: log-odds ${signed(logOdds)}, of which ${signed(emptyLogOdds)} without any feature`,
    ...(explanation.reasons
      ? reasonLines(explanation.reasons, label, clean)
      : featureLines(explanation, units, clean)),
  ];
  if (looked < features) lines.push(`  (${looked} of ${features} looked at one by one, the strongest)`);
  if (together.length > 0) {
    const groups = together.map(({ name, logOdds: gives, cells }) => `${name} ${signed(gives)} (${cells})`);
    lines.push(`all of   ${groups.join(', ')}`);
  }
  if (!given && explanation.contributions.some(isBucket))
    lines.push(
      `the store keeps hashes only; the message names them: sluice explain … --task ${task} --raw FILE`,
    );
  return lines;
}

const isBucket = ({ feature }: { readonly feature: string }): boolean => /^bucket \d+$/.test(feature);

function featureLines(
  { label, contributions, features }: Explanation,
  units: Explained['units'],
  clean: Clean,
): string[] {
  // Numbers of buckets alone tell nobody anything.
  if (contributions.length > 0 && contributions.every(isBucket)) {
    const strongest = signed(contributions[0].logOdds);
    return [`  by ${features.toLocaleString('en-US')} features, the strongest of which gives ${strongest}`];
  }
  const lines = contributions.map((each) => {
    const feature = shortened(clean(each.feature), NAME);
    return `  ${contributionText({ ...each, feature }, label, units[each.feature])}`;
  });
  if (contributions.length === 0) lines.push('  no feature changes it');
  if (features > contributions.length)
    lines.push(`  … ${features - contributions.length} features less or nothing`);
  return lines;
}

/** Of a mail: what tells of one word or header is one reason, and both sides add up to the log-odds. */
function reasonLines(
  { towards, away, rest }: NonNullable<Explanation['reasons']>,
  label: string,
  clean: Clean,
): string[] {
  const of = ({ what, with: others, features, logOdds }: Reason) => {
    const more = features - 1 - others.length;
    const tail =
      others.length === 0 ? '' : `, with ${others.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    return `  ${weight(logOdds)}  ${shortened(clean(`${what}${tail}`), REASON)}`;
  };
  const side = (title: string, reasons: readonly Reason[]) =>
    reasons.length === 0 ? [] : [title, ...reasons.map(of)];
  const lines = [...side(`towards ${label}`, towards), ...side(`away from ${label}`, away)];
  if (lines.length === 0) return ['  no feature changes it'];
  if (rest.features > 0)
    lines.push(
      `${weight(rest.logOdds).trim()} by ${rest.features.toLocaleString('en-US')} other features together`,
    );
  return lines;
}

const shortened = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text;

/** Always as wide, so that a column of them can be read. */
function weight(logOdds: number): string {
  const text = Math.abs(logOdds) >= 0.995 ? logOdds.toFixed(1) : logOdds.toFixed(2);
  return `${logOdds < 0 ? '' : '+'}${text}`.padStart(5);
}

function time(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'unknown';
}

/** A copy for JSON in which no address is left but in identities, by which one asks again. */
export function masked(explained: Explained): Explained {
  const { incident, explanation, others } = explained;
  return {
    ...explained,
    how: maskAddresses(explained.how),
    incident: incident && maskedIncident(incident),
    others: others.map(maskedIncident),
    explanation: explanation && (maskData(explanation) as Explanation),
  };
}

const maskedIncident = (incident: Incident): Incident => ({
  ...(maskData(incident) as Incident),
  event: incident.event,
  model: incident.model,
});
