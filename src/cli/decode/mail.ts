/**
 * A decoded mail as lines for people: what its reader sees, what is hidden from him, where links really lead, what is
 * attached. Promises: every text from outside is safe to print; long mails are cut and the lines say so.
 */
import type { MailBody } from '../../contract.ts';
import { linkMarks } from '../../features/links.ts';
import { named } from '../../task/reasons/names.ts';
import { safeText } from '../preview.ts';

/** Headers that a reader looks at. */
const SHOWN = new Set(['from', 'to', 'cc', 'reply-to', 'subject', 'date', 'message-id']);
const WIDTH = 100;
const TEXT_LINES = 12;
const LINKS = 20;
const ATTACHMENTS = 20;

/** Marks of a link that honest ones seldom have. */
const ODD = /^(?:shows |user in address|host is a number|port |escaped|relative )/;

type Cell = { readonly name: string };

/** `row`: the cells that the features made of it. */
export function mailLines(
  mail: Omit<MailBody, 'raw' | 'kind'> & { readonly bytes: number },
  row: readonly Cell[],
): string[] {
  const { headers, texts, hidden, links, attachments, bytes } = mail;
  const words = countWords(hidden);
  const counts = [
    `${bytes} bytes`,
    plural(headers.length, 'header'),
    plural(texts.length, 'text'),
    plural(links.length, 'link'),
    plural(attachments.length, 'attachment'),
    plural(words, 'hidden word'),
  ];
  return [
    `mail    ${counts.join(', ')}`,
    ...headers.filter(([name]) => SHOWN.has(name)).map(([name, value]) => `        ${name}: ${cut(value)}`),
    ...texts.flatMap(textLines),
    ...(words > 0 ? [`hidden  ${cut(hidden.join(' '))}`] : []),
    ...listed(counted(links.map(linkLine)), LINKS, (line) => line),
    ...listed(attachments, ATTACHMENTS, attachmentLine),
    ...row
      .filter(({ name }) => name.startsWith('disguise: '))
      .map(({ name }) => `odd     ${named(name).text}`),
  ];
}

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

const countWords = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + (text.match(/[^\s]+/g)?.length ?? 0), 0);

/** Cells by namespace: `raw 270, header 40`. */
export function cellCounts(row: readonly Cell[]): string {
  const counts = new Map<string, number>();
  for (const { name } of row) {
    const space = /^([a-z]+): /i.exec(name)?.[1] ?? 'other';
    counts.set(space, (counts.get(space) ?? 0) + 1);
  }
  return [...counts].map(([space, count]) => `${space} ${count}`).join(', ');
}

/** One line, no wider than WIDTH. */
function cut(text: string): string {
  const line = text
    .slice(0, WIDTH * 4)
    .replace(/\s+/g, ' ')
    .trim();
  const safe = safeText(line);
  return safe.length > WIDTH || text.length > WIDTH * 4 ? `${safe.slice(0, WIDTH)} …` : safe;
}

function textLines({ text, type }: MailBody['texts'][number]): string[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const shown = lines.slice(0, TEXT_LINES).map((line) => `        │ ${cut(line)}`);
  const more =
    lines.length > TEXT_LINES ? [`        │ … ${plural(lines.length - TEXT_LINES, 'line')} more`] : [];
  const kind = type === 'html' ? 'html' : 'plain';
  return [`${kind.padEnd(8)}${plural(text.length, 'character')}`, ...shown, ...more];
}

/** Equal lines once, with how often. */
function counted(lines: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].map(([line, count]) => (count === 1 ? line : `${line}  ×${count}`));
}

function listed<T>(items: readonly T[], most: number, line: (item: T) => string): string[] {
  const more = items.length > most ? [`        … ${items.length - most} more`] : [];
  return [...items.slice(0, most).map(line), ...more];
}

function linkLine({ shown, target }: MailBody['links'][number]): string {
  const odd = linkMarks(shown, target).filter((mark) => ODD.test(mark) && mark !== 'shows nothing');
  const text = shown.trim() === '' ? 'shows nothing' : shown === target ? '' : JSON.stringify(cut(shown));
  const remark = odd.length > 0 ? `  (${odd.map(cut).join(', ')})` : '';
  return `link    ${text}${text === '' ? '' : ' → '}${cut(target)}${remark}`;
}

function attachmentLine({ type, name, size, digest }: MailBody['attachments'][number]): string {
  const called = name === '' ? 'without a name' : JSON.stringify(cut(name));
  const sum = digest === '' ? '' : `, sha256 ${digest.slice(0, 16)}…`;
  return `attach  ${cut(type)} ${called}, ${plural(size, 'byte')}${sum}`;
}
