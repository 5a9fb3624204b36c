/**
 * What the bootstrap shows: one short line a step with the time it took, on stderr, so that results keep
 * stdout. Full output goes to `.cache/logs/` and is shown only when a step fails.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..');
const LAST_LINES = 60;

export function say(line) {
  process.stderr.write(`${line}\n`);
}

export function seconds(since) {
  const s = (performance.now() - since) / 1000;
  return s < 10 ? `${s.toFixed(1)} s` : `${Math.round(s)} s`;
}

/** A failure with a message for people; `command` is what mends it, where one command does. */
export class Failure extends Error {
  constructor(message, command) {
    super(command ? `${message}\n  ${command}` : message);
  }
}

/** Runs a program quietly. Resolves to its code and output; the output is also in `.cache/logs/<name>.log`. */
export function quietly(name, program, args, options = {}) {
  const logs = path.join(root, '.cache', 'logs');
  mkdirSync(logs, { recursive: true });
  const log = createWriteStream(path.join(logs, `${name}.log`));
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    const take = (chunk) => {
      output += chunk;
      log.write(chunk);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.once('error', (error) => take(`${error.message}\n`));
    child.once('close', (code) => log.end(() => resolve({ code: code ?? 1, output })));
  });
}

/** Runs a program with this process's own output. Resolves to its exit code. */
export function aloud(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', ...options });
    child.once('error', (error) => {
      say(error.message);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** The end of a log, for the reader of a failure. */
export function tail(text) {
  return text.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
}

/** A step that must succeed: `doing …` on a terminal, then `done in 31 s`; on failure the output. */
export async function step(name, doing, done, program, args, options) {
  const since = performance.now();
  if (process.stderr.isTTY) process.stderr.write(`${doing} …`);
  const { code, output } = await quietly(name, program, args, options);
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  if (code !== 0) throw new Failure(`${doing} failed (.cache/logs/${name}.log):\n${tail(output)}`);
  say(`${done} in ${seconds(since)}`);
}

export function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
