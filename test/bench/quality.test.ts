import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bogofilterVersion, MailFiles, numberTask } from '../../bench/quality/bogofilter.ts';
import { type Corpus, stripTelltale } from '../../bench/quality/corpora.ts';
import { figuresOf, meanFigures, ranks, type Verdict } from '../../bench/quality/figures.ts';
import {
  bogofilter,
  mailSettings,
  measureSetting,
  type Setting,
  sluice,
} from '../../bench/quality/protocols.ts';
import type { Message } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { parseFeedback, Teacher } from '../../src/task/feedback.ts';
import { seededRandom } from '../../src/task/random.ts';
import { SUFFICIENT } from '../../src/task/verdict.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-quality-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const strip = (text: string) => stripTelltale(Buffer.from(text, 'latin1')).toString('latin1');

describe('stripTelltale', () => {
  it.each([
    ['Subject: a\nX-Spam: yes\n\nbody\nX-Not: a header\n', 'Subject: a\n\nbody\nX-Not: a header\n'],
    ['List-Id: <a>\r\n\tmore\r\n more\r\nTo: b\r\n\r\nx', 'To: b\r\n\r\nx'],
    ['From a@b Mon\nSENDER: c\nPrecedence: bulk\nDelivered-To: d\nFrom: e\n\n', 'From a@b Mon\nFrom: e\n\n'],
    ['To: b\n folded: X-Mailer: no\nX-a: b', 'To: b\n folded: X-Mailer: no\n'],
    ['To: b\n\nList-Id: <inner>\n\nX-a: b\n', 'To: b\n\nList-Id: <inner>\n\nX-a: b\n'],
    [
      'Listing: a\nXylophone: b\nResent-Sender: c\nPrecedence-X: d\n\n',
      'Listing: a\nXylophone: b\nResent-Sender: c\nPrecedence-X: d\n\n',
    ],
    ['\n\nX-a: b\n', '\n\nX-a: b\n'],
    ['', ''],
  ])('of %j leaves %j', (raw, left) => {
    expect(strip(raw)).toBe(left);
  });

  it('keeps every other byte as it is', () => {
    const bytes = Buffer.concat([
      Buffer.from('X-A: 1\nTo: '),
      Buffer.from([0xff, 0xfe, 0x80, 0x0a, 0x0a, 0]),
    ]);
    expect(stripTelltale(bytes)).toEqual(bytes.subarray(7));
  });
});

describe('figures', () => {
  const verdict = (index: number, truth: number, spam: number): Verdict => {
    return { index, truth, predicted: spam >= 0.5 ? 1 : 0, spam };
  };

  it('tell scores apart that are one number in single precision, and leave ties ties', () => {
    const close = [1 - 2e-16, 1 - 1e-12, 0, 1e-300, 1, 1, 0.5];
    expect(ranks(close).map((rank) => rank * 2 ** 24)).toEqual([4, 3, 0, 1, 5, 5, 2]);
    const verdicts = close.map((spam, i) => verdict(i, [1, 0, 0, 0, 1, 1, 0][i], spam));
    expect(figuresOf(verdicts, 0, 1).oneMinusAuc).toBe(0);
    expect(figuresOf([verdict(0, 0, 1), verdict(1, 1, 1)], 0, 1).oneMinusAuc).toBe(50);
  });

  it('count from the event that is asked for, and refuse what has no spam or no ham', () => {
    const verdicts = [verdict(0, 1, 0.1), verdict(1, 0, 0.9), verdict(2, 1, 0.8), verdict(3, 0, 0.2)];
    expect(figuresOf(verdicts, 4, 1)).toMatchObject({ tested: 4, accuracy: 50, oneMinusAuc: 75 });
    expect(figuresOf(verdicts, 4, 1, 2)).toMatchObject({
      tested: 2,
      labels: 4,
      accuracy: 100,
      oneMinusAuc: 0,
    });
    expect(() => figuresOf(verdicts, 4, 1, 3)).toThrow('there must be ham and spam');
  });

  it('are averaged over runs', () => {
    const one = figuresOf([verdict(0, 1, 0.9), verdict(1, 0, 0.1)], 10, 1);
    const other = figuresOf([verdict(0, 1, 0.1), verdict(1, 0, 0.9)], 20, 1);
    expect(meanFigures([one, other])).toMatchObject({ labels: 15, oneMinusAuc: 50, accuracy: 50, tested: 2 });
  });
});

/** Mails whose words tell the label but for some. */
function corpus(count: number, seed = 1): Corpus {
  const random = seededRandom(seed, 'mails');
  const word = (kind: string) => `${kind}${Math.floor(random() * 20)}`;
  const messages = Array.from({ length: count }, (_, n): Message => {
    const label = random() < 0.4 ? 'spam' : 'ham';
    const words = Array.from({ length: 12 }, () =>
      word(random() < 0.3 ? 'plain' : label === 'spam' ? 'sell' : 'meet'),
    );
    const payload = Buffer.from(`Subject: ${word('topic')}\n\n${words.join(' ')}\n`);
    return {
      source: 'test',
      topic: '',
      key: null,
      headers: {},
      at: 1_000 * n,
      position: `#${n}`,
      payload,
      label,
    };
  });
  return { name: 'made', messages };
}

const setting = (feedback: string, more: Partial<Setting> = {}): Setting => {
  return { name: feedback, protocol: { kind: 'prequential' }, feedback, random: false, from: [0], ...more };
};

/** In place of bogofilter: writes down what it is asked, and says that every second mail is spam, every third unsure. */
const fake = join(folder, 'fake');
writeFileSync(
  fake,
  `#!/bin/sh
words=$3
case "$4" in -TT) verb=score ;; -s) verb=spam ;; -n) verb=ham ;; *) exit 3 ;; esac
while read -r file; do
  n=\${file##*/}
  echo "$verb $n" >>"$words/../log"
  [ "$verb" != score ] || case $((n % 6)) in 1|5) echo "$file 0.9999" ;; 3) echo "$file 0.6" ;; *) echo "$file 0.0" ;; esac
done
`,
  { mode: 0o755 },
);

const installed = bogofilterVersion();
if (installed === null) console.warn('skipped: bogofilter is not installed');

describe('bogofilter goes through a stream', () => {
  /** What the fake was asked, in order. */
  async function asked(mails: Corpus, course: Setting): Promise<string[]> {
    const files = new MailFiles(mails.messages);
    try {
      await bogofilter(files, fake)({ corpus: mails, setting: course, seed: 1 });
      return readFileSync(join(files.folder, 'log'), 'utf8').trim().split('\n');
    } finally {
      files.remove();
    }
  }

  const kinds = (mails: Corpus) => mails.messages.map(({ label }) => label);

  it.each([
    [0, 40],
    [7, 40],
  ])('scoring each mail before its label, which comes %d mails later', async (lag, count) => {
    const mails = corpus(count);
    const labels = kinds(mails);
    const wanted = labels.flatMap((_, n) => [
      `score ${n}`,
      ...(n >= lag ? [`${labels[n - lag]} ${n - lag}`] : []),
    ]);
    expect(await asked(mails, setting(lag === 0 ? 'immediate' : `lag:${lag}`))).toEqual(wanted);
  });

  it('learning nothing after the cut of a holdout', async () => {
    const mails = corpus(30);
    const log = await asked(
      mails,
      setting('immediate', { protocol: { kind: 'holdout', trainFraction: 0.5 } }),
    );
    expect(log.slice(0, 15).sort()).toEqual(
      kinds(mails)
        .slice(0, 15)
        .map((label, n) => `${label} ${n}`)
        .sort(),
    );
    expect(log.slice(15)).toEqual(Array.from({ length: 15 }, (_, n) => `score ${n + 15}`));
  });

  it.each([
    ['unsure is not right', undefined],
    ['by labels alone', true],
  ] as const)(
    'told, once it has learned enough, of what it got wrong under errors and of nothing else: %s',
    async (_, labelsAlone) => {
      const mails = corpus(160);
      const labels = kinds(mails);
      const between = labelsAlone ? 'spam' : 'unsure';
      const says = (n: number) => (n % 6 === 3 ? between : n % 2 === 1 ? 'spam' : 'ham');
      const log = await asked(mails, setting('errors:1', { labelsAlone }));
      // Of the last one nobody can profit any more.
      const wrong = labels
        .slice(0, -1)
        .flatMap((label, n) => (n >= SUFFICIENT.labels && says(n) === label ? [] : [`${label} ${n}`]));
      expect(log.filter((line) => !line.startsWith('score'))).toEqual(wrong);
    },
  );

  it('told the same wrong labels as any other system', async () => {
    const mails = corpus(80);
    const labels = kinds(mails);
    const teacher = new Teacher(parseFeedback('noisy:0.3'), 2, labels.length, 1);
    const names = ['ham', 'spam'];
    const told = labels.map((label, n) => names[teacher.label(n, names.indexOf(label as string))]);
    expect(told).not.toEqual(labels);
    const learned = (await asked(mails, setting('noisy:0.3'))).filter((line) => !line.startsWith('score'));
    expect(learned).toEqual(told.map((label, n) => `${label} ${n}`));
  });

  it('refuses a mail of another corpus', () => {
    const files = new MailFiles(corpus(3).messages);
    try {
      expect(() => numberTask(files).decode(corpus(1).messages[0])).toThrow('not of this corpus');
    } finally {
      files.remove();
    }
  });

  it.skipIf(installed === null)('and learns', async () => {
    const mails = corpus(150);
    const files = new MailFiles(mails.messages);
    try {
      const course = setting('immediate', { from: [0, 50] });
      const [all, late] = await measureSetting(() => bogofilter(files), [mails], course, [1, 2]);
      expect(all).toMatchObject({ from: 0, seeds: 1, figures: { tested: 150, labels: 150 } });
      expect(late.figures.tested).toBe(100);
      expect(late.figures.oneMinusAuc).toBeLessThan(5);
      expect(late.figures.accuracy).toBeGreaterThan(90);
    } finally {
      files.remove();
    }
  });
});

describe('Sluice goes through the same stream', () => {
  const engine = openEngine({ backend: 'cpu', threads: 1 });

  it('counted as evaluate counts, over as many seeds as chance needs', async () => {
    const noisy = setting('noisy:0.1', { random: true });
    const [row] = await measureSetting(() => sluice(engine, 'fast'), [corpus(300)], noisy, [1, 2]);
    expect(row).toMatchObject({ setting: 'noisy:0.1', seeds: 2, figures: { tested: 300, labels: 300 } });
    expect(row.figures.oneMinusAuc).toBeLessThan(10);
  });

  it('in settings whose words evaluate knows', () => {
    for (const { feedback, from } of mailSettings(1)) {
      expect(() => parseFeedback(feedback)).not.toThrow();
      expect(from.every(Number.isInteger)).toBe(true);
    }
    expect(mailSettings(1).filter(({ random }) => random)).toHaveLength(7);
  });
});
