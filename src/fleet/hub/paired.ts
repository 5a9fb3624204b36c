/**
 * The paired test of a candidate against the model it would replace, on rows that both scored and neither had
 * learned. Promises: `better` is said of a candidate that is not better by the margin with probability alpha at
 * most, however often one looks, and so is `worse` of one that is not worse; no device counts for more than its
 * share, and no verdict stands that a tenth of the devices carries alone, nor falls by one. Refuses losses that are no numbers.
 *
 * Losses come in bursts: while a device has an episode (a fault, a campaign of mails), one model is right row after
 * row. Rows of a burst are not separate witnesses, so the test looks at means of blocks of a device's consecutive
 * rows, and asks for as much more evidence as neighbouring blocks of a device still resemble each other more than
 * distant ones do: where the variance of a sum is k times what independent blocks would give, a crossing of log(1/alpha)
 * has the probability alpha^(1/k) (diffusion limit), and one of k log(1/alpha) has alpha again.
 */
import { Evidence } from './evidence.ts';

/** Nats; a probability below 2 % costs no more: one certain error must not outweigh fifty good rows. */
export const MAX_LOSS = 4;
/**
 * Nats; the difference of a block counts for at most that, which lets the bets be larger: what a certain error in a
 * full block comes to. What is cut off is not lost: the whole sums must not speak against a verdict.
 */
const MAX_DIFFERENCE = 0.5;
/** Rows of a device whose mean is one observation. */
const BLOCK = 8;
/**
 * Rows in open blocks, for few devices and for each of many, and never more than the last: beyond it the oldest block
 * is closed as it is, so that many quiet devices are heard too.
 */
const MAX_WAITING = 160;
const WAITING_EACH = 4;
const WAITING_ALL = 640;
/** Devices remembered; those not heard for longest are forgotten. */
const MAX_DEVICES = 1_024;
/** From so many devices on, a verdict must stand without the tenth that speaks most for it. */
const MIN_DEVICES = 5;
/** Blocks of a device that are so far apart no longer share an episode; from so many pairs on that is measured. */
const DISTANCE = 4;
const MIN_DISTANT = 30;
/** Resemblance of neighbouring blocks beyond which more evidence is no longer asked for in proportion. */
const MAX_RESEMBLANCE = 0.9;

export interface PairedOptions {
  /** Probability of an error, for each of the answers. */
  readonly alpha: number;
  /** By which part of the loss of the old model the candidate must be better. */
  readonly margin: number;
  /** By which part it may be worse and still pass as `notWorse`. */
  readonly tolerance: number;
  /** Which part of all rows one device may give, where there are more than a few devices. */
  readonly perDevice: number;
  /** Rows before `better` or `notWorse` is said. */
  readonly minCount: number;
  /** How many devices have spoken lately: nobody fills the test before the others have come. */
  readonly devices: number;
}

/** What is known of one device: rows, losses of the old model and differences over its closed blocks, the open block. */
interface Device {
  rows: number;
  base: number;
  said: number;
  open: { rows: number; base: number; candidate: number };
  /** Differences of its last blocks, the newest last. */
  last: number[];
  /** Probability that the old model withheld from its labels, and by how much less the candidate does; sums over rows. */
  doubt: number;
  surer: number;
}

/** Sums over closed blocks of the difference x, and over pairs of blocks of a device. */
interface Sums {
  n: number;
  x: number;
  xx: number;
  base: number;
  /** Neighbouring pairs: how many, of the first and the second x, of their product. */
  pairs: number;
  first: number;
  second: number;
  product: number;
  /** Half squared differences of neighbouring pairs, and of distant ones. */
  near: number;
  distant: number;
  far: number;
}

const NO_SUMS: Sums = {
  n: 0,
  x: 0,
  xx: 0,
  base: 0,
  pairs: 0,
  first: 0,
  second: 0,
  product: 0,
  near: 0,
  distant: 0,
  far: 0,
};

/** JSON. */
export interface SavedPaired {
  readonly better: number[];
  readonly worse: number[];
  readonly notWorse: number[];
  readonly sums: Sums;
  readonly counted: number;
  readonly offered: number;
  readonly devices: readonly (readonly [name: string, numbers: readonly number[]])[];
}

export interface PairedFigures {
  /** Rows counted, rows left out because their device had had its share, blocks, devices. */
  readonly rows: number;
  readonly leftOut: number;
  readonly blocks: number;
  readonly devices: number;
  /** Mean loss of the old model, and by how much the candidate's is lower (nats a row), with a 95 % interval. */
  readonly baseLoss: number;
  readonly difference: number;
  readonly interval: readonly [number, number];
  /** log10 of the evidence that it is better by the margin, and that it is worse; `needed` decides. */
  readonly better: number;
  readonly worse: number;
  readonly notWorse: number;
  readonly needed: number;
}

export type PairedAnswer = 'better' | 'worse' | 'notWorse' | null;

const clip = (loss: number) => Math.min(MAX_LOSS, Math.max(0, loss));
const empty = () => ({ rows: 0, base: 0, candidate: 0 });
const NOBODY = { rows: 0, base: 0, said: 0, doubt: 0, surer: 0 };
/** What a log-loss says of the probability that was not given to the label, 0..1. */
const doubtOf = (loss: number) => 1 - Math.exp(-Math.max(0, loss));

export class PairedTest {
  readonly #options: PairedOptions;
  readonly #better: Evidence;
  readonly #worse: Evidence;
  readonly #notWorse: Evidence;
  /** In the order in which they were last heard. */
  readonly #devices = new Map<string, Device>();
  /** Those with an open block, in the order in which it was opened. */
  readonly #open = new Set<Device>();
  readonly #sums: Sums;
  #waiting = 0;
  #counted: number;
  #offered: number;
  /** What the blocks say; looked at once a block. */
  #said: { readonly better: boolean; readonly worse: boolean; readonly notWorse: boolean } | null = null;

  constructor(options: PairedOptions, saved: SavedPaired | null = null) {
    this.#options = options;
    this.#better = new Evidence(saved?.better);
    this.#worse = new Evidence(saved?.worse);
    this.#notWorse = new Evidence(saved?.notWorse);
    this.#sums = { ...NO_SUMS, ...saved?.sums };
    this.#counted = saved?.counted ?? 0;
    this.#offered = saved?.offered ?? 0;
    for (const [name, numbers] of saved?.devices ?? []) this.#restoreDevice(name, numbers);
  }

  #restoreDevice(name: string, numbers: readonly number[]): void {
    const [rows, base, said, openRows, openBase, openCandidate, doubt, surer, ...last] = numbers;
    const open = { rows: openRows, base: openBase, candidate: openCandidate };
    const device = { rows, base, said, open, last, doubt, surer };
    this.#devices.set(name, device);
    if (openRows > 0) this.#open.add(device);
    this.#waiting += openRows;
  }

  /** Log-losses of one row, nats, under the old model and the candidate. */
  add(device: string, base: number, candidate: number): void {
    if (Number.isNaN(base) || Number.isNaN(candidate)) return;
    this.#offered += 1;
    const known = this.#heard(device);
    if (!this.#hasRoom(known)) return;
    this.#counted += 1;
    this.#waiting += 1;
    this.#open.add(known);
    known.rows += 1;
    known.open.rows += 1;
    known.open.base += clip(base);
    known.open.candidate += clip(candidate);
    known.doubt += doubtOf(base);
    known.surer += doubtOf(base) - doubtOf(candidate);
    if (known.open.rows >= BLOCK) this.#close(known);
    const most = Math.min(WAITING_ALL, Math.max(MAX_WAITING, WAITING_EACH * this.#devices.size));
    if (this.#waiting > most) this.#closeOldest();
  }

  #heard(name: string): Device {
    const known = this.#devices.get(name) ?? { ...NOBODY, open: empty(), last: [] };
    this.#devices.delete(name);
    this.#devices.set(name, known);
    if (this.#devices.size > MAX_DEVICES) {
      const [oldest, device] = this.#devices.entries().next().value as [string, Device];
      this.#close(device);
      this.#devices.delete(oldest);
    }
    return known;
  }

  /** A first block is everyone's; then no more than the share of what was counted in all. */
  #hasRoom(device: Device): boolean {
    const devices = Math.max(this.#devices.size, Math.min(this.#options.devices, MIN_DEVICES));
    const share = Math.min(1, Math.max(this.#options.perDevice, 1.5 / devices));
    return device.rows < BLOCK + share * this.#counted;
  }

  #closeOldest(): void {
    const [oldest] = this.#open;
    if (oldest) this.#close(oldest);
  }

  #close(device: Device): void {
    const { rows } = device.open;
    if (rows === 0) return;
    const base = device.open.base / rows;
    const candidate = device.open.candidate / rows;
    device.open = empty();
    this.#open.delete(device);
    this.#waiting -= rows;
    this.#said = null;
    const { margin, tolerance } = this.#options;
    this.#better.add((base * (1 - margin) - candidate) / MAX_DIFFERENCE);
    this.#worse.add((candidate - base) / MAX_DIFFERENCE);
    this.#notWorse.add((base * (1 + tolerance) - candidate) / MAX_DIFFERENCE);
    device.base += rows * base;
    device.said += rows * (base - candidate);
    this.#sum(device, base, base - candidate);
  }

  #sum(device: Device, base: number, x: number): void {
    const sums = this.#sums;
    sums.n += 1;
    sums.x += x;
    sums.xx += x * x;
    sums.base += base;
    const { last } = device;
    if (last.length > 0) {
      const before = last[last.length - 1];
      sums.pairs += 1;
      sums.first += before;
      sums.second += x;
      sums.product += before * x;
      sums.near += (before - x) ** 2 / 2;
    }
    if (last.length === DISTANCE) {
      sums.distant += 1;
      sums.far += (last[0] - x) ** 2 / 2;
    }
    device.last = [...last, x].slice(-DISTANCE);
  }

  /** Variance of a sum of blocks over that of independent ones, >= 1. */
  get #dependence(): number {
    const resemblance = Math.min(MAX_RESEMBLANCE, Math.max(0, this.#resemblance));
    return (1 + resemblance) / (1 - resemblance);
  }

  /** Correlation of neighbouring blocks of a device. */
  get #resemblance(): number {
    const { n, x, xx, pairs, first, second, product, near, distant, far } = this.#sums;
    if (pairs === 0) return 0;
    // Apart from what sets devices apart for good: that is no chance, and says nothing against a mean over them.
    if (distant >= MIN_DISTANT) return far > 1e-12 ? 1 - near / pairs / (far / distant) : 0;
    const mean = x / n;
    const variance = xx - n * mean * mean;
    const covariance = product - mean * (first + second) + pairs * mean * mean;
    return variance > 1e-12 ? covariance / variance : 0;
  }

  /** What can be said by now; null: nothing yet. */
  get answer(): PairedAnswer {
    this.#said ??= this.#look();
    if (this.#said.worse) return 'worse';
    if (this.#counted < this.#options.minCount) return null;
    if (this.#said.better) return 'better';
    return this.#said.notWorse ? 'notWorse' : null;
  }

  #look() {
    const { alpha, margin, tolerance } = this.#options;
    const needed = this.#dependence * Math.log(1 / alpha);
    return {
      better: this.#better.log >= needed && this.#isSurer(-margin) && this.#stands(1, margin),
      worse: this.#worse.log >= needed && this.#stands(-1, 0),
      notWorse:
        this.#notWorse.log >= needed &&
        this.#isSurer(tolerance) &&
        this.#stands(1, Math.max(margin, tolerance)),
    };
  }

  /**
   * Where labels are wrong at random, a model that has learned the same wrong labels is less sure and so loses less
   * log-loss by every wrong one, without knowing anything better. The probability withheld from the labels does not
   * fall for that: chance flips only scale its differences (Ghosh, Kumar & Sastry 2017). So it must be less by the
   * same margin, or more by no more than the same tolerance.
   */
  #isSurer(slack: number): boolean {
    return this.#others().reduce((sum, { doubt, surer }) => sum + surer + slack * doubt, 0) >= 0;
  }

  /** Whether these devices do not speak against it by more than a part of the loss. */
  #stands(direction: 1 | -1, slack: number): boolean {
    return this.#others().reduce((total, { said, base }) => total + direction * said + slack * base, 0) >= 0;
  }

  /** The devices without the tenth that speaks most for the candidate and the tenth that speaks most against it. */
  #others(): readonly Device[] {
    const devices = [...this.#devices.values()].filter((device) => device.base > 0 || device.said !== 0);
    if (devices.length < MIN_DEVICES) return devices;
    const tenth = Math.ceil(devices.length / 10);
    const mean = ({ said, rows }: Device) => said / rows;
    return devices.sort((a, b) => mean(a) - mean(b)).slice(tenth, -tenth);
  }

  get figures(): PairedFigures {
    const { n, x, xx, base } = this.#sums;
    const mean = n > 0 ? x / n : 0;
    const variance = n > 1 ? Math.max(0, (xx - n * mean * mean) / (n - 1)) : 0;
    const half = n > 1 ? 1.96 * Math.sqrt((variance * this.#dependence) / n) : 0;
    const decimal = (log: number) => log / Math.LN10;
    return {
      rows: this.#counted,
      leftOut: this.#offered - this.#counted,
      blocks: n,
      devices: this.#devices.size,
      baseLoss: n > 0 ? base / n : 0,
      difference: mean,
      interval: [mean - half, mean + half],
      better: decimal(this.#better.log),
      worse: decimal(this.#worse.log),
      notWorse: decimal(this.#notWorse.log),
      needed: decimal(this.#dependence * Math.log(1 / this.#options.alpha)),
    };
  }

  save(): SavedPaired {
    return {
      better: this.#better.save(),
      worse: this.#worse.save(),
      notWorse: this.#notWorse.save(),
      sums: { ...this.#sums },
      counted: this.#counted,
      offered: this.#offered,
      devices: [...this.#devices].map(([name, { rows, base, said, open, last, doubt, surer }]) => [
        name,
        [rows, base, said, open.rows, open.base, open.candidate, doubt, surer, ...last],
      ]),
    };
  }
}
