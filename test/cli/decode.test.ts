import { expect, it } from 'vitest';
import { cellCounts, mailLines } from '../../src/cli/decode/mail.ts';
import { mimeOptions, openMime } from '../../src/decode/mime.ts';
import { openEmail } from '../../src/features/email.ts';
import { emailOptions } from '../../src/features/email-options.ts';
import { messageOf } from '../decode/corpus.ts';

function linesOf(mail: string): string[] {
  const [event] = openMime(mimeOptions.parse({})).decode(messageOf(mail));
  if (event.body.kind !== 'mail') throw new Error('no mail');
  const row = openEmail(emailOptions.parse({})).describe(event);
  return [...mailLines({ ...event.body, bytes: event.body.raw.length }, row), cellCounts(row)];
}

const multipart = (...parts: string[]) =>
  `From: Bank <a@b.example>\r\nSubject: Your account\r\nX-Other: y\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n${parts.map((part) => `--q\r\n${part}\r\n`).join('')}--q--\r\n`;

it('shows what the reader sees, what is hidden from him, where links lead and what is attached', () => {
  const lines = linesOf(
    multipart(
      'Content-Type: text/html\r\n\r\n<p>Log in n\u200bow</p><a href="http://10.0.0.1/x">www.bank.example</a> <a href="http://c.example">more</a> <a href="http://c.example">more</a><div style="display:none">one two three</div>',
      'Content-Type: application/pdf; name=bill.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD',
    ),
  );
  const text = lines.join('\n');
  expect(lines[0]).toMatch(/^mail {4}\d+ bytes, 4 headers, 1 text, 3 links, 1 attachment, 3 hidden words$/);
  expect(lines).toContain('        subject: Your account');
  expect(text).not.toContain('x-other');
  expect(text).toMatch(/^html {4}\d+ characters\n {8}│ Log in /m);
  expect(lines).toContain('hidden  one two three');
  expect(lines).toContain(
    'link    "www.bank.example" → http://10.0.0.1/x  (host is a number, shows another host)',
  );
  expect(lines).toContain('link    "more" → http://c.example  ×2');
  expect(text).toMatch(/^attach {2}application\/pdf "bill\.pdf", 3 bytes, sha256 b5d4045c3f466fa9…$/m);
  expect(lines).toContain('odd     characters without width inside words: 1');
  expect(lines).toContain('odd     words hidden from the reader: 2 to 3');
  expect(lines.at(-1)).toMatch(/raw \d+.*, disguise 2/);
});

it('prints nothing that moves the terminal, and is short whatever the mail', () => {
  const lines = linesOf(
    multipart(
      `Content-Type: text/plain; charset=utf-8\r\n\r\n\u001b[2J\u202eevil ${'wide '.repeat(500)}\r\n${'a line\r\n'.repeat(500)}`,
      `Content-Type: text/html\r\n\r\n${Array.from({ length: 300 }, (_, i) => `<a href="http://h${i}.example/\u001b]0;x">${'l'.repeat(300)}</a>`).join('')}`,
      ...Array.from({ length: 60 }, (_, i) => `Content-Type: a/b; name="\u001b[1m${i}"\r\n\r\nx`),
    ),
  );
  expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(lines.length).toBeLessThan(100);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(400);
  expect(lines.join('\n')).toMatch(/… \d+ lines more[\s\S]*… 280 more[\s\S]*… 40 more/);
});
