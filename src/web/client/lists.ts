/**
 * Verdicts, what was found, and dead letters. A row offers the labels that can be given with one click; while somebody
 * points at the list or tabs through it, it holds still.
 */
import type { DeadView, FindReply, Overview, RecentView, TaskView } from '../view.ts';
import { type Child, fill, get, h, show, text } from './dom.ts';
import { bytes, count, percent, small } from './format.ts';
import { clock, moment } from './times.ts';

/** Below this a verdict is called unsure. */
const SURE = 0.7;

let held = false;
let drawn = '';

export function toggleHold(): void {
  held = !held;
  const button = get('hold');
  button.setAttribute('aria-pressed', String(held));
  text(button, held ? 'held' : 'hold');
}

export function showRecent(overview: Overview): void {
  const { recent, tasks, selection, can } = overview;
  const body = get('recent');
  show(get('hold'), recent !== null && recent.length > 0);
  const task = tasks.find(({ name }) => name === selection.task);
  if (!recent || !task || recent.length === 0) {
    fill(body, h('p', { class: 'nothing' }, whyNone(overview, task)));
    return;
  }
  // Another task or site is drawn at once; else the rows under a pointer or a focus stay.
  const busy = held || body.matches(':hover, :focus-within');
  const same = drawn === JSON.stringify(selection) && body.querySelector('table') !== null;
  if (busy && same) return;
  drawn = JSON.stringify(selection);
  fill(body, verdictTable('Newest verdicts', recent, task, blocked(can)));
}

function whyNone({ recent }: Overview, task: TaskView | undefined): string {
  if (!task)
    return 'No task is configured. sluice init URL listens to your broker and writes a configuration.';
  if (recent === null) return 'This process is a hub: verdicts are made at the gateways, each shows its own.';
  return `No verdict of ${task.name} yet. They appear here as soon as its source brings an event.`;
}

/** Why nothing can be changed from here, or null. Who is not signed in yet is asked when it comes to it. */
export function blocked(can: Overview['can']): string | null {
  return can.token ? null : 'Changes are off: set http.token in the configuration.';
}

export function verdictTable(
  caption: string,
  rows: readonly (RecentView & { truth?: string | null })[],
  task: TaskView,
  off: string | null,
): HTMLElement {
  const heads = ['time', task.kind === 'mail' ? 'mail' : 'device', 'verdict', 'why', 'your word'];
  return h(
    'table',
    { class: 'verdicts' },
    h('caption', { class: 'sr' }, caption),
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
      rows.map((row) => verdictRow(row, task, off)),
    ),
  );
}

function verdictRow(
  row: RecentView & { truth?: string | null },
  task: TaskView,
  off: string | null,
): HTMLElement {
  const score = row.score === null ? '' : row.score.toFixed(2).replace(/^0/, '');
  const sure = row.label !== null && row.score !== null && row.score >= SURE;
  const reasons = row.reasons === null ? '' : row.reasons.length === 0 ? '–' : row.reasons.join(', ');
  return h(
    'tr',
    { key: `${row.site} ${row.event}` },
    h('td', { class: 'num' }, clock(row.at, true)),
    h(
      'td',
      { class: 'who', attributes: { title: row.event } },
      h('span', { class: row.masked ? 'soft' : '' }, row.device),
      h('span', { class: 'soft site' }, row.site),
    ),
    h(
      'td',
      null,
      row.label === null
        ? h('span', { class: 'tag calm' }, 'learning')
        : h('span', { class: `tag ${labelTone(row.label, task)}${sure ? '' : ' unsure'}` }, row.label),
      ' ',
      h('span', { class: 'num soft' }, row.label !== null && !sure ? `unsure ${score}` : score),
      actionMark(row),
    ),
    h('td', { class: 'why' }, reasons),
    h('td', { class: 'labels' }, ...labelButtons(row, task, off)),
  );
}

const ACTIONS = { none: '', unsure: 'not acted on', tag: 'tagged', hold: 'held' } as const;
const REASONS = {
  allowed: 'its sender is on the allow-list',
  correspondent: 'its sender is a known correspondent',
  evidence: 'too few good events are confirmed yet to act on a verdict',
  threshold: 'its score is not above the threshold that protects good events',
} as const;

/** What becomes of an event beyond its label, where somebody should see it. */
function actionMark({ action, actionReason, label }: RecentView): Child {
  if (action === null || label === null) return null;
  const words =
    actionReason === 'allowed' || actionReason === 'correspondent' ? actionReason : ACTIONS[action];
  if (words === '') return null;
  const title = actionReason === null ? null : REASONS[actionReason];
  return h('span', { class: 'soft action', attributes: { title } }, ` · ${words}`);
}

/** The label that the task looks for stands out; the usual one is calm. */
function labelTone(label: string, { labels }: TaskView): string {
  const place = labels.indexOf(label);
  return place <= 0 ? 'calm' : place === 1 ? 'accent' : 'warm';
}

function labelButtons(
  row: RecentView & { truth?: string | null },
  task: TaskView,
  off: string | null,
): Child[] {
  const told = row.given ?? row.truth ?? null;
  if (told !== null) return [h('span', { class: 'given' }, `✓ ${told}`)];
  return task.labels.slice(0, 6).map((label) => {
    const right = label === row.label;
    const words = right ? `${label} ✓` : label;
    return h(
      'button',
      {
        key: label,
        do: 'feedback',
        arg: { task: row.task, event: row.event, label },
        class: right ? 'right' : '',
        attributes: {
          type: 'button',
          'aria-disabled': off ? 'true' : null,
          title: off ?? (right ? 'The verdict is right' : `It is ${label}`),
          'aria-label': right ? `Right: ${label}` : `Wrong, it is ${label}`,
        },
      },
      words,
    );
  });
}

/** `0 lost of 12,400 confirmed (≤ 0.024 %, 95 %)` */
export function showGood({ good }: Overview): void {
  const line = get('good');
  show(line, good !== null);
  if (!good) return;
  const { label, lost, confirmed, atMost: bound } = good;
  const figures =
    confirmed === 0
      ? `no ${label} was confirmed yet; the share lost is known once people confirm some`
      : `${count(lost)} lost of ${count(confirmed)} confirmed (≤ ${small(bound)}, 95 %)`;
  line.className = `good-mail ${lost === 0 ? 'good' : 'warn'}`;
  fill(line, h('b', null, 'Good mail'), ' ', figures);
}

export function showFound(reply: FindReply | { readonly error: string }, overview: Overview): void {
  const clear = h('button', { do: 'clear-found', attributes: { type: 'button' }, class: 'quiet' }, 'clear');
  if ('error' in reply) {
    fill(get('found'), h('p', { class: 'nothing' }, reply.error, ' ', clear));
    return;
  }
  const { found, note } = reply;
  const said = found.length === 0 ? `Nothing found. ${note}` : `${count(found.length)} found. ${note}`;
  const tables = overview.tasks.flatMap((task) => {
    const rows = found.filter((one) => one.task === task.name);
    return rows.length > 0 ? [verdictTable(`Found in ${task.name}`, rows, task, blocked(overview.can))] : [];
  });
  fill(get('found'), h('p', { class: 'nothing' }, said.trim(), ' ', clear), tables);
}

// ---------------------------------------------------------------- dead letters

export function showDead({ dead, can, at: now }: Overview): void {
  const body = get('dead-body');
  const tools = get('dead-tools');
  show(get('dead'), dead !== null);
  if (!dead) return;
  const letters = dead.letters.filter((letter) => !letter.replaying);
  const off = blocked(can);
  fill(
    tools,
    letters.length > 0 &&
      can.dead &&
      letterButtons(
        letters.map(({ id }) => id),
        off,
        ' all shown',
      ),
  );
  if (dead.letters.length === 0) {
    fill(
      body,
      h('p', { class: 'nothing' }, 'None. What cannot be used would lie here whole, with the reason.'),
    );
    return;
  }
  fill(
    body,
    h(
      'ul',
      { class: 'letters' },
      dead.letters.map((letter) => showLetter(letter, can.dead, off, now)),
    ),
    dead.more && h('p', { class: 'soft note' }, 'There are more: sluice dead list shows all of them.'),
  );
}

function showLetter(letter: DeadView, can: boolean, off: string | null, now: number): HTMLElement {
  const { id, code, message, at, task, source, topic, bytes: size, replaying } = letter;
  return h(
    'li',
    { key: id },
    h(
      'div',
      { class: 'words' },
      h('b', { class: 'code' }, code),
      ' ',
      h(
        'span',
        { class: 'soft num' },
        `${moment(at, now)} · ${task || 'publishing'} · ${source} · ${bytes(size)}`,
      ),
      h('div', { class: 'detail' }, message),
      h('div', { class: 'soft topic' }, topic),
    ),
    replaying ? h('span', { class: 'given' }, 'replaying') : can && letterButtons([id], off, ''),
  );
}

function letterButtons(ids: readonly string[], off: string | null, what: string): HTMLElement {
  const attributes = { type: 'button', 'aria-disabled': off ? 'true' : null, title: off };
  return h(
    'div',
    { class: 'buttons' },
    h('button', { key: 'replay', do: 'replay', arg: { ids }, attributes }, `replay${what}`),
    h('button', { key: 'drop', do: 'drop', arg: { ids }, attributes }, `drop${what}`),
  );
}

/** `97.1 %` beside how many. */
export const measured = (accuracy: number, tested: number): string =>
  `${percent(accuracy)} right of ${count(tested)}`;
