/**
 * One entity of a mail: what its content headers make of it, and what its container's boundary is. Promises: broken headers
 * fall back as RFC 2045 section 5.2 and mail readers do; never throws, but for bytes that are no mail (DECODE_MAIL).
 */
import { SluiceError } from '../errors.ts';
import type { HeaderField } from './headers.ts';
import { type Parameterised, parseParameters } from './parameters.ts';

/** One entity whose body is being read. A container waits on the stack until its boundary closes it. */
export interface Entity {
  readonly type: Parameterised;
  readonly encoding: string;
  readonly disposition: Parameterised;
  readonly body: number;
}

const NO_PARAMETERS: Parameterised = { value: '', parameters: new Map() };

const PLAIN: Parameterised = { value: 'text/plain', parameters: new Map() };

const MESSAGE: Parameterised = { value: 'message/rfc822', parameters: new Map() };
type DefaultType = 'text/plain' | 'message/rfc822';

/** One without any header, as parts often are. */
function bare(defaultType: DefaultType, body: number): Entity {
  const type = defaultType === PLAIN.value ? PLAIN : MESSAGE;
  return { type, encoding: '', disposition: NO_PARAMETERS, body };
}

const TYPE = /^[^\s/]+\/[^\s/]+$/;

/** What the content headers of an entity say; `body` is where its body begins. */
export function entityOf(fields: readonly HeaderField[], body: number, defaultType: DefaultType): Entity {
  if (fields.length === 0) return bare(defaultType, body);
  let type = '';
  let encoding = '';
  let disposition = '';
  for (const [name, value] of fields) {
    // Asked of every header: `c`, and a dash behind `content`.
    if (name.charCodeAt(0) !== 0x63 || name.charCodeAt(7) !== 0x2d) continue;
    if (name === 'content-type') type ||= value;
    else if (name === 'content-transfer-encoding') encoding ||= value;
    else if (name === 'content-disposition') disposition ||= value;
  }
  const parsed = type === '' ? NO_PARAMETERS : parseParameters(type);
  // RFC 2045 5.2: what is no type/subtype is text/plain.
  const valid = TYPE.test(parsed.value);
  return {
    type: valid ? parsed : { value: type === '' ? defaultType : 'text/plain', parameters: parsed.parameters },
    encoding: encoding === '' ? '' : (/^[^\s;(]*/.exec(encoding.toLowerCase())?.[0] ?? ''),
    disposition: disposition === '' ? NO_PARAMETERS : parseParameters(disposition),
    body,
  };
}

/** RFC 2046 allows 70 characters; broken mailers write more. */
const MAX_BOUNDARY = 256;

const WITHOUT = Buffer.alloc(0);

/** `--boundary` of a container, empty for an attached message, null for a leaf. */
export function delimiterOf(entity: Entity, bytes: Buffer): Buffer | null {
  const type = entity.type.value;
  const isEncoded = entity.encoding === 'base64' || entity.encoding === 'quoted-printable';
  if (type === 'message/rfc822') return isEncoded ? null : WITHOUT;
  if (!type.startsWith('multipart/')) return null;
  const boundary = entity.type.parameters.get('boundary') ?? guessBoundary(bytes, entity.body);
  if (boundary === '' || boundary.length > MAX_BOUNDARY) return null;
  return Buffer.from(`--${boundary}`, 'utf8');
}

/** A multipart that does not name its boundary: a body that begins with `--something` shows it. */
function guessBoundary(bytes: Buffer, at: number): string {
  const begin = skipBlankLines(bytes, at);
  if (bytes[begin] !== 0x2d || bytes[begin + 1] !== 0x2d) return '';
  const line = bytes.toString('latin1', begin + 2, begin + 2 + MAX_BOUNDARY);
  return /^[^\r\n]*/.exec(line)?.[0].trimEnd() ?? '';
}

const SAMPLE = 4_096;

/** Bytes without any header line must at least look like text. */
export function refuseBinary(bytes: Buffer, at: number): void {
  const end = Math.min(bytes.length, at + SAMPLE);
  let controls = 0;
  for (let i = at; i < end; i += 1) {
    const byte = bytes[i];
    if (byte === 0) controls = end;
    if ((byte < 0x20 && (byte < 0x09 || byte > 0x0d) && byte !== 0x1b) || byte === 0x7f) controls += 1;
  }
  if (controls * 50 > end - at)
    throw new SluiceError('DECODE_MAIL', 'no header line, and the bytes are not text');
}

/** Index of the first byte at or after `from` that begins no blank line. */
export function skipBlankLines(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x20)) at += 1;
  return at;
}
