import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Message } from '../../src/contract.ts';
import { SluiceError } from '../../src/errors.ts';
import { type InputOptions, readInput } from '../../src/io/files.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-mail-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function write(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, 'latin1');
  return path;
}

async function read(options: InputOptions): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of readInput(options)) messages.push(message);
  return messages;
}

const texts = (messages: readonly Message[]) =>
  messages.map((m) => Buffer.from(m.payload).toString('latin1'));
const subjects = (messages: readonly Message[]) =>
  texts(messages).map((text) => /^Subject: (.*)$/m.exec(text)?.[1]);

/** A mail whose own server received it at `day`, and whose Date and lower Received lines say otherwise. */
function mail(subject: string, day: number): string {
  const received = `Received: from a by b; Mon, ${day} Jul 2002 11:00:00 +0000`;
  return `${received}\nReceived: from x by a;\n\tMon, 1 Jan 2035 00:00:00 +0000\nDate: Mon, 1 Jan 1990 00:00:00 +0000\nSubject: ${subject}\n\nbody\xe9\n`;
}

it('plays an index in its order, with or without a header line, bytes untouched', async () => {
  await write('i/data/2', mail('two', 9));
  await write('i/data/1', mail('one', 8));
  const rows = 'data/2\tspam\nsub/../data/1\tham\n';
  for (const [name, text] of [
    ['i/index.tsv', `path\tlabel\tmore\n${rows}`],
    ['i/plain.tsv', rows],
  ]) {
    const messages = await read({ path: await write(name, text) });
    expect(texts(messages)).toEqual([mail('two', 9), mail('one', 8)]);
    expect(messages.map((m) => m.label)).toEqual(['spam', 'ham']);
    expect(messages[0].at).toBe(Date.UTC(2002, 6, 9, 11));
  }
});

it('says in which line an index names a file that is not there', async () => {
  const path = await write('i/lost.tsv', 'path\tlabel\ndata/absent\tham\n');
  await expect(read({ path, format: 'index' })).rejects.toThrow(/lost\.tsv:2: .*absent/);
});

it('lets no path or file name into payload, topic, key or headers', async () => {
  await write('secretname/spam-0001.eml', mail('x', 3));
  for (const message of await read({ path: join(folder, 'secretname') })) {
    const { position, payload, ...rest } = message;
    expect(position).toBe('secretname/spam-0001.eml#1');
    expect(JSON.stringify(rest) + Buffer.from(payload).toString('latin1')).not.toMatch(
      /secretname|spam-0001/,
    );
  }
});

it('orders folders by the topmost Received date, then by name, whichever folder they are in', async () => {
  await write('ham/a.eml', mail('ham 5', 5));
  await write('ham/c.eml', mail('ham 2', 2));
  await write('spam/b.eml', mail('spam 3', 3));
  await write('spam/b2.eml', mail('spam 2', 2));
  await write('ham/notes.txt', 'no mail');
  const messages = await read({ path: [`ham=${join(folder, 'ham')}`, `spam=${join(folder, 'spam')}`] });
  expect(subjects(messages)).toEqual(['spam 2', 'ham 2', 'spam 3', 'ham 5']);
  expect(messages.map((m) => m.label)).toEqual(['spam', 'ham', 'spam', 'ham']);
});

it('reads cur and new of a maildir, not tmp', async () => {
  await write('box/cur/1:2,S', mail('cur', 2));
  await write('box/new/2', mail('new', 1));
  await write('box/tmp/3', mail('tmp', 3));
  const messages = await read({ path: `ham=${join(folder, 'box')}` });
  expect(subjects(messages)).toEqual(['new', 'cur']);
  expect(messages[0].label).toBe('ham');
});

const MBOX =
  'From a@b Tue Jul  2 12:56:13 2002\nSubject: one\n\nFrom here on it is text\n>From quoted\n>>From twice\n\nFrom the start of a paragraph\n\n' +
  'From c@d Wed Jul  3 12:56:13 2002\nSubject: two\n\nend\n';

it('cuts an mbox at From lines after empty ones and unquotes >From', async () => {
  const messages = await read({ path: await write('one.mbox', MBOX) });
  expect(texts(messages)).toEqual([
    'Subject: one\n\nFrom here on it is text\nFrom quoted\n>From twice\n\nFrom the start of a paragraph\n',
    'Subject: two\n\nend\n',
  ]);
  expect(messages.map((m) => m.position)).toEqual(['one.mbox#1', 'one.mbox#2']);
});

it('finds every mail of an mbox wherever the chunks of the file end', async () => {
  const long = 'x'.repeat(300_001);
  const mails = Array.from({ length: 7 }, (_, i) => `Subject: ${i}\n\n${long.slice(i * 997)}\n`);
  const text = mails.map((each) => `From a@b Tue Jul  2 12:56:13 2002\n${each}`).join('\n');
  expect(texts(await read({ path: await write('long.mbox', `${text}\n`) }))).toEqual(mails);
});

it('merges labelled mailboxes by date', async () => {
  const box = (name: string, days: readonly number[]) =>
    write(
      name,
      days.map((day) => `From a@b Tue Jul  2 12:56:13 2002\n${mail(`${name} ${day}`, day)}\n`).join(''),
    );
  const path = [`ham=${await box('h', [1, 9])}`, `spam=${await box('s', [4, 2])}`];
  const messages = await read({ path });
  expect(subjects(messages)).toEqual(['h 1', 's 2', 's 4', 'h 9']);
  expect(messages.map((m) => m.label)).toEqual(['ham', 'spam', 'spam', 'ham']);
});

it('refuses a label for a format that carries its own', async () => {
  const error: unknown = await read({ path: `ham=${await write('own.csv', 'a\n1\n')}` }).catch((e) => e);
  expect(error).toBeInstanceOf(SluiceError);
  expect((error as SluiceError).code).toBe('USAGE');
});
