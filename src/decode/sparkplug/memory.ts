/**
 * Sparkplug messages in order of arrival. Promises: an alias is read by the birth that surely names it, or its message
 * waits. After a gap in `seq` a birth may be among what was lost, after a death it is certain: what comes then waits for
 * the next birth, which is asked for (`Node Control/Rebirth`), at most once a second and ever more seldom while nothing
 * comes of it. What came before the gap, or comes again, is read by the birth of its own time or refused (DECODE_ALIAS).
 * With `gaps: trust` a gap is counted, births are asked for, and reading goes on by the births that are known.
 *
 *   in order: seq is the next one            -> by the newest birth, where it stands
 *   late: older than the newest in order     -> by the newest birth, if it is of that time (`since`..`until`)
 *   gap: lost += the difference              -> nothing stands until it is born again
 *
 * A birth that is older than the one known is of a redelivery, or of a clock that was set back: it is believed when a
 * second one, younger than itself, says the same kind of thing; that too is asked for.
 */
import type { Decoded, DecoderMemory, Message, Outgoing } from '../../contract.ts';
import { rebirthRequest } from '../../envelope/sparkplug.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { asBuffer } from '../charset.ts';
import type { NamedField } from '../reading.ts';
import {
  keyOf,
  type Meaning,
  type Names,
  type Node,
  type NodeLimits,
  Nodes,
  namesAt,
  OTHER,
  type Owner,
} from './nodes.ts';
import {
  type Alias,
  type Metric,
  metricValue,
  type Payload,
  readPayload,
  speaksForItself,
} from './payload.ts';
import { readTopic, type Topic } from './topic.ts';

/** A metric of a declared field. */
export interface Value {
  readonly metric: Metric;
  readonly field: number;
  readonly type: number;
}

export interface MemoryOptions extends NodeLimits {
  readonly maxBytes: number;
  readonly maxMetrics: number;
  readonly gaps: 'wait' | 'trust';
  readonly births: boolean;
}

/** Makes events of what was found in a message; throws DECODE_*. */
export type MakeEvents = (
  message: Message,
  topic: Topic,
  payload: Payload,
  values: readonly Value[],
) => Decoded['events'];

const FIRST_ASK_MS = 1_000;
const LAST_ASK_MS = 64_000;
/** Asked so often in vain, a node is asked again only when it sends something. */
const MOST_ASKS = 10;
/** After so long without a question the next one is the first. */
const FORGET_ASKS_MS = 300_000;
/** What Date can hold (ECMA-262 21.4.1.1). */
const LAST_TIME = 8.64e15;
const BD_SEQ = 'bdSeq';
/** A step of so many in a ring of 256 is backwards, where the time does not tell. */
const HALF = 128;

const NOTHING: Decoded = {
  events: [],
  refusal: null,
  waitsFor: null,
  frees: null,
  requests: [],
  lost: 0,
  late: 0,
};

export class SparkplugMemory implements DecoderMemory {
  readonly #options: MemoryOptions;
  readonly #names: ReadonlyMap<string, readonly NamedField[]>;
  readonly #makeEvents: MakeEvents;
  readonly nodes: Nodes;
  #urgent = false;

  constructor(
    options: MemoryOptions,
    names: ReadonlyMap<string, readonly NamedField[]>,
    fields: readonly string[],
    makeEvents: MakeEvents,
  ) {
    this.#options = options;
    this.#names = names;
    this.#makeEvents = makeEvents;
    this.nodes = new Nodes(fields, options);
  }

  get urgent(): boolean {
    return this.#urgent;
  }

  save(): Uint8Array {
    this.#urgent = false;
    return this.nodes.save();
  }

  asks(now: number): readonly Outgoing[] {
    const requests: Outgoing[] = [];
    for (const node of this.nodes.values())
      if (node.awaited && node.asked < MOST_ASKS) requests.push(...this.#ask(node, now));
    return requests;
  }

  take(message: Message, now: number, again: boolean, kept = false): Decoded {
    const { payload: bytes, topic: name } = message;
    const { maxBytes, maxMetrics } = this.#options;
    const topic = readTopic(name);
    if (bytes.length === 0) throw new SluiceError('DECODE_EMPTY', 'the payload is empty');
    if (bytes.length > maxBytes)
      throw new SluiceError(
        'DECODE_TOO_LARGE',
        `a payload of ${bytes.length} bytes; the limit is ${maxBytes}`,
      );
    if (topic === null) throw new SluiceError('DECODE_SHAPE', 'the topic is none of Sparkplug B');
    if (topic === 'other') return NOTHING;
    const payload = readPayload(asBuffer(bytes), maxMetrics);
    if (!(payload.at <= LAST_TIME)) payload.at = message.at;
    const node = this.nodes.touch(topic.group, topic.node);
    if (topic.type === 'NDEATH') return this.#nodeDeath(node, payload, again);
    const given: Given = { message, topic, node, payload, now, again };
    if (topic.type === 'NBIRTH') return this.#birth(given);
    const order = again ? AGAIN : this.#order(node, payload, kept);
    const { lost, late } = order;
    const requests = lost > 0 || order === SET_BACK ? this.#ask(node, now) : [];
    if (topic.type === 'DBIRTH') {
      const born = this.#birth(given);
      return { ...born, requests: [...requests, ...born.requests], lost, late };
    }
    if (topic.type === 'DDATA' || topic.type === 'NDATA') return this.#data(given, order, requests);
    if (!order.isLate) this.#deviceDeath(node, topic.device);
    return { ...NOTHING, requests, lost, late };
  }

  // ------------------------------------------------------------ order

  /**
   * Where a message stands among those of its node. After a gap nothing that was born stands. After a restart a transport
   * that keeps messages begins with the first that was not settled: whatever came before it was taken in, births were saved,
   * and only the number may be an old one.
   */
  #order(node: Node, { seq, at }: Payload, kept: boolean): Order {
    if (seq < 0) return IN_ORDER;
    let ahead = node.next < 0 ? 0 : (seq - node.next) & 255;
    if (at < node.last || (at === node.last && ahead >= HALF)) return ahead === 0 ? SET_BACK : LATE;
    if (node.restored && kept) ahead = 0;
    if (ahead > 0 && this.#options.gaps === 'wait') {
      doubt(node, at);
      this.#urgent ||= kept;
    }
    node.next = (seq + 1) & 255;
    node.last = at;
    node.restored = false;
    return ahead === 0 ? IN_ORDER : { lost: ahead, late: 0, isLate: false };
  }

  // ------------------------------------------------------------ births and deaths

  #birth({ message, topic, node, payload, now, again }: Given): Decoded {
    const { names, values } = this.#namesOf(payload);
    const owner = this.nodes.owner(node, topic.device);
    // One of the same time is the same again.
    const counts =
      payload.at > owner.bornAt || (!again && payload.at < owner.bornAt && payload.at > owner.doubted);
    let requests: readonly Outgoing[] = [];
    if (payload.at < owner.bornAt && !again && owner.doubted === Number.NEGATIVE_INFINITY) {
      owner.doubted = payload.at;
      requests = this.#ask(node, now);
    } else if (counts) {
      if (topic.type === 'NBIRTH') this.#nodeBorn(node, payload);
      this.#born(node, owner, payload.at, names);
    }
    const { births } = this.#options;
    const frees = owner.born ? keyOf(topic.group, topic.node, topic.device) : null;
    const found = births ? this.#eventsOf(message, topic, payload, values) : null;
    return { ...NOTHING, ...found, requests, frees };
  }

  #nodeBorn(node: Node, payload: Payload): void {
    for (const owner of node.owners.values()) {
      if (owner.born) unborn(owner, node.last, payload.at);
      owner.answering = true;
    }
    node.next = (Math.max(0, payload.seq) + 1) & 255;
    node.last = payload.at;
    node.bdSeq = bdSeqOf(payload);
    node.restored = false;
    node.awaited = false;
  }

  #born(node: Node, owner: Owner, at: number, names: Names): void {
    if (owner.names === null || !same(owner.names, names)) {
      // Up to a birth in order the names before it stood.
      this.nodes.give(node, owner, names, owner.born ? at - 1 : owner.until);
      // A birth of a device alone is no answer: what waits may be of aliases that nobody knows.
      owner.since = owner.answering ? Math.min(at, owner.waitingFrom) : at;
      this.#urgent = true;
    }
    if (!owner.born) this.#urgent = true;
    owner.born = true;
    owner.bornAt = at;
    owner.doubted = Number.NEGATIVE_INFINITY;
    owner.waitingFrom = Number.POSITIVE_INFINITY;
    owner.answering = false;
  }

  /**
   * A will that comes after the node is back already is of a session before, by its bdSeq; one of a later session is of a
   * node whose birth was lost.
   */
  #nodeDeath(node: Node, payload: Payload, again: boolean): Decoded {
    const bdSeq = bdSeqOf(payload);
    const isOld = bdSeq >= 0 && node.bdSeq >= 0 && ((bdSeq - node.bdSeq) & 255) >= HALF;
    if (again || isOld) return { ...NOTHING, late: 1 };
    for (const owner of node.owners.values()) unborn(owner, node.last, Number.POSITIVE_INFINITY);
    node.next = -1;
    node.awaited = false;
    this.#urgent = true;
    return NOTHING;
  }

  #deviceDeath(node: Node, device: string): void {
    const owner = node.owners.get(device);
    if (!owner) return;
    unborn(owner, node.last, Number.POSITIVE_INFINITY);
    this.#urgent = true;
  }

  /** What a birth says its aliases mean, and the values of declared fields that it brings. */
  #namesOf({ metrics }: Payload): { readonly names: Names; readonly values: readonly Value[] } {
    const aliases = new Map<Alias, Meaning>();
    const types = new Array<number>(this.nodes.fields).fill(0);
    const values: Value[] = [];
    for (const metric of metrics) {
      const { name, alias, type } = metric;
      const field = name === null ? -1 : (this.#names.get(name)?.[0].index ?? -1);
      if (field >= 0) {
        types[field] = type;
        values.push({ metric, field, type });
      }
      // Two metrics of one alias: nobody knows which is meant.
      if (alias !== null) aliases.set(alias, field < 0 || aliases.has(alias) ? OTHER : { field, type });
    }
    return { names: { aliases, types }, values };
  }

  // ------------------------------------------------------------ data

  #data(
    { message, topic, node, payload, now, again }: Given,
    order: Order,
    asked: readonly Outgoing[],
  ): Decoded {
    const { lost, late, isLate } = order;
    const owner = this.nodes.owner(node, topic.device);
    const values = this.#valuesOf(payload.metrics, namesAt(owner, payload.at, isLate));
    if (values !== null) {
      const found = this.#eventsOf(message, topic, payload, values);
      const { events, refusal } = found ?? NOTHING;
      return { events, refusal, waitsFor: null, frees: null, requests: asked, lost, late };
    }
    if (isLate && owner.names !== null && payload.at < owner.since)
      throw new SluiceError('DECODE_ALIAS', 'its aliases are of a time before the birth that is known');
    if (again && owner.born)
      throw new SluiceError('DECODE_ALIAS', 'it has an alias that the birth after it does not name');
    // Of a late one nobody knows whether it is of the session that the next birth speaks of.
    if (!isLate) owner.waitingFrom = Math.min(owner.waitingFrom, payload.at);
    const requests = asked.length > 0 ? asked : this.#ask(node, now);
    return { ...NOTHING, waitsFor: keyOf(topic.group, topic.node, topic.device), requests, lost, late };
  }

  #eventsOf(
    message: Message,
    topic: Topic,
    payload: Payload,
    values: readonly Value[],
  ): Pick<Decoded, 'events' | 'refusal'> | null {
    if (values.length === 0) return null;
    try {
      return { events: this.#makeEvents(message, topic, payload, values), refusal: null };
    } catch (thrown) {
      return { events: [], refusal: asSluiceError(thrown, 'DECODE_UNEXPECTED') };
    }
  }

  /** The values of declared fields; null where something in the message can only be read by a birth that is not there. */
  #valuesOf(metrics: readonly Metric[], names: Names | null): readonly Value[] | null {
    const values: Value[] = [];
    for (const metric of metrics) {
      const { name, alias } = metric;
      if (name !== null && name !== '') {
        const field = this.#names.get(name)?.[0].index;
        if (field === undefined) continue;
        const type = metric.type || (names?.types[field] ?? 0);
        if (type === 0 && !speaksForItself(metric)) return null;
        values.push({ metric, field, type });
      } else if (alias !== null) {
        const meaning = names?.aliases.get(alias);
        if (!meaning) return null;
        if (meaning.field < 0) continue;
        // Another type than at the birth: the alias is not what it was.
        if (metric.type !== 0 && meaning.type !== 0 && metric.type !== meaning.type) return null;
        values.push({ metric, field: meaning.field, type: meaning.type || metric.type });
      }
    }
    return values;
  }

  // ------------------------------------------------------------ questions

  #ask(node: Node, now: number): readonly Outgoing[] {
    const passed = Math.abs(now - node.askedAt);
    if (passed > FORGET_ASKS_MS) node.asked = 0;
    const wait = Math.min(LAST_ASK_MS, FIRST_ASK_MS * 2 ** Math.max(0, node.asked - 1));
    node.awaited = true;
    if (node.asked > 0 && passed < wait) return [];
    node.askedAt = now;
    node.asked += 1;
    const { topic, payload } = rebirthRequest(node.group, node.name, now);
    return [{ topic, key: null, payload, qos: 0 }];
  }
}

interface Given {
  readonly message: Message;
  readonly topic: Topic;
  readonly node: Node;
  readonly payload: Payload;
  readonly now: number;
  readonly again: boolean;
}

interface Order {
  readonly lost: number;
  readonly late: number;
  readonly isLate: boolean;
}

const IN_ORDER: Order = { lost: 0, late: 0, isLate: false };
const LATE: Order = { lost: 0, late: 1, isLate: true };
/** The next number with an earlier time: again by chance, or a clock was set back, which a birth would tell. */
const SET_BACK: Order = { lost: 0, late: 1, isLate: true };
/** Seen before: counted then. */
const AGAIN: Order = { lost: 0, late: 0, isLate: true };

/** Something was lost before a message of this time. */
function doubt(node: Node, at: number): void {
  for (const owner of node.owners.values()) unborn(owner, node.last, at);
}

/**
 * `until`: when the aliases still stood. Of what waits, what came before `from` may be of aliases that were never heard of,
 * also where it waited already: with every gap another birth may have been lost.
 */
function unborn(owner: Owner, until: number, from: number): void {
  if (owner.born) owner.until = until;
  owner.waitingFrom = from;
  owner.answering = false;
  owner.born = false;
}

function same(a: Names, b: Names): boolean {
  if (a.aliases.size !== b.aliases.size || a.types.some((type, i) => type !== b.types[i])) return false;
  for (const [alias, meaning] of a.aliases) {
    const other = b.aliases.get(alias);
    if (other?.field !== meaning.field || other.type !== meaning.type) return false;
  }
  return true;
}

function bdSeqOf({ metrics }: Payload): number {
  const metric = metrics.find(({ name }) => name === BD_SEQ);
  const value = metric ? metricValue(metric, 0) : null;
  return typeof value === 'number' ? value : -1;
}
