/**
 * Mutated mails through the decoder. Promises: what is thrown must be one of its codes, what comes out must keep the
 * promises of MailBody, time must stay within a bound by byte (the least of several runs, so that a busy machine accuses
 * nobody), memory must not grow. The first failure ends the run with the smallest mail that still shows it. Guided while
 * it explores: mails that reach blocks of the decoder that none reached before join the pool.
 */
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { MailBody } from '../../src/contract.ts';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';
import { SluiceError } from '../../src/errors.ts';
import { Coverage } from './coverage.ts';
import { Mutator } from './mutate.ts';
import { seedMails } from './seeds.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly mails: number;
  /** Of these, so many are guided by coverage. */
  readonly explore: number;
  readonly real: readonly Uint8Array[];
  /** What is fuzzed: the decoder, where nothing else is given. */
  readonly read?: Read;
  /** Called a few times a second; false ends the run. */
  onProgress?(done: FuzzProgress): boolean;
  /** Called with each mail before it is decoded, for a watchdog on another thread. */
  onMail?(mail: Uint8Array): void;
}

/** A decoder with its limits. */
export type Read = (mail: Uint8Array) => MailBody;

export interface FuzzProgress {
  readonly mails: number;
  readonly bytes: number;
  readonly pool: number;
  readonly blocks: number;
  /** Live memory of this thread after a collection, bytes. */
  readonly memory: number;
}

export interface FuzzReport extends FuzzProgress {
  readonly seconds: number;
  /** How often each code was answered; `none` for mails that were read. */
  readonly codes: Readonly<Record<string, number>>;
  /** The most that a mail cost by byte, ns (least of several runs), of mails of 256 bytes and more. */
  readonly worstPerByte: number;
  readonly worstMail: string;
  readonly failure: { readonly why: string; readonly mail: string } | null;
}

/** Longest mail. */
const ROOM = 2_048;
const BATCH = 200;
/** Mails until V8 has compiled what is measured. */
const WARM = 20_000;
/** What a mail may cost: 10 times 5 ns a byte on a fast machine, with room for slow ones and for the clock. */
const LIMIT_MS = (bytes: number): number => 0.5 + bytes * 0.0005;
/** Growth beyond this between the first tenth and the end is a leak. */
const MAX_GROWTH = 16 * 1024 ** 2;
const CODES = /^DECODE_(EMPTY|MAIL|DEPTH|PARTS|HEADERS|TOO_LARGE)$/;
const limits = mimeOptions.parse({});

/** Runs until the mails are spent, the caller says stop, or something fails. */
export function fuzz(settings: FuzzOptions): FuzzReport {
  return new Fuzzer(settings).run();
}

class Fuzzer {
  readonly #settings: FuzzOptions;
  readonly #read: Read;
  readonly #pool: Uint8Array[];
  readonly #mutator: Mutator;
  readonly #codes: Record<string, number> = {};
  readonly #started = performance.now();
  #mails = 0;
  #bytes = 0;
  #blocks = 0;
  #worst = 0;
  #worstMail = '';
  #failure: FuzzReport['failure'] = null;

  constructor(settings: FuzzOptions) {
    this.#settings = settings;
    this.#read = settings.read ?? ((mail) => readMail(mail, limits));
    this.#pool = seedMails(settings.real, ROOM);
    this.#mutator = new Mutator(this.#pool, settings.seed, ROOM);
  }

  run(): FuzzReport {
    if (this.#settings.explore > 0) this.#explore();
    let early = 0;
    let told = performance.now();
    while (this.#mails < this.#settings.mails && this.#failure === null) {
      for (let i = 0; i < BATCH && this.#failure === null; i += 1) this.#take(this.#mutator.next());
      if (early === 0 && this.#mails >= this.#settings.mails / 10) early = liveMemory();
      if (performance.now() - told < 400) continue;
      told = performance.now();
      if (this.#settings.onProgress?.(this.#progress(process.memoryUsage().heapUsed)) === false) break;
    }
    const memory = liveMemory();
    // Its first measure may have fallen into a moment in which V8 compiled anew; coverage makes all of it dearer still.
    const worst = Buffer.from(this.#worstMail, 'base64');
    if (worst.length > 0) this.#worst = (least(this.#read, worst, 5_000) * 1e6) / worst.length;
    if (this.#failure === null && early > 0 && memory > early + MAX_GROWTH)
      this.#failure = { why: `memory grew from ${early} to ${memory} bytes`, mail: '' };
    return {
      ...this.#progress(memory),
      seconds: (performance.now() - this.#started) / 1000,
      codes: this.#codes,
      worstPerByte: this.#worst,
      worstMail: this.#worstMail,
      failure: this.#failure,
    };
  }

  #progress(memory: number): FuzzProgress {
    return { mails: this.#mails, bytes: this.#bytes, pool: this.#pool.length, blocks: this.#blocks, memory };
  }

  /** Grows the pool by mails that reach something new. */
  #explore(): void {
    const coverage = new Coverage();
    for (const mail of this.#pool) this.#take(mail);
    coverage.look(true);
    while (this.#mails < this.#settings.explore && this.#failure === null) {
      const batch: Uint8Array[] = [];
      for (let i = 0; i < BATCH && this.#failure === null; i += 1) {
        const mail = this.#mutator.next();
        batch.push(Uint8Array.from(mail));
        this.#take(mail);
      }
      if (!coverage.look(false)) continue;
      for (const mail of batch) {
        this.#take(mail);
        if (coverage.look(true)) this.#pool.push(mail);
      }
      this.#blocks = coverage.size;
      if (this.#settings.onProgress?.(this.#progress(0)) === false) break;
    }
    this.#blocks = coverage.size;
    coverage.close();
  }

  #take(mail: Uint8Array): void {
    this.#settings.onMail?.(mail);
    this.#mails += 1;
    this.#bytes += mail.length;
    const start = performance.now();
    const code = outcome(this.#read, mail);
    const took = performance.now() - start;
    this.#codes[code] = (this.#codes[code] ?? 0) + 1;
    let why = code === 'none' || CODES.test(code) ? null : code;
    if (took > LIMIT_MS(mail.length)) why ??= slowness(this.#read, mail);
    else if (this.#mails > WARM && mail.length >= 256 && (took * 1e6) / mail.length > this.#worst)
      this.#noteWorst(mail);
    if (why !== null) this.#failure = { why, mail: smallest(this.#read, mail, why).toString('base64') };
  }

  /** A candidate for the worst is run again: once is no measure. */
  #noteWorst(mail: Uint8Array): void {
    const perByte = (least(this.#read, mail, 10) * 1e6) / mail.length;
    if (perByte <= this.#worst) return;
    this.#worst = perByte;
    this.#worstMail = Buffer.from(mail).toString('base64');
  }
}

/** `none`, a code, or in words what was broken. */
function outcome(read: Read, mail: Uint8Array): string {
  try {
    return broken(read(mail), mail) ?? 'none';
  } catch (error) {
    return error instanceof SluiceError ? error.code : `threw ${String(error)}`;
  }
}

/** The promise that a decoded mail breaks, null where it keeps them all. */
function broken(body: MailBody, mail: Uint8Array): string | null {
  const { texts, hidden, links, attachments, headers, raw } = body;
  if (raw.buffer !== mail.buffer || raw.byteOffset < mail.byteOffset) return 'raw is not of the mail';
  let length = 0;
  for (const { text } of texts) {
    if (text === '') return 'an empty text';
    length += text.length;
  }
  for (const text of hidden) length += text.length;
  // A flowed or decoded text is never longer than its bytes; each part may be of them once.
  if (length > mail.length) return 'more text than bytes';
  if (links.length > 1_000) return 'too many links';
  for (const { shown, target } of links)
    if (shown.length > 300 || target.length > 2_000) return 'a link too long';
  for (const { size, digest } of attachments)
    if (size > mail.length || !/^(?:[0-9a-f]{64})?$/.test(digest)) return 'an attachment that cannot be';
  let fields = 0;
  for (const [name, value] of headers) {
    if (name === '' || name !== name.toLowerCase() || value.includes('\n'))
      return 'a header field that is none';
    fields += name.length + value.length;
  }
  return fields > mail.length ? 'more header than bytes' : null;
}

/** The least of some runs, ms. */
function least(read: Read, mail: Uint8Array, runs: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i += 1) {
    const start = performance.now();
    outcome(read, mail);
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function slowness(read: Read, mail: Uint8Array): string | null {
  return least(read, mail, 10) > LIMIT_MS(mail.length) ? 'slow' : null;
}

/** Tries of making a failing mail smaller. */
const MAX_TRIES = 3_000;

/** Cuts pieces out as long as the mail still fails in the same way. */
function smallest(read: Read, mail: Uint8Array, why: string): Buffer {
  let best = Buffer.from(mail);
  const fails = (one: Uint8Array) =>
    why === 'slow' ? slowness(read, one) === why : outcome(read, one) === why;
  let tries = 0;
  for (let size = best.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < best.length && tries < MAX_TRIES; tries += 1) {
      const less = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (fails(less)) best = less;
      else at += size;
    }
  }
  return best;
}

/** Bytes in use by this thread after a collection. */
function liveMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
