/** Two parsers of other people read what we read. All of the real mails: `npm run bench -- --case mail-agreement`. */
import { describe, expect, test } from 'vitest';
import { count, differences, emptyTally, type Kind } from '../../bench/mail/agreement.ts';
import { REFEREES } from '../../bench/mail/referees.ts';
import { mimeOptions, readMail } from '../../src/decode/mime.ts';
import { readCorpus } from './corpus.ts';

const options = mimeOptions.parse({});
type Referee = keyof typeof REFEREES;
const NAMES = Object.keys(REFEREES) as Referee[];

async function compare(raw: string | Buffer, referee: Referee) {
  const bytes = Buffer.from(raw as string);
  return differences(bytes, readMail(bytes, options), await REFEREES[referee](bytes));
}

const head = 'From: "A, B" <a@b.example>\nTo: c@d.example (E), f@g.example\nSubject: s\nMIME-Version: 1.0\n';
const mixed = (parts: string) => `${head}Content-Type: multipart/mixed; boundary=b\n\n${parts}--b--\n`;

describe.each(NAMES)('%s reads word by word what we read', (referee) => {
  test.each<[string, string | Buffer]>([
    ['plain text', `${head}\nsome words\nand more\n`],
    ['encoded words', `${head}X: y\nSubject: =?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=\n =?koi8-r?B?8PLJ?=\n\nx\n`],
    [
      'alternatives, encodings and charsets',
      mixed(
        '--b\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8PLJ18XU\n--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>caf=C3=A9 &amp;=20\n<b>more</b></p><script>no</script><!-- no -->\n',
      ),
    ],
    [
      'multiparts in multiparts, preamble and epilogue',
      mixed(
        'preamble\n--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\none\n--i\nContent-Type: text/html\n\n<table><tr><td>two<td>three</table>\n--i--\n',
      ),
    ],
    ['references and lists', `${head}Content-Type: text/html\n\n&eacute;&#149;&#x20ac;<ul><li>a<li>b</ul>`],
    ['flowed text', `${head}Content-Type: text/plain; format=flowed\n\none \ntwo\n`],
  ])('%s', async (_, raw) => {
    expect(await compare(raw, referee)).toEqual([]);
  });
});

describe('every kind of difference is told by its name', () => {
  const html = `${head}Content-Type: text/html; charset=utf-8\n\n`;
  const flowed = `${head}Content-Type: text/plain; format=flowed\n\n> one \n> two\n>> three\n`;
  test.each<[Kind, Referee, string | Buffer]>([
    ['charset', 'postal-mime', Buffer.from(`${head}\ncaf\xe9 \x93x\x94\n`, 'latin1')],
    ['charset', 'mailparser', Buffer.from(`${head}\ncaf\xe9 \x93x\x94\n`, 'latin1')],
    ['hidden', 'postal-mime', `${html}<p>seen <b style="display:none">not seen</b> seen</p>`],
    ['hidden', 'mailparser', `${html}Vi<b hidden>x</b>agra`],
    ['flowed', 'postal-mime', flowed],
    ['subtype', 'mailparser', mixed('--b\n\none\n--b\nContent-Type: text/x-log\n\nlogged\n')],
    ['no type', 'mailparser', `${head}Content-Type: text/plain charset=us-ascii\n\nsome text\n`],
    [
      'messages',
      'mailparser',
      mixed(
        '--b\n\none\n--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: in\n\ninner\n',
      ),
    ],
    ['comments', 'postal-mime', 'To: A (B) <a@b.example>\n\nx\n'],
    ['addresses', 'postal-mime', 'From: "a@b.example"@c.example\n\nx\n'],
    ['no parts', 'postal-mime', `${head}Content-Type: multipart/mixed; boundary=b\n\nonly words\n`],
    ['comment', 'postal-mime', `${html}one <!--#x> two`],
    [
      'base64',
      'mailparser',
      `${head}Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nb25lIHR3bw\n____\nabcd efgh\n`,
    ],
  ])('%s (%s)', async (kind, referee, raw) => {
    expect((await compare(raw, referee)).map((one) => one.kind)).toEqual([kind]);
  });

  test('and what has no name stays unexplained', async () => {
    const raw = Buffer.from(`${head}\none two\n`);
    const theirs = await REFEREES.mailparser(raw);
    const found = differences(raw, readMail(raw, options), { ...theirs, plain: ['one', 'three'] });
    expect(found.map((one) => one.kind)).toEqual(['other']);
  });
});

const corpus = readCorpus('index-all.tsv');

test.skipIf(corpus === null)('of real mails at least 99 % agree, and nothing is unexplained', async () => {
  const sample = (corpus ?? []).filter((_, i) => i % 24 === 0);
  for (const referee of NAMES) {
    const tally = emptyTally();
    for (const { payload } of sample) count(tally, await compare(payload, referee));
    expect(tally.mails).toBe(252);
    expect(tally.agreeing).toBeGreaterThanOrEqual(0.99 * tally.mails);
    expect(tally.kinds.get('other') ?? 0).toBe(0);
  }
});
