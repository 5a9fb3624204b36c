/**
 * A stream of mail through gateways of a fleet, as a reader with a delay sees it: each mail is scored when it comes,
 * and its label follows when `late` more have come. Promises: a label never stands before the score of its own mail;
 * the figures are the sender's, from the verdicts on the broker; every mail has its verdict, or the run fails.
 */
import { RowArena } from '../../src/features/rows.ts';
import { readBundle } from '../../src/model/bundle.ts';
import { openEngine } from '../../src/model/engine.ts';
import { openTask } from '../../src/task/task.ts';
import type { Bus } from './bus.ts';
import type { Mail } from './mail.ts';
import { sleep, until } from './scale.ts';

export interface MailRoute {
  readonly site: string;
  readonly input: string;
  readonly verdict: string;
  readonly feedback: string;
}

export interface Scored {
  readonly spam: boolean;
  /** Probability of spam, the label given (null: none yet), and by which model. */
  readonly score: number;
  readonly label: string | null;
  readonly model: string;
}

export interface LateStream {
  readonly bus: Bus;
  readonly routes: readonly MailRoute[];
  readonly mails: readonly Mail[];
  /** Labels come so many mails late. */
  readonly late: number;
  /** Mails without a verdict, at most. */
  readonly open: number;
  /** Mails a second, at most. */
  readonly rate: number;
  /** While this is true nothing is sent: mail comes by the minute, a training takes seconds. */
  readonly hold?: () => Promise<boolean>;
}

/** The mails in turn to the routes over Kafka, one mailbox a route; resolves to what was said of each, in order. */
export async function streamLate(options: LateStream): Promise<Scored[]> {
  const { bus, routes, mails, late, open, rate, hold } = options;
  const scored: (Scored | undefined)[] = new Array(mails.length).fill(undefined);
  const ids: string[] = [];
  const byId = new Map<string, number>();
  let verdicts = 0;
  const take = (payload: Buffer) => {
    const { event, label, scores, model } = JSON.parse(payload.toString()).data;
    const n = byId.get(event);
    // At least once: a repetition says the same.
    if (n === undefined || scored[n] !== undefined) return;
    scored[n] = { spam: mails[n].label === 'spam', score: scores.spam, label, model };
    verdicts += 1;
  };
  for (const topic of new Set(routes.map(({ verdict }) => verdict))) await bus.subscribe(topic, take);
  const sending: Promise<void>[] = [];
  const begun = performance.now();
  let held = 0;
  for (let n = 0; n < mails.length + late; n++) {
    if (hold && n % 10 === 0) {
      const from = performance.now();
      while (await hold()) await sleep(100);
      held += performance.now() - from;
    }
    const due = begun + held + (1_000 * n) / rate - performance.now();
    if (due > 2) await sleep(due);
    if (n >= late) {
      const told = n - late;
      await until(
        () => scored[told] !== undefined,
        60_000,
        () => `the verdict of mail ${told}; ${verdicts} of ${n} have one`,
      );
      const label = mails[told].label;
      const { feedback } = routes[told % routes.length];
      sending.push(bus.publish(feedback, JSON.stringify({ event: ids[told], label, origin: 'reader' })));
    }
    if (n >= mails.length) continue;
    if (n - verdicts >= open)
      await until(
        () => n - verdicts < open,
        60_000,
        () => `verdicts: ${verdicts} of ${n}`,
      );
    const route = routes[n % routes.length];
    // Topics of one partition that nobody else writes: the place of a mail is its number there.
    ids[n] = `${route.input}/0/${Math.floor(n / routes.length)}`;
    byId.set(ids[n], n);
    sending.push(bus.publish(route.input, mails[n].raw, `inbox-${route.site}`));
  }
  await until(
    () => verdicts === mails.length,
    60_000,
    () => `${verdicts} of ${mails.length} verdicts`,
  );
  await Promise.all(sending);
  return scored as Scored[];
}

const MESSAGE = { source: 'in', topic: 'mail', key: null, headers: {}, at: 0, position: '' };

/** What the model of a bundle says of mails, learning none of them. */
export async function scoredBy(bundle: Uint8Array, mails: readonly Mail[]): Promise<Scored[]> {
  const { manifest, weights } = readBundle(bundle);
  const { labels, kind, options, featureOptions } = manifest;
  const task = openTask({
    ...{ name: 'unchanged', event: 'email', labels, seed: 1, decode: { kind: 'mime' } },
    ...{ features: { options: featureOptions }, model: { kind, options } },
  });
  const model = task.loadModel(openEngine({ threads: 1 }), weights, kind);
  try {
    const scored: Scored[] = [];
    const arena = new RowArena(task.shape.dims, task.shape.denseDims);
    for (const { raw, label } of mails) {
      const [event] = task.decode({ ...MESSAGE, payload: raw });
      arena.reset();
      task.fill(event, arena);
      const scores = await model.score(arena.view());
      const best = scores.indexOf(Math.max(...scores));
      const at = { spam: label === 'spam', score: scores[task.positive], label: labels[best] };
      scored.push({ ...at, model: 'unchanged' });
    }
    return scored;
  } finally {
    model.close();
  }
}

export interface MailFigures {
  readonly mails: number;
  /** Part of the mails that had a label given, and part of those that was right. */
  readonly labelled: number;
  readonly accuracy: number;
  /** (1-AUC), per cent: the area above the ROC of the scores of all of them. */
  readonly areaAbove: number;
  readonly spamMissed: number;
  readonly hamLost: number;
}

export function figuresOf(scored: readonly Scored[]): MailFigures {
  const given = scored.filter(({ label }) => label !== null);
  const isRight = ({ spam, label }: Scored) => (label === 'spam') === spam;
  const wrong = given.filter((each) => !isRight(each));
  return {
    mails: scored.length,
    labelled: given.length / Math.max(1, scored.length),
    accuracy: (given.length - wrong.length) / Math.max(1, given.length),
    areaAbove: areaAbove(scored),
    spamMissed: wrong.filter(({ spam }) => spam).length,
    hamLost: wrong.filter(({ spam }) => !spam).length,
  };
}

/** Per cent; ties count half. */
function areaAbove(scored: readonly Scored[]): number {
  const sorted = [...scored].sort((a, b) => a.score - b.score);
  const spam = sorted.filter((each) => each.spam).length;
  const ham = sorted.length - spam;
  let rank = 0;
  let below = 0;
  for (let i = 0; i < sorted.length; i = rank) {
    while (rank < sorted.length && sorted[rank].score === sorted[i].score) rank += 1;
    const mean = (i + rank + 1) / 2;
    below += mean * sorted.slice(i, rank).filter((each) => each.spam).length;
  }
  if (spam === 0 || ham === 0) return Number.NaN;
  return 100 * (1 - (below - (spam * (spam + 1)) / 2) / (spam * ham));
}
