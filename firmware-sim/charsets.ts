/**
 * Text to the bytes of a legacy charset. Node decodes them all (ICU) but encodes only UTF-8, so each
 * table is the decoder read backwards: exact by construction, built on first use (a few ms for a
 * double-byte charset). A character that the charset lacks becomes `?`, as mail programs do.
 */

/** Charsets that mail is written in here. Values: how many bytes a character may take. */
const KINDS = {
  'us-ascii': 1,
  'utf-8': 0,
  'iso-8859-1': 1,
  'iso-8859-2': 1,
  'iso-8859-15': 1,
  'windows-1252': 1,
  'windows-1251': 1,
  'koi8-r': 1,
  shift_jis: 2,
  gb2312: 2,
  gb18030: 2,
  big5: 2,
  'euc-kr': 2,
  'iso-2022-jp': 7,
} as const;

export type Charset = keyof typeof KINDS;
export const charsets = Object.keys(KINDS) as Charset[];

/** From a character to its one or two bytes (first byte high). */
type Table = ReadonlyMap<string, number>;
const tables = new Map<string, Table>();

function singleByteTable(charset: Charset): Table {
  const decoder = new TextDecoder(charset);
  const table = new Map<string, number>();
  // The web takes iso-8859-1 for windows-1252; in mail, 80 to 9F are control characters there.
  for (let b = charset.startsWith('iso-8859') ? 0xa0 : 0x80; b < 0x100; b++) {
    // Without `stream` some Node 20 builds take windows-1252 for latin1.
    const text = decoder.decode(Uint8Array.of(b), { stream: true });
    if (text.length === 1 && text !== '\ufffd' && text.charCodeAt(0) > 0x9f) table.set(text, b);
  }
  return table;
}

/** All pairs go through the decoder in one go, each on a line of its own: LF is never a trail byte. */
function doubleByteTable(charset: Charset | 'euc-jp'): Table {
  // gb2312 and the JIS set live in the rows from A1 on; the others also use lower lead and trail bytes.
  const low = charset === 'gb2312' || charset === 'euc-jp' || charset === 'euc-kr' ? 0xa1 : 0x40;
  const pairs: number[] = [];
  for (let lead = low === 0xa1 ? 0xa1 : 0x81; lead < 0xff; lead++) {
    // In Shift_JIS these are half-width katakana, one byte each.
    if (charset === 'shift_jis' && lead >= 0xa0 && lead < 0xe0) continue;
    for (let trail = low; trail < 0xff; trail++) if (trail !== 0x7f) pairs.push((lead << 8) | trail);
  }
  const bytes = new Uint8Array(pairs.length * 3);
  for (let i = 0; i < pairs.length; i++) bytes.set([pairs[i] >> 8, pairs[i] & 0xff, 0x0a], i * 3);
  const lines = new TextDecoder(charset).decode(bytes).split('\n');
  const table = new Map<string, number>();
  pairs.forEach((pair, i) => {
    const text = lines[i];
    const one = text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
    if (one && text !== '\ufffd' && !table.has(text)) table.set(text, pair);
  });
  return table;
}

function tableOf(charset: Charset): Table {
  let table = tables.get(charset);
  if (!table) {
    if (charset === 'us-ascii') table = new Map();
    else if (KINDS[charset] === 1) table = singleByteTable(charset);
    else table = doubleByteTable(charset === 'iso-2022-jp' ? 'euc-jp' : charset);
    tables.set(charset, table);
  }
  return table;
}

/** Whether every character of the text exists in the charset. */
export function canEncode(text: string, charset: Charset): boolean {
  if (charset === 'utf-8') return true;
  const table = tableOf(charset);
  for (const char of text) if (char.charCodeAt(0) > 0x7f && !table.has(char)) return false;
  return true;
}

/** The text in the bytes of the charset. */
export function encodeText(text: string, charset: Charset): Buffer {
  if (charset === 'utf-8') return Buffer.from(text, 'utf8');
  if (charset === 'iso-2022-jp') return encodeIso2022(text, tableOf(charset));
  const table = tableOf(charset);
  const out: number[] = [];
  for (const char of text) {
    const code = char.charCodeAt(0);
    const bytes = code < 0x80 ? code : (table.get(char) ?? 0x3f);
    if (bytes > 0xff) out.push(bytes >> 8, bytes & 0xff);
    else out.push(bytes);
  }
  return Buffer.from(out);
}

const TO_JIS = [0x1b, 0x24, 0x42];
const TO_ASCII = [0x1b, 0x28, 0x42];

/** RFC 1468: escapes switch between ASCII and JIS X 0208; a line ends in ASCII. */
function encodeIso2022(text: string, table: Table): Buffer {
  const out: number[] = [];
  let jis = false;
  const turn = (to: boolean): void => {
    if (jis === to) return;
    out.push(...(to ? TO_JIS : TO_ASCII));
    jis = to;
  };
  for (const char of text) {
    const bytes = table.get(char);
    turn(bytes !== undefined);
    if (bytes === undefined) out.push(char.charCodeAt(0) < 0x80 ? char.charCodeAt(0) : 0x3f);
    else out.push((bytes >> 8) & 0x7f, bytes & 0x7f);
  }
  turn(false);
  return Buffer.from(out);
}
