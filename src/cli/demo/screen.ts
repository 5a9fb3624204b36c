/**
 * What a newcomer sees: a head of facts, a line when something happens for the first time, a live line on a
 * terminal, and a short account at the end. Everything goes to standard error, so that results own
 * standard output; without a terminal the live line is left out.
 */
import type { FleetCounts, FleetSummary } from '../../../firmware-sim/fleet.ts';
import { ratesBetween, summaryLines } from '../../../firmware-sim/status.ts';
import { systemClock } from '../../clock.ts';
import type { TaskStatus } from '../../flow/windows.ts';
import type { Terminal } from '../terminal.ts';

const TICK_MS = 1_000;

const grouped = (n: number): string => Math.round(n).toLocaleString('en-US');
const percent = (p: number | null): string => (p === null ? '–' : `${(100 * p).toFixed(1)} %`);
const clock = (seconds: number): string =>
  `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export class Screen {
  readonly #terminal: Terminal;
  readonly #tasks: () => Readonly<Record<string, TaskStatus>>;
  readonly #counts: () => FleetCounts;
  readonly #told = new Set<string>();
  #live = false;

  /** `tasks`: of the first gateway. */
  constructor(
    terminal: Terminal,
    tasks: () => Readonly<Record<string, TaskStatus>>,
    counts: () => FleetCounts,
  ) {
    this.#terminal = terminal;
    this.#tasks = tasks;
    this.#counts = counts;
  }

  head(rows: readonly (readonly [string, string])[]): void {
    for (const [name, text] of rows) this.#line(name === '' ? text : `${name.padEnd(8)} ${text}`);
  }

  note(text: string): void {
    this.#line(`${clock(this.#counts().seconds)} ${text}`);
  }

  /** Once a second until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let before = this.#counts();
    while (!signal.aborted) {
      await systemClock.sleep(TICK_MS, signal);
      const now = this.#counts();
      this.#milestones();
      if (this.#terminal.stderr.isTTY) this.#status(before, now);
      before = now;
    }
  }

  summary(summary: FleetSummary, learned: number): void {
    for (const line of summaryLines(summary)) this.#line(line);
    this.#line(`${grouped(learned)} labels learned`);
    this.#line('your data: `npx --no-install sluice init URL` listens and writes sluice.yaml;');
    this.#line('           `npx --no-install sluice run -c sluice.yaml` runs it');
  }

  #milestones(): void {
    for (const [name, task] of Object.entries(this.#tasks())) {
      if (task.verdicts > 0)
        this.#once(
          `${name} first`,
          `learning   ${name} · first verdicts; no label is invented before it has learned`,
        );
      if (task.state === 'live') this.#once(`${name} live`, `verdicts   ${name} · it gives labels now`);
      if (task.dead > 0)
        this.#once(`${name} dead`, `dead       ${name} · an unusable payload went to the dead letters`);
    }
  }

  #once(key: string, text: string): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.note(text);
  }

  #status(before: FleetCounts, now: FleetCounts): void {
    const { verdicts: rate } = ratesBetween(before, now);
    const sum = (pick: (task: FleetCounts['tasks'][number]) => number) =>
      now.tasks.reduce((total, task) => total + pick(task), 0);
    const busiest = [...now.tasks].sort((a, b) => b.verdicts - a.verdicts)[0];
    const quality = now.tasks.map((task) => `${task.task} ${percent(task.recentAccuracy)}`);
    const parts = [
      `${grouped(rate)}/s`,
      `p99 ${busiest?.latencyMs.p99 ?? 0} ms`,
      ...quality,
      `${grouped(sum((task) => task.verdicts))} verdicts`,
      `${grouped(sum((task) => task.deadLetters))} dead`,
    ];
    const width = (this.#terminal.stderr.columns ?? 100) - 1;
    const line = () => `▸ ${clock(now.seconds)}  ${parts.join(' · ')}`;
    // Whole figures only: the last ones give way on a narrow terminal.
    while (parts.length > 1 && line().length > width) parts.pop();
    this.#terminal.stderr.write(`\r\x1b[K${line().slice(0, width)}`);
    this.#live = true;
  }

  #line(text: string): void {
    this.#terminal.stderr.write(`${this.#live ? '\r\x1b[K' : ''}${text}\n`);
    this.#live = false;
  }
}
