/** The tables of the report: confusion matrix as a heat map, figures by label, the measures of mail filtering, the worst mistakes. Each is bounded; what does not fit is summed up or counted, never silently dropped. */
import type { Evaluation } from '../evaluation.ts';
import type { ReportCollector } from './collector.ts';
import { logisticRange, type Range, wilson } from './interval.ts';
import { cut, html, type Markup, type Part, table } from './markup.ts';
import { count, DASH, percent } from './words.ts';

const MAX_MATRIX = 12;
const MAX_LABELS = 50;
const MAX_NAME = 40;

const sum = (values: readonly number[]): number => values.reduce((total, n) => total + n, 0);

export function card(title: string, note: Part, body: Part, wide = false): Markup {
  return html`<section class="card${wide ? ' whole' : ''}"><h2>${title}</h2>${note === null ? null : html`<p class="note">${note}</p>`}${body}</section>\n`;
}

/** More labels than this do not fit into half the width. */
export const MAX_HALF = 5;

/** The most frequent labels, by true events. */
function frequent(confusion: Evaluation['confusion'], most: number): number[] {
  const events = confusion.map(sum);
  const order = [...events.keys()].sort((a, b) => events[b] - events[a]).slice(0, most);
  return order.sort((a, b) => a - b);
}

/** Rows and columns of labels that are shown, and of all others together where there are any. */
function condense(evaluation: Evaluation): { names: string[]; cells: number[][] } {
  const { classes, confusion } = evaluation;
  const shown = frequent(confusion, MAX_MATRIX);
  const names = shown.map((c) => cut(classes[c], MAX_NAME));
  if (shown.length === classes.length) return { names, cells: confusion.map((row) => [...row]) };
  const kept = new Map(shown.map((c, i) => [c, i]));
  const rest = shown.length;
  const cells = Array.from({ length: rest + 1 }, () => new Array<number>(rest + 1).fill(0));
  confusion.forEach((row, truth) => {
    row.forEach((n, given) => {
      cells[kept.get(truth) ?? rest][kept.get(given) ?? rest] += n;
    });
  });
  return { names: [...names, `${classes.length - rest} others`], cells };
}

export function confusionCard(evaluation: Evaluation): Markup {
  const { names, cells } = condense(evaluation);
  const classes = evaluation.classes.length;
  const head = names.map((name) => html`<th scope="col" class="n">${name}</th>`);
  const rows = cells.map((row, truth) => {
    const whole = sum(row);
    const shown = row.map((n, given) => {
      const share = whole > 0 ? n / whole : 0;
      const told = `${count(n)} of ${count(whole)} ${names[truth]} were given ${names[given]}`;
      const kind = truth === given ? 'hit' : 'miss';
      return html`<td class="heat ${kind}" style="--s:${share.toFixed(3)}" title="${told}"><b>${count(n)}</b><span>${whole > 0 ? percent(share, 1) : DASH}</span></td>`;
    });
    return html`<tr><th scope="row" class="t">${names[truth]}</th>${shown}</tr>\n`;
  });
  const note =
    'Rows are true labels, columns given ones; shares are of the row. Blue is right, orange is wrong.';
  return card(
    'Confusion matrix',
    note,
    html`<div class="scroll" tabindex="0" role="group" aria-label="table"><table class="matrix"><thead><tr><th class="t soft">true ↓ given →</th>${head}</tr></thead><tbody>\n${rows}</tbody></table></div>`,
    classes > MAX_HALF,
  );
}

/** A share with its bar. */
const bar = (share: number | null): Markup =>
  html`<span class="bar" style="--s:${(share ?? 0).toFixed(3)}">${percent(share, 1)}</span>`;

/** A value by label; labels are hostile (`__proto__`), so only what is a number counts. */
function byLabel(values: Readonly<Record<string, number>>, label: string): number | null {
  const value: unknown = Object.hasOwn(values, label) ? values[label] : null;
  return typeof value === 'number' ? value : null;
}

export function labelsCard(evaluation: Evaluation, wide: boolean): Markup {
  const { classes, confusion, precision, recall, f1 } = evaluation;
  const shown = frequent(confusion, MAX_LABELS);
  const rows = shown.map((c) => {
    const label = classes[c];
    const values = [precision, recall, f1].map((values) => bar(byLabel(values, label)));
    return [cut(label, MAX_NAME), count(sum(confusion[c])), ...values];
  });
  const left = classes.length - shown.length;
  const note =
    left > 0
      ? `The ${shown.length} most frequent labels; ${left} more are not listed.`
      : 'Precision: right among those given this label. Recall: found among those that have it. F1: the harmonic mean of both.';
  const columns = ['label', 'events', 'precision', 'recall', 'F1'];
  return card(
    'By label',
    note,
    table(
      columns.map((name, i) => ({ name, text: i === 0 })),
      rows,
    ),
    wide,
  );
}

const between = (range: Range | null): string =>
  range ? `${percent(range[0], 3)} – ${percent(range[1], 3)}` : DASH;

/** null for tasks that are not mail. */
export function mailCard(evaluation: Evaluation, positive: number): Markup | null {
  if (evaluation.hamMisclassifiedPercent === undefined) return null;
  const { confusion, classes } = evaluation;
  const [ham, spam] = [1 - positive, positive];
  const [hams, spams] = [sum(confusion[ham]), sum(confusion[spam])];
  const [hamMissed, spamMissed] = [confusion[ham][spam], confusion[spam][ham]];
  const both = hams > 0 && spams > 0;
  const missed = evaluation.spamMissedAtHam0_1Percent ?? null;
  const area = evaluation.intervals?.oneMinusAucPercent;
  const [hamName, spamName] = [cut(classes[ham], 24), cut(classes[spam], 24)];
  const share = (value: number | null | undefined) =>
    percent(value === null || value === undefined ? null : value / 100, 3);
  const rows = [
    [
      `${hamName} taken for ${spamName}`,
      share(evaluation.hamMisclassifiedPercent),
      between(hams > 0 ? wilson(hamMissed, hams) : null),
      `${count(hamMissed)} of ${count(hams)}`,
    ],
    [
      `${spamName} taken for ${hamName}`,
      share(evaluation.spamMisclassifiedPercent),
      between(spams > 0 ? wilson(spamMissed, spams) : null),
      `${count(spamMissed)} of ${count(spams)}`,
    ],
    [
      'logistic average of both (lam)',
      share(evaluation.lamPercent),
      between(both ? logisticRange(hamMissed, hams, spamMissed, spams) : null),
      null,
    ],
    [
      '1 − ROC AUC',
      share(evaluation.oneMinusAucPercent),
      between(area ? [area[0] / 100, area[1] / 100] : null),
      null,
    ],
    [
      `${spamName} missed where 0.1 % of the ${hamName} may be lost`,
      share(missed),
      between(missed === null || spams === 0 ? null : wilson(Math.round((missed / 100) * spams), spams)),
      missed === null ? null : `${count((missed / 100) * spams)} of ${count(spams)}`,
    ],
  ];
  const columns = [
    { name: 'measure', text: true },
    { name: 'value' },
    { name: '95 % interval' },
    { name: 'mails' },
  ];
  const note =
    'The measures of the TREC spam track. Intervals: Wilson for shares (for the last one with the threshold held fixed), normal on the logit scale for the average, bootstrap for the area.';
  const named = rows.map(([name, ...rest]) => [html`<span class="long">${name}</span>`, ...rest]);
  return card('As a mail filter', note, table(columns, named), true);
}

export function mistakesCard(collector: ReportCollector, evaluation: Evaluation): Markup | null {
  const { mistakes, labels } = collector;
  if (mistakes.length === 0) return null;
  const wrong = evaluation.tested - sum(evaluation.confusion.map((row, c) => row[c]));
  const rows = mistakes.map((mistake) => [
    count(mistake.at + 1),
    cut(labels[mistake.truth], MAX_NAME),
    cut(labels[mistake.predicted], MAX_NAME),
    percent(mistake.probability, 3),
    percent(mistake.truthProbability, 3),
    mistake.id === '' ? DASH : html`<code>${mistake.id}</code>`,
  ]);
  const columns = [
    { name: 'event no.' },
    { name: 'true label', text: true },
    { name: 'given label', text: true },
    { name: 'its probability' },
    { name: 'of the true one' },
    { name: 'id', text: true },
  ];
  const note = `The surest of ${count(wrong)} wrong verdicts: look here first, a sure mistake is often a wrong label in the data. An event's number is its place in the stream.`;
  return card('Worst mistakes', note, table(columns, rows), true);
}
