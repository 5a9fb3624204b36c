/**
 * Mails that fuzzing begins with: one of each thing that the decoder knows, so that mutation has all of them at hand, and
 * the words that mutation puts in. Promises: small (a few hundred bytes each), made here, the same every time.
 */
import { WORST, worst } from './worst.ts';

const MADE: readonly string[] = [
  'Subject: =?utf-8?Q?caf=C3=A9?= =?utf-8?B?w6k=?=\n =?iso-2022-jp?B?GyRCJUYbKEI=?=\nFrom: "A, B" <a@b>\nTo: c@d (e)\n\nplain text\n',
  'From a@b Mon Jan  1 00:00:00 2001\nReceived: by x; Tue, 2 Jul 2002 11:51:15 +0100\nMessage-ID: <a.b@c>\nDate: Mon, 1 Jan 1990 00:00:00 +0000\n\nbody\n',
  'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<a href="http://x/">y</a><span style="display:none">z</span>\r\n--b\r\nContent-Type: application/pdf; name="x.pdf"\r\nContent-Disposition: attachment; filename*0*=utf-8\'\'%C3%A9; filename*1=".pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\nZGVm\r\n--b--\r\nepilogue\r\n',
  'Content-Type: multipart/alternative; boundary=o\n\n--o\nContent-Type: multipart/related; boundary=i\n\n--i\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=windows-1252\n\na=93b=94=\nc=20\n--i--\n--o\n\nsecond\n--o--\n',
  'Content-Type: message/rfc822\n\nFrom x\nContent-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: inner\n\ntext\n--d\nContent-Type: message/rfc822\n\nSubject: two\n\nmore\n--d--\n',
  'Content-Type: text/plain; format=flowed; delsp=yes\n\n> quoted \n> on\n>> deeper \nflows \non\n-- \nsignature\n',
  'Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n<html><head><title>t</title><style>p{color:red}</style></head><body bgcolor="#ffffff" text=white><p hidden>a<!-- b -->c<table><tr><td bgcolor=black><font color="#000000" size=1>d&nbsp;&#233;&#x41;&eacute</font><td>e</table><script>f</script><img src=g alt=h><form action=i><input><select><option>j</select></body></html>',
  'Content-Type: text/html\n\n<div style="font-size:0px"><span style="font-size:12px">a</span></div><div style="position:absolute;left:-9999px">b</div><b style="color:rgb(255,255,254)">c</b>',
  "<html><body>no header <a href='http://1.2.3.4/'>http://bank.example</a></body></html>",
  'Content-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8PLJ18XU\n_____\nlist footer\n',
  'Content-Type: multipart/mixed\n\n--guess\n\nbody http://a.b/c?d=e www.f.g\n--guess--\n',
  'Content-Type: text; ;;=\nX-A(b): c\n>Received: d\nContent-Type: text/html\n\n<p>e',
];

/** What changes the meaning of a mail most. */
export const TOKENS: readonly Buffer[] = [
  '\n',
  '\r\n',
  '\r',
  '\n\n',
  '\r\n\r\n',
  '\n ',
  '\n\t',
  ':',
  ';',
  '"',
  '=',
  '\\',
  '--',
  '\n--',
  '--b',
  '\n--b\n',
  '\n--b--\n',
  'From ',
  '\nFrom ',
  'Subject: ',
  'Content-Type: text/html\n',
  'Content-Type: text/plain; charset=',
  'Content-Type: multipart/mixed; boundary=b\n\n',
  'Content-Type: message/rfc822\n\n',
  'Content-Type: multipart/digest; boundary=b\n',
  'Content-Transfer-Encoding: base64\n',
  'Content-Transfer-Encoding: quoted-printable\n',
  'Content-Disposition: attachment; filename=',
  'format=flowed; delsp=yes',
  'boundary=""',
  'boundary=',
  "*0*=utf-8''",
  '*1=',
  "*=x''%",
  'utf-8',
  'utf-16le',
  'iso-2022-jp',
  'gb18030',
  'big5',
  'x-unknown',
  '=?utf-8?B?',
  '=?iso-2022-jp?Q?',
  '?=',
  '?= =?',
  '=\n',
  '=3D',
  '=E9',
  '\x1b$B',
  '\x1b(B',
  '\xe9',
  '\xc3',
  '\xa9',
  '\xf0\x9f\x98\x80',
  '\xff\xfe',
  '\0',
  '<',
  '>',
  '</',
  '<!',
  '<!--',
  '-->',
  '<a href=',
  '</a>',
  '<b hidden>',
  '<p>',
  '<td bgcolor=black>',
  '<table>',
  '</table>',
  '<font color=white>',
  '<style>',
  '</style>',
  '<script>',
  '</script>',
  '<title>',
  ' style="display:none"',
  ' style="font-size:1px;color:#fff"',
  "'",
  '&',
  '&#',
  '&#x',
  '&nbsp',
  '&amp;',
  '&#99999999;',
  'http://',
  'www.',
  '>>> ',
  '-- \n',
].map((text) => Buffer.from(text, 'latin1'));

/** Mails made here, and the beginnings and ends of real ones where there are some. */
export function seedMails(real: readonly Uint8Array[], most: number): Buffer[] {
  const made = MADE.map((text) => Buffer.from(text, 'latin1'));
  const hostile = Object.keys(WORST).map((name) => worst(name, 300).subarray(0, most));
  const cut = real.map((raw) => shortened(Buffer.from(raw), most));
  return [...made, ...hostile, ...cut];
}

/** A mail with a third of its room for headers and the rest for the body's begin. */
function shortened(raw: Buffer, most: number): Buffer {
  const blank = raw.indexOf('\n\n');
  if (blank < 0) return raw.subarray(0, most);
  const content = /^(?:content-|subject|from:|to:|mime-)[^\n]*\n(?:[ \t][^\n]*\n)*/gim;
  const head = (raw.toString('latin1', 0, blank + 1).match(content) ?? []).join('').slice(0, most / 3);
  return Buffer.concat([Buffer.from(`${head}\n`, 'latin1'), raw.subarray(blank + 2, blank + (2 * most) / 3)]);
}
