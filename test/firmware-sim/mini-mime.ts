/**
 * A strict little MIME reader for well-formed mail only: the tests' referee for what the generator
 * writes, written apart from the gateway's decoder. Throws on anything that is not well formed.
 */
export interface ParsedEntity {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly type: string;
  readonly charset: string | undefined;
  readonly encoding: string;
  /** Decoded bytes of a leaf. */
  readonly body: Buffer;
  readonly parts: readonly ParsedEntity[];
}

export function parseEntity(raw: Buffer): ParsedEntity {
  const text = raw.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error('no empty line');
  const headers = text
    .slice(0, end)
    .replace(/\r\n(?=[ \t])/g, '')
    .split('\r\n')
    .map((line) => {
      const colon = line.indexOf(':');
      if (colon <= 0) throw new Error(`no header: ${line}`);
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    });
  const value = (name: string): string => headers.find(([key]) => key === name)?.[1] ?? '';
  const contentType = value('content-type');
  const type = contentType.split(';')[0];
  const body = text.slice(end + 4);
  const boundary = /boundary="([^"]+)"/.exec(contentType)?.[1];
  return {
    headers,
    type,
    charset: /charset=([^;\s]+)/.exec(contentType)?.[1],
    encoding: value('content-transfer-encoding'),
    body: boundary ? Buffer.alloc(0) : decodeBody(body, value('content-transfer-encoding')),
    parts: boundary ? splitParts(body, boundary).map((part) => parseEntity(Buffer.from(part, 'latin1'))) : [],
  };
}

function splitParts(body: string, boundary: string): string[] {
  const pieces = `\r\n${body}`.split(`\r\n--${boundary}`);
  if (!pieces[pieces.length - 1].startsWith('--')) throw new Error('no closing boundary');
  return pieces.slice(1, -1).map((piece) => {
    if (!piece.startsWith('\r\n')) throw new Error('text after a boundary');
    return piece.slice(2);
  });
}

function decodeBody(body: string, encoding: string): Buffer {
  if (encoding === '7bit') {
    if (/[^\t\r\n -~]/.test(body.replaceAll('\u001b', ''))) throw new Error('8 bits in 7bit');
    return Buffer.from(body, 'latin1');
  }
  if (encoding === '8bit') return Buffer.from(body, 'latin1');
  if (encoding === 'base64') {
    if (/[^A-Za-z0-9+/=\r\n]/.test(body)) throw new Error('not base64');
    return Buffer.from(body, 'base64');
  }
  if (encoding !== 'quoted-printable') throw new Error(`encoding ${encoding}`);
  if (/=(?![0-9A-F]{2}|\r\n)/.test(body)) throw new Error('not quoted-printable');
  return Buffer.from(
    body
      .replace(/=\r\n/g, '')
      .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** RFC 2047; adjacent encoded words join without the space between them. */
export function decodeWords(text: string): string {
  return text
    .replace(/(\?=)\s+(?==\?)/g, '$1')
    .replace(/=\?([^?]+)\?([BQ])\?([^?]*)\?=/g, (_, charset: string, scheme: string, data: string) => {
      const bytes =
        scheme === 'B'
          ? Buffer.from(data, 'base64')
          : Buffer.from(
              data
                .replace(/_/g, ' ')
                .replace(/=([0-9A-F]{2})/g, (__, hex: string) =>
                  String.fromCharCode(Number.parseInt(hex, 16)),
                ),
              'latin1',
            );
      return decodeStrictly(bytes, charset);
    });
}

/** The text of bytes; throws on bytes that the charset does not have. */
export function decodeStrictly(bytes: Uint8Array, charset = 'us-ascii'): string {
  const decoder = new TextDecoder(charset, { fatal: true });
  // Without `stream` some Node 20 builds take windows-1252 for latin1.
  return decoder.decode(bytes, { stream: true }) + decoder.decode();
}
