/**
 * A message that ends the process again and again must not stop the gateway for good. The process leaves a mark
 * while it runs; after CRASHES starts in a row that found such a mark, messages go through the
 * lanes one at a time, each named on disk before it is touched. One that is named at SOLITARY_CRASHES further
 * ends, alone in flight each time, is buried as DECODE_CRASHED. A clean stop, or a long enough life, forgets all.
 *
 * The file is small, fixed in place and written without sync: it must survive the end of a process, not of a
 * machine. Losing it costs nothing but this protection.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Message } from '../contract.ts';

/** Unclean ends in a row, each with the next start within RESTART_MS of its own, before messages go one at a time. */
const CRASHES = 3;
const RESTART_MS = 120_000;
/** A kill from outside may hit a message that is alone in flight once; twice the same one is no accident. */
const SOLITARY_CRASHES = 2;

interface Mark {
  /** Starts in a row that found the mark of one that had not ended cleanly, this one included. */
  readonly lives: number;
  readonly startedAt: number;
  /** The message alone in flight, and at how many ends it was that before. */
  readonly suspect: { readonly name: string; readonly ends: number } | null;
}

export class Suspects {
  readonly #file: string;
  readonly #now: () => number;
  readonly #before: Mark | null;
  #mark: Mark;
  /** Messages still to be taken alone. */
  #left: number;

  /** `maxInFlight`: how many messages can have been in flight at an end. */
  constructor(folder: string, maxInFlight: number, now: () => number) {
    this.#file = path.join(folder, 'running.json');
    this.#now = now;
    this.#before = readMark(this.#file);
    const short = this.#before !== null && now() - this.#before.startedAt < RESTART_MS;
    const lives = short && this.#before ? this.#before.lives + 1 : 1;
    this.#mark = { lives, startedAt: now(), suspect: null };
    this.#left = lives > CRASHES ? maxInFlight : 0;
    mkdirSync(folder, { recursive: true });
    this.#write();
  }

  /** True while messages must go one at a time. */
  get careful(): boolean {
    return this.#left > 0;
  }

  /**
   * Names the message that is about to be alone in flight. False: it has ended the process often enough and
   * must be buried, not touched.
   */
  admit(message: Message): boolean {
    const name = nameOf(message);
    const last = this.#before?.suspect;
    const ends = last?.name === name ? last.ends + 1 : 0;
    if (ends >= SOLITARY_CRASHES) return false;
    this.#mark = { ...this.#mark, suspect: { name, ends } };
    this.#write();
    return true;
  }

  /** The named message has ended well. */
  cleared(): void {
    this.#left -= 1;
    this.#mark = { ...this.#mark, suspect: null };
    if (this.#left === 0) this.#mark = { ...this.#mark, lives: 1 };
    this.#write();
  }

  /** Called now and then: a long life is no crash loop. */
  tick(): void {
    if (this.#left > 0 || this.#mark.lives === 1 || this.#now() - this.#mark.startedAt < RESTART_MS) return;
    this.#mark = { ...this.#mark, lives: 1 };
    this.#write();
  }

  /** A clean stop. */
  close(): void {
    rmSync(this.#file, { force: true });
  }

  #write(): void {
    try {
      // Renamed into place, so that an end in the middle leaves the old mark whole.
      writeFileSync(`${this.#file}.part`, JSON.stringify(this.#mark));
      renameSync(`${this.#file}.part`, this.#file);
    } catch {
      // A full disk costs this protection, not the flow; the store tells of the disk.
    }
  }
}

function readMark(file: string): Mark | null {
  try {
    const mark = JSON.parse(readFileSync(file, 'utf8')) as Partial<Mark>;
    if (typeof mark.lives !== 'number' || typeof mark.startedAt !== 'number') return null;
    return { lives: mark.lives, startedAt: mark.startedAt, suspect: mark.suspect ?? null };
  } catch {
    return null;
  }
}

/** The same for every redelivery. */
function nameOf(message: Message): string {
  if (message.position !== '') return message.position;
  const hash = createHash('sha256')
    .update(`${message.topic}\0${message.key ?? ''}\0`)
    .update(message.payload);
  return hash.digest('hex').slice(0, 32);
}
