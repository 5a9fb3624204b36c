/**
 * The PUBACKs that a connection owes. MQTT wants them in the order in which the messages came
 * (MQTT 5, 4.6), while work ends in any order: so each message takes a place in a ring, and the settled
 * prefix is acknowledged, all that became due in one tick with one write.
 *
 *   PUBACK, 3.1.1 and 5 with reason 0 left out:  0x40 | 0x02 | packet id, high byte | low byte
 *
 * They are written to the stream of the client directly: four bytes do not need a serializer, and
 * mqtt.js's own way costs an event and a tick each. After `forget` nothing is sent any more; the
 * broker delivers what it got no PUBACK for again.
 */
const OPEN = 0;
const DONE = 1;
/** Someone tries it again; it does not hold up the others, and its PUBACK follows late. */
const SKIPPED = 2;

/** The part of a stream that is used: mqtt.js's `client.stream` has it. */
export interface ByteStream {
  readonly destroyed?: boolean;
  write(bytes: Uint8Array): boolean;
}

export class HeldAcks {
  readonly #stream: ByteStream;
  #ids: Uint16Array;
  #states: Uint8Array;
  #head = 0;
  #tail = 0;
  #due: Buffer;
  #dueBytes = 0;
  #scheduled = false;
  #alive = true;

  /** `capacity` messages are expected at most; more make the ring grow. */
  constructor(stream: ByteStream, capacity: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(16, capacity + 1)));
    this.#stream = stream;
    this.#ids = new Uint16Array(size);
    this.#states = new Uint8Array(size);
    this.#due = Buffer.allocUnsafe(4 * 256);
  }

  /** False once the connection is over: what is unsettled will be delivered again. */
  get alive(): boolean {
    return this.#alive;
  }

  /** Messages between the first unacknowledged one and the newest. */
  get size(): number {
    return this.#tail - this.#head;
  }

  /** Takes the next place for a message; returns its number. */
  hold(packetId: number): number {
    if (this.size === this.#ids.length) this.#grow();
    const place = this.#tail & (this.#ids.length - 1);
    this.#ids[place] = packetId;
    this.#states[place] = OPEN;
    return this.#tail++;
  }

  /** The work on a message is finished: acknowledge it as soon as all before it are. */
  done(seq: number): void {
    if (this.#alive) this.#mark(seq, DONE);
  }

  /** The message will be tried again: those after it need not wait. Settle it with `late`. */
  skip(seq: number): void {
    if (this.#alive) this.#mark(seq, SKIPPED);
  }

  /** Acknowledges a message that was skipped, out of order. */
  late(packetId: number): void {
    if (this.#alive) this.#push(packetId);
  }

  /** Writes what is due now rather than at the end of the tick. */
  flush(): void {
    this.#scheduled = false;
    if (!this.#alive || this.#dueBytes === 0 || this.#stream.destroyed) return;
    this.#stream.write(Buffer.from(this.#due.subarray(0, this.#dueBytes)));
    this.#dueBytes = 0;
  }

  /** The connection is over. */
  forget(): void {
    this.#alive = false;
    this.#head = this.#tail;
  }

  #mark(seq: number, state: number): void {
    const mask = this.#ids.length - 1;
    this.#states[seq & mask] = state;
    if (seq !== this.#head) return;
    while (this.#head < this.#tail && this.#states[this.#head & mask] !== OPEN) {
      const place = this.#head++ & mask;
      if (this.#states[place] === DONE) this.#push(this.#ids[place]);
    }
  }

  #push(packetId: number): void {
    if (this.#dueBytes === this.#due.length) {
      const larger = Buffer.allocUnsafe(2 * this.#due.length);
      this.#due.copy(larger);
      this.#due = larger;
    }
    this.#due.writeUInt16BE(0x4002, this.#dueBytes);
    this.#due.writeUInt16BE(packetId, this.#dueBytes + 2);
    this.#dueBytes += 4;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.flush());
  }

  #grow(): void {
    const [oldIds, oldStates, oldMask] = [this.#ids, this.#states, this.#ids.length - 1];
    this.#ids = new Uint16Array(2 * oldIds.length);
    this.#states = new Uint8Array(2 * oldIds.length);
    const mask = this.#ids.length - 1;
    for (let seq = this.#head; seq < this.#tail; seq++) {
      this.#ids[seq & mask] = oldIds[seq & oldMask];
      this.#states[seq & mask] = oldStates[seq & oldMask];
    }
  }
}
