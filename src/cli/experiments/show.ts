/**
 * The result of `train` and `sweep` for people and as JSON. A configuration is told by what it changes; the
 * leaderboard shows the first ten, JSON all of them.
 */
import type { BundleManifest, Experiment } from '../../contract.ts';
import type { Attempt } from '../../task/experiments/halving.ts';
import type { Unseen } from '../../task/experiments/unseen.ts';
import type { FeatureVariant } from '../../task/experiments/variants.ts';
import { align, qualityReportLines } from '../../task/report.ts';
import type { Asked } from './asked.ts';
import type { Written } from './bundle.ts';
import { showTime } from './screen.ts';

const SHOWN = 10;

export interface Result {
  readonly asked: Asked;
  readonly board: readonly Attempt[];
  readonly rounds: number;
  readonly variants: readonly FeatureVariant[];
  readonly first: Experiment;
  readonly rows: { readonly train: number; readonly validation: number; readonly test: number };
  readonly unlabelled: number;
  readonly dead: Readonly<Record<string, number>>;
  readonly unseen: Unseen | null;
  readonly manifest: BundleManifest;
  readonly written: Written;
  readonly backend: string;
  readonly workers: number;
  /** Trials run now, and trials known from an earlier run that was stopped. */
  readonly trials: number;
  readonly recalled: number;
  readonly ms: number;
}

const count = (value: number): string => value.toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
const size = (bytes: number): string =>
  bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
const plural = (n: number, what: string, many = `${what}s`): string => `${count(n)} ${n === 1 ? what : many}`;
/** `0.000001` is harder to read than `1e-6`. */
const short = (value: number | boolean): string =>
  typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);

/** What a configuration changes against the configured one. */
export function inWords(
  { experiment, variant }: Pick<Attempt, 'experiment' | 'variant'>,
  { first, variants }: Pick<Result, 'first' | 'variants'>,
): string {
  const base = experiment.kind === first.kind ? first.options : {};
  const words = [
    ...(experiment.kind === first.kind ? [] : [experiment.kind]),
    ...Object.entries(experiment.options)
      .filter(([name, value]) => base[name] !== value)
      .map(([name, value]) => `${name} ${short(value)}`),
    ...(experiment.passes === first.passes ? [] : [plural(experiment.passes, 'pass', 'passes')]),
    ...(experiment.newest === first.newest
      ? []
      : [experiment.newest === 0 ? 'all rows' : `newest ${count(experiment.newest)}`]),
    ...Object.entries(variants[variant].changes).map(([name, value]) => `${name} ${short(value)}`),
  ];
  return words.length === 0 ? 'as configured' : words.join(', ');
}

/** What `train` needs to make the same model. */
function asOptions({ experiment, variant }: Attempt, result: Result): string {
  const { first, variants } = result;
  const settings = Object.entries(experiment.options)
    .filter(([name, value]) => experiment.kind !== first.kind || first.options[name] !== value)
    .map(([name, value]) => `--set ${name}=${value}`);
  const features = Object.entries(variants[variant].changes).map(
    ([name, value]) => `--set features.${name}=${value}`,
  );
  return [
    ...(experiment.kind === first.kind ? [] : [`--model ${experiment.kind}`]),
    ...settings,
    ...features,
    ...(experiment.passes === 1 ? [] : [`--passes ${experiment.passes}`]),
    ...(experiment.newest === 0 ? [] : [`--newest ${experiment.newest}`]),
  ].join(' ');
}

/** `columns`: the width of the terminal; where a line would not fit, the words stand below their figures. */
function boardLines(result: Result, columns: number): string[] {
  const { board, rounds } = result;
  const head = ['#', 'log-loss', '95 %', 'accuracy', 'size', 'rows/s', 'round'];
  const rows = board.slice(0, SHOWN).map((attempt, i) => {
    const { validation, modelBytes, rate, round } = attempt;
    const [low, high] = validation.interval;
    return [
      String(i + 1),
      validation.logLoss.toFixed(4),
      `${low.toFixed(3)}–${high.toFixed(3)}`,
      percent(validation.accuracy),
      size(modelBytes),
      count(rate),
      `${round}/${rounds}`,
    ];
  });
  const [top, ...figures] = align([head, ...rows]);
  const words = board.slice(0, SHOWN).map((attempt) => inWords(attempt, result));
  const wide = figures.every((line, i) => line.length + 2 + words[i].length <= columns);
  const more = board.length - SHOWN;
  return [
    `${top}${wide ? '  configuration' : ''}`,
    ...figures.flatMap((line, i) => (wide ? [`${line}  ${words[i]}`] : [line, `     ${words[i]}`])),
    ...(more > 0 ? [`… and ${count(more)} more; --json has them all`] : []),
    ...(board[0].experiment.newest > 0 && board[0].experiment.newest !== result.first.newest
      ? [
          '',
          'The best learned the newest events alone and beats what learned all of them: the data have drifted.',
        ]
      : []),
  ];
}

function headLines(result: Result): string[] {
  const { asked, rows, unlabelled, dead, backend, workers, trials, recalled, ms } = result;
  const counts = [
    `${count(rows.train)} events train`,
    `${count(rows.validation)} validate`,
    rows.test > 0 ? `${count(rows.test)} test` : 'none test',
    ...(unlabelled > 0 ? [`${count(unlabelled)} without label`] : []),
    ...Object.entries(dead).map(([code, n]) => `${count(n)} ${code}`),
  ];
  const run = [
    plural(trials, 'trial'),
    ...(recalled > 0 ? [`${count(recalled)} more known from before`] : []),
    plural(workers, 'worker'),
    showTime(ms),
  ];
  return [
    [`${asked.verb} ${asked.name}`, backend, `seed ${asked.seed}`].join(' · '),
    counts.join(' · '),
    run.join(' · '),
  ];
}

function unseenLines({ unseen, manifest }: Result): string[] {
  if (!unseen) return ['Not tested: --test F or --test-input PATH keep events that nothing has seen.'];
  const { report, measured } = unseen;
  const positive = manifest.labels.length === 2 ? manifest.positive : null;
  const [low, high] = measured.interval;
  return [
    `Tested once, on ${count(measured.tested)} events that neither training nor choosing has seen:`,
    '',
    `error rate ${percent(1 - measured.accuracy)} · log-loss ${measured.logLoss.toFixed(4)}, 95 %: ${low.toFixed(4)} to ${high.toFixed(4)}`,
    ...qualityReportLines({ ...report, classes: manifest.labels, positive }),
  ];
}

function bundleLines(result: Result): string[] {
  const { asked, written, manifest, board, variants } = result;
  const signed = written.signer
    ? `signed with key ${written.signer}`
    : 'not signed: gateways refuse it until `sluice models sign` signs it';
  const changed = Object.keys(variants[board[0].variant].changes).length > 0;
  const options = asOptions(board[0], result);
  return [
    `${asked.verb === 'sweep' ? 'Best: ' : 'Configuration: '}${inWords(board[0], result)}`,
    ...(asked.verb === 'sweep' && options !== '' ? [`The same with train: ${options}`] : []),
    `Bundle: ${written.path}`,
    `  ${size(written.bytes)}, v${manifest.version}, ${signed}`,
    `  sha256 ${written.digest}`,
    ...(changed
      ? [
          `Its features are not those configured: gateways need tasks.${asked.name}.features: ${JSON.stringify(manifest.featureOptions)}`,
          '  (--fixed-features searches without touching them)',
        ]
      : []),
  ];
}

/** The lines for a person. */
export function resultLines(result: Result, columns: number): string[] {
  return [
    ...headLines(result),
    '',
    ...boardLines(result, columns),
    '',
    ...unseenLines(result),
    '',
    ...bundleLines(result),
  ];
}

/** Everything, for programs. */
export function resultJson(result: Result): object {
  const { asked, board, variants, rows, unseen, manifest, written, ms } = result;
  return {
    verb: asked.verb,
    task: asked.name,
    seed: asked.seed,
    budget: asked.budget,
    backend: result.backend,
    workers: result.workers,
    rows,
    unlabelled: result.unlabelled,
    dead: result.dead,
    trials: result.trials,
    recalled: result.recalled,
    seconds: Number((ms / 1_000).toFixed(3)),
    leaderboard: board.map((attempt, i) => ({
      rank: i + 1,
      configuration: {
        ...attempt.experiment,
        features: variants[attempt.variant].changes,
        words: inWords(attempt, result),
      },
      round: attempt.round,
      trainedRows: attempt.trainedRows,
      ...attempt.validation,
      modelBytes: attempt.modelBytes,
      rowsPerSecond: attempt.rate,
    })),
    test: unseen && {
      ...unseen.report,
      logLossInterval: unseen.measured.interval,
    },
    bundle: { ...written, manifest },
  };
}
