/** `models show`: a model's manifest as a person reads it, where it stands and how it came there. */
import { systemClock } from '../../clock.ts';
import type { Bundle, BundleManifest } from '../../contract.ts';
import type { Moment } from '../../fleet/registry.ts';
import type { PublicKey } from '../../model/signing.ts';
import { safeText } from '../preview.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { findModel, findPlace, type Named, type Place, type Where } from './place.ts';
import { ago, field, figure, logLoss, moment, nameOf, percent, signerName, size, whole } from './text.ts';

/** Sites shown of `training.through`; the JSON has all. */
const MAX_SITES = 8;

export async function show(name: string, options: Where, terminal: Terminal): Promise<void> {
  const place = findPlace(options, terminal);
  const named = await findModel(name, options.task, place);
  const history = named.row ? (await place.registry()).history(named.row.digest) : [];
  const { row, bundle } = named;
  if (options.json !== undefined) {
    const { weights, ...rest } = bundle;
    const stage = row && { stage: row.stage, since: row.since, reason: row.reason, history };
    return printJson(terminal, options.json, { ...rest, weightsBytes: weights.byteLength, ...stage });
  }
  const now = systemClock.now();
  for (const line of [headline(named, now), ...facts(bundle, knownSigners(place), now), ...past(history)])
    print(terminal, line);
}

/** To name the signer; showing a model must not fail for want of a key file. */
function knownSigners(place: Place): readonly PublicKey[] {
  try {
    return place.trusted();
  } catch {
    return [];
  }
}

function headline({ row, bundle }: Named, now: number): string {
  const name = safeText(nameOf(bundle.manifest));
  if (!row) return `${name}, in a file`;
  const why = row.reason === '' ? '' : `: ${safeText(row.reason)}`;
  return `${name}, ${row.stage} since ${moment(row.since)} (${ago(row.since, now)})${why}`;
}

function facts(bundle: Bundle, trusted: readonly PublicKey[], now: number): string[] {
  const { manifest } = bundle;
  const { labels, positive, shape, created, expires } = manifest;
  const expired =
    expires < now ? `expired ${ago(expires, now)}` : `expires ${moment(expires)} (${ago(expires, now)})`;
  return [
    ...field('digest', bundle.digest),
    ...field('signed by', signerName(bundle.signer, trusted)),
    ...field(
      'task',
      `${manifest.task}, ${manifest.event} events, labels ${labels.join(', ')} (positive: ${positive})`,
    ),
    ...field('model', `${manifest.kind}: ${optionsText(manifest)}`),
    ...field('input', `${whole(shape.dims)} buckets and ${whole(shape.denseDims)} columns`),
    ...field('features', manifest.features, ...featureLines(manifest)),
    ...field('training', ...trainingLines(manifest)),
    ...field('quality', qualityText(manifest)),
    ...field('parent', manifest.parent ?? 'none'),
    ...field('created', `${moment(created)} (${ago(created, now)}), ${expired}`),
    ...field('size', `${size(bundle.size)}, weights ${size(bundle.weights.byteLength)}`),
  ].map(safeText);
}

const optionsText = ({ options }: BundleManifest): string =>
  Object.entries(options)
    .map(([name, value]) => `${name} ${figure(value)}`)
    .join(', ') || 'no options';

const featureLines = ({ featureOptions }: BundleManifest): string[] => {
  const entries = Object.entries(featureOptions);
  return entries.length === 0
    ? []
    : [entries.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(', ')];
};

function trainingLines({ training, labels }: BundleManifest): string[] {
  const counts = labels.map((label, i) => `${label} ${whole(training.counts[i])}`).join(', ');
  const passes = training.passes === 1 ? '1 pass' : `${training.passes} passes`;
  const sites = Object.entries(training.through).map(([site, seq]) => `${site} to ${whole(seq)}`);
  const more = sites.length > MAX_SITES ? [`and ${sites.length - MAX_SITES} more`] : [];
  return [
    `${whole(training.rows)} rows (${counts}), ${passes}, seed ${training.seed}`,
    `rows ${training.digest}`,
    `labels until ${moment(training.until)}${sites.length === 0 ? '' : `: ${[...sites.slice(0, MAX_SITES), ...more].join(', ')}`}`,
  ];
}

function qualityText({ quality }: BundleManifest): string {
  if (!quality) return 'never tested on unseen rows';
  return `accuracy ${percent(quality.accuracy)}, log-loss ${logLoss(quality)}, on ${whole(quality.tested)} unseen rows`;
}

const past = (history: readonly Moment[]): string[] =>
  history.length === 0
    ? []
    : field(
        'before',
        ...history.map(({ stage, since, reason }) => {
          const why = reason === '' ? '' : `: ${safeText(reason)}`;
          return `${stage.padEnd(9)} ${moment(since)}${why}`;
        }),
      );
