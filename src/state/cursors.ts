/** How far something has come, by name: a number each, in the store's own `meta` table, so that a store of any age has them. */
import type { Cursors as CursorsPart } from '../contract.ts';
import { SluiceError } from '../errors.ts';
import { ByteReader, ByteWriter } from './codec.ts';
import { demandGateway, type Ground, metaOp, readMeta, tellDamage } from './room.ts';

export class Cursors implements CursorsPart {
  readonly #ground: Ground;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** What is on disk. A damaged one is told, and begins at 0: its owner repeats, which is safe. */
  get(name: string): number {
    const value = readMeta(this.#ground, `cursor ${name}`);
    if (!value) return 0;
    try {
      return new ByteReader(Buffer.from(value)).f64();
    } catch (error) {
      tellDamage(this.#ground, error, 'cursor');
      return 0;
    }
  }

  async set(name: string, position: number): Promise<void> {
    demandGateway(this.#ground);
    if (!Number.isSafeInteger(position) || position < 0)
      throw new SluiceError('INTERNAL', `${position} is no position`);
    const value = new ByteWriter().f64(position).seal();
    await this.#ground.lmdb.write([metaOp(this.#ground, `cursor ${name}`, value)]);
  }
}
