import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Store } from '../../src/contract.ts';
import { findIncident, type IncidentQuery } from '../../src/fleet/incident.ts';
import { pastModel } from '../../src/fleet/past.ts';
import { openStore, storeOptions } from '../../src/state.ts';
import { engine, eventOf, makeRig, type Rig, task } from './kit.ts';

/** Of the kit: event n of device d(n % 3) happened at 1,000 s + n s. */
const START = 1_000_000;
const NOW = START + 3_600_000;

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const find = (query: IncidentQuery, store: Store = rig.store) => findIncident(store, task, query, NOW);
const events = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => eventOf(from + i));
const join = (from: number, to: number) => rig.join(events(from, to).map(({ event }) => event));

describe('finding an incident', () => {
  it('finds an event by its identity, with verdict, scores, model and label', async () => {
    await join(0, 10);
    await rig.give([['t/0/4', 'fault']]);
    const { incidents, rows, more, hint } = find({ event: 't/0/4' });
    expect(incidents).toHaveLength(1);
    expect(incidents[0]).toMatchObject({
      task: 'machine',
      event: 't/0/4',
      device: 'd1',
      at: START + 4_000,
      label: { label: 'fault', origin: 'test', weight: 1, at: 1 },
      from: 'events',
    });
    expect(incidents[0].model).toMatch(/^blank-[0-9a-f]{12}\+0$/);
    expect(Object.keys(incidents[0].scores)).toEqual(['ok', 'fault']);
    expect(rows[0].rows.count).toBe(1);
    expect({ more, hint }).toEqual({ more: false, hint: '' });
  });

  it('shows a withdrawn label as withdrawn, and none as none', async () => {
    await join(0, 3);
    await rig.give([['t/0/1', 'ok']]);
    await rig.give([['t/0/1', null]]);
    expect(find({ event: 't/0/1' }).incidents[0].label).toEqual({ label: null });
    expect(find({ event: 't/0/2' }).incidents[0].label).toBeNull();
  });

  it('finds the events of a device closest to a time, and says what is there where none is', async () => {
    await join(0, 30);
    const { incidents, how } = find({ device: 'd0', at: START + 10_400 });
    expect(incidents.slice(0, 2).map(({ event }) => event)).toEqual(['t/0/9', 't/0/12']);
    expect(how).toContain('device d0 at 1970-01-01T00:16:50.400Z');
    const far = find({ device: 'd0', at: START + 90_000_000 });
    expect(far.incidents).toEqual([]);
    expect(far.hint).toContain('its newest event is of 1970-01-01T00:17:07.000Z');
    expect(find({ device: 'nobody', at: START }).hint).toBe('no event of nobody is kept');
  });

  it('gives the newest of a device first, also where there are thousands', async () => {
    await join(0, 9_000);
    const { incidents, more } = find({ device: 'd1', limit: 3 });
    expect(incidents.map(({ event }) => event)).toEqual(['t/0/8998', 't/0/8995', 't/0/8992']);
    expect(more).toBe(true);
  });

  it('finds what happened at a time on any device', async () => {
    await join(0, 400);
    const span = find({ from: START + 100_000, to: START + 104_000 });
    expect(span.incidents.map(({ event }) => event)).toEqual(
      [100, 101, 102, 103, 104].map((n) => `t/0/${n}`),
    );
    expect(find({ at: START + 42_000 }).incidents.map(({ event }) => event)).toEqual(['t/0/42']);
    expect(find({ from: NOW, to: NOW + 1 }).hint).toContain('name the device too');
  });

  it.each([
    ['t/0/7', ['t/0/7']],
    ['d1 00:16:47', ['t/0/7']],
    ['d1 1970-01-01 00:16:47', ['t/0/7']],
    ['d1 1970-01-01T00:16:47Z', ['t/0/7']],
    ['  d2  ', ['t/0/29', 't/0/26']],
    ['00:16:47', ['t/0/7']],
    ['1970-01-01T00:16:47Z', ['t/0/7']],
    ['00:16', null],
    ['1007000000000', []],
  ])('guesses what %j is', async (text, expected) => {
    await join(0, 30);
    const { incidents } = find({ text });
    if (expected === null) expect(incidents.length).toBe(20);
    else expect(incidents.slice(0, 2).map(({ event }) => event)).toEqual(expected);
  });

  it.each([
    ['nothing', '', 'write an event, a Message-ID, or a device and a time'],
    ['an unknown mail', '<who@where.example>', 'Message-ID'],
    ['an unknown device', 'press-99', 'it is no event'],
    ['SQL', "'; DROP TABLE events; --", 'it is no event'],
    ['no text', '\u0000\ud800', 'it is no event'],
    ['no time', `d1 ${'9'.repeat(400)}`, 'it is no event'],
    ['a novel', 'x'.repeat(100_000), 'it is no event'],
  ])('says what is missing for %s', async (_what, text, said) => {
    await join(0, 3);
    const { incidents, how, hint } = find({ text });
    expect(incidents).toEqual([]);
    expect(`${how} ${hint}`).toContain(said);
    expect(hint.length + how.length).toBeLessThan(1_000);
  });

  it('never gives more than the bound, whatever is asked', async () => {
    await join(0, 1_500);
    expect(find({ from: 0, to: NOW, limit: 1e9 }).incidents).toHaveLength(1_000);
    expect(find({ from: 0, to: NOW, limit: -5 }).incidents).toHaveLength(1);
    expect(find({ from: Number.NaN, to: NOW }).incidents).toEqual([]);
  });

  it('works from a tool beside the gateway that writes', async () => {
    await join(0, 10);
    await rig.give([['t/0/4', 'fault']]);
    const { path: _, ...limits } = storeOptions.parse({});
    const { telemetry, folder } = rig;
    const tool = await openStore({
      path: `${folder}/state`,
      limits,
      clock: systemClock,
      telemetry,
      mode: 'tool',
    });
    try {
      expect(find({ text: 'd1 00:16:44' }, tool).incidents[0]).toMatchObject({
        event: 't/0/4',
        label: { label: 'fault' },
      });
    } finally {
      await tool.close();
    }
  });
});

describe('the model behind a verdict', () => {
  const labels = (from: number, to: number) =>
    events(from, to).map(({ event, label }) => [event.id, label] as const);

  it('is the very one: snapshot or none, then the labels of the journal up to that verdict', async () => {
    await join(0, 60);
    await rig.give(labels(0, 60));
    await rig.learner.settled();
    await join(60, 61);
    const { incidents, rows } = find({ event: 't/0/60' });
    await rig.reopen(true); // leaves a snapshot of 60
    await join(61, 100);
    await rig.give(labels(61, 100));
    await rig.learner.settled();
    await join(100, 101);
    const later = find({ event: 't/0/100' });
    for (const [incident, row] of [
      [incidents[0], rows[0]],
      [later.incidents[0], later.rows[0]],
    ] as const) {
      const past = await pastModel(task, engine, rig.store, incident.model, true);
      expect(past?.name).toBe(incident.model);
      expect([...(await past!.model.score(row.rows))]).toEqual([...row.scores]);
      past?.model.close();
    }
  });

  it('is the newest where none is named, and none is learned where the task is frozen', async () => {
    await join(0, 30);
    await rig.give(labels(0, 30));
    await rig.learner.settled();
    expect((await pastModel(task, engine, rig.store, null, true))?.labels).toBe(30);
    expect((await pastModel(task, engine, rig.store, null, false))?.labels).toBe(0);
  });

  it('says by its name that it is another one', async () => {
    await join(0, 30);
    await rig.give(labels(0, 30));
    await rig.reopen(true);
    const past = await pastModel(task, engine, rig.store, 'otherbase+3', true);
    expect(past?.base).toMatch(/^blank-/);
    expect(past?.labels).toBe(30);
  });
});
