/**
 * What no single option can know: names that refer to each other, labels that repeat, tasks without a
 * sink. It reads the plain value, whatever its shape, so that it speaks in the same breath as the
 * schema; what has the wrong type is the schema's to say and passed over here.
 */
import { clientIdOf, feedbackIdOf, feedbackName } from '../io/mqtt/ids.ts';
import { isLoopback, parseListen } from '../web/listen.ts';
import type { Problem } from './problems.ts';
import { isRecord } from './shape.ts';
import { didYouMean } from './suggest.ts';
import { keyPlace, type Node, type Path, placeOf, showPath, toValue } from './tree.ts';

type Section = Readonly<Record<string, unknown>>;
/** Where an address without a port goes. */
const MQTT_PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
};

type Report = (path: Path, message: string, at?: 'key' | 'value', severity?: 'error' | 'warning') => void;

/** Every complaint across options. */
export function crossCheck(root: Node): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, at = 'value', severity = 'error') => {
    const place = at === 'key' ? keyPlace(root, path) : placeOf(root, path);
    problems.push({ severity, place, path: showPath(path), message });
  };
  const config = section(toValue(root));
  const [sources, tasks, sinks] = ['sources', 'tasks', 'sinks'].map((key) => section(config[key]));
  if ('hub' in config)
    report(['hub'], 'the hub comes with a later version of Sluice; take this section out for now', 'key');
  for (const name of Object.keys(tasks)) checkTask(name, sources, tasks, sinks, report);
  for (const name of Object.keys(sinks))
    eachText(section(sinks[name]).tasks, (task, i) =>
      refer(['sinks', name, 'tasks', i], task, tasks, 'task', report),
    );
  checkUnread(sources, tasks, report);
  checkSessions(config, report);
  checkHttp(section(config.http), report);
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
  const served = Object.values(sinks).some((sink) => serves(section(sink), name));
  if (!served && Object.keys(sinks).length > 0)
    report(path, `no sink takes the verdicts of this task; add "${name}" to the \`tasks\` of a sink`, 'key');
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

/** One connection that a gateway will hold: its client id, the brokers, and where to point when it collides. */
interface Session {
  readonly what: string;
  readonly id: string;
  readonly brokers: readonly string[];
  readonly path: Path;
  readonly at: 'key' | 'value';
}

/** A broker lets one connection live per client id: two would end each other for ever. */
function checkSessions(config: Section, report: Report): void {
  const taken = new Map<string, Session>();
  for (const session of [...sourceSessions(config), ...sinkSessions(config), ...feedbackSessions(config)]) {
    const keys = [...new Set(session.brokers.map((broker) => JSON.stringify([broker, session.id])))];
    const other = keys.map((key) => taken.get(key)).find((found) => found !== undefined);
    if (other) {
      const hint = session.at === 'key' ? '; give one of them a `session`' : '';
      const text = `${session.what === '' ? '' : `${session.what} `}has the client id "${session.id}"`;
      report(
        session.path,
        `${text}, as ${other.what || showPath(other.path)} has on the same broker; each would disconnect the other${hint}`,
        session.at,
      );
    }
    for (const key of keys) if (!taken.has(key)) taken.set(key, session);
  }
}

function sourceSessions(config: Section): Session[] {
  return mqttOf(config.sources).map(([name, options]) => sessionOf(config, 'sources', name, options));
}

function sinkSessions(config: Section): Session[] {
  return mqttOf(config.sinks).map(([name, options]) => sessionOf(config, 'sinks', name, options));
}

function sessionOf(config: Section, kind: string, name: string, options: Section): Session {
  const own = optional(options.session);
  return {
    what: `${kind}.${name}`,
    id: clientIdOf(siteOf(config), name, own),
    brokers: brokersOf(options.url),
    path: own === undefined ? [kind, name] : [kind, name, 'session'],
    at: own === undefined ? 'key' : 'value',
  };
}

/** One for each sink that brings feedback to a task. */
function feedbackSessions(config: Section): Session[] {
  const all: Session[] = [];
  for (const [sink, options] of mqttOf(config.sinks)) {
    for (const [task, value] of Object.entries(section(config.tasks))) {
      const { feedback } = section(value);
      if (!(feedback === undefined ? serves(options, task) : texts(feedback).includes(sink))) continue;
      const own = optional(options.session);
      all.push({
        what: `the feedback of ${task} at sinks.${sink}`,
        id: feedbackIdOf(siteOf(config), feedbackName(sink, task), own),
        brokers: brokersOf(options.url),
        path: own === undefined ? ['sinks', sink] : ['sinks', sink, 'session'],
        at: own === undefined ? 'key' : 'value',
      });
    }
  }
  return all;
}

function mqttOf(parts: unknown): [string, Section][] {
  return Object.entries(section(parts))
    .map(([name, value]): [string, Section] => [name, section(value)])
    .filter(([, { type }]) => type === 'mqtt');
}

/** Host and port of each address; who logs in there makes no difference to the client id. */
function brokersOf(url: unknown): string[] {
  const addresses = typeof url === 'string' ? [url] : texts(url);
  return addresses.map((address) => {
    if (!URL.canParse(address)) return address;
    const { protocol, hostname, port } = new URL(address);
    return `${hostname.toLowerCase()}:${port || MQTT_PORTS[protocol]}`;
  });
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

function checkPrivacy(config: Section, report: Report): void {
  const { keep } = section(section(config.store).dead);
  if (keep === 'encrypted' && section(config.privacy).key === undefined)
    report(
      ['store', 'dead', 'keep'],
      'needs `privacy.key`, the key under which dead letters are encrypted; without it nobody could read them again',
    );
}

/** A sink without a list takes every task. */
const serves = (sink: Section, task: string): boolean =>
  !('tasks' in sink) || texts(sink.tasks).includes(task);
const siteOf = ({ site }: Section): string => (typeof site === 'string' ? site : '');
const optional = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const section = (value: unknown): Section => (isRecord(value) ? value : {});
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];

function eachText(value: unknown, visit: (text: string, index: number) => void): void {
  if (!Array.isArray(value)) return;
  value.forEach((item, i) => {
    if (typeof item === 'string') visit(item, i);
  });
}
