#!/usr/bin/env node
/**
 * `sluice-sim`: the simulated fleet from the command line or from a scenario file, until the time is up or Ctrl-C. The
 * final account goes to standard output, progress to standard error while that is a terminal. Exits 0 when nothing was
 * lost, 1 when something was or a connection failed, 2 on wrong usage, 78 when the scenario is refused, 130 after Ctrl-C.
 */
import { writeFile } from 'node:fs/promises';
import { type Command, CommanderError } from 'commander';
import { asSluiceError } from '../src/errors.ts';
import { scenarioFrom, simCommand } from './options.ts';
import { EXAMPLE } from './scenario/example.ts';
import { Simulation, type SimulationResult } from './scenario/run.ts';
import type { Scenario } from './scenario/schema.ts';
import { progressLine, resultLines } from './status.ts';
import { fineClock } from './wire.ts';

/** Timers cannot wait longer at once: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** Until the time is up; Infinity waits for `signal`. */
async function pass(ms: number, signal: AbortSignal): Promise<void> {
  for (let left = ms; left > 0 && !signal.aborted; left -= LONGEST_MS)
    await fineClock.sleep(Math.min(left, LONGEST_MS), signal);
}

/** A line that is written over every second, on a terminal only. */
async function showProgress(simulation: Simulation, signal: AbortSignal): Promise<void> {
  if (!process.stderr.isTTY) return;
  let before = simulation.progress();
  while (!signal.aborted) {
    await fineClock.sleep(1_000, signal);
    const now = simulation.progress();
    const width = (process.stderr.columns ?? 100) - 1;
    process.stderr.write(`\r\u001b[K${progressLine(before, now).slice(0, width)}`);
    before = now;
  }
  process.stderr.write('\r\u001b[K');
}

async function report(result: SimulationResult, where: string | null): Promise<void> {
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (where === '-') process.stdout.write(json);
  else {
    process.stdout.write(`${resultLines(result).join('\n')}\n`);
    if (where !== null) await writeFile(where, json);
  }
}

async function simulate(scenario: Scenario, json: string | null): Promise<number> {
  const stop = new AbortController();
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    stop.abort();
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const simulation = new Simulation({ scenario, signal: stop.signal });
  await simulation.start();
  const progress = showProgress(simulation, stop.signal);
  await Promise.race([pass(scenario.for ?? Number.POSITIVE_INFINITY, stop.signal), simulation.finished]);
  const result = await simulation.drain();
  stop.abort();
  await progress;
  await simulation.stop();
  await report(result, json);
  if (result.lost > 0) return 1;
  return interrupted ? 130 : 0;
}

async function act(command: Command): Promise<number> {
  const { example, check, json } = command.opts<{ example?: true; check?: true; json?: string }>();
  if (example) {
    process.stdout.write(EXAMPLE);
    return 0;
  }
  const scenario = scenarioFrom(command);
  if (check) {
    process.stdout.write('the scenario is good\n');
    return 0;
  }
  return await simulate(scenario, json ?? null);
}

async function main(words: readonly string[]): Promise<number> {
  try {
    const command = simCommand().exitOverride();
    command.parse(words, { from: 'user' });
    return await act(command);
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = asSluiceError(thrown);
    const help: Readonly<Record<string, string>> = {
      USAGE: 'See `sluice-sim --help`.',
      CONFIG_INVALID: 'Mend these places; `sluice-sim --example` shows how a scenario is written.',
      CONFIG_UNREADABLE: 'Check the path after -c.',
    };
    process.stderr.write(
      `sluice-sim: ${error.code}: ${error.message}\n  ${help[error.code] ?? error.help}\n`,
    );
    return error.exit;
  }
}

process.exitCode = await main(process.argv.slice(2));
