/** Mails, scores and decisions that the tests of deciding share. */
import type { Event } from '../../../src/contract.ts';
import { mimeOptions, openMime } from '../../../src/decode/mime.ts';
import { decisionOptions, resolveDecision } from '../../../src/task/decision/options.ts';
import { type ConfirmedLabel, Decision } from '../../../src/task/decision.ts';

export const [HAM, SPAM] = [0, 1];

/** A decision on mail of two labels with these options over the defaults. */
export function newDecision(given: object = {}, secret = 'secret'): Decision {
  const options = resolveDecision(decisionOptions.parse(given), true, 2);
  if (!options) throw new Error('nothing is on');
  const decision = new Decision({ options, positive: SPAM, secret });
  decision.running('base');
  return decision;
}

/** Probabilities of ham and spam with these log-odds of spam. */
export const scoresOf = (odds: number): Float32Array =>
  Float32Array.of(1 / (1 + Math.exp(odds)), 1 / (1 + Math.exp(-odds)));

/** A label of an event that had these log-odds. */
export function label(
  seq: number,
  truth: number,
  odds: number,
  more: Partial<ConfirmedLabel> = {},
): ConfirmedLabel {
  const given = { seq, event: `e${seq}`, label: truth, supersedes: 0, base: 'base', offset: 0 };
  return { ...given, predicted: odds > 0 ? SPAM : HAM, scores: scoresOf(odds), ...more };
}

/** What becomes of an event called spam with these log-odds. */
export const act = (decision: Decision, odds: number) => decision.decide('e', null, SPAM, scoresOf(odds), 0);

/** Confirms ham with log-odds -5 under seqs from..to-1. */
export function confirm(
  decision: Decision,
  from: number,
  to: number,
  odds: (seq: number) => number = () => -5,
): void {
  for (let seq = from; seq < to; seq++) decision.labelled(label(seq, HAM, odds(seq)));
}

const decoder = openMime(mimeOptions.parse({}));

/** A mail with these header lines. */
export function mail(...lines: readonly string[]): Event {
  const payload = Buffer.from(`${lines.join('\r\n')}\r\n\r\nFrom: body@example.net\r\n`, 'latin1');
  const [event] = decoder.decode({
    source: 's',
    topic: 't',
    key: null,
    payload,
    headers: {},
    at: 0,
    position: 'p',
  });
  return event;
}
