/**
 * `models promote|reject|rollback|pause|resume|stop`: orders to the hub. They change nothing themselves: they are
 * laid into the registry, and the hub that holds it, or the next one that does, follows them and says so in its audit log.
 */
import { userInfo } from 'node:os';
import { systemClock } from '../../clock.ts';
import type { Order } from '../../contract.ts';
import { SluiceError } from '../../errors.ts';
import { hubOf, type RegistryView } from '../../fleet/registry.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { describeOrder } from './list.ts';
import { findModel, findPlace, findRow, type Place, type Where } from './place.ts';
import { nameOf } from './text.ts';

export interface AskOptions extends Where {
  readonly by?: string;
}

type What = Order['what'];

/** promote and reject: of one model. A file is laid into the registry first. */
export async function askOfModel(
  what: Extract<What, 'promote' | 'reject'>,
  name: string,
  options: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const place = findPlace(options, terminal);
  const registry = await place.registry();
  const { row, bundle, bytes } = await findModel(name, options.task, place);
  if (row?.stage === 'live') throw new SluiceError('USAGE', `${nameOf(bundle.manifest)} is live already`);
  if (place.config) expectTask(bundle.manifest.task, registry, place);
  if (!row && what === 'promote') await registry.deposit(bytes);
  return ask(registry, { what, task: bundle.manifest.task, digest: bundle.digest }, options, terminal);
}

/** rollback: to the model before, or to the one named. */
export async function askForRollback(
  task: string,
  name: string | undefined,
  options: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const place = findPlace(options, terminal);
  const registry = await place.registry();
  expectTask(task, registry, place);
  const target = name === undefined ? null : findRow(registry, name, task);
  if (target && target.manifest.task !== task)
    throw new SluiceError('USAGE', `${name} is a model of task ${target.manifest.task}, not ${task}`);
  return ask(registry, { what: 'rollback', task, digest: target?.digest ?? '' }, options, terminal);
}

/** pause, resume, stop: of a task's roll-out. */
export async function askOfTask(
  what: Extract<What, 'pause' | 'resume' | 'stop'>,
  task: string,
  options: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const place = findPlace(options, terminal);
  const registry = await place.registry();
  expectTask(task, registry, place);
  return ask(registry, { what, task, digest: '' }, options, terminal);
}

function expectTask(task: string, registry: RegistryView, { config }: Place): void {
  const known = new Set([
    ...registry.list().map(({ manifest }) => manifest.task),
    ...Object.keys(config?.tasks ?? {}),
  ]);
  if (known.has(task)) return;
  const there = known.size === 0 ? 'there is none yet' : `there are ${[...known].sort().join(', ')}`;
  throw new SluiceError('USAGE', `no task ${task} is known here; ${there}`);
}

async function ask(
  registry: RegistryView,
  order: Pick<Order, 'what' | 'task' | 'digest'>,
  { by, json }: AskOptions,
  terminal: Terminal,
): Promise<void> {
  const given = await registry.order({ ...order, by: by ?? operator(terminal), at: systemClock.now() });
  if (json !== undefined) return printJson(terminal, json, given);
  print(terminal, `ordered: ${describeOrder(given)}`);
  const hub = await hubOf(registry);
  print(
    terminal,
    hub === null
      ? 'no hub runs on this registry: the next one to start follows it'
      : `the running hub${hub === '' ? '' : ` (process ${hub})`} follows it: \`sluice models list\` shows what came of it, and the audit log (dashboard, audit.jsonl of the registry) why not`,
  );
}

/** Who asks, for the audit log. */
function operator({ env }: Terminal): string {
  if (env.USER) return env.USER;
  try {
    return userInfo().username;
  } catch {
    return 'an operator'; // a container's user may have no name
  }
}
