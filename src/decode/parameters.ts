/**
 * Parameters of structured header fields (RFC 2045 section 5.1, RFC 2231). Promises: linear in the length of the value, of
 * which a bounded part is read; never throws: what is no parameter is passed over.
 */
import { decodeText, hexDigit } from './charset.ts';

/** A structured value: `text/html; charset="x"`. */
export interface Parameterised {
  /** Lower case, without parameters. */
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Parameters beyond these are not read, nor what stands further on in the value. */
const MAX_PARAMETERS = 64;
const MAX_PARAMETER_TEXT = 16_384;
const PARAMETER = /;\s*([^\s=;"]{1,100})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))/gsy;

/** Value and parameters of Content-Type or Content-Disposition, continuations and charsets by RFC 2231. */
export function parseParameters(whole: string): Parameterised {
  const text = whole.length > MAX_PARAMETER_TEXT ? whole.slice(0, MAX_PARAMETER_TEXT) : whole;
  const semicolon = text.indexOf(';');
  const value = (semicolon < 0 ? text : text.slice(0, semicolon)).trim().toLowerCase();
  const raw = new Map<string, string>();
  if (semicolon < 0) return { value, parameters: raw };
  PARAMETER.lastIndex = semicolon;
  for (let count = 0; count < MAX_PARAMETERS; count += 1) {
    const from = PARAMETER.lastIndex;
    const match = PARAMETER.exec(text);
    if (match === null) {
      // Something that is no parameter: go on after the next semicolon.
      const next = text.indexOf(';', from + 1);
      if (next < 0) break;
      PARAMETER.lastIndex = next;
      continue;
    }
    const name = match[1].toLowerCase();
    const content = match[2] === undefined ? match[3].trim() : match[2].replace(/\\(.)/gs, '$1');
    if (!raw.has(name)) raw.set(name, content);
    // Rubbish between a closing quote and the next semicolon is skipped.
    const next = text.indexOf(';', PARAMETER.lastIndex);
    if (next < 0) break;
    PARAMETER.lastIndex = next;
  }
  return { value, parameters: joinContinuations(raw) };
}

/** `name*0*=utf-8'en'%41; name*1=b` and `name*=utf-8''%41` (RFC 2231 sections 3 and 4). */
function joinContinuations(raw: Map<string, string>): Map<string, string> {
  let extended = false;
  for (const name of raw.keys()) extended ||= name.includes('*');
  if (!extended) return raw;
  const joined = new Map<string, string>();
  for (const [name, content] of raw) {
    const star = name.indexOf('*');
    if (star < 0) {
      if (!joined.has(name)) joined.set(name, content);
    } else if (name === `${name.slice(0, star)}*` || name.startsWith('*0', star)) {
      joined.set(name.slice(0, star), extendedValue(raw, name.slice(0, star)));
    }
  }
  return joined;
}

function extendedValue(raw: Map<string, string>, name: string): string {
  const whole = raw.get(`${name}*`);
  if (whole !== undefined) return percentText(whole);
  const pieces: Buffer[] = [];
  let charset = '';
  for (let section = 0; ; section += 1) {
    const plain = raw.get(`${name}*${section}`);
    const coded = raw.get(`${name}*${section}*`);
    if (plain === undefined && coded === undefined) break;
    if (coded === undefined) {
      pieces.push(Buffer.from(plain ?? '', 'utf8'));
      continue;
    }
    const { label, text } = section === 0 ? splitCharset(coded) : { label: charset, text: coded };
    charset = label;
    pieces.push(percentBytes(text));
  }
  return decodeText(Buffer.concat(pieces), charset);
}

function splitCharset(text: string): { label: string; text: string } {
  const first = text.indexOf("'");
  const second = first < 0 ? -1 : text.indexOf("'", first + 1);
  if (second < 0) return { label: '', text };
  return { label: text.slice(0, first), text: text.slice(second + 1) };
}

function percentText(text: string): string {
  const { label, text: rest } = splitCharset(text);
  return decodeText(percentBytes(rest), label);
}

function percentBytes(text: string): Buffer {
  const out = Buffer.from(text, 'utf8');
  let length = 0;
  for (let i = 0; i < out.length; i += 1) {
    const high = out[i] === 0x25 && i + 2 < out.length ? hexDigit(out[i + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(out[i + 2]);
    if (low >= 0) {
      out[length++] = (high << 4) | low;
      i += 2;
    } else out[length++] = out[i];
  }
  return out.subarray(0, length);
}
