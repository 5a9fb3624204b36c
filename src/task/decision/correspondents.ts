/**
 * Whom this site knows: addresses to which its users, logged in, have written, and senders of whose mails three were
 * confirmed ham. Only authenticated senders count, and one confirmed spam takes a sender out again. Addresses and
 * events are kept as keyed hashes only. Bounded whatever comes: the longest unused go first, so that strangers, who
 * come into the list by nothing that they can do alone, cannot push those out who are used.
 */
import { sha256 } from '../../decode/identity.ts';

/** Mails confirmed ham after which a sender is known. */
const ENOUGH = 3;
const MOST_KNOWN = 65_536;
/** Events of authenticated senders whose label may still come. */
const MOST_WAITING = 65_536;
/** So many more may come before the oldest go, together: a map finds its first entry slowly behind removed ones. */
const SPARE = 4_096;

export interface CorrespondentsState {
  /** Tells the key that was hashed with; another one makes all of it useless. */
  readonly mark: string;
  readonly known: readonly (readonly [address: number, confirmed: number])[];
  readonly waiting: readonly (readonly [event: number, sender: number])[];
}

export class Correspondents {
  readonly #secret: string;
  /** Confirmed mails by address, at most ENOUGH; in the order of use. */
  readonly #known = new Map<number, number>();
  /** Senders by event, in the order of coming; negative where the event was counted as ham. */
  readonly #waiting = new Map<number, number>();

  constructor(secret: string) {
    this.#secret = secret;
  }

  get size(): number {
    return this.#known.size;
  }

  /** `address` as readSender gives it; it must be authenticated. */
  knows(address: string): boolean {
    const name = this.#hash('address', address);
    const confirmed = this.#known.get(name) ?? 0;
    if (confirmed < ENOUGH) return false;
    this.#use(name, confirmed);
    return true;
  }

  /** A user of this site wrote to them. */
  wroteTo(recipients: readonly string[]): void {
    for (const address of recipients) if (address !== '') this.#use(this.#hash('address', address), ENOUGH);
  }

  /** An event of an authenticated sender, whose label may come. */
  met(event: string, address: string): void {
    const name = this.#hash('event', event);
    if (this.#waiting.has(name)) return; // delivered twice
    this.#waiting.set(name, this.#hash('address', address));
    trim(this.#waiting, MOST_WAITING);
  }

  /** The label of an event as it holds now; null: withdrawn, and the event forgotten. */
  labelled(event: string, label: 'ham' | 'spam' | null): void {
    if (this.#waiting.size === 0) return;
    const name = this.#hash('event', event);
    const found = this.#waiting.get(name);
    if (found === undefined) return;
    const sender = Math.abs(found);
    const counted = found < 0;
    if (label === 'spam') this.#known.delete(sender);
    else if (counted !== (label === 'ham')) this.#confirm(sender, counted ? -1 : 1);
    if (label === null) this.#waiting.delete(name);
    else this.#waiting.set(name, label === 'ham' ? -sender : sender);
  }

  save(): CorrespondentsState {
    return { mark: this.#mark(), known: [...this.#known], waiting: [...this.#waiting] };
  }

  /** Into one that is empty. What was hashed with another key is left out. */
  restore({ mark, known, waiting }: CorrespondentsState): void {
    if (mark !== this.#mark()) return;
    for (const [name, confirmed] of known.slice(-MOST_KNOWN)) this.#known.set(name, confirmed);
    for (const [name, sender] of waiting.slice(-MOST_WAITING)) this.#waiting.set(name, sender);
  }

  #confirm(sender: number, step: 1 | -1): void {
    const confirmed = Math.min(ENOUGH, (this.#known.get(sender) ?? 0) + step);
    if (confirmed <= 0) this.#known.delete(sender);
    else this.#use(sender, confirmed);
  }

  /** Delete first, so that the map's order is the order of use and the oldest goes out. */
  #use(name: number, confirmed: number): void {
    this.#known.delete(name);
    this.#known.set(name, confirmed);
    trim(this.#known, MOST_KNOWN);
  }

  /** 48 bits, from 1: among 65,536 names a stranger's is one of them with a probability of 2^-32. */
  #hash(space: string, text: string): number {
    return Number.parseInt(this.#digest(space, text).slice(0, 12), 16) + 1;
  }

  #mark(): string {
    return this.#digest('mark', '').slice(0, 8);
  }

  #digest(space: string, text: string): string {
    return sha256(Buffer.from(`${this.#secret}\0${space}\0${text}`));
  }
}

/** Takes the oldest out. */
function trim(map: Map<number, number>, most: number): void {
  if (map.size <= most + SPARE) return;
  for (const name of map.keys()) {
    if (map.size <= most) return;
    map.delete(name);
  }
}
