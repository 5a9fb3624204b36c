/**
 * An evaluation as one HTML file for people: what was run, how good it is beside what costs nothing, where the mistakes
 * are. It stands alone: no script, no font, no image, no request; a policy in its head forbids them. Text from data
 * is escaped (markup.ts). Its size is bounded, whatever the stream.
 */
import type { Evaluation } from '../evaluation.ts';
import type { ReportHead } from '../report.ts';
import { calibrationFigure } from './calibration.ts';
import type { ReportCollector } from './collector.ts';
import { cornerFigure, precisionRecallFigure, readCurves, rocFigure } from './curves.ts';
import { decisionCard } from './decision.ts';
import { cut, html, Markup, type Part } from './markup.ts';
import { style } from './style.ts';
import { card, confusionCard, labelsCard, MAX_HALF, mailCard, mistakesCard } from './tables.ts';
import { timeFigure } from './time.ts';
import { count, DASH, decimal, percent, seconds, size } from './words.ts';

/** What was run; everything but `task` is shown as it is given. */
export interface HtmlHead extends ReportHead {
  /** Names of what was tested on. */
  readonly inputs?: readonly string[];
  /** When, ms since the epoch. */
  readonly at?: number;
}

const POLICY = new Markup(
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'",
);

/** Our own text; nothing from data goes into it. */
const styleTag = new Markup(`<style>${style}</style>`);

/** The whole file. `collector` was fed every tested event of `evaluation`. */
export function reportHtml(head: HtmlHead, evaluation: Evaluation, collector: ReportCollector): string {
  const title = `${cut(head.task, 60)}: evaluation`;
  const cards = [
    timeFigure(collector, evaluation.drift),
    middle(evaluation, collector),
    mailCard(evaluation, collector.positive),
    decisionCard(evaluation),
    mistakesCard(collector, evaluation),
    runCard(head, evaluation),
  ];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
${styleTag}
</head>
<body>
<main>
<header>
<h1>${title}</h1>
<p class="soft">${setting(head, evaluation)}</p>
<p class="lead">${lead(evaluation)}</p>
</header>
${tiles(evaluation)}
<div class="cards">
${cards}</div>
<footer>${footer(head)}</footer>
</main>
</body>
</html>
`.text;
}

/** Curves, calibration and tables in two columns without a gap. */
function middle(evaluation: Evaluation, collector: ReportCollector): Part {
  const all = readCurves(evaluation, collector);
  const curves =
    all.curves.length > 0 ? [rocFigure(all, evaluation), cornerFigure(all), precisionRecallFigure(all)] : [];
  const figures = [...curves.filter((each) => each !== null), calibrationFigure(evaluation, collector)];
  const matrix = confusionCard(evaluation);
  const gap = figures.length % 2 === 1;
  const labels = labelsCard(evaluation, !gap && evaluation.classes.length > MAX_HALF);
  if (!gap) return [...figures, matrix, labels];
  if (evaluation.classes.length > MAX_HALF) return [...figures, labels, matrix];
  return [...figures, html`<div class="stack">${matrix}${labels}</div>\n`];
}

function setting(head: HtmlHead, evaluation: Evaluation): string {
  const words = [
    head.protocol,
    `feedback ${cut(head.feedback, 80)}`,
    ...(head.testFrom === undefined ? [] : [`counted from event ${count(head.testFrom)}`]),
    ...(head.preset === undefined ? [] : [head.preset]),
    `${evaluation.model.kind} model`,
    `${count(evaluation.tested)} events tested`,
  ];
  return words.join(' · ');
}

/** The result in words, honest about what a classifier without knowledge reaches. */
function lead({ accuracy, tested, confusion, classes, baselines }: Evaluation): Markup {
  const events = confusion.map((row) => row.reduce((sum, n) => sum + n, 0));
  const most = events.indexOf(Math.max(...events));
  const better = Math.max(baselines.majority ?? 0, baselines.noChange ?? 0);
  const points = 100 * ((accuracy ?? 0) - better);
  const told = `${Math.abs(points).toFixed(2)} points ${points >= 0 ? 'above' : 'below'} the better of both`;
  return html`${percent(accuracy)} of ${count(tested)} verdicts were right. Always saying “${cut(classes[most], 40)}” would have reached ${percent(baselines.majority)}, saying the last label again ${percent(baselines.noChange)}: the model is <span class="${points >= 0 ? 'good' : 'bad'}">${told}</span>.`;
}

type Tile = readonly [name: string, value: string, more: string];

function tiles(evaluation: Evaluation): Markup {
  const { intervals, positive } = evaluation;
  const between = (range: readonly [number, number] | undefined, digits: number, unit = '') =>
    range ? `95 %: ${range[0].toFixed(digits)} – ${range[1].toFixed(digits)}${unit}` : '';
  const two: Tile[] = intervals
    ? [
        ['ROC AUC', decimal(evaluation.rocAuc), between(intervals.rocAuc, 4)],
        [
          'average precision',
          decimal(evaluation.prAuc),
          `${cut(positive ?? '', 24)}, ${between(intervals.prAuc, 4)}`,
        ],
      ]
    : [];
  const all: Tile[] = [
    ['accuracy', percent(evaluation.accuracy), `${percent(evaluation.errorRate)} wrong`],
    ['macro F1', percent(evaluation.macroF1), 'mean over the labels'],
    ['kappa', decimal(evaluation.kappa, 3), 'against chance'],
    ['kappa temporal', decimal(evaluation.kappaTemporal, 3), 'against the last label'],
    ...two,
    ['log loss', decimal(evaluation.logLoss), 'of the true label'],
    ['calibration error', decimal(evaluation.calibrationError), 'expected, 15 bins'],
  ];
  return html`<dl class="tiles of${all.length}">${all.map(([name, value, more]) => html`<div><dt>${name}</dt><dd>${value}</dd><dd>${more}</dd></div>\n`)}</dl>`;
}

function facts(rows: readonly (readonly [string, Part])[]): Markup {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>\n`)}</dl>`;
}

const MAX_INPUTS = 5;

function inputWords(inputs: readonly string[]): string {
  const shown = inputs.slice(0, MAX_INPUTS).map((name) => cut(name, 60));
  const left = inputs.length - shown.length;
  return [...shown, ...(left > 0 ? [`${left} more`] : [])].join(', ') || DASH;
}

function runCard(head: HtmlHead, evaluation: Evaluation): Markup {
  const dead = Object.entries(evaluation.dead).map(([code, n]) => `${count(n)} ${code}`);
  const fraction =
    head.trainFraction === undefined ? '' : `, the first ${percent(head.trainFraction, 1)} trained`;
  const counted = head.testFrom === undefined ? '' : `, counted from event ${count(head.testFrom)} on`;
  return card(
    'What was run, and what it cost',
    null,
    facts([
      ['input', inputWords(head.inputs ?? [])],
      ['protocol', `${head.protocol}${fraction}${counted}`],
      ['feedback', cut(head.feedback, 120)],
      ['events', `${count(evaluation.n)}, ${count(evaluation.tested)} tested`],
      ['labels learned', count(evaluation.labels)],
      [
        'learned by its own word',
        evaluation.selfTrained > 0 ? `${count(evaluation.selfTrained)} events` : 'nothing',
      ],
      ['trained before', evaluation.trained > 0 ? `${count(evaluation.trained)} events` : 'nothing'],
      ['not decoded', dead.length > 0 ? dead.join(', ') : 'none'],
      ['seed', String(evaluation.seed)],
      ['model', `${evaluation.model.kind}, ${size(evaluation.model.bytes)}`],
      ['backend', evaluation.backend],
      ['time', `${seconds(evaluation.seconds)}, ${seconds(evaluation.cpuSeconds)} of CPU`],
      ['rate', `${count(evaluation.eventsPerSecond)} events/s`],
      ['peak memory of the process', `${count(evaluation.peakRssMiB)} MiB`],
    ]),
    true,
  );
}

function footer(head: HtmlHead): string {
  const when =
    head.at === undefined ? '' : `, ${new Date(head.at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return `Sluice${when}. Every tested event was scored before its label was learned. This file asks no network for anything.`;
}
