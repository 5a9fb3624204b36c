/** `models list`: every model with its stage and how well it does (AGE is how long it is at its stage), and the orders that wait for the hub. */
import { systemClock } from '../../clock.ts';
import type { Order, Registered } from '../../contract.ts';
import { hubOf } from '../../fleet/registry.ts';
import { safeText } from '../preview.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { findPlace, type Where } from './place.ts';
import { ago, type Column, logLoss, percent, shortDigest, size, span, table, whole } from './text.ts';

const COLUMNS: readonly Column[] = [
  { head: 'TASK' },
  { head: 'MODEL' },
  { head: 'STAGE' },
  { head: 'DIGEST' },
  { head: 'ACCURACY', right: true },
  { head: 'LOG-LOSS (95 %)' },
  { head: 'TESTED', right: true },
  { head: 'SIZE', right: true },
  { head: 'AGE', right: true },
  { head: 'WHY' },
];

export async function list(options: Where, terminal: Terminal): Promise<void> {
  const registry = await findPlace(options, terminal).registry();
  const models = registry.list(options.task);
  const waiting = (await registry.orders()).filter(({ task }) => (options.task ?? task) === task);
  if (options.json !== undefined) return printJson(terminal, options.json, { models, waiting });
  const now = systemClock.now();
  if (models.length === 0) terminal.stderr.write('no models yet\n');
  else {
    const width = terminal.stdout.isTTY ? (terminal.stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
    for (const line of table(
      COLUMNS,
      models.map((model) => row(model, now)),
      width,
    ))
      print(terminal, line);
  }
  if (waiting.length === 0) return;
  print(terminal);
  const nobody = (await hubOf(registry)) === null ? ', and no hub runs' : '';
  print(terminal, `waiting for the hub${nobody}:`);
  for (const order of waiting) print(terminal, `  ${describeOrder(order)}, ${ago(order.at, now)}`);
}

function row({ manifest, digest, stage, since, reason, size: bytes }: Registered, now: number): string[] {
  const { quality } = manifest;
  return [
    safeText(manifest.task),
    `v${manifest.version}`,
    stage,
    shortDigest(digest),
    quality ? percent(quality.accuracy) : '-',
    quality ? logLoss(quality) : '-',
    quality ? whole(quality.tested) : '-',
    size(bytes),
    span(now - since),
    safeText(reason),
  ];
}

/** `promote machine 9a8f01c2d3e4, asked by ada` */
export function describeOrder({ what, task, digest, by }: Omit<Order, 'id' | 'at'>): string {
  const words = [what, safeText(task), ...(digest === '' ? [] : [shortDigest(digest)])];
  return `${words.join(' ')}, asked by ${safeText(by)}`;
}
