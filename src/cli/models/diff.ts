/** `models diff A B`: what changed from one model to another, and nothing that did not. */
import type { Bundle, BundleManifest, Engine } from '../../contract.ts';
import { asSluiceError } from '../../errors.ts';
import { openEngine } from '../../model/engine.ts';
import { safeText } from '../preview.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { type Distance, distanceOf } from './effects.ts';
import { findModel, findPlace, type Where } from './place.ts';
import { field, figure, logLoss, moment, nameOf, percent, shortDigest, size, whole } from './text.ts';

export async function diff(a: string, b: string, options: Where, terminal: Terminal): Promise<void> {
  const place = findPlace(options, terminal);
  const [before, after] = [
    (await findModel(a, options.task, place)).bundle,
    (await findModel(b, options.task, place)).bundle,
  ];
  const weights = await compareWeights(before, after, openEngine);
  if (options.json !== undefined)
    return printJson(terminal, options.json, {
      before: before.digest,
      after: after.digest,
      changed: changedFields(before.manifest, after.manifest),
      weights,
    });
  for (const line of describe(before, after, weights)) print(terminal, line);
}

type Weights = Distance | { readonly reason: string };

/** A reason in words where they cannot be compared: diff still says everything else. */
export async function compareWeights(a: Bundle, b: Bundle, open: () => Engine): Promise<Weights> {
  const [x, y] = [a.manifest, b.manifest];
  if (JSON.stringify([x.shape, x.features]) !== JSON.stringify([y.shape, y.features]))
    return { reason: 'they read different features' };
  if (Buffer.from(a.weights).equals(b.weights)) return { relative: 0, changed: 0, turned: 0, features: 0 };
  try {
    return await distanceOf(open(), a, b);
  } catch (error) {
    const { code, message } = asSluiceError(error);
    return { reason: `${code}: ${message}` };
  }
}

/** Members of the two manifests that differ, by their path. */
function changedFields(a: BundleManifest, b: BundleManifest): Record<string, readonly [unknown, unknown]> {
  const [x, y] = [flat(a), flat(b)];
  const names = [...new Set([...x.keys(), ...y.keys()])].sort();
  const changed = names.filter((name) => JSON.stringify(x.get(name)) !== JSON.stringify(y.get(name)));
  return Object.fromEntries(
    changed.map((name) => [name, [x.get(name) ?? null, y.get(name) ?? null] as const]),
  );
}

function flat(value: object, path = ''): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  for (const [name, member] of Object.entries(value)) {
    const place = path === '' ? name : `${path}.${name}`;
    const isObject = typeof member === 'object' && member !== null && !Array.isArray(member);
    if (isObject) for (const [inner, leaf] of flat(member, place)) leaves.set(inner, leaf);
    else leaves.set(place, member);
  }
  return leaves;
}

function describe(a: Bundle, b: Bundle, weights: Weights): string[] {
  const [x, y] = [a.manifest, b.manifest];
  const name = (bundle: Bundle) => `${nameOf(bundle.manifest)} ${shortDigest(bundle.digest)}`;
  const lines = [
    `${name(a)} → ${name(b)}`,
    ...change('task', x.task, y.task),
    ...change('event', x.event, y.event),
    ...change('labels', x.labels.join(', '), y.labels.join(', ')),
    ...change('features', x.features, y.features),
    ...change('kind', x.kind, y.kind),
    ...optionLines(x, y),
    ...change('passes', whole(x.training.passes), whole(y.training.passes)),
    ...change('seed', String(x.training.seed), String(y.training.seed)),
    ...trainingLines(x, y),
    ...qualityLines(x, y),
    ...field('weights', weightsText(weights)),
    ...change('size', size(a.size), size(b.size)),
    ...change('signed by', a.signer ?? 'nobody', b.signer ?? 'nobody'),
    ...change('expires', moment(x.expires), moment(y.expires)),
  ];
  return a.digest === b.digest ? [`${name(a)}: they are the same bundle`] : lines.map(safeText);
}

const change = (name: string, before: string, after: string): string[] =>
  before === after ? [] : field(name, `${before} → ${after}`);

function optionLines({ options: x }: BundleManifest, { options: y }: BundleManifest): string[] {
  const names = [...new Set([...Object.keys(x), ...Object.keys(y)])].sort();
  const shown = (value: number | undefined) => (value === undefined ? 'not set' : figure(value));
  const changed = names.filter((name) => x[name] !== y[name]);
  return changed.length === 0
    ? []
    : field('options', ...changed.map((name) => `${name} ${shown(x[name])} → ${shown(y[name])}`));
}

function trainingLines(
  { training: x, labels }: BundleManifest,
  { training: y, labels: other }: BundleManifest,
): string[] {
  if (x.digest === y.digest) return field('training', `the same ${whole(x.rows)} rows`);
  const more = y.rows - x.rows;
  const rows = `${whole(x.rows)} → ${whole(y.rows)} rows (${more < 0 ? '−' : '+'}${whole(Math.abs(more))})`;
  const same = labels.join('\n') === other.join('\n');
  const counts = labels
    .map((label, i) => `${label} ${whole(x.counts[i])} → ${whole(y.counts[i])}`)
    .join(', ');
  const until = x.until === y.until ? [] : [`labels until ${moment(x.until)} → ${moment(y.until)}`];
  return field('training', rows, ...(same ? [counts] : []), ...until);
}

function qualityLines({ quality: x }: BundleManifest, { quality: y }: BundleManifest): string[] {
  if (!x || !y) return change('quality', x ? 'tested' : 'never tested', y ? 'tested' : 'never tested');
  return field(
    'quality',
    `accuracy ${percent(x.accuracy)} → ${percent(y.accuracy)} (${points(y.accuracy - x.accuracy)})`,
    `log-loss ${logLoss(x)} → ${logLoss(y)}`,
    `each on its own unseen rows: ${whole(x.tested)} and ${whole(y.tested)}`,
  );
}

const points = (share: number): string =>
  `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(1)} points`;

function weightsText(weights: Weights): string {
  if ('reason' in weights) return `not compared: ${weights.reason}`;
  const { relative, changed, turned, features } = weights;
  if (relative === 0) return 'the same';
  const far = Number.isFinite(relative)
    ? `moved by ${percent(relative)} of their length`
    : 'from none to some';
  return `${far}; of ${whole(features)} features ${whole(changed)} act differently, ${whole(turned)} the other way round`;
}
