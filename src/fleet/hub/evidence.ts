/**
 * How strongly a sequence of numbers says that its mean is above zero: a test that may be looked at after every
 * number and stopped at any time. Promises: where no number has a positive mean given those before it, the
 * evidence ever reaches 1 / alpha with probability alpha at most (Ville's inequality). Refuses nothing: what is
 * outside [-1, 1] is clipped, what is no number is left out.
 *
 * Testing by betting (Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting"):
 * wealth begins at 1 and is multiplied by 1 + bet * y at each y. Bets that are chosen before y is seen cannot make
 * it grow in the mean unless y does. The evidence is the mean wealth over a fixed set of bets, so no bet has to be
 * guessed right.
 */

/** Fractions of what is had, large ones for plain differences, small ones for fine ones; all below 1: never ruined. */
const BETS = [0.9, 0.6, 0.4, 0.25, 0.15, 0.1, 0.06, 0.03, 0.015] as const;

export class Evidence {
  /** Natural logarithm of the wealth of each bet. */
  readonly #wealth: number[];

  /** `saved` is what `save` gave. */
  constructor(saved: readonly number[] | null = null) {
    this.#wealth = BETS.map((_, i) => saved?.[i] ?? 0);
  }

  add(y: number): void {
    if (Number.isNaN(y)) return;
    const bounded = Math.min(1, Math.max(-1, y));
    for (let i = 0; i < BETS.length; i += 1) this.#wealth[i] += Math.log1p(BETS[i] * bounded);
  }

  /** Natural logarithm of the evidence, now. */
  get log(): number {
    const most = Math.max(...this.#wealth);
    const sum = this.#wealth.reduce((total, wealth) => total + Math.exp(wealth - most), 0);
    return most + Math.log(sum / BETS.length);
  }

  save(): number[] {
    return [...this.#wealth];
  }
}
