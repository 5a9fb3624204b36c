/**
 * A made-up plant and mail flow that drives DashboardState in virtual time: two sites, a machine whose vibration drifts,
 * its alarm, a candidate, a trial and a roll-out, and mail whose labels come late. Seeded; nothing of it is measured.
 */
import type { Alarm, Clock, DeadLetter, Decided } from '../../src/contract.ts';
import type { DashboardActions } from '../../src/web/dashboard.ts';
import type { Reason, VerdictInput } from '../../src/web/recent.ts';
import { type DashboardReads, type DashboardSetup, DashboardState } from '../../src/web/state.ts';
import type { AuditView, FeedbackRequest, GatewayView, ModelView, RolloutView } from '../../src/web/view.ts';

export const SITES = ['north-gate', 'south-yard'] as const;
const WINDOW_MS = 10_000;
const MINUTE = 60_000;

/** When things happen, ms after the beginning. */
const DRIFT_AT = 33 * MINUTE;
const ALARM_AT = 35 * MINUTE;
const CANDIDATE_AT = 39 * MINUTE;
const CANARY_AT = 43 * MINUTE;
const LIVE_AT = 48 * MINUTE;
const SECOND_DRIFT_AT = 56 * MINUTE;
const SECOND_ALARM_AT = 57 * MINUTE;

export const setup: DashboardSetup = {
  site: 'north-gate',
  version: '0.1.0',
  backend: 'cpu avx2',
  role: 'both',
  tasks: [
    { name: 'machine', kind: 'reading', labels: ['ok', 'fault'] },
    { name: 'spam', kind: 'mail', labels: ['ham', 'spam'] },
  ],
  show: false,
};

const hex = (n: number): string => (n * 2_654_435_761).toString(16).padStart(8, '0').slice(0, 8).repeat(8);

/** A small seeded generator (mulberry32). */
function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class Feed {
  readonly state: DashboardState;
  readonly posted: { readonly what: string; readonly body: unknown }[] = [];
  readonly #begun: number;
  readonly #random = seeded(7);
  #now: number;
  #events = 0;
  #letters: DeadLetter[] = [];
  #approved = false;

  constructor(begun = Date.UTC(2026, 4, 12, 13, 10), changes: Partial<DashboardSetup> = {}) {
    this.#begun = begun;
    this.#now = begun;
    const clock: Clock = { now: () => this.#now, sleep: async () => undefined };
    this.state = new DashboardState({ ...setup, ...changes }, this.#reads(), clock);
  }

  get now(): number {
    return this.#now;
  }

  /** Lets time go on, window by window. */
  play(ms: number): void {
    for (const end = this.#now + ms; this.#now < end; ) {
      this.#now += WINDOW_MS;
      for (const [i, site] of SITES.entries()) {
        this.#machine(site, i);
        this.#mail(site, i);
      }
      this.#moments();
    }
  }

  readonly actions: DashboardActions = {
    feedback: async (body: FeedbackRequest) =>
      this.#post('feedback', body, 'Learned: the label is in the journal.'),
    replay: async (ids) => this.#post('replay', { ids }, `${ids.length} on the way through the flow again.`),
    drop: async (ids) => {
      this.#letters = this.#letters.filter(({ id }) => !ids.includes(id));
      return this.#post('drop', { ids }, `${ids.length} dropped.`);
    },
    model: async (what, order) => {
      if (what === 'promote') this.#approved = true;
      return this.#post(what, order, `Ordered: ${what}. The hub takes it up within seconds.`);
    },
    find: async ({ task, text, at, limit }) => {
      const hit = { ...this.#verdict('machine', at ?? this.#now, text || 'press-07'), task, site: SITES[0] };
      const found = text === 'nobody' ? [] : [{ ...hit, truth: 'fault', reasons: reasonsOf(hit.event) }];
      return {
        found: found.slice(0, limit),
        note: found.length === 0 ? 'Scored events are kept for 7 days.' : '',
      };
    },
  };

  async #post(what: string, body: unknown, text: string) {
    this.posted.push({ what, body });
    return { ok: true, text };
  }

  get #at(): number {
    return this.#now - this.#begun;
  }

  /** Quality of the machine task at a site: it falls at each drift and is mended by the roll-out. */
  #machineQuality(): number {
    const at = this.#at;
    if (at < DRIFT_AT) return 0.972;
    if (at < LIVE_AT) return 0.972 - 0.1 * Math.min(1, (at - DRIFT_AT) / (4 * MINUTE));
    if (at < SECOND_DRIFT_AT) return 0.97;
    return 0.97 - 0.03 * Math.min(1, (at - SECOND_DRIFT_AT) / (3 * MINUTE));
  }

  #machine(site: string, i: number): void {
    const events = Math.round(WINDOW_MS * (i === 0 ? 3.1 : 2.1) * (1 + 0.08 * (this.#random() - 0.5)));
    const quality = this.#machineQuality();
    const faults = Math.round(events * 0.04);
    const slow = 1 + 0.6 * this.#random();
    this.state.window('machine', site, {
      from: this.#now - WINDOW_MS,
      to: this.#now,
      events,
      verdicts: { ok: events - faults, fault: faults },
      dead: i === 0 && this.#at === 51 * MINUTE ? 2 : 0,
      latencyMs: { p50: 0.6 * slow, p95: 1.9 * slow, p99: 3.4 * slow },
      labels: 800 + Math.floor(this.#at / 9_000),
      sufficient: true,
      quality: { tested: 24, accuracy: Math.min(1, quality + 0.02 * (this.#random() - 0.5)) },
      estimated: Math.min(1, quality * 0.55 + 0.435 + 0.004 * (this.#random() - 0.5)),
      unsettled: Math.round(40 + 60 * this.#random()),
      outbox: 0,
    });
    const devices = Array.from(
      { length: 3 },
      () => `press-${String(1 + Math.floor(this.#random() * 20)).padStart(2, '0')}`,
    );
    this.state.verdicts(
      'machine',
      site,
      devices.map((device, n) => this.#verdict('machine', this.#now - 7_000 + 3_000 * n + 900 * i, device)),
    );
  }

  #mail(site: string, i: number): void {
    const events = Math.round(30 + 20 * this.#random()) - 12 * i;
    const spam = Math.round(events * 0.55);
    const late = this.#at > 6 * MINUTE;
    this.state.window('spam', site, {
      from: this.#now - WINDOW_MS,
      to: this.#now,
      events,
      verdicts: { ham: events - spam, spam },
      dead: i === 0 && this.#at === 51 * MINUTE ? 1 : 0,
      latencyMs: { p50: 2.2, p95: 6.4, p99: 11 + 4 * this.#random() },
      labels: late ? 200 + Math.floor((this.#at - 6 * MINUTE) / 4_000) : 0,
      sufficient: late,
      quality: late ? { tested: 4, accuracy: 0.985 + 0.015 * this.#random() } : null,
      estimated: 0.978,
      unsettled: 3,
      outbox: 0,
      good: { confirmed: i === 0 ? 8_050 : 4_350, lost: 0 },
    });
    this.state.verdicts('spam', site, [
      this.#verdict('spam', this.#now - 4_000 + 3_100 * i, 'Ann Example <ann@example.org>'),
    ]);
    if (i === 0 && this.#at === 51 * MINUTE) this.#letters = [2, 1, 0].map((n) => this.#letter(n));
  }

  #verdict(task: 'machine' | 'spam', at: number, device: string): VerdictInput {
    this.#events += 1;
    const [usual, rare] = task === 'machine' ? ['ok', 'fault'] : ['ham', 'spam'];
    const chance = this.#random();
    const label = chance < (task === 'machine' ? 0.3 : 0.5) ? rare : usual;
    const sure = chance > 0.9 ? 0.52 + 0.1 * this.#random() : 0.86 + 0.139 * this.#random();
    const score = label === rare ? sure : 1 - sure;
    return {
      event: `${task}/${this.#events}`,
      device,
      at,
      label,
      score,
      model: `${hex(2).slice(0, 12)}+841`,
      decided: task === 'machine' ? null : decided(label === rare, sure, chance),
    };
  }

  #moments(): void {
    const at = this.#at;
    const both = (work: (site: string) => void) => SITES.forEach(work);
    const is = (moment: number) => at === moment;
    if (is(MINUTE)) both((site) => this.state.model({ at: this.#now, task: 'machine', site, name: 'v1' }));
    if (is(ALARM_AT)) this.state.alarm(SITES[0], this.alarm('drift', 'feature:vibration', DRIFT_AT));
    if (is(LIVE_AT + 2 * MINUTE))
      this.state.alarm(SITES[0], this.alarm('over', 'feature:vibration', DRIFT_AT));
    if (is(CANARY_AT)) this.state.model({ at: this.#now, task: 'machine', site: SITES[1], name: 'v2' });
    if (is(LIVE_AT)) this.state.model({ at: this.#now, task: 'machine', site: SITES[0], name: 'v2' });
    if (is(SECOND_ALARM_AT)) this.state.alarm(SITES[0], this.alarm('drift', 'logLoss', SECOND_DRIFT_AT));
  }

  alarm(state: Alarm['state'], stream: string, since: number, device = 'press-07'): Alarm {
    return {
      task: 'machine',
      stream,
      detector: 'adwin',
      state,
      statistic: 4.1,
      threshold: 3.2,
      window: 412,
      model: `${hex(2)}+841`,
      at: this.#now,
      since: this.#begun + since,
      before: stream === 'logLoss' ? 0.112 : 2.04,
      now: stream === 'logLoss' ? 0.48 : 3.41,
      features: stream === 'logLoss' ? ['vibration slope'] : ['vibration'],
      devices: [device],
    };
  }

  #letter(n: number): DeadLetter {
    const codes = ['DECODE_JSON', 'DECODE_MAIL', 'DECODE_TYPE'];
    const words = [
      'position 212: the string is not closed',
      'no header line was found',
      'field temperature: text where a number was declared',
    ];
    return {
      id: String(1040 + n),
      task: n === 1 ? 'spam' : 'machine',
      code: codes[n],
      message: words[n],
      receivedAt: this.#now - n * 1_900,
      original: {
        source: n === 1 ? 'mail' : 'plant',
        topic: n === 1 ? 'mail.inbound' : `plant/press-1${n}/telemetry`,
        key: null,
        payload: new Uint8Array(214 + 900 * n),
        headers: {},
        at: this.#now,
        position: '',
      },
    };
  }

  #reads(): DashboardReads {
    return {
      ready: () => ({ ok: true, reasons: [] }),
      dead: (limit) => this.#letters.slice(0, limit),
      models: () => this.#models(),
      rollouts: () => this.#rollouts(),
      gateways: () => this.#gateways(),
      audit: () => this.#audit(),
      reason: (_task, event) => reasonsOf(event),
    };
  }

  #models(): ModelView[] {
    const at = this.#at;
    const model = (
      version: number,
      stage: ModelView['stage'],
      since: number,
      more: Partial<ModelView>,
    ): ModelView => ({
      task: 'machine',
      digest: hex(version),
      version,
      kind: 'forest',
      stage,
      since: this.#begun + since,
      reason: '',
      trainedRows: 9_640 * version,
      bytes: 412_000 + 9_100 * version,
      signer: 'hub-north',
      quality: { tested: 1_204, accuracy: 0.9709, logLoss: 0.091, interval: [0.084, 0.098] },
      gain: null,
      waiting: false,
      runsOn: [],
      of: SITES.length,
      ...more,
    });
    const second = at >= LIVE_AT;
    const list = [
      model(1, second ? 'retired' : 'live', MINUTE, {
        runsOn: second ? [] : at >= CANARY_AT ? [SITES[0]] : [...SITES],
        reason: second ? 'v2 took its place' : '',
      }),
    ];
    if (at >= CANDIDATE_AT)
      list.unshift(
        model(
          2,
          second ? 'live' : at >= CANARY_AT ? 'canary' : 'candidate',
          second ? LIVE_AT : CANDIDATE_AT,
          {
            runsOn: second ? [...SITES] : at >= CANARY_AT ? [SITES[1]] : [],
            gain: { points: 8.8, by: 1.7, tested: 1_204 },
            reason: 'trained after drift of vibration; better on unseen events',
          },
        ),
      );
    if (at >= SECOND_ALARM_AT)
      list.unshift(
        model(3, 'candidate', SECOND_ALARM_AT, {
          quality: { tested: 1_204, accuracy: 0.964, logLoss: 0.104, interval: [0.096, 0.113] },
          gain: { points: 0.9, by: 0.3, tested: 1_204 },
          waiting: !this.#approved,
          reason: this.#approved ? 'approved' : 'passed the gate; approve: manual',
        }),
      );
    return list;
  }

  #rollouts(): RolloutView[] {
    const at = this.#at;
    if (at < CANARY_AT || at >= LIVE_AT) return [];
    return [
      {
        task: 'machine',
        digest: hex(2),
        version: 2,
        mode: 'canary',
        since: this.#begun + CANARY_AT,
        deadline: this.#begun + LIVE_AT + 20 * MINUTE,
        tested: Math.round((at - CANARY_AT) / 400),
        needed: 900,
        sites: [SITES[1]],
        paused: false,
        text: 'better so far: log-loss 0.09 against 0.41',
      },
    ];
  }

  #gateways(): GatewayView[] {
    return SITES.map((site, i) => ({
      site,
      group: 'default',
      presence: 'online',
      lastSeen: this.#now - 1_000 - 900 * i,
      tasks: [
        {
          task: 'machine',
          model: this.#at >= LIVE_AT || (i === 1 && this.#at >= CANARY_AT) ? 'v2' : 'v1',
          labels: 841 - 120 * i,
          state: 'running',
          reason: '',
          rate: i === 0 ? 3_102 : 2_110,
          accuracy: this.#machineQuality() - 0.004 * i,
        },
        {
          task: 'spam',
          model: null,
          labels: 922 - 80 * i,
          state: 'running',
          reason: '',
          rate: 3.9 - i,
          accuracy: 0.991,
        },
      ],
    }));
  }

  #audit(): AuditView[] {
    const entry = (at: number, what: string, model: string, why: string): AuditView => ({
      at: this.#begun + at,
      who: 'hub',
      what,
      task: 'machine',
      model,
      why,
    });
    const all = [
      entry(
        SECOND_ALARM_AT,
        'passed the gate',
        'v3',
        '+0.9 ± 0.3 points on 1,204 unseen events; waits for approval',
      ),
      entry(
        LIVE_AT,
        'promoted',
        'v2',
        'better on 900 paired events: log-loss 0.09 against 0.41, error budget 1 %',
      ),
      entry(CANARY_AT, 'trial begun', 'v2', 'at south-yard, at least 900 events, decided within 25 min'),
      entry(
        CANDIDATE_AT,
        'trained',
        'v2',
        '24 configurations, 19,280 rows, 31 s; the winner: forest, 80 trees',
      ),
      entry(ALARM_AT, 'training ordered', '', 'drift of vibration at north-gate'),
    ];
    return all.filter(({ at }) => at <= this.#now);
  }
}

function reasonsOf(event: string): readonly Reason[] {
  const [task, n] = event.split('/');
  const a = Math.floor(Number(n) / 3) % 4;
  const b = (a + 1 + (Number(n) % 3)) % 4;
  if (task === 'spam') {
    const known = ['link text ≠ target', 'word in subject', 'sent at night', 'many links'];
    return [
      { name: known[a], private: false },
      { name: `word “example${n}”`, private: true },
    ];
  }
  const known = ['vibration slope', 'bearing temperature', 'current ripple', 'vibration mean'];
  return [known[a], known[b]].map((name) => ({ name, private: false }));
}

/** As a gateway would that has its thresholds: of the spams the surest are tagged, one comes from a known correspondent. */
function decided(rare: boolean, sure: number, chance: number): Decided {
  if (!rare) return { action: 'none' };
  if (chance < 0.1) return { action: 'none', reason: 'correspondent' };
  return sure > 0.9 ? { action: 'tag' } : { action: 'unsure', reason: 'threshold' };
}
