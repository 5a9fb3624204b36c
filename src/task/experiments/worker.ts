/**
 * The process that trains: the script of a pool's workers. It runs with low priority, is the first that the kernel
 * takes when memory is short, ends itself when it holds more than it may, and ends with its parent. It answers
 * each message with one message and never does two things at once.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { asSluiceError } from '../../errors.ts';
import { openEngine } from '../../model/engine.ts';
import type { Answer, Ask, Opening } from './messages.ts';
import { openRowFile } from './rowfile.ts';
import { type Ground, runTrial, trainModel } from './trial.ts';

const WATCH_MS = 100;
let ground: Ground | null = null;
let folder: string | null = null;

// The parent ended, however it ended. SIGKILL, because a call of a model may be under way.
process.on('disconnect', () => {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
});

// Ctrl-C reaches everything in a terminal; the parent decides what ends when.
process.on('SIGINT', () => {});

/** Both are best effort: neither is worth failing for. */
function giveWay(): void {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
    if (process.platform === 'linux') writeFileSync('/proc/self/oom_score_adj', '800');
  } catch {
    // The system does not let us; trials then compete as equals.
  }
}

function watchMemory(most: number): void {
  const watch = setInterval(() => {
    const held = process.memoryUsage.rss();
    if (held <= most) return;
    const mib = (bytes: number) => Math.round(bytes / 1024 ** 2);
    process.stderr.write(`needed ${mib(held)} MiB of memory, ${mib(most)} MiB are allowed\n`, () =>
      process.exit(1),
    );
  }, WATCH_MS);
  watch.unref();
}

function openGround(opening: Opening): Ground {
  folder = opening.folder;
  if (opening.lowPriority) giveWay();
  watchMemory(opening.memory);
  return {
    engine: openEngine(opening.engine),
    variants: opening.variants.map(({ path, size, shape }) => ({ store: openRowFile(path, size), shape })),
    start: opening.start === null ? null : new Uint8Array(readFileSync(opening.start)),
    seed: opening.seed,
  };
}

async function answer(ask: Ask): Promise<Answer> {
  if (ask.kind === 'open') {
    ground = openGround(ask.opening);
    return { kind: 'opened' };
  }
  if (!ground) throw new Error('a job came before the opening');
  if (ask.kind === 'try') return { kind: 'tried', outcome: await runTrial(ground, ask.job) };
  writeFileSync(ask.path, await trainModel(ground, ask.job), { mode: 0o600 });
  return { kind: 'trained' };
}

process.on('message', (ask: Ask) => {
  answer(ask)
    .catch((error: unknown): Answer => {
      const { code, message } = asSluiceError(error, 'TRAINING_FAILED');
      return { kind: 'failed', code, message };
    })
    .then((said) => process.send?.(said));
});
