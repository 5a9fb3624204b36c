/**
 * Sparkplug B 3.0 payloads as Sluice writes them: the rebirth request of a host application, and verdicts as metrics of
 * an edge node. The layout is that of the specification, chapter 6.4 (`Payload` and `Metric`); a writer of forty lines
 * is all that it takes. What the wire looks like stands in decode/sparkplug/wire.ts.
 */
import type { Verdict } from '../envelope.ts';

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
  const metric = { name: 'Node Control/Rebirth', at, type: 'boolean', value: true } as const;
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
