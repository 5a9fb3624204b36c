/**
 * Changed copies of mails: cut, copied, doubled, flipped, joined with another, strewn with words of MIME and HTML. Promises:
 * the same seed gives the same mails; none is longer than the mutator's room; nothing is allocated per mail.
 */
import { TOKENS } from './seeds.ts';

/** Changes of one mail: most get one or two, some many. */
const MAX_CHANGES = 12;

export class Mutator {
  readonly #pool: Uint8Array[];
  readonly #bytes: Buffer;
  readonly #tokens: readonly Uint8Array[];
  #length = 0;
  #state: number;

  /** `pool` may grow between mails. `tokens`: what is strewn in, of MIME and HTML where nothing else is given. */
  constructor(pool: Uint8Array[], seed: number, room: number, tokens: readonly Uint8Array[] = TOKENS) {
    this.#pool = pool;
    this.#tokens = tokens;
    this.#bytes = Buffer.alloc(room);
    this.#state = seed | 0 || 1;
  }

  /** The next mail; its bytes hold until the one after it is asked for. */
  next(): Buffer {
    const from = this.#pool[this.#below(this.#pool.length)];
    this.#length = Math.min(from.length, this.#bytes.length);
    this.#bytes.set(from.subarray(0, this.#length));
    let changes = 1;
    while (changes < MAX_CHANGES && this.#below(3) > 0) changes += 1;
    for (let i = 0; i < changes; i += 1) this.#change();
    return this.#bytes.subarray(0, this.#length);
  }

  /** A whole number in [0, n) (xorshift32, Marsaglia 2003). */
  #below(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return Math.floor(((x >>> 0) / 4_294_967_296) * n);
  }

  #change(): void {
    const at = this.#below(this.#length + 1);
    const kind = this.#below(10);
    if (kind === 0) this.#cut(at, this.#span());
    else if (kind === 1) this.#flip(at);
    else if (kind === 2) this.#double(at, this.#span());
    else if (kind === 3) this.#splice(at);
    else if (kind === 4) this.#length = this.#below(8) === 0 ? at : this.#length;
    else if (kind === 5) this.#repeat(at);
    else if (kind === 6) this.#move(at, this.#span());
    else this.#insert(at, this.#tokens[this.#below(this.#tokens.length)]);
  }

  /** Mostly short. */
  #span(): number {
    return 1 + this.#below(1 << (1 + this.#below(8)));
  }

  #cut(at: number, span: number): void {
    const to = Math.min(this.#length, at + span);
    this.#bytes.copyWithin(at, to, this.#length);
    this.#length -= to - at;
  }

  #flip(at: number): void {
    if (at >= this.#length) return;
    if (this.#below(2) === 0) this.#bytes[at] ^= 1 << this.#below(8);
    else this.#bytes[at] = this.#below(256);
  }

  /** Makes room for `size` bytes at `at`; false where there is none. */
  #open(at: number, size: number): boolean {
    if (this.#length + size > this.#bytes.length) return false;
    this.#bytes.copyWithin(at + size, at, this.#length);
    this.#length += size;
    return true;
  }

  #insert(at: number, piece: Uint8Array): void {
    if (this.#open(at, piece.length)) this.#bytes.set(piece, at);
  }

  #double(at: number, span: number): void {
    const size = Math.min(span, this.#length - at);
    if (size > 0 && this.#open(at, size)) this.#bytes.copyWithin(at, at + size, at + 2 * size);
  }

  /** Something short many times over: what is not linear shows here. */
  #repeat(at: number): void {
    const size = Math.min(1 + this.#below(12), this.#length - at);
    const times = Math.min(
      this.#below(60),
      Math.floor((this.#bytes.length - this.#length) / Math.max(1, size)),
    );
    if (size <= 0 || times <= 0 || !this.#open(at, size * times)) return;
    for (let i = 0; i < times; i += 1)
      this.#bytes.copyWithin(at + i * size, at + times * size, at + (times + 1) * size);
  }

  #move(at: number, span: number): void {
    const size = Math.min(span, this.#length - at);
    const to = this.#below(this.#length + 1);
    if (size > 0 && to + size <= this.#length) this.#bytes.copyWithin(to, at, at + size);
  }

  /** Goes on as another mail does. */
  #splice(at: number): void {
    const other = this.#pool[this.#below(this.#pool.length)];
    const from = this.#below(other.length);
    const size = Math.min(other.length - from, this.#bytes.length - at, this.#below(2) === 0 ? 64 : 4_096);
    this.#bytes.set(other.subarray(from, from + size), at);
    this.#length = Math.max(Math.min(this.#length, at + size), at + size);
  }
}
