/**
 * What a filter may look at in a mail. Promises: no header that another filter or a person's mail reader left
 * behind (verdicts, folders, read marks) is ever seen, neither in the raw nor in the decoded view, so a model
 * learns from the mail and not from its judges; the raw view is bounded, head and tail. It never sees a path, a
 * file name on disk or the mbox `From ` line, which are no part of a mail.
 */
import { headerAt, mayUse } from './header-names.ts';

/** What filters write in front of a subject they judged. */
const SUBJECT_TAG =
  /^(subject:\s*(?:(?:re|fwd?):\s*)?)(?:\*{2,}\s*spam\s*\*{2,}|[[{](?:possible |probable |definitely )?spam\s*\??[\]}]|spam[:>])\s*/i;
/** No more of a subject is searched for it. */
const SUBJECT_START = 100;

/** A subject without the verdict that a filter wrote into it; `line` begins with the field's name. */
function untagged(line: string): string {
  return line.replace(SUBJECT_TAG, '$1');
}

/** Every tag has this in it. */
const TAGGED = /spam/i;

/** The value of a header as features may see it. */
export function usableValue(name: string, value: string): string {
  return name === 'subject' && TAGGED.test(value)
    ? untagged(`subject: ${value}`).slice('subject: '.length)
    : value;
}

const LF = 0x0a;
const CR = 0x0d;
/**
 * The bytes that features may be made of, in a buffer that is used again by the next call: permitted header lines
 * (at most `headerBytes`), then the body's first `head` and last `tail` bytes.
 */
export class RawView {
  readonly #listHeaders: boolean;
  readonly #headerBytes: number;
  readonly #head: number;
  readonly #tail: number;
  readonly bytes: Uint8Array;
  /** End of the headers within `bytes`. */
  headerEnd = 0;
  /** End of what is used. */
  end = 0;

  constructor(options: { listHeaders: boolean; headerBytes: number; head: number; tail: number }) {
    this.#listHeaders = options.listHeaders;
    this.#headerBytes = options.headerBytes;
    this.#head = options.head;
    this.#tail = options.tail;
    this.bytes = new Uint8Array(options.headerBytes + options.head + options.tail);
  }

  /** Fills the view from the raw mail. */
  load(raw: Uint8Array): void {
    this.end = 0;
    const body = this.#copyHeaders(raw);
    this.headerEnd = this.end;
    const length = raw.length - body;
    if (length <= this.#head + this.#tail) {
      this.#copy(raw, body, raw.length);
      return;
    }
    this.#copy(raw, body, body + this.#head);
    this.#copy(raw, raw.length - this.#tail, raw.length);
  }

  #copy(raw: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    this.bytes.set(raw.subarray(from, to), this.end);
    this.end += to - from;
  }

  /** Copies header lines as far as there is room for headers. */
  #copyLines(raw: Uint8Array, from: number, to: number): void {
    this.#copy(raw, from, Math.min(to, from + this.#headerBytes - this.end));
  }

  /** Copies the line of a subject, without what a filter wrote into it. */
  #copySubject(raw: Uint8Array, at: number, next: number): void {
    const from = Math.min(next, at + SUBJECT_START);
    const start = Buffer.from(untagged(Buffer.from(raw.subarray(at, from)).toString('latin1')), 'latin1');
    this.#copyLines(start, 0, start.length);
    this.#copyLines(raw, from, next);
  }

  /** Copies the permitted header lines; returns where the body begins. */
  #copyHeaders(raw: Uint8Array): number {
    let at = startsWithFrom(raw) ? afterLine(raw, 0) : 0;
    // Lines wait for being copied together: from `kept` on, -1 where those at hand are left out.
    let kept = at;
    while (at < raw.length) {
      const next = afterLine(raw, at);
      const first = raw[at];
      if (first === LF || (first === CR && next - at === 2 && raw[at + 1] === LF)) {
        if (kept >= 0) this.#copyLines(raw, kept, at);
        return next;
      }
      if (first !== 0x20 && first !== 0x09) {
        const header = headerAt(raw, at, next);
        const keep = header !== null && mayUse(header, this.#listHeaders);
        if (kept >= 0 && (!keep || header.name === 'subject')) {
          this.#copyLines(raw, kept, at);
          kept = -1;
        }
        if (header === null) return at;
        if (keep && header.name === 'subject') {
          this.#copySubject(raw, at, next);
          kept = next;
        } else if (keep && kept < 0) kept = at;
      }
      at = next;
    }
    if (kept >= 0) this.#copyLines(raw, kept, at);
    return at;
  }
}

function startsWithFrom(raw: Uint8Array): boolean {
  return raw[0] === 0x46 && raw[1] === 0x72 && raw[2] === 0x6f && raw[3] === 0x6d && raw[4] === 0x20;
}

/** Longer lines are searched by native code, a call into which costs more than an ordinary line. */
const SHORT = 128;

function afterLine(raw: Uint8Array, at: number): number {
  const near = Math.min(raw.length, at + SHORT);
  for (let i = at; i < near; i += 1) if (raw[i] === LF) return i + 1;
  const feed = raw.indexOf(LF, near);
  return feed < 0 ? raw.length : feed + 1;
}
