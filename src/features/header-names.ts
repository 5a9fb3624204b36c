/**
 * What is known of a header by its name: whether features may be made of it. Promises: a filter's verdict or a mark of a person's
 * mailbox is never `free`, so that a model learns from the mail and not from its judges; what is remembered is bounded.
 */
import { letter, word, wordStart } from './hash.ts';

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

/** Headers whose value is new in nearly every mail: pairs of their words would only fill buckets. */
const UNIQUE = new Set([
  'message-id',
  'in-reply-to',
  'references',
  'date',
  'delivery-date',
  'dkim-signature',
  'arc-seal',
]);

export interface KnownHeader {
  /** In lower case. */
  readonly name: string;
  /** `verdict` of another filter or a mark of a mailbox, `list` of what mailing lists write, `free` all others. */
  readonly kind: 'verdict' | 'list' | 'free';
  readonly isUnique: boolean;
  /** Hash of the name as a word. */
  readonly hash: number;
}

const known = new Map<string, KnownHeader>();
/** By the FNV hash of the name; two names may share it. */
const byHash = new Map<number, KnownHeader>();
/** Names come from strangers: what is remembered of them is bounded. */
const MAX_KNOWN = 4_096;

/** The last of those that fell on each place by length and ends: seldom is one looked for in the map. */
const lately: (KnownHeader | null)[] = new Array(512).fill(null);

/** `name` in lower case. */
export function headerOf(name: string): KnownHeader {
  const { length } = name;
  const slot = (length * 31 + name.charCodeAt(0) * 7 + name.charCodeAt(length - 1) * 3) & 511;
  const last = lately[slot];
  if (last !== null && last.name === name) return last;
  const header = lookUp(name);
  lately[slot] = header;
  return header;
}

function lookUp(name: string): KnownHeader {
  const seen = known.get(name);
  if (seen !== undefined) return seen;
  const kind = VERDICT.test(name) || MAILBOX.has(name) ? 'verdict' : LIST.test(name) ? 'list' : 'free';
  const header: KnownHeader = { name, kind, isUnique: UNIQUE.has(name), hash: word(name) };
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(name, header);
  return header;
}

/** Whether features may be made of it. */
export function mayUse({ kind }: KnownHeader, listHeaders: boolean): boolean {
  return kind === 'free' || (kind === 'list' && listHeaders);
}

/** Longer than any header name that is looked at. */
const MAX_NAME = 200;
const COLON = 0x3a;

/** The field that begins at `at` of a line that ends at `next`; null where none does. */
export function headerAt(bytes: Uint8Array, at: number, next: number): KnownHeader | null {
  const end = Math.min(next, at + MAX_NAME);
  let hash = wordStart;
  let i = at;
  for (; i < end; i += 1) {
    const byte = bytes[i];
    if (byte === COLON) break;
    if (byte < 0x20 || byte > 0x7e) return null;
    hash = letter(hash, lower(byte));
  }
  if (i === end || i === at) return null;
  const seen = byHash.get(hash);
  if (seen !== undefined && isNamed(seen.name, bytes, at, i)) return seen;
  const name = Buffer.from(bytes.subarray(at, i)).toString('latin1').toLowerCase().trimEnd();
  if (name === '') return null;
  const header = headerOf(name);
  if (byHash.size >= MAX_KNOWN) byHash.clear();
  if (name.length === i - at) byHash.set(hash, header);
  return header;
}

function isNamed(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = from; i < to; i += 1) if (name.charCodeAt(i - from) !== lower(bytes[i])) return false;
  return true;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
