/** The mail decoder beside parsers of other people: what both read in every mail, and what the worst mails cost. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';
import { RowArena } from '../../src/features/rows.ts';
import { type BenchCase, type BenchOptions, measure } from '../case.ts';
import { mailTask, message, realMails } from '../inputs.ts';
import { count, differences, emptyTally, KINDS, type Tally } from '../mail/agreement.ts';
import { REFEREES } from '../mail/referees.ts';
import { WORST, worst } from '../mail/worst.ts';

const limits = mimeOptions.parse({});
/** Mails that the two sides decode for their rates. */
const TIMED = 500;

/** Every mail, those that lie before the stream too; a reason where there is none. */
async function allMails(options: BenchOptions): Promise<Buffer[] | string> {
  if (!options.data) return 'no real data: set SLUICE_DATA';
  const folder = path.join(options.data, 'spamassassin');
  const lines = (await readFile(path.join(folder, 'index-all.tsv'), 'utf8')).trim().split('\n').slice(1);
  const files = lines.map((line) => path.join(folder, line.split('\t')[0]));
  return Promise.all((options.quick ? files.slice(0, TIMED) : files).map((file) => readFile(file)));
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} %`;

function agreementPage(tallies: ReadonlyMap<string, Tally>): string {
  const names = [...tallies.keys()];
  const row = (title: string, cell: (tally: Tally) => string) =>
    `| ${title} | ${[...tallies.values()].map(cell).join(' | ')} |`;
  const kinds = Object.entries(KINDS).map(([kind, why]) =>
    row(`${kind}: ${why}`, ({ kinds }) => String(kinds.get(kind as keyof typeof KINDS) ?? 0)),
  );
  return [
    `| mails | ${names.join(' | ')} |`,
    `| --- |${' ---: |'.repeat(names.length)}`,
    row('compared', ({ mails }) => String(mails)),
    row('subject, from, to, plain and HTML text the same word by word', ({ equal, mails }) =>
      percent(equal, mails),
    ),
    row(
      'the same words as far as the referee can read them (but for charset, hidden, flowed, comments)',
      (tally) => percent(tally.agreeing, tally.mails),
    ),
    ...kinds,
  ].join('\n');
}

const mailAgreement: BenchCase = {
  name: 'mail-agreement',
  what: 'raw mails decoded; the table tells how many are read word by word as two other parsers read them',
  peer: 'mailparser decoding the same mails, text parts only',
  unit: 'mails',
  async prepare(options) {
    const mails = await allMails(options);
    if (typeof mails === 'string') return mails;
    const tallies = new Map<string, Tally>();
    for (const [name, read] of Object.entries(REFEREES)) {
      const tally = emptyTally();
      for (const raw of mails) count(tally, differences(raw, readMail(raw, limits), await read(raw)));
      tallies.set(name, tally);
    }
    const timed = mails.slice(0, TIMED);
    return {
      sluice: () => measure(() => timed.filter((raw) => readMail(raw, limits).headers.length >= 0).length),
      peer: () =>
        measure(async () => {
          for (const raw of timed) await REFEREES.mailparser(raw);
          return timed.length;
        }),
      page: agreementPage(tallies),
    };
  },
};

const WORST_BYTES = 100_000;

const task = mailTask();
const arena = new RowArena(task.shape.dims, task.shape.denseDims);

/** Decodes a mail and makes its row, as a gateway does. */
function prepareRow(raw: Uint8Array): void {
  arena.reset();
  for (const event of task.decode(message(raw, 0))) task.fill(event, arena);
}

/** The least CPU time of some runs, ns a byte. */
function costOf(mails: readonly Uint8Array[], runs: number): number {
  const bytes = mails.reduce((sum, { length }) => sum + length, 0);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run += 1) {
    const start = process.cpuUsage();
    for (const mail of mails) prepareRow(mail);
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, user + system);
  }
  return (best * 1_000) / bytes;
}

const mailWorst: BenchCase = {
  name: 'mail-worst',
  what: 'bytes of hostile mails decoded and made rows of, each shape made to be expensive; the table has the worst of them',
  peer: 'bytes of ordinary mails: a byte of the worst input may cost at most 10 times as much',
  unit: 'bytes',
  async prepare(options) {
    const ordinary = await realMails(options, 2_000);
    if (typeof ordinary === 'string') return ordinary;
    const raws = ordinary.map(({ raw }) => raw);
    for (let i = 0; i < 3; i += 1) costOf(raws, 1);
    const base = costOf(raws, 5);
    const rows = Object.keys(WORST).map((name) => {
      const mail = worst(name, WORST_BYTES);
      const copies = Array.from({ length: Math.ceil((4 * WORST_BYTES) / mail.length) }, () => mail);
      return { name, mail, cost: costOf(copies, 5) };
    });
    rows.sort((a, b) => b.cost - a.cost);
    const all = rows.map(({ mail }) => mail);
    const bytesOf = (mails: readonly Uint8Array[]) =>
      measure(() => {
        let bytes = 0;
        for (const mail of mails) {
          prepareRow(mail);
          bytes += mail.length;
        }
        return bytes;
      });
    return {
      sluice: () => bytesOf(all),
      peer: () => bytesOf(raws),
      page: [
        `| the most expensive of ${rows.length} shapes | ns a byte | times an ordinary mail (${base.toFixed(1)} ns) |`,
        '| --- | ---: | ---: |',
        ...rows
          .slice(0, 12)
          .map(({ name, cost }) => `| ${name} | ${cost.toFixed(1)} | ${(cost / base).toFixed(1)} |`),
      ].join('\n'),
    };
  },
};

export const mailCases: readonly BenchCase[] = [mailAgreement, mailWorst];
