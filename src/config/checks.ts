/**
 * What no single option can know: names that refer to each other, labels that repeat, tasks without a
 * sink. It reads the plain value, whatever its shape, so that it speaks in the same breath as the
 * schema; what has the wrong type is the schema's to say and passed over here.
 */
import { fieldsOptions } from '../decode/reading.ts';
import { lessThanFull } from '../features/sensor-choice.ts';
import { WINDOW_READINGS } from '../features/sensor-options.ts';
import { isLoopback, parseListen } from '../web/listen.ts';
import type { Problem } from './problems.ts';
import { eachText, type Report, type Section, section, serves, texts } from './sections.ts';
import { checkSessions } from './sessions.ts';
import { didYouMean } from './suggest.ts';
import { keyPlace, type Node, type Path, placeOf, showPath, toValue } from './tree.ts';

/** Every complaint across options. */
export function crossCheck(root: Node): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, at = 'value', severity = 'error') => {
    const place = at === 'key' ? keyPlace(root, path) : placeOf(root, path);
    problems.push({ severity, place, path: showPath(path), message });
  };
  const config = section(toValue(root));
  const [sources, tasks, sinks] = ['sources', 'tasks', 'sinks'].map((key) => section(config[key]));
  if (!('hub' in config)) {
    if (!('sources' in config)) report(['sources'], 'is missing (a section of names)');
    else if (isEmpty(config.sources)) report(['sources'], 'must hold at least one source');
    for (const name of Object.keys(tasks)) {
      const { from } = section(tasks[name]);
      if (from === undefined) report(['tasks', name, 'from'], 'is missing (a list of names)');
      else if (Array.isArray(from) && from.length === 0)
        report(['tasks', name, 'from'], 'must have at least 1 entry');
    }
  }
  if (!('sinks' in config)) {
    if (!onlyHttp(config)) report(['sinks'], 'is missing (a section of names)');
  } else if (isEmpty(config.sinks) && !onlyHttp(config)) report(['sinks'], 'must hold at least one sink');
  for (const part of ['models', 'hub']) {
    const { via } = section(config[part]);
    if (typeof via === 'string') refer([part, 'via'], via, sinks, 'sink', report);
  }
  for (const name of Object.keys(tasks)) checkTask(name, sources, tasks, sinks, report);
  for (const name of Object.keys(sinks))
    eachText(section(sinks[name]).tasks, (task, i) =>
      refer(['sinks', name, 'tasks', i], task, tasks, 'task', report),
    );
  checkUnread(sources, tasks, report);
  checkSessions(config, report);
  checkHttp(section(config.http), report);
  checkEntrances(sources, section(config.http), report);
  checkPrivacy(config, report);
  return problems;
}

function checkTask(name: string, sources: Section, tasks: Section, sinks: Section, report: Report): void {
  const task = section(tasks[name]);
  const path = ['tasks', name];
  eachText(task.from, (source, i) => refer([...path, 'from', i], source, sources, 'source', report));
  eachText(task.feedback, (sink, i) => refer([...path, 'feedback', i], sink, sinks, 'sink', report));
  const labels = texts(task.labels);
  labels.forEach((label, i) => {
    if (labels.indexOf(label) < i) report([...path, 'labels', i], `the label "${label}" is given twice`);
  });
  if (typeof task.positive === 'string' && labels.length > 0 && !labels.includes(task.positive))
    report(
      [...path, 'positive'],
      `must be one of the labels: ${labels.join(', ')}${didYouMean(task.positive, labels)}`,
    );
  const { tag, hold } = section(task.decision);
  if (labels.length > 2 && [tag, hold].some((share) => typeof share === 'number'))
    report([...path, 'decision'], 'needs a task of two labels', 'key');
  checkWindows(task, path, report);
  checkWidth(task, labels.length, path, report);
  const served = Object.values(sinks).some((sink) => serves(section(sink), name));
  if (!served && Object.keys(sinks).length > 0)
    report(path, `no sink takes the verdicts of this task; add "${name}" to the \`tasks\` of a sink`, 'key');
}

/** Windows are of declared plain numbers, and no field looks further back than they reach. */
function checkWindows(task: Section, path: Path, report: Report): void {
  const fields = section(task.fields);
  const windows = section(section(task.features).windows);
  const numbers = Object.keys(fields).filter((name) => {
    const { type = 'number', period } = section(fields[name]);
    return type === 'number' && period === undefined;
  });
  eachText(windows.fields, (name, i) => {
    if (!numbers.includes(name))
      report(
        [...path, 'features', 'windows', 'fields', i],
        `"${name}" is no declared number that has windows${didYouMean(name, numbers)}`,
      );
  });
  const count = typeof windows.count === 'number' ? windows.count : WINDOW_READINGS;
  for (const name of numbers) {
    const { stuck } = section(fields[name]);
    if (typeof stuck === 'number' && stuck > count)
      report(
        [...path, 'fields', name, 'stuck'],
        `looks further back than windows reach; set features.windows.count to ${stuck} at least`,
      );
  }
}

/** Nobody should have less than the default without knowing it. */
function checkWidth(task: Section, labels: number, path: Path, report: Report): void {
  if (task.event !== 'sensor') return;
  const fields = fieldsOptions.safeParse(task.fields);
  if (!fields.success) return;
  const less = lessThanFull(task.features, fields.data, labels, task.model !== undefined);
  const ways = 'say features: { preset: fast } if that is meant, else features.windows.on and model';
  const { preset, windows } = section(task.features);
  if (less !== null) report(path, `${less}; ${ways}`, 'key', 'warning');
  else if (section(task.model).kind === 'linear' && preset !== 'fast' && section(windows).on === undefined)
    report(
      [...path, 'model', 'kind'],
      'cannot leave aside windows that tell nothing; say features: { preset: fast } for rows without them, or features.windows.on: true to keep them',
      'value',
      'warning',
    );
}

function refer(path: Path, name: string, known: Section, what: string, report: Report): void {
  if (Object.hasOwn(known, name)) return;
  const names = Object.keys(known);
  const have = names.length > 0 ? ` (there ${names.length === 1 ? 'is' : 'are'}: ${names.join(', ')})` : '';
  report(path, `there is no ${what} named "${name}"${didYouMean(name, names)}${have}`);
}

/** Allowed, because it may be on its way in or out; but nobody means to pay for it unknowingly. */
function checkUnread(sources: Section, tasks: Section, report: Report): void {
  const read = Object.values(tasks).flatMap((task) => texts(section(task).from));
  // A name that does not exist is most likely the unread source, misspelled: said already.
  if (read.length === 0 || read.some((name) => !Object.hasOwn(sources, name))) return;
  for (const name of Object.keys(sources).filter((source) => !read.includes(source)))
    report(
      ['sources', name],
      'no task reads this source; its messages are acknowledged and dropped',
      'key',
      'warning',
    );
}

function checkHttp(http: Section, report: Report): void {
  const listen = typeof http.listen === 'string' ? parseListen(http.listen) : null;
  if (listen && !isLoopback(listen.host))
    report(
      ['http', 'listen'],
      'can be reached from other machines; figures and metrics are readable without a token',
      'value',
      'warning',
    );
}

/** Without the token every request is refused, so nothing could ever come this way. */
function checkEntrances(sources: Section, http: Section, report: Report): void {
  for (const name of Object.keys(sources))
    if (section(sources[name]).type === 'http' && http.token === undefined)
      report(['sources', name], 'needs `http.token`, which whoever sends messages must show', 'key');
}

function checkPrivacy(config: Section, report: Report): void {
  const { keep } = section(section(config.store).dead);
  if (keep === 'encrypted' && section(config.privacy).key === undefined)
    report(
      ['store', 'dead', 'keep'],
      'needs `privacy.key`, the key under which dead letters are encrypted; without it nobody could read them again',
    );
}

/** Whoever asks over HTTP gets the verdict as the answer, and may give labels the same way: no sink is needed. */
function onlyHttp(config: Section): boolean {
  const sources = Object.values(section(config.sources)).map(section);
  return (
    sources.length > 0 &&
    sources.every(({ type }) => type === 'http') &&
    !('hub' in config || 'models' in config)
  );
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
