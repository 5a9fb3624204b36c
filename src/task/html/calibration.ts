/**
 * Reliability diagram: whether a probability means what it says. Above, how often the verdict came true in each of 15 bins
 * of probability, with 95 % intervals; below, how many events fell there.
 */
import type { Evaluation } from '../evaluation.ts';
import { BINS, type ReportCollector } from './collector.ts';
import { wilson } from './interval.ts';
import { cut, html, type Markup, table } from './markup.ts';
import { box, dot, type Frame, figure, line, stretch, svg } from './plot.ts';
import { linear, upTo } from './scale.ts';
import { count, decimal, percent } from './words.ts';

const SIZE = { width: 480, height: 290 };
/** Bins with fewer events say little. */
const FEW = 30;
const COUNTS = { width: 480, height: 140 };

interface Bin {
  readonly low: number;
  readonly high: number;
  readonly count: number;
  readonly mean: number;
  readonly share: number;
  readonly range: readonly [number, number];
}

function filled(collector: ReportCollector): Bin[] {
  return collector.calibration().flatMap(({ count: n, hits, mean }, i) => {
    if (n === 0) return [];
    return [{ low: i / BINS, high: (i + 1) / BINS, count: n, mean, share: hits / n, range: wilson(hits, n) }];
  });
}

const unit = (ticks: number) => linear(0, 1, ticks, (value) => `${Math.round(100 * value)} %`);

function told({ low, high, count: n, mean, share, range }: Bin): string {
  return `${percent(low, 0)} to ${percent(high, 0)}: ${count(n)} events, said ${percent(mean, 1)}, true ${percent(share, 1)} (95 %: ${percent(range[0], 1)} to ${percent(range[1], 1)})`;
}

function counts(bins: readonly Bin[], xLabel: string): Markup {
  const most = Math.max(...bins.map((bin) => bin.count));
  const frame: Frame = { ...COUNTS, x: unit(5), y: upTo(most), xLabel, yLabel: 'events' };
  const drawing = {
    id: 'counts',
    title: 'Events by probability',
    description: 'How many events fell into each bin.',
    frame,
  };
  return svg(
    drawing,
    bins.map((bin) => box(frame, [bin.low + 0.006, 0], [bin.high - 0.006, bin.count], 'bar', told(bin))),
  );
}

export function calibrationFigure(evaluation: Evaluation, collector: ReportCollector): Markup {
  const { labels, positive } = collector;
  const bins = filled(collector);
  const what = labels.length === 2 ? cut(labels[positive], 24) : 'the verdict';
  const frame: Frame = { ...SIZE, x: unit(5), y: unit(5), xLabel: '', yLabel: `${what} was true` };
  const title = 'Calibration';
  const description = `How often ${what} was true, by the probability that the model gave. Expected calibration error ${decimal(evaluation.calibrationError)}.`;
  const plot = svg({ id: 'calibration', title, description, frame, kind: 'upper' }, [
    stretch(frame, [0, 0], [1, 1], 'line base'),
    ...bins.map(({ mean, range: [low, high] }) => stretch(frame, [mean, low], [mean, high], 'whisker')),
    line(
      frame,
      bins.map(({ mean, share }) => [mean, share]),
      'line s0',
    ),
    ...bins.map((bin) =>
      dot(frame, [bin.mean, bin.share], 4.5, bin.count < FEW ? 'dot few' : 'dot', told(bin)),
    ),
  ]);
  const rows = bins.map((bin) => [
    `${percent(bin.low, 0)} – ${percent(bin.high, 0)}`,
    count(bin.count),
    percent(bin.mean),
    percent(bin.share),
    `${percent(bin.range[0], 1)} – ${percent(bin.range[1], 1)}`,
  ]);
  const columns = ['probability', 'events', 'said on average', 'true', '95 % interval'].map((name) => ({
    name,
  }));
  return figure({
    title,
    note: `Dashed: a probability means what it says. Hollow: fewer than ${FEW} events.`,
    plot: html`${plot}${bins.length > 0 ? counts(bins, `probability given to ${what}`) : null}`,
    numbers: table(columns, rows),
  });
}
