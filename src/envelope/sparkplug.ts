/**
 * Sparkplug B 3.0 payloads as Sluice writes them: the rebirth request of a host application, and verdicts as metrics of
 * an edge node. The layout is that of the specification, chapter 6.4 (`Payload` and `Metric`); a writer of forty lines
 * is all that it takes. What the wire looks like stands in decode/sparkplug/wire.ts.
 */
import type { Outgoing } from '../contract.ts';
import type { Verdict } from '../envelope.ts';

/** The command that every edge node takes. */
const REBIRTH = 'Node Control/Rebirth';

/** Numbers of the types (6.4.16) that are written here. */
export const TYPES = { int64: 4, uint64: 8, double: 10, boolean: 11, string: 12, dateTime: 13 } as const;

/** A metric to write; `value` null writes `is_null`. */
export interface WrittenMetric {
  readonly name?: string;
  readonly alias?: number;
  /** ms since the epoch. */
  readonly at?: number;
  readonly type: keyof typeof TYPES;
  readonly value: number | boolean | string | null;
}

/** The bytes of a payload; `seq` 0 to 255, left out where the message has none (NDEATH, commands). */
export function encodePayload(at: number, metrics: readonly WrittenMetric[], seq?: number): Buffer {
  const parts = [field(1, 0), varint(at)];
  for (const metric of metrics) parts.push(...nested(2, encodeMetric(metric)));
  if (seq !== undefined) parts.push(field(3, 0), varint(seq));
  return Buffer.concat(parts);
}

function encodeMetric({ name, alias, at, type, value }: WrittenMetric): Buffer {
  const parts: Buffer[] = [];
  if (name !== undefined) parts.push(...nested(1, Buffer.from(name)));
  if (alias !== undefined) parts.push(field(2, 0), varint(alias));
  if (at !== undefined) parts.push(field(3, 0), varint(at));
  parts.push(field(4, 0), varint(TYPES[type]));
  if (value === null) parts.push(field(7, 0), varint(1));
  else if (type === 'boolean') parts.push(field(14, 0), varint(value ? 1 : 0));
  else if (type === 'string') parts.push(...nested(15, Buffer.from(String(value))));
  else if (type === 'double') {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(Number(value));
    parts.push(field(13, 1), bytes);
  } else parts.push(field(11, 0), varint(Number(value)));
  return Buffer.concat(parts);
}

const field = (number: number, wireType: number): Buffer => varint((number << 3) | wireType);
const nested = (number: number, bytes: Buffer): Buffer[] => [field(number, 2), varint(bytes.length), bytes];

/** A whole number in two's complement of 64 bits. */
function varint(value: number): Buffer {
  let rest = BigInt.asUintN(64, BigInt(Math.trunc(Number.isFinite(value) ? value : 0)));
  const bytes: number[] = [];
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** The command that makes an edge node send its births again (6.4.22); published at QoS 0, never retained. */
export function rebirthRequest(
  group: string,
  node: string,
  at: number,
): { readonly topic: string; readonly payload: Buffer } {
  const metric = { name: REBIRTH, at, type: 'boolean', value: true } as const;
  return { topic: `spBv1.0/${group}/NCMD/${node}`, payload: encodePayload(at, [metric]) };
}

/**
 * A verdict as metrics of the device that it is of: `Sluice/<task>/Label` (null while there is no sufficient model),
 * `Score`, `Scores/<label>`, `Model`, `Event`, and `Action` where the task decides.
 */
export function verdictMetrics(task: string, verdict: Verdict): readonly WrittenMetric[] {
  const { event, labels, label, score, scores, offset, model, decided } = verdict;
  const { at } = event;
  const of = (name: string, type: WrittenMetric['type'], value: WrittenMetric['value']): WrittenMetric => ({
    ...{ name: `Sluice/${task}/${name}`, at, type, value },
  });
  return [
    of('Label', 'string', label < 0 ? null : labels[label]),
    of('Score', 'double', score),
    ...labels.map((text, i) => of(`Scores/${text}`, 'double', scores[offset + i])),
    of('Model', 'string', model),
    of('Event', 'string', event.id),
    ...(decided ? [of('Action', 'string', decided.action)] : []),
  ];
}

/** Devices of which verdicts are told; the one told of least recently dies when there are more. */
const MAX_DEVICES = 10_000;
const LEVEL = /[+#/]/g;

/**
 * A gateway as an edge node that reports verdicts: one device for each device that is judged, one session for each
 * connection. Promises: a birth before any data, `seq` without a gap, births again when asked. What it gives is to be
 * published in its order, and nothing of it left out or repeated: it fits a connection, not a store-and-forward queue.
 * MQTT wildcards and slashes in names become `_`.
 */
export class VerdictNode {
  readonly #group: string;
  readonly #node: string;
  readonly #bdSeq: number;
  /** The newest metrics of each device, the least recent first. */
  readonly #devices = new Map<string, readonly WrittenMetric[]>();
  #seq = 0;

  /** `bdSeq`: 0 to 255, one more than that of the session before. */
  constructor(group: string, node: string, bdSeq: number) {
    this.#group = group.replace(LEVEL, '_');
    this.#node = node.replace(LEVEL, '_');
    this.#bdSeq = bdSeq & 255;
  }

  /** To be given to the broker at the connection. */
  will(at: number): Outgoing {
    return this.#message('NDEATH', '', encodePayload(at, [this.#session()]));
  }

  /** Where rebirth requests come in. */
  get commands(): string {
    return `spBv1.0/${this.#group}/NCMD/${this.#node}`;
  }

  /** The births of node and devices: after each connection, and whenever `commands` brings a rebirth request. */
  births(at: number): readonly Outgoing[] {
    this.#seq = 0;
    const rebirth = { name: REBIRTH, at, type: 'boolean', value: false } as const;
    const node = this.#numbered('NBIRTH', '', at, [this.#session(), rebirth]);
    const devices = [...this.#devices].map(([device, metrics]) =>
      this.#numbered('DBIRTH', device, at, metrics),
    );
    return [node, ...devices];
  }

  /** A verdict, after the birth of its device where that is new. */
  verdict(task: string, verdict: Verdict): readonly Outgoing[] {
    const device = verdict.event.device.replace(LEVEL, '_');
    const at = verdict.decidedAt;
    const metrics = verdictMetrics(task, verdict);
    const known = this.#devices.get(device) ?? [];
    const names = new Set(metrics.map(({ name }) => name));
    const isNew = metrics.some(({ name }) => !known.some((one) => one.name === name));
    this.#devices.delete(device);
    this.#devices.set(device, [...known.filter(({ name }) => !names.has(name)), ...metrics]);
    const messages: Outgoing[] = [];
    if (this.#devices.size > MAX_DEVICES) messages.push(this.#forget(at));
    if (!isNew) messages.push(this.#numbered('DDATA', device, at, metrics));
    else messages.push(this.#numbered('DBIRTH', device, at, this.#devices.get(device)!));
    return messages;
  }

  #forget(at: number): Outgoing {
    const [oldest] = this.#devices.keys();
    this.#devices.delete(oldest);
    return this.#numbered('DDEATH', oldest, at, []);
  }

  #session(): WrittenMetric {
    return { name: 'bdSeq', type: 'int64', value: this.#bdSeq };
  }

  #numbered(type: string, device: string, at: number, metrics: readonly WrittenMetric[]): Outgoing {
    const message = this.#message(type, device, encodePayload(at, metrics, this.#seq));
    this.#seq = (this.#seq + 1) & 255;
    return message;
  }

  #message(type: string, device: string, payload: Buffer): Outgoing {
    const levels = ['spBv1.0', this.#group, type, this.#node, ...(device === '' ? [] : [device])];
    return { topic: levels.join('/'), key: null, payload, qos: 0 };
  }
}
