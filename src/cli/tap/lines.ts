/**
 * A happening as one aligned line: time (UTC), kind, task, then what matters about that kind. Colours only
 * where asked for; no character from outside reaches the terminal unchecked.
 */
import { isoTime } from '../../envelope.ts';
import { safeText } from '../preview.ts';
import type { Fields, Happening, Kind } from './happening.ts';

export interface LineOptions {
  readonly colour: boolean;
  /** Width of the task column. */
  readonly taskWidth: number;
}

type Colour = 'dim' | 'bold' | 'red' | 'green' | 'yellow' | 'cyan' | 'magenta';
const CODES: Readonly<Record<Colour, string>> = {
  dim: '2',
  bold: '1',
  red: '31',
  green: '32',
  yellow: '33',
  cyan: '36',
  magenta: '35',
};
const COLOURS: Readonly<Record<Kind, Colour>> = {
  verdict: 'green',
  feedback: 'cyan',
  drift: 'yellow',
  dead: 'red',
  metrics: 'magenta',
};

type Paint = (text: string, colour: Colour) => string;
const plain: Paint = (text) => text;
const painted: Paint = (text, colour) => `\u001b[${CODES[colour]}m${text}\u001b[0m`;

const KIND_WIDTH = 8;
const NAME_WIDTH = 22;
const LABEL_WIDTH = 10;
const ACTION_WIDTH = 6;

/** Cut or filled to a width, so that columns stand under each other. */
function column(text: string, width: number): string {
  const chars = [...safeText(text)];
  return chars.length > width ? `${chars.slice(0, width - 1).join('')}…` : chars.join('').padEnd(width);
}

const text = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '–' : JSON.stringify(value);
const number = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};
const percent = (value: unknown): string | null => {
  const share = number(value);
  return share === null ? null : `${(100 * share).toFixed(1)} %`;
};

/** Digests are told apart by their begin. */
const short = (id: string): string => id.replace(/(sha256:)?([0-9a-f]{8})[0-9a-f]{24,56}/g, '$2…');

/** The line of a happening. */
export function lineOf(happening: Happening, options: LineOptions): string {
  const paint = options.colour ? painted : plain;
  const { kind, task, at, data } = happening;
  const time = isoTime(at).slice(11, 23);
  const what = data === null ? paint('not readable', 'red') : DETAILS[kind](data, paint);
  const head = [
    paint(time, 'dim'),
    paint(column(kind, KIND_WIDTH), COLOURS[kind]),
    column(task, options.taskWidth),
  ];
  return [...head, what].join('  ').trimEnd();
}

/** `press-07   fault   .93  4f2a91c0…+1204  2.1 ms  weak` */
function verdict(data: Fields, paint: Paint): string {
  const score = number(data.score);
  const took = number(data.tookMs);
  const learning = data.label === null;
  const label = column(learning ? 'learning' : text(data.label), LABEL_WIDTH);
  return [
    column(text(data.device), NAME_WIDTH),
    paint(label, learning ? 'dim' : 'bold'),
    (score === null ? '' : score.toFixed(3)).padStart(5),
    ...(data.action === undefined ? [] : [column(text(data.action), ACTION_WIDTH)]),
    paint(column(short(text(data.model)), NAME_WIDTH), 'dim'),
    took === null ? '' : paint(`${took} ms`, 'dim'),
  ].join('  ');
}

function feedback(data: Fields, paint: Paint): string {
  const span = typeof data.device === 'string' ? `${data.device} ${text(data.from)}…${text(data.to)}` : '';
  const event =
    [data.event, data.messageId, span].find((name) => typeof name === 'string' && name !== '') ??
    'a raw message';
  const label = column(data.label === null ? 'withdrawn' : text(data.label), LABEL_WIDTH);
  const origin = data.origin === undefined ? '' : `by ${safeText(text(data.origin))}`;
  return [column(short(text(event)), NAME_WIDTH), paint(label, 'bold'), origin].join('  ');
}

function drift(data: Fields, paint: Paint): string {
  const statistic = number(data.statistic);
  return [
    column(text(data.stream), NAME_WIDTH),
    paint(column(text(data.state), LABEL_WIDTH), 'bold'),
    safeText(text(data.detector)),
    statistic === null ? '' : `${statistic} over ${text(data.threshold)}`,
  ].join('  ');
}

function dead(data: Fields, paint: Paint): string {
  const size = number(data.size);
  return [
    column(text(data.topic ?? data.source), NAME_WIDTH),
    paint(safeText(text(data.code)), 'bold'),
    size === null ? '' : `${size} bytes`,
    safeText(text(data.message)),
  ].join('  ');
}

function metrics(data: Fields, paint: Paint): string {
  const latency = fields(data.latencyMs);
  const quality = fields(data.quality);
  const model = fields(data.model);
  const recent = percent(fields(quality.window).accuracy);
  const total = percent(fields(quality.total).accuracy);
  const deaths = number(data.dead) ?? 0;
  return [
    column(`${(number(data.rate) ?? 0).toLocaleString('en-US')}/s`, NAME_WIDTH),
    `p50 ${text(latency.p50)}  p99 ${text(latency.p99)} ms`,
    paint(`accuracy ${recent ?? '–'} (all ${total ?? '–'})`, 'bold'),
    `${number(model.labels) ?? 0} labels${model.sufficient === false ? ', learning' : ''}`,
    deaths > 0 ? paint(`${deaths} dead`, 'red') : '',
  ].join('  ');
}

const DETAILS: Readonly<Record<Kind, (data: Fields, paint: Paint) => string>> = {
  verdict,
  feedback,
  drift,
  dead,
  metrics,
};
