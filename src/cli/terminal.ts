/**
 * What a verb gets from the process: its streams, its environment, and where to leave an exit code.
 * Tests hand in their own, so every verb runs in process. Results go to `stdout`, progress and
 * complaints to `stderr`; a verb never calls process.exit.
 */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { SluiceError } from '../errors.ts';

export interface Terminal {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** 0 done, 1 failed, 2 usage, 78 configuration refused, 130 interrupted after a clean stop. */
  exitCode: number;
}

/**
 * What a verb's file exports as `define`: adds arguments, options and the action to its command.
 * Called only when the verb is really used, so a verb's file may import what it likes.
 * The action throws SluiceError for a failure with a code, or sets `terminal.exitCode`.
 */
export type DefineVerb = (command: Command, terminal: Terminal) => void;

/** Collects a repeatable option: `.option('--set <a.b=c>', '…', collect, [])`. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value];

/** The same for `--set PATH=VALUE`. Throws USAGE for what is none. */
export function collectSetting(value: string, before: readonly string[]): string[] {
  if (value.indexOf('=') > 0) return collect(value, before);
  throw new SluiceError('USAGE', `--set ${value}: write PATH=VALUE, as in --set http.listen=127.0.0.1:9000`);
}

/** Adds `-c FILE` and `--set a.b=c`, the same for every verb that reads a configuration. */
export function withConfig(command: Command): Command {
  return command
    .requiredOption('-c, --config <file>', 'configuration file (YAML)')
    .option(
      '--set <path=value>',
      'override one option, e.g. http.listen=127.0.0.1:9000 (repeatable)',
      collectSetting,
      [],
    );
}

/** Writes a line to standard output. */
export function print(terminal: Terminal, line = ''): void {
  terminal.stdout.write(`${line}\n`);
}

/** Writes a result as JSON: `-` or true is standard output, else a file. Ends with a newline. */
export async function printJson(terminal: Terminal, where: string | true, value: unknown): Promise<void> {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (where === true || where === '-') terminal.stdout.write(text);
  else await writeFile(where, text);
}
