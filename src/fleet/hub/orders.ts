/**
 * What operators ask of a task's loop. Promises: an order is followed once, or refused with the reason; an order never
 * puts a model before gateways that has not passed the gate; orders that come again, name models of other
 * tasks, or ask for what cannot be done now are refused and change nothing.
 */
import type { BundleRef, Order, Registered } from '../../contract.ts';
import { chunkCount } from '../../model/desired.ts';
import { audit } from './deeds.ts';
import type { Memory } from './memory.ts';
import type { Deed } from './record.ts';
import type { RolloutContext, RolloutMachine } from './rollout.ts';

export interface OrderContext extends RolloutContext {
  readonly machine: RolloutMachine;
  readonly stopTraining: () => void;
}

export interface OrderResult {
  readonly followed: boolean;
  readonly reason: string;
}

const yes = (reason: string): OrderResult => ({ followed: true, reason });
const no = (reason: string): OrderResult => ({ followed: false, reason });

const refOf = ({ digest, size, manifest }: Registered): BundleRef => ({
  digest,
  version: manifest.version,
  size,
  chunks: chunkCount(size),
});

/** Follows or refuses an order; both are durable when it resolves. Rejects where that could not be made durable. */
export async function followOrder(order: Order, context: OrderContext): Promise<OrderResult> {
  const { memory } = context;
  if (memory.record.orders.includes(order.id)) {
    await memory.decide({ change: () => undefined, deeds: [{ do: 'order', id: order.id }] });
    return no('it was done before');
  }
  const result = await carryOut(order, context);
  const reason = `${order.what}: ${result.followed ? '' : 'refused: '}${result.reason}`;
  const deeds: Deed[] = [audit('order', order.digest, reason, order.by), { do: 'order', id: order.id }];
  await memory.decide({
    change: (record) => {
      record.orders.push(order.id);
    },
    deeds,
    moments: [{ kind: 'order', what: order.what, ...result }],
  });
  return result;
}

function carryOut(order: Order, context: OrderContext): OrderResult | Promise<OrderResult> {
  if (order.what === 'promote') return promote(order, context);
  if (order.what === 'reject') return reject(order, context);
  if (order.what === 'rollback') return rollBack(order, context);
  if (order.what === 'stop') return stop(order, context);
  return order.what === 'pause' ? pause(context.memory, context.clock.now()) : resume(context);
}

const names = (order: Order, digest: string) => order.digest === '' || order.digest === digest;

async function promote(order: Order, context: OrderContext): Promise<OrderResult> {
  const { memory } = context;
  const { rollout, training } = memory.record;
  if (rollout && names(order, rollout.candidate.digest)) {
    await memory.decide({
      change: () => {
        rollout.approved = true;
      },
    });
    return yes(rollout.passed ? 'it is rolled out' : 'it is rolled out once it has passed the gate');
  }
  if (rollout) return no(`another candidate is under way: ${rollout.candidate.digest.slice(0, 12)}`);
  if (training) return no('a training is under way; wait for it, or stop it');
  if (order.digest === '') return no('there is no candidate');
  return putToGate(order, context);
}

/** A candidate that an operator brought begins at the gate like any other; what arrives from now on is unseen for it. */
async function putToGate(order: Order, context: OrderContext): Promise<OrderResult> {
  const { parts, task, clock, machine } = context;
  const now = clock.now();
  let found: Registered;
  try {
    const known = parts.registry.list(task.name).find(({ digest }) => digest === order.digest);
    found = known ?? (await parts.registry.adopt(order.digest, `brought by ${order.by}`, now));
  } catch (error) {
    return no((error as Error).message);
  }
  const refused = unfit(found, context, now);
  if (refused !== null) return no(refused);
  if (found.stage !== 'candidate') return no(`it is ${found.stage}, not a candidate`);
  const reason = `brought by ${order.by}`;
  const cause = { kind: 'order', reason, at: now, incident: null, since: 0, rows: 0 } as const;
  await machine.begin(refOf(found), cause, parts.pool.position(), true, []);
  return yes('it is tested on what comes, then rolled out');
}

/** Why gateways of this task would not install it; null where they would. */
function unfit({ manifest, signer }: Registered, { task }: OrderContext, now: number): string | null {
  if (manifest.task !== task.name) return `it is for task ${manifest.task}`;
  if (signer === null) return 'it is not signed';
  if (manifest.expires <= now) return 'it has expired';
  if (manifest.features !== task.features || manifest.labels.join('\n') !== task.labels.join('\n'))
    return 'it was made for other features or labels';
  return null;
}

async function reject(order: Order, { memory, machine, parts, task }: OrderContext): Promise<OrderResult> {
  const { rollout } = memory.record;
  if (rollout && names(order, rollout.candidate.digest)) {
    await machine.takeBack(`rejected by ${order.by}`, order.by);
    return yes('it was taken back');
  }
  const known = parts.registry.list(task.name).find(({ digest }) => digest === order.digest);
  if (known?.stage !== 'candidate') return no('there is no such candidate');
  const reason = `rejected by ${order.by}`;
  await memory.decide({
    change: () => undefined,
    deeds: [{ do: 'move', digest: known.digest, stage: 'rejected', reason, by: order.by }],
  });
  return yes('it was rejected');
}

async function rollBack(order: Order, context: OrderContext): Promise<OrderResult> {
  const { memory, machine, parts, task, clock } = context;
  const { record } = memory;
  // A roll-out is what is rolled back first: what ran before it runs again.
  if (record.rollout && (order.digest === '' || order.digest === record.live?.digest)) {
    await machine.takeBack(`rolled back by ${order.by}`, order.by);
    return yes('the roll-out was taken back');
  }
  const digest = order.digest === '' ? record.previous?.digest : order.digest;
  const target = parts.registry.list(task.name).find((each) => each.digest === digest);
  if (!target) return no(digest ? 'there is no such model' : 'no model ran before');
  if (target.digest === record.live?.digest) return no('it is live');
  if (target.stage !== 'retired')
    return no(`it is ${target.stage}; only what was live before can be rolled back to`);
  const refused = unfit(target, context, clock.now());
  if (refused !== null) return no(refused);
  if (record.rollout) await machine.takeBack(`rolled back by ${order.by}`, order.by);
  await toOlder(refOf(target), order.by, memory);
  return yes(`version ${target.manifest.version} is live again`);
}

function toOlder(target: BundleRef, by: string, memory: Memory): Promise<void> {
  const left = memory.record.live;
  const reason = `rolled back by ${by}`;
  return memory.decide({
    word: { run: target, candidate: null, compare: null },
    change: (record) => {
      record.previous = left;
      record.live = target;
    },
    deeds: [{ do: 'move', digest: target.digest, stage: 'live', reason, by }],
    moments: [{ kind: 'rolledBack', digest: left?.digest ?? '', reason }],
  });
}

async function stop(
  order: Order,
  { memory, machine, stopTraining, clock }: OrderContext,
): Promise<OrderResult> {
  const { rollout, training, cause } = memory.record;
  if (!rollout && !training && !cause) return no('nothing is under way');
  stopTraining();
  if (rollout) await machine.takeBack(`stopped by ${order.by}`, order.by);
  await memory.decide({
    change: (record) => {
      record.cause = null;
      // What led to it is not to begin it again at once.
      record.fresh = 0;
      record.trainedAt = clock.now();
    },
  });
  return yes(rollout ? 'the roll-out was taken back' : 'the training was stopped');
}

async function pause(memory: Memory, now: number): Promise<OrderResult> {
  if (memory.record.paused !== null) return no('it is paused');
  await memory.decide({
    change: (record) => {
      record.paused = now;
    },
  });
  return yes('nothing new begins and no stage is left, except to take back what is worse');
}

async function resume({ memory, clock }: OrderContext): Promise<OrderResult> {
  const { paused } = memory.record;
  if (paused === null) return no('it is not paused');
  const length = Math.max(0, clock.now() - paused);
  await memory.decide({
    change: (record) => {
      record.paused = null;
      // Deadlines do not run while nothing may be done.
      if (record.rollout) record.rollout.since += length;
      if (record.cause) record.cause = { ...record.cause, at: record.cause.at + length };
      if (record.rollout) record.toldAt += length;
    },
  });
  return yes('it goes on');
}
