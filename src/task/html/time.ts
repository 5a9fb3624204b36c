/**
 * Accuracy along the stream beside two classifiers that know nothing (the last label again, the most frequent label so far),
 * with a mark where a drift detector spoke. Drawn twice, for a wide and for a narrow screen; one is shown.
 */
import type { ReportCollector } from './collector.ts';
import { cut, html, type Markup, table } from './markup.ts';
import { edges, type Frame, figure, line, mark, px, svg } from './plot.ts';
import { linear, type Point, shares } from './scale.ts';
import type { Moment } from './timeline.ts';
import { count, percent } from './words.ts';

/** What a detector said; further fields are not read. */
export interface DriftMark {
  /** Index of the event in the stream. */
  readonly at: number;
  readonly stream: string;
  readonly detector: string;
}

const MAX_MARKS = 60;
const MAX_ROWS = 60;
/** Stretches with a tooltip. */
const STRIPS = 60;

const SERIES = [
  { name: 'no-change: the last label again', kind: 'line s1 thin', of: (m: Moment) => m.noChange },
  { name: 'the most frequent label so far', kind: 'line base', of: (m: Moment) => m.majority },
  { name: 'model', kind: 'line s0', of: (m: Moment) => m.accuracy },
] as const;

/** Every so many, so that at most `most` are left; the last one always. */
function spread<T>(items: readonly T[], most: number): readonly T[] {
  const step = Math.ceil(items.length / most);
  return items.filter((_, i) => (items.length - 1 - i) % step === 0);
}

const driftWords = ({ at, stream, detector }: DriftMark): string =>
  `drift at event ${count(at + 1)}: ${cut(stream, 60)} (${cut(detector, 30)})`;

function momentWords(moment: Moment): string {
  return `until event ${count(moment.at + 1)}: model ${percent(moment.accuracy)}, last label again ${percent(moment.noChange)}, most frequent so far ${percent(moment.majority)}`;
}

/** Invisible strips over the height, each telling its numbers. */
function strips(frame: Frame, moments: readonly Moment[]): Markup[] {
  const { left, top, bottom } = edges(frame);
  let from = left;
  return spread(moments, STRIPS).map((moment) => {
    const to = px(frame, moment.at);
    const strip = html`<rect class="touch" x="${from.toFixed(1)}" y="${top}" width="${(to - from).toFixed(1)}" height="${bottom - top}"><title>${momentWords(moment)}</title></rect>`;
    from = to;
    return strip;
  });
}

interface Story {
  readonly moments: readonly Moment[];
  readonly marks: readonly DriftMark[];
  readonly title: string;
  readonly description: string;
}

function draw(story: Story, size: { width: number; height: number }, ticks: number, kind: string): Markup {
  const { moments, marks, title, description } = story;
  const least = Math.min(...moments.flatMap((moment) => SERIES.map(({ of }) => of(moment))));
  const x = linear(moments[0].at, Math.max(moments[0].at + 1, moments[moments.length - 1].at), ticks);
  const frame: Frame = { ...size, x, y: shares(least, 5), xLabel: 'event in the stream', yLabel: 'accuracy' };
  const lines = SERIES.map(({ of, kind: style }) =>
    line(
      frame,
      moments.map((moment): Point => [moment.at, of(moment)]),
      style,
    ),
  );
  const within = marks.filter(({ at }) => at >= x.low && at <= x.high);
  return svg({ id: `time-${kind}`, title, description, frame, kind }, [
    ...lines,
    ...strips(frame, moments),
    ...within.map((each) => mark(frame, each.at, driftWords(each))),
  ]);
}

function numbers(moments: readonly Moment[], drift: readonly DriftMark[]): Markup {
  const columns = ['until event', 'model', 'last label again', 'most frequent so far'].map((name) => ({
    name,
  }));
  const rows = spread(moments, 20).map((moment) => [
    count(moment.at + 1),
    ...[moment.accuracy, moment.noChange, moment.majority].map((share) => percent(share)),
  ]);
  if (drift.length === 0) return table(columns, rows);
  const told = spread(drift, MAX_ROWS).map(({ at, stream, detector }) => [
    count(at + 1),
    cut(stream, 60),
    cut(detector, 30),
  ]);
  const left = drift.length - told.length;
  const heads = [
    { name: 'drift at event' },
    { name: 'stream', text: true },
    { name: 'detector', text: true },
  ];
  return html`${table(columns, rows)}${table(heads, told)}${left > 0 ? html`<p class="note">${count(left)} further alarms are not listed.</p>` : null}`;
}

export function timeFigure(collector: ReportCollector, drift: readonly DriftMark[]): Markup | null {
  const moments = collector.timeline.moments();
  if (moments.length < 2) return null;
  const marks = spread(drift, MAX_MARKS);
  const last = moments[moments.length - 1];
  const title = 'Accuracy along the stream';
  const description = `Accuracy in a sliding window. At the end: model ${percent(last.accuracy)}, last label again ${percent(last.noChange)}, most frequent label so far ${percent(last.majority)}. ${drift.length} drift alarms.`;
  const story: Story = { moments, marks, title, description };
  const keys = [...SERIES].reverse().map(({ kind, name }) => ({ kind, text: name as string }));
  const alarms = drift.length === 1 ? '1 drift alarm' : `${count(drift.length)} drift alarms`;
  const shown = drift.length > marks.length ? `${alarms}, ${marks.length} of them marked` : alarms;
  return figure({
    title,
    note: `Share of right verdicts among the last ${count(collector.timeline.window)} tested events. Where the model runs below the last label again, the stream repeats itself more than the model knows.`,
    plot: html`${draw(story, { width: 1080, height: 330 }, 10, 'wide')}${draw(story, { width: 480, height: 340 }, 4, 'narrow')}`,
    keys: drift.length > 0 ? [...keys, { kind: 'markline', text: shown }] : keys,
    numbers: numbers(moments, drift),
    wide: true,
  });
}
