/**
 * Bytes from outside, made safe to print: text where they are UTF-8, else a hex dump. Promises: no control
 * character, no terminal escape and no text direction mark reaches the terminal; masked, no letter or digit of
 * the payload is shown, only its form.
 */

const WIDTH = 16;
/** C0 and C1 controls, separators and marks that move or hide text: the classes Cc, Cf, Zl, Zp; and lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line of text, safe to print; what is unsafe is shown as its code point. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (char) => {
    const point = char.codePointAt(0)!.toString(16);
    return point.length <= 2 ? `\\x${point.padStart(2, '0')}` : `\\u{${point}}`;
  });
}

/** Letters and digits gone, everything else as it was: enough to see what is broken, not what was written. */
export function mask(text: string): string {
  return text
    .replace(/\p{L}\p{M}*/gu, '•')
    .replace(/\p{N}/gu, '0')
    .replace(/\p{M}/gu, '');
}

/** The first `bytes` of a payload, as lines. */
export function preview(
  payload: Uint8Array,
  { plainly, bytes }: { plainly: boolean; bytes: number },
): string[] {
  const head = payload.subarray(0, bytes);
  const text = asText(head, payload.length > head.length);
  const more = payload.length > head.length ? [`… ${payload.length - head.length} bytes more`] : [];
  if (text !== null) {
    const lines = text.split(/\r\n|\n/);
    return [...lines.map((line) => safeText(plainly ? line : mask(line))), ...more];
  }
  return [...hexDump(head, plainly), ...more];
}

/** Null where the bytes are not UTF-8; a character cut at the end does not count. */
function asText(bytes: Uint8Array, cut: boolean): string | null {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const text = decoder.decode(bytes, { stream: cut });
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

/** `offset  hex bytes  |ascii|`; masked, printable ASCII letters and digits are hidden in both columns. */
function hexDump(bytes: Uint8Array, plainly: boolean): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const row = [...bytes.subarray(at, at + WIDTH)];
    const secret = (byte: number) => !plainly && /[A-Za-z0-9]/.test(String.fromCharCode(byte));
    const hex = row.map((byte) => (secret(byte) ? '••' : byte.toString(16).padStart(2, '0'))).join(' ');
    const ascii = row
      .map((byte) => (secret(byte) ? '•' : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'))
      .join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(WIDTH * 3 - 1)}  |${ascii}|`);
  }
  return lines;
}
