/**
 * Looks through an LMDB file before LMDB maps it. LMDB trusts its pages: a wild page number or a shortened
 * file ends the process with SIGSEGV or SIGBUS. So every page that can be reached (branch, leaf, head of an
 * overflow run) is read here through the file descriptor and proved to point only inside itself and the file.
 * Values are not read: their checksums are judged where they are used. What is refused is named in words.
 *
 * Layout (LMDB data version 2, little-endian): page head 24 bytes `pgno u64, txnid u64, pad u16, flags u16,
 * lower u16, upper u16 | pages u32`, then node offsets u16 counted from the end of the head; node `lo u16,
 * hi u16, flags u16, ksize u16, key, data`. Meta: `magic u32, version u32, address u64, mapsize u64,
 * free db, main db (48 bytes each), last page u64, txnid u64`. (LMDB, mdb.c, OpenLDAP public licence.)
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const HEAD = 24;
const NODE = 8;
const DB = 48;
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const [BRANCH, LEAF, OVERFLOW, META] = [1, 2, 4, 8];
const [BIG, SUB] = [1, 2];
const NONE = 0xffff_ffff_ffff_ffffn;

export type CheckResult =
  | { readonly ok: true; readonly pages: number; readonly txnid: number }
  | { readonly ok: false; readonly reason: string };

class Damage extends Error {}

interface Tree {
  readonly root: number;
  readonly depth: number;
}

interface Meta {
  readonly pageSize: number;
  readonly txnid: bigint;
  readonly last: number;
  readonly free: Tree | null;
  readonly main: Tree | null;
}

function number(value: bigint, what: string): number {
  if (value > 0xffff_ffff_ffffn) throw new Damage(`${what} is out of range`);
  return Number(value);
}

function readTree(bytes: Buffer, at: number): Tree | null {
  const root = bytes.readBigUInt64LE(at + 40);
  if (root === NONE) return null;
  return { root: number(root, 'a root page'), depth: bytes.readUInt16LE(at + 6) };
}

function readMeta(bytes: Buffer, page: number): Meta {
  if ((bytes.readUInt16LE(18) & META) === 0 || bytes.readUInt32LE(HEAD) !== MAGIC)
    throw new Damage(`page ${page} is not the head of a store`);
  if ((bytes.readUInt32LE(HEAD + 4) & 0xffff) !== VERSION)
    throw new Damage(`page ${page} has an unknown data version`);
  const free = HEAD + 24;
  const pageSize = bytes.readUInt32LE(free);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0)
    throw new Damage(`page ${page} names the page size ${pageSize}`);
  return {
    pageSize,
    txnid: bytes.readBigUInt64LE(free + 2 * DB + 8),
    last: number(bytes.readBigUInt64LE(free + 2 * DB), 'the last page'),
    free: readTree(bytes, free),
    main: readTree(bytes, free + DB),
  };
}

type Kind = 'free' | 'main' | 'sub';

/** Tree pages are read in spans that grow while they follow each other, and are one page long while they do not. */
const MAX_SPAN = 256 * 1024;

class Walk {
  readonly #fd: number;
  readonly #size: number;
  readonly #span = Buffer.from(new ArrayBuffer(MAX_SPAN));
  readonly #words = new Uint16Array(this.#span.buffer);
  #spanAt = 0;
  #spanLength = 0;
  #want = 4096;
  #pageSize = 4096;
  #last = 0;
  #seen = new Uint8Array(0);
  /** Long values, [first page, bytes] one after the other; looked at last, in order of place. */
  readonly #long: (readonly [pgno: number, bytes: number, kind: Kind])[] = [];

  constructor(fd: number) {
    this.#fd = fd;
    this.#size = fstatSync(fd).size;
  }

  run(): { pages: number; txnid: number } {
    const first = readMeta(readExactly(this.#fd, 0, 512), 0);
    this.#pageSize = first.pageSize;
    const second = readMeta(readExactly(this.#fd, first.pageSize, 512), 1);
    if (second.pageSize !== first.pageSize) throw new Damage('the two heads disagree on the page size');
    const meta = second.txnid > first.txnid ? second : first;
    this.#last = meta.last;
    if (this.#last < 1) throw new Damage('the last page is before the first');
    // Pages freed at the very end need not be in the file, so that it may be shorter than `last` says.
    this.#seen = new Uint8Array((Math.min(this.#last, Math.ceil(this.#size / this.#pageSize)) >> 3) + 1);
    if (meta.free) this.#tree(meta.free, 'free');
    if (meta.main) this.#tree(meta.main, 'main');
    for (const long of this.#long.sort(([a], [b]) => a - b)) this.#overflow(...long);
    return { pages: this.#last + 1, txnid: Number(meta.txnid) };
  }

  #visit(pgno: number): void {
    if (pgno < 2 || pgno > this.#last) throw new Damage(`page ${pgno} is outside the store`);
    if ((pgno + 1) * this.#pageSize > this.#size)
      throw new Damage(`page ${pgno} is behind the end of the file`);
    if (this.#seen[pgno >> 3] & (1 << (pgno & 7))) throw new Damage(`page ${pgno} is used twice`);
    this.#seen[pgno >> 3] |= 1 << (pgno & 7);
  }

  /** Where in the span a tree page lies; valid until the next call. */
  #load(pgno: number): number {
    const offset = pgno * this.#pageSize;
    if (offset >= this.#spanAt && offset + this.#pageSize <= this.#spanAt + this.#spanLength)
      return offset - this.#spanAt;
    const follows = offset === this.#spanAt + this.#spanLength;
    this.#want = follows ? Math.min(MAX_SPAN, this.#want * 2) : this.#pageSize;
    this.#spanLength = readSync(this.#fd, this.#span, 0, Math.max(this.#want, this.#pageSize), offset);
    this.#spanAt = offset;
    if (this.#spanLength < this.#pageSize) throw new Damage('the file ended while it was read');
    return 0;
  }

  #tree(tree: Tree, kind: Kind): void {
    if (tree.depth < 1 || tree.depth > 32) throw new Damage(`a tree is ${tree.depth} levels deep`);
    this.#page(tree.root, tree.depth, kind);
  }

  #page(pgno: number, levels: number, kind: Kind): void {
    this.#visit(pgno);
    const start = this.#load(pgno);
    const words = this.#words;
    const head = start >> 1;
    const type = words[head + 9] & 0x6f;
    const itself = words[head] + words[head + 1] * 0x10000 + words[head + 2] * 0x1_0000_0000;
    if (itself !== pgno || words[head + 3] !== 0) throw new Damage(`page ${pgno} carries another number`);
    if (type !== (levels > 1 ? BRANCH : LEAF)) throw new Damage(`page ${pgno} is of type ${type}`);
    const [lower, upper] = [words[head + 10], words[head + 11]];
    const room = this.#pageSize - HEAD;
    if (lower > upper || upper > room || lower % 2 === 1)
      throw new Damage(`page ${pgno} has impossible bounds`);
    const count = lower >> 1;
    if (count === 0 || (type === BRANCH && count < 2)) throw new Damage(`page ${pgno} is empty`);
    // Trees below are walked after this page is done with: they are read into the same span.
    const below: Tree[] = [];
    for (let i = 0; i < count; i++) {
      const at = words[head + 12 + i];
      if (at < upper || at + NODE > room || at % 2 === 1)
        throw new Damage(`page ${pgno} has a node outside itself`);
      if (levels > 1) below.push(this.#branch(start, HEAD + at, pgno, levels));
      else this.#leaf(start, HEAD + at, pgno, kind, below);
    }
    if (levels > 1) for (const { root, depth } of below) this.#page(root, depth, kind);
    else for (const tree of below) this.#tree(tree, 'sub');
  }

  #branch(start: number, at: number, pgno: number, levels: number): Tree {
    const word = (start + at) >> 1;
    const words = this.#words;
    if (at + NODE + words[word + 3] > this.#pageSize)
      throw new Damage(`page ${pgno} has a key outside itself`);
    const root = words[word] + words[word + 1] * 0x10000 + words[word + 2] * 0x1_0000_0000;
    return { root, depth: levels - 1 };
  }

  #leaf(start: number, at: number, pgno: number, kind: Kind, below: Tree[]): void {
    const word = (start + at) >> 1;
    const words = this.#words;
    const size = words[word] + words[word + 1] * 0x10000;
    const flags = words[word + 2];
    const keySize = words[word + 3];
    const data = at + NODE + keySize;
    const inside = (flags & BIG) !== 0 ? 8 : size;
    if (data + inside > this.#pageSize) throw new Damage(`page ${pgno} has a value outside itself`);
    if ((flags & ~(BIG | SUB)) !== 0) throw new Damage(`page ${pgno} has a node of unknown kind`);
    if (keySize === 0 || (kind === 'free' && keySize !== 8))
      throw new Damage(`page ${pgno} has an impossible key`);
    const from = start + data;
    if ((flags & SUB) !== 0) {
      if (kind !== 'main' || size !== DB || flags !== SUB)
        throw new Damage(`page ${pgno} has a table where none can be`);
      const tree = readTree(this.#span, from);
      if (tree) below.push(tree);
    } else if ((flags & BIG) !== 0)
      this.#long.push([number(this.#span.readBigUInt64LE(from), 'a page number'), size, kind]);
    else if (kind === 'free') this.#freeList(this.#span.subarray(from, from + size));
  }

  #overflow(pgno: number, size: number, kind: Kind): void {
    this.#visit(pgno);
    const head = readExactly(this.#fd, pgno * this.#pageSize, HEAD);
    const pages = head.readUInt32LE(20);
    if (head.readBigUInt64LE(0) !== BigInt(pgno) || (head.readUInt16LE(18) & 0x0f) !== OVERFLOW)
      throw new Damage(`page ${pgno} is not the start of a long value`);
    if (pages === 0 || pages * this.#pageSize < size + HEAD)
      throw new Damage(`the long value of page ${pgno} is cut`);
    for (let next = pgno + 1; next < pgno + pages; next++) this.#visit(next);
    if (kind === 'free') this.#freeList(readExactly(this.#fd, pgno * this.#pageSize + HEAD, size));
  }

  /** lmdb-js writes runs as a negative length before the page number: either must be within the store. */
  #freeList(list: Buffer): void {
    if (list.length < 8 || list.length % 8 !== 0) throw new Damage('the free list is malformed');
    if (list.readBigUInt64LE(0) > BigInt(list.length / 8 - 1)) throw new Damage('the free list is cut');
    const entries = Number(list.readBigUInt64LE(0));
    for (let i = 1; i <= entries; i++) {
      const entry = list.readBigInt64LE(8 * i);
      if (entry > BigInt(this.#last) || -entry > BigInt(this.#last))
        throw new Damage('the free list names a page outside the store');
    }
  }
}

function readExactly(fd: number, offset: number, bytes: number): Buffer {
  const out = Buffer.allocUnsafe(bytes);
  if (readSync(fd, out, 0, bytes, offset) < bytes) throw new Damage('the file is shorter than its pages say');
  return out;
}

/** Never throws for what is in the file; errors of the file system pass through. */
export function checkFile(path: string): CheckResult {
  const fd = openSync(path, 'r');
  try {
    return { ok: true, ...new Walk(fd).run() };
  } catch (error) {
    if (error instanceof Damage || error instanceof RangeError) return { ok: false, reason: error.message };
    throw error;
  } finally {
    closeSync(fd);
  }
}
