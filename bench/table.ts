/** The results as a table for a terminal and as a page. */
import type { CaseResult, Machine } from './runner.ts';

const number = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)));

const ratio = ({ ratio: { median, min, max } }: CaseResult): string =>
  `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;

export function table(results: readonly CaseResult[]): string {
  const rows = results.map((result) => [
    result.case,
    `${number(result.sluice.rate)} ${result.unit}/s`,
    `${number(result.peer.rate)}`,
    ratio(result),
    result.floor === null ? '' : `${result.held ? 'held' : 'MISSED'} ≥ ${result.floor}`,
  ]);
  const all = [['case', 'sluice', 'peer', 'sluice / peer', 'promise'], ...rows];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** bench/RESULTS.md: one row a case, with what both sides are, and the machines below. */
export function resultsPage(results: readonly (CaseResult & { machine: Machine })[]): string {
  const rows = results.map((result) => {
    const more = Object.entries(result.sluice.more).map(([name, value]) => `; ${name} ${number(value)}`);
    return `| ${result.case} | ${result.what}${more.join('')} | ${result.peerIs} | ${number(result.sluice.rate)} | ${number(result.peer.rate)} | ${ratio(result)} | ${result.floor ?? ''} |`;
  });
  const machines = [
    ...new Set(
      results.map(
        ({ machine: m }) => `${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB, ${m.platform}, Node ${m.node}`,
      ),
    ),
  ];
  return [
    '# Results',
    '',
    'Medians of paired runs on shared machines: trust the ratios, not the rates. Repeat one with `npm run bench -- --case NAME`, write this page with `--keep`.',
    '',
    '| case | what | peer | sluice, units/s | peer, units/s | sluice / peer, median (range) | promised |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    ...machines.map((machine) => `Measured on: ${machine}.`),
    '',
    ...results.flatMap(({ case: name, page }) => (page ? [`## ${name}`, '', page] : [])),
  ].join('\n');
}
