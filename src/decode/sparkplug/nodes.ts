/**
 * What is known of edge nodes: which aliases their births gave to which fields, and where their numbering stands.
 * Promises: bounded by aliases and nodes, the least recently heard node goes first (its births are asked for again);
 * saved as JSON and restored only where the declared fields are the same. See memory.ts for what it is used for.
 */
import { z } from 'zod';
import { SluiceError } from '../../errors.ts';
import type { Alias } from './payload.ts';

/** What an alias stands for: `field` is the index of a declared field, -1 for none. */
export interface Meaning {
  readonly field: number;
  readonly type: number;
}

/** What a birth said: what its aliases mean, and the type of each declared field, 0 where it does not name it. */
export interface Names {
  readonly aliases: ReadonlyMap<Alias, Meaning>;
  readonly types: readonly number[];
}

/** Names that were given up, and the sender's times for which they surely stood, ms. */
export interface Former extends Names {
  readonly since: number;
  readonly until: number;
}

/** A node itself (device '') or one of its devices. */
export interface Owner {
  /** By the newest birth; null before the first. */
  names: Names | null;
  /** Those before, for what is delivered again when the newest are known already. */
  former: Former | null;
  /** Whether the newest birth surely stands: nothing was lost, and nobody died, since. */
  born: boolean;
  /** The sender's time of the newest birth, ms; -Infinity before the first. */
  bornAt: number;
  /** A birth that was older than the newest, and was not believed yet; -Infinity for none. */
  doubted: number;
  /** From when on, by the sender's clock, these aliases have stood. */
  since: number;
  /** While not born: the last time at which they surely stood. */
  until: number;
  /** What waits is of the next birth from this time on, if that answers a question; Infinity: none of it. */
  waitingFrom: number;
  /** Whether the node was born since: then a birth of this device comes with it. Not saved. */
  answering: boolean;
}

export interface Node {
  readonly group: string;
  readonly name: string;
  /** The sequence number that comes next; -1 where none is known. */
  next: number;
  /** The sender's time of the newest message in order, ms. */
  last: number;
  /** Of the newest birth, -1 where it has none. */
  bdSeq: number;
  readonly owners: Map<string, Owner>;
  /** Whether nothing came in order since it was restored: after a kill `next` is of some messages ago. Not saved. */
  restored: boolean;
  /** When its births were last asked for, how often in vain, and whether the answer is awaited. Not saved. */
  askedAt: number;
  asked: number;
  awaited: boolean;
}

export const keyOf = (group: string, node: string, device = ''): string =>
  device === '' ? `${group}/${node}` : `${group}/${node}/${device}`;

const newOwner = (): Owner => ({
  ...{ names: null, former: null, born: false },
  ...{ bornAt: Number.NEGATIVE_INFINITY, doubted: Number.NEGATIVE_INFINITY },
  // Of what came before anything was known the next birth is taken to speak: most births are answers.
  ...{ since: Number.NEGATIVE_INFINITY, until: Number.NEGATIVE_INFINITY },
  waitingFrom: Number.NEGATIVE_INFINITY,
  answering: false,
});

const time = z.number().nullable();
const savedAlias = z.union([z.number(), z.string()]);
const savedNames = z.strictObject({
  types: z.array(z.int()),
  declared: z.array(z.tuple([savedAlias, z.int().min(0), z.int()])),
  others: z.array(savedAlias),
  ...{ since: time, until: time },
});
const saved = z.strictObject({
  version: z.literal(1),
  fields: z.array(z.string()),
  nodes: z.array(
    z.strictObject({
      group: z.string(),
      name: z.string(),
      next: z.int().min(-1).max(255),
      last: time,
      bdSeq: z.number(),
      owners: z.array(
        z.strictObject({
          device: z.string(),
          born: z.boolean(),
          bornAt: time,
          names: savedNames,
          former: savedNames.nullable(),
        }),
      ),
    }),
  ),
});

/** JSON has no infinities: null is the lower one. */
const toJson = (ms: number): number | null => (Number.isFinite(ms) ? ms : null);
const fromJson = (ms: number | null): number => ms ?? Number.NEGATIVE_INFINITY;

export interface NodeLimits {
  readonly maxNodes: number;
  readonly maxAliases: number;
}

export class Nodes {
  readonly #fields: readonly string[];
  readonly #limits: NodeLimits;
  /** The least recently heard first. */
  readonly #nodes = new Map<string, Node>();
  #aliases = 0;
  #owners = 0;

  /** `fields`: whatever names the declared fields. */
  constructor(fields: readonly string[], limits: NodeLimits) {
    this.#fields = fields;
    this.#limits = limits;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** How many fields are declared. */
  get fields(): number {
    return this.#fields.length;
  }

  /** Aliases held of all nodes. */
  get aliases(): number {
    return this.#aliases;
  }

  /** The node of this name, made where it is new. */
  touch(group: string, name: string): Node {
    const key = keyOf(group, name);
    const known = this.#nodes.get(key);
    if (known) {
      this.#nodes.delete(key);
      this.#nodes.set(key, known);
      return known;
    }
    const node: Node = {
      ...{ group, name, next: -1, last: Number.NEGATIVE_INFINITY, bdSeq: -1 },
      ...{ owners: new Map(), askedAt: Number.NEGATIVE_INFINITY, asked: 0, awaited: false, restored: false },
    };
    this.#nodes.set(key, node);
    this.#makeRoom(node);
    return node;
  }

  owner(node: Node, device: string): Owner {
    const known = node.owners.get(device);
    if (known) return known;
    const owner = newOwner();
    node.owners.set(device, owner);
    this.#owners += 1;
    this.#makeRoom(node);
    return owner;
  }

  /**
   * Gives an owner the names of a birth; those before stand until `until`. Throws DECODE_TOO_LARGE where its aliases alone
   * are more than may be held.
   */
  give(node: Node, owner: Owner, names: Names, until: number): void {
    const { maxAliases } = this.#limits;
    const { size } = names.aliases;
    if (size > maxAliases)
      throw new SluiceError('DECODE_TOO_LARGE', `a birth of ${size} aliases; the limit is ${maxAliases}`);
    const before = sizeOf(owner);
    const keeps = owner.names !== null && size + owner.names.aliases.size <= maxAliases;
    owner.former = keeps ? { ...owner.names!, since: owner.since, until } : null;
    owner.names = names;
    this.#aliases += sizeOf(owner) - before;
    this.#makeRoom(node);
  }

  values(): IterableIterator<Node> {
    return this.#nodes.values();
  }

  /** Those least recently heard go; of the node that needs the room, in the end, the devices that were known first. */
  #makeRoom(keep: Node): void {
    for (const [key, node] of this.#nodes) {
      if (this.#fits()) return;
      if (node === keep) continue;
      for (const device of [...node.owners.keys()]) this.#drop(node, device);
      this.#nodes.delete(key);
    }
    const newest = [...keep.owners.keys()].at(-1);
    for (const device of [...keep.owners.keys()]) {
      if (this.#fits()) return;
      if (device !== newest) this.#drop(keep, device);
    }
  }

  /** A device counts as a node: it costs as much. */
  #fits(): boolean {
    const { maxNodes, maxAliases } = this.#limits;
    return this.#nodes.size <= maxNodes && this.#owners <= 4 * maxNodes && this.#aliases <= maxAliases;
  }

  #drop(node: Node, device: string): void {
    const owner = node.owners.get(device);
    if (owner) this.#aliases -= sizeOf(owner);
    this.#owners -= 1;
    node.owners.delete(device);
  }

  save(): Uint8Array {
    const nodes = [...this.#nodes.values()].map(({ group, name, next, last, bdSeq, owners }) => ({
      ...{ group, name, next, last: toJson(last), bdSeq },
      owners: [...owners]
        .filter(([, { names }]) => names !== null)
        .map(([device, owner]) => saveOwner(device, owner)),
    }));
    const file: z.infer<typeof saved> = { version: 1, fields: [...this.#fields], nodes };
    return Buffer.from(JSON.stringify(file));
  }

  /** Throws DECODER_STATE. Of other declared fields nothing is taken over: what the old aliases left out is not known. */
  restore(bytes: Uint8Array): void {
    let file: z.infer<typeof saved>;
    try {
      file = saved.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    } catch (error) {
      throw new SluiceError('DECODER_STATE', 'what was saved of Sparkplug nodes is damaged', {
        cause: error,
      });
    }
    if (JSON.stringify(file.fields) !== JSON.stringify(this.#fields)) return;
    for (const one of file.nodes) {
      const node = this.touch(one.group, one.name);
      node.next = one.next;
      node.restored = true;
      node.last = fromJson(one.last);
      node.bdSeq = one.bdSeq;
      for (const each of one.owners) {
        const owner = this.owner(node, each.device);
        const { names, former } = each;
        if (former) this.give(node, owner, this.#namesFrom(former), 0);
        owner.since = fromJson(former?.since ?? null);
        this.give(node, owner, this.#namesFrom(names), fromJson(former?.until ?? null));
        owner.born = each.born;
        owner.bornAt = fromJson(each.bornAt);
        owner.since = fromJson(names.since);
        owner.until = fromJson(names.until);
        owner.waitingFrom = Number.POSITIVE_INFINITY;
      }
    }
  }

  #namesFrom({ types, declared, others }: z.infer<typeof savedNames>): Names {
    const aliases = new Map<Alias, Meaning>(others.map((alias) => [alias, OTHER]));
    for (const [alias, field, type] of declared)
      if (field < this.#fields.length) aliases.set(alias, { field, type });
    return { aliases, types: this.#fields.map((_, i) => types[i] ?? 0) };
  }
}

/** The names that surely were those of a message of this time; null where none are. */
export function namesAt(owner: Owner, at: number, isLate: boolean): Names | null {
  const { names, former, born, since, until } = owner;
  if (names === null || !isLate) return born ? names : null;
  if (at >= since) return born || at <= until ? names : null;
  return former !== null && at >= former.since && at <= former.until ? former : null;
}

const sizeOf = ({ names, former }: Owner): number => (names?.aliases.size ?? 0) + (former?.aliases.size ?? 0);

/** A metric that no field declares: its alias is known, and that is all. */
export const OTHER: Meaning = { field: -1, type: 0 };

function saveOwner(device: string, owner: Owner): z.infer<typeof saved>['nodes'][number]['owners'][number] {
  const { names, former, born, bornAt, since, until } = owner;
  return {
    ...{ device, born, bornAt: toJson(bornAt) },
    names: saveNames({ ...names!, since, until }),
    former: former && saveNames(former),
  };
}

function saveNames({ aliases, types, since, until }: Former): z.infer<typeof savedNames> {
  const declared: [Alias, number, number][] = [];
  const others: Alias[] = [];
  for (const [alias, { field, type }] of aliases) {
    if (field >= 0) declared.push([alias, field, type]);
    else others.push(alias);
  }
  return { types: [...types], declared, others, since: toJson(since), until: toJson(until) };
}
