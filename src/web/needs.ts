/**
 * What needs a person, derived from what is known now: nothing is stored here. The order is that of urgency: what
 * stands still, what changed, what waits for a word, what piles up, who is silent. Each need says what it is, since
 * when, and what can be done. Bounded: the first MAX_NEEDS are told, and how many more there are.
 */
import type { Alarm } from '../contract.ts';
import { count, level, percent, plural, points, rate } from './client/format.ts';
import type { GatewayView, ModelView, Need, NeedAction, Selection, StageView, TaskView } from './view.ts';

const MAX_NEEDS = 20;
const SILENT_NAMED = 5;

/** An alarm that no `over` has ended. */
export interface OpenAlarm {
  readonly site: string;
  readonly alarm: Alarm;
}

export interface Known {
  readonly now: number;
  readonly ready: { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly stopped: readonly { readonly task: string; readonly since: number; readonly reason: string }[];
  readonly open: readonly OpenAlarm[];
  readonly models: readonly ModelView[];
  readonly gateways: readonly GatewayView[];
  /** By task: new dead letters in the last ten minutes. */
  readonly newDead: readonly { readonly task: string; readonly letters: number; readonly since: number }[];
  readonly can: { readonly feedback: boolean; readonly models: boolean };
}

export function needsOf(known: Known): Need[] {
  const all = [
    ...notReady(known),
    ...known.open.map((open) => ofAlarm(open, known)),
    ...known.models.filter((model) => model.waiting).map((model) => ofCandidate(model, known)),
    ...refused(known.gateways),
    ...deadLetters(known),
    ...silent(known.gateways),
  ];
  if (all.length <= MAX_NEEDS) return all;
  const rest = all.length - (MAX_NEEDS - 1);
  return [
    ...all.slice(0, MAX_NEEDS - 1),
    need('more', 'ready', 'warn', '', `${count(rest)} more`, 'Mend the first ones; these follow.', null),
  ];
}

function need(
  id: string,
  kind: Need['kind'],
  tone: Need['tone'],
  task: string,
  title: string,
  text: string,
  since: number | null,
  actions: readonly NeedAction[] = [],
): Need {
  return { id, kind, tone, task, title, text, since, actions };
}

function notReady({ ready, stopped }: Known): Need[] {
  const halted = stopped.map(({ task, since, reason }) =>
    need(
      `stopped ${task}`,
      'stopped',
      'bad',
      task,
      `${task} stands still`,
      `${reason} Nothing is acknowledged until it is mended, so nothing is lost.`,
      since,
    ),
  );
  const reasons = ready.ok ? [] : ready.reasons;
  return [
    ...halted,
    ...reasons.map((text) => need(`ready ${text}`, 'ready', 'bad', '', 'Not ready', text, null)),
  ];
}

/** `press-07 · vibration`: where it shows, else what was watched. */
function ofAlarm({ site, alarm }: OpenAlarm, { now, can }: Known): Need {
  const { task, stream, devices, features, before, since } = alarm;
  const watched =
    Object.hasOwn(NAMES, stream) || stream.startsWith('logLoss:')
      ? words(stream)
      : stream.replace(/^(feature|missing|range):/, '');
  const where = [devices.slice(0, 2).join(', '), features[0] ?? watched].filter(Boolean).join(' · ');
  const shares = /^(verdicts|missing:|accuracy|error)/.test(stream);
  const show = shares ? percent : level;
  const span: NeedAction[] =
    devices.length > 0 && can.feedback
      ? [{ kind: 'span', label: 'label span', device: devices[0], from: since, to: now }]
      : [];
  return need(
    `drift ${site} ${task} ${stream}`,
    'drift',
    'warn',
    task,
    `${where || stream} drifts`,
    `${words(stream)} ${show(before)} → ${show(alarm.now)}${site ? ` at ${site}` : ''} · told by ${detectorName(alarm.detector)}`,
    since,
    [{ kind: 'see', label: 'see', target: 'quality' }, ...span],
  );
}

const NAMES: Readonly<Record<string, string>> = {
  logLoss: 'log-loss',
  margin: 'margin',
  score: 'score',
  verdicts: 'share of verdicts',
  errors: 'error rate',
  volume: 'volume',
  latency: 'latency',
};

/** What is a kind of test and no name is called so. */
const detectorName = (detector: string): string =>
  detector === 'sequential' ? 'a sequential test' : detector;

/** The name of a stream as people say it. */
export function words(stream: string): string {
  const [kind, name] = stream.split(/:(.*)/s);
  if (name === undefined || name === '') return NAMES[stream] ?? stream;
  if (kind === 'logLoss') return `log-loss of ${name}`;
  return kind === 'feature' ? name : `${kind} ${name}`;
}

function ofCandidate(model: ModelView, { can }: Known): Need {
  const { task, version, digest, gain, quality, since } = model;
  const tested = gain ? ` on ${count(gain.tested)} unseen events` : '';
  const { compared } = model;
  const right = quality ? `${percent(quality.accuracy)} right on ${count(quality.tested)} unseen events` : '';
  const text = gain
    ? `${points(gain.points, gain.by)}${tested} against the model that runs`
    : compared
      ? `log-loss ${level(compared.before)} → ${level(compared.after)} on ${count(compared.rows)} unseen events, against the model that runs${right && `; ${right}`}`
      : right
        ? `${right}; no model runs to compare it with`
        : 'not tested on unseen events';
  const actions: NeedAction[] = can.models
    ? [
        { kind: 'model', label: 'approve', what: 'promote', digest },
        { kind: 'model', label: 'reject', what: 'reject', digest },
      ]
    : [];
  return need(
    `candidate ${digest}`,
    'candidate',
    gain && gain.points - gain.by < 0 ? 'warn' : 'calm',
    task,
    `${task} v${version} waits for approval`,
    text,
    since,
    [{ kind: 'see', label: 'compare', target: 'models' }, ...actions],
  );
}

function refused(gateways: readonly GatewayView[]): Need[] {
  const cases = gateways.flatMap(({ site, tasks }) =>
    tasks.filter((t) => t.state === 'refused').map((t) => ({ site, ...t })),
  );
  return cases.map(({ site, task, reason }) =>
    need(`refused ${site} ${task}`, 'refused', 'bad', task, `${site} refused a model`, reason, null, [
      { kind: 'see', label: 'see', target: 'fleet' },
    ]),
  );
}

function deadLetters({ newDead }: Known): Need[] {
  return newDead.map(({ task, letters, since }) =>
    need(
      `dead ${task}`,
      'dead',
      'warn',
      task,
      `${plural(letters, 'new dead letter')}`,
      `${task}: messages that could not be used. They are kept whole and can be replayed.`,
      since,
      [{ kind: 'see', label: 'see', target: 'dead' }],
    ),
  );
}

function silent(gateways: readonly GatewayView[]): Need[] {
  const away = gateways.filter(({ presence }) => presence !== 'online');
  if (away.length === 0) return [];
  const named = away.slice(0, SILENT_NAMED).map(({ site }) => site);
  const rest = away.length - named.length;
  const seen = away.flatMap(({ lastSeen }) => lastSeen ?? []);
  return [
    need(
      'silent',
      'silent',
      'warn',
      '',
      `${plural(away.length, 'gateway')} silent`,
      `${named.join(', ')}${rest > 0 ? ` and ${count(rest)} more` : ''}. A silent gateway is waited for, it counts neither for nor against a roll-out.`,
      seen.length > 0 ? Math.min(...seen) : null,
      [{ kind: 'see', label: 'see', target: 'fleet' }],
    ),
  ];
}

// ---------------------------------------------------------------- the strip

export interface StageFacts extends Known {
  readonly task: TaskView | null;
  readonly selection: Selection;
}

/** collect ▸ prepare ▸ train ▸ test ▸ deploy ▸ watch of the selected task. */
export function stagesOf(facts: StageFacts): StageView[] {
  const { task } = facts;
  return [collect(facts), prepare(facts), train(task), test(task), deploy(facts), watch(facts)];
}

function collect({ task, ready, stopped }: StageFacts): StageView {
  const halted = stopped.some((s) => s.task === task?.name);
  const flows = task?.rate !== null && task?.rate !== undefined && task.rate > 0;
  const note = halted ? 'stands still' : !ready.ok ? 'not ready' : flows ? 'events in' : 'nothing arrives';
  const tone = halted || !ready.ok ? 'bad' : flows ? 'good' : 'calm';
  return { name: 'collect', figure: rate(task?.rate ?? 0), note, tone };
}

function prepare({ task, newDead }: StageFacts): StageView {
  const dead = task?.dead ?? 0;
  const fresh = newDead.find((d) => d.task === task?.name)?.letters ?? 0;
  const note =
    fresh > 0 ? `${count(fresh)} in the last 10 min` : dead > 0 ? 'kept, can be replayed' : 'all readable';
  return { name: 'prepare', figure: `${count(dead)} dead`, note, tone: fresh > 0 ? 'warn' : 'good' };
}

function train(task: TaskView | null): StageView {
  const labels = task?.labelsLearned ?? 0;
  const note = task?.state === 'live' ? 'learned' : 'learning: no label is given yet';
  return {
    name: 'train',
    figure: plural(labels, 'label'),
    note,
    tone: task?.state === 'live' ? 'good' : 'calm',
  };
}

function test(task: TaskView | null): StageView {
  const measured = task?.accuracy ?? null;
  if (measured !== null)
    return {
      name: 'test',
      figure: percent(measured),
      note: `of ${count(task!.tested)} new labels`,
      tone: 'good',
    };
  const estimated = task?.estimated ?? null;
  if (estimated !== null)
    return { name: 'test', figure: `≈ ${percent(estimated)}`, note: 'estimated, no labels', tone: 'calm' };
  return { name: 'test', figure: '–', note: 'no labels yet', tone: 'calm' };
}

function deploy({ task, models, gateways }: StageFacts): StageView {
  const name = task?.name ?? '';
  const live = models.find((m) => m.task === name && m.stage === 'live');
  const canary = models.find((m) => m.task === name && m.stage === 'canary');
  const running = gateways.filter((g) => g.tasks.some((t) => t.task === name));
  const version = live ? `v${live.version}` : (task?.model ?? 'own model');
  const on = running.filter((g) => g.tasks.some((t) => t.task === name && t.model === version)).length;
  const share = live && running.length > 0 ? ` ${count(on)}/${count(running.length)}` : '';
  // All have it, and it is not called live before it was watched for a while.
  if (canary && running.length > 0 && canary.runsOn.length >= running.length)
    return {
      name: 'deploy',
      figure: `v${canary.version} ${count(canary.runsOn.length)}/${count(running.length)}`,
      note: 'on every gateway, watched',
      tone: 'calm',
    };
  const note = canary
    ? `v${canary.version} on trial at ${canary.runsOn.length > 0 ? canary.runsOn.slice(0, 2).join(', ') : 'no gateway yet'}`
    : live && running.length > 0
      ? on === running.length
        ? 'on every gateway'
        : `waits for ${plural(running.length - on, 'gateway')}`
      : 'runs here';
  return { name: 'deploy', figure: `${version}${share}`, note, tone: canary ? 'calm' : 'good' };
}

function watch({ task, open }: StageFacts): StageView {
  const alarms = open.filter(({ alarm }) => alarm.task === task?.name);
  if (alarms.length === 0) return { name: 'watch', figure: 'quiet', note: 'no drift', tone: 'good' };
  const streams = [...new Set(alarms.map(({ alarm }) => words(alarm.stream)))].slice(0, 2);
  return { name: 'watch', figure: `${count(alarms.length)} ▲`, note: streams.join(', '), tone: 'warn' };
}
