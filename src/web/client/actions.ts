/**
 * What a click does. Handlers are found by `data-do`; arguments are data. Nothing is sent without a token; what can
 * not be undone asks first. The answer is told in words, to screen readers too.
 */
import type { FindReply, ModelAction, Overview, Range, Selection } from '../view.ts';
import { fill, get, h, text } from './dom.ts';
import { plural } from './format.ts';
import { showFound, toggleHold } from './lists.ts';
import { post, signIn, signOut, token } from './session.ts';
import { clock } from './times.ts';

const TOAST_MS = 6_000;

export interface Page {
  /** The newest picture, null before the first. */
  readonly overview: () => Overview | null;
  readonly select: (change: Partial<Selection>) => void;
  /** Draws the newest picture again. */
  readonly draw: () => void;
}

interface SpanArgument {
  readonly task: string;
  readonly device: string;
  readonly from: number;
  readonly to: number;
}

interface ModelArgument {
  readonly task: string;
  readonly what: ModelAction;
  readonly digest: string;
  readonly title: string;
}

/** Binds the whole page once. */
export function bindActions(page: Page): void {
  const doings: Readonly<Record<string, (arg: string, button: HTMLElement) => unknown>> = {
    task: (name) => page.select({ task: name, site: '' }),
    range: (range) => page.select({ range: range as Range }),
    hold: () => toggleHold(),
    sign: () => (token() ? leave(page) : open('sign-in')),
    'close-dialog': (_arg, button) => button.closest('dialog')?.close(),
    'clear-found': () => fill(get('found')),
    see: (arg) => see(JSON.parse(arg), page),
    feedback: (arg, button) => send('/api/feedback', JSON.parse(arg), button),
    replay: (arg, button) => send('/api/dead/replay', JSON.parse(arg), button),
    drop: (arg) => drop(JSON.parse(arg)),
    span: (arg) => openSpan(JSON.parse(arg), page),
    model: (arg) => askModel(JSON.parse(arg)),
  };
  const needsToken = new Set(['feedback', 'replay', 'drop', 'span', 'model']);
  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest<HTMLElement>('[data-do]');
    const name = button?.dataset.do;
    if (!button || !name || !(name in doings)) return;
    if (needsToken.has(name) && !allowed(page)) return;
    void doings[name](button.dataset.arg ?? '', button);
  });
  get<HTMLSelectElement>('sites').addEventListener('change', (event) =>
    page.select({ site: (event.target as HTMLSelectElement).value }),
  );
  onSubmit('search', () => search(page));
  onSubmit('sign-in-form', () => {
    signIn(get<HTMLInputElement>('token').value.trim());
    get<HTMLInputElement>('token').value = '';
    get<HTMLDialogElement>('sign-in').close();
    page.draw();
  });
}

function onSubmit(id: string, work: () => unknown): void {
  get(id).addEventListener('submit', (event) => {
    event.preventDefault();
    void work();
  });
}

/** Says why not, or asks for the token. */
function allowed(page: Page): boolean {
  if (token()) return true;
  if (page.overview()?.can.token) open('sign-in');
  else toast('Changes are off: set http.token in the configuration.', false);
  return false;
}

function leave(page: Page): void {
  signOut();
  page.draw();
  toast('Signed out.', true);
}

function open(id: string): void {
  get<HTMLDialogElement>(id).showModal();
}

let away: number | null = null;

export function toast(words: string, ok: boolean): void {
  const node = get('toast');
  text(node, words);
  node.className = ok ? 'shown' : 'shown failed';
  if (away !== null) clearTimeout(away);
  away = setTimeout(() => {
    node.className = '';
  }, TOAST_MS);
}

async function send(path: string, body: object, button?: HTMLElement): Promise<void> {
  button?.setAttribute('aria-busy', 'true');
  const answer = await post(path, body);
  button?.removeAttribute('aria-busy');
  toast(answer.text, answer.ok);
  if (answer.refused) {
    signOut();
    open('sign-in');
  }
  // The row that is under the pointer holds still, so it is told here; the next picture of the server has it too.
  const row = answer.ok ? button?.closest('.labels') : null;
  if (row) fill(row, h('span', { class: 'given' }, `✓ ${(body as { label: string }).label}`));
}

function see({ target, task }: { target: string; task: string }, page: Page): void {
  if (task !== '' && page.overview()?.selection.task !== task) page.select({ task, site: '' });
  const node = document.getElementById(target);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  node?.scrollIntoView({ behavior: calm ? 'auto' : 'smooth', block: 'start' });
  node?.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- questions before

interface Question {
  readonly title: string;
  readonly text: string;
  readonly go: string;
  readonly reason: boolean;
  readonly done: (reason: string) => unknown;
}

function ask(question: Question): void {
  text(get('sure-title'), question.title);
  text(get('sure-text'), question.text);
  text(get('sure-go'), question.go);
  const reason = get<HTMLInputElement>('sure-reason');
  reason.value = '';
  reason.hidden = get('sure-reason-label').hidden = !question.reason;
  get('sure-form').onsubmit = (event) => {
    event.preventDefault();
    get<HTMLDialogElement>('sure').close();
    question.done(reason.value.trim());
  };
  open('sure');
}

const MODEL_WORDS: Readonly<Record<ModelAction, readonly [go: string, means: string]>> = {
  promote: [
    'approve',
    'It goes to the gateways in stages; each stage is compared with the live model and taken back if it is worse.',
  ],
  reject: ['reject', 'It is never rolled out. The live model stays.'],
  rollback: ['roll back', 'Every gateway goes back to the model before, which it still holds.'],
  pause: ['pause', 'Gateways keep what they run now until you resume.'],
  resume: ['resume', 'The roll-out goes on where it stood.'],
  stop: ['stop', 'The trial ends and every gateway runs the live model again.'],
};

function askModel({ task, what, digest, title }: ModelArgument): void {
  const [go, means] = MODEL_WORDS[what];
  ask({
    title: `${go[0].toUpperCase()}${go.slice(1)}: ${title}`,
    text: means,
    go,
    reason: true,
    done: (reason) => send(`/api/models/${what}`, { task, digest, reason }),
  });
}

function drop(arg: { ids: string[] }): void {
  ask({
    title: `Drop ${plural(arg.ids.length, 'dead letter')}?`,
    text: 'The originals are deleted here and cannot be brought back.',
    go: 'drop',
    reason: false,
    done: () => send('/api/dead/drop', arg),
  });
}

function openSpan({ task, device, from, to }: SpanArgument, page: Page): void {
  const labels = page.overview()?.tasks.find(({ name }) => name === task)?.labels ?? [];
  get<HTMLInputElement>('span-device').value = device;
  get<HTMLInputElement>('span-from').value = local(from);
  get<HTMLInputElement>('span-to').value = local(to);
  fill(
    get('span-label'),
    labels.map((label) => h('option', { key: label, attributes: { value: label } }, label)),
  );
  get('span-form').onsubmit = (event) => {
    event.preventDefault();
    const time = (id: string) => new Date(get<HTMLInputElement>(id).value).getTime();
    const body = {
      task,
      device: get<HTMLInputElement>('span-device').value,
      from: time('span-from'),
      // The field has whole seconds; the last one is meant as a whole.
      to: time('span-to') + 999,
      label: get<HTMLSelectElement>('span-label').value,
    };
    get<HTMLDialogElement>('span').close();
    void send('/api/feedback', body);
  };
  open('span');
}

/** As `<input type=datetime-local>` takes it. */
function local(at: number): string {
  const date = new Date(at);
  return new Date(at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

// ---------------------------------------------------------------- search

async function search(page: Page): Promise<void> {
  const overview = page.overview();
  if (!overview) return;
  const { text: q, at } = readQuestion(get<HTMLInputElement>('q').value, Date.now());
  if (!overview.can.find) return showFound({ error: 'This process cannot look for events.' }, overview);
  const query = new URLSearchParams({
    q,
    task: overview.selection.task,
    ...(at === null ? {} : { at: String(at) }),
  });
  try {
    const response = await fetch(`/api/find?${query}`, { signal: AbortSignal.timeout(15_000) });
    const reply = (await response.json()) as FindReply | { error: string };
    const when = at === null ? '' : ` Around ${clock(at, true)}.`;
    showFound('error' in reply ? reply : { ...reply, note: `${reply.note}${when}` }, overview);
  } catch {
    showFound({ error: 'The server does not answer; try again.' }, overview);
  }
}

/** A time at the end (`14:07`, `14:07:30`, `2026-05-01 14:07`), local; the rest is a name. A time still to come today was yesterday. */
export function readQuestion(question: string, now: number): { text: string; at: number | null } {
  const match = /(?:^|\s)(?:(\d{4}-\d{2}-\d{2})[ T])?(\d{1,2}:\d{2}(?::\d{2})?)$/.exec(question.trim());
  if (!match) return { text: question.trim(), at: null };
  const [hours, minutes, seconds = 0] = match[2].split(':').map(Number);
  const date = match[1] ? new Date(`${match[1]}T00:00:00`) : new Date(now);
  date.setHours(hours, minutes, seconds, 0);
  const at = !match[1] && date.getTime() > now + 60_000 ? date.getTime() - 86_400_000 : date.getTime();
  if (Number.isNaN(at) || hours > 23 || minutes > 59) return { text: question.trim(), at: null };
  return { text: question.trim().slice(0, match.index).trim(), at };
}
