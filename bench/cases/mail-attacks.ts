/**
 * Mail that was made to pass, and labels that were made to mislead: how far quality falls, beside bogofilter where it is installed.
 * Taught are the first 2,400 mails of the stream, tried all that follow them, in time. `frozen` is a filter that
 * learns nothing after that; `learning` gets each label once it has given its verdict, as a gateway does.
 */
import { seededRandom } from '../../src/task/random.ts';
import { type BenchCase, measure } from '../case.ts';
import { mailTask, realMails } from '../inputs.ts';
import { ATTACKS } from '../mail/attacks.ts';
import { decidedUnder, type Treated } from '../mail/decided.ts';
import {
  attackerOf,
  type Figures,
  figuresOf,
  Laboratory,
  type Lesson,
  type Specimen,
} from '../mail/laboratory.ts';
import {
  busiestSender,
  flipped,
  honest,
  nextCopy,
  senderOf,
  turned,
  withDictionary,
} from '../mail/poison.ts';
import { openWordList, type WordList } from '../mail/word-list.ts';

const TAUGHT = 2_400;
const COPIES = 30;
const CAMPAIGNS = 40;
/** bogofilter's `spam_cutoff`. */
const CUTOFF = 0.99;

interface Stream {
  readonly taught: readonly Specimen[];
  readonly rest: readonly Specimen[];
  readonly ham: readonly Buffer[];
  readonly spam: readonly Buffer[];
}

/** A filter that was taught, or can be. */
interface Side {
  readonly name: string;
  /** Taught these lessons, until the next are: of the ham and the spam of the stream, the spam in another form where it is given. */
  readonly taught: (lessons: readonly Lesson[]) => Promise<(spam?: readonly Buffer[]) => Promise<Figures>>;
  readonly close?: () => void;
}

const rawsOf = (mails: readonly Specimen[], spam: boolean): Buffer[] =>
  mails.filter((mail) => mail.spam === spam).map(({ raw }) => raw);

function sluice(name: string, laboratory: Laboratory, stream: Stream): Side {
  return {
    name,
    async taught(lessons) {
      const model = laboratory.newModel();
      await laboratory.teach(model, lessons);
      const bytes = await model.save();
      model.close();
      const score = async (raws: readonly Buffer[]) => {
        const one = laboratory.load(bytes);
        const scores = await laboratory.score(one, raws);
        one.close();
        return scores;
      };
      const ham = await score(stream.ham);
      return async (spam = stream.spam) => figuresOf(ham, await score(spam));
    },
  };
}

function bogofilter(stream: Stream): Side | null {
  const installed = openWordList();
  if (!installed) return null;
  installed.close();
  let list: WordList | null = null;
  return {
    name: 'bogofilter',
    async taught(lessons) {
      list?.close();
      list = openWordList();
      list?.teach(lessons);
      const own = list;
      const score = (raws: readonly Buffer[]) => own?.score(raws) ?? new Float32Array(raws.length);
      const ham = score(stream.ham);
      return async (spam = stream.spam) => figuresOf(ham, score(spam), CUTOFF);
    },
    close: () => list?.close(),
  };
}

const number = (value: number, digits: number): string => value.toFixed(digits);

/** By the title of a column what stands in it. */
type Row = Readonly<Record<string, string>>;

function pageOf(first: string, rows: ReadonlyMap<string, Row>): string {
  const titles = Object.keys([...rows.values()][0] ?? {});
  return [
    `| ${[first, ...titles].join(' | ')} |`,
    `| --- |${' ---: |'.repeat(titles.length)}`,
    ...[...rows].map(([name, row]) => `| ${[name, ...titles.map((title) => row[title])].join(' | ')} |`),
  ].join('\n');
}

type Tell = (text: string) => void;

async function attackPage(
  stream: Stream,
  sides: readonly Side[],
  goOn: (lessons: readonly Lesson[]) => Promise<Figures>,
  tell: Tell,
): Promise<string> {
  const tries = await Promise.all(
    sides.map(async (side) => ({ side, tried: await side.taught(honest(stream.taught)) })),
  );
  const rowOf = async (attacked: ReadonlyMap<Buffer, Buffer>): Promise<Row> => {
    const row: Record<string, string> = {};
    const of = (raw: Buffer) => attacked.get(raw) ?? raw;
    for (const { side, tried } of tries) {
      const { area, missed, caught } = await tried(stream.spam.map(of));
      row[`${side.name}, frozen: (1-AUC) %`] = number(area, 2);
      row[`${side.name}: missed %`] = number(missed, 1);
      row[`${side.name}: caught %`] = number(caught, 1);
    }
    const { area, missed } = await goOn(stream.rest.map(({ raw, spam }) => ({ raw: of(raw), label: spam })));
    return {
      ...row,
      'full, learning: (1-AUC) %': number(area, 3),
      'full, learning: missed %': number(missed, 1),
    };
  };
  const rows = new Map<string, Row>([['none', await rowOf(new Map())]]);
  const known = attackerOf(stream.taught, 1);
  for (const [name, { what, apply }] of Object.entries(ATTACKS)) {
    tell(name);
    const attacker = { ...known, random: attackerOf([], 1).random };
    rows.set(`${name}: ${what}`, await rowOf(new Map(stream.spam.map((raw) => [raw, apply(raw, attacker)]))));
  }
  return pageOf('attack', rows);
}

/** By name: what a filter is taught instead of the truth. */
function poisons({ taught }: Stream): Readonly<Record<string, readonly Lesson[]>> {
  const attacker = attackerOf(taught, 2);
  const busy = busiestSender(taught);
  const part = Math.floor(taught.length / 20);
  const last = new Set(rawsOf(taught, true).slice(-part));
  const flips = (share: number) => flipped(taught, share, attacker.random);
  return {
    none: honest(taught),
    '1 % flipped at random': flips(0.01),
    '2 % flipped at random': flips(0.02),
    '5 % flipped at random': flips(0.05),
    '10 % flipped at random': flips(0.1),
    'dictionary attack, 1 % of the mails': withDictionary(taught, 0.01, attacker),
    'the good mail of the busiest sender called spam': turned(
      taught,
      ({ raw, spam }) => !spam && senderOf(raw) === busy,
    ),
    [`the last ${part} spam called good`]: turned(taught, ({ raw }) => last.has(raw)),
  };
}

async function poisonPage(stream: Stream, sides: readonly Side[], tell: Tell): Promise<string> {
  const rows = new Map<string, Row>();
  for (const [name, lessons] of Object.entries(poisons(stream))) {
    tell(name);
    const row: Record<string, string> = {};
    for (const side of sides) {
      const { area, missed, caught, lost } = await (await side.taught(lessons))();
      row[`${side.name}: (1-AUC) %`] = number(area, 2);
      row[`${side.name}: missed %`] = number(missed, 1);
      row[`${side.name}: caught %`] = number(caught, 1);
      row[`${side.name}: ham lost %`] = number(lost, 2);
    }
    rows.set(name, row);
  }
  return pageOf('labels', rows);
}

/** Shares of the ham that may be tagged: the default, and one with much evidence in a stream of this length. */
const BUDGETS = [0.001, 0.01] as const;
/** Draws of random flips. */
const DRAWS = [1, 2, 3] as const;

/** By name: what is taught instead of the truth all along, in one draw or several. */
function liesAllAlong(mails: readonly Specimen[]): Readonly<Record<string, readonly (readonly Lesson[])[]>> {
  const flips = (share: number) =>
    DRAWS.map((draw) => flipped(mails, share, seededRandom(draw, 'flips all along')));
  const busy = busiestSender(mails);
  return {
    none: [honest(mails)],
    ...Object.fromEntries([1, 2, 5, 10].map((n) => [`${n} % flipped at random`, flips(n / 100)])),
    'the good mail of the busiest sender called spam': [
      turned(mails, ({ raw, spam }) => !spam && senderOf(raw) === busy),
    ],
  };
}

const sumOf = (all: readonly Treated[]): Treated => ({
  mails: all.reduce((sum, { mails }) => sum + mails, 0),
  tagged: all.reduce((sum, { tagged }) => sum + tagged, 0),
  unsure: all.reduce((sum, { unsure }) => sum + unsure, 0),
});

const share = (part: number, { mails }: Treated, digits: number): string =>
  `${number((100 * part) / Math.max(1, mails), digits)} (${part.toLocaleString('en-US')} of ${mails.toLocaleString('en-US')})`;

/** What a gateway does with mail while labels lie all along. */
async function decisionPage(mails: readonly Specimen[], tell: Tell): Promise<string> {
  const rows = new Map<string, Row>();
  const truth = mails.map(({ spam }) => spam);
  for (const [name, draws] of Object.entries(liesAllAlong(mails))) {
    const row: Record<string, string> = {};
    for (const budget of BUDGETS) {
      tell(`decision within ${budget}: ${name}`);
      const found = [];
      for (const [i, lessons] of draws.entries())
        found.push(await decidedUnder(lessons, truth, budget, i + 1));
      const [ham, spam] = [sumOf(found.map((one) => one.ham)), sumOf(found.map((one) => one.spam))];
      row[`budget ${100 * budget} %: ham tagged %`] = share(ham.tagged, ham, 2);
      row[`budget ${100 * budget} %: spam tagged %`] = share(spam.tagged, spam, 1);
      row[`budget ${100 * budget} %: spam unsure %`] = share(spam.unsure, spam, 1);
    }
    rows.set(name, row);
  }
  return pageOf('labels all along', rows);
}

/** Of spam that a frozen filter misses: the how manyth copy is caught when each is labelled once it has passed. */
async function campaignLine(stream: Stream, laboratory: Laboratory, bytes: Uint8Array): Promise<string> {
  const attacker = attackerOf(stream.taught, 3);
  const frozen = laboratory.load(bytes);
  const scores = await laboratory.score(frozen, stream.spam);
  frozen.close();
  const missed = stream.spam.filter((_, i) => scores[i] < 0.5).slice(0, CAMPAIGNS);
  const caughtAt: number[] = [];
  for (const raw of missed) {
    const model = laboratory.load(bytes);
    let at = 1;
    for (; at <= COPIES; at += 1) {
      const [score] = await laboratory.goOn(model, [{ raw: nextCopy(raw, attacker), label: true }]);
      if (score > 0.5) break;
    }
    model.close();
    caughtAt.push(at);
  }
  caughtAt.sort((a, b) => a - b);
  const of = (q: number) => caughtAt[Math.min(caughtAt.length - 1, Math.floor(q * caughtAt.length))];
  return [
    `Campaigns: ${missed.length} spam that pass a frozen filter; of each, copies (one word in ten another, new sender, new numbers) are`,
    `labelled as they pass. Caught is copy ${of(0.5)} in the median, copy ${of(0.9)} in nine of ten, copy ${of(1)} at worst.`,
  ].join(' ');
}

const mailAttacks: BenchCase = {
  name: 'mail-attacks',
  what: 'mails made to pass, scored from their bytes; the tables tell how far attacks and wrong labels lower quality',
  peer: 'the same mails as they were before they were attacked',
  unit: 'mails',
  async prepare({ tell, ...options }) {
    const most = options.quick ? 3_000 : Number.POSITIVE_INFINITY;
    const mails = await realMails({ ...options, tell, quick: false }, most);
    if (typeof mails === 'string') return mails;
    const specimens = mails.map(({ raw, label }) => ({ raw, spam: label === 'spam' }));
    const [taught, rest] = [specimens.slice(0, TAUGHT), specimens.slice(TAUGHT)];
    const stream: Stream = { taught, rest, ham: rawsOf(rest, false), spam: rawsOf(rest, true) };
    const [full, fast] = [new Laboratory(mailTask('full')), new Laboratory(mailTask('fast'))];
    const model = full.newModel();
    await full.teach(model, honest(taught));
    const bytes = await model.save();
    const goOn = async (lessons: readonly Lesson[]) => {
      const fresh = full.load(bytes);
      const scores = await full.goOn(fresh, lessons);
      fresh.close();
      const of = (spam: boolean) => scores.filter((_, i) => rest[i].spam === spam);
      return figuresOf(of(false), of(true));
    };
    const other = bogofilter(stream);
    const sides = [sluice('full', full, stream), sluice('fast', fast, stream), ...(other ? [other] : [])];
    const pages = [
      await attackPage(stream, sides, goOn, tell),
      await poisonPage(stream, sides, tell),
      await decisionPage(specimens, tell),
      await campaignLine(stream, full, bytes),
    ];
    other?.close?.();
    const attacker = attackerOf(taught, 1);
    const attacked = stream.spam.map((raw) => ATTACKS['homoglyphs, some'].apply(raw, attacker));
    const timed = (raws: readonly Buffer[]) => measure(async () => (await full.score(model, raws)).length);
    return {
      sluice: () => timed(attacked),
      peer: () => timed(stream.spam),
      page: pages.join('\n\n'),
      close: async () => model.close(),
    };
  },
};

export const mailAttackCases: readonly BenchCase[] = [mailAttacks];
