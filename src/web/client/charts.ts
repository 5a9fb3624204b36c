/**
 * The charts: quality with its marks (▲ drift, ┃ a model that began to run), throughput, latency, what waits. Drawn by
 * uPlot on canvas; each has its words beside it and an accessible description, so that nothing is told by the
 * picture alone. Colours come from the style and follow the scheme of the system.
 */
import type { Column, Mark, SeriesView } from '../view.ts';
import { fill, get, h, text } from './dom.ts';
import { count, ms, percent, rate, short } from './format.ts';
import { withGaps } from './points.ts';
import { clock } from './times.ts';
import uPlot from './uplot.js';

interface Line {
  readonly column: Column;
  readonly label: string;
  /** The name of the colour in the style. */
  readonly color: string;
  readonly dashed?: boolean;
  readonly area?: boolean;
  /** Drawn through buckets without a value: labels come when they come. */
  readonly through?: boolean;
}

interface Drawing {
  readonly id: string;
  readonly lines: readonly Line[];
  readonly height: number;
  readonly show: (x: number | null | undefined) => string;
  readonly axis: (x: number) => string;
  readonly range: (min: number, max: number) => [number, number];
  readonly marks: boolean;
}

/** Zero based, with air above. */
const fromZero = (_min: number, max: number): [number, number] => [0, max > 0 ? max * 1.15 : 1];

/** Up to 100 %, down to a little below the lowest. */
function ofShare(min: number, _max: number): [number, number] {
  if (!Number.isFinite(min)) return [0.5, 1];
  return [Math.max(0, Math.min(0.9, Math.floor(min * 20 - 0.4) / 20)), 1];
}

const drawings: readonly Drawing[] = [
  {
    id: 'quality',
    height: 256,
    lines: [
      {
        column: 'estimated',
        label: 'estimated, no label',
        color: '--line-soft',
        dashed: true,
        through: true,
      },
      { column: 'measured', label: 'measured', color: '--line-main', area: true, through: true },
    ],
    show: percent,
    axis: (x) => `${Number((x * 100).toFixed(1))} %`,
    range: ofShare,
    marks: true,
  },
  {
    id: 'rate',
    height: 72,
    lines: [{ column: 'rate', label: 'events', color: '--line-main', area: true }],
    show: rate,
    axis: (x) => short(x),
    range: fromZero,
    marks: false,
  },
  {
    id: 'latency',
    height: 72,
    lines: [
      { column: 'p99', label: 'p99', color: '--line-warm' },
      { column: 'p95', label: 'p95', color: '--line-soft' },
      { column: 'p50', label: 'p50', color: '--line-main' },
    ],
    show: ms,
    axis: (x) => (x === 0 ? '0' : ms(x)),
    range: fromZero,
    marks: false,
  },
  {
    id: 'waiting',
    height: 72,
    lines: [
      { column: 'unsettled', label: 'unsettled', color: '--line-main', area: true },
      { column: 'outbox', label: 'in the outbox', color: '--line-warm' },
    ],
    show: count,
    axis: (x) => short(x),
    range: fromZero,
    marks: false,
  },
];

/** All charts of the page; `update` is called with each new picture. */
export class Charts {
  readonly #charts = drawings.map((drawing) => new Chart(drawing));
  #last: SeriesView | null = null;

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const chart of this.#charts) chart.forget();
      this.update(this.#last);
    });
  }

  update(series: SeriesView | null): void {
    this.#last = series;
    for (const chart of this.#charts) chart.update(series);
  }
}

class Chart {
  readonly #drawing: Drawing;
  readonly #plot: HTMLElement;
  readonly #legend: HTMLElement;
  #chart: uPlot | null = null;
  #series: SeriesView | null = null;

  constructor(drawing: Drawing) {
    this.#drawing = drawing;
    this.#plot = get(`plot-${drawing.id}`);
    this.#legend = get(`legend-${drawing.id}`);
    new ResizeObserver(() => {
      const width = this.#plot.clientWidth;
      if (width > 0 && this.#chart && width !== this.#chart.width)
        this.#chart.setSize({ width, height: drawing.height });
    }).observe(this.#plot);
  }

  /** The next update draws it anew. */
  forget(): void {
    this.#chart?.destroy();
    this.#chart = null;
  }

  update(told: SeriesView | null): void {
    const series = told && withGaps(told);
    this.#series = series;
    const empty =
      !series || !this.#drawing.lines.some((line) => series.columns[line.column].some((y) => y !== null));
    this.#plot.classList.toggle('empty', empty);
    if (empty) {
      this.forget();
      fill(this.#plot, h('p', { class: 'nothing' }, nothing(this.#drawing.id)));
      fill(this.#legend);
      this.#plot.setAttribute('aria-label', nothing(this.#drawing.id));
      return;
    }
    const data = [series.at, ...this.#drawing.lines.map((line) => series.columns[line.column])];
    if (this.#chart) this.#chart.setData(data as uPlot.AlignedData);
    else this.#begin(data as uPlot.AlignedData);
    this.#tell(null);
    this.#plot.setAttribute('aria-label', this.#words(series));
  }

  #begin(data: uPlot.AlignedData): void {
    fill(this.#plot);
    const color = colors();
    const { lines, height, axis, range, marks } = this.#drawing;
    const grid = { stroke: color('--grid'), width: 1 };
    const options: uPlot.Options = {
      width: Math.max(200, this.#plot.clientWidth),
      height,
      ms: 1,
      padding: [marks ? 18 : 6, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: {
          time: true,
          range: (_chart, min, max) => (max - min < 60_000 ? [max - 60_000, max] : [min, max]),
        },
        y: { range: (_chart, min, max) => range(min, max) },
      },
      axes: [
        {
          stroke: color('--soft'),
          grid: { show: false },
          ticks: { show: false },
          size: 22,
          gap: 4,
          space: 64,
          font: '11px system-ui, sans-serif',
          values: (_chart, splits, _axis, _space, step) => splits.map((at) => clock(at, step < 60_000)),
        },
        {
          stroke: color('--soft'),
          grid,
          ticks: { show: false },
          size: 46,
          gap: 6,
          space: marks ? 32 : 26,
          font: '11px system-ui, sans-serif',
          values: (_chart, splits) => splits.map(axis),
        },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          stroke: color(line.color),
          width: line.dashed ? 1.5 : 1.75,
          dash: line.dashed ? [4, 4] : undefined,
          fill: line.area ? color('--line-area') : undefined,
          spanGaps: line.through ?? false,
          points: { show: data[0].length < 3, size: 5 },
        })),
      ],
      hooks: {
        setCursor: [(chart) => this.#tell(chart.cursor.idx ?? null)],
        ...(marks ? { draw: [(chart) => drawMarks(chart, this.#series?.marks ?? [], color)] } : {}),
      },
    };
    this.#chart = new uPlot(options, data, this.#plot);
  }

  /** The legend with the values at the cursor, else the newest ones. */
  #tell(index: number | null): void {
    const series = this.#series;
    if (!series) return;
    const { lines, show } = this.#drawing;
    const at = index === null ? null : (series.at[index] ?? null);
    fill(
      this.#legend,
      at !== null && h('span', { class: 'soft' }, clock(at, true)),
      ...[...lines].reverse().map((line) => {
        const values = series.columns[line.column];
        const value = index === null ? values.findLast((y) => y !== null) : values[index];
        return h(
          'span',
          { class: `key key${line.color}${line.dashed ? ' dashed' : ''}` },
          line.label,
          ' ',
          h('b', null, show(value)),
        );
      }),
    );
  }

  #words(series: SeriesView): string {
    const { lines, show } = this.#drawing;
    const told = [...lines].reverse().map((line) => {
      const values = series.columns[line.column].filter((y): y is number => y !== null);
      if (values.length === 0) return `${line.label}: none`;
      return `${line.label} now ${show(values.at(-1))}, lowest ${show(Math.min(...values))}, highest ${show(Math.max(...values))}`;
    });
    const marks = this.#drawing.marks
      ? series.marks.map((mark) => `${clock(mark.at, false)} ${mark.kind} ${mark.text}`)
      : [];
    return `${series.range === 'hour' ? 'Last hour' : 'Last 24 hours'}: ${[...told, ...marks.slice(-8)].join('; ')}.`;
  }
}

function nothing(id: string): string {
  if (id === 'quality')
    return 'No quality yet. It is measured as soon as labels come: give some below, or send feedback.';
  if (id === 'waiting') return 'Nothing waits.';
  return 'Nothing yet: the first figures come with the first window of events.';
}

/** Drift: a triangle and a dotted line; a model: a full line and its name. */
function drawMarks(chart: uPlot, marks: readonly Mark[], color: (name: string) => string): void {
  const { ctx, bbox } = chart;
  const ratio = devicePixelRatio;
  const free = { drift: Number.NEGATIVE_INFINITY, model: Number.NEGATIVE_INFINITY };
  const places = marks.map(({ at }) => Math.round(chart.valToPos(at, 'x', true)));
  ctx.save();
  ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = 'bottom';
  ctx.textAlign = 'left';
  for (const [i, { kind, text: words }] of marks.entries()) {
    const x = places[i];
    if (kind === 'over' || x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
    const drift = kind === 'drift';
    ctx.strokeStyle = ctx.fillStyle = color(drift ? '--drift' : '--model');
    ctx.lineWidth = (drift ? 1 : 2) * ratio;
    ctx.setLineDash(drift ? [2 * ratio, 3 * ratio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (drift) {
      ctx.beginPath();
      ctx.moveTo(x, bbox.top - 11 * ratio);
      ctx.lineTo(x - 6 * ratio, bbox.top - ratio);
      ctx.lineTo(x + 6 * ratio, bbox.top - ratio);
      ctx.fill();
    }
    // Names that would lie on each other are left out; the words below have them.
    const row = drift ? 'drift' : 'model';
    const gap = (drift ? 8 : 4) * ratio;
    const shown = words.length > 24 ? `${words.slice(0, 23)}…` : words;
    const width = ctx.measureText(shown).width;
    const next = marks.findIndex((mark, j) => j > i && mark.kind === kind);
    const end = Math.min(bbox.left + bbox.width, next < 0 ? Number.POSITIVE_INFINITY : places[next] - gap);
    const left = x + gap + width <= end ? x + gap : x - gap - width;
    if (left >= Math.max(free[row], bbox.left)) {
      ctx.fillText(shown, left, drift ? bbox.top : bbox.top + 14 * ratio);
      free[row] = left + width + gap;
    }
    free[row] = Math.max(free[row], x + gap);
  }
  ctx.restore();
}

function colors(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
}

/** What the marks say, in words, below the chart. */
export function tellMarks(series: SeriesView | null): void {
  // What ended is seen in the curve; the words are for what began.
  const marks = series?.marks.filter(({ kind }) => kind !== 'over') ?? [];
  const names = { drift: '▲ drift of', over: '△ drift over:', model: '┃ runs' } as const;
  const words = marks
    .slice(-4)
    .map(
      ({ at, kind, text: what, site }) =>
        `${clock(at, series?.range === 'hour')} ${names[kind]} ${what} at ${site}`,
    );
  text(get('quality-note'), words.join(' · '));
}
