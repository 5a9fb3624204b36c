/** Quality of the mail filter under every protocol beside bogofilter's under the same rule; the rates are of learning as mails come. */
import type { Engine } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { type BenchCase, type BenchOptions, measure } from '../case.ts';
import { bogofilterVersion, MailFiles } from '../quality/bogofilter.ts';
import { type Corpus, mailCorpora, smsCorpora } from '../quality/corpora.ts';
import { type CorpusFigures, qualityPage } from '../quality/page.ts';
import {
  bogofilter,
  mailSettings,
  measureSetting,
  type Setting,
  type SettingFigures,
  type System,
  sluice,
  smsSettings,
} from '../quality/protocols.ts';

/** A part of the page: the corpora are orders of one, and only chance tells them apart. */
interface Part {
  readonly corpora: readonly Corpus[];
  readonly settings: readonly Setting[];
}

const SEEDS = 3;
/** A quick run has streams this much shorter, and the numbers in the protocols with them. */
const QUICK = 10;
const TIMED = 500;

async function parts(data: string, quick: boolean, seeds: readonly number[]): Promise<Part[]> {
  const [scale, mails, texts] = quick ? [QUICK, 540, 560] : [1, Infinity, Infinity];
  const { all, stripped } = await mailCorpora(data, mails);
  const short = await smsCorpora(data, texts, seeds);
  return [
    { corpora: [all], settings: mailSettings(scale) },
    { corpora: [stripped], settings: mailSettings(scale) },
    { corpora: short, settings: smsSettings(scale) },
  ];
}

/** Every setting of a part by one system. */
async function through(
  part: Part,
  seeds: readonly number[],
  open: (corpus: Corpus) => System,
  tell: (setting: string) => void,
): Promise<SettingFigures[]> {
  const rows: SettingFigures[] = [];
  for (const setting of part.settings) {
    tell(setting.name);
    rows.push(...(await measureSetting(open, part.corpora, setting, seeds)));
  }
  return rows;
}

async function byBogofilter(part: Part, seeds: readonly number[], tell: (setting: string) => void) {
  const files = new Map(part.corpora.map((corpus) => [corpus, new MailFiles(corpus.messages)]));
  const systems = new Map([...files].map(([corpus, folder]) => [corpus, bogofilter(folder)]));
  try {
    return await through(part, seeds, (corpus) => systems.get(corpus) as System, tell);
  } finally {
    for (const folder of files.values()) folder.remove();
  }
}

async function figures(
  engine: Engine,
  part: Part,
  seeds: readonly number[],
  tell: (text: string) => void,
): Promise<CorpusFigures> {
  const { name, messages } = part.corpora[0];
  const telling = (system: string) => (setting: string) => tell(`${name}: ${system}, ${setting}`);
  // Its processes and our thread: two at a time.
  const [peer, ours] = await Promise.all([
    byBogofilter(part, seeds, telling('bogofilter')),
    (async () => ({
      full: await through(part, seeds, () => sluice(engine, 'full'), telling('full')),
      fast: await through(part, seeds, () => sluice(engine, 'fast'), telling('fast')),
    }))(),
  ]);
  return {
    ...{ corpus: name, messages: messages.length, orders: part.corpora.length },
    systems: { 'Sluice full': ours.full, 'Sluice fast': ours.fast, bogofilter: peer },
  };
}

async function prepare({ seed, quick, data, tell }: BenchOptions) {
  if (data === null) return 'no real data: set SLUICE_DATA';
  const version = bogofilterVersion();
  if (version === null) return 'no bogofilter to compare with; on Debian: apt-get install bogofilter';
  const engine = openEngine({ backend: 'cpu', threads: 1 });
  const seeds = Array.from({ length: quick ? 1 : SEEDS }, (_, i) => seed + i);
  const all = await parts(data, quick, seeds);
  const corpora: CorpusFigures[] = [];
  for (const part of all) corpora.push(await figures(engine, part, seeds, tell));
  const { name, messages } = all[0].corpora[0];
  const corpus = { name, messages: messages.slice(0, TIMED) };
  const files = new MailFiles(corpus.messages);
  const timed = (system: System) => () =>
    measure(async () => {
      await system({ corpus, setting: all[0].settings[0], seed });
      return corpus.messages.length;
    });
  return {
    sluice: timed(sluice(engine, 'full')),
    peer: timed(bogofilter(files)),
    page: qualityPage(corpora, version),
    figures: corpora,
    close: async () => files.remove(),
  };
}

const mailQuality: BenchCase = {
  name: 'mail-quality',
  what: 'mails scored and then learned, raw bytes to verdict, by the default configuration; the tables have its quality under every protocol',
  peer: 'bogofilter doing the same: a process to classify and a process to register a mail, its word list in memory',
  unit: 'mails',
  prepare,
};

export const mailQualityCases: readonly BenchCase[] = [mailQuality];
