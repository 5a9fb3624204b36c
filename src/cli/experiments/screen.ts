/**
 * What a person sees while `train` or `sweep` works, on a terminal only: one line that is drawn again, with how far it
 * is, the best so far and the time to go. Elsewhere it is silent.
 */
import type { Attempt, Round } from '../../task/experiments/halving.ts';
import type { Terminal } from '../terminal.ts';

const REDRAW_MS = 200;
/** Before this much is done, a time to go would be a guess. */
const ENOUGH = 0.02;

const bar = (part: number): string => '█'.repeat(Math.round(part * 20)).padEnd(20, '░');

/** `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function showTime(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class Screen {
  readonly #terminal: Terminal;
  #line = '';
  #timer: NodeJS.Timeout | undefined;
  #text: () => string = () => '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  #begin(text: () => string): void {
    this.#text = text;
    if (!this.#terminal.stderr.isTTY) return;
    this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref();
    this.#draw();
  }

  #draw(): void {
    this.#line = this.#text().slice(0, (this.#terminal.stderr.columns ?? 80) - 1);
    this.#terminal.stderr.write(`\r\x1b[K${this.#line}`);
  }

  /** Counts up to `total`; the returned function is told how far it is. */
  count(what: string, total: number): (done: number) => void {
    const started = performance.now();
    let done = 0;
    this.#begin(() => {
      const part = Math.min(1, done / Math.max(1, total));
      const spent = performance.now() - started;
      const rate = Math.round((done * 1_000) / Math.max(1, spent));
      const left = part > ENOUGH ? `  ${showTime((spent * (1 - part)) / part)} to go` : '';
      return `${bar(part)} ${Math.round(part * 100)} %  ${what}: ${done.toLocaleString('en-US')} events, ${rate.toLocaleString('en-US')}/s${left}`;
    });
    return (now) => {
      done = now;
    };
  }

  /** Something whose length is not known. */
  say(text: string): void {
    this.#begin(() => text);
  }

  /** Trials in rounds; the returned function is told of each that ends. `describe` says a configuration in words. */
  trials(
    rounds: readonly Round[],
    describe: (attempt: Attempt) => string,
  ): (attempt: Attempt, recalled: boolean) => void {
    // The work of a trial goes with its rows.
    const all = rounds.reduce((sum, { trials, rows }) => sum + trials * rows, 0);
    const planned = rounds.reduce((sum, { trials }) => sum + trials, 0);
    const started = performance.now();
    let [done, fresh, ended] = [0, 0, 0];
    let best: Attempt | null = null;
    this.#begin(() => {
      const part = Math.min(1, done / all);
      const spent = performance.now() - started;
      const left = fresh > all * ENOUGH ? `  ${showTime((spent * (all - done)) / fresh)} to go` : '';
      const found = best ? `  best ${best.validation.logLoss.toFixed(4)}: ${describe(best)}` : '';
      return `${bar(part)} ${ended} of ${planned} trials, round ${best?.round ?? 1} of ${rounds.length}${left}${found}`;
    });
    return (attempt, recalled) => {
      ended += 1;
      done += rounds[attempt.round - 1].rows;
      if (!recalled) fresh += rounds[attempt.round - 1].rows;
      // Losses of different rounds come from different amounts of training; the later round counts.
      if (
        !best ||
        attempt.round > best.round ||
        (attempt.round === best.round && attempt.validation.logLoss < best.validation.logLoss)
      )
        best = attempt;
    };
  }

  /** A line that stays. */
  note(text: string): void {
    this.#terminal.stderr.write(`${this.#line === '' ? '' : '\r\x1b[K'}${text}\n`);
    this.#line = '';
  }

  clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#line !== '') this.#terminal.stderr.write('\r\x1b[K');
    this.#line = '';
  }
}
