/**
 * Texts as numbers, and the pieces that are cut from them. Promises: what was made for one text is used again for the next, so
 * nothing is allocated a piece; a text is copied once, by native code where it is long, for a loop over numbers is several
 * times as fast as one that asks a string for each letter. Refuses nothing; what is kept never exceeds the longest that was asked for.
 */

/** Shorter texts are copied here: a call into native code costs more. */
const SHORT = 48;

/** The UTF-16 units of one text at a time. */
export class Units {
  #bytes = Buffer.alloc(8_192);
  units = new Uint16Array(this.#bytes.buffer, this.#bytes.byteOffset, 4_096);
  length = 0;

  /** Takes the first `limit` units of a text. */
  load(text: string, limit = text.length): void {
    const length = Math.min(text.length, limit);
    if (length > this.units.length) this.#grow(length);
    this.length = length;
    const { units } = this;
    if (length > SHORT) this.#bytes.write(text, 0, length * 2, 'utf16le');
    else for (let i = 0; i < length; i += 1) units[i] = text.charCodeAt(i);
  }

  /** The text from one unit to another. */
  slice(from: number, to: number): string {
    return this.#bytes.toString('utf16le', from * 2, to * 2);
  }

  #grow(length: number): void {
    this.#bytes = Buffer.alloc(length * 4);
    this.units = new Uint16Array(this.#bytes.buffer, this.#bytes.byteOffset, length * 2);
  }
}

/** Hashes of the pieces of one text, in order; where it is asked for, where each stands. */
export class Pieces {
  hashes = new Int32Array(2_048);
  count = 0;
  /** Begin and end of each piece; null where nobody asks. */
  places: Int32Array | null = null;
  #places = new Int32Array(0);

  /** Room for `most` pieces, and none in it. */
  reset(most: number, placed: boolean): void {
    this.count = 0;
    if (most > this.hashes.length) this.hashes = new Int32Array(most * 2);
    if (placed && this.#places.length < most * 2) this.#places = new Int32Array(most * 4);
    this.places = placed ? this.#places : null;
  }

  push(hash: number): void {
    if (this.count === this.hashes.length) {
      const longer = new Int32Array(this.count * 2);
      longer.set(this.hashes);
      this.hashes = longer;
    }
    this.hashes[this.count++] = hash;
  }
}
