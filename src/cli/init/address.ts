/**
 * The address of a broker as a person writes it, taken apart: how to reach it now, and how to say so in a file without
 * its secrets. Promises that user, password and query of the address appear nowhere but in `secrets`, from which the
 * caller connects. Refuses (USAGE) addresses that are none.
 */
import { SluiceError } from '../../errors.ts';

export type AddressKind = 'mqtt' | 'kafka';

export interface Address {
  readonly kind: AddressKind;
  /** MQTT: the URL without its secrets. */
  readonly url: string;
  /** Kafka: host:port of each. */
  readonly brokers: readonly string[];
  readonly tls: boolean;
  /** What must not be written down, by the variable of the environment that stands for it. */
  readonly secrets: Readonly<Record<string, string>>;
  /** For people: no secrets. */
  readonly shown: string;
}

const FORMS =
  'write mqtt://HOST:1883, mqtts://HOST:8883, ws://HOST/PATH, kafka://HOST:9092 or kafkas://HOST:9093';
const PARTS = /^([a-z]+):\/\/(?:([^@/?#]*)@)?([^/?#@\s]+)(\/[^?#\s]*)?(?:\?([^#\s]*))?$/i;
const PORTS: Readonly<Record<string, number>> = { kafka: 9092, kafkas: 9093 };

/** Takes an address apart. Throws USAGE, without the address: it may hold a password. */
export function parseAddress(text: string): Address {
  const [, scheme = '', who, hosts = '', path = '', query] = PARTS.exec(text.trim()) ?? [];
  const protocol = scheme.toLowerCase();
  if (!['mqtt', 'mqtts', 'ws', 'wss', 'kafka', 'kafkas'].includes(protocol))
    throw new SluiceError('USAGE', `not the address of a broker; ${FORMS}`);
  if (protocol.startsWith('kafka')) return kafkaAddress(protocol, who, hosts, path);
  if (hosts.includes(',') || !URL.canParse(`${protocol}://${hosts}${path}`))
    throw new SluiceError('USAGE', `not the address of one broker; ${FORMS}`);
  const secrets = {
    ...credentials('MQTT', who),
    ...(query === undefined || query === '' ? {} : { MQTT_QUERY: query }),
  };
  const url = `${protocol}://${hosts}${path}`;
  return {
    kind: 'mqtt',
    url,
    brokers: [],
    tls: /s$/.test(protocol) && protocol !== 'ws',
    secrets,
    shown: url,
  };
}

function kafkaAddress(protocol: string, who: string | undefined, hosts: string, path: string): Address {
  if (path !== '' && path !== '/')
    throw new SluiceError('USAGE', 'the address of Kafka has no path; name topics after it');
  const brokers = hosts
    .split(',')
    .map((host) => (/:\d{1,5}$/.test(host) ? host : `${host}:${PORTS[protocol]}`));
  if (brokers.some((host) => !/^(\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/.test(host)))
    throw new SluiceError(
      'USAGE',
      'not the address of Kafka; write kafka://HOST:9092, or kafka://A:9092,B:9092',
    );
  const shown = `${protocol}://${brokers.join(',')}`;
  return {
    kind: 'kafka',
    url: '',
    brokers,
    tls: protocol === 'kafkas',
    secrets: credentials('KAFKA', who),
    shown,
  };
}

function credentials(prefix: string, who: string | undefined): Record<string, string> {
  if (who === undefined || who === '') return {};
  const colon = who.indexOf(':');
  const [user, password] = colon < 0 ? [who, null] : [who.slice(0, colon), who.slice(colon + 1)];
  return {
    [`${prefix}_USER`]: plain(user),
    ...(password === null ? {} : { [`${prefix}_PASSWORD`]: plain(password) }),
  };
}

/** RFC 3986 2.1; what is no valid escape is taken as it stands. */
function plain(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
