import { describe, expect, it } from 'vitest';
import type { Evaluation } from '../../../src/task/evaluation.ts';
import { area } from '../../../src/task/html/bins.ts';
import { type HtmlHead, reportHtml } from '../../../src/task/html/page.ts';
import type { Point } from '../../../src/task/html/scale.ts';
import { collect, drawn, elements, HEAD, type Made, verdict, verdicts } from './support.ts';

const render = ({ evaluation, collector }: Made, head: HtmlHead = HEAD): string =>
  reportHtml(head, evaluation, collector);

/** A page is long: a failure names what was looked for, not the page. */
const find = (page: string, what: string | RegExp): string =>
  (typeof what === 'string' ? page.includes(what) : what.test(page)) ? `shows ${what}` : `lacks ${what}`;
const shows = (page: string, what: string | RegExp) => expect(find(page, what)).toBe(`shows ${what}`);
const lacks = (page: string, what: string | RegExp) => expect(find(page, what)).toBe(`lacks ${what}`);

/** The unit square of the ROC and precision-recall plots (480 x 380, see plot.ts), from paper back to shares. */
const shares = (points: readonly Point[]): Point[] =>
  points.map(([x, y]) => [(x - 80) / (480 - 100), (380 - 56 - y) / (380 - 70)]);

const FIVE = ['ok', 'worn', 'loose', 'hot', 'off'];

describe('the report', () => {
  it.each([
    ['two', ['ok', 'fault']],
    ['five', FIVE],
    ['two hundred', Array.from({ length: 200 }, (_, i) => `label ${i}`)],
  ])('is well-formed for %s labels and shows every part', (_, labels) => {
    const page = render(collect(labels, verdicts(3_000, labels.length)));
    expect(elements(page)).toEqual(expect.arrayContaining(['svg', 'table', 'details', 'style']));
    for (const title of [
      'Accuracy along the stream',
      'ROC curve',
      'Precision and recall',
      'Calibration',
      'Confusion matrix',
      'By label',
      'Worst mistakes',
      'What was run, and what it cost',
    ])
      shows(page, `<h2>${title}</h2>`);
    for (const id of ['roc', 'pr', 'calibration', 'counts', 'time-wide', 'time-narrow'])
      shows(page, new RegExp(`<title id="${id}-t">.+</title><desc id="${id}-d">.+</desc>`));
    lacks(page, /NaN|Infinity|undefined|null/);
    expect(page.length).toBeLessThan(400_000);
  });

  it('gives every figure of a plot again in a table', () => {
    const page = render(collect(['ok', 'fault'], verdicts(3_000, 2)));
    expect(page.match(/<details><summary>Numbers<\/summary>/g)).toHaveLength(3);
  });

  it('asks no network for anything, and forbids it', () => {
    const page = render(collect(FIVE, verdicts(1_000, 5)));
    lacks(page, /https?:|\/\/|url\(|@import|<script|<link|<img|src=|href=/i);
    shows(page, `content="default-src 'none'; style-src 'unsafe-inline';`);
  });

  it('keeps hostile labels, ids and names inert', () => {
    const evil = `</title><script>alert(1)</script>`;
    const labels = [`${evil}" onload="x`, '__proto__', `'&amp;\u202Ekcab\u0000\uD800`];
    const stream = [...verdicts(600, 3)].map((tested) => ({
      ...tested,
      scores: tested.scores.slice(),
      id: evil,
    }));
    const made = collect(labels, stream);
    const drift = [{ at: 300, stream: evil, detector: evil }];
    const evaluation = { ...made.evaluation, drift } as unknown as Evaluation;
    const head = { ...HEAD, task: evil, feedback: evil, inputs: [evil] };
    const page = render({ ...made, evaluation }, head);
    expect(elements(page)).not.toContain('script');
    lacks(page, 'onload="');
    shows(page, '&lt;script&gt;alert(1)');
    shows(page, '&#39;&amp;amp;\uFFFDkcab\uFFFD\uFFFD');
    shows(page, '__proto__');
  });

  it('stays small and keeps the drift of a long stream in view', () => {
    const labels = FIVE.map((label) => label + 'x'.repeat(5_000));
    const made = collect(labels, verdicts(60_000, 5));
    const drift = Array.from({ length: 5_000 }, (_, i) => ({
      at: i * 12,
      stream: `feature:${i}`,
      detector: 'adwin',
    }));
    const page = render({ ...made, evaluation: { ...made.evaluation, drift } as unknown as Evaluation });
    expect(page.length).toBeLessThan(500_000);
    shows(page, '5,000 drift alarms, 60 of them marked');
    for (const [, path] of page.matchAll(/ d="([^"]*)"/g))
      expect(path.split('L').length).toBeLessThanOrEqual(500);
  });

  it('marks drift where it was told', () => {
    const made = collect(['ok', 'fault'], verdicts(2_000, 2));
    const drift = [{ at: 999, stream: 'logLoss', detector: 'page-hinkley' }];
    const page = render({ ...made, evaluation: { ...made.evaluation, drift } as unknown as Evaluation });
    shows(page, 'drift at event 1,000: logLoss (page-hinkley)');
    const [, at] = /class="mark"><path d="M([\d.]+) /.exec(page)!;
    expect(Number(at)).toBeGreaterThan(545);
    expect(Number(at)).toBeLessThan(575);
  });

  it('draws the curves of a small example worked out by hand', () => {
    // Falling scores: + + - + -   (3 positives, 2 negatives)
    const scores = [0.9, 0.8, 0.7, 0.6, 0.2];
    const made = collect(
      ['no', 'yes'],
      scores.map((score, i) => verdict(i, [1, 1, 0, 1, 0][i], score)),
    );
    const page = render(made);
    const roc = shares(drawn(page, 'roc', 'line s0'));
    const expected = [
      [0, 0],
      [0, 2 / 3],
      [0.5, 2 / 3],
      [0.5, 1],
      [1, 1],
    ];
    expect(roc).toHaveLength(expected.length);
    roc.forEach((point, i) => {
      expect(point[0]).toBeCloseTo(expected[i][0], 3);
      expect(point[1]).toBeCloseTo(expected[i][1], 3);
    });
    expect(area(roc)).toBeCloseTo(5 / 6, 3);
    // Average precision: a third each of 1, 1 and 3/4.
    expect(area(shares(drawn(page, 'pr', 'line s0')))).toBeCloseTo((1 + 1 + 0.75) / 3, 3);
    expect(made.evaluation.rocAuc).toBeCloseTo(5 / 6, 12);
    expect(made.evaluation.prAuc).toBeCloseTo(2.75 / 3, 12);
  });

  it.each([0.3, 1.5, 6])('draws curves with the areas of the metrics (lean %d)', (lean) => {
    const made = collect(['no', 'yes'], verdicts(20_000, 2, 3, lean));
    const page = render(made);
    const areas = ['roc', 'pr'].map((id) => area(shares(drawn(page, id, 'line s0'))));
    expect(areas[0]).toBeCloseTo(made.evaluation.rocAuc!, 2.5);
    expect(areas[1]).toBeCloseTo(made.evaluation.prAuc!, 2.5);
  });

  it('says when the model is worse than knowing nothing', () => {
    const run = (wrong: number) =>
      render(
        collect(
          ['no', 'yes'],
          Array.from({ length: 400 }, (_, i) => verdict(i, i < 300 ? 1 : 0, i % 4 < wrong ? 0.1 : 0.9)),
        ),
      );
    shows(run(3), /class="bad">[\d.]+ points below/);
    shows(run(3), 'Always saying “yes” would have reached 75.00 %');
  });

  it('renders streams of which little can be said', () => {
    const one = render(collect(['no', 'yes'], [verdict(0, 1, 0.9)]));
    expect(elements(one)).toContain('main');
    lacks(one, /NaN|Infinity|ROC curve|Accuracy along/);
    const same = render(
      collect(
        ['no', 'yes'],
        Array.from({ length: 300 }, (_, i) => verdict(i, 0, 0.5)),
      ),
    );
    expect(elements(same)).toContain('main');
    lacks(same, /NaN|Infinity/);
    const perfect = render(
      collect(
        FIVE,
        Array.from({ length: 300 }, (_, index) => {
          const scores = new Float32Array(5);
          scores[index % 5] = 1;
          const truth = index % 5;
          return { id: '', index, truth, predicted: truth, stated: truth, scores, offset: 0 };
        }),
      ),
    );
    lacks(perfect, /NaN|Infinity|Worst mistakes/);
    shows(perfect, 'AUC 1.0000');
  });

  it('gives mail its own measures with intervals', () => {
    const stream = Array.from({ length: 1_000 }, (_, i) =>
      verdict(i, i % 2, [0.02, 0.98][i % 50 ? i % 2 : 1]),
    );
    const page = render(collect(['ham', 'spam'], stream, true));
    // 20 of 500 ham: Wilson 2.604 % to 6.097 %.
    shows(page, '4.000 %</td><td class="n">2.604 % – 6.097 %</td><td class="n">20 of 500');
    shows(page, 'As a mail filter');
    lacks(render(collect(['ham', 'spam'], stream)), 'As a mail filter');
  });
});
