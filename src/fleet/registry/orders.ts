/**
 * What operators ask of a hub, one file an order, so that a command may ask beside a running hub and before it
 * is started: `orders/<ms, 15 digits>-<id>.json`, taken in the order of their names, removed when done. A file
 * that is no order is set aside in `orders/refused/` (the newest hundred are kept), where it holds up nobody.
 */
import { randomBytes } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Order } from '../../contract.ts';
import { parseJson } from '../../model/canonical.ts';
import { flushFolder, guarded, makeFolder, readWhole, writeWhole } from './files.ts';

const MAX_ORDER = 64 * 1024;
/** Taken in one go; the rest waits. */
const MAX_AT_ONCE = 1_000;
const MAX_REFUSED = 100;
const FILE = /^\d{15}-[0-9a-f]{12}\.json$/;

const orderSchema = z.strictObject({
  id: z.string().regex(/^\d{15}-[0-9a-f]{12}$/),
  task: z.string().min(1).max(64),
  what: z.enum(['promote', 'reject', 'rollback', 'pause', 'resume', 'stop']),
  digest: z.union([z.literal(''), z.string().regex(/^[0-9a-f]{64}$/)]),
  by: z.string().max(256),
  at: z.number().int().min(0).max(8.64e15),
});

export class Orders {
  readonly #folder: string;
  readonly #refused: string;

  constructor(registry: string) {
    this.#folder = join(registry, 'orders');
    this.#refused = join(this.#folder, 'refused');
  }

  /** Durable when it resolves to the order, which has an id then. */
  async add(order: Omit<Order, 'id'>): Promise<Order> {
    const id = `${String(Math.max(0, Math.trunc(order.at))).padStart(15, '0')}-${randomBytes(6).toString('hex')}`;
    const whole = orderSchema.parse({ ...order, id });
    await makeFolder(this.#folder);
    await writeWhole(join(this.#folder, `${id}.json`), `${JSON.stringify(whole)}\n`);
    return whole;
  }

  /** Oldest first. `setAside`: what is no order is moved out of the way (the hub does so; a reader passes it over). */
  list(setAside: boolean): Promise<Order[]> {
    return guarded(this.#folder, async () => {
      const orders: Order[] = [];
      for (const name of (await this.#names()).slice(0, MAX_AT_ONCE)) {
        const order = FILE.test(name) ? await this.#read(name) : null;
        if (order) orders.push(order);
        else if (setAside) await this.#setAside(name);
      }
      return orders;
    });
  }

  /** Removes an order that was followed or refused; again is no error. */
  done(id: string): Promise<void> {
    return guarded(this.#folder, async () => {
      if (!FILE.test(`${id}.json`)) return;
      await rm(join(this.#folder, `${id}.json`), { force: true });
      await flushFolder(this.#folder);
    });
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names.filter((name) => name.endsWith('.json')).sort();
  }

  async #read(name: string): Promise<Order | null> {
    try {
      const bytes = await readWhole(join(this.#folder, name), MAX_ORDER);
      const parsed = orderSchema.safeParse(bytes && parseJson(bytes));
      return parsed.success && `${parsed.data.id}.json` === name ? parsed.data : null;
    } catch {
      return null;
    }
  }

  async #setAside(name: string): Promise<void> {
    await makeFolder(this.#refused);
    // It may have been done by now; then there is nothing to move.
    await rename(join(this.#folder, name), join(this.#refused, name)).catch(() => undefined);
    const kept = (await readdir(this.#refused)).sort();
    for (const old of kept.slice(0, -MAX_REFUSED))
      await rm(join(this.#refused, old), { force: true, recursive: true });
  }
}
