/**
 * bogofilter taught once and asked many times, its word list in a folder of its own: the other filter of the tables on attacks.
 * Its defaults stand. Needs the program; `openWordList` says null where it is not installed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Lesson } from './laboratory.ts';

const MOST_OUTPUT = 64 * 1024 ** 2;

export interface WordList {
  teach(lessons: readonly Lesson[]): void;
  /** Its scores, 0 to 1. */
  score(raws: readonly Buffer[]): Float32Array;
  close(): void;
}

export function openWordList(): WordList | null {
  try {
    execFileSync('bogofilter', ['-V'], { stdio: 'ignore' });
  } catch {
    return null;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-words-'));
  const run = (options: readonly string[], raws: readonly Buffer[]): string => {
    const names = raws.map((raw, i) => {
      const name = path.join(folder, `mail-${i}`);
      writeFileSync(name, raw);
      return name;
    });
    const settings = { input: `${names.join('\n')}\n`, encoding: 'utf8', maxBuffer: MOST_OUTPUT } as const;
    try {
      return execFileSync('bogofilter', ['-d', folder, ...options, '-b'], settings);
    } catch (error) {
      // The exit status says what the last mail was.
      return String((error as { stdout?: string }).stdout ?? '');
    }
  };
  return {
    teach(lessons) {
      for (const label of [false, true]) {
        const raws = lessons.filter((lesson) => lesson.label === label).map(({ raw }) => raw);
        if (raws.length > 0) run([label ? '-s' : '-n'], raws);
      }
    },
    score(raws) {
      const lines = run(['-TT'], raws).trim().split('\n');
      if (lines.length !== raws.length)
        throw new Error(`bogofilter gave ${lines.length} scores for ${raws.length} mails`);
      return Float32Array.from(lines, (line) => Number(line.trim().split(/\s+/).at(-1)));
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
