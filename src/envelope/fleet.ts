/**
 * What a gateway tells of itself beside its verdicts and what a hub reads of it: drift alarms
 * (`dev.sluice.drift.v1`) and metrics windows. Promises: reading is bounded in bytes, names and numbers; an
 * alarm that does not fit and a window without site, task or times is PAYLOAD_INVALID. Of a window everything
 * that is a number is handed on under its path, so that a hub of this version shows what a newer gateway counts.
 */
import { z } from 'zod';
import type { Alarm } from '../contract.ts';
import { type Envelope, isoTime } from '../envelope.ts';
import { SluiceError } from '../errors.ts';
import { demandShape, unwrap } from './read.ts';

const MAX_PAYLOAD = 1024 ** 2;
const MAX_NAMES = 100;
const MAX_NUMBERS = 1_000;
const MAX_PATH = 200;
const MAX_DEPTH = 8;

/** The message of a drift alarm. */
export function driftPayload(envelope: Envelope, alarm: Alarm): string {
  const id = `${envelope.site}/${alarm.task}/${alarm.stream}/${alarm.at}/${alarm.state}`;
  const times = { at: isoTime(alarm.at), since: isoTime(alarm.since) };
  const data = { site: envelope.site, ...alarm, ...times };
  return envelope.wrap('drift', id, alarm.stream, alarm.at, JSON.stringify(data));
}

const name = z.string().min(1).max(256);
const time = z.iso.datetime().transform((text) => Date.parse(text));
/** JSON has no NaN; an alarm without a level is still an alarm. */
const level = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const names = z.array(z.string().max(4_096)).max(MAX_NAMES);

const alarmSchema = z.object({
  site: name.optional(),
  task: name,
  stream: name,
  detector: name,
  state: z.enum(['drift', 'over']),
  statistic: level,
  threshold: level,
  window: z.number().nonnegative(),
  model: z.string().max(256),
  at: time,
  since: time,
  before: level,
  now: level,
  features: names,
  devices: names,
});

/** An alarm and the gateway it comes from. */
export interface SiteAlarm extends Alarm {
  readonly site: string;
}

/** `site` is what the topic names, where it names one; it must not differ from what the payload says. Throws PAYLOAD_INVALID. */
export function readAlarm(payload: Uint8Array, site?: string): SiteAlarm {
  const item = single(payload);
  const { site: own, ...alarm } = demandShape(alarmSchema, item.data, 'PAYLOAD_INVALID');
  return { ...alarm, site: agreed([site, item.site, own]) };
}

const windowSchema = z.looseObject({
  site: name.optional(),
  task: name,
  from: time,
  to: time,
});

/** A closed window of a gateway. */
export interface MetricsWindow {
  readonly site: string;
  readonly task: string;
  /** ms */
  readonly from: number;
  readonly to: number;
  /** Every finite number by its path: `events`, `verdicts.spam`, `latencyMs.p99`, `quality.window.accuracy`; true is 1. Lists are left out. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** `site` as in `readAlarm`. Throws PAYLOAD_INVALID. */
export function readMetricsWindow(payload: Uint8Array, site?: string): MetricsWindow {
  const item = single(payload);
  const { site: own, task, from, to, ...rest } = demandShape(windowSchema, item.data, 'PAYLOAD_INVALID');
  const numbers: Record<string, number> = Object.create(null);
  gather(rest, '', numbers, { left: MAX_NUMBERS }, MAX_DEPTH);
  return { site: agreed([site, item.site, own]), task, from, to, numbers: { ...numbers } };
}

/** `left` bounds how many values are looked at, whatever they are. */
function gather(
  value: object,
  path: string,
  into: Record<string, number>,
  budget: { left: number },
  depth: number,
): void {
  for (const [key, inner] of Object.entries(value)) {
    if (budget.left-- <= 0) return;
    const place = path === '' ? key : `${path}.${key}`;
    if (place.length > MAX_PATH) continue;
    if (typeof inner === 'number' && Number.isFinite(inner)) into[place] = inner;
    else if (typeof inner === 'boolean') into[place] = inner ? 1 : 0;
    else if (typeof inner === 'object' && inner !== null && !Array.isArray(inner) && depth > 1)
      gather(inner, place, into, budget, depth - 1);
  }
}

function single(payload: Uint8Array): { readonly data: unknown; readonly site: string | null } {
  const items = unwrap(payload, MAX_PAYLOAD, 'PAYLOAD_INVALID');
  if (items.length !== 1) throw new SluiceError('PAYLOAD_INVALID', 'one happening belongs in a message');
  return items[0];
}

/** The one site that all who name one agree on. */
function agreed(told: readonly (string | null | undefined)[]): string {
  const sites = new Set(told.filter((site) => typeof site === 'string'));
  const [site] = sites;
  if (sites.size > 1)
    throw new SluiceError(
      'PAYLOAD_INVALID',
      `the payload names the sites ${[...sites].join(' and ')}`.slice(0, 300),
    );
  if (site === undefined || site.length > 256)
    throw new SluiceError('PAYLOAD_INVALID', 'the payload does not say which site it is from');
  return site;
}
