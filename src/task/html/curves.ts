/**
 * ROC and precision-recall curves of the report: of two labels one curve, of more one for each of the most frequent
 * labels against the rest. The ROC of a good classifier hugs a corner; then the same curve is drawn once more with
 * false alarms on a logarithmic scale, where mail filters differ.
 */
import type { Evaluation } from '../evaluation.ts';
import { area, type Place, type ScoreBins } from './bins.ts';
import type { ReportCollector } from './collector.ts';
import { cut, html, type Markup, table } from './markup.ts';
import { dot, type Frame, figure, type Key, line, stretch, svg } from './plot.ts';
import { linear, logarithmic, type Point, type Scale, shares } from './scale.ts';
import { count, decimal, percent } from './words.ts';

/** So many curves can be told apart. */
const MAX_CURVES = 6;
const SIZE = { width: 480, height: 380 };
/** From this area on the linear plot shows a corner only. */
const CORNER = 0.95;

const unit = (): Scale => linear(0, 1, 5, (value) => `${Math.round(100 * value)} %`);

interface Curve {
  readonly name: string;
  readonly label: number;
  readonly bins: ScoreBins;
  /** Class of the line. */
  readonly kind: string;
  readonly roc: readonly Point[];
  readonly auc: number;
}

/** The curves that are drawn, and in words whose they are. */
export interface Curves {
  readonly curves: readonly Curve[];
  readonly whose: string;
  readonly hits: string;
  readonly alarms: string;
  /** Where the verdicts that were given lie, of two labels. */
  readonly given: { readonly roc: Point; readonly precisionRecall: Point } | null;
  readonly prAuc: number | null;
}

export function readCurves(evaluation: Evaluation, collector: ReportCollector): Curves {
  const { labels, positive } = collector;
  const binary = labels.length === 2;
  const events = evaluation.confusion.map((row) => row.reduce((sum, n) => sum + n, 0));
  const shown = binary
    ? [positive]
    : [...labels.keys()].filter((c) => events[c] > 0).sort((a, b) => events[b] - events[a]);
  const curves = shown.slice(0, MAX_CURVES).map((label, i) => {
    const bins = collector.curves[binary ? 0 : label];
    const roc = bins.roc();
    return { name: cut(labels[label], 40), label, bins, kind: `line s${i}`, roc, auc: area(roc) };
  });
  const drawn = curves.filter(({ roc }) => roc.length > 0);
  if (!binary) {
    const left = shown.length - curves.length;
    const whose = `Each label against all others${left > 0 ? `; the ${curves.length} most frequent of ${shown.length} labels` : ''}.`;
    return { curves: drawn, whose, hits: 'found', alarms: 'false alarms', given: null, prAuc: null };
  }
  const [name, other] = [cut(labels[positive], 24), cut(labels[1 - positive], 24)];
  return {
    curves: drawn,
    whose: `How well the score tells ${name} from ${other}.`,
    hits: `${name} found`,
    alarms: `${other} taken for ${name}`,
    given: drawn.length > 0 ? givenPlace(evaluation.confusion, positive) : null,
    prAuc: evaluation.prAuc ?? null,
  };
}

function givenPlace(confusion: Evaluation['confusion'], positive: number): Curves['given'] {
  const [hits, missed] = [confusion[positive][positive], confusion[positive][1 - positive]];
  const [alarms, passed] = [confusion[1 - positive][positive], confusion[1 - positive][1 - positive]];
  const recall = hits / (hits + missed);
  return {
    roc: [alarms / (alarms + passed), recall],
    precisionRecall: [recall, hits + alarms > 0 ? hits / (hits + alarms) : 1],
  };
}

/** About 24 of a curve's places, evenly spread along it. */
function samples({ bins }: Curve): readonly Place[] {
  const places = bins.places();
  const wanted = 24;
  const along = ({ hits, alarms }: Place) => hits / bins.hits + alarms / bins.alarms;
  const chosen: Place[] = [];
  let next = 0;
  for (const place of places) {
    if (along(place) < next) continue;
    chosen.push(place);
    next = (Math.floor((along(place) * wanted) / 2) + 1) * (2 / wanted);
  }
  return chosen;
}

const threshold = (value: number): string =>
  value > 0.9999 ? `1 − ${(1 - value).toExponential(1)}` : String(Number(value.toPrecision(3)));

function pointers(frame: Frame, all: Curves, at: (curve: Curve, place: Place) => Point): Markup[] {
  return all.curves.flatMap((curve) =>
    samples(curve).map((place) => {
      const found = percent(place.hits / curve.bins.hits);
      const alarms = percent(place.alarms / curve.bins.alarms);
      const told = `${curve.name}: score from ${threshold(place.threshold)}: ${found} ${all.hits}, ${alarms} ${all.alarms}`;
      return dot(frame, at(curve, place), 7, 'touch', told);
    }),
  );
}

const rocPlace = ({ bins }: Curve, { hits, alarms }: Place): Point => [
  alarms / bins.alarms,
  hits / bins.hits,
];

function givenDot(frame: Frame, point: Point | undefined): Markup | null {
  return point ? dot(frame, point, 5, 'given', 'the verdicts that were given') : null;
}

const GIVEN: Key = { kind: 'given', text: 'the verdicts that were given' };

/** What stands in the legend beside a curve. */
function keys(all: Curves, measure: string, value: (curve: Curve) => number): Key[] {
  const lines = all.curves.map((curve) => ({
    kind: curve.kind,
    text: html`${curve.name} <span class="soft">${measure} ${decimal(value(curve))}</span>`,
  }));
  return all.given ? [...lines, GIVEN] : lines;
}

function numbers(all: Curves): Markup {
  const rows = all.curves.flatMap((curve) =>
    samples(curve).map(({ threshold: score, hits, alarms }) => [
      curve.name,
      threshold(score),
      percent(hits / curve.bins.hits),
      percent(alarms / curve.bins.alarms),
      hits + alarms > 0 ? percent(hits / (hits + alarms)) : null,
      count(hits + alarms),
    ]),
  );
  const columns = ['label', 'score from', 'found', 'false alarms', 'precision', 'events'];
  return table(
    columns.map((name, i) => ({ name, text: i === 0 })),
    rows,
  );
}

function aucWords(curves: readonly Curve[], measure: string, value: (curve: Curve) => number): string {
  return curves.map((curve) => `${curve.name}: ${measure} ${decimal(value(curve))}`).join('; ');
}

export function rocFigure(all: Curves, evaluation: Evaluation): Markup {
  const frame: Frame = { ...SIZE, x: unit(), y: unit(), xLabel: all.alarms, yLabel: all.hits };
  // The exact area where the evaluation has it: the curve is drawn from bins.
  const auc = (curve: Curve) => evaluation.rocAuc ?? curve.auc;
  const title = 'ROC curve';
  const description = `Share found against share of false alarms over all thresholds. Area under the curve: ${aucWords(all.curves, 'AUC', auc)}.`;
  const plot = svg({ id: 'roc', title, description, frame }, [
    stretch(frame, [0, 0], [1, 1], 'line base'),
    ...all.curves.map((curve) => line(frame, curve.roc, curve.kind)),
    givenDot(frame, all.given?.roc),
    ...pointers(frame, all, rocPlace),
  ]);
  const note = `${all.whose} Dashed: chance.`;
  return figure({ title, note, plot, keys: keys(all, 'AUC', auc), numbers: numbers(all) });
}

/** null where the plain plot shows enough. */
export function cornerFigure(all: Curves): Markup | null {
  const best = Math.max(...all.curves.map(({ auc }) => auc));
  if (!(best >= CORNER)) return null;
  const events = Math.max(...all.curves.map(({ bins }) => bins.alarms));
  const x = logarithmic(Math.min(0.1, 1 / events));
  const least = Math.min(...all.curves.map(({ roc }) => firstBeyond(roc, x.low)));
  const frame: Frame = {
    ...SIZE,
    x,
    y: shares(Math.min(0.98, least), 5),
    xLabel: all.alarms,
    yLabel: all.hits,
  };
  const title = 'ROC curve, few false alarms';
  const description =
    'The ROC curve with false alarms on a logarithmic scale: what is found when hardly any false alarm is allowed.';
  const plot = svg({ id: 'corner', title, description, frame }, [
    ...all.curves.map((curve) =>
      line(
        frame,
        curve.roc.filter(([, y]) => y >= frame.y.low),
        curve.kind,
      ),
    ),
    givenDot(frame, all.given?.roc),
    ...pointers(frame, all, rocPlace),
  ]);
  const note = 'The same with false alarms on a logarithmic scale.';
  const lines: Key[] = all.curves.map(({ kind, name }) => ({ kind, text: name }));
  return figure({ title, note, plot, keys: all.given ? [...lines, GIVEN] : lines });
}

/** What is found once the share of false alarms reaches `least`. */
function firstBeyond(roc: readonly Point[], least: number): number {
  return roc.find(([x]) => x >= least)?.[1] ?? 1;
}

export function precisionRecallFigure(all: Curves): Markup {
  const lines = all.curves.map((curve) => ({ curve, points: curve.bins.precisionRecall() }));
  const areas = new Map(lines.map(({ curve, points }) => [curve, all.prAuc ?? area(points)]));
  const value = (curve: Curve) => areas.get(curve) ?? Number.NaN;
  const frame: Frame = {
    ...SIZE,
    x: unit(),
    y: unit(),
    xLabel: `${all.hits} (recall)`,
    yLabel: 'right among those (precision)',
  };
  const title = 'Precision and recall';
  const description = `Precision against recall over all thresholds. Average precision: ${aucWords(all.curves, 'AP', value)}.`;
  const plot = svg({ id: 'pr', title, description, frame }, [
    ...all.curves.slice(0, all.given ? 1 : 0).map(({ bins }) => {
      const share = bins.hits / (bins.hits + bins.alarms);
      return stretch(frame, [0, share], [1, share], 'line base');
    }),
    ...lines.map(({ curve, points }) => line(frame, points, curve.kind)),
    givenDot(frame, all.given?.precisionRecall),
    ...pointers(frame, all, ({ bins }, { hits, alarms }) => [
      hits / bins.hits,
      hits + alarms > 0 ? hits / (hits + alarms) : 1,
    ]),
  ]);
  const note = `Precision against recall.${all.given ? ' Dashed: chance.' : ''}`;
  return figure({ title, note, plot, keys: keys(all, 'AP', value) });
}
