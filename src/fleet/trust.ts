/**
 * Whom the hub learns from. A device (or whatever the caller names so) is suspicious when its labels contradict what
 * all the others' labels say of its rows, clearly more than devices differ among themselves. Promises: with honest
 * devices whose rates of contradiction spread normally, an assessment suspects any of them with probability `alpha`
 * at most (where they spread from 2 to 40 %, one in 25 was measured); a device that works under conditions of its
 * own is `different`, not suspicious, and goes on teaching. Refuses nothing; with fewer than MIN_DEVICES devices of
 * 30 rows there is no majority, and nobody is judged.
 *
 * Rule: (1) models trained on devices of the other folds predict each device's newest rows. (2) Its share of
 * contradictions, over all rows and over the rows of each predicted label (a sender of one constant label shows only
 * there), is compared with the others' (outliers.ts), corrected for bursts of errors and, by Bonferroni, for the
 * number of comparisons; it must also exceed the median by MARGIN, so that no trifle sets anyone aside. (3) Again,
 * with models that the odd did not teach, and without suspects in what is usual. (4) A suspect whose rows explain its
 * labels by themselves, as well as the fleet's explain theirs and clearly better than any renaming of what the
 * others' models say, has a concept of its own. Labels that are flipped, constant or random are renamings, or not
 * explained by anything.
 *
 * Not seen: who invents a consistent concept, and a majority that lies. Against those stand the bound on shares
 * (trust/bound.ts) and the gate on unseen rows. A machine whose concept is exactly the others' turned round is
 * taken for hostile.
 */
import type { Engine, ModelShape, RowSet } from '../contract.ts';
import { crossPredict, type Sample } from './trust/crossfit.ts';
import { median, type Share, tails } from './trust/outliers.ts';
import { ownConcept } from './trust/own.ts';
import { choose } from './trust/sample.ts';
import { pickRows } from './trust/select.ts';

export { type BoundOptions, boundContributions } from './trust/bound.ts';
export {
  follow,
  isTrusted,
  readTrust,
  type TrustEntry,
  type TrustState,
  writeTrust,
} from './trust/ledger.ts';
export { pickRows, pickSet } from './trust/select.ts';

const MIN_DEVICES = 4;
const FOLDS = 5;
/** Of the contradictions, above the median. */
const MARGIN = 0.1;
/** Rows with a predicted label from which a device is compared on that label. */
const MIN_LABEL_ROWS = 8;
/**
 * At the first look, before any correction: who is that odd does not teach the models of the second, nor stand for
 * what is usual. Of honest devices this leaves out one in twenty, which moves the estimates by little.
 */
const ODD = 0.05;
/** Rows in a row whose errors may hang together. */
const BLOCK = 8;

export interface TrustInput {
  readonly set: RowSet;
  /** Whose each row is: `site/device`. */
  readonly devices: readonly string[];
  readonly shape: ModelShape;
}

export interface TrustOptions {
  readonly engine: Engine;
  readonly seed: number;
  /** Probability that an assessment suspects an honest device, whichever; default 0.01. */
  readonly alpha?: number;
  /** Devices set aside now: they do not teach the models that judge. */
  readonly suspicious?: ReadonlySet<string>;
}

export interface DeviceTrust {
  readonly verdict: 'agrees' | 'different' | 'suspicious';
  /** In words, for people. */
  readonly reason: string;
  /** Rows looked at, and how many of their labels contradict the others' models. */
  readonly rows: number;
  readonly contradictions: number;
  /** Probability of so much contradiction from an honest device, corrected for all comparisons; at most 1. */
  readonly p: number;
}

export interface Assessment {
  /** Of those with enough rows, by name. */
  readonly devices: ReadonlyMap<string, DeviceTrust>;
  /** The median share of contradictions. */
  readonly usual: number;
}

interface Judged {
  readonly wrong: number;
  /** Before and after the correction for the number of comparisons. */
  readonly raw: number;
  readonly p: number;
  readonly where: string;
  readonly share: number;
  readonly usual: number;
}

/** The same input and seed give the same assessment. */
export async function assessTrust(input: TrustInput, options: TrustOptions): Promise<Assessment> {
  const { engine, seed, alpha = 0.01, suspicious = new Set<string>() } = options;
  const { devices, places } = choose(input.set, input.devices, suspicious, seed);
  if (devices.length < MIN_DEVICES) return { devices: new Map(), usual: 0 };
  const flat = places.flat();
  const labels = Int32Array.from(flat, (place) => input.set.labels[place]);
  const sample: Sample = { rows: pickRows(input.set.rows, flat), labels, shape: input.shape };
  const owner = Int32Array.from(places.flatMap((mine, d) => mine.map(() => d)));
  const folds = owner.map((d) => d % Math.min(FOLDS, devices.length));
  const known = devices.map((device) => suspicious.has(device));
  const first = await look(engine, sample, owner, folds, mostly(known), mostly(known), seed);
  const odd = first.judged.map((one) => one.raw < ODD && clear(one));
  const suspect = (judged: readonly Judged[]) => judged.map((one) => one.p < alpha && clear(one));
  const { predicted, judged: second } = await look(
    engine,
    sample,
    owner,
    folds,
    mostly(odd),
    mostly(suspect(first.judged)),
    seed,
  );
  // The same predictions once more, without the worst in what is usual.
  const judged = judge(sample, owner, predicted, mostly(suspect(second)));
  const aside = suspect(judged);
  const usual = median(judged.map(({ wrong }, d) => wrong / places[d].length));
  const result = new Map<string, DeviceTrust>();
  for (const [d, name] of devices.entries()) {
    const { wrong, p } = judged[d];
    const own = aside[d] ? await ownConcept(engine, sample, owner, d, predicted, usual, seed) : null;
    const verdict = own === null ? 'agrees' : own.has ? 'different' : 'suspicious';
    const reason = reasonOf(judged[d], places[d].length, own?.words ?? null);
    result.set(name, { verdict, reason, rows: places[d].length, contradictions: wrong, p });
  }
  return { devices: result, usual };
}

const clear = ({ share, usual }: Judged): boolean => share - usual > MARGIN;

/** More than half must be left to compare with; else nobody is left out. */
const mostly = (out: readonly boolean[]): readonly boolean[] =>
  out.filter((each) => !each).length * 2 > out.length ? out : out.map(() => false);

/** `silent` devices do not teach the models; `odd` ones are not what is usual. */
async function look(
  engine: Engine,
  sample: Sample,
  owner: Int32Array,
  folds: Int32Array,
  silent: readonly boolean[],
  odd: readonly boolean[],
  seed: number,
): Promise<{ readonly predicted: Int32Array; readonly judged: Judged[] }> {
  const predicted = await crossPredict(engine, sample, folds, (row) => !silent[owner[row]], seed);
  return { predicted, judged: judge(sample, owner, predicted, odd) };
}

function reasonOf({ share, usual, where, wrong }: Judged, rows: number, own: string | null): string {
  const percent = (part: number) => `${Math.round(part * 100)} %`;
  if (own === null) return `${wrong} of ${rows} labels contradict the other devices`;
  return `${percent(share)} of its labels${where} contradict the other devices, ${percent(usual)} are usual; ${own}`;
}

/** The strongest of the comparisons of each device, p corrected for all of them. */
function judge(
  sample: Sample,
  owner: Int32Array,
  predicted: Int32Array,
  aside: readonly boolean[],
): Judged[] {
  const { labels, shape } = sample;
  const wrong = labels.map((label, i) => (label === predicted[i] ? 0 : 1));
  const burst = burstiness(owner, wrong, aside);
  const comparisons: { of: readonly Share[]; where: string }[] = [
    { of: sharesOf(owner, wrong, aside.length, () => true), where: '' },
  ];
  for (let c = 0; c < shape.classes; c++) {
    const of = sharesOf(owner, wrong, aside.length, (i) => predicted[i] === c);
    const known = of.filter((share, d) => share.of >= MIN_LABEL_ROWS && !aside[d]).length;
    if (known >= MIN_DEVICES - 1) comparisons.push({ of, where: ' on rows of one kind' });
  }
  const tests = comparisons.length * aside.length;
  const found = aside.map((_, d) => {
    const { wrong: n, of } = comparisons[0].of[d];
    return { wrong: n, raw: 1, p: 1, where: '', share: n / of, usual: 0 };
  });
  for (const { of, where } of comparisons) {
    const compared = of.map((_, d) => d).filter((d) => where === '' || of[d].of >= MIN_LABEL_ROWS);
    const known = compared.map((d) => !aside[d]);
    const usual = median(compared.filter((d) => !aside[d]).map((d) => of[d].wrong / of[d].of));
    const p = tails(
      compared.map((d) => ({ wrong: of[d].wrong / burst, of: of[d].of / burst })),
      known,
    );
    compared.forEach((d, i) => {
      const corrected = Math.min(1, p[i] * tests);
      const share = of[d].wrong / of[d].of;
      const clear = share - usual > MARGIN;
      if (where === '' || (clear && corrected < found[d].p))
        found[d] = { ...found[d], raw: p[i], p: corrected, share, usual, where };
    });
  }
  return found;
}

function sharesOf(
  owner: Int32Array,
  wrong: Int32Array,
  devices: number,
  counts: (row: number) => boolean,
): Share[] {
  const shares = Array.from({ length: devices }, () => ({ wrong: 0, of: 0 }));
  owner.forEach((d, i) => {
    if (!counts(i)) return;
    shares[d].wrong += wrong[i];
    shares[d].of += 1;
  });
  return shares;
}

/**
 * How many rows count as one: the variance of the errors of BLOCK consecutive rows of a device, over what
 * independent rows would give; the median over the devices that are not set aside, at least 1.
 */
function burstiness(owner: Int32Array, wrong: Int32Array, aside: readonly boolean[]): number {
  const errors: number[][] = aside.map(() => []);
  owner.forEach((d, i) => {
    errors[d].push(wrong[i]);
  });
  const factors = errors
    .filter((mine, d) => !aside[d] && mine.length >= 3 * BLOCK)
    .map((mine) => {
      const mean = mine.reduce((sum, error) => sum + error, 0) / mine.length;
      const blocks = Math.floor(mine.length / BLOCK);
      let squares = 0;
      for (let b = 0; b < blocks; b++) {
        const sum = mine.slice(b * BLOCK, (b + 1) * BLOCK).reduce((total, error) => total + error, 0);
        squares += (sum - BLOCK * mean) ** 2;
      }
      const expected = BLOCK * mean * (1 - mean) * (blocks - 1);
      return expected > 0 ? squares / expected : 1;
    });
  return factors.length === 0 ? 1 : Math.min(BLOCK, Math.max(1, median(factors)));
}
