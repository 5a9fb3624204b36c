/**
 * The moments of the loop as the demo tells them: when drift was alarmed, a candidate made, tested, signed, rolled out,
 * and what it was worth. Collected while it runs, for the lines on the screen and the summary.
 */
import type { HubEvent } from '../../fleet/hub.ts';

/** One moment, seconds after the start. */
export interface LoopMoment {
  readonly second: number;
  readonly task: string;
  readonly what: string;
  readonly text: string;
}

const percent = (p: number): string => `${(100 * p).toFixed(1)} %`;
const short = (digest: string): string => digest.slice(0, 8);
const whole = (n: number): string => Math.round(n).toLocaleString('en-US');

/** What a person reads of a moment; null where it is only a step between two others. */
export function lineOf(event: HubEvent): string | null {
  const { task } = event;
  switch (event.kind) {
    case 'drift':
      return `DRIFT      ${task} · ${event.stream} at ${event.sites.join(', ')}`;
    case 'training':
      return `training   ${task} · ${event.reason}`;
    case 'trained':
      return `candidate  ${task} v${event.version} · best of ${event.tried} on ${whole(event.rows)} rows · validation ${percent(event.quality.accuracy)}`;
    case 'trainingFailed':
      return `training   ${task} failed: ${event.reason}`;
    case 'gate':
      return `test       ${task} ${event.passed ? 'passed' : 'not passed'} · ${event.reason}`;
    case 'signed':
      return `signed     ${task} v${event.version} ${short(event.digest)} · ${event.signer.slice(0, 24)}…`;
    case 'approval':
      return `waiting    ${task} ${short(event.digest)} for approval`;
    case 'stage':
      return `roll-out   ${task} ${short(event.digest)} · ${event.stage}${event.sites.length > 0 ? ` on ${event.sites.join(', ')}` : ''}`;
    case 'live':
      return `LIVE       ${task} v${event.version} ${short(event.digest)} on the whole group`;
    case 'rejected':
      return `rejected   ${task} ${short(event.digest)} · ${event.reason}`;
    case 'rolledBack':
      return `taken back ${task} ${short(event.digest)} · ${event.reason}`;
    case 'order':
      return null;
  }
}
