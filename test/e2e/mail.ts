/**
 * Real mail through a broker: every mail is published, its label is sent when its verdict is seen, at most
 * `open` mails at once. What the gateway says about its own accuracy on the metrics topic is what is asserted.
 */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bus } from './bus.ts';
import { patience, until } from './scale.ts';

/** The folder of real data, or null with one line that says so. */
export function dataFolder(): string | null {
  const folder = process.env.SLUICE_DATA ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));
  if (existsSync(folder)) return folder;
  console.error(`SKIPPED (no real data): ${folder} does not exist; set SLUICE_DATA`);
  return null;
}

export interface Mail {
  readonly label: string;
  readonly raw: Buffer;
}

/** The first `limit` mails of the stream, in order of delivery. */
export async function readMails(folder: string, limit: number): Promise<Mail[]> {
  const index = path.join(folder, 'spamassassin', 'index.tsv');
  const lines = (await readFile(index, 'utf8'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('path'));
  const mails: Mail[] = [];
  for (const line of lines.slice(0, limit)) {
    const [file, label] = line.split('\t');
    mails.push({ label, raw: await readFile(path.join(path.dirname(index), file)) });
  }
  return mails;
}

export interface MailTopics {
  readonly input: string;
  readonly verdict: string;
  readonly feedback: string;
  readonly metrics: string;
}

export interface MailAccount {
  readonly mails: number;
  readonly verdicts: number;
  readonly seconds: number;
  /** Of the last metrics window, over the whole run. */
  readonly tested: number;
  readonly accuracy: number;
  /** Counted by the test itself from verdicts that carried a label. */
  readonly countedAccuracy: number;
}

/**
 * Streams the mails. `open` bounds mails published without a verdict (Infinity: unpaced). Identical mails
 * share a weak identity; they are counted apart by the number of verdicts seen.
 */
export async function streamMail(
  bus: Bus,
  topics: MailTopics,
  mails: readonly Mail[],
  open: number,
): Promise<MailAccount> {
  let verdicts = 0;
  let correct = 0;
  let labelled = 0;
  let quality = { tested: 0, accuracy: 0 };
  let wake = () => {};
  const byMail = new Map<string, number>();
  const sending: Promise<void>[] = [];
  await bus.subscribe(topics.metrics, (payload) => {
    const { total } = JSON.parse(payload.toString()).data.quality;
    if (total.tested >= quality.tested) quality = { tested: total.tested, accuracy: total.accuracy };
  });
  await bus.subscribe(topics.verdict, (payload) => {
    const { event, label, device } = JSON.parse(payload.toString()).data;
    // The device of a mail is its key (Kafka) or its topic (MQTT); here the publisher's number.
    const n = Number(String(device).split('/').at(-1));
    if (byMail.has(String(n))) return;
    byMail.set(String(n), 1);
    verdicts += 1;
    const truth = mails[n].label;
    if (label !== null) {
      labelled += 1;
      if (label === truth) correct += 1;
    }
    sending.push(bus.publish(topics.feedback, JSON.stringify({ event, label: truth, origin: 'test' })));
    wake();
  });
  const started = performance.now();
  for (let n = 0; n < mails.length; n++) {
    while (n - verdicts >= open) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 1_000);
      });
    }
    sending.push(bus.publish(topics.input.replace('+', String(n)), mails[n].raw, String(n)));
  }
  await until(
    () => verdicts >= mails.length,
    patience,
    () => `${verdicts} of ${mails.length} verdicts`,
  );
  const seconds = (performance.now() - started) / 1000;
  await Promise.all(sending);
  await until(
    () => quality.tested >= labelled,
    60_000,
    () => `metrics say ${quality.tested} tested, ${labelled} verdicts had a label`,
  );
  return {
    mails: mails.length,
    verdicts,
    seconds: Math.round(seconds * 10) / 10,
    tested: quality.tested,
    accuracy: quality.accuracy,
    countedAccuracy: correct / Math.max(1, labelled),
  };
}
