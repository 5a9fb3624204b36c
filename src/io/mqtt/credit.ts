/**
 * How much of a stream may be held unsettled, in messages and payload bytes. At most both limits;
 * one message larger than the byte limit passes when nothing else is held.
 */
export class Credit {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  #count = 0;
  #bytes = 0;

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether one more message of this size may be taken. */
  fits(bytes: number): boolean {
    if (this.#count === 0) return true;
    return this.#count < this.#maxCount && this.#bytes + bytes <= this.#maxBytes;
  }

  take(bytes: number): void {
    this.#count += 1;
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    this.#count -= 1;
    this.#bytes -= bytes;
  }
}
