/** What every kind of model promises of its bits, whatever its shape and options. */
import { expect, it } from 'vitest';
import type { ModelShape } from '../../src/contract.ts';
import { openEngine } from '../../src/model/engine.ts';
import { bytesOf, randomRows, rowOf, shared } from './fixtures.ts';

/** `learning`: the options where batches are laid beside single rows, if others. */
export function promisesOfBits(
  kind: string,
  shape: ModelShape,
  options: Readonly<Record<string, number>>,
  learning = options,
): void {
  it('learns a batch as its rows one by one, bit for bit', async () => {
    const engine = openEngine({ backend: 'cpu' });
    const batch = randomRows(1, 100, shape);
    const [whole, single, stepped] = [1, 2, 3].map(() => engine.create(kind, shape, learning, 9));
    await whole.learn(batch.rows, batch.labels, batch.weights);
    for (let i = 0; i < 100; i += 1) {
      const row = rowOf(batch, i);
      await single.learn(row.rows, row.labels, row.weights);
    }
    await stepped.step(batch.rows, batch.labels, batch.weights);
    const saved = bytesOf(await whole.save());
    expect(bytesOf(await single.save()).equals(saved)).toBe(true);
    expect(bytesOf(await stepped.save()).equals(saved)).toBe(true);
  });

  it('gives the same bits on every instruction set, number of threads and kind of memory', async () => {
    const batch = randomRows(2, 900, shape, 100);
    const variants = [
      { isa: 'baseline', threads: 1 },
      { isa: 'baseline', threads: 3 },
      { isa: 'auto', threads: 1 },
      { isa: 'auto', threads: 2 },
    ] as const;
    const results: Buffer[] = [];
    for (const variant of variants)
      for (const rows of [batch.rows, shared(batch.rows)]) {
        const model = openEngine({ backend: 'cpu', ...variant }).create(kind, shape, options, 9);
        const stepped = await model.step(rows, batch.labels);
        const scored = await model.score(rows);
        results.push(Buffer.concat([bytesOf(stepped), bytesOf(scored), bytesOf(await model.save())]));
        model.close();
      }
    for (const result of results) expect(result.equals(results[0])).toBe(true);
  });
}
