/**
 * What a benchmark case is: two sides measured in turn in the same run, ours and a peer or a plain baseline, so
 * that only their ratio matters and a noisy machine hurts both alike.
 */

export interface Measure {
  /** Units of work done (messages, rows, bytes). */
  readonly n: number;
  readonly seconds: number;
  /** User + system time of the process that did the work, where it can be told apart. */
  readonly cpuSeconds?: number;
  /** More numbers worth keeping, e.g. bytes written. */
  readonly more?: Readonly<Record<string, number>>;
}

export interface Prepared {
  /** Ours. */
  sluice(): Promise<Measure>;
  /** The other side. */
  peer(): Promise<Measure>;
  /** A table in Markdown that the case has worked out beside its rates. */
  readonly page?: string;
  /** What the page was made of, for the results as JSON. */
  readonly figures?: unknown;
  close?(): Promise<void>;
}

export interface BenchCase {
  readonly name: string;
  /** What is measured, in one sentence. */
  readonly what: string;
  /** What the peer is, in one sentence. */
  readonly peer: string;
  /** Of `n`: mails, readings, rows, messages. */
  readonly unit: string;
  /** The least ratio sluice / peer that is promised, where one is. */
  readonly floor?: number;
  /** Makes inputs and servers. A string says why the case cannot run here (it is then skipped, loudly). */
  prepare(options: BenchOptions): Promise<Prepared | string>;
}

export interface BenchOptions {
  readonly seed: number;
  /** Shorter inputs, to see that a case runs. */
  readonly quick: boolean;
  /** Folder of real data, null where there is none. */
  readonly data: string | null;
  /** Says on stderr how far long preparations are. */
  readonly tell: (text: string) => void;
}

/** Wall and CPU time of work in this process. */
export async function measure(work: () => number | Promise<number>): Promise<Measure> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  const n = await work();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { n, seconds, cpuSeconds: (user + system) / 1e6 };
}
