/**
 * Runs cases in pairs (ours, peer, ours, peer, …) after one warm-up of each, and reports medians: of each side,
 * and of the ratios pair by pair, with their range. Nothing here judges; a case with a floor says whether it held.
 */
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import type { BenchCase, BenchOptions, Measure } from './case.ts';

export interface SideResult {
  /** Units a second, median over runs. */
  readonly rate: number;
  readonly rates: readonly number[];
  /** Units a CPU second, where measured. */
  readonly cpuRate: number | null;
  readonly more: Readonly<Record<string, number>>;
}

export interface CaseResult {
  readonly case: string;
  readonly what: string;
  readonly peerIs: string;
  readonly unit: string;
  readonly runs: number;
  readonly sluice: SideResult;
  readonly peer: SideResult;
  /** sluice / peer by wall time: median, least, most of the pairs. */
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number };
  readonly floor: number | null;
  readonly held: boolean | null;
  readonly page?: string;
  readonly figures?: unknown;
}

export interface Skipped {
  readonly case: string;
  readonly skipped: string;
}

/** What stands beside every result. */
export interface Machine {
  readonly at: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly platform: string;
}

export function describeMachine(): Machine {
  const git = (...args: string[]) => {
    try {
      return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return 'unknown';
    }
  };
  return {
    at: new Date().toISOString(),
    commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+changes'),
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    node: process.versions.node,
    platform: `${os.platform()} ${os.arch()} ${os.release()}`,
  };
}

export async function runCase(
  one: BenchCase,
  options: BenchOptions,
  runs: number,
  onRun: (done: number, of: number) => void,
): Promise<CaseResult | Skipped> {
  const prepared = await one.prepare(options);
  if (typeof prepared === 'string') return { case: one.name, skipped: prepared };
  const ours: Measure[] = [];
  const theirs: Measure[] = [];
  try {
    await prepared.sluice();
    await prepared.peer();
    for (let run = 0; run < runs; run++) {
      ours.push(await prepared.sluice());
      theirs.push(await prepared.peer());
      onRun(run + 1, runs);
    }
  } finally {
    await prepared.close?.();
  }
  const ratios = ours.map((measure, i) => rate(measure) / rate(theirs[i]));
  const ratio = { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
  return {
    case: one.name,
    what: one.what,
    peerIs: one.peer,
    unit: one.unit,
    runs,
    sluice: side(ours),
    peer: side(theirs),
    ratio,
    floor: one.floor ?? null,
    held: one.floor === undefined ? null : ratio.median >= one.floor,
    ...(prepared.page === undefined ? {} : { page: prepared.page }),
    ...(prepared.figures === undefined ? {} : { figures: prepared.figures }),
  };
}

const rate = ({ n, seconds }: Measure): number => n / seconds;

function side(measures: readonly Measure[]): SideResult {
  const rates = measures.map(rate);
  const cpu = measures.flatMap(({ n, cpuSeconds }) => (cpuSeconds ? [n / cpuSeconds] : []));
  const names = Object.keys(measures[0]?.more ?? {});
  const more = names.map(
    (name) => [name, median(measures.map((measure) => measure.more?.[name] ?? 0))] as const,
  );
  return {
    rate: median(rates),
    rates,
    cpuRate: cpu.length > 0 ? median(cpu) : null,
    more: Object.fromEntries(more),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
