/**
 * Wrong labels, as an attacker or a careless reader gives them, and a campaign that changes a little with each mail. Promises: what is
 * not poisoned keeps its order and its label; the same random numbers give the same lessons.
 *
 * Dictionary attack: mails with all words of good mail, truly labelled spam because they are (Nelson et al., LEET 2008).
 */
import type { Attacker } from './attacks.ts';
import type { Lesson, Specimen } from './laboratory.ts';
import { putTogether, takeApart } from './rewriting.ts';

export const honest = (mails: readonly Specimen[]): Lesson[] =>
  mails.map(({ raw, spam }) => ({ raw, label: spam }));

/** A share of the labels turned round, at random. */
export function flipped(mails: readonly Specimen[], share: number, random: () => number): Lesson[] {
  return mails.map(({ raw, spam }) => ({ raw, label: random() < share ? !spam : spam }));
}

/** The labels of all mails that `chosen` names turned round. */
export function turned(mails: readonly Specimen[], chosen: (mail: Specimen) => boolean): Lesson[] {
  return mails.map((mail) => ({ raw: mail.raw, label: chosen(mail) ? !mail.spam : mail.spam }));
}

/** A word list of this size in each mail. */
const DICTIONARY = 20_000;

/** Honest lessons with mails of the whole dictionary among them, a share of all. Their headers are those of some spam. */
export function withDictionary(
  mails: readonly Specimen[],
  share: number,
  { dictionary, random }: Attacker,
): Lesson[] {
  const spam = mails.filter((mail) => mail.spam);
  const text = dictionary.slice(0, DICTIONARY).join(' ');
  const lessons: Lesson[] = [];
  for (const lesson of honest(mails)) {
    lessons.push(lesson);
    if (random() >= share) continue;
    const pieces = takeApart(spam[Math.floor(random() * spam.length)].raw);
    lessons.push({ raw: putTogether(pieces, [{ type: 'text/plain', body: `${text}\n` }]), label: true });
  }
  return lessons;
}

/** The domain of the sender; '' where there is none. */
export function senderOf(raw: Buffer): string {
  const from = /^from:[^\n]*?@([a-z0-9.-]+)/im.exec(raw.subarray(0, 16_384).toString('latin1'));
  return from?.[1].toLowerCase() ?? '';
}

/** The sender of most of the good mail. */
export function busiestSender(mails: readonly Specimen[]): string {
  const counts = new Map<string, number>();
  for (const { raw, spam } of mails) {
    const sender = senderOf(raw);
    if (!spam && sender !== '') counts.set(sender, (counts.get(sender) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '';
}

const CHANGED = 0.1;

/** The next copy of a campaign's mail: one word in ten another, a new sender, a new number in the subject. */
export function nextCopy(raw: Buffer, { dictionary, random }: Attacker): Buffer {
  const pieces = takeApart(raw);
  const other = () => dictionary[Math.floor(random() * dictionary.length)];
  const text = pieces.text.replace(/\p{L}{3,}/gu, (word) => (random() < CHANGED ? other() : word));
  const fields = pieces.fields.map((field) =>
    /^(?:from|message-id|reply-to|return-path)[ \t]*:/i.test(field)
      ? field.replace(
          /[^\s<@"]+@[^\s>",;]+/g,
          () => `${other()}${Math.floor(random() * 1e4)}@${other()}.example`,
        )
      : field,
  );
  const links = pieces.mail.links.slice(0, 5).map(({ target }) => target.replace(/[?#].*$/s, ''));
  const body = `${text}\n${links.map((link) => `\n${link}?${Math.floor(random() * 1e6)}`).join('')}\n`;
  const ascii = fields.map((field) => Buffer.from(field, 'utf8').toString('latin1'));
  return putTogether(
    { ...pieces, fields: ascii },
    [{ type: 'text/plain', body }],
    `${pieces.subject} ${Math.floor(random() * 1e4)}`,
  );
}
