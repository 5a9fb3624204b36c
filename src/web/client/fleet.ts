/** Models and roll-outs, the gateways and what they run, and the hub's audit log. */
import type { AuditView, GatewayView, ModelAction, ModelView, Overview, RolloutView } from '../view.ts';
import { type Child, fill, get, h, show } from './dom.ts';
import { bytes, count, digest, percent, plural, points, rate, span } from './format.ts';
import { blocked, measured } from './lists.ts';
import { moment } from './times.ts';

export function showModels({ models, rollouts, can, at, selection }: Overview): void {
  const body = get('models-body');
  if (!models) {
    fill(
      body,
      h('p', { class: 'nothing' }, 'This process is a gateway: its hub keeps the models and rolls them out.'),
    );
    return;
  }
  const mine = models.filter(({ task }) => task === selection.task);
  const going = (rollouts ?? []).filter(({ task }) => task === selection.task);
  if (mine.length === 0) {
    const help = `No model of ${selection.task || 'any task'} in the registry yet. The hub trains one when enough labels came; sluice train makes one by hand.`;
    fill(body, h('p', { class: 'nothing' }, help));
    return;
  }
  const off = can.models ? blocked(can) : 'The roll-out of this process cannot be changed from here.';
  fill(
    body,
    going.map((rollout) => showRollout(rollout, off, at)),
    h(
      'ul',
      { class: 'models' },
      mine.map((model) => showModel(model, off, at)),
    ),
  );
}

function showRollout(rollout: RolloutView, off: string | null, now: number): HTMLElement {
  const {
    task,
    digest: name,
    version,
    mode,
    since,
    deadline,
    tested,
    needed,
    sites,
    paused,
    text: words,
  } = rollout;
  const modes = {
    gate: 'is tested on new labels',
    approval: 'waits for approval',
    shadow: 'watches beside the live model',
    canary: 'on trial',
    live: 'goes to every gateway',
    watch: 'runs everywhere and is watched',
  } as const;
  const share = needed ? Math.min(1, tested / needed) : null;
  const facts = [
    `${span(now - since)} under way`,
    needed
      ? `${count(tested)} of ${count(needed)} labelled events compared`
      : tested > 0 && `${plural(tested, 'labelled event')} compared`,
    deadline === null ? null : `decided by ${moment(deadline, now, true)}`,
    sites.length > 0
      ? `at ${sites.slice(0, 4).join(', ')}${sites.length > 4 ? ` and ${sites.length - 4} more` : ''}`
      : null,
  ].filter((fact) => fact !== null && fact !== false);
  return h(
    'div',
    { key: `rollout ${name}`, class: 'rollout' },
    h(
      'div',
      { class: 'words' },
      h('b', null, `v${version} ${paused ? 'paused' : modes[mode]}`),
      h('div', { class: 'detail' }, facts.join(' · ')),
      words !== '' && h('div', { class: 'soft' }, words),
      share !== null &&
        h('progress', {
          attributes: { max: '100', value: String(Math.round(100 * share)), 'aria-label': 'events compared' },
        }),
    ),
    h(
      'div',
      { class: 'buttons' },
      act(paused ? 'resume' : 'pause', task, name, `v${version}`, off),
      act('stop', task, name, `v${version}`, off),
    ),
  );
}

function showModel(model: ModelView, off: string | null, now: number): HTMLElement {
  const {
    task,
    version,
    digest: name,
    stage,
    since,
    quality,
    gain,
    trainedRows,
    kind,
    reason,
    signer,
  } = model;
  const tone = { live: 'good', canary: 'accent', candidate: 'calm', retired: 'gone', rejected: 'gone' }[
    stage
  ];
  const facts: Child[] = [
    quality && h('span', { class: 'fact' }, measured(quality.accuracy, quality.tested)),
    quality &&
      h(
        'span',
        { class: 'fact' },
        `log-loss ${quality.logLoss.toFixed(3)} (${quality.interval.map((x) => x.toFixed(3)).join('–')})`,
      ),
    gain && h('span', { class: 'fact' }, points(gain.points, gain.by)),
    h('span', { class: 'fact' }, `${kind}, ${plural(trainedRows, 'row')}, ${bytes(model.bytes)}`),
    model.of > 0 &&
      (stage === 'live' || stage === 'canary') &&
      h('span', { class: 'fact' }, `runs on ${model.runsOn.length}/${model.of}`),
    h(
      'span',
      { class: signer ? 'fact' : 'fact warn', attributes: { title: signer } },
      signer ? `signed by ${signer.slice(0, KEY_SHOWN)}…` : 'unsigned',
    ),
  ];
  return h(
    'li',
    { key: name, class: `model ${stage}` },
    h(
      'div',
      { class: 'words' },
      h('b', null, `v${version}`),
      ' ',
      h('span', { class: `tag ${tone}` }, stage),
      ' ',
      h('code', { attributes: { title: name } }, digest(name)),
      ' ',
      h('span', { class: 'soft' }, `${moment(since, now)}, ${span(now - since)} ago`),
      h('div', { class: 'facts' }, facts),
      reason !== '' && h('div', { class: 'soft' }, reason),
    ),
    h('div', { class: 'buttons' }, ...modelButtons(model, off)),
  );

  function modelButtons({ stage: at, waiting }: ModelView, why: string | null): HTMLElement[] {
    if (at === 'candidate' || waiting)
      return [act('promote', task, name, `v${version}`, why), act('reject', task, name, `v${version}`, why)];
    return at === 'live' ? [act('rollback', task, name, `v${version}`, why)] : [];
  }
}

/** `ed25519:` and eight characters; the whole key stands in the title. */
const KEY_SHOWN = 16;

const WORDS: Readonly<Record<ModelAction, string>> = {
  promote: 'approve',
  reject: 'reject',
  rollback: 'roll back',
  pause: 'pause',
  resume: 'resume',
  stop: 'stop',
};

function act(
  what: ModelAction,
  task: string,
  name: string,
  version: string,
  off: string | null,
): HTMLElement {
  return h(
    'button',
    {
      key: what,
      do: 'model',
      class: what === 'promote' ? 'main' : '',
      arg: { task, what, digest: name, title: `${task} ${version}` },
      attributes: {
        type: 'button',
        title: off,
        'aria-disabled': off ? 'true' : null,
        'aria-label': `${WORDS[what]} ${task} ${version}`,
      },
    },
    WORDS[what],
  );
}

// ---------------------------------------------------------------- gateways

const PRESENCE = { online: '● online', offline: '■ offline', silent: '▲ silent' } as const;

export function showFleet({ gateways, fleet, at, selection, role }: Overview): void {
  show(get('fleet'), gateways !== null || role !== 'gateway');
  const body = get('fleet-body');
  if (!gateways || gateways.length === 0) {
    fill(
      body,
      h(
        'p',
        { class: 'nothing' },
        'No gateway was heard yet. Each one that names this group and broker appears here.',
      ),
    );
    return;
  }
  const heads = ['site', 'presence', 'runs', 'rate', 'right'];
  fill(
    body,
    h(
      'table',
      null,
      h('caption', { class: 'sr' }, 'Gateways'),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          heads.map((name) => h('th', { attributes: { scope: 'col' } }, name)),
        ),
      ),
      h(
        'tbody',
        null,
        gateways.map((gateway) => gatewayRow(gateway, selection.task, at)),
      ),
    ),
    fleet !== null &&
      fleet.total > gateways.length &&
      h(
        'p',
        { class: 'soft note' },
        `${count(gateways.length)} of ${count(fleet.total)}: those that need a look first.`,
      ),
  );
}

function gatewayRow(
  { site, group, presence, lastSeen, tasks }: GatewayView,
  task: string,
  now: number,
): HTMLElement {
  const mine = tasks.find((one) => one.task === task);
  const tone = presence === 'online' ? 'good' : presence === 'silent' ? 'warn' : 'bad';
  const seen = lastSeen === null ? 'never seen' : `${span(now - lastSeen)} ago`;
  const base = mine ? (mine.model ?? 'no base') : '–';
  const state = !mine || mine.state === 'running' ? '' : mine.state;
  return h(
    'tr',
    { key: site },
    h('th', { attributes: { scope: 'row' } }, site, ' ', h('span', { class: 'soft' }, group)),
    h(
      'td',
      null,
      h('span', { class: `state ${tone}` }, PRESENCE[presence]),
      ' ',
      h('span', { class: 'soft num' }, seen),
    ),
    h(
      'td',
      null,
      mine && mine.labels > 0 ? `${base} + ${plural(mine.labels, 'label')}` : base,
      ' ',
      state !== '' &&
        h(
          'span',
          {
            class: `tag ${state === 'refused' ? 'warm' : 'accent'}`,
            attributes: { title: mine?.reason ?? '' },
          },
          state,
        ),
    ),
    h('td', { class: 'num' }, rate(mine?.rate)),
    h('td', { class: 'num' }, percent(mine?.accuracy)),
  );
}

// ---------------------------------------------------------------- audit

export function showAudit({ audit, at }: Overview): void {
  show(get('audit'), audit !== null);
  if (!audit) return;
  if (audit.length === 0) {
    fill(
      get('audit-body'),
      h(
        'p',
        { class: 'nothing' },
        'Nothing was decided yet. Each training, gate and roll-out is kept here with its reason.',
      ),
    );
    return;
  }
  fill(
    get('audit-body'),
    h(
      'ol',
      { class: 'audit', attributes: { tabindex: '0', 'aria-label': 'Decisions, newest first' } },
      audit.map((entry) => auditRow(entry, at)),
    ),
  );
}

function auditRow({ at, who, what, task, model, why }: AuditView, now: number): HTMLElement {
  return h(
    'li',
    { key: `${at} ${what} ${model}` },
    h('span', { class: 'soft num' }, moment(at, now, true)),
    ' ',
    h('b', null, what),
    ` ${[task, model].filter(Boolean).join(' ')} `,
    h('span', { class: 'soft' }, `by ${who}`),
    why !== '' && h('div', { class: 'detail' }, why),
  );
}
