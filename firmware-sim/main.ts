#!/usr/bin/env node
/**
 * `sluice-sim`: the simulated fleet from the command line, until the time is up or Ctrl-C. The final
 * account goes to standard output, progress to standard error while that is a terminal. Exits 0 when
 * nothing was lost, 1 when something was or a connection failed, 2 on wrong usage, 130 after Ctrl-C.
 */
import { writeFile } from 'node:fs/promises';
import { CommanderError } from 'commander';
import { asSluiceError, SluiceError } from '../src/errors.ts';
import { noFaults, usualFaults } from './faults.ts';
import { mailFeed, readingFeed, replayFeed } from './feeds.ts';
import { type Fleet, type FleetSummary, type StreamOptions, startFleet } from './fleet.ts';
import { readOptions, type SimOptions, simCommand } from './options.ts';
import { statusLine, summaryLines } from './status.ts';
import { fineClock, overKafka, overMqtt, type Wire } from './wire.ts';

/** How long the broker may take to be there. */
const CONNECT_MS = 15_000;

function streamsOf(options: SimOptions): StreamOptions[] {
  const { seed, devices, classes, rate, mailRate, mail, labels, mailLabels } = options;
  const streams: StreamOptions[] = [];
  if (rate > 0) {
    const feed = readingFeed({ seed, devices, classes, faults: options.faults ? usualFaults : noFaults });
    streams.push({ task: options.readingTask, feed, rate, labels });
  }
  if (mailRate > 0) {
    const garbage = options.faults ? undefined : { garbage: 0 };
    const feed = mail.length > 0 ? replayFeed(mail) : mailFeed({ seed, ...garbage });
    streams.push({ task: options.mailTask, feed, rate: mailRate, labels: mailLabels });
  }
  if (streams.length === 0)
    throw new SluiceError('USAGE', '--rate 0 and --mail-rate 0 leave nothing to send');
  return streams;
}

function wireOf(options: SimOptions, tasks: readonly string[]): Wire {
  const common = { site: options.site, tasks };
  if (options.url === null) return overKafka(options.kafka, common);
  return overMqtt(options.url, { ...common, version: options.mqttVersion });
}

async function connected(wire: Wire, signal: AbortSignal): Promise<void> {
  const deadline = fineClock.now() + CONNECT_MS;
  for (;;) {
    const health = wire.answers.health();
    if (health.ok || signal.aborted) return;
    if (fineClock.now() > deadline)
      throw new SluiceError('BROKER_UNREACHABLE', health.reason.replace(/^[A-Z_]+: /, ''));
    await fineClock.sleep(50, signal);
  }
}

/** A line that is written over every second, on a terminal only. */
async function showProgress(fleet: Fleet, signal: AbortSignal): Promise<void> {
  if (!process.stderr.isTTY) return;
  let before = fleet.counts();
  while (!signal.aborted) {
    await fineClock.sleep(1_000, signal);
    const now = fleet.counts();
    process.stderr.write(`\r\u001b[K${statusLine(before, now)}`);
    before = now;
  }
  process.stderr.write('\r\u001b[K');
}

async function report(summary: FleetSummary, where: string | null): Promise<void> {
  const json = `${JSON.stringify(summary, null, 2)}\n`;
  if (where === '-') process.stdout.write(json);
  else {
    process.stdout.write(`${summaryLines(summary).join('\n')}\n`);
    if (where !== null) await writeFile(where, json);
  }
}

async function simulate(options: SimOptions): Promise<number> {
  const streams = streamsOf(options);
  const wire = wireOf(
    options,
    streams.map((stream) => stream.task),
  );
  const stop = new AbortController();
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    stop.abort();
  };
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    await connected(wire, stop.signal);
  } catch (error) {
    await Promise.all([wire.answers.close(), wire.sink.close()]);
    throw error;
  }
  const fleet = startFleet({ wire, streams, seed: options.seed, signal: stop.signal });
  const progress = showProgress(fleet, stop.signal);
  const time = options.duration ?? 2 ** 31 - 1;
  await Promise.race([fineClock.sleep(time, stop.signal), fleet.finished]);
  const summary = await fleet.drain(options.drainMs);
  stop.abort();
  await progress;
  await fleet.stop();
  await report(summary, options.json);
  if (summary.lost > 0) return 1;
  return interrupted ? 130 : 0;
}

async function main(words: readonly string[]): Promise<number> {
  try {
    const command = simCommand().exitOverride();
    command.parse(words, { from: 'user' });
    return await simulate(readOptions(command.opts()));
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = asSluiceError(thrown);
    const help = error.code === 'USAGE' ? 'See `sluice-sim --help`.' : error.help;
    process.stderr.write(`sluice-sim: ${error.code}: ${error.message}\n  ${help}\n`);
    return error.exit;
  }
}

process.exitCode = await main(process.argv.slice(2));
