/** The top of the page: who this is and how it stands, what needs a person, and the six stages as one strip. */
import type { Need, NeedAction, Overview, StageView } from '../view.ts';
import { fill, get, h, show, text } from './dom.ts';
import { plural, span } from './format.ts';
import { blocked } from './lists.ts';
import type { LiveState } from './live.ts';
import { token } from './session.ts';
import { clock, moment } from './times.ts';

const SIGNS = { good: '●', calm: '◷', warn: '▲', bad: '■' } as const;
const TARGETS: Readonly<Record<string, string>> = {
  collect: 'flow',
  prepare: 'dead',
  train: 'quality',
  test: 'quality',
  deploy: 'models',
  watch: 'needs',
};

export function showHead(overview: Overview): void {
  const { site, version, backend, role, ready, tasks, selection, fleet } = overview;
  text(get('site'), site);
  const needs = overview.needs.length;
  document.title = `${needs > 0 ? `(${needs}) ` : ''}${site} · Sluice`;
  const roles = { gateway: 'gateway', hub: 'hub', both: 'gateway and hub' } as const;
  text(get('about'), `${roles[role]} · sluice ${version} · ${backend}`);
  badge('ready', ready.ok ? '● ready' : '■ not ready', ready.ok ? 'good' : 'bad');
  show(get('fleet-badge'), fleet !== null && fleet.total > 0);
  if (fleet && fleet.total > 0) {
    const { online, total } = fleet;
    const all = online === total;
    badge('fleet-badge', `${all ? '●' : '▲'} ${online}/${plural(total, 'gateway')}`, all ? 'good' : 'warn');
  }
  fill(
    get('tasks'),
    tasks.map(({ name }) => tab(name, name === selection.task)),
  );
  showSites(overview);
  text(get('sign'), token() ? 'sign out' : 'sign in');
  show(get('sign'), overview.can.token);
  show(get('off'), !overview.can.token);
  text(get('off'), blocked(overview.can) ?? '');
  for (const button of document.querySelectorAll<HTMLElement>('[data-do=range]'))
    button.setAttribute('aria-pressed', String(button.dataset.arg === selection.range));
}

function tab(name: string, chosen: boolean): HTMLElement {
  return h(
    'button',
    { key: name, do: 'task', arg: name, attributes: { type: 'button', 'aria-pressed': String(chosen) } },
    name,
  );
}

function showSites({ tasks, selection }: Overview): void {
  const select = get<HTMLSelectElement>('sites');
  const sites = tasks.find(({ name }) => name === selection.task)?.sites ?? [];
  show(select, sites.length > 1);
  const option = (value: string, label: string) => h('option', { key: value, attributes: { value } }, label);
  fill(
    select,
    option('', 'all sites'),
    sites.map((name) => option(name, name)),
  );
  if (document.activeElement !== select) select.value = selection.site;
}

function badge(id: string, words: string, tone: string): void {
  const node = get(id);
  text(node, words);
  node.className = `badge ${tone}`;
}

/** How old the picture is: `live` while it comes, loud when it does not. */
export function showState(state: LiveState, at: number | null): void {
  const words = { connecting: '◌ connecting', live: '● live', stale: '▲ stale' } as const;
  badge('live', words[state], state === 'live' ? 'good' : state === 'stale' ? 'bad' : 'calm');
  document.documentElement.classList.toggle('stale', state === 'stale');
  show(get('stale'), state === 'stale');
  if (state === 'stale' && at !== null)
    text(
      get('stale'),
      `No answer since ${clock(at, true)}. What you see is what was known then; trying again.`,
    );
  if (at !== null) text(get('seen'), `as of ${clock(at, true)}`);
}

// ---------------------------------------------------------------- what needs you

export function showNeeds(overview: Overview): void {
  const { needs, at } = overview;
  const pill = get('needs-count');
  show(pill, needs.length > 0);
  text(pill, String(needs.length));
  get('needs').classList.toggle('asks', needs.length > 0);
  if (needs.length === 0) {
    fill(
      get('needs-list'),
      h('li', { key: 'none', class: 'quiet-need' }, `Nothing needs you.${next(overview)}`),
    );
    return;
  }
  fill(
    get('needs-list'),
    needs.map((need) => showNeed(need, at, blocked(overview.can))),
  );
}

/** What to do next where there is no trouble. */
function next({ tasks, selection }: Overview): string {
  const task = tasks.find(({ name }) => name === selection.task);
  if (!task) return ' No task is configured yet: sluice init URL writes a configuration.';
  if (task.rate === null) return ` ${task.name} has seen no event yet: check that its source publishes.`;
  if (task.state === 'learning')
    return ` ${task.name} is learning: label some verdicts below, or send feedback.`;
  return '';
}

function showNeed(need: Need, now: number, off: string | null): HTMLElement {
  const since = need.since === null ? null : `since ${moment(need.since, now)} · ${span(now - need.since)}`;
  return h(
    'li',
    { key: need.id, class: `need ${need.tone}` },
    h('span', { class: 'sign', attributes: { 'aria-hidden': 'true' } }, SIGNS[need.tone]),
    h(
      'div',
      { class: 'words' },
      h('strong', null, need.title),
      ' ',
      since && h('span', { class: 'soft' }, since),
      h('div', { class: 'detail' }, need.text),
    ),
    h(
      'div',
      { class: 'buttons' },
      need.actions.map((action) => needButton(need, action, off)),
    ),
  );
}

function needButton(need: Need, action: NeedAction, off: string | null): HTMLElement {
  const type = { type: 'button', 'aria-label': `${action.label}: ${need.title}` };
  if (action.kind === 'see')
    return h(
      'button',
      { key: 'see', do: 'see', arg: { target: action.target, task: need.task }, attributes: type },
      action.label,
    );
  const attributes = { ...type, title: off, 'aria-disabled': off ? 'true' : null };
  if (action.kind === 'span') {
    const { device, from, to } = action;
    const arg = { task: need.task, device, from, to };
    return h('button', { key: 'span', do: 'span', arg, attributes }, action.label);
  }
  const arg = { task: need.task, what: action.what, digest: action.digest, title: need.title };
  const cls = action.what === 'promote' ? 'main' : '';
  return h('button', { key: action.what, class: cls, do: 'model', arg, attributes }, action.label);
}

// ---------------------------------------------------------------- the strip

export function showStages(stages: readonly StageView[]): void {
  fill(
    get('stages'),
    stages.map(({ name, figure, note, tone }) =>
      h(
        'li',
        { key: name, class: `stage ${tone}` },
        h(
          'a',
          { attributes: { href: `#${TARGETS[name]}` } },
          h('span', { class: 'stage-name' }, name),
          h('span', { class: 'stage-figure' }, figure),
          h('span', { class: 'stage-note' }, note),
        ),
      ),
    ),
  );
}
