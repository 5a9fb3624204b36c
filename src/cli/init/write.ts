/**
 * The configuration as text: what was heard, with a comment beside everything that was inferred and a mark (<-) at what
 * only a person can know. Promises: no secret of the address is in it; no text from outside can become YAML, a
 * comment that ends early, or a reference to the environment.
 */
import { safeText } from '../preview.ts';
import type { Address } from './address.ts';
import type { Field } from './fields.ts';
import type { Stream, Unused } from './streams.ts';

export interface Written {
  readonly site: string;
  readonly address: Address;
  /** MQTT: the protocol version that the broker speaks. */
  readonly version: 4 | 5;
  /** File of authorities to trust. */
  readonly ca: string | undefined;
  /** Kafka: SASL mechanism. */
  readonly sasl: string;
  readonly streams: readonly Stream[];
  readonly unused: readonly Unused[];
  readonly messages: number;
  readonly seconds: number;
  /** When, ms. */
  readonly at: number;
  /** The name of the file, for the commands in its head. */
  readonly file: string;
}

const MOST_UNUSED = 20;
const COMMENT = 160;

/** Text of one line that is safe behind `#`. */
const remark = (text: string): string => {
  const clean = safeText(text);
  return clean.length > COMMENT ? `${clean.slice(0, COMMENT - 1)}…` : clean;
};

/** A scalar in double quotes; a reference to the environment in it stays text. */
const quote = (text: string): string => JSON.stringify(text.replaceAll('${', () => '$${'));
/** A key, plain where YAML cannot mistake it; references are not looked for in keys. */
const key = (text: string): string =>
  /^[A-Za-z][A-Za-z0-9_.-]*$/.test(text) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text);

const pointerText = (pointer: string): string =>
  /^[/A-Za-z0-9_.-]+$/.test(pointer) ? pointer : quote(pointer);

/** The whole file. */
export function configText(written: Written): string {
  const { streams, site } = written;
  const lines = [
    ...head(written),
    `site: ${key(site)}${site === 'my-site' ? '   # <- the name of this gateway: it stands in topics and metrics' : ''}`,
    '',
    'sources:',
    ...streams.flatMap((stream) => sourceLines(stream, written)),
    '',
    'tasks:',
    ...streams.flatMap((stream) => taskLines(stream, written)),
    '',
    '# Verdicts go out here, and feedback comes in: see `sluice feedback --help`.',
    'sinks:',
    '  broker:',
    ...connectionLines(written),
    '',
    '# store: { path: ./state }              # what is kept on disk',
    '# http: { listen: "127.0.0.1:8088" }    # dashboard, metrics and API',
    ...unusedLines(written),
  ];
  return `${lines.join('\n')}\n`;
}

function head({ address, messages, seconds, streams, at, file }: Written): string[] {
  const topics = streams.reduce((sum, stream) => sum + stream.topics, 0);
  const variables = Object.keys(address.secrets);
  return [
    `# Written by \`sluice init\` on ${new Date(at).toISOString().slice(0, 10)}: ${messages} messages on ${topics} topics of`,
    `# ${remark(address.shown)} in ${Math.round(seconds)} s. What was inferred from them has a comment.`,
    '#',
    '# <-  marks what only you can know.',
    ...(variables.length > 0
      ? [`# It needs these variables of the environment: ${variables.join(', ')}`]
      : []),
    `# Check it: sluice lint -c ${remark(file)}        Run it: sluice run -c ${remark(file)}`,
    '',
  ];
}

function connectionLines({ address, version, ca, sasl }: Written): string[] {
  const { secrets } = address;
  const variable = (name: string) => `"\${${name}}"`;
  if (address.kind === 'mqtt') {
    const query = 'MQTT_QUERY' in secrets ? `?\${MQTT_QUERY}` : '';
    return [
      '    type: mqtt',
      `    url: ${quote(address.url).slice(0, -1)}${query}"`,
      ...(version === 4 ? ['    version: 4                # MQTT 3.1.1: the broker does not speak 5'] : []),
      ...('MQTT_USER' in secrets ? [`    user: ${variable('MQTT_USER')}`] : []),
      ...('MQTT_PASSWORD' in secrets ? [`    password: ${variable('MQTT_PASSWORD')}`] : []),
      ...(ca === undefined ? [] : [`    tls: { ca: ${quote(ca)} }`]),
    ];
  }
  const user = 'KAFKA_USER' in secrets;
  return [
    '    type: kafka',
    `    brokers: [${address.brokers.map(quote).join(', ')}]`,
    ...(address.tls ? [ca === undefined ? '    tls: true' : `    tls: { ca: ${quote(ca)} }`] : []),
    ...(user
      ? [
          `    sasl: { mechanism: ${sasl}, username: ${variable('KAFKA_USER')}, password: ${variable('KAFKA_PASSWORD')} }`,
        ]
      : []),
  ];
}

function sourceLines(stream: Stream, written: Written): string[] {
  const { name, filters, messages, topics } = stream;
  const most = stream.most > 1 ? `, up to ${stream.most} readings in one` : '';
  const cloud = stream.events ? ', CloudEvents' : '';
  return [
    `  ${key(name)}:${pad(name)}# ${messages} messages on ${topics === 1 ? 'one topic' : `${topics} topics`}${most}${cloud}`,
    ...connectionLines(written),
    `    topics: [${filters.map(quote).join(', ')}]`,
    ...(stream.cut ? ['    # There was more than is looked at: check the topics and fields.'] : []),
  ];
}

const pad = (name: string): string => ' '.repeat(Math.max(2, 24 - name.length));

function taskLines(stream: Stream, written: Written): string[] {
  const { name, task } = stream;
  const own = stream.kind === 'mail' ? mailLines(stream) : sensorLines(stream, written);
  return [`  ${key(task)}:`, `    from: [${key(name)}]`, ...own];
}

function mailLines(stream: Stream): string[] {
  return [
    '    event: email',
    '    labels: [ham, spam]       # <- what a verdict can say; the last is what is looked for',
    ...(stream.level
      ? [`    device: { topicLevel: ${stream.level.index} }   # the mailbox: ${named(stream.level.names)}`]
      : []),
  ];
}

function sensorLines(stream: Stream, written: Written): string[] {
  const { time, fields, leftOut } = stream.judged;
  return [
    '    event: sensor',
    '    labels: [ok, fault]       # <- what a verdict can say; the last is what is looked for',
    ...deviceLines(stream, written.address.kind),
    ...(time
      ? [`    time: ${pointerText(time.pointer)}${pad(time.pointer)}# ${time.format}`]
      : [
          stream.events
            ? '    # The time is that of the CloudEvent.'
            : '    # No time was seen in the messages: that of their arrival is used.',
        ]),
    '    fields:',
    '      # A value outside of its range counts as missing. Ranges are what was seen, widened by three times its',
    '      # width: correct them by what the sensor can really give.',
    ...fields.map(fieldLine),
    ...leftOut.map(({ pointer, reason }) => `      # left out ${remark(pointer)}: ${reason}`),
  ];
}

const named = (names: number): string => (names === 1 ? 'one was seen' : `${names} were seen`);

/** The topic where it tells as much as the message does; it is always there. */
function deviceLines({ level, judged, keyed }: Stream, kind: Address['kind']): string[] {
  const { device } = judged;
  if (level && (!device || level.names >= device.names)) {
    const also = device ? `; the message says it too, in ${remark(device.pointer)}` : '';
    return [
      `    device: { topicLevel: ${level.index} }   # levels count from 0; ${named(level.names)}${also}`,
    ];
  }
  if (device)
    return [
      `    device: { pointer: ${pointerText(device.pointer)} }   # ${device.names === 1 ? 'one was seen' : 'several were seen'}`,
    ];
  if (kind === 'kafka' && keyed) return ['    # The device is the Kafka key.'];
  return [
    '    # <- Nothing that names the device was seen: the topic stands for it. Else: device: { pointer: /NAME }',
  ];
}

function fieldLine(field: Field): string {
  const { name, pointer, type, unit, range, seen } = field;
  const usual = pointer === `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const parts = [
    `type: ${type}`,
    ...(usual ? [] : [`pointer: ${pointerText(pointer)}`]),
    ...(unit === null ? [] : [`unit: ${quote(unit)}`]),
    ...(range === null ? [] : [`range: [${range.join(', ')}]`]),
  ];
  const text = `      ${key(name)}: { ${parts.join(', ')} }`;
  return `${text.padEnd(62)}  # ${remark(seen)}`;
}

function unusedLines({ unused }: Written): string[] {
  if (unused.length === 0) return [];
  const shown = unused.slice(0, MOST_UNUSED);
  return [
    '',
    '# Heard, and not used:',
    ...shown.map(({ topic, messages, reason }) => `#   ${remark(topic)}: ${messages} messages, ${reason}`),
    ...(unused.length > shown.length ? [`#   and ${unused.length - shown.length} topics more`] : []),
  ];
}
