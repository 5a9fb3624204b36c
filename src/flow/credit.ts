/**
 * Bounds what a gateway holds unsettled: at most `maxEvents` messages and `maxBytes` payload bytes. A single
 * message larger than the byte limit passes alone. Waiters are served in order.
 */
export class Credit {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  #events = 0;
  #bytes = 0;
  readonly #waiters: { bytes: number; wake: () => void }[] = [];

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
  }

  get events(): number {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes credit for one message if there is enough and nobody waits before; the common path costs no promise. */
  tryTake(bytes: number): boolean {
    if (this.#waiters.length > 0 || !this.#fits(bytes)) return false;
    this.#take(bytes);
    return true;
  }

  /** Takes credit for one message, waiting for it. Resolves without credit (false) when `signal` aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (this.tryTake(bytes)) return true;
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const waiter = { bytes, wake: () => finish(true) };
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        finish(false);
      };
      const finish = (granted: boolean) => {
        signal.removeEventListener('abort', onAbort);
        resolve(granted);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  give(bytes: number): void {
    this.#events -= 1;
    this.#bytes -= bytes;
    while (this.#waiters.length > 0 && this.#fits(this.#waiters[0].bytes)) {
      const waiter = this.#waiters.shift()!;
      this.#take(waiter.bytes);
      waiter.wake();
    }
  }

  #fits(bytes: number): boolean {
    if (this.#events === 0) return true;
    return this.#events < this.#maxEvents && this.#bytes + bytes <= this.#maxBytes;
  }

  #take(bytes: number): void {
    this.#events += 1;
    this.#bytes += bytes;
  }
}
