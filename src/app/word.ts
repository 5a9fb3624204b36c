/**
 * How the hub speaks on the broker: the pieces of a bundle first, then the signed word that names it, so that who reads
 * the word finds the bytes. What no word has named for a while is taken off the broker again.
 */
import type { Board, Desired } from '../contract.ts';
import type { HubRegistry } from '../fleet/hub/seams.ts';
import { chunkCount, chunksOf, encodeDesired } from '../model/desired.ts';
import type { PrivateKey } from '../model/signing.ts';

/** Bundles that stay on the broker beside those that the word names: for who is slow. */
const KEPT = 2;

export class Word {
  readonly #board: Board;
  readonly #registry: Pick<HubRegistry, 'get'>;
  readonly #key: PrivateKey;
  /** By digest the number of pieces on the broker, oldest first; those of an earlier process may be there. */
  readonly #laid: Map<string, number>;
  /** Laid by this process: a broker may have lost the others. */
  readonly #sure = new Set<string>();
  /** Of the newest word that was to be said. */
  #serial = 0;
  #turn: Promise<void> = Promise.resolve();

  /** One task's. */
  constructor(task: string, board: Board, registry: Pick<HubRegistry, 'get' | 'list'>, key: PrivateKey) {
    this.#board = board;
    this.#registry = registry;
    this.#key = key;
    const known = [...registry.list(task)].reverse();
    this.#laid = new Map(known.map(({ digest, size }) => [digest, chunkCount(size)]));
  }

  /** Resolves when the broker has all of it. Again is no error; one that a later word has replaced is passed over. */
  say(desired: Desired): Promise<void> {
    return this.#inTurn(() => this.#say(desired));
  }

  /** Says it once more, with all pieces: a broker that keeps nothing over a restart has lost them. */
  repeat(desired: Desired): Promise<void> {
    return this.#inTurn(() => {
      this.#sure.clear();
      return this.#say(desired);
    });
  }

  /** One at a time, or an older word could come to lie over a newer one. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #say(desired: Desired): Promise<void> {
    const { group, task, serial, digest, candidate, compare } = desired;
    if (serial < this.#serial) return;
    this.#serial = serial;
    const place = `${group}/models/${task}`;
    const named = [digest, candidate?.digest, compare?.digest].filter((each) => typeof each === 'string');
    for (const each of named) await this.#lay(place, each);
    await this.#board.put(`${place}/desired`, encodeDesired(desired, this.#key));
    const old = [...this.#laid.keys()].filter((each) => !named.includes(each));
    for (const each of old.slice(0, Math.max(0, old.length - KEPT))) await this.#remove(place, each);
  }

  async #lay(place: string, digest: string): Promise<void> {
    if (this.#sure.has(digest)) return;
    const pieces = chunksOf(await this.#registry.get(digest));
    for (const [n, piece] of pieces.entries()) await this.#board.put(`${place}/blob/${digest}/${n}`, piece);
    this.#laid.delete(digest); // to its end: it is the newest
    this.#laid.set(digest, pieces.length);
    this.#sure.add(digest);
  }

  async #remove(place: string, digest: string): Promise<void> {
    const pieces = this.#laid.get(digest) ?? 0;
    for (let n = 0; n < pieces; n++) await this.#board.put(`${place}/blob/${digest}/${n}`, null);
    this.#laid.delete(digest);
    this.#sure.delete(digest);
  }
}
