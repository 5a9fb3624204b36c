/**
 * One learned mail taken back out of a text model, held against a model that never learned it: over a stream of mails the two
 * must give the same scores, to the last bit. And what is said where that cannot be done any more.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MailGenerator } from '../../firmware-sim/mail.ts';
import type { Event, Rows } from '../../src/contract.ts';
import { RowArena } from '../../src/features/rows.ts';
import { openTask } from '../../src/task/task.ts';
import { engine, makeRig, type Rig, type RigOptions } from '../fleet/kit.ts';

const task = openTask({
  ...{ name: 'spam', event: 'email', labels: ['ham', 'spam'] },
  ...{ decode: { kind: 'mime' }, features: { options: { bits: 16 } }, seed: 1 },
});

interface Mail {
  readonly event: Event;
  readonly label: string;
}

function mailsOf(count: number, seed: number): Mail[] {
  const generator = new MailGenerator({ seed, garbage: 0 });
  return Array.from({ length: count }, (_, i) => {
    const { raw, label } = generator.next(1_700_000_000_000 + i * 60_000);
    const message = {
      source: 's',
      topic: 't',
      key: null,
      payload: raw,
      headers: {},
      at: i,
      position: `t/0/${seed}-${i}`,
    };
    return { event: task.decode(message)[0], label: label ?? 'ham' };
  });
}

const learnable = mailsOf(120, 1);
const stream = mailsOf(150, 2);

function rowsOf(mails: readonly Mail[]): Rows {
  const arena = new RowArena(task.shape.dims, task.shape.denseDims);
  for (const { event } of mails) task.fill(event, arena);
  return arena.view();
}

/** Scores over the stream, and the bytes, of a model that learned these mails only. */
async function neverLearned(mails: readonly Mail[]): Promise<{ scores: Float32Array; bits: Buffer }> {
  const model = task.newModel(engine);
  await model.learn(
    rowsOf(mails),
    Int32Array.from(mails, ({ label }) => task.labels.indexOf(label)),
  );
  const scores = await model.score(rowsOf(stream));
  const bits = Buffer.from(await model.save());
  model.close();
  return { scores, bits };
}

const furthest = (a: Float32Array, b: Float32Array) =>
  Math.max(...a.map((score, i) => Math.abs(score - b[i])));

let rig: Rig;
afterEach(() => rig.close());

async function taught(mails: readonly Mail[], options: RigOptions = {}): Promise<Rig> {
  rig = await makeRig({ task, ...options });
  await learn(mails);
  return rig;
}

async function learn(mails: readonly Mail[]): Promise<void> {
  for (const { event, label } of mails) {
    await rig.join([event]);
    await rig.give([[event.id, label]]);
  }
  await rig.learner.settled();
}

async function forget(name: string): Promise<void> {
  const target = { kind: 'name', name } as const;
  await rig.labels.give([{ target, label: null, origin: 'desk', weight: 1, at: 1, forget: true }]);
  await rig.learner.settled();
}

const scores = () => rig.learner.score(rowsOf(stream)).probabilities;
const without = (n: number) => [...learnable.slice(0, n), ...learnable.slice(n + 1)];

describe('a text model that has forgotten one mail', () => {
  test.each([
    ['the last one', 119],
    ['one in the middle', 40],
    ['the first one', 0],
  ])('%s: scores a stream as if it had never learned it, with no difference at all', async (_which, n) => {
    expect(task.model.kind).toBe('text');
    await taught(learnable);
    const never = await neverLearned(without(n));
    // Having learned it makes a difference: else the next lines would say nothing.
    expect(furthest(await scores(), never.scores)).toBeGreaterThan(1e-4);
    await forget(learnable[n].event.id);
    expect(furthest(await scores(), never.scores)).toBe(0);
    expect(Buffer.from(await rig.learner.save()).equals(never.bits)).toBe(true);
    expect(rig.learner.labels).toBe(119);
  });

  test('by its Message-ID, and behind snapshots that held it: these go, and a restart does not bring it back', async () => {
    await taught(learnable.slice(0, 60));
    await rig.reopen(true);
    await learn(learnable.slice(60));
    await rig.reopen(true);
    const holding = rig.store.snapshots.newest(task.name)!;
    expect(holding.labels).toBe(120);
    const mid = learnable[20].event.aliases.find((alias) => alias.startsWith('mid:'))!;
    await forget(mid);
    const never = await neverLearned(without(20));
    expect(furthest(await scores(), never.scores)).toBe(0);
    expect(rig.store.snapshots.newest(task.name)?.labels).not.toBe(120);
    for (const clean of [false, true]) {
      await rig.reopen(clean);
      await rig.learner.settled();
      expect(Buffer.from(await rig.learner.save()).equals(never.bits)).toBe(true);
    }
  });
});

describe('what a snapshot alone holds', () => {
  /** A gateway whose journal keeps next to nothing once a snapshot has it. */
  async function pruned(): Promise<Rig> {
    await taught(learnable.slice(0, 60), { limits: { journal: { age: 90 * 86_400_000, bytes: 1 } } });
    await rig.reopen(true);
    await learn(learnable.slice(60));
    await rig.reopen(true);
    await rig.store.sweep();
    expect(rig.store.snapshots.oldest(task.name)).toBeGreaterThan(0);
    return rig;
  }

  test('cannot be taken back: the model stays as it is, the row goes, and the log says what remains', async () => {
    await pruned();
    const before = Buffer.from(await rig.learner.save());
    const said = vi.spyOn(rig.telemetry, 'error');
    const { id } = learnable[20].event;
    await forget(id);
    expect(Buffer.from(await rig.learner.save()).equals(before)).toBe(true);
    expect(rig.store.join.find(task.name, id)).toBeNull();
    const codes = said.mock.calls.map(([error]) => error.code);
    expect(codes).toContain('FEEDBACK_TOO_OLD');
    expect(said.mock.calls[0][0].message).toContain('in the model still');
  });

  test('what was learned since is taken back all the same', async () => {
    await pruned();
    await learn(stream.slice(0, 10));
    const before = await rig.learner.save();
    await learn(stream.slice(10, 11));
    expect(Buffer.from(await rig.learner.save()).equals(before)).toBe(false);
    await forget(stream[10].event.id);
    expect(Buffer.from(await rig.learner.save()).equals(before)).toBe(true);
  });
});
