/** Own labels of a model in the journal: below the label of their event, and gone with it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { JournalEntry, Store } from '../../src/contract.ts';
import { OWN_LABEL } from '../../src/model/kinds.ts';
import { type Bench, bench, joinedOf, random } from './support.ts';

let here: Bench;
beforeEach(() => {
  here = bench();
});
afterEach(() => here.done());

const label = (event: string, value: number) => ({
  ...{ task: 'spam', event, device: 'd', label: value, weight: 1, origin: 'o', at: 7 },
  joined: joinedOf(event),
});
const own = (event: string) => label(event, OWN_LABEL);
const effective = (store: Store) =>
  store.journal.read('spam', 0, 10_000, { own: true }).entries.map(({ seq, label: value }) => [seq, value]);

test('an own label is given only to who asks for it, and is no label of its event', async () => {
  const store = await here.open();
  const [entry] = await store.journal.append([own('a')]);
  expect(entry).toEqual({ ...own('a'), seq: 1, supersedes: 0 });
  expect(store.journal.labelOf('spam', 'a')).toBeNull();
  expect(store.journal.ownOf('spam', 'a')).toBe(1);
  expect(store.journal.ownOf('machine', 'a')).toBe(0);
  expect(store.journal.read('spam', 0, 10)).toEqual({ entries: [], through: 1 });
  expect(store.journal.tail('spam', 0, 10)).toEqual({ entries: [], through: 1 });
  expect(store.journal.read('spam', 0, 10, { own: true }).entries).toEqual([entry]);
});

test('an event that has an entry gets none, whatever that is, on disk or on its way there', async () => {
  const store = await here.open();
  const appends = [own('a'), label('b', 1), label('c', 0), label('c', -1)].map((each) =>
    store.journal.append([each]),
  );
  let told = 0;
  const count = () => {
    told += 1;
  };
  const again = () => store.journal.append([own('a'), own('b'), own('c')], count);
  expect(await again()).toEqual([]);
  await Promise.all(appends);
  expect(await again()).toEqual([]);
  expect(told).toBe(0);
  const [d] = await store.journal.append([own('a'), own('d')], count);
  expect([d.event, d.seq, told]).toEqual(['d', 5, 1]);
});

test('the first label lies on top, the next replaces both, a withdrawal too; a restart changes nothing', async () => {
  let store = await here.open();
  const seqOf = async (given: ReturnType<typeof label>) => (await store.journal.append([given]))[0];
  await seqOf(own('a'));
  expect((await seqOf(label('a', 1))).supersedes).toBe(0);
  expect(effective(store)).toEqual([
    [1, OWN_LABEL],
    [2, 1],
  ]);
  await store.close();
  store = await here.open();
  expect(store.journal.read('spam', 0, 10).entries.map(({ seq, supersedes }) => [seq, supersedes])).toEqual([
    [2, 0],
  ]);
  expect((await seqOf(label('a', 0))).supersedes).toBe(2);
  expect(effective(store)).toEqual([[3, 0]]);
  expect(store.journal.ownOf('spam', 'a')).toBe(0);
  await seqOf(own('b'));
  const withdrawn = await seqOf(label('b', -1));
  expect(withdrawn.supersedes).toBe(0);
  expect(store.journal.ownOf('spam', 'b')).toBe(0);
  expect(effective(store)).toEqual([[3, 0]]);
  await seqOf(own('c'));
  await seqOf(label('c', 1));
  await seqOf(label('c', -1));
  expect(effective(store)).toEqual([[3, 0]]);
});

test.each([
  ['the own label alone', []],
  ['with a label on top', [1]],
  ['with a corrected label on top', [1, 0]],
])('what is erased leaves the withdrawal and no numbers: %s', async (_, labels) => {
  const store = await here.open();
  for (const each of [own('a'), ...labels.map((value) => label('a', value)), label('a', -1)])
    await store.journal.append([each]);
  const bytes = store.journal.read('spam', 0, 10).through;
  expect(await store.journal.erase('spam', ['a'])).toEqual([]);
  const all = store.journal.tail('spam', 0, 10);
  expect(all.through).toBe(bytes);
  expect(all.entries.map(({ label: value, joined }) => [value, joined.rows.indices.length])).toEqual([
    [-1, 0],
  ]);
  // Nothing else is left under any number.
  const { entries } = store.journal.tail('spam', 0, 10);
  expect(entries).toHaveLength(1);
  expect(store.journal.before('spam', 1)).toBe(0);
});

test('equals a fold over a map, whatever is asked, labelled, withdrawn and erased', async () => {
  const next = random(5);
  let store = await here.open();
  interface Known {
    own: number;
    label: { seq: number; value: number } | null;
  }
  const model = new Map<string, Known>();
  const note = ({ event, seq, label: value, supersedes }: JournalEntry) => {
    const known = model.get(event) ?? { own: 0, label: null };
    if (value === OWN_LABEL) {
      expect(known).toEqual({ own: 0, label: null });
      model.set(event, { own: seq, label: null });
      return;
    }
    expect(supersedes).toBe(known.label?.seq ?? 0);
    const onTop = known.label === null && value >= 0;
    model.set(event, { own: onTop ? known.own : 0, label: { seq, value } });
  };
  for (let round = 0; round < 60; round++) {
    const given = new Map(
      Array.from({ length: 1 + Math.floor(next() * 12) }, () => {
        const event = `e${Math.floor(next() * 60)}`;
        return [event, label(event, Math.floor(next() * 4) - 2)] as const;
      }),
    );
    for (const entry of await store.journal.append([...given.values()])) note(entry);
    if (next() < 0.2) await store.journal.erase('spam', [`e${Math.floor(next() * 60)}`]);
    if (next() < 0.1) {
      await store.close();
      store = await here.open();
    }
  }
  const expected = [...model.values()].flatMap(({ own: seq, label: known }) => [
    ...(seq > 0 ? [[seq, OWN_LABEL]] : []),
    ...(known && known.value >= 0 ? [[known.seq, known.value]] : []),
  ]);
  expect(effective(store)).toEqual(expected.sort(([a], [b]) => a - b));
  for (const [event, known] of model) {
    expect(store.journal.ownOf('spam', event)).toBe(known.own);
    const { seq, value } = known.label ?? { seq: 0, value: 0 };
    expect(store.journal.labelOf('spam', event)).toEqual(known.label && { seq, label: value });
  }
});
