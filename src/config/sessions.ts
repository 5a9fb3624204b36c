/**
 * Which MQTT client ids a gateway with this configuration takes, and whether two of them collide. A broker lets one
 * connection live per id, so two with the same would end each other for ever. Like the other checks it reads
 * the plain value, whatever its shape.
 */
import { clientIdOf, feedbackIdOf, feedbackName } from '../io/mqtt/ids.ts';
import { type Report, type Section, section, serves, texts } from './sections.ts';
import type { Path } from './tree.ts';

/** Where an address without a port goes. */
const MQTT_PORTS: Readonly<Record<string, number>> = {
  'mqtt:': 1883,
  'mqtts:': 8883,
  'ws:': 80,
  'wss:': 443,
};

/** One connection that a gateway will hold: its client id, the brokers, and where to point when it collides. */
interface Session {
  readonly what: string;
  /** What `id` is, said at `path`. */
  readonly own: string;
  readonly id: string;
  readonly brokers: readonly string[];
  readonly path: Path;
  readonly at: 'key' | 'value';
}

/** Reports every connection whose client id another one on the same broker has. */
export function checkSessions(config: Section, report: Report): void {
  const taken = new Map<string, Session>();
  for (const session of [...sourceSessions(config), ...sinkSessions(config), ...feedbackSessions(config)]) {
    const keys = [...new Set(session.brokers.map((broker) => JSON.stringify([broker, session.id])))];
    const other = keys.map((key) => taken.get(key)).find((found) => found !== undefined);
    if (other) {
      const hint = session.at === 'key' ? '; give one of them a `session`' : '';
      report(
        session.path,
        `${session.own} "${session.id}" is also that of ${other.what} on the same broker; each would disconnect the other${hint}`,
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
    own: 'its client id',
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
        own: `the client id of its feedback for ${task}`,
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

const siteOf = ({ site }: Section): string => (typeof site === 'string' ? site : '');
const optional = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
