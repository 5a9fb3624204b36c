/**
 * The moments of the loop as the demo tells them: when drift was alarmed, a candidate made, tested, signed, rolled out,
 * and what it was worth. Collected while it runs, for the lines on the screen and the summary. A line fits a terminal of
 * 80 columns; the figures in full are in the audit log.
 */
import type { HubEvent } from '../../fleet/hub.ts';
import { words } from '../../web/needs.ts';

/** One moment, seconds after the start. */
export interface LoopMoment {
  readonly second: number;
  readonly task: string;
  readonly what: string;
  readonly text: string;
}

type Of<K extends HubEvent['kind']> = Extract<HubEvent, { readonly kind: K }>;

const percent = (p: number): string => `${(100 * p).toFixed(1)} %`;
const short = (digest: string): string => digest.slice(0, 8);
const whole = (n: number): string => Math.round(n).toLocaleString('en-US');

/** Tells moments in order; it remembers which version a digest is. */
export class Teller {
  readonly #versions = new Map<string, number>();

  /** What a person reads of a moment, `accuracy` being that of the newest verdicts; null where it is only a step between two others. */
  line(event: HubEvent, accuracy: number | null): string | null {
    const { task } = event;
    if (event.kind === 'trained' || event.kind === 'signed' || event.kind === 'live')
      this.#versions.set(event.digest, event.version);
    const model = `${task} ${'digest' in event ? this.#name(event.digest) : ''}`;
    switch (event.kind) {
      case 'drift':
        return `DRIFT      ${task} · ${words(event.stream)} changed at ${event.sites.join(', ')}`;
      case 'training':
        return `training   ${task} · ${event.reason}`;
      case 'trained':
        return `candidate  ${model} · best of ${event.tried} on ${whole(event.rows)} rows · validation ${percent(event.quality.accuracy)}`;
      case 'trainingFailed':
        return `training   ${task} failed: ${event.reason}`;
      case 'gate':
        return `test       ${model} ${event.passed ? 'passed' : 'not passed'} · ${compared(event)}`;
      case 'signed':
        return `signed     ${model} ${short(event.digest)} · ${event.signer.slice(0, 24)}…`;
      case 'approval':
        return `waiting    ${model} for approval`;
      case 'stage':
        return `roll-out   ${model} · ${stage(event)}`;
      case 'live':
        return `LIVE       ${model} on every gateway${accuracy === null ? '' : ` · ${percent(accuracy)} right`}`;
      case 'rejected':
        return `rejected   ${model} · ${event.reason}`;
      case 'rolledBack':
        return `taken back ${model} · ${event.reason}`;
      case 'order':
        return null;
    }
  }

  #name(digest: string): string {
    const version = this.#versions.get(digest);
    return version === undefined ? short(digest) : `v${version}`;
  }
}

function compared({ figures, reason }: Of<'gate'>): string {
  if (!figures || figures.rows === 0) return reason;
  const { baseLoss, difference, rows } = figures;
  return `log-loss ${baseLoss.toFixed(2)} → ${(baseLoss - difference).toFixed(2)} on ${whole(rows)} unseen rows`;
}

function stage({ stage: step, sites }: Of<'stage'>): string {
  const where = sites.length > 0 ? ` at ${sites.join(', ')}` : '';
  switch (step) {
    case 'shadow':
      return `runs beside the live model${where}`;
    case 'canary':
      return `on trial${where}`;
    case 'fleet':
      return 'goes to every gateway';
    case 'watch':
      return 'runs on every gateway, watched for a while';
    default:
      return `${step}${where}`;
  }
}
