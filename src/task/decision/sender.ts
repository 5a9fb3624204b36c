/**
 * Who a mail is from, and whether that is more than a claim. From is what anyone may write; it counts as authenticated
 * only where the topmost `Authentication-Results` of the site's own server says that the domain of From itself, or one
 * above it, signed the mail (DKIM) or was found aligned (DMARC). SPF alone is not enough: whoever rents a place at the
 * same mail host passes it. Fields of that name that came with the mail lie below the server's own; a server that
 * writes none must remove them (RFC 8601, section 5).
 *
 * Everything is read from the raw header section: decoded words (RFC 2047) could hold brackets and semicolons that were
 * no structure. Where From is missing, double, of several mailboxes or not plain ASCII there is no sender.
 */
import type { Event } from '../../contract.ts';
import { readResults } from './results.ts';

export interface Sender {
  /** Address of From in lower case; '' where there is no single one. */
  readonly address: string;
  readonly authenticated: boolean;
  /** To and Cc of a mail that a user of this site submitted, logged in; else empty. */
  readonly recipients: readonly string[];
}

/** No sender is looked for behind so many bytes of headers, and no more recipients than this are taken. */
const MAX_HEADERS = 65_536;
const MAX_RECIPIENTS = 100;
/** RFC 5321, 4.5.3.1. */
const MAX_ADDRESS = 320;

const [TAB, LF, CR, BLANK] = [9, 10, 13, 32];
const FIELD = /^(from|to|cc|authentication-results)[ \t]*:(.*)$/is;
/** First letters of these names. */
const INITIALS = new Uint8Array(256);
for (const letter of 'fFtTcCaA') INITIALS[letter.charCodeAt(0)] = 1;
const ADDRESS = /^[!#-'*+\-./0-9=?A-Z^-~]+@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i;

/** Null for what is no mail. `server`: the `authserv-id` of the site's own server, null: nobody is authenticated. */
export function readSender({ body }: Event, server: string | null): Sender | null {
  if (body.kind !== 'mail') return null;
  const fields = readFields(body.raw);
  const found = server === null ? null : topmost(fields.get('authentication-results') ?? [], server);
  const from = fields.get('from') ?? [];
  const mailboxes = from.length === 1 ? addresses(from[0], 2) : [];
  const address = mailboxes.length === 1 ? mailboxes[0] : '';
  const domain = domainOf(address);
  const authenticated = domain !== '' && (found?.domains ?? []).some((signed) => isWithin(domain, signed));
  const sent = found?.submitted ? [...(fields.get('to') ?? []), ...(fields.get('cc') ?? [])] : [];
  return { address, authenticated, recipients: addresses(sent.join(','), MAX_RECIPIENTS) };
}

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

/** `domain` is `parent` or lies below it. */
export const isWithin = (domain: string, parent: string): boolean =>
  domain === parent || (parent.includes('.') && domain.endsWith(`.${parent}`));

/** The first that names the server; those below it may have come with the mail. */
function topmost(values: readonly string[], server: string) {
  for (const value of values) {
    const name = /^[\s]*"?([^\s;"(]+)/.exec(value)?.[1] ?? '';
    if (name.toLowerCase() === server.toLowerCase()) return readResults(value, server);
  }
  return null;
}

/** The fields that matter, unfolded, by name and in order. Lines that cannot begin one of them cost one look. */
function readFields(raw: Uint8Array): Map<string, string[]> {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.length, MAX_HEADERS));
  const fields = new Map<string, string[]>();
  for (let at = 0; at < bytes.length && !isBlank(bytes, at); ) {
    let end = lineEnd(bytes, at);
    if (INITIALS[bytes[at]] === 1) {
      while (bytes[end] === BLANK || bytes[end] === TAB) end = lineEnd(bytes, end);
      const match = FIELD.exec(bytes.toString('latin1', at, end));
      if (match) {
        const name = match[1].toLowerCase();
        fields.set(name, [...(fields.get(name) ?? []), match[2].replace(/[\r\n]+/g, ' ')]);
      }
    }
    at = end;
  }
  return fields;
}

/** Index after the line break at or behind `at`. */
function lineEnd(bytes: Buffer, at: number): number {
  const found = bytes.indexOf(LF, at);
  return found < 0 ? bytes.length : found + 1;
}

const isBlank = (bytes: Buffer, at: number): boolean =>
  bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] === LF);

/**
 * Addresses of a list of mailboxes (RFC 5322, 3.4), without names and comments; quoted local parts and groups are not
 * understood and give an entry of '' (so that it is seen that there was one), at most `most`.
 */
function addresses(value: string, most: number): string[] {
  return mailboxes(value, most).map((text) => {
    const angle = /<([^<>]*)>$/.exec(text);
    const address = (angle ? angle[1] : text).trim().toLowerCase();
    const plain = angle === null || !/[<>]/.test(text.slice(0, angle.index));
    return plain && address.length <= MAX_ADDRESS && ADDRESS.test(address) ? address : '';
  });
}

/** Cut at commas that are no part of a quoted string, a comment or an angle; quoted strings become one `"`. */
function mailboxes(value: string, most: number): string[] {
  const found: string[] = [];
  let text = '';
  let [depth, quoted, angle] = [0, false, false];
  const end = (): void => {
    if (text.trim() !== '') found.push(text.trim());
    text = '';
  };
  for (let i = 0; i < value.length && found.length < most; i++) {
    const letter = value[i];
    if (letter === '\\' && (quoted || depth > 0)) i += 1;
    else if (quoted) quoted = letter !== '"';
    else if (depth > 0 || letter === '(') depth += letter === '(' ? 1 : letter === ')' ? -1 : 0;
    else if (letter === '"') {
      quoted = true;
      text += '"';
    } else if (letter === ',' && !angle) end();
    else {
      if (letter === '<') angle = true;
      if (letter === '>') angle = false;
      text += letter;
    }
  }
  if (found.length < most) end();
  return found;
}
