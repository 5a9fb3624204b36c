/**
 * The most expensive mails that we could think of, each a shape that grows with `n` bytes. Promises: deterministic; every
 * one is within the default limits of the decoder, so that all of it is worked on.
 */

const html = (content: string): string => `Content-Type: text/html; charset=utf-8\n\n${content}`;
const plain = (content: string): string => `Content-Type: text/plain; charset=utf-8\n\n${content}`;
const encoded = (encoding: string, type: string, content: string): string =>
  `Content-Type: ${type}\nContent-Transfer-Encoding: ${encoding}\n\n${content}`;
const multipart = (content: string): string => `Content-Type: multipart/mixed; boundary=b\n\n${content}`;

/** Repeats a pattern up to about `n` bytes; `#` becomes a running number. */
function fill(pattern: string, n: number, most = Number.POSITIVE_INFINITY): string {
  const times = Math.min(most, Math.ceil(n / pattern.length));
  if (!pattern.includes('#')) return pattern.repeat(times);
  return Array.from({ length: times }, (_, i) => pattern.replaceAll('#', String(i))).join('');
}

/** What an attacker may write in a header: less than a MiB. */
const inHeader = (n: number): number => Math.min(n, 1_000_000);

export const WORST: Readonly<Record<string, (n: number) => string>> = {
  'nested comments': (n) => html(fill('<!--<!--', n)),
  'comments closed': (n) => html(fill('a<!-- -->', n)),
  'unclosed tags': (n) => html(fill('<a b="', n)),
  'quoted brackets': (n) => html(fill('<a c=">x"', n)),
  'opening brackets': (n) => html(fill('<', n)),
  'plain tags': (n) => html(fill('<b>', n)),
  'closing tags': (n) => html(fill('</b>', n)),
  'unmatched closings': (n) => html(`<b>${'<i>'.repeat(400)}${fill('</b>', n)}`),
  paragraphs: (n) => html(fill('<p>', n)),
  'deep tables': (n) => html(fill('<table><tr><td>', n)),
  'deep tables, closed': (n) => html(fill('<table><tr><td>', n / 2) + fill('</td></tr></table>', n / 2)),
  cells: (n) => html(`<table><tr>${fill('<td>a', n)}`),
  'many attributes': (n) => html(`<a ${fill('b#=c ', n)}>`),
  'empty attributes': (n) => html(fill('<a b c d e f g>', n)),
  'distinct styles': (n) => html(fill('<b style="color:#f0#;left:#px">', n)),
  'hidden elements': (n) => html(fill('<div style="display:none">a', n)),
  'hidden and shown': (n) => html(fill('<b hidden>a</b>b', n)),
  'style sheets': (n) => html(fill('<style></style>', n)),
  'unclosed scripts': (n) => html(fill('<script>a</script ', n)),
  'references, named': (n) => html(fill('&nbsp;&euro;', n)),
  'references, unknown': (n) => html(fill('&abcdefgh', n)),
  'references, numbers': (n) => html(fill('&#x1f600;', n)),
  ampersands: (n) => html(fill('&', n)),
  links: (n) => html(fill('<a href=x>y', n)),
  'links with references': (n) => html(`<a href="${fill('&amp;', n)}">y</a>`),
  pictures: (n) => html(fill('<img src=x alt=y>', n)),
  'addresses in text': (n) => plain(fill('http://www.a ', n)),
  'addresses glued': (n) => plain(fill('http://www.', n)),
  'addresses, almost': (n) => plain(fill('www.', n)),
  'colons in text': (n) => plain(fill('://', n)),
  'flowed lines': (n) => `Content-Type: text/plain; format=flowed; delsp=yes\n\n${fill('>> a \n', n)}`,
  'carriage returns': (n) => plain(fill('\r\n', n)),
  'blanks in html': (n) => html(fill(' \n', n)),
  'soft breaks': (n) => encoded('quoted-printable', 'text/plain', fill('=\n', n)),
  'soft breaks that are none': (n) => encoded('quoted-printable', 'text/plain', fill('=   ', n)),
  'escapes of one byte': (n) => encoded('quoted-printable', 'text/plain; charset=koi8-r', fill('=C1', n)),
  'base64 of line breaks': (n) => encoded('base64', 'text/plain', fill('QUFB\n', n)),
  'base64 of html': (n) =>
    encoded('base64', 'text/html', Buffer.from(fill('<td>&#97;', n * 0.7)).toString('base64')),
  'base64 attached': (n) =>
    encoded('base64', 'application/zip', fill('QUJDREVGR0g=', n).replaceAll('=', 'A')),
  'charset of many bytes': (n) => encoded('8bit', 'text/plain; charset=gb18030', fill('\xb0\xa1', n)),
  'charset of escapes': (n) => encoded('7bit', 'text/plain; charset=iso-2022-jp', fill('\x1b$B!!\x1b(B', n)),
  'utf-16': (n) => encoded('8bit', 'text/html; charset=utf-16le', fill('<\0b\0>\0', n)),
  'header fields': (n) => `${fill('a: b\n', n, 9_900)}\nx`,
  'distinct header fields': (n) => `${fill('a#: b\n', n, 9_900)}\nx`,
  'folded header': (n) => `Subject: a\n${fill(' b\n', inHeader(n))}\nx`,
  'header bytes above 127': (n) => `${fill('a: \xe9\n', n, 9_900)}\nx`,
  'encoded words': (n) => `Subject: ${fill('=?utf-8?q?a?= ', inHeader(n))}\n\nx`,
  'encoded words, many charsets': (n) =>
    `Subject: ${fill('=?gbk?b?xOM=?= =?big5?b?xOM=?= ', inHeader(n))}\n\nx`,
  'encoded words, unknown charsets': (n) => `Subject: ${fill('=?x#?q?=e9?= ', inHeader(n))}\n\nx`,
  'encoded words, never closed': (n) => `Subject: ${fill('=?a?q?', inHeader(n))}\n\nx`,
  'encoded words of escapes': (n) => `Subject: ${fill('=?iso-2022-jp?b?GyRC?= ', inHeader(n))}\n\nx`,
  parameters: (n) => `Content-Type: a/b${fill(';  "', inHeader(n))}\n\nx`,
  'parameter pieces': (n) => `Content-Type: a/b${fill("; name*#*=''%41", inHeader(n))}\n\nx`,
  'lines of dashes': (n) => multipart(fill('--\n', n)),
  'boundaries, almost': (n) => multipart(fill('--bc\n', n)),
  'boundaries of all levels': (n) =>
    `${Array.from({ length: 20 }, (_, i) => `Content-Type: multipart/mixed; boundary="${'b'.repeat(200)}${i}"\n\n--${'b'.repeat(200)}${i}\n`).join('')}\n${fill(`--${'b'.repeat(200)}\n`, n)}`,
  'small parts': (n) => multipart(fill('--b\n\na\n', n, 998)),
  'empty parts': (n) => multipart(fill('--b\n', n, 998)),
  'empty digest parts': (n) => `Content-Type: multipart/digest; boundary=d\n\n${fill('--d\n', n, 490)}`,
  'digest parts': (n) => `Content-Type: multipart/digest; boundary=d\n\n${fill('--d\n\na\n', n, 490)}`,
  'small attachments': (n) => multipart(fill('--b\nContent-Type:a/b\n\na\n', n, 998)),
  'small html parts': (n) => multipart(fill('--b\nContent-Type:text/html\n\n<b hidden>a\n', n, 998)),
  'words of one letter': (n) => plain(fill('a b ', n)),
  'words, all distinct': (n) => plain(fill('w# ', n)),
  'ideographs, all distinct': (n) =>
    plain(
      Buffer.from(
        Array.from({ length: n / 3 }, (_, i) => String.fromCharCode(0x4e00 + (i % 20_000))).join(''),
      ).toString('latin1'),
    ),
  'letters without width': (n) => plain(fill('a\xe2\x80\x8b', n)),
  'letters that look Latin': (n) => plain(fill('a\xd0\xb0 ', n)),
  'links, all distinct': (n) => html(fill('<a href=http://a#.b.c.d.e.f/g/h/i>www.j</a>', n)),
  'links of many labels': (n) => plain(fill(`http://${'a.'.repeat(140)}# `, n)),
  'hidden words, all distinct': (n) => html(`<b hidden>${fill('w# ', n / 2)}</b>${fill('w# ', n / 2)}`),
  'words in header fields': (n) => `${fill(`a#: ${'b c '.repeat(20)}\n`, inHeader(n), 9_900)}\nx`,
  'mailbox lines': (n) => fill('From a\n', inHeader(n)),
};

/** The bytes of one of them, about `n`. */
export function worst(name: string, n: number): Buffer {
  return Buffer.from(WORST[name](n), 'latin1');
}
