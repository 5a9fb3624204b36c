import { describe, expect, it } from 'vitest';
import { canEncode, charsets, encodeText } from '../../firmware-sim/charsets.ts';
import { mailDate } from '../../firmware-sim/draft.ts';
import { type GeneratedMail, MailGenerator } from '../../firmware-sim/mail.ts';
import { encodeHeaderText, foldHeader, quotedPrintable } from '../../firmware-sim/mime.ts';
import { type Sparse, TinyLogistic } from './learner.ts';
import { decodeStrictly, decodeWords, type ParsedEntity, parseEntity } from './mini-mime.ts';

const START = Date.UTC(2026, 2, 1);

function generate(seed: number, count: number, options = {}): GeneratedMail[] {
  const generator = new MailGenerator({ seed, ...options });
  return Array.from({ length: count }, (_, i) => generator.next(START + i * 60_000));
}

const mails = generate(7, 3_000, { garbage: 0 });
const parsed = mails.map((mail) => parseEntity(mail.raw));

function leaves(entity: ParsedEntity): ParsedEntity[] {
  return entity.parts.length > 0 ? entity.parts.flatMap(leaves) : [entity];
}
const header = (entity: ParsedEntity, name: string): string | undefined =>
  entity.headers.find(([key]) => key === name)?.[1];

describe('generated mail', () => {
  it('is the same bytes for the same seed, and other bytes for another', () => {
    const same = generate(7, 200, { garbage: 0 });
    expect(same.every((mail, i) => mail.raw.equals(mails[i].raw))).toBe(true);
    expect(generate(8, 5).every((mail, i) => mail.raw.equals(mails[i].raw))).toBe(false);
  });

  it('is valid RFC 5322: header lines of ASCII within 998 columns, CRLF throughout, an empty line', () => {
    const wrong: string[] = [];
    for (const { raw } of mails) {
      const text = raw.toString('latin1');
      if (/[^\r]\n|\r[^\n]/.test(text)) wrong.push('a line end that is not CRLF');
      const end = text.indexOf('\r\n\r\n');
      for (const line of text.slice(0, end).split('\r\n'))
        if (!/^([!-9;-~]+: |[ \t]+\S)[ -~]*$/.test(line)) wrong.push(line);
      for (const line of text.split('\r\n')) if (line.length > 998) wrong.push(line);
    }
    expect(wrong).toEqual([]);
  });

  it('has each of the headers that a mail must have once, and a Message-ID of its own', () => {
    const once = ['date', 'from', 'to', 'subject', 'message-id', 'mime-version', 'content-type'];
    const wrong: string[] = [];
    for (const [i, entity] of parsed.entries()) {
      const names = entity.headers.map(([name]) => name);
      for (const name of once) if (names.filter((n) => n === name).length !== 1) wrong.push(`${i}: ${name}`);
      if (!names.includes('received')) wrong.push(`${i}: received`);
      if (header(entity, 'message-id') !== `<${mails[i].messageId}>`) wrong.push(`${i}: another message-id`);
      const away = Math.abs(Date.parse(header(entity, 'date') ?? '') - (START + i * 60_000));
      if (!(away < 61_000)) wrong.push(`${i}: date`);
    }
    expect(wrong).toEqual([]);
    expect(new Set(mails.map((mail) => mail.messageId)).size).toBe(mails.length);
  });

  it('decodes from its stated charsets to the text that was meant', () => {
    const wrong: string[] = [];
    for (const [i, entity] of parsed.entries()) {
      const { charset, subject, text } = mails[i];
      if (decodeWords(header(entity, 'subject') ?? '') !== subject) wrong.push(`${charset}: ${subject}`);
      const texts = leaves(entity)
        .filter((leaf) => leaf.type.startsWith('text/') && leaf.charset)
        .map((leaf) => decodeStrictly(leaf.body, leaf.charset));
      if (texts.length === 0) wrong.push(`${i}: no text`);
      const words = text.replace(/https?:\S+/g, '').match(/[\p{L}\p{N}]+/gu) ?? [];
      const all = texts.join('\n');
      for (const word of words) if (!all.includes(word)) wrong.push(`${charset}: ${word}`);
    }
    expect(wrong).toEqual([]);
  });

  it('is varied: languages, charsets, structures, encodings, attachments, lists, replies', () => {
    expect(new Set(mails.map((mail) => mail.language)).size).toBe(9);
    expect(new Set(mails.map((mail) => mail.charset)).size).toBeGreaterThanOrEqual(12);
    const all = parsed.flatMap(leaves);
    for (const encoding of ['7bit', '8bit', 'base64', 'quoted-printable'])
      expect(all.filter((leaf) => leaf.encoding === encoding).length, encoding).toBeGreaterThan(50);
    for (const type of [
      'multipart/alternative',
      'multipart/mixed',
      'multipart/related',
      'text/plain',
      'text/html',
    ])
      expect(parsed.filter((entity) => entity.type === type).length, type).toBeGreaterThan(50);
    for (const name of ['list-id', 'in-reply-to', 'reply-to', 'x-mailer', 'user-agent', 'list-unsubscribe'])
      expect(parsed.filter((entity) => header(entity, name)).length, name).toBeGreaterThan(30);
    expect(new Set(mails.map((mail) => mail.text)).size).toBeGreaterThan(0.98 * mails.length);
  });

  it('shows one address and leads to another in spam, hardly ever in ham', () => {
    const posing = (label: string) =>
      mails.filter((mail, i) => {
        if (mail.label !== label) return false;
        const html = leaves(parsed[i])
          .filter((leaf) => leaf.type === 'text/html')
          .map((leaf) => leaf.body.toString('latin1'));
        const links = html.flatMap((text) => [...text.matchAll(/<a href="([^"]+)">(https?:[^<]+)<\/a>/g)]);
        return links.some(([, target, shown]) => target !== shown);
      }).length;
    expect(posing('spam')).toBeGreaterThan(100);
    expect(posing('ham')).toBe(0);
  });

  it('has the stated shares of spam and garbage', () => {
    const some = generate(9, 4_000, { spam: 0.3, garbage: 0.05 });
    const garbage = some.filter((mail) => mail.label === null).length;
    const spam = some.filter((mail) => mail.label === 'spam').length;
    expect(Math.abs(garbage / 4_000 - 0.05)).toBeLessThan(0.015);
    expect(Math.abs(spam / (4_000 - garbage) - 0.3)).toBeLessThan(0.03);
  });

  it('can be learned from its words alone to about 97 %, but not fully', () => {
    const model = new TinyLogistic(2 ** 16, 0.15);
    let right = 0;
    const stream = generate(12, 6_000, { garbage: 0 });
    stream.forEach((mail, i) => {
      const row = wordsOf(mail);
      const label = mail.label === 'spam' ? 1 : 0;
      if (i >= 3_000 && (model.score(row) > 0.5 ? 1 : 0) === label) right += 1;
      model.learn(row, label);
    });
    expect(right / 3_000).toBeGreaterThan(0.97);
    expect(right / 3_000).toBeLessThan(0.998);
  });

  it('names nobody who can be reached: reserved domains and documentation addresses only', () => {
    for (const { raw } of mails) {
      const text = raw.toString('latin1').split('\r\n\r\n')[0];
      for (const [, domain] of text.matchAll(/@([a-z0-9.-]+\.[a-z]+)/g))
        expect(domain).toMatch(/(^|\.)(example|test|invalid|example\.(com|org|net))$/);
      for (const [address] of text.matchAll(/\b\d{1,3}(\.\d{1,3}){3}\b/g))
        expect(address).toMatch(/^(192\.0\.2|198\.51\.100|203\.0\.113)\./);
    }
  });
});

function wordsOf(mail: GeneratedMail): Sparse {
  const words = new Set(`${mail.subject} ${mail.text}`.toLowerCase().match(/[\p{L}\p{N}]+/gu));
  return [...words].map((word) => {
    let hash = 0;
    for (let i = 0; i < word.length; i++) hash = (Math.imul(hash, 31) + word.charCodeAt(i)) | 0;
    return [(hash >>> 0) % 2 ** 16, 1] as const;
  });
}

describe('charsets written here', () => {
  const samples = [
    ['iso-8859-1', 'Grüße, señor, déjà'],
    ['iso-8859-2', 'Cześć, źdźbło'],
    ['iso-8859-15', 'Preis 5 €, œuvre'],
    ['windows-1252', '“quoted” – €'],
    ['koi8-r', 'Здравствуйте, ещё'],
    ['windows-1251', 'Здравствуйте, ещё'],
    ['shift_jis', '日本語のポンプ、です。 abc'],
    ['iso-2022-jp', '日本語のポンプ、です。 abc\r\n次の行'],
    ['gb2312', '您好，水泵'],
    ['gb18030', '您好，水泵'],
    ['big5', '您好，謝謝'],
    ['euc-kr', '안녕하세요 펌프'],
  ] as const;

  it.each(samples)('%s reads back as what was written', (charset, text) => {
    expect(canEncode(text, charset)).toBe(true);
    expect(decodeStrictly(encodeText(text, charset), charset)).toBe(text);
  });

  it('put a question mark where a character is lacking, and say so before', () => {
    for (const charset of charsets) {
      if (charset === 'utf-8' || charset === 'gb18030') continue;
      expect(canEncode('ꙮ', charset), charset).toBe(false);
      expect(decodeStrictly(encodeText('aꙮb', charset), charset)).toBe('a?b');
    }
  });

  it('switch back to ASCII at the end in ISO-2022-JP', () => {
    expect(encodeText('日', 'iso-2022-jp').toString('latin1')).toBe('\u001b$BF|\u001b(B');
  });
});

describe('the mail writer', () => {
  it('splits encoded words at whole characters and at 75 columns', () => {
    const text = 'ポンプの件について、明日までに図面を確認していただけますか。'.repeat(3);
    for (const charset of ['utf-8', 'shift_jis', 'iso-2022-jp'] as const) {
      const encoded = encodeHeaderText(text, charset, 'B');
      const words = encoded.split(' ');
      expect(words.length).toBeGreaterThan(3);
      for (const word of words) {
        expect(word.length).toBeLessThanOrEqual(75);
        const [, , , base64] = word.split('?');
        expect(() => decodeStrictly(Buffer.from(base64, 'base64'), charset)).not.toThrow();
      }
      expect(decodeWords(encoded)).toBe(text);
    }
  });

  it('leaves ASCII headers alone', () => {
    expect(encodeHeaderText('Re: 50% off?', 'utf-8', 'B')).toBe('Re: 50% off?');
  });

  it('folds before column 78 and never breaks a word', () => {
    const folded = foldHeader('Subject', Array.from({ length: 40 }, (_, i) => `word${i}`).join(' '));
    for (const line of folded.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
    expect(folded.replace(/\r\n/g, '')).toBe(
      `Subject: ${Array.from({ length: 40 }, (_, i) => `word${i}`).join(' ')}`,
    );
  });

  it('writes quoted-printable in lines of at most 76 and without trailing spaces', () => {
    const text = `${'ü=x '.repeat(60)}\r\nend of line \r\n\tü`;
    const encoded = quotedPrintable(Buffer.from(text));
    for (const line of encoded.split('\r\n')) {
      expect(line.length).toBeLessThanOrEqual(76);
      expect(line).toMatch(/^[!-~ ]*[!-~]$|^$/);
    }
    const decoded = encoded
      .replace(/=\r\n/g, '')
      .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    expect(Buffer.from(decoded, 'latin1').toString()).toBe(text);
  });

  it('writes dates in any zone', () => {
    expect(mailDate(Date.UTC(2026, 0, 1, 0, 5, 9), 0)).toBe('Thu, 1 Jan 2026 00:05:09 +0000');
    expect(mailDate(Date.UTC(2026, 0, 1, 0, 5, 9), -330)).toBe('Wed, 31 Dec 2025 18:35:09 -0530');
  });
});
