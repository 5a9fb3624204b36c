/** The figures as tables in Markdown: one a corpus, a protocol a row, Sluice and bogofilter side by side. */
import type { SettingFigures } from './protocols.ts';

/** All rows of one corpus; `systems` by name, rows in the same order in each. */
export interface CorpusFigures {
  readonly corpus: string;
  readonly messages: number;
  readonly orders: number;
  readonly systems: Readonly<Record<string, readonly SettingFigures[]>>;
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const hundredths = (value: number): string => value.toFixed(2);

/** What a table shows of each system. */
const MEASURES: readonly (readonly [title: string, cell: (row: SettingFigures) => string])[] = [
  [
    '(1 - AUC) %, 95 % interval',
    ({ figures: { oneMinusAuc, low, high } }) =>
      `${oneMinusAuc.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`,
  ],
  ['spam missed at 0.1 % ham lost, %', ({ figures }) => hundredths(figures.missed)],
  ['accuracy %', ({ figures }) => hundredths(figures.accuracy)],
  ['log loss', ({ figures }) => figures.logLoss.toFixed(4)],
];

function rowName({ setting, from, seeds }: SettingFigures, orders: number): string {
  const counted = from > 0 ? `, counted from mail ${whole(from + 1)} on` : '';
  const mean = seeds > 1 ? ` (mean of ${seeds} ${orders > 1 ? 'orders' : 'seeds'})` : '';
  return `${setting}${counted}${mean}`;
}

function table({ systems, orders }: CorpusFigures): string[] {
  const names = Object.keys(systems);
  const head = MEASURES.flatMap(([title]) => names.map((name) => `${title}: ${name}`));
  const cells = (at: number) => MEASURES.flatMap(([, cell]) => names.map((name) => cell(systems[name][at])));
  return [
    `| protocol | tested | ${head.join(' | ')} |`,
    `| --- | ---: |${' ---: |'.repeat(head.length)}`,
    ...systems[names[0]].map(
      (row, at) => `| ${rowName(row, orders)} | ${whole(row.figures.tested)} | ${cells(at).join(' | ')} |`,
    ),
  ];
}

/** Where labels depend on verdicts each system got its own: how many. */
function labelLine({ systems }: CorpusFigures): string[] {
  const [first, ...others] = Object.entries(systems);
  const differ = first[1].flatMap((row, at) =>
    others.some(([, rows]) => rows[at].figures.labels !== row.figures.labels) && row.from === 0
      ? [
          `${row.setting}: ${[first, ...others].map(([name, rows]) => `${name} ${whole(rows[at].figures.labels)}`).join(', ')}`,
        ]
      : [],
  );
  return differ.length === 0 ? [] : ['', `Labels that each got by its own verdicts: ${differ.join('; ')}.`];
}

/** The page; `peer` is the version of the other side. */
export function qualityPage(corpora: readonly CorpusFigures[], peer: string): string {
  const intro = [
    `One default configuration, the preset \`fast\`, and ${peer} with its defaults, all by the same protocol code: same order, labels, times and seeds, and the same measures.`,
    'By `active` and `errors` each system asks and errs by its own scores; of bogofilter, spam from 0.5 on, where it is most accurate. Under `errors` no opinion is no right verdict, for both: none is given before 50 labels, 5 of each, were learned, nor where a system itself is unsure, Sluice by its decision, bogofilter between its cutoffs 0.45 and 0.99. `by labels alone` is without that last: Sluice with `decision.tag=off`, bogofilter with spam from 0.5 on.',
    'The scores of bogofilter are taken in full; ties, of which there are many at 0 and 1, count one half in the area and against the spam at the threshold.',
  ].join(' ');
  const parts = corpora.flatMap((one) => [
    '',
    `### ${one.corpus} (${whole(one.messages)})`,
    '',
    ...table(one),
    ...labelLine(one),
  ]);
  return [intro, ...parts].join('\n');
}
