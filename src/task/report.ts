/**
 * An evaluation as a person reads it: what was run, how good it is beside what costs nothing (the most frequent label,
 * the last label), and where the mistakes are. Plain text of at most 80 columns for up to five labels;
 * no colour, so it can be kept.
 */
import type { Evaluation } from './evaluation.ts';
import type { MetricsReport } from './metrics.ts';

/** More labels than this make a confusion table nobody reads. */
const MAX_CONFUSION = 8;

const thousands = (value: number): string => Math.round(value).toLocaleString('en-US');
const percent = (share: number | null, digits = 2): string =>
  share === null ? '-' : `${(share * 100).toFixed(digits)} %`;
const number = (value: number | null, digits = 4): string => (value === null ? '-' : value.toFixed(digits));

/** Columns, the first to the left and the others to the right. */
export function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  '),
  );
}

/** Quality, and the names it needs. */
export type ReportedQuality = MetricsReport & Pick<Evaluation, 'classes' | 'positive'>;

/** What was run. */
export interface ReportHead {
  readonly task: string;
  readonly protocol: string;
  /** Counted from this event on, from 1. */
  readonly testFrom?: number;
  readonly feedback: string;
  /** holdout: the part of the stream that trains. */
  readonly trainFraction?: number;
  /** What is read of a mail, where that was said. */
  readonly preset?: string;
}

const WIDTH = 80;

/** As many parts a line as fit, dots between. */
function joined(parts: readonly string[]): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const longer = lines.length === 0 ? part : `${lines.at(-1)} · ${part}`;
    if (lines.length > 0 && longer.length <= WIDTH) lines[lines.length - 1] = longer;
    else lines.push(part);
  }
  return lines;
}

function headLines(head: ReportHead, result: Evaluation): string[] {
  const counts = [
    `${thousands(result.n)} events`,
    `${thousands(result.tested)} tested`,
    `${thousands(result.labels)} labels given`,
    ...(result.selfTrained > 0 ? [`${thousands(result.selfTrained)} self-trained`] : []),
    ...(result.trained > 0 ? [`${thousands(result.trained)} trained before`] : []),
    ...Object.entries(result.dead).map(([code, n]) => `${thousands(n)} ${code}`),
  ];
  const cost = [
    `${result.seconds.toFixed(1)} s`,
    `${thousands(result.eventsPerSecond)} events/s`,
    `${thousands(result.peakRssMiB)} MiB`,
    `model ${(result.model.bytes / 1024 ** 2).toFixed(1)} MiB`,
  ];
  const cut = head.trainFraction ? `, the first ${percent(head.trainFraction, 0)} trained` : '';
  const setting = [
    ...[head.task, `${head.protocol}${cut}`, `feedback ${head.feedback}`],
    ...(head.testFrom === undefined ? [] : [`counted from event ${thousands(head.testFrom)}`]),
    ...(head.preset === undefined ? [] : [head.preset]),
    ...[result.model.kind, result.backend, `seed ${result.seed}`],
  ];
  return [setting, counts, cost].flatMap(joined);
}

function qualityLines(result: ReportedQuality): string[] {
  const { baselines } = result;
  const rows = [
    ['accuracy', percent(result.accuracy), 'most frequent label', percent(baselines.majority)],
    ['', '', 'last label again', percent(baselines.noChange)],
    ['kappa', number(result.kappa), 'against the last label', number(result.kappaTemporal)],
    ['macro F1', number(result.macroF1), '', ''],
    ['log loss', number(result.logLoss), 'calibration error', number(result.calibrationError)],
  ];
  return alignPairs(rows);
}

/** Name, value, name, value. */
function alignPairs(rows: readonly (readonly string[])[]): string[] {
  return rows.map(([name, value, otherName, other]) =>
    `${name.padEnd(24)}${value.padStart(10)}    ${otherName.padEnd(24)}${other.padStart(10)}`.trimEnd(),
  );
}

function rankingLines(result: ReportedQuality): string[] {
  if (result.intervals === undefined) return [];
  const { rocAuc, oneMinusAucPercent, prAuc } = result.intervals;
  const line = (
    name: string,
    value: number,
    [low, high]: readonly [number, number],
    digits: number,
    unit = '',
  ) =>
    `${name.padEnd(24)}${(value.toFixed(digits) + unit).padStart(10)}    95 %: ${low.toFixed(digits)} to ${high.toFixed(digits)}${unit}`;
  return [
    line('ROC AUC', result.rocAuc!, rocAuc, 5),
    line('1 - AUC', result.oneMinusAucPercent!, oneMinusAucPercent, 3, ' %'),
    line(`PR AUC of ${result.positive}`, result.prAuc!, prAuc, 5),
  ];
}

function mailLines(result: ReportedQuality): string[] {
  if (result.hamMisclassifiedPercent === undefined) return [];
  const show = (value: number | null | undefined) =>
    value === null || value === undefined ? '-' : `${value.toFixed(3)} %`;
  return alignPairs([
    [
      'ham misclassified',
      show(result.hamMisclassifiedPercent),
      'logistic average (lam)',
      show(result.lamPercent),
    ],
    [
      'spam misclassified',
      show(result.spamMisclassifiedPercent),
      'missed at 0.1 % ham',
      show(result.spamMissedAtHam0_1Percent),
    ],
  ]);
}

function labelLines(result: ReportedQuality): string[] {
  const { classes: labels, confusion } = result;
  const wide = labels.length <= MAX_CONFUSION;
  const head = [
    'true label',
    'events',
    'precision',
    'recall',
    'F1',
    ...(wide ? labels.map((label) => `-> ${label}`) : []),
  ];
  const rows = labels.map((label, c) => [
    label,
    thousands(confusion[c].reduce((sum, n) => sum + n, 0)),
    percent(result.precision[label], 1),
    percent(result.recall[label], 1),
    percent(result.f1[label], 1),
    ...(wide ? confusion[c].map(thousands) : []),
  ]);
  return align([head, ...rows]);
}

const spaced = (blocks: readonly (readonly string[])[]): string[] =>
  blocks.filter((block) => block.length > 0).flatMap((block, i) => (i === 0 ? block : ['', ...block]));

/** One line: what a gateway would have acted on since it had evidence enough. */
function decisionLines({ decision }: Evaluation): string[] {
  if (!decision) return [];
  const { negative, positive, from, figures } = decision;
  if (from === null) {
    const evidence = `${thousands(figures.confirmed)} of ${thousands(figures.least)} ${negative} confirmed`;
    return [`a gateway would not act yet: ${evidence}`];
  }
  const { ham, spam } = decision.since;
  const words = ({ tagged, held, tested }: typeof ham, name: string) =>
    `${thousands(tagged + held)} of ${thousands(tested)} ${name}`;
  const acts = decision.hold === null ? 'tags' : decision.tag === null ? 'holds' : 'tags or holds';
  const unsure = `${thousands(spam.unsure)} unsure`;
  return [
    `a gateway ${acts} from event ${thousands(from + 1)} on: ${words(ham, negative)}, ${words(spam, positive)}, ${unsure}`,
  ];
}

/** How good, without what was run. */
export function qualityReportLines(result: ReportedQuality): string[] {
  return spaced([[...qualityLines(result), ...rankingLines(result)], mailLines(result), labelLines(result)]);
}

/** The lines of a report. */
export function reportLines(head: ReportHead, result: Evaluation): string[] {
  return spaced([headLines(head, result), qualityReportLines(result), decisionLines(result)]);
}
