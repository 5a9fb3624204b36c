/** The real mails, where they are at hand: SLUICE_DATA, else beside the repository. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Message } from '../../src/contract.ts';

const root = path.resolve(import.meta.dirname, '..', '..');
const data = process.env.SLUICE_DATA ?? path.join(root, '..', 'shared', 'data');

export interface LabelledMail {
  readonly spam: boolean;
  readonly payload: Buffer;
}

/** Mails of the SpamAssassin stream in order; null (and one line that says so) where the data is missing. */
export function readCorpus(index: 'index.tsv' | 'index-all.tsv'): LabelledMail[] | null {
  const folder = path.join(data, 'spamassassin');
  if (!existsSync(path.join(folder, index))) {
    console.warn(`skipped: no real mails in ${folder} (set SLUICE_DATA)`);
    return null;
  }
  const lines = readFileSync(path.join(folder, index), 'utf8').trim().split('\n').slice(1);
  return lines.map((line) => {
    const [file, label] = line.split('\t');
    return { spam: label === 'spam', payload: readFileSync(path.join(folder, file)) };
  });
}

/** A message as a source would give it. */
export function messageOf(payload: Uint8Array | string, more: Partial<Message> = {}): Message {
  return {
    source: 'test',
    topic: 'mail/in',
    key: null,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    headers: {},
    at: Date.UTC(2026, 0, 1),
    position: '',
    ...more,
  };
}
