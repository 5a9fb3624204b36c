/**
 * Plots as inline SVG: a frame with ticks and labels, lines thinned to what can be seen, dots, marks, a legend. Colours
 * come from the style sheet (style.ts), so that a plot follows light and dark; lines also differ in dashes. Every
 * plot has a title and a description for those who do not see it, and its numbers again in a table beneath.
 */
import { html, type Markup, type Part } from './markup.ts';
import { type Point, type Scale, thin } from './scale.ts';

/** Room around the plot in units of the drawing; wide enough for the larger letters of a phone. */
const MARGIN = { left: 80, right: 20, top: 14, bottom: 56 };
/** A point left out lies at most so far from the line, in units of the drawing (about a pixel each). */
const UNSEEN = 0.15;

/** Where a plot's values go on paper. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly x: Scale;
  readonly y: Scale;
  readonly xLabel: string;
  readonly yLabel: string;
}

const place = (value: number): string => String(Number(value.toFixed(1)));

export const px = ({ width, x }: Frame, value: number): number =>
  MARGIN.left + x.place(value) * (width - MARGIN.left - MARGIN.right);

export const py = ({ height, y }: Frame, value: number): number =>
  height - MARGIN.bottom - y.place(value) * (height - MARGIN.top - MARGIN.bottom);

/** Inner edges on paper. */
export const edges = ({ width, height }: Frame) => ({
  left: MARGIN.left,
  right: width - MARGIN.right,
  top: MARGIN.top,
  bottom: height - MARGIN.bottom,
});

/** A line through values; `kind` is a class of style.ts. */
export function line(frame: Frame, points: readonly Point[], kind: string): Markup {
  if (points.length === 0) return html``;
  const drawn = points.map(([x, y]): Point => [px(frame, x), py(frame, y)]);
  const path = thin(drawn, UNSEEN).map(([x, y]) => `${place(x)} ${place(y)}`);
  return html`<path class="${kind}" d="M${path.join('L')}"/>`;
}

/** A straight line between two values. */
export const stretch = (frame: Frame, from: Point, to: Point, kind: string): Markup =>
  line(frame, [from, to], kind);

/** A dot; `told` shows when it is pointed at. */
export function dot(frame: Frame, [x, y]: Point, radius: number, kind: string, told: string): Markup {
  return html`<circle class="${kind}" cx="${place(px(frame, x))}" cy="${place(py(frame, y))}" r="${radius}"><title>${told}</title></circle>`;
}

/** A box between two corners. */
export function box(frame: Frame, [x0, y0]: Point, [x1, y1]: Point, kind: string, told: string): Markup {
  const [left, right, top, bottom] = [px(frame, x0), px(frame, x1), py(frame, y1), py(frame, y0)];
  return html`<rect class="${kind}" x="${place(left)}" y="${place(top)}" width="${place(right - left)}" height="${place(Math.max(0, bottom - top))}"><title>${told}</title></rect>`;
}

/** A vertical mark over the whole height, with a flag at its top. */
export function mark(frame: Frame, x: number, told: string): Markup {
  const { top, bottom } = edges(frame);
  const at = place(px(frame, x));
  return html`<g class="mark"><path d="M${at} ${top}V${bottom}"/><path class="flag" d="M${at} ${top}l7 4l-7 4z"/><path class="touch" d="M${at} ${top}V${bottom}"/><title>${told}</title></g>`;
}

function grid(frame: Frame): Markup {
  const { left, right, top, bottom } = edges(frame);
  const xs = frame.x.ticks.map(({ at, text }) => {
    const x = place(px(frame, at));
    return html`<path d="M${x} ${top}V${bottom}"/><text x="${x}" y="${bottom + 20}" text-anchor="middle">${text}</text>`;
  });
  const ys = frame.y.ticks.map(({ at, text }) => {
    const y = py(frame, at);
    return html`<path d="M${left} ${place(y)}H${right}"/><text x="${left - 8}" y="${place(y + 4.5)}" text-anchor="end">${text}</text>`;
  });
  return html`<g class="grid">${xs}${ys}</g>`;
}

function names(frame: Frame): Markup {
  const { left, right, top, bottom } = edges(frame);
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  return html`<text class="name" x="${x}" y="${frame.height - 10}" text-anchor="middle">${frame.xLabel}</text><text class="name" transform="translate(14 ${y})rotate(-90)" text-anchor="middle">${frame.yLabel}</text>`;
}

export interface Drawing {
  /** Unique in the document, made of letters, digits and dashes. */
  readonly id: string;
  readonly title: string;
  /** What a person who does not see it should know. */
  readonly description: string;
  readonly frame: Frame;
  /** Classes of the svg. */
  readonly kind?: string;
}

/** The whole plot. */
export function svg({ id, title, description, frame, kind = '' }: Drawing, body: readonly Part[]): Markup {
  const axes = frame.xLabel === '' && frame.yLabel === '' ? null : names(frame);
  return html`<svg class="plot ${kind}" viewBox="0 0 ${frame.width} ${frame.height}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${title}</title><desc id="${id}-d">${description}</desc>${grid(frame)}${axes}${body}</svg>\n`;
}

const GIVEN = html`<circle class="given" cx="14" cy="6" r="5"/>`;

export interface Key {
  /** The class of the line, or `given` for the dot. */
  readonly kind: string;
  readonly text: Part;
}

/** What the lines are, each with a piece of itself. */
export function legend(keys: readonly Key[]): Markup {
  const items = keys.map(
    ({ kind, text }) =>
      html`<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">${kind === 'given' ? GIVEN : html`<path class="${kind}" d="M1 6H27"/>`}</svg> ${text}</li>`,
  );
  return html`<ul class="legend">${items}</ul>`;
}

export interface FigureParts {
  readonly title: string;
  /** One or two sentences on how to read it. */
  readonly note: Part;
  readonly plot: Part;
  readonly keys?: readonly Key[];
  /** The numbers again. */
  readonly numbers?: Markup;
  /** Over the whole width. */
  readonly wide?: boolean;
}

/** A card with a plot. */
export function figure({ title, note, plot, keys = [], numbers, wide = false }: FigureParts): Markup {
  const told = numbers ? html`<details><summary>Numbers</summary>${numbers}</details>` : null;
  return html`<figure class="card${wide ? ' whole' : ''}"><figcaption><h2>${title}</h2><p class="note">${note}</p></figcaption>${plot}${keys.length > 0 ? legend(keys) : null}${told}</figure>\n`;
}
