/**
 * What a filter may look at in a mail. Promises: no header that another filter or a person's mail reader left
 * behind (verdicts, folders, read marks) is ever seen, neither in the raw nor in the decoded view, so a model
 * learns from the mail and not from its judges; the raw view is bounded, head and tail. It never sees a path, a
 * file name on disk or the mbox `From ` line, which are no part of a mail.
 */

/**
 * Names of filters and their kin, anywhere in a header's name: whatever a scanner calls itself, its header
 * carries one of these.
 */
const VERDICT = new RegExp(
  'spam|bogosity|bogofilter|crm114|popfile|scanner|scanned|rspam|razor|pyzor|dcc-|-dcc|brightmail|amavis|virus|' +
    'antiabuse|x-pmx|x-sa-|x-ham|x-scl|-scl$|x-forefront|x-ms-exchange-organization|x-ironport|x-proofpoint|' +
    'x-barracuda|x-cloudmark|x-mimecast|x-sophos|x-vade|x-vr-|x-assp|x-dspam|x-ovh|x-gmx|x-cmae|x-ces-|' +
    'x-text-classification|x-rav-|x-evi-|x-nuvotem|x-clamav|x-junk|x-quarantine|x-filter|x-sluice',
);

/** Marks of the reader's own mailbox: they say what became of the mail. */
const MAILBOX = new Set([
  'status',
  'x-status',
  'x-keywords',
  'keywords',
  'x-uid',
  'x-uidl',
  'x-sluidl',
  'x-imap',
  'x-imapbase',
  'x-folder',
  'x-mozilla-status',
  'x-mozilla-status2',
  'x-mozilla-keys',
  'x-evolution',
  'x-evolution-source',
  'x-gmail-labels',
  'x-gm-thrid',
  'x-label',
  'x-savedsubject',
  'replied',
  'forwarded',
  'x-replied',
  'x-forwarded',
  'x-mailbox-line',
  'content-length',
  'lines',
  'x-offlineimap',
  'x-pstn-levels',
  'x-pstn-settings',
]);

/** What mailing lists write. */
const LIST =
  /^(?:list-|x-list|precedence$|x-mailman|x-beenthere$|x-mailing-list$|mailing-list$|x-loop$|errors-to$|x-listserver)/;

/** What filters write in front of a subject they judged. */
const SUBJECT_TAG =
  /^(subject:\s*(?:(?:re|fwd?):\s*)?)(?:\*{2,}\s*spam\s*\*{2,}|[[{](?:possible |probable |definitely )?spam\s*\??[\]}]|spam[:>])\s*/i;
/** No more of a subject is searched for it. */
const SUBJECT_START = 100;

/** A subject without the verdict that a filter wrote into it; `line` begins with the field's name. */
function untagged(line: string): string {
  return line.replace(SUBJECT_TAG, '$1');
}

/** The value of a header as features may see it. */
export function usableValue(name: string, value: string): string {
  return name === 'subject' ? untagged(`subject: ${value}`).slice('subject: '.length) : value;
}

const known = new Map<string, 'verdict' | 'list' | 'free'>();
/** Names come from strangers: what is remembered of them is bounded. */
const MAX_KNOWN = 4_096;

function kindOf(name: string): 'verdict' | 'list' | 'free' {
  const seen = known.get(name);
  if (seen !== undefined) return seen;
  const kind = VERDICT.test(name) || MAILBOX.has(name) ? 'verdict' : LIST.test(name) ? 'list' : 'free';
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(name, kind);
  return kind;
}

/** Whether features may be made of a header; `name` in lower case. */
export function mayUse(name: string, listHeaders: boolean): boolean {
  const kind = kindOf(name);
  return kind === 'free' || (kind === 'list' && listHeaders);
}

const LF = 0x0a;
/** Longer than any header name that is looked at. */
const MAX_NAME = 200;

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
    this.bytes.set(raw.subarray(from, to), this.end);
    this.end += to - from;
  }

  /** Copies a header line as far as there is room for headers. */
  #copyLine(raw: Uint8Array, at: number, next: number): void {
    let from = at;
    if ((raw[at] | 0x20) === 0x73 /* s */) {
      from = Math.min(next, at + SUBJECT_START);
      const start = Buffer.from(untagged(Buffer.from(raw.subarray(at, from)).toString('latin1')), 'latin1');
      this.#copy(start, 0, Math.min(start.length, this.#headerBytes - this.end));
    }
    this.#copy(raw, from, Math.min(next, from + this.#headerBytes - this.end));
  }

  /** Copies the permitted header lines; returns where the body begins. */
  #copyHeaders(raw: Uint8Array): number {
    let at = startsWithFrom(raw) ? afterLine(raw, 0) : 0;
    let keep = true;
    while (at < raw.length) {
      const next = afterLine(raw, at);
      if (isBlank(raw, at, next)) return next;
      const folded = raw[at] === 0x20 || raw[at] === 0x09;
      if (!folded) {
        const name = fieldName(raw, at, next);
        if (name === '') return at;
        keep = mayUse(name, this.#listHeaders);
      }
      if (keep) this.#copyLine(raw, at, next);
      at = next;
    }
    return at;
  }
}

function startsWithFrom(raw: Uint8Array): boolean {
  return raw[0] === 0x46 && raw[1] === 0x72 && raw[2] === 0x6f && raw[3] === 0x6d && raw[4] === 0x20;
}

function afterLine(raw: Uint8Array, at: number): number {
  const feed = raw.indexOf(LF, at);
  return feed < 0 ? raw.length : feed + 1;
}

function isBlank(raw: Uint8Array, at: number, next: number): boolean {
  return next - at === 1 ? raw[at] === LF : next - at === 2 && raw[at] === 0x0d && raw[at + 1] === LF;
}

/** Lower-case name of the field in this line; '' where none begins here. */
function fieldName(raw: Uint8Array, at: number, next: number): string {
  let name = '';
  const end = Math.min(next, at + MAX_NAME);
  for (let i = at; i < end; i += 1) {
    const byte = raw[i];
    if (byte === 0x3a) return name.trimEnd();
    if (byte < 0x20 || byte > 0x7e) return '';
    name += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
  }
  return '';
}
