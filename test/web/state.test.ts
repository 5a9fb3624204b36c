import { describe, expect, it } from 'vitest';
import type { WindowInput } from '../../src/web/lanes.ts';
import { DashboardState } from '../../src/web/state.ts';
import type { Abilities, GatewayView, ModelView, Overview } from '../../src/web/view.ts';
import { Feed, SITES, setup } from './feed.ts';

const can: Abilities = { token: true, feedback: true, dead: true, models: true, find: true };
const START = Date.UTC(2026, 4, 12, 12);
const MINUTE = 60_000;

function begin(reads: Partial<ConstructorParameters<typeof DashboardState>[1]> = {}, changes = {}) {
  const time = { now: START };
  const clock = { now: () => time.now, sleep: async () => undefined };
  const ready = () => ({ ok: true, reasons: [] });
  return { time, state: new DashboardState({ ...setup, ...changes }, { ready, ...reads }, clock) };
}

const window = (to: number, changes: Partial<WindowInput> = {}): WindowInput => ({
  from: to - 10_000,
  to,
  events: 100,
  verdicts: { ok: 96, fault: 4 },
  ...changes,
});
const look = (state: DashboardState, selection = {}): Overview => state.overview(selection, can);
const titles = (overview: Overview) => overview.needs.map(({ kind, title }) => `${kind}: ${title}`);

describe('an overview', () => {
  it('of a process that lacks everything has nulls and says what to do', () => {
    const { state } = begin({}, { tasks: [], role: 'gateway' });
    const overview = look(state);
    expect(overview).toMatchObject({ dead: null, models: null, rollouts: null, gateways: null, audit: null });
    expect(overview).toMatchObject({ series: null, good: null, needs: [], tasks: [] });
    expect(overview.stages.map(({ name }) => name)).toEqual([
      'collect',
      'prepare',
      'train',
      'test',
      'deploy',
      'watch',
    ]);
    expect(JSON.stringify(overview)).not.toMatch(/NaN|undefined/);
  });

  it('falls back to the first task and all sites where what is asked for is not there', () => {
    const { state, time } = begin();
    state.window('machine', 'a', window(time.now));
    expect(state.select({ task: 'nonsense', site: '<b>', range: 'day' })).toEqual({
      task: 'machine',
      site: '',
      range: 'day',
    });
    expect(state.select({ site: 'a' }).site).toBe('a');
  });

  it('adds rates of sites, takes the highest percentile and weighs quality by labels', () => {
    const { state, time } = begin();
    const quality = (tested: number, accuracy: number) => ({ quality: { tested, accuracy } });
    const latencyMs = (p99: number) => ({ latencyMs: { p50: 1, p95: 2, p99 } });
    state.window('machine', 'a', window(time.now, { ...quality(30, 1), ...latencyMs(3), labels: 5 }));
    state.window(
      'machine',
      'b',
      window(time.now, { events: 300, ...quality(10, 0.6), ...latencyMs(9), labels: 7 }),
    );
    const { tasks, series, stages } = look(state);
    expect(tasks[0]).toMatchObject({
      rate: 40,
      tested: 40,
      accuracy: expect.closeTo(0.9, 6),
      labelsLearned: 12,
    });
    expect(tasks[0].latencyMs).toEqual({ p50: 1, p95: 2, p99: 9 });
    expect(series?.columns).toMatchObject({ rate: [40], p99: [9], measured: [expect.closeTo(0.9, 4)] });
    expect(stages.map(({ figure }) => figure)).toEqual([
      '40/s',
      '0 dead',
      '12 labels',
      '90.0 %',
      'own model',
      'quiet',
    ]);
    expect(look(state, { site: 'a' }).series?.columns).toMatchObject({ rate: [10], p99: [3], measured: [1] });
  });

  it('has no rate any more when no window comes', () => {
    const { state, time } = begin();
    state.window('machine', 'a', window(time.now));
    time.now += MINUTE - 1;
    expect(look(state).tasks[0].rate).toBe(10);
    time.now += 1;
    expect(look(state).tasks[0].rate).toBeNull();
    expect(look(state).stages[0]).toMatchObject({ figure: '0/s', note: 'nothing arrives' });
    state.window('machine', 'a', { ...window(time.now), from: time.now - 5 * MINUTE });
    time.now += 10 * MINUTE;
    expect(look(state).tasks[0].rate).not.toBeNull();
  });

  it('does not let a clock that runs ahead push real points out', () => {
    const { state, time } = begin();
    state.window('machine', 'a', window(time.now));
    state.window('machine', 'liar', window(time.now + 10 * 365 * 86_400_000));
    expect(look(state).series?.at.every((at) => at <= time.now)).toBe(true);
    expect(look(state, { site: 'a' }).series?.at).toHaveLength(1);
  });

  it('keeps sixteen sites apart, and the rate of all others together', () => {
    const { state, time } = begin();
    for (let i = 0; i < 100; i++) state.window('machine', `site-${i}`, window(time.now));
    expect(look(state).tasks[0].sites).toHaveLength(17);
    expect(look(state).series?.columns.rate).toEqual([1_000]);
  });

  it('tells only newer points in a delta, with the newest again', () => {
    const feed = new Feed();
    feed.play(10 * MINUTE);
    const all = look(feed.state).series!;
    const from = all.at.at(-3)!;
    const delta = feed.state.overview({}, can, from).series!;
    expect(delta.at).toEqual(all.at.slice(-3));
    expect(delta.columns.measured).toEqual(all.columns.measured.slice(-3));
    expect(delta.marks).toEqual(all.marks);
  });

  it('draws quality over the newest labels, so that one bucket with few does not shake it', () => {
    const { state, time } = begin();
    for (let i = 0; i < 40; i++) {
      time.now += 10_000;
      state.window('machine', 'a', window(time.now, { quality: { tested: 3, accuracy: i === 39 ? 0 : 1 } }));
    }
    const measured = look(state).series!.columns.measured;
    expect(measured.at(-2)).toBe(1);
    expect(measured.at(-1)).toBeCloseTo(29 / 30, 4);
  });
});

describe('what needs a person', () => {
  it('is in order of urgency, each with what can be done', () => {
    const feed = new Feed();
    feed.play(61 * MINUTE);
    const { needs } = look(feed.state);
    expect(needs.map(({ kind }) => kind)).toEqual(['drift', 'candidate']);
    expect(needs[0]).toMatchObject({ title: 'press-07 · vibration slope drifts', tone: 'warn' });
    expect(needs[0].text).toBe('log-loss 0.112 → 0.48 at north-gate · told by adwin');
    expect(needs[0].actions.map(({ kind }) => kind)).toEqual(['see', 'span']);
    expect(needs[1].text).toBe('+0.9 ± 0.3 points on 1,204 unseen events against the model that runs');
    expect(needs[1].actions.map(({ label }) => label)).toEqual(['compare', 'approve', 'reject']);
  });

  it('has an alarm while it is open, once per stream and site', () => {
    const { state } = begin();
    const feed = new Feed(START);
    state.alarm('a', feed.alarm('drift', 'feature:vibration', 0));
    state.alarm('a', feed.alarm('drift', 'feature:vibration', 0));
    state.alarm('b', feed.alarm('drift', 'feature:vibration', 0));
    expect(look(state).needs).toHaveLength(2);
    state.alarm('a', feed.alarm('over', 'feature:vibration', 0));
    state.alarm('b', feed.alarm('over', 'feature:vibration', 0));
    expect(look(state).needs).toEqual([]);
  });

  it('names what is not ready, what stopped, who is silent or refused, and new dead letters for ten minutes', () => {
    const gateway = (
      site: string,
      presence: GatewayView['presence'],
      state: 'running' | 'refused',
    ): GatewayView => ({
      site,
      group: 'default',
      presence,
      lastSeen: START - MINUTE,
      tasks: [
        {
          task: 'machine',
          model: 'v1',
          labels: 0,
          state,
          reason: 'BUNDLE_EXPIRED: too old',
          rate: 1,
          accuracy: 1,
        },
      ],
    });
    const { state, time } = begin({
      ready: () => ({ ok: false, reasons: ['source mail: not connected'] }),
      stopped: () => [{ task: 'machine', since: START, reason: 'The store is full.' }],
      gateways: () => [
        gateway('a', 'online', 'refused'),
        gateway('b', 'silent', 'running'),
        gateway('c', 'offline', 'running'),
      ],
    });
    state.window('spam', 'a', window(time.now, { dead: 3 }));
    expect(titles(look(state))).toEqual([
      'stopped: machine stands still',
      'ready: Not ready',
      'refused: a refused a model',
      'dead: 3 new dead letters',
      'silent: 2 gateways silent',
    ]);
    time.now += 11 * MINUTE;
    expect(titles(look(state))).not.toContain('dead: 3 new dead letters');
  });

  it('is bounded, and says how many more there are', () => {
    const { state } = begin({
      ready: () => ({ ok: false, reasons: Array.from({ length: 100 }, (_, i) => `r${i}`) }),
    });
    const { needs } = look(state);
    expect(needs).toHaveLength(20);
    expect(needs.at(-1)?.title).toBe('81 more');
  });

  it('offers no approval where the process cannot', () => {
    const feed = new Feed();
    feed.play(61 * MINUTE);
    const { needs } = feed.state.overview({}, { ...can, models: false, feedback: false });
    expect(needs.flatMap(({ actions }) => actions.map(({ label }) => label))).toEqual(['see', 'compare']);
  });
});

describe('verdicts', () => {
  const verdict = (event: string, device = 'Ann <ann@example.org>') => ({
    event,
    device,
    at: START,
    label: 'spam',
    score: 0.9,
    model: 'm+1',
  });
  const reason = () => [
    { name: 'many links', private: false },
    { name: 'word “cheap”', private: true },
  ];

  it('of mails are masked unless privacy.show; devices of readings are shown', async () => {
    for (const show of [false, true]) {
      const { state } = begin({ reason }, { show });
      state.verdicts('spam', 'a', [verdict('e1')]);
      state.verdicts('machine', 'a', [verdict('e2', 'press-07')]);
      look(state, { task: 'spam' });
      await Promise.resolve().then(() => new Promise((resolve) => setImmediate(resolve)));
      const text = JSON.stringify(look(state, { task: 'spam' }).recent);
      expect(text.includes('ann@example.org')).toBe(show);
      expect(text.includes('cheap')).toBe(show);
      expect(text).toContain('many links');
      expect(JSON.stringify(look(state, { task: 'machine' }).recent)).toContain('press-07');
    }
  });

  it('are the newest, bounded, and cost a question each once and only while somebody looks', async () => {
    const asked: string[] = [];
    const { state } = begin({
      reason: async (_task, event) => {
        asked.push(event);
        throw new Error('the event is gone');
      },
    });
    for (let i = 0; i < 1_000; i++) state.verdicts('machine', 'a', [verdict(`e${i}`)]);
    expect(asked).toEqual([]);
    for (let i = 0; i < 10; i++) {
      look(state);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const recent = look(state).recent!;
    expect(recent).toHaveLength(20);
    expect(recent[0].event).toBe('e999');
    expect(asked).toHaveLength(20);
    expect(recent[0].reasons).toEqual([]);
  });

  it('tell how sure the model is of the label that it gave', () => {
    const tasks = [
      { name: 'two', kind: 'reading' as const, labels: ['ok', 'fault'] },
      { name: 'turned', kind: 'reading' as const, labels: ['fault', 'ok'], positive: 'fault' },
      { name: 'three', kind: 'reading' as const, labels: ['a', 'ok', 'c'] },
    ];
    const { state } = begin({}, { tasks });
    for (const { name } of tasks)
      state.verdicts(name, 's', [
        { ...verdict('e1'), label: 'ok', score: 0.1 },
        { ...verdict('e2'), label: null, score: 0.4 },
      ]);
    const scores = (task: string) => look(state, { task }).recent?.map(({ score }) => score);
    expect(scores('two')).toEqual([0.4, 0.9]);
    expect(scores('turned')).toEqual([0.4, 0.9]);
    expect(scores('three')).toEqual([0.4, 0.1]);
  });

  it('remember the label that was given from the page', () => {
    const { state } = begin();
    state.verdicts('machine', 'a', [verdict('e1'), verdict('e2')]);
    state.given('machine', 'e1', 'ok');
    expect(look(state).recent?.map(({ given }) => given)).toEqual([null, 'ok']);
  });

  it('of tasks that are not configured are not kept', () => {
    const { state, time } = begin();
    state.verdicts('other', 'a', [verdict('e1')]);
    state.window('other', 'a', window(time.now));
    expect(JSON.stringify(look(state, { task: 'other' }))).not.toContain('e1');
  });
});

describe('the rest of the page', () => {
  it('bounds good mail that was lost, over all sites, for mail alone', () => {
    const { state, time } = begin();
    state.window('spam', 'a', window(time.now, { good: { confirmed: 12_000, lost: 0 } }));
    state.window('spam', 'b', window(time.now, { good: { confirmed: 400, lost: 0 } }));
    state.window('machine', 'b', window(time.now, { good: { confirmed: 400, lost: 0 } }));
    expect(look(state, { task: 'spam' }).good).toEqual({
      label: 'ham',
      confirmed: 12_400,
      lost: 0,
      atMost: expect.closeTo(0.000242, 6),
    });
    expect(look(state, { task: 'machine' }).good).toBeNull();
  });

  it('marks drift and models; the same change at many sites is one mark of all sites', () => {
    const { state, time } = begin();
    for (const site of SITES) state.model({ at: time.now, task: 'machine', site, name: 'v2' });
    time.now += 5 * MINUTE;
    state.model({ at: time.now, task: 'machine', site: SITES[0], name: 'v1', rollback: true });
    expect(look(state).series?.marks.map(({ text }) => text)).toEqual(['v2', 'v1 ↩']);
    state.window('machine', SITES[1], window(time.now));
    expect(look(state, { site: SITES[1] }).series?.marks).toMatchObject([{ text: 'v2', site: SITES[1] }]);
    time.now += 61 * MINUTE;
    expect(look(state).series?.marks).toEqual([]);
    expect(look(state, { range: 'day' }).series?.marks).toHaveLength(2);
  });

  it('reads lists from disk at most every five seconds, or when something was done', () => {
    let reads = 0;
    const { state, time } = begin({
      dead: () => {
        reads += 1;
        return [];
      },
    });
    for (let i = 0; i < 5; i++) look(state);
    expect(reads).toBe(1);
    state.touch();
    look(state);
    time.now += 5_000;
    look(state);
    expect(reads).toBe(3);
  });

  it('says where the live model and a trial run', () => {
    const feed = new Feed();
    feed.play(45 * MINUTE);
    const deploy = look(feed.state).stages[4];
    expect(deploy).toMatchObject({ figure: 'v1 1/2', note: 'v2 on trial at south-yard' });
    feed.play(5 * MINUTE);
    expect(look(feed.state).stages[4]).toMatchObject({ figure: 'v2 2/2', note: 'on every gateway' });
    const versions = (models: readonly ModelView[] | null) =>
      models?.map(({ version, stage }) => `${version} ${stage}`);
    expect(versions(look(feed.state).models)).toEqual(['2 live', '1 retired']);
  });

  it('of a large fleet shows those first that need a look, and counts all', () => {
    const gateways: GatewayView[] = Array.from({ length: 500 }, (_, i) => ({
      site: `site-${i}`,
      group: 'default',
      presence: i === 400 ? 'silent' : 'online',
      lastSeen: START,
      tasks: [],
    }));
    const overview = look(begin({ gateways: () => gateways }).state);
    expect(overview.fleet).toEqual({ total: 500, online: 499 });
    expect(overview.gateways).toHaveLength(200);
    expect(overview.gateways?.[0].site).toBe('site-400');
  });

  it('stays bounded under a flood', () => {
    const { state, time } = begin();
    const feed = new Feed(START);
    for (let i = 0; i < 2_000; i++) {
      state.alarm(`site-${i}`, feed.alarm('drift', `feature:f${i}`, 0));
      state.model({ at: time.now, task: 'machine', site: `site-${i}`, name: `v${i}` });
    }
    const overview = look(state);
    expect(overview.series?.marks.length).toBeLessThanOrEqual(100);
    expect(JSON.stringify(overview).length).toBeLessThan(100_000);
  });
});
